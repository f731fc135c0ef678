//! A policy is checked, a cell is frozen and thawed, a command explains itself, and savings are reported.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    database::number,
    harness::{PATIENCE, get, listens, post, until},
    stack::Stack,
};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let ended = run(arguments);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{arguments:?}: {said}");
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn a_policy_is_checked_with_all_its_faults_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let path = file.display().to_string();
    fs::write(
        &file,
        "[act]\n\"*\" = [\"gpu\"]\n[budget]\nhost_per_minute = 0\n[[window]]\nfrom = \"25:00\"\nuntil = \"04:00\"\n",
    )
    .unwrap();
    let refused = run(&["policy", "check", &path]);
    assert_eq!(refused.status.code(), Some(64));
    let said = String::from_utf8(refused.stderr).unwrap();
    for fault in ["act.*", "budget.host_per_minute", "window[0].from", "window[0].name"] {
        assert!(said.contains(fault), "{fault} is not in {said}");
    }
    assert!(refused.stdout.is_empty());
    fs::write(&file, printed(&["policy", "show"])).unwrap();
    let told = printed(&["policy", "check", &path]);
    assert!(
        told.starts_with("Recommend-only: no command changes anything.\n"),
        "{told}"
    );
    assert!(
        told.contains("\nClass critical: reserves p99 of the next 15m"),
        "{told}"
    );
    assert_eq!(told, printed(&["policy", "show", "--words"]));
    assert_eq!(run(&["policy", "check", "/nowhere"]).status.code(), Some(64));
}

#[test]
fn a_frozen_cell_gets_no_commands_and_a_command_explains_itself() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let brain = stack.brain();
    until("the page listens", PATIENCE, || listens(stack.page));
    let frozen = post(stack.page, "/api/v1/freeze", r#"{"by": "ann", "reason": "a test"}"#);
    assert_eq!(frozen["freeze"]["by"], "ann");
    let _agent = stack.agent();
    let planned = "SELECT count(*) FROM plans WHERE hosts > 0 AND mode = 'frozen'";
    until("what would be is planned", PATIENCE, || {
        number(&stack.data(), planned) > 3
    });
    assert_eq!(number(&stack.data(), "SELECT count(*) FROM commands"), 0);
    let fleet: Value = serde_json::from_str(&get(stack.page, "/api/v1/fleet")).unwrap();
    assert_eq!(
        (&fleet["mode"], &fleet["freeze"]["reason"]),
        (&"frozen".into(), &"a test".into())
    );

    assert_eq!(post(stack.page, "/api/v1/thaw", r#"{"by": "ann"}"#)["frozen"], false);
    let answered = "SELECT count(*) FROM v_commands WHERE state = 'dry_run'";
    until("a command is answered", PATIENCE, || {
        number(&stack.data(), answered) > 0
    });
    let data = stack.data().display().to_string();
    let commands = printed(&["query", "commands", "--data-dir", &data, "--format", "json"]);
    let command: Value = serde_json::from_str(commands.lines().next().unwrap()).unwrap();
    let id = command["command"]["id"].as_str().unwrap();
    let told = printed(&["explain", id, "--data-dir", &data]);
    for part in [
        "a recommendation: nothing is written",
        ": dry_run",
        "  calibration ",
        "  margin ",
        "  bound ",
        "  after ",
    ] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
    assert_eq!(
        run(&["explain", "1-nobody-1", "--data-dir", &data]).status.code(),
        Some(1)
    );
    let plans = printed(&["query", "plans", "--data-dir", &data]);
    assert!(plans.contains("frozen") && plans.contains("recommend-only"), "{plans}");

    // What was saved is stored every ten minutes, and at the end; some rows of the grid have to be over before.
    let more = "SELECT count(*) FROM plans WHERE mode = 'recommend-only'";
    until("it is held for a while", PATIENCE, || number(&stack.data(), more) > 4);
    assert!(brain.stop().0.success());
    let saved = || printed(&["report", "savings", "--data-dir", &data, "--json"]);
    until("savings are stored", PATIENCE, || !saved().is_empty());
    let row: Value = serde_json::from_str(saved().lines().next().unwrap()).unwrap();
    assert!(row["hours"].as_f64().is_some_and(|hours| hours > 0.0), "{row}");
    assert_eq!((&row["host"], &row["acted"]), (&"web-1".into(), &0.0.into()));
}
