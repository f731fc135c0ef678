//! What stands retained at the broker of a lab is what `docs/topics.md` says, and MQTT Explorer can show it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    harness::{PATIENCE, Process, until},
    lab::traces,
    observer::Observer,
};

/// The longest view, in bytes.
const MAX_VIEW: usize = 200;
/// What MQTT Explorer keeps of one topic (`backend/src/Model/TreeNode.ts`): messages, and bytes together.
const KEPT: (usize, usize) = (100, 20_000);
/// Texts that may look like numbers, for they are names.
const NAMES: [&str; 2] = ["unit", "version"];

/// One kind of topics, as the document tells it.
#[derive(Debug)]
struct Told {
    /// With `+` for prefix, cell, host, vantage and the like.
    filter: String,
    retained: bool,
    /// Keys of its payload; empty where the document tells none.
    keys: BTreeSet<String>,
}

#[test]
fn the_retained_tree_of_a_lab_is_the_documents_and_mqtt_explorer_shows_it() {
    let told = documented();
    let traces = traces();
    let folder = traces.path().to_str().unwrap();
    let mut lab = Process::foreshadow(&["lab", "--traces", folder, "--speed", "100000", "--stay"]);
    lab.expect_text("broker  mqtt://127.0.0.1:");
    let port = lab.printed().split("mqtt://127.0.0.1:").nth(1).unwrap().to_owned();
    let port: u16 = port.split_whitespace().next().unwrap().parse().unwrap();

    // As MQTT Explorer subscribes.
    let viewer = Observer::of(port, &["#", "$SYS/#"]);
    let seen = || viewer.seen(|_| true);
    let missing = || {
        let seen = seen();
        let there = |told: &&Told| seen.keys().any(|topic| matches(&told.filter, topic));
        let missing = told.iter().filter(|told| told.retained && !there(told));
        missing.map(|told| told.filter.clone()).collect::<Vec<_>>()
    };
    // Replayed hosts have no events: nothing of theirs is retained before the first.
    let never = ["+/+/+/view/event"];
    until("all that is retained has come", PATIENCE, || missing() == never);
    // A lab trains as any brain does, which takes a debug build its time.
    let trained = || {
        viewer
            .newest_json("_brain/view/models")
            .is_some_and(|view| view["trained"].as_f64() > Some(0.0))
    };
    until("a network was trained", 3 * PATIENCE, trained);

    for (topic, payloads) in seen() {
        let told = told.iter().find(|told| matches(&told.filter, &topic));
        let told = told.unwrap_or_else(|| panic!("{topic} is not in docs/topics.md"));
        for payload in &payloads {
            judge(&topic, payload, told);
        }
    }
    is_retained_as_told(port, &told, never);
    let readable = seen().into_iter().filter(|(topic, _)| topic.contains("/view/"));
    let kinds: BTreeMap<String, Value> = readable
        .map(|(topic, all)| (topic, serde_json::from_slice(all.last().unwrap()).unwrap()))
        .collect();
    // What is looked at is not an empty lab's.
    assert!(kinds["foreshadow/lab/web-1/view/forecast/cpu/15m"]["p95"].is_number());
    assert_eq!(kinds["foreshadow/lab/_brain/view/fleet"]["hosts"], 2.0);
}

/// Whoever comes after the end is given all that the document calls retained, and nothing else.
fn is_retained_as_told(port: u16, told: &[Told], never: [&str; 1]) {
    let late = Observer::of(port, &["#", "$SYS/#"]);
    let missing = || {
        let there = late.retained();
        let is_there = |told: &&Told| there.keys().any(|topic| matches(&told.filter, topic));
        let missing = told.iter().filter(|told| told.retained && !is_there(told));
        missing.map(|told| told.filter.clone()).collect::<Vec<_>>()
    };
    until("all that is retained is given", PATIENCE, || missing() == never);
    // A message of now stands behind all that was retained.
    late.publish("marker", b"1");
    late.expect("marker");
    let there = late.retained();
    for (topic, payload) in &there {
        let told = told.iter().find(|told| told.retained && matches(&told.filter, topic));
        let told = told.unwrap_or_else(|| panic!("{topic} is retained, and docs/topics.md tells of none such"));
        judge(topic, payload, told);
    }
    let hosts = ["web-1", "web-2"].map(|host| format!("foreshadow/lab/{host}/view/status"));
    assert!(
        hosts.iter().all(|topic| there.contains_key(topic)),
        "{:?}",
        there.keys()
    );
}

/// # Panics
/// When MQTT Explorer would not show `payload`, or the document does not tell of what is in it.
fn judge(topic: &str, payload: &[u8], told: &Told) {
    if !topic.contains("/bin/") {
        let fault = unreadable(payload, &told.keys).or_else(|| too_long(topic, payload));
        assert_eq!(fault, None, "{topic}: {}", String::from_utf8_lossy(payload));
    }
}

/// Views are a line each, so that MQTT Explorer's history of a topic holds as many as it can.
fn too_long(topic: &str, payload: &[u8]) -> Option<String> {
    let long = topic.contains("/view/") && (payload.len() > MAX_VIEW || payload.len() * KEPT.0 > KEPT.1);
    long.then(|| format!("{} bytes", payload.len()))
}

/// Why MQTT Explorer would not show or plot `payload`, or `keys` do not tell of it.
fn unreadable(payload: &[u8], keys: &BTreeSet<String>) -> Option<String> {
    let Ok(text) = std::str::from_utf8(payload) else {
        return Some("no text".to_owned());
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields.iter().find_map(|(key, value)| match value {
            _ if !keys.is_empty() && !keys.contains(key) => Some(format!("docs/topics.md does not tell of {key}")),
            Value::Object(_) | Value::Array(_) | Value::Null => Some(format!("{key} is not flat")),
            Value::String(text) if is_plotted(text) && !NAMES.contains(&key.as_str()) => {
                Some(format!("{key} is a number in quotes"))
            }
            _ => None,
        }),
        Ok(Value::Array(_) | Value::Null) => Some("neither flat nor bare".to_owned()),
        // A bare number, boolean or quoted text; anything else is a bare text.
        _ => None,
    }
}

/// Whether MQTT Explorer would plot a text as a number (`toPlottableValue`): `Number(text)` is one, `on` and `off` are, and so is a
/// decimal comma.
fn is_plotted(text: &str) -> bool {
    let trimmed = text.trim();
    let number = trimmed.parse::<f64>().is_ok_and(f64::is_finite);
    let word = trimmed.eq_ignore_ascii_case("on") || trimmed.eq_ignore_ascii_case("off");
    let comma = trimmed.split_once(',').is_some_and(|(whole, part)| {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        digits(whole) && digits(part) && !part.is_empty()
    });
    number || word || comma
}

/// Whether a filter with `+` and a final `#` takes a topic.
fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), Some(_)) | (None, None) => return true,
            (Some(level), Some(name)) if level == "+" || level == name => {}
            _ => return false,
        }
    }
}

/// All topics of `docs/topics.md`.
fn documented() -> Vec<Told> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/topics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut all = Vec::new();
    for row in rows(&text, "All below `PREFIX/CELL/HOST/bin/VANTAGE/`:") {
        all.push(told(
            &format!("PREFIX/CELL/HOST/bin/VANTAGE/{}", row[0]),
            row[4] == "yes",
            "",
        ));
    }
    for row in rows(&text, "Flat JSON with stable keys") {
        if !row[0].contains("...") {
            all.push(told(&row[0], row[3] == "yes", &row[2]));
        }
    }
    for (heading, below) in [
        ("`HOST/view/`:", "PREFIX/CELL/HOST/view"),
        ("`_brain/view/`:", "PREFIX/CELL/_brain/view"),
    ] {
        for row in rows(&text, heading) {
            for path in row[0].split_whitespace() {
                all.push(told(&format!("{below}/{path}"), true, &row[2]));
            }
        }
    }
    let figures = text.split("`$SYS/broker/...`").nth(1).unwrap();
    let figures = figures.split("\n\n").next().unwrap().replace(",\n", ",");
    let names = figures
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| !name.contains(']') && !name.contains(".md"));
    for name in names.flat_map(expanded) {
        all.push(told(&format!("$SYS/broker/{}", name.replace("...", "#")), true, ""));
    }
    assert!(all.len() > 45, "only {} topics are documented", all.len());
    all
}

/// One kind, of which `keys` has the keys in backquotes.
fn told(topic: &str, retained: bool, keys: &str) -> Told {
    let topic = topic.replace('`', "");
    let levels = topic.split('/').map(|level| match level {
        "PREFIX" | "CELL" | "HOST" | "VANTAGE" | "RESOURCE" | "HORIZON" => "+",
        level => level,
    });
    let words = keys.split('`').skip(1).step_by(2);
    let keys = words.filter(|word| {
        word.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    });
    Told {
        filter: levels.collect::<Vec<_>>().join("/"),
        retained,
        keys: keys.map(str::to_owned).collect(),
    }
}

/// `a/{b,c}` as `a/b` and `a/c`.
fn expanded(name: &str) -> Vec<String> {
    match name
        .split_once('{')
        .and_then(|(head, rest)| Some((head, rest.split_once('}')?.0)))
    {
        Some((head, parts)) => parts.split(',').map(|part| format!("{head}{part}")).collect(),
        None => vec![name.to_owned()],
    }
}

/// The cells of the first table behind `heading`, without its head.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let behind = text
        .split_once(heading)
        .unwrap_or_else(|| panic!("docs/topics.md has no {heading:?}"));
    let table = behind.1.lines().skip_while(|line| !line.starts_with('|'));
    let table = table.take_while(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    table.map(cells).collect()
}

#[test]
fn what_cannot_be_shown_or_plotted_is_found() {
    let keys = BTreeSet::from(["p95".to_owned(), "state".to_owned(), "version".to_owned()]);
    for good in [
        &br#"{"p95":1.5,"state":"online"}"#[..],
        br#"{"version":"1795970741792"}"#,
        b"17",
        b"17 seconds",
        b"\"x\"",
    ] {
        assert_eq!(unreadable(good, &keys), None, "{}", String::from_utf8_lossy(good));
    }
    for bad in [
        &br#"{"p95":"1.5"}"#[..],
        br#"{"state":"on"}"#,
        br#"{"state":"1,5"}"#,
        br#"{"p95":{"a":1}}"#,
        br#"{"p95":[1]}"#,
        br#"{"p95":null}"#,
        br#"{"p50":1}"#,
        b"[1]",
        b"\xff",
    ] {
        assert!(unreadable(bad, &keys).is_some(), "{}", String::from_utf8_lossy(bad));
    }
    assert!(too_long("a/view/b", &[b'1'; 201]).is_some() && too_long("a/view/b", &[b'1'; 200]).is_none());
    assert!(matches("+/+/_brain/view/plan", "foreshadow/main/_brain/view/plan"));
    assert!(!matches("+/+/_brain/view/plan", "foreshadow/main/web-1/view/plan"));
    assert!(matches("$SYS/broker/refused/#", "$SYS/broker/refused/login") && !matches("a/b", "a/b/c"));
}
