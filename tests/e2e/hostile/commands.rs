//! What a broker makes of commands.

use std::collections::{BTreeMap, BTreeSet};

use shadow::{Command, Outcome, OutcomeState, wire};
use trust::{Identity, Kind};

use super::{
    audit, bare,
    broker::{Hostile, Message},
    rogue, scope, stranger,
};
use crate::{
    fleet::Fleet,
    harness::{PATIENCE, until},
};

/// How long a command holds past its time, for clocks that differ.
const TOLERANCE_MS: i64 = 30_000;

fn command(message: &Message) -> Command {
    wire::decode_command(&message.payload).unwrap()
}

fn outcomes(broker: &Hostile, host: &str) -> Vec<Outcome> {
    let all = broker.published(host, "outcome");
    all.iter()
        .map(|message| wire::decode_outcome(&message.payload).unwrap())
        .collect()
}

fn state(outcome: &Message) -> OutcomeState {
    wire::decode_outcome(&outcome.payload).unwrap().state
}

/// What `host` has carried out, by the command's id. That it was once each, and that the brain has said it to this host.
fn carried_out(broker: &Hostile, host: &str) -> BTreeMap<String, Outcome> {
    let said: BTreeSet<String> = broker
        .published(host, "command")
        .iter()
        .map(|message| command(message).id)
        .collect();
    let mut done: BTreeMap<String, Outcome> = BTreeMap::new();
    for outcome in outcomes(broker, host) {
        if !matches!(outcome.state, OutcomeState::Applied | OutcomeState::DryRun) {
            continue;
        }
        let id = &outcome.command_id;
        assert!(
            said.contains(id),
            "the brain has never said {id} to {host}: {outcome:?}"
        );
        let before = done.entry(id.clone()).or_insert_with(|| outcome.clone());
        assert_eq!(*before, outcome, "carried out twice");
    }
    done
}

fn answers(broker: &Hostile, host: &str, state: OutcomeState, reason: &str) -> usize {
    let all = outcomes(broker, host);
    all.iter()
        .filter(|outcome| outcome.state == state && outcome.reason.contains(reason))
        .count()
}

/// Everything that the broker makes of a command to web-1 before it hands it on.
fn forgeries(message: &Message, rogue: &Identity, stranger: &Identity, other: &Message) -> Vec<Message> {
    let of_command = scope(Kind::Command, "web-1");
    let plain = bare(Kind::Command, &message.payload);
    let with = |payload| Message {
        payload,
        ..message.clone()
    };
    let mut forged = vec![
        with(plain.clone()),
        with(rogue.seal(&of_command, plain.clone())),
        with(stranger.seal(&of_command, plain)),
        other.to("web-1"),
    ];
    forged.extend((0..message.payload.len()).step_by(37).map(|at| message.changed(at)));
    forged
}

#[test]
fn nothing_is_carried_out_that_the_brain_has_not_said_to_this_host_for_now() {
    let fleet = Fleet::new(&["web-1", "web-2", "web-3"]);
    let broker = Hostile::new(&fleet);
    let (rogue, stranger) = (rogue(&fleet.file("web-3", "identity.pem")), stranger(&fleet));
    // Whatever is said to web-2 is kept back, from the first on; and the brain hears nothing of what is obeyed or refused,
    // which could have it leave a host alone for a while.
    broker.does(|message| match (message.kind(), message.host()) {
        ("command", "web-2") => Vec::new(),
        ("outcome", _) if state(message) != OutcomeState::Distrusted => Vec::new(),
        _ => vec![message.clone()],
    });
    let agents = ["web-1", "web-2"].map(|host| fleet.agent(host));
    let mut brain = fleet.restless_brain(|| !carried_out(&broker, "web-1").is_empty());
    until("commands to web-2 are kept back", PATIENCE, || {
        !broker.published("web-2", "command").is_empty()
    });
    let kept_back = broker.published("web-2", "command").remove(0);

    // Forged, changed, redirected; then the true one, twice; then those before it. Each second one comes after the next.
    let mut before: Vec<Message> = Vec::new();
    let mut late: Option<Message> = None;
    let other = kept_back.clone();
    broker.does(move |message| match (message.kind(), message.host()) {
        ("command", "web-2") => Vec::new(),
        ("outcome", _) if state(message) != OutcomeState::Distrusted => Vec::new(),
        ("command", _) => {
            let mut handed_on = forgeries(message, &rogue, &stranger, &other);
            handed_on.push(message.to("web-2"));
            if before.len().is_multiple_of(2) && late.is_none() {
                late = Some(message.clone());
                return handed_on;
            }
            handed_on.extend([message.clone(), message.clone()]);
            handed_on.extend(late.take());
            handed_on.extend(before.iter().rev().take(8).cloned());
            before.push(message.clone());
            handed_on
        }
        _ => vec![message.clone()],
    });
    let done = carried_out(&broker, "web-1").len();
    until("web-1 obeys what is true among it", 3 * PATIENCE, || {
        carried_out(&broker, "web-1").len() > done + 1
    });
    until("and refuses what came out of its order", 3 * PATIENCE, || {
        answers(&broker, "web-1", OutcomeState::Distrusted, "is not after") > 0
    });
    for reason in [
        "it is not sealed",
        "none of the known authorities",
        "name foreshadow:role/brain",
    ] {
        until(reason, PATIENCE, || {
            answers(&broker, "web-1", OutcomeState::Distrusted, reason) > 0
        });
    }
    until("what is for web-1 is nothing to web-2", PATIENCE, || {
        answers(
            &broker,
            "web-2",
            OutcomeState::Distrusted,
            "its signature does not hold",
        ) > 0
    });
    until("the brain's audit log tells of it", PATIENCE, || {
        audit(&fleet).contains("distrusted")
    });

    // A true one as if it had been kept for who comes late; and after a restart everything that there ever was.
    broker.does(|message| match (message.kind(), message.host()) {
        ("command", _) => Vec::new(),
        ("outcome", _) if state(message) != OutcomeState::Distrusted => Vec::new(),
        _ => vec![message.clone()],
    });
    let said = broker.published("web-1", "command").len();
    until("another command is said", PATIENCE, || {
        broker.published("web-1", "command").len() > said
    });
    let newest = broker.published("web-1", "command").pop().unwrap();
    // Few are answered of many: said until one is.
    until("what is kept is not obeyed", PATIENCE, || {
        broker.says_as_kept(&newest);
        answers(&broker, "web-1", OutcomeState::Distrusted, "that the broker kept") > 0
    });
    let done = carried_out(&broker, "web-1");
    let [one, two] = agents;
    one.kill();
    let one = fleet.agent_again("web-1");
    let births = broker.published("web-1", "birth").len();
    until("web-1 is born again", PATIENCE, || {
        broker.published("web-1", "birth").len() > births
    });
    let refused = answers(&broker, "web-1", OutcomeState::Distrusted, "");
    let newest = done
        .values()
        .map(|outcome| &outcome.command_id)
        .collect::<BTreeSet<_>>();
    let replayed: Vec<Message> = broker.published("web-1", "command");
    let replayed: Vec<Message> = replayed
        .into_iter()
        .filter(|m| newest.contains(&command(m).id))
        .collect();
    replayed.iter().for_each(|message| broker.says(message));
    until("all that it has obeyed is refused after a restart", PATIENCE, || {
        answers(&broker, "web-1", OutcomeState::Distrusted, "") >= refused + replayed.len().min(5)
    });
    assert_eq!(carried_out(&broker, "web-1"), done, "nothing was done again");
    // One of them was by the brain before this one.
    assert!(answers(&broker, "web-1", OutcomeState::Distrusted, "is over") > 0);
    // Nothing false was said under seal of what was obeyed.
    assert_eq!(answers(&broker, "web-1", OutcomeState::Refused, "is not after"), 0);

    // Kept back until its time is over.
    assert!(
        carried_out(&broker, "web-2").is_empty(),
        "nothing was handed on to web-2"
    );
    let sent = command(&kept_back);
    let over_ms = sent.issued_ms + sent.ttl_ms as i64 + TOLERANCE_MS + 1_000;
    until("the time of the first command to web-2 is over", PATIENCE, || {
        runtime::Clock::system().now_ms() > over_ms
    });
    broker.says(&kept_back);
    until("what was kept back is refused", PATIENCE, || {
        answers(&broker, "web-2", OutcomeState::Refused, "s ago and holds 3 s") > 0
    });
    assert!(carried_out(&broker, "web-2").is_empty());
    broker.does(|message| vec![message.clone()]);
    until("an honest broker is obeyed again", PATIENCE, || {
        !carried_out(&broker, "web-2").is_empty() && carried_out(&broker, "web-1").len() > done.len()
    });
    assert!(brain.runs());
    drop((one, two));
}
