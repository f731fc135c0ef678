//! What a broker makes of births, frames, events, holes, outcomes and watermarks.

use std::collections::{BTreeMap, BTreeSet};

use shadow::{EpochMark, Hole, Watermark, wire};
use trust::{Identity, Kind};

use super::{
    audit, bare,
    broker::{Hostile, Message},
    rogue, scope, stranger,
};
use crate::{
    database::texts,
    fleet::Fleet,
    harness::{PATIENCE, Process, until},
};

/// What an agent says under seal or signature.
fn kind(message: &Message) -> Option<Kind> {
    Some(match message.kind() {
        "birth" => Kind::Birth,
        "outcome" => Kind::Outcome,
        "delta" => Kind::Delta,
        "event" => Kind::Event,
        _ => return None,
    })
}

/// That all of the next hour is lost.
fn hole(host: &str, by: Option<&Identity>) -> Message {
    let now = u64::try_from(runtime::Clock::system().now_ms()).unwrap();
    let hole = wire::encode_hole(&Hole {
        epoch: now * 1_000,
        first: 0,
        end: 3_600,
    });
    let topic = format!("foreshadow/main/{host}/bin/inband/hole");
    Message::new(
        &topic,
        by.map_or(hole.clone(), |by| by.sign(&scope(Kind::Hole, host), hole)),
    )
}

/// What the brain has made durable, each with what makes it what it is.
fn durable(fleet: &Fleet) -> BTreeMap<&'static str, BTreeSet<String>> {
    let select = |query| texts(&fleet.stack.data(), query).into_iter().collect();
    BTreeMap::from([
        ("birth", select("SELECT host || ' ' || epoch FROM births")),
        ("outcome", select("SELECT command_id || ' ' || state FROM outcomes")),
        (
            "delta",
            select("SELECT host || ' ' || epoch || ' ' || sequence || ' ' || hex(body) FROM frames"),
        ),
        (
            "event",
            // The brain tells one of its own, about clocks.
            select("SELECT host || ' ' || epoch || ' ' || sequence || ' ' || text FROM events WHERE source <> 'brain'"),
        ),
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
        (
            "delta",
            of("delta", &|message| {
                let frame = wire::decode_frame(&*message.payload).unwrap();
                let body: String = frame.body.iter().map(|byte| format!("{byte:02X}")).collect();
                format!("{} {} {} {body}", message.host(), frame.epoch, frame.sequence)
            }),
        ),
        (
            "event",
            of("event", &|message| {
                let event = wire::decode_event(&message.payload).unwrap();
                let text = event.finding.text;
                format!("{} {} {} {text}", message.host(), event.epoch, event.sequence)
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
    let mut brain = fleet.restless_brain(|| fleet.count("SELECT count(*) FROM outcomes") > 0);
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
    let old = broker.published("web-1", "birth").remove(0);
    let mut said = 0;
    broker.does(move |message| {
        said += 1;
        let Some(kind) = kind(message) else {
            return vec![message.clone()];
        };
        let host = message.host();
        let plain = bare(kind, &message.payload);
        let with = |payload| Message {
            payload,
            ..message.clone()
        };
        let mut forged = vec![
            with(plain.clone()),
            with(rogue.seal(&scope(kind, host), plain.clone())),
            with(rogue.sign(&scope(kind, host), plain.clone())),
            with(stranger.seal(&scope(kind, host), plain.clone())),
            with(stranger.sign(&scope(kind, host), plain.clone())),
            message.to("web-2"),
            message.to("web-1"),
            message.to("web-3"),
            message.to("ghost"),
            message.changed(said * 31),
            message.changed(said * 57),
            old.clone(),
            hole(host, None),
            hole(host, Some(&rogue)),
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
    let before = frames();
    let newest = broker.published("web-1", "delta").pop().unwrap();
    let newest = wire::decode_frame(&*newest.payload).unwrap();
    until("frames are kept back", PATIENCE, || frames() > before + 10);
    let all = wire::encode_watermark(&Watermark {
        epochs: vec![EpochMark {
            epoch: newest.epoch,
            durable_below: 1 << 40,
            ..EpochMark::default()
        }],
    });
    let rogue = super::rogue(&fleet.file("web-3", "identity.pem"));
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
    // What was said of this life; of the one before, some went with its process.
    let mut said = told(&broker, &hosts);
    let life = format!("web-1 {} ", newest.epoch);
    for kind in ["delta", "event"] {
        said.get_mut(kind).unwrap().retain(|line| line.starts_with(&life));
    }
    let missing = || {
        let durable = durable(&fleet);
        let missing = |kind| said[kind].difference(&durable[kind]).cloned().collect::<Vec<_>>();
        [missing("delta"), missing("event")].concat()
    };
    let start = std::time::Instant::now();
    while !missing().is_empty() {
        assert!(
            start.elapsed() < PATIENCE,
            "kept back and not sent again: {:?}",
            missing()
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }

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
    assert_eq!(fleet.count("SELECT count(*) FROM holes"), 0);
    let audit = fleet.stack.data().join("audit.jsonl");
    let mut verify = Process::foreshadow(&["audit", "verify", audit.to_str().unwrap()]);
    assert!(verify.wait().success(), "{}", verify.printed());
}
