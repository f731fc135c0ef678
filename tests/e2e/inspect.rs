//! `foreshadow inspect` against a real broker, brain and agent, and what it keeps and reads again.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    database::number,
    harness::{PATIENCE, Process, free_port, until},
    observer::Observer,
    stack::Stack,
};

/// Runs `foreshadow` to its end.
fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn inspect(arguments: &[&str]) -> Output {
    run(&[&["inspect"], arguments].concat())
}

/// The objects that were printed, each on a line of its own.
fn objects(printed: &[u8]) -> Vec<Value> {
    let text = str::from_utf8(printed).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_goes_over_the_broker_is_told_kept_and_told_again() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let brain = stack.brain();
    let address = format!("127.0.0.1:{}", stack.port);
    let capture = stack.path().join("messages.capture");
    let live = [
        "inspect",
        "--broker",
        &address,
        "--cell",
        "main",
        "--values",
        "--record",
        path(&capture),
    ];
    let mut live = Process::foreshadow(&live);
    let observer = Observer::new(stack.port);
    let agent = stack.agent();
    for kind in ["status", "birth", "frame", "watermark", "command", "outcome"] {
        live.expect_text(&format!("{{\"kind\":\"{kind}\",\"host\":\"web-1\""));
    }
    observer.publish("foreshadow/main/web-9/bin/inband/delta", b"no frame");
    live.expect_text("\"host\":\"web-9\"");
    let (status, _, printed) = live.stop_and_read();
    assert!(status.success(), "{status}");
    let told: Vec<&str> = printed.lines().filter(|line| line.starts_with('{')).collect();
    let told = objects(told.join("\n").as_bytes());

    let frames = of(&told, "frame");
    let own: Vec<_> = frames.iter().filter(|frame| frame["host"] == "web-1").collect();
    let cpu = &own.last().unwrap()["frame"]["values"]["metrics"]["host.cpu"];
    let samples = own.last().unwrap()["frame"]["samples"].as_u64().unwrap();
    assert_eq!(cpu.as_array().map(Vec::len), usize::try_from(samples).ok(), "{cpu}");
    assert!(
        own.iter().all(|frame| frame["frame"]["unread"].is_null()),
        "the birth came before"
    );
    let foreign = frames.iter().find(|frame| frame["host"] == "web-9").unwrap();
    assert_eq!(
        (&foreign["bytes"], &foreign["topic"]),
        (&8.into(), &"foreshadow/main/web-9/bin/inband/delta".into())
    );
    assert!(
        foreign["error"].as_str().unwrap().starts_with("not a frame: "),
        "{foreign}"
    );
    let birth = of(&told, "birth")[0];
    assert!(birth["birth"]["catalogue"].as_array().unwrap().len() > 10, "{birth}");

    let again = inspect(&["--values", path(&capture)]);
    assert!(again.status.success());
    assert_eq!(objects(&again.stdout), told, "the capture tells the same");
    let few = inspect(&["--count", "3", "--host", "web-1", path(&capture)]);
    let few = objects(&few.stdout);
    assert!(
        few.len() == 3 && few.iter().all(|object| object["host"] == "web-1"),
        "{few:?}"
    );
    assert_eq!(objects(&inspect(&["--cell", "other", path(&capture)]).stdout).len(), 0);

    let bytes = fs::read(&capture).unwrap();
    fs::write(&capture, &bytes[..bytes.len() - 1]).unwrap();
    let torn = inspect(&["--values", path(&capture)]);
    assert_eq!(torn.status.code(), Some(1));
    assert_eq!(objects(&torn.stdout), told[..told.len() - 1], "all but the torn one");
    assert!(
        str::from_utf8(&torn.stderr)
            .unwrap()
            .contains("ends within the message")
    );

    assert!(agent.stop().0.success());
    assert!(brain.stop().0.success());
    let database = stack.data().join("brain.db");
    let stored = inspect(&["--values", path(&database)]);
    assert!(stored.status.success(), "{stored:?}");
    let stored = objects(&stored.stdout);
    let frames = of(&stored, "frame");
    let count = number(&stack.data(), "SELECT count(*) FROM frames");
    assert_eq!(i64::try_from(frames.len()).unwrap(), count);
    assert!(
        frames
            .iter()
            .all(|frame| frame["frame"]["values"]["times_ms"].is_array())
    );
    for kind in ["birth", "watermark", "command", "outcome"] {
        assert!(!of(&stored, kind).is_empty(), "no {kind} in the database");
    }
}

#[test]
fn a_reader_that_goes_is_no_failure() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let address = format!("127.0.0.1:{}", stack.port);
    let _agent = stack.agent();
    for arguments in [
        &["doctor", "--patience", "1ms"][..],
        &["doctor", "--patience", "1ms", "--json"],
        &["processes", "--over", "100ms"],
        &["inspect", "--broker", &address],
        &["inspect", "--help"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{arguments:?}: {ended:?}");
        assert_eq!(str::from_utf8(&ended.stderr).unwrap(), "", "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_inspected_is_named() {
    let stack = Stack::new();
    let nobody = format!("127.0.0.1:{}", free_port());
    let text = stack.path().join("text");
    fs::write(&text, "neither").unwrap();
    for (arguments, code, expected) in [
        (&["--broker", &*nobody][..], 1, &*nobody),
        (&["/nowhere"], 1, "/nowhere: No such file"),
        (&[path(&text)], 1, "neither a capture"),
        (&[], 64, "--broker"),
        (&["--broker", "here"], 64, "HOST:PORT"),
        (&["--broker", &*nobody, path(&text)], 64, "cannot be used with"),
        (&["--host", "a/b", path(&text)], 64, "'/'"),
        (&["--record", "x", path(&text)], 64, "cannot be used with"),
        (&["--for", "1s", path(&text)], 64, "cannot be used with"),
    ] {
        let ended = inspect(arguments);
        let said = str::from_utf8(&ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(ended.stdout.is_empty());
    }
}

#[test]
fn it_ends_when_its_time_is_over() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let address = format!("127.0.0.1:{}", stack.port);
    let mut live = Process::foreshadow(&["inspect", "--broker", &address, "--for", "300ms"]);
    until("it ends by itself", PATIENCE, || !live.runs());
    assert!(live.wait().success());
}
