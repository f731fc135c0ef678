//! Authority, brain and agents change their keys, and an agent is revoked, while the loop goes on.

use crate::{
    fleet::Fleet,
    harness::{PATIENCE, Process, listens, until},
};

const OF_1: &str = "SELECT count(*) FROM frames WHERE host = 'web-1'";
const OF_2: &str = "SELECT count(*) FROM frames WHERE host = 'web-2'";

/// Lets the broker read its files anew.
fn reload(broker: &Process) {
    let times = || broker.printed().matches("files are read anew").count();
    let before = times();
    broker.signal("-HUP");
    until("the broker reads its files", PATIENCE, || times() > before);
}

/// Another broker in the place of `broker`, so that every connection is made anew.
fn restarted(fleet: &Fleet, broker: Process) -> Process {
    assert!(broker.stop().0.success());
    until("the port is free", PATIENCE, || !listens(fleet.stack.port));
    fleet.broker()
}

#[test]
fn keys_rotate_and_an_agent_is_revoked_while_the_loop_goes_on() {
    let fleet = Fleet::new(&["web-1", "web-2"]);
    let mut broker = fleet.broker();
    let mut brain = fleet.brain();
    let agents = ["web-1", "web-2"].map(|host| fleet.agent(host));
    // Frames are taken in only with a birth that is believed, and a watermark that is not would be told as refused.
    let round = |what: &str| {
        let (one, two) = (fleet.count(OF_1), fleet.count(OF_2));
        fleet.durable(&format!("web-1: {what}"), OF_1, one + 10);
        fleet.durable(&format!("web-2: {what}"), OF_2, two + 10);
    };
    round("frames before");
    fleet.durable("a command and its outcome go round", "SELECT count(*) FROM outcomes", 0);

    // A second authority is believed, then the parts are given certificates of it: the brain and one agent.
    fleet.pki(&["rotate"]);
    brain.wait_for_text("certificates renewed");
    agents
        .iter()
        .for_each(|agent| agent.wait_for_text("certificates renewed"));
    reload(&broker);
    round("with two authorities");
    let renewed = brain.printed().matches("certificates renewed").count();
    fleet.pki(&["renew", "brain", "web-1", "broker"]);
    until("the brain takes its certificate", PATIENCE, || {
        brain.printed().matches("certificates renewed").count() > renewed
    });
    // The brain seals by the new authority, and web-2 answers by the old one.
    round("with certificates of both");
    broker = restarted(&fleet, broker);
    round("and with new connections");

    assert!(!brain.printed().contains("message refused"), "{}", brain.printed());
    for agent in &agents {
        assert!(!agent.printed().contains("message refused"), "{}", agent.printed());
    }

    // A revoked agent: first its seals are refused, with a broker that does not know it yet, then its connection.
    let renewed = brain.printed().matches("certificates renewed").count();
    fleet.pki(&["revoke", "web-2"]);
    until("the brain takes the list", PATIENCE, || {
        brain.printed().matches("certificates renewed").count() > renewed
    });
    let [one, two] = agents;
    assert!(two.stop().0.success());
    let mut agents = [one, fleet.agent_again("web-2")];
    brain.wait_for_text("it has been revoked");
    reload(&broker);
    // It is sent away, or turned away at the door if the list was read first.
    broker.wait_for_text("invalid peer certificate: Revoked");
    let after = fleet.count(OF_2);
    let one = fleet.count(OF_1);
    fleet.durable("web-1 goes on", OF_1, one + 10);

    // The old authority ends.
    fleet.pki(&["rotate", "--finish"]);
    reload(&broker);
    let one = fleet.count(OF_1);
    fleet.durable("web-1 goes on by the new authority alone", OF_1, one + 10);
    assert_eq!(fleet.count(OF_2), after, "nothing of a revoked agent is taken");
    assert!(
        brain.runs() && agents.iter_mut().all(Process::runs),
        "nobody was restarted"
    );

    let [one, _two] = agents;
    assert!(one.stop().0.success());
    assert!(brain.stop().0.success());
    assert!(broker.stop().0.success());
    let audit = fleet.stack.data().join("audit.jsonl");
    let text = std::fs::read_to_string(&audit).unwrap();
    for part in [
        "\"kind\":\"command\"",
        "\"kind\":\"outcome\"",
        "\"kind\":\"refusal\"",
        "it has been revoked",
        "\"kind\":\"key\",\"what\":\"renewed\",\"who\":\"brain\"",
    ] {
        assert!(text.contains(part), "{part} is not in the brain's audit log");
    }
    let mut verify = Process::foreshadow(&["audit", "verify", audit.to_str().unwrap()]);
    assert!(verify.wait().success(), "{}", verify.printed());
    std::fs::write(&audit, text.replacen("\"kind\":\"outcome\"", "\"kind\":\"command\"", 1)).unwrap();
    let mut verify = Process::foreshadow(&["audit", "verify", audit.to_str().unwrap()]);
    assert!(!verify.wait().success());
    verify.wait_for_text("the chain is broken at");
}
