mod picture;

use brain::allocate::proposals::{Fate, Proposal};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;
use shadow::{Change, Explanation, Resource};

use super::{
    feed::News,
    lines,
    state::{Order, Top, Turn},
    take,
};
use crate::client::picture::Fleet;

/// As a page tells it: a host with cpu at `now`, and its peak.
fn host(name: &str, state: &str, now: f64, peak: f64) -> serde_json::Value {
    json!({
        "name": name, "state": state, "last_sample_ms": 0, "incidents": 0,
        "resources": [{"value": now, "capacity": 1.0, "peak": peak}, {}, {"value": 2.5e6}, {}, {}],
    })
}

fn fleet() -> Fleet {
    let told = json!({
        "time_ms": 240_000, "cell": "main", "mode": "acting", "freeze": null, "pool": [], "queued": 0, "unmet": [],
        "hosts": {"all": 3, "online": 2, "bmc_only": 0, "stale": 1, "offline": 0},
        "incidents": {"open": 0, "critical": 0, "warning": 0, "unnoticed": 0},
        "model": {
            "state": "training", "version": "", "trained_ms": 0, "rows": 9, "rows_needed": 9, "served": [1.0, 0.0, 0.0],
            "note": "", "progress": {"part": "steps", "done": 20, "of": 150, "loss": 0.5}, "drift": null,
        },
        "totals": {"samples_per_s": 20.0, "frame_bytes": 5, "packed_bytes": 100, "missing": 0},
    });
    serde_json::from_value(told).unwrap()
}

/// A view of `hosts`, of which the screen has the window that is asked for.
fn top(hosts: &[serde_json::Value], height: usize) -> Top {
    let mut top = Top::new(None);
    answer(&mut top, hosts, height);
    top
}

/// Answers as the brain does, but for the order.
fn answer(top: &mut Top, hosts: &[serde_json::Value], height: usize) {
    top.rows.matching = hosts.len();
    let window = top.window(height);
    let rows: Vec<_> = hosts.iter().skip(window.offset).take(window.limit).collect();
    let told = json!({"time_ms": 240_000, "matching": hosts.len(), "offset": window.offset, "rows": rows});
    take(
        top,
        News::Fleet(Box::new(fleet()), serde_json::from_value(told).unwrap()),
    );
}

fn shown(top: &Top, (width, height): (usize, usize)) -> Vec<String> {
    let lines = lines(top, width, height);
    assert!(lines.len() <= height, "{} lines in {height}", lines.len());
    lines.iter().map(ToString::to_string).collect()
}

fn press(top: &mut Top, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            letter => KeyCode::Char(letter),
        };
        assert_eq!(top.key(KeyEvent::new(code, KeyModifiers::NONE), 10), Turn::On);
    }
}

#[test]
fn the_fleet_fits_a_small_terminal() {
    let hosts = [
        host("full", "online", 0.5, 0.97),
        host("gone", "stale", 0.3, 0.3),
        host("calm", "online", 0.1, 0.2),
    ];
    let lines = shown(&top(&hosts, 24), (80, 24));
    for line in &lines {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    assert!(
        lines[0].starts_with("main · acting · 2/3 hosts · 20 samples/s"),
        "{lines:#?}"
    );
    assert!(lines[1].starts_with("training, steps 20 of 150"), "{lines:#?}");
    assert!(
        lines[3].starts_with("full") && lines[3].contains("50›97") && lines[3].contains("2.5M"),
        "{lines:#?}"
    );
    assert!(
        lines[4].starts_with("gone") && lines[4].contains("! 4 min"),
        "{lines:#?}"
    );
    assert!(lines[5].starts_with("calm"), "{lines:#?}");
    assert!(lines[23].starts_with("1/3 by pressure"), "{lines:#?}");
}

#[test]
fn a_brain_that_stands_still_is_told_before_all_else() {
    let mut fleet_view = top(&[host("full", "online", 0.5, 0.97)], 24);
    let mut host_view = looked_at();
    for (age_ms, told) in [(30_000, false), (240_000, true)] {
        fleet_view.fleet.as_mut().unwrap().age_ms = age_ms;
        host_view.detail.as_mut().unwrap().age_ms = age_ms;
        for (view, name) in [(&fleet_view, "main · acting"), (&host_view, "node-1 · online")] {
            let line = &shown(view, (80, 24))[0];
            let begin = if told { "nothing new for 4 min · " } else { "" };
            assert!(line.starts_with(&format!("{begin}{name}")), "{line:?}");
            assert!(line.chars().count() <= 80, "{line:?}");
        }
    }
}

#[test]
fn proposals_that_wait_are_told_with_the_command_that_lists_them() {
    let hosts = [host("full", "online", 0.5, 0.97)];
    let mut top = top(&hosts, 24);
    for (proposals, told) in [
        (0, "training, steps 20 of 150"),
        (1, "1 proposal waits: foreshadow proposals · training, steps 20"),
        (12, "12 proposals wait: foreshadow proposals · training, steps 20"),
    ] {
        top.fleet.as_mut().unwrap().proposals = proposals;
        for width in [1, 20, 80] {
            let line = &shown(&top, (width, 24))[1];
            assert_eq!(line.chars().count(), width, "{line:?}");
            let both = line.chars().zip(told.chars());
            assert!(
                both.take(width - 1).all(|(is, should)| is == should),
                "{line:?}, not {told:?}"
            );
        }
    }
}

#[test]
fn the_selected_host_is_asked_for_and_stays_in_sight() {
    let hosts: Vec<_> = (0..100)
        .map(|n| host(&format!("node-{n:03}"), "online", 0.1, 0.1))
        .collect();
    let mut top = top(&hosts, 24);
    for (keys, selected, name) in [
        ("", 0, "node-000"),
        ("G", 99, "node-099"),
        ("k", 98, "node-098"),
        ("g", 0, "node-000"),
    ] {
        press(&mut top, keys);
        answer(&mut top, &hosts, 24);
        assert_eq!(top.selected, selected);
        assert!(
            shown(&top, (80, 24)).iter().any(|line| line.starts_with(name)),
            "{name}"
        );
    }
    press(&mut top, "G");
    answer(&mut top, &hosts[..5], 24);
    assert_eq!(top.selected, 4, "fewer hosts match");
}

#[test]
fn keys_order_search_enter_and_leave() {
    let hosts = [host("a-1", "online", 0.1, 0.1), host("a-2", "online", 0.9, 0.9)];
    let mut top = top(&hosts, 24);
    press(&mut top, "s");
    assert_eq!(top.window(24).order, Order::Name);
    press(&mut top, "sr");
    assert_eq!(
        (top.window(24).order, top.window(24).reversed),
        (Order::Of(Resource::Cpu), true)
    );
    // Letters of a search are no commands.
    press(&mut top, "/a-q");
    assert_eq!((top.window(24).search.as_str(), top.window(24).offset), ("a-q", 0));
    press(&mut top, "\u{1b}/a\n\n");
    assert_eq!(top.host, None, "what was in sight is of the search before");
    answer(&mut top, &hosts, 24);
    press(&mut top, "j\n");
    assert_eq!((top.search.as_str(), top.host.as_deref()), ("a", Some("a-2")));
    press(&mut top, "k");
    assert_eq!(top.host.as_deref(), Some("a-1"), "up and down look at other hosts");
    press(&mut top, "\u{1b}");
    assert_eq!(top.host, None);
    press(&mut top, "?x");
    assert!(!top.help);
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    for key in [KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE), ctrl_c] {
        assert_eq!(top.key(key, 10), Turn::Quit);
    }
}

fn looked_at() -> Top {
    let forecast = |horizon_s, p50, p95| {
        json!({
            "resource": "cpu", "made_ms": 0, "horizon_s": horizon_s,
            "quantiles": {"p50": p50, "p90": p95, "p95": p95, "p99": p95}, "rung": "lstm", "shares": {}, "skill": 0.23,
            "coverage": null,
        })
    };
    let resource = |name, value, absent| json!({"resource": name, "unit": "1", "value": value, "absent": absent, "capacity": 1.0, "forecasts": []});
    let mut cpu = resource("cpu", json!(0.42), "");
    cpu["forecasts"] = json!([forecast(300, 0.4, 0.55), forecast(900, 0.5, 0.95)]);
    let workload = |name: &str, criticality| {
        json!({
            "name": name, "criticality": criticality, "class": "standard", "cpu_cores": 0.5, "memory_bytes": 1_073_741_824.0,
            "cpu_reserved": 1.5, "memory_reserved": null, "forecasts": [], "peaks": [],
        })
    };
    let told = json!({
        "time_ms": 240_000,
        "host": {
            "name": "node-1", "state": "online", "last_sample_ms": 239_000, "interval_ms": 100, "inventory": "6.1, a processor",
            "resources": [cpu, resource("memory", json!(0.1), ""), resource("power", json!(null), "no meter")],
            "workloads": [workload("least", 10), workload("most", 90)],
        },
        "pool": [], "commands": [], "anomalies": [], "events": [],
        "incidents": [{
            "host": "node-1", "since_ms": 0, "until_ms": 0, "goes_on": true, "severity": "critical", "score": 9.0,
            "cause": "memory leaks", "signals": [], "acknowledged_ms": null, "acknowledged_by": null,
        }],
    });
    let mut top = Top::new(Some("node-1".to_owned()));
    top.detail = Some(serde_json::from_value(told).unwrap());
    let series = json!({"since_ms": 0, "until_ms": 100, "points": [[5, 0.1], [99, 1.0]]});
    top.series.insert(
        ("node-1".to_owned(), Resource::Cpu),
        serde_json::from_value(series).unwrap(),
    );
    top
}

#[test]
fn a_host_shows_what_waits_for_a_word_by_the_name_to_approve() {
    let mut top = looked_at();
    let open = vec![Proposal {
        id: "7-node-1-p3".to_owned(),
        host: "node-1".to_owned(),
        made_ms: 0,
        expires_ms: 900_000,
        change: Change {
            workload: "shop.service".to_owned(),
            resource: Resource::Cpu,
            before: Some(2.0),
            target: 3.0,
            ceiling: None,
            explanation: Explanation::default(),
        },
        fate: Fate::Open,
        decided_ms: None,
        by: String::new(),
        reason: String::new(),
        command_id: None,
        outcome: None,
    }];
    take(&mut top, News::Proposals("another".to_owned(), open.clone()));
    let told = "proposal 7-node-1-p3: cpu of shop.service from 2 cores to 3 cores";
    assert!(
        !shown(&top, (80, 24)).join("\n").contains(told),
        "it is of another host"
    );
    take(&mut top, News::Proposals("node-1".to_owned(), open));
    let lines = shown(&top, (80, 24));
    let at = lines.iter().position(|line| line.starts_with(told));
    assert!(lines[at.unwrap() - 1].starts_with("PROPOSALS, INCIDENTS"), "{lines:#?}");
}

#[test]
fn a_host_shows_its_past_its_future_and_who_uses_it() {
    let lines = shown(&looked_at(), (80, 24));
    let text = lines.join("\n");
    for line in &lines {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    for part in [
        "42 %",
        "5 min 40‥55",
        "15 min 50‥95",
        "skill 23 %",
        "no meter",
        "0.5/1.5",
        "1G/-",
        "critical for 4 min: memory leaks",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(
        text.find("most").unwrap() < text.find("least").unwrap(),
        "the most critical comes first"
    );
    // The past ends at its peak; then p50 and p95 by horizon.
    assert!(lines[3].ends_with("█┊ ▄▅ ▅█"), "{lines:#?}");
}

#[test]
fn keys_are_told_whole_on_eighty_columns_and_what_has_no_room_is_left_out() {
    for line in super::HELP {
        assert!(line.chars().count() <= super::PLAIN.0, "{line:?}");
    }
    let top = looked_at();
    let cut = |width| shown(&top, (width, 24)).join("\n");
    let (wide, narrow) = (cut(80), cut(58));
    assert!(wide.contains(", skill 23 %"), "{wide}");
    assert!(narrow.contains("15 min 50‥95") && !narrow.contains("skil"), "{narrow}");
}

#[test]
fn nothing_is_drawn_beyond_a_tiny_terminal() {
    let host_view = looked_at();
    for height in [1, 2, 5, 9] {
        shown(&host_view, (40, height));
    }
    shown(&top(&[host("a", "online", 0.1, 0.1)], 5), (20, 5));
}
