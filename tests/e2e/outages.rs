//! What is lost when a part dies: nothing that the agent still has, and nothing that is durable.

use crate::{
    database::{missing_frames, number},
    harness::{PATIENCE, Process, have, listens, until},
    observer::Observer,
    stack::Stack,
};

const FRAMES: &str = "SELECT count(*) FROM frames";
const LAST_FRAME: &str = "SELECT max(sequence) FROM frames";

fn frames_after(stack: &Stack, what: &str, more_than: i64) {
    until(what, PATIENCE, || {
        stack.data().join("brain.db").exists() && number(&stack.data(), FRAMES) > more_than
    });
}

#[test]
fn a_broker_that_dies_costs_no_frame() {
    let stack = Stack::new();
    let broker = stack.broker();
    let mut brain = stack.brain();
    let mut agent = stack.agent();
    frames_after(&stack, "frames are durable", 10);

    broker.kill();
    agent.expect_text("no connection to the broker");
    let before = number(&stack.data(), FRAMES);
    let broker = stack.broker();
    frames_after(&stack, "frames are durable again", before + 20);
    until("what the outage held up has come", PATIENCE, || {
        missing_frames(&stack.data()) == 0
    });

    assert!(brain.runs() && agent.runs());
    assert!(agent.stop().0.success());
    assert!(brain.stop().0.success());
    assert!(broker.stop().0.success());
    assert_eq!(missing_frames(&stack.data()), 0);
}

#[test]
fn a_brain_that_is_killed_goes_on_from_its_data() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let brain = stack.brain();
    let _agent = stack.agent();
    frames_after(&stack, "frames are durable", 10);

    brain.kill();
    let (count, last) = (number(&stack.data(), FRAMES), number(&stack.data(), LAST_FRAME));
    assert!(count > 10);

    let brain = stack.brain();
    frames_after(&stack, "the brain goes on", count + 20);
    until("what came while it was dead has come again", PATIENCE, || {
        missing_frames(&stack.data()) == 0
    });
    assert!(number(&stack.data(), LAST_FRAME) > last);
    let hosts = number(&stack.data(), "SELECT count(DISTINCT epoch) FROM frames");
    assert_eq!(hosts, 1, "the agent's epoch goes on");
    assert!(brain.stop().0.success());
}

/// What was cut before a kill comes across after it, from RAM and from disk.
#[test]
fn an_agent_that_is_killed_while_the_broker_is_away_loses_no_frame() {
    let stack = Stack::new();
    let broker = stack.broker();
    let _brain = stack.brain();
    let mut agent = stack.agent();
    frames_after(&stack, "frames are durable", 10);
    broker.kill();
    agent.expect_text("no connection to the broker");
    let disk = stack.path().join("state/spool/web-1.inband");
    let has_segment = || {
        let files = std::fs::read_dir(&disk).into_iter().flatten();
        files
            .flatten()
            .any(|file| file.path().extension().is_some_and(|ending| ending == "seg"))
    };
    until("frames that nobody takes go to disk", PATIENCE, has_segment);
    let before = number(&stack.data(), FRAMES);
    agent.kill();

    let mut agent = stack.agent();
    agent.expect_text("the spool has what the agent before did not get across");
    let _broker = stack.broker();
    frames_after(&stack, "the outage is in the store", before + 25);
    until("both epochs are whole", PATIENCE, || {
        let epochs = number(&stack.data(), "SELECT count(DISTINCT epoch) FROM frames");
        epochs == 2 && missing_frames(&stack.data()) == 0
    });
    until("the disk is free again", PATIENCE, || !has_segment());
    assert_eq!(
        number(&stack.data(), "SELECT count(*) FROM holes"),
        0,
        "nothing was lost"
    );
    assert!(agent.stop().0.success());
}

#[test]
fn an_agent_that_dies_is_told_offline() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let _brain = stack.brain();
    let observer = Observer::new(stack.port);
    let agent = stack.agent();
    let state = || {
        observer.expect_json("web-1/status/inband")["state"]
            .as_str()
            .map(str::to_owned)
    };
    until("the agent is online", PATIENCE, || state().as_deref() == Some("online"));
    agent.kill();
    until("its last will", PATIENCE, || state().as_deref() == Some("offline"));
    let viewed = || {
        observer.expect_json("web-1/view/status")["state"]
            .as_str()
            .map(str::to_owned)
    };
    until("the view follows", PATIENCE, || viewed().as_deref() == Some("offline"));
}

#[test]
fn mosquitto_serves_as_broker() {
    if !have("mosquitto") {
        return;
    }
    let stack = Stack::new();
    let start = || {
        let broker = Process::start("mosquitto", &["-p", &stack.port.to_string()]);
        until("mosquitto listens", PATIENCE, || listens(stack.port));
        broker
    };
    let broker = start();
    let _brain = stack.brain();
    let mut agent = stack.agent();
    frames_after(&stack, "frames are durable", 10);
    broker.kill();
    agent.expect_text("no connection to the broker");
    let before = number(&stack.data(), FRAMES);
    let _broker = start();
    frames_after(&stack, "frames are durable again", before + 20);
    until("what the outage held up has come", PATIENCE, || {
        missing_frames(&stack.data()) == 0
    });
}
