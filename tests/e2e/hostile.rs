//! A hostile broker between true agents and a true brain: it replays, reorders, changes, forges, redirects and keeps
//! back whatever it likes. Nothing is carried out that the brain has not said to that host for now, nothing forged is
//! kept, and all of it is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use shadow::{Command, EpochMark, Outcome, OutcomeState, Vantage, Watermark, wire};
use trust::{Identity, Kind, Pair, Scope};

use crate::{
    database::{missing_frames, texts},
    fleet::{Fleet, pki},
    harness::{PATIENCE, Process, until},
    hostile_broker::{Hostile, Message},
};

/// How long a command holds past its time, for clocks that differ.
const TOLERANCE_MS: i64 = 30_000;

/// Somebody who has this certificate, and so much that he likes to say.
fn rogue(pem: &str) -> Identity {
    Identity::load(&Pair {
        certificate: pem.into(),
        key: pem.into(),
    })
    .unwrap()
}

/// A brain of another authority than the fleet's.
fn stranger(fleet: &Fleet) -> Identity {
    let folder = fleet.stack.path().join("stranger");
    pki(&folder, &["init"]);
    pki(&folder, &["brain"]);
    rogue(folder.join("issued/_brain/identity.pem").to_str().unwrap())
}

fn scope(kind: Kind, host: &str) -> Scope<'_> {
    Scope {
        kind,
        cell: "main",
        host,
        vantage: Vantage::Inband,
    }
}

/// The message without its seal.
fn bare(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let seal = wire::split_seal(kind.as_str(), payload).unwrap().unwrap();
    // The certificate's field has a number of two bytes and a length of two.
    let field = seal.certificate.len() + 4;
    seal.signed[..seal.signed.len() - field].to_vec()
}

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

fn audit(fleet: &Fleet) -> String {
    fs::read_to_string(fleet.stack.data().join("audit.jsonl")).unwrap_or_default()
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
    let mut brain = fleet.restless_brain();
    until("web-1 obeys an honest broker", PATIENCE, || {
        !carried_out(&broker, "web-1").is_empty()
    });
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
            if before.len() % 2 == 0 && late.is_none() {
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
    until("web-1 obeys what is true among it", PATIENCE, || {
        carried_out(&broker, "web-1").len() > done + 4
    });
    until("and refuses what came out of its order", PATIENCE, || {
        answers(&broker, "web-1", OutcomeState::Refused, "is not after") > 0
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
    let refused = answers(&broker, "web-1", OutcomeState::Refused, "");
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
        answers(&broker, "web-1", OutcomeState::Refused, "") >= refused + replayed.len()
    });
    assert_eq!(carried_out(&broker, "web-1"), done, "nothing was done again");
    // One of them was by the brain before this one.
    assert!(answers(&broker, "web-1", OutcomeState::Refused, "is over") > 0);

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

/// What the brain has made durable, each with what makes it what it is.
fn durable(fleet: &Fleet) -> BTreeMap<&'static str, BTreeSet<String>> {
    let select = |query| texts(&fleet.stack.data(), query).into_iter().collect();
    BTreeMap::from([
        ("birth", select("SELECT host || ' ' || epoch FROM births")),
        ("outcome", select("SELECT command_id || ' ' || state FROM outcomes")),
    ])
}

/// The same, of what agents have truly said.
fn told(broker: &Hostile, hosts: &[&str]) -> BTreeMap<&'static str, BTreeSet<String>> {
    let of = |kind: &str, line: &dyn Fn(&Message) -> String| {
        let all = hosts.iter().flat_map(|host| broker.published(host, kind));
        all.map(|message| line(&message)).collect()
    };
    BTreeMap::from([
        (
            "birth",
            of("birth", &|message| {
                format!(
                    "{} {}",
                    message.host(),
                    wire::decode_birth(&message.payload).unwrap().epoch
                )
            }),
        ),
        (
            "outcome",
            of("outcome", &|message| {
                let outcome = wire::decode_outcome(&message.payload).unwrap();
                format!("{} {}", outcome.command_id, outcome.state.as_str())
            }),
        ),
    ])
}

#[test]
fn nothing_forged_is_kept_and_nothing_true_is_lost() {
    let hosts = ["web-1", "web-2"];
    let fleet = Fleet::new(&["web-1", "web-2", "web-3"]);
    let broker = Hostile::new(&fleet);
    let [one, two] = hosts.map(|host| fleet.agent(host));
    let mut brain = fleet.restless_brain();
    fleet.durable("outcomes", "SELECT count(*) FROM outcomes", 0);
    // A second life of web-1: its first birth is an old one.
    one.kill();
    let one = fleet.agent_again("web-1");
    until("web-1 is born again", PATIENCE, || {
        durable(&fleet)["birth"]
            .iter()
            .filter(|line| line.starts_with("web-1"))
            .count()
            > 1
    });

    let (rogue, stranger) = (rogue(&fleet.file("web-3", "identity.pem")), stranger(&fleet));
    let sealed = |by: &Identity, kind, host: &str, message: Vec<u8>| by.seal(&scope(kind, host), message);
    let old = broker.published("web-1", "birth").remove(0);
    let mut said = 0;
    broker.does(move |message| {
        said += 1;
        let kind = match message.kind() {
            "birth" => Kind::Birth,
            "outcome" => Kind::Outcome,
            _ => return vec![message.clone()],
        };
        let plain = bare(kind, &message.payload);
        let with = |payload| Message {
            payload,
            ..message.clone()
        };
        let mut forged = vec![
            with(plain.clone()),
            with(sealed(&rogue, kind, message.host(), plain.clone())),
            with(sealed(&stranger, kind, message.host(), plain.clone())),
            message.to("web-2"),
            message.to("web-1"),
            message.to("ghost"),
            Message::new("foreshadow/main/web-3/bin/inband/birth", plain),
            message.changed(said * 31),
            message.changed(said * 57),
            old.clone(),
        ];
        // What is true among it comes as well, twice.
        forged.extend([message.clone(), message.clone()]);
        forged
    });
    let outcomes = fleet.count("SELECT count(*) FROM outcomes");
    // A reservation is left alone for a minute after its lever could not do as asked.
    until("an outcome among forged ones", 3 * PATIENCE, || {
        fleet.count("SELECT count(*) FROM outcomes") > outcomes
    });
    until("a forged one is told", PATIENCE, || {
        audit(&fleet).contains("\"what\":\"seal\"")
    });

    // Frames are kept back while watermarks are forged that cover them: agents forget none.
    broker.does(|message| match (message.kind(), message.host()) {
        ("delta" | "event" | "watermark", "web-1") => Vec::new(),
        _ => vec![message.clone()],
    });
    let frames = || broker.published("web-1", "delta").len();
    let (before, newest) = (
        frames(),
        wire::decode_frame(&*broker.published("web-1", "delta").pop().unwrap().payload),
    );
    until("frames are kept back", PATIENCE, || frames() > before + 10);
    let all = wire::encode_watermark(&Watermark {
        epochs: vec![EpochMark {
            epoch: newest.unwrap().epoch,
            durable_below: 1 << 40,
            ..EpochMark::default()
        }],
    });
    let rogue = self::rogue(&fleet.file("web-3", "identity.pem"));
    let topic = "foreshadow/main/web-1/bin/inband/watermark";
    let of_two = broker.published("web-2", "watermark").pop().unwrap();
    for forged in [
        Message::new(topic, all.clone()),
        Message::new(topic, rogue.seal(&scope(Kind::Watermark, "web-1"), all)),
        of_two.to("web-1"),
        broker.published("web-1", "watermark").pop().unwrap().changed(3),
    ] {
        broker.says(&forged);
    }
    one.wait_for_text("message refused");
    broker.does(|message| vec![message.clone()]);
    until("what was kept back is sent again", PATIENCE, || {
        let [durable, told] = [
            fleet.count("SELECT count(*) FROM frames WHERE host = 'web-1'"),
            before as i64,
        ];
        durable > told && missing_frames(&fleet.stack.data()) == 0
    });

    for agent in [one, two] {
        assert!(agent.stop().0.success());
    }
    assert!(brain.runs());
    assert!(brain.stop().0.success());
    let told = told(&broker, &hosts);
    for (kind, durable) in durable(&fleet) {
        let forged: Vec<&String> = durable.difference(&told[kind]).collect();
        assert!(forged.is_empty(), "no agent has said this {kind}: {forged:?}");
    }
    assert_eq!(missing_frames(&fleet.stack.data()), 0);
    let audit = fleet.stack.data().join("audit.jsonl");
    let mut verify = Process::foreshadow(&["audit", "verify", audit.to_str().unwrap()]);
    assert!(verify.wait().success(), "{}", verify.printed());
}
