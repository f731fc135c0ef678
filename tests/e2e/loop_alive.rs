//! The main job: one command, and the loop from `/proc` to an outcome runs.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{
    database::{number, numbers},
    harness::{PATIENCE, Process, free_port, get, post, until},
    observer::Observer,
    stack::Stack,
};

#[test]
fn one_command_samples_into_the_database_and_stops_in_order() {
    let folder = TempDir::new().unwrap();
    let (port, page) = (free_port(), free_port());
    let (broker, page) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{page}"));
    let data = folder.path().join("state");
    let arguments = [
        "up",
        "--data-dir",
        data.to_str().unwrap(),
        "--broker",
        &broker,
        "--page",
        &page,
    ];
    let started = Instant::now();
    let mut up = Process::foreshadow(&arguments);
    up.expect_text(&format!("page    http://{page}"));
    up.expect_text(&format!("broker  mqtt://{broker}"));
    up.expect_text(data.to_str().unwrap());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());

    let observer = Observer::new(port);
    assert_eq!(observer.expect_json("status/inband")["state"], "online");
    until("its processor's load is shown", PATIENCE, || {
        observer.expect_json("view/cpu")["value"].is_number()
    });
    let memory = observer.expect_json("view/memory")["value"].as_f64().unwrap();
    assert!(
        (memory - used_memory()).abs() < 0.1,
        "{memory} but /proc/meminfo says {}",
        used_memory()
    );
    drop(observer);
    // Nobody has logged in: the page is for looking, though the request comes from this machine.
    let page = page.rsplit_once(':').unwrap().1.parse().unwrap();
    let refused = post(page, "/api/v1/freeze", r#"{"by": "ann"}"#);
    assert_eq!(
        (&refused["status"], get(page, "/api/v1/freeze").contains("false")),
        (&403.into(), true),
        "{refused}"
    );

    let (status, took, printed) = up.stop_and_read();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(number(&data, "SELECT sum(samples) FROM frames") > 0);
    let cut = printed.split("agent stopped frames=").nth(1).unwrap();
    let cut: i64 = cut.split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(number(&data, "SELECT count(*) FROM frames"), cut, "to the last frame");
    assert_eq!(number(&data, "SELECT count(*) FROM hosts"), 1);
    assert!(number(&data, "SELECT count(*) FROM births") > 0);

    let mut again = Process::foreshadow(&arguments);
    again.expect_text("page");
    let more = || number(&data, "SELECT count(DISTINCT epoch) FROM frames") == 2;
    until("a second life is durable beside the first", PATIENCE, more);
    assert!(again.stop().0.success());
}

/// Share of memory that is not available, as the kernel tells it.
fn used_memory() -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let of = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
    };
    1.0 - of("MemAvailable:") / of("MemTotal:")
}

#[test]
fn a_forecast_becomes_a_command_and_its_outcome_is_kept() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let brain = stack.brain();
    let observer = Observer::new(stack.port);
    let agent = stack.agent();

    for resource in ["cpu", "memory", "network", "disk"] {
        let forecast = observer.expect_json(&format!("web-1/view/forecast/{resource}/5m"));
        assert!(
            forecast["p95"].as_f64().unwrap() >= forecast["p50"].as_f64().unwrap(),
            "{forecast}"
        );
        assert!(
            ["last", "ewma", "lstm"].contains(&forecast["rung"].as_str().unwrap()),
            "{forecast}"
        );
    }
    let command = shadow::wire::decode_command(&observer.expect("web-1/bin/inband/command")).unwrap();
    assert!(command.dry_run, "recommend-only");
    let change = command.changes.first().unwrap();
    assert!(!change.explanation.text.is_empty() && change.target > 0.0, "{change:?}");
    let outcome = shadow::wire::decode_outcome(&observer.expect("web-1/bin/inband/outcome")).unwrap();
    assert_eq!(outcome.state, shadow::OutcomeState::DryRun, "{outcome:?}");

    let answered = "SELECT count(*) FROM outcomes";
    until("the outcome is durable", PATIENCE, || {
        number(&stack.data(), answered) > 0
    });
    assert!(agent.stop().0.success());
    assert!(brain.stop().0.success());
    let issued = numbers(&stack.data(), "SELECT sequence FROM commands ORDER BY sequence");
    assert_eq!(issued.first(), Some(&1));
    assert!(issued.windows(2).all(|pair| pair[1] == pair[0] + 1), "{issued:?}");
}
