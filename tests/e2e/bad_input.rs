//! What must not work says so, names what and where, and harms nothing.

use std::{fs, net::TcpListener};

use tempfile::TempDir;

use crate::{
    database::number,
    harness::{PATIENCE, Process, free_port, until, write},
    observer::Observer,
    stack::Stack,
};

/// Exit code of bad usage and bad configuration.
const USAGE: i32 = 64;

fn refused(arguments: &[&str], code: i32, expected: &[&str]) {
    let mut process = Process::foreshadow(arguments);
    let status = process.wait();
    let told = || expected.iter().all(|part| process.printed().contains(part));
    until(
        &format!("{arguments:?} tells {expected:?}; it told {}", process.printed()),
        PATIENCE,
        told,
    );
    assert_eq!(status.code(), Some(code), "{}", process.printed());
}

#[test]
fn configuration_faults_name_file_line_and_key() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| write(folder.path(), name, text);
    refused(
        &["agent", "--config", "/nowhere.toml"],
        USAGE,
        &["/nowhere.toml", "is the path right"],
    );
    refused(
        &["policy", "check", "/nowhere.toml"],
        USAGE,
        &["error: configuration /nowhere.toml: ", "is the path right"],
    );
    refused(
        &["agent", "--config", &file("a.toml", "[pace]\nspeed = 1\n")],
        USAGE,
        &["a.toml:2", "speed"],
    );
    refused(
        &["agent", "--config", &file("b.toml", "host = \"a/b\"\n")],
        USAGE,
        &["host", "'/'"],
    );
    refused(
        &["agent", "--config", &file("c.toml", "host = \"a\\u0007\"\n")],
        USAGE,
        &["host", "byte 1"],
    );
    refused(
        &["brain", "--config", &file("d.toml", "[page]\nlisten = 80\n")],
        USAGE,
        &["d.toml:2", "listen"],
    );
    refused(
        &["brain", "--config", &file("e.toml", "cell = \"a+b\"\n")],
        USAGE,
        &["cell", "'+'"],
    );
    refused(
        &["broker", "--config", &file("f.toml", "listen = \"here\"\n")],
        USAGE,
        &["f.toml:1", "listen"],
    );
    let policy = file("policy.toml", "[class.web]\nquantile = 2\nflor = 1\n");
    let brain = file(
        "g.toml",
        &format!("data_dir = \"x\"\n[allocate]\npolicy = {policy:?}\n"),
    );
    let faults = ["policy.toml", "class.web.quantile", "class.web.flor"];
    refused(&["brain", "--config", &brain], USAGE, &faults);
    assert!(!std::path::Path::new("x").exists(), "nothing is made before");
    refused(&["up", "--brokr", "x"], USAGE, &["--brokr"]);
    for (option, value) in [("--speed", "0"), ("--hosts", "0")] {
        refused(&["lab", option, value], USAGE, &[option]);
    }
    let one = file("one.csv", "time,cpu\n0,0.1\n");
    let folder = std::path::Path::new(&one).parent().unwrap().to_str().unwrap();
    for (command, option, value) in [
        ("backtest", "--train-fraction", "1"),
        ("backtest", "--origin-stride", "0"),
        ("simulate", "--retrain", "0"),
        ("simulate", "--from", "0.9"),
    ] {
        refused(&[command, "--traces", folder, option, value], USAGE, &[option]);
    }
    refused(&["top", "--once", "--every", "0s"], USAGE, &["--every"]);
}

#[test]
fn a_port_in_use_is_told() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(
        &["up", "--data-dir", data, "--broker", &address, "--page", "127.0.0.1:0"],
        1,
        &[&address, "in use", "stop that one"],
    );
    refused(
        &["up", "--data-dir", data, "--broker", "127.0.0.1:0", "--page", &address],
        1,
        &[&address, "in use"],
    );
}

#[test]
fn a_data_folder_that_cannot_be_used_is_told() {
    let folder = TempDir::new().unwrap();
    let file = write(folder.path(), "file", "");
    let start = |data: &str, expected: &[&str]| {
        refused(
            &[
                "up",
                "--data-dir",
                data,
                "--broker",
                "127.0.0.1:0",
                "--page",
                "127.0.0.1:0",
            ],
            1,
            expected,
        );
    };
    start(&file, &[&file]);
    start("/proc/foreshadow", &["/proc/foreshadow"]);
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let stack = Stack::new();
    let _broker = stack.broker();
    assert!(stack.brain().stop().0.success());
    let newer = "INSERT INTO _sqlx_migrations VALUES (9999, 'newer', '2030-01-01', TRUE, x'00', 0) RETURNING version";
    assert_eq!(number(&stack.data(), newer), 9999);
    let before = fs::read(stack.data().join("brain.db")).unwrap();
    let data = stack.data();
    let arguments = [
        "up",
        "--data-dir",
        data.to_str().unwrap(),
        "--broker",
        "127.0.0.1:0",
        "--page",
        "127.0.0.1:0",
    ];
    refused(&arguments, 1, &["9999", "newer"]);
    assert!(
        before == fs::read(stack.data().join("brain.db")).unwrap(),
        "the database was changed"
    );
}

#[test]
fn a_broken_trace_is_told_with_file_line_and_column() {
    let folder = TempDir::new().unwrap();
    let traces = folder.path().to_str().unwrap();
    refused(&["lab", "--traces", traces], 1, &["no trace"]);
    write(folder.path(), "web-1.csv", "time,cpu,mem\n0,0.5,0.5\n10,x,0.5\n");
    refused(
        &["lab", "--traces", traces],
        1,
        &["web-1.csv", "line 3", "column cpu", "\"x\""],
    );
    fs::remove_file(folder.path().join("web-1.csv")).unwrap();
    write(folder.path(), "web+1.csv", "time,cpu\n0,0.5\n10,0.5\n");
    refused(&["lab", "--traces", traces], 1, &["web+1", "'+'"]);
}

#[test]
fn foreign_and_broken_messages_are_counted_and_harm_nobody() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let mut brain = stack.brain();
    let observer = Observer::new(stack.port);
    let _agent = stack.agent();
    let delta = |host: &str| format!("foreshadow/main/{host}/bin/inband/delta");
    let frame = observer.expect("web-1/bin/inband/delta");
    let birth = observer.expect("web-1/bin/inband/birth");

    let mut broken = frame.clone();
    broken.truncate(frame.len() / 2);
    for payload in [&b"garbage"[..], &broken, &[0xff; 4096], b""] {
        for host in ["web-1", "ghost", "bad host", "a:b"] {
            observer.publish(&delta(host), payload);
        }
        observer.publish("foreshadow/main/web-1/bin/inband/birth", payload);
        observer.publish("foreshadow/main/web-1/bin/inband/outcome", payload);
        observer.publish("foreshadow/main/web-1/status/inband", payload);
    }
    // A frame of an epoch that nobody was born in, and one that came before.
    observer.publish(&delta("ghost"), &frame);
    observer.publish(&delta("web-1"), &frame);
    observer.publish("foreshadow/main/web-1/bin/inband/birth", &birth);

    let metrics = || crate::harness::get(stack.page, "/metrics");
    let refused = || counter(&metrics(), "refused") >= 8.0 && counter(&metrics(), "duplicate") >= 1.0;
    until("refusals and doubles are counted", PATIENCE, refused);
    let wanted = observer.expect("ghost/bin/inband/watermark");
    assert!(
        shadow::wire::decode_watermark(&wanted)
            .unwrap()
            .epochs
            .iter()
            .any(|mark| mark.birth_wanted)
    );
    let before = number(&stack.data(), "SELECT count(*) FROM frames");
    until("the good host goes on", PATIENCE, || {
        number(&stack.data(), "SELECT count(*) FROM frames") > before + 5
    });
    assert_eq!(
        number(&stack.data(), "SELECT count(*) FROM frames WHERE host <> 'web-1'"),
        0
    );
    assert!(brain.runs());
}

/// The sum of all counters whose name holds `part`.
fn counter(metrics: &str, part: &str) -> f64 {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    let named = lines.filter(|line| line.split(['{', ' ']).next().is_some_and(|name| name.contains(part)));
    named
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn a_second_brain_on_the_same_folder_is_refused() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let _brain = stack.brain();
    let data = stack.data();
    let port = free_port().to_string();
    let page = format!("127.0.0.1:{port}");
    let arguments = [
        "up",
        "--data-dir",
        data.to_str().unwrap(),
        "--broker",
        "127.0.0.1:0",
        "--page",
        &page,
    ];
    refused(&arguments, 1, &[data.to_str().unwrap()]);
}
