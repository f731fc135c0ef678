//! What a brain has kept: asked for, exported, copied and restored, while it runs.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    database::{missing_frames, number},
    docs,
    harness::{PATIENCE, Process, get, until},
    stack::Stack,
};

const ROWS: &str = "SELECT count(*) FROM rollup_10s";
const FRAMES: &str = "SELECT count(*) FROM frames";
const HOLES: &str = "SELECT coalesce(sum(end_sequence - first_sequence), 0) FROM holes";

/// Runs `foreshadow` to its end.
fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// What `foreshadow` prints when it succeeds.
fn printed(arguments: &[&str]) -> String {
    let ended = run(arguments);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{arguments:?}: {said}");
    String::from_utf8(ended.stdout).unwrap()
}

fn rows_after(stack: &Stack, what: &str, query: &'static str, more_than: i64) {
    until(what, PATIENCE, || {
        stack.data().join("brain.db").exists() && number(&stack.data(), query) > more_than
    });
}

#[test]
fn what_is_kept_is_told_and_exported_while_a_brain_writes() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let brain = stack.brain();
    let _agent = stack.agent();
    rows_after(&stack, "rows of the grid are durable", ROWS, 10);
    let data = stack.data().display().to_string();
    let config = stack.path().join("brain.toml").display().to_string();

    let query = |kind: &str, more: &[&str]| printed(&[&["query", kind, "--data-dir", &data], more].concat());
    let objects = |kind: &str, more: &[&str]| -> Vec<Value> {
        let text = query(kind, &[&["--format", "json"], more].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(objects("hosts", &[])[0]["host"], "web-1");
    let series = objects("series", &["--resource", "cpu", "--resolution", "10s"]);
    assert!(series.len() > 10 && series[0]["resolution"] == "10s", "{series:?}");
    assert!(series.iter().any(|row| row["cpu_share"].is_number()), "{series:?}");
    assert!(series[0].get("memory_share").is_none(), "of one resource");
    let incidents = objects("incidents", &["--since", "1h"]);
    assert!(
        incidents.iter().all(|incident| incident["host"] == "web-1"),
        "{incidents:?}"
    );
    until("a forecast is durable", 2 * PATIENCE, || {
        !objects("forecasts", &["--resource", "cpu"]).is_empty()
    });
    until("a command is durable", PATIENCE, || {
        !objects("commands", &[]).is_empty()
    });
    let table = printed(&["query", "commands", "--config", &config]);
    assert!(table.starts_with("host ") && table.contains("web-1"), "{table}");
    let csv = query("series", &["--format", "csv", "--limit", "5", "--resolution", "10s"]);
    assert!(
        csv.starts_with("host,resolution,time,coverage,cpu_share,cpu_share_max,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 6);

    let page =
        |path: &str| -> Value { serde_json::from_str(&get(stack.page, &format!("/api/v1/history/{path}"))).unwrap() };
    let told = page("series?host=web-1&resource=cpu&resolution=10s&limit=3");
    assert_eq!(
        (told["resolution"].as_str(), told["more"].as_bool()),
        (Some("10s"), Some(true))
    );
    assert_eq!(told["columns"]["cpu_share"].as_array().map(Vec::len), Some(3), "{told}");
    assert_eq!(page("hosts")["rows"][0]["host"], "web-1");
    for kind in ["forecasts", "commands"] {
        assert!(page(kind)["rows"][0].is_object(), "{kind}");
    }

    let folder = stack.path().join("exported");
    let out = folder.display().to_string();
    for format in ["csv", "csv.gz", "parquet"] {
        printed(&["export", "--data-dir", &data, "--format", format, "--output", &out]);
        assert!(folder.join(format!("web-1.{format}")).exists(), "{format}");
    }
    fs::remove_file(folder.join("web-1.csv.gz")).unwrap();
    let names: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "nothing half done: {names:?}");
    let mut lab = Process::foreshadow(&["lab", "--traces", &out, "--speed", "100000"]);
    assert!(lab.wait().success(), "{}", lab.printed());
    assert!(lab.printed().contains("1 hosts"), "{}", lab.printed());
    let few = [
        "--step",
        "1s",
        "--horizons",
        "2s",
        "--resources",
        "cpu",
        "--without-network",
        "--train-fraction",
        "0.3",
    ];
    // From the store as it is, and from the trace that was exported of it.
    for past in [["--from-store", &data], ["--traces", &out]] {
        let table = printed(&[&["backtest"][..], &past, &few].concat());
        assert!(
            table.contains("1 hosts") && table.contains("published"),
            "{past:?}: {table}"
        );
    }
    assert!(brain.stop().0.success(), "nobody has kept it waiting");
}

#[test]
fn what_cannot_be_told_is_said() {
    let stack = Stack::new();
    let broker = stack.broker();
    let brain = stack.brain();
    let data = stack.data().display().to_string();
    assert!(brain.stop().0.success());
    drop(broker);
    let out = stack.path().join("out").display().to_string();
    let export = ["export", "--format", "csv", "--output", &out];
    for (arguments, code, expected) in [
        (
            &["query", "events", "--data-dir", &data][..],
            0,
            "nothing is kept of what was asked for",
        ),
        (
            &["query", "series", "--data-dir", "/nowhere"],
            1,
            "/nowhere/brain.db: there is no such file",
        ),
        (
            &["query", "series", "--data-dir", &data, "--until", "2h"],
            64,
            "--since must be before --until",
        ),
        (&["query", "hosts"], 64, "--data-dir"),
        (
            &["query", "hosts", "--data-dir", &data, "--config", "x"],
            64,
            "cannot be used with",
        ),
        (
            &["query", "hosts", "--database", "postgres://a:b@c/d"],
            64,
            "must not have the password in it",
        ),
        (
            &["query", "events", "--data-dir", &data, "--resource", "cpu"],
            64,
            "--resource",
        ),
        (
            &["query", "series", "--data-dir", &data, "--since", "yesterday"],
            64,
            "no point in time",
        ),
        (
            &["query", "series", "--data-dir", &data, "--limit", "0"],
            64,
            "from 1 to 100000",
        ),
        (
            &[&export[..], &["--data-dir", &data]].concat(),
            1,
            "nothing is kept of what was asked for",
        ),
        (
            &["backup", "--data-dir", &data, "--output", &data],
            1,
            "is there already",
        ),
        (
            &[
                "backup",
                "--data-dir",
                "/nowhere",
                "--output",
                &out.replace("out", "copy"),
            ],
            1,
            "no such file",
        ),
    ] {
        let ended = run(arguments);
        let said = str::from_utf8(&ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert_eq!(str::from_utf8(&ended.stdout).unwrap(), "", "{arguments:?}");
    }
    let left: Vec<_> = fs::read_dir(&out).unwrap().collect();
    assert_eq!(left.len(), 0, "an export that fails leaves nothing");
    assert!(!stack.path().join("copy").exists());
}

/// Puts the copy in the place of the data folder.
fn restore(stack: &Stack, copy: &str) {
    fs::remove_dir_all(stack.data()).unwrap();
    fs::rename(copy, stack.data()).unwrap();
}

/// Restores as docs/store.md has it; a brain of the test's stands in for the one that systemd stops and starts.
fn restore_as_documented(stack: &Stack, brain: Process, copy: &str) -> Process {
    let mut brains = vec![brain];
    let blocks = docs::blocks_of("docs/store.md", "sh");
    let script = blocks
        .iter()
        .find(|block| block.starts_with("systemctl stop "))
        .unwrap();
    for line in script.lines() {
        match line {
            "systemctl stop foreshadow-brain" => assert!(brains.pop().unwrap().stop().0.success()),
            "systemctl start foreshadow-brain" => brains.push(stack.brain()),
            line => {
                let line = line.replace("data/brain", "data").replace("backups/2026-11-29", copy);
                docs::run_script(stack.path(), &line);
            }
        }
    }
    assert!(
        stack.path().join("data.broken/brain.db").exists(),
        "what was there is kept"
    );
    brains.pop().unwrap()
}

#[test]
fn a_restored_copy_goes_on_with_its_watermarks() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let brain = stack.brain();
    let _agent = stack.agent();
    rows_after(&stack, "frames are durable", FRAMES, 10);
    let data = stack.data().display().to_string();
    let copy = stack.path().join("copy").display().to_string();
    let older = stack.path().join("older").display().to_string();
    let backup = |to: &str| printed(&["backup", "--data-dir", &data, "--output", to]);
    backup(&older);
    rows_after(&stack, "the brain goes on beside the copy", FRAMES, 30);

    assert!(brain.stop().0.success());
    backup(&copy);
    let before = number(&stack.data(), FRAMES);
    restore(&stack, &copy);
    assert_eq!(
        number(&stack.data(), FRAMES),
        before,
        "all that was durable is in the copy"
    );
    let brain = stack.brain();
    rows_after(&stack, "the copy goes on", FRAMES, before + 20);
    until("what came meanwhile has come", PATIENCE, || {
        missing_frames(&stack.data()) == 0
    });
    assert_eq!(number(&stack.data(), HOLES), 0, "nothing was lost");

    // An older copy lacks what agents have let go of since: that is told as holes, and nobody waits for it.
    let before = number(Path::new(&older), FRAMES);
    let _brain = restore_as_documented(&stack, brain, &older);
    rows_after(&stack, "the older copy goes on", FRAMES, before + 20);
    until("what nobody has is declared", PATIENCE, || {
        let missing = missing_frames(&stack.data());
        missing > 0 && missing == number(&stack.data(), HOLES)
    });
}
