//! A change that waits for somebody's word, in real processes: nothing comes of it until it is approved, a restart included,
//! and then the host has what was shown; nor of an approval that is not noted first.

mod stage;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use shadow::Change;

use crate::{
    database::{Held, number, texts},
    docs,
    harness::{PATIENCE, Process, have, until},
};

use stage::BEFORE;
pub(crate) use stage::{Cell, Stage};

#[test]
fn a_word_comes_to_nothing_unless_it_is_noted_first() {
    let mut stage = Stage::new();
    let brain = stage.cell.start();
    let database = PathBuf::from(&stage.cell.data);
    let open = |cell: &Cell| {
        let first = cell.proposals(false).into_iter().next()?;
        first["id"].as_str().map(str::to_owned)
    };
    until("something is proposed", PATIENCE, || open(&stage.cell).is_some());
    let is_approved = |cell: &Cell| cell.proposals(true).iter().any(|known| known["fate"] == "approved");

    // A store that takes nothing: whoever approves is told that nothing came of it, and the next one at once.
    let held = Held::new(&database);
    let refused = |cell: &Cell, why: &str| {
        until(why, 3 * PATIENCE, || {
            let Some(id) = open(cell) else { return false };
            let told = cell.ask(&["approve", &id, "--by", "ann"]);
            assert_eq!(told.status.code(), Some(1), "{told:?}");
            String::from_utf8_lossy(&told.stderr).contains(why)
        });
    };
    refused(
        &stage.cell,
        "the store has not noted it within 8 s: nothing was changed",
    );
    refused(&stage.cell, "the store takes nothing at the moment");
    assert!(!is_approved(&stage.cell));
    held.let_go();
    until("that it was never sent is noted", PATIENCE, || {
        let reasons = texts(&database, "SELECT reason FROM outcomes");
        reasons.iter().any(|reason| reason.starts_with("never sent: "))
    });
    assert_eq!((stage.told(), stage.limit().as_str()), (Vec::new(), BEFORE));

    // The brain is killed between somebody's word and the store.
    let held = Held::new(&database);
    until("a word waits for the store", 3 * PATIENCE, || {
        let Some(id) = open(&stage.cell) else { return false };
        let place = ["approve", &id, "--by", "ann", "--page", &stage.cell.page];
        let mut asked = Process::foreshadow(&place);
        // It may have lapsed; then it is the next one's turn.
        until("it waits, or it is answered", PATIENCE, || {
            is_approved(&stage.cell) || !asked.runs()
        });
        asked.runs() && is_approved(&stage.cell)
    });
    brain.kill();
    held.let_go();
    let _brain = stage.cell.start();
    until("the brain that follows answers", PATIENCE, || {
        !stage.cell.proposals(true).is_empty()
    });
    assert!(!is_approved(&stage.cell));
    assert_eq!((stage.told(), stage.limit().as_str()), (Vec::new(), BEFORE));

    // With both there, it is made.
    let approved = stage.cell.decide("approve", &["--by", "ann"]);
    let mut commands = Vec::new();
    until("it is commanded", PATIENCE, || {
        commands.extend(stage.told());
        !commands.is_empty()
    });
    assert_eq!(approved["command_id"], commands[0].id.as_str());
    let known = texts(&database, "SELECT id FROM commands");
    assert!(
        known.contains(&commands[0].id),
        "{} is not in {known:?}",
        commands[0].id
    );
}

#[test]
fn a_proposal_does_nothing_until_it_is_approved_and_then_the_host_has_it() {
    let mut stage = Stage::new();
    let brain = stage.cell.start();

    // It is proposed, round after round, and nothing comes of it.
    until("something is proposed", PATIENCE, || {
        !stage.cell.proposals(false).is_empty()
    });
    let database = PathBuf::from(&stage.cell.data);
    let rounds = || number(&database, "SELECT count(*) FROM plans");
    let first = rounds();
    until("plans are made", PATIENCE, || rounds() > first + 3);
    assert_eq!((stage.told(), stage.limit().as_str()), (Vec::new(), BEFORE));

    // Whoever looks at the cell in a terminal is told of it; at a host too, where it may have lapsed by then.
    let drawn = |more: &[&str]| String::from_utf8(stage.cell.ask(&[&["top", "--once"], more].concat()).stdout).unwrap();
    until("the fleet tells that one waits", PATIENCE, || {
        drawn(&[]).contains("1 proposal waits: foreshadow proposals · ")
    });
    until("the host tells which", PATIENCE, || {
        let seen = drawn(&["--host", "web-1"]);
        let mut lines = seen.lines();
        lines.any(|line| line.starts_with("proposal ") && line.contains(": memory of host from "))
    });

    let mut plans = 0;
    until("whoever watches MQTT sees that one waits", PATIENCE, || {
        let newest = stage.observer.newer("_brain/view/plan", &mut plans).pop();
        let told: Value = serde_json::from_slice(&newest.unwrap_or_default()).unwrap_or_default();
        told["proposals"].as_u64() >= Some(1)
    });

    // A restart keeps it.
    let id = stage.cell.proposals(false)[0]["id"].as_str().unwrap().to_owned();
    until("it is durable", PATIENCE, || {
        stage.cell.explained(&id).contains(", proposed ")
    });
    assert!(brain.stop().0.success());
    let _brain = stage.cell.start();
    until("the brain that follows knows it", PATIENCE, || {
        stage.cell.known(&id).is_some()
    });
    assert_eq!(stage.told(), []);

    // Somebody says yes, and the host has exactly what was shown.
    let approved = stage.cell.decide("approve", &["--by", "ann"]);
    let change: Change = serde_json::from_value(approved["change"].clone()).unwrap();
    let id = approved["id"].as_str().unwrap();
    let mut commands = Vec::new();
    until("it is commanded", PATIENCE, || {
        commands.extend(stage.told());
        !commands.is_empty()
    });
    assert_eq!(approved["command_id"], commands[0].id.as_str());
    let [made] = commands[0].changes.as_slice() else {
        panic!("{:?}", commands[0])
    };
    // A number that went through JSON may have lost its last digit.
    assert!(
        (made.target / change.target - 1.0).abs() < 1e-12,
        "{made:?} is not {change:?}"
    );
    let told = |change: &Change| {
        (
            change.workload.clone(),
            change.resource,
            change.explanation.text.clone(),
        )
    };
    assert_eq!(told(made), told(&change));
    until("the agent has answered", PATIENCE, || {
        stage
            .cell
            .known(id)
            .is_some_and(|known| known["outcome"]["state"] == "applied")
    });
    let written: f64 = stage.limit().trim().parse().unwrap();
    let target = commands[0].changes[0].target;
    assert!(
        (written / target - 1.0).abs() < 1e-3,
        "{written} stands there, {target} was approved"
    );
    until("it explains itself", PATIENCE, || {
        stage.cell.explained(id).contains(": applied")
    });
    let told = stage.cell.explained(id);
    for part in [
        "approved by ann, ",
        "to be carried out",
        "  forecast ",
        "  written     applied: exec.shape",
    ] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
    assert_eq!(stage.cell.explained(&commands[0].id), told, "by either name");
    let again = stage.cell.ask(&["approve", id, "--by", "bob"]);
    assert!(String::from_utf8_lossy(&again.stdout).starts_with("approved by ann: it is the command "));
    // As docs/allocation.md has it.
    if have("curl") {
        let blocks = docs::blocks_of("docs/allocation.md", "sh");
        let mut lines = blocks.iter().flat_map(|block| block.lines());
        let line = lines.find(|line| line.starts_with("curl") && line.contains("/proposals/ID/approve"));
        let line = line.unwrap().replace("/ID/", &format!("/{id}/"));
        let line = line.replace("127.0.0.1:8420", &stage.cell.page);
        let told: Value = serde_json::from_str(&docs::run_script(Path::new("."), &line)).unwrap();
        assert_eq!(
            [&told["id"], &told["by"], &told["fate"]],
            [id, "ann", "approved"],
            "{told}"
        );
    }

    // Somebody says no to the next one.
    let declined = stage
        .cell
        .decide("decline", &["--by", "bob", "--reason", "not before the release"]);
    let id = declined["id"].as_str().unwrap();
    until("it is durable", PATIENCE, || {
        stage
            .cell
            .explained(id)
            .contains("declined by bob: not before the release")
    });
    // Whose word it was stands in the audit log, with what it was on.
    let lines = || fs::read_to_string(database.join("audit.jsonl")).unwrap();
    let stands = |what: &str, by: &str, id: &str| {
        let of_it = |line: &&str| {
            [what, by, id, &*change.workload]
                .iter()
                .all(|part| line.contains(&format!("\"{part}\"")))
        };
        lines().lines().filter(of_it).count() == 1
    };
    let yes = approved["id"].as_str().unwrap();
    until("both words stand in the audit log", PATIENCE, || {
        stands("approved", "ann", yes) && stands("declined", "bob", id)
    });

    // And in the history, for whoever asks later.
    let kept = stage.cell.run(
        &["query", "proposals", "--format", "json"],
        &["--data-dir", &stage.cell.data],
    );
    let kept: Vec<Value> = String::from_utf8(kept.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let found = |id: &str| {
        kept.iter()
            .find(|known| known["id"] == id)
            .unwrap_or_else(|| panic!("{id}: {kept:?}"))
    };
    let (of_ann, of_bob) = (found(yes), found(id));
    assert_eq!(
        [&of_ann["fate"], &of_ann["by"], &of_ann["outcome"]["state"]],
        ["approved", "ann", "applied"]
    );
    assert_eq!(
        [&of_bob["fate"], &of_bob["by"], &of_bob["reason"]],
        ["declined", "bob", "not before the release"]
    );

    let refused = stage.cell.ask(&["approve", id, "--by", "ann"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said.contains("it was declined by bob: not before the release"),
        "{said}"
    );
    let unknown = stage.cell.ask(&["decline", "7-nobody-p1", "--by", "ann"]);
    assert_eq!(unknown.status.code(), Some(1));
    let text = String::from_utf8(stage.cell.ask(&["proposals", "--all"]).stdout).unwrap();
    assert!(
        text.starts_with("ID ") && text.contains("approved by ann: applied"),
        "{text}"
    );
}
