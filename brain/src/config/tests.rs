use super::*;

const EXAMPLE: &str = include_str!("../../../config/brain.toml");

#[test]
fn the_example_shows_every_key_with_its_default() {
    let read: Config = runtime::config::parse(EXAMPLE, "brain.toml").unwrap();
    assert_eq!(read, Config::default());
    let shown: toml::Table = EXAMPLE.parse().unwrap();
    let whole = toml::Table::try_from(Config::default()).unwrap();
    for (section, keys) in &whole {
        for key in keys.as_table().into_iter().flat_map(toml::Table::keys) {
            assert!(
                shown[section].get(key).is_some(),
                "{section}.{key} is not in config/brain.toml"
            );
        }
    }
}

#[test]
fn what_waits_behind_a_batch_waits_for_ten_seconds_at_most() {
    let parse = |flush| {
        let text = format!("[store]\nflush_every = \"{flush}\"");
        runtime::config::parse::<Config>(&text, "brain.toml")
    };
    // It may miss one flush, and is in the next.
    assert!(parse("5s").is_ok());
    let told = parse("5001ms").unwrap_err().to_string();
    assert!(
        told.contains("store.flush_every") && told.contains("10ms to 5s"),
        "{told}"
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let text = r#"
        cell = "a/b"
        prefix = "+"
        [grid]
        step = "7s"
        grace = "2m"
        [hot]
        minutes = "1m"
        recent_bytes = 100000000
        [store]
        flush_every = "1m"
        buffer_bytes = 5
        [forecast]
        horizons = ["5m", "1m"]
        [anomaly]
        false_alarms_per_week = 0.0
        [allocate]
        every = "10m"
    "#;
    let told = runtime::config::parse::<Config>(text, "brain.toml")
        .unwrap_err()
        .to_string();
    for key in [
        "cell",
        "prefix",
        "grid.grace",
        "hot.minutes",
        "hot.recent_bytes",
        "store.flush_every",
        "store.buffer_bytes",
        "forecast",
        "allocate.ttl",
    ] {
        assert!(told.contains(key), "{key} is not in:\n{told}");
    }
    assert!(told.contains("not a multiple of step_s = 7"), "{told}");
    assert!(runtime::config::parse::<Config>("ticks = \"Manual\"", "x").is_err());
}
