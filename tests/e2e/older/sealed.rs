//! What 0.1.0 has sent under seal and signature, events and holes too, still counts.

use std::{collections::BTreeMap, fs, path::PathBuf};

use shadow::{
    Event, Finding, Hole, Severity, Vantage,
    capture::{Captured, Reader},
    wire,
};
use trust::{Authorities, Config, Identity, Kind, Pair, Scope, SealError};

use super::with_field;
use crate::{
    fleet::Fleet,
    harness::{PATIENCE, until},
    hostile::broker::Hostile,
};

const KINDS: [Kind; 7] = [
    Kind::Birth,
    Kind::Delta,
    Kind::Event,
    Kind::Hole,
    Kind::Outcome,
    Kind::Command,
    Kind::Watermark,
];

/// How many of a kind are kept.
const EACH: usize = 3;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/wire")
        .join(name)
}

fn scope(kind: Kind) -> Scope<'static> {
    Scope {
        kind,
        cell: "main",
        host: "web-1",
        vantage: Vantage::Inband,
    }
}

fn topic(kind: Kind) -> String {
    format!("foreshadow/main/web-1/bin/inband/{}", kind.as_str())
}

/// An event and a hole, signed as an agent signs them: it tells neither while nothing happens to it.
fn told_seldom(fleet: &Fleet, birth: &[u8], now_ms: i64) -> Vec<(Kind, Vec<u8>)> {
    let pem = fleet.file("web-1", "identity.pem");
    let agent = Identity::load(&Pair {
        certificate: pem.clone().into(),
        key: pem.into(),
    });
    let agent = agent.unwrap();
    let epoch = wire::decode_birth(birth).unwrap().epoch;
    let text = |text: &str| text.to_owned();
    let event = Event {
        epoch,
        sequence: 900,
        time_ms: now_ms,
        finding: Finding {
            source: text("pci"),
            subject: text("0000:01:00.0"),
            kind: text("link_degraded"),
            severity: Severity::Warning,
            text: text("the link is narrower than it may be"),
            details: vec![(text("width"), text("8")), (text("width_max"), text("16"))],
        },
    };
    let hole = Hole {
        epoch,
        first: 901,
        end: 905,
    };
    let sign = |kind, bytes| (kind, agent.sign(&scope(kind), bytes));
    vec![
        sign(Kind::Event, wire::encode_event(&event)),
        sign(Kind::Hole, wire::encode_hole(&hole)),
    ]
}

#[test]
fn a_sealed_recording_is_there() {
    let (recording, ca) = (file("0.1.0-sealed.capture"), file("0.1.0-sealed.ca.pem"));
    if std::env::var_os("REGENERATE").is_none() || recording.exists() {
        assert!(recording.exists() && ca.exists());
        return;
    }
    let fleet = Fleet::new(&["web-1"]);
    let broker = Hostile::new(&fleet);
    let (_brain, _agent) = (fleet.brain(), fleet.agent("web-1"));
    until("an outcome is durable", PATIENCE, || {
        fleet.count("SELECT count(*) FROM outcomes") > 0
    });
    let now_ms = runtime::Clock::system().now_ms();
    let mut all = Vec::new();
    for kind in KINDS {
        let published = broker.published("web-1", kind.as_str()).into_iter().take(EACH);
        all.extend(published.map(|message| (kind, message.payload)));
    }
    let birth = all[0].1.clone();
    all.extend(told_seldom(&fleet, &birth, now_ms));
    let mut bytes = Vec::new();
    shadow::capture::begin(&mut bytes).unwrap();
    for (kind, payload) in all {
        let captured = Captured {
            time_ms: now_ms,
            retained: false,
            topic: topic(kind),
            payload: payload.into(),
        };
        captured.write(&mut bytes).unwrap();
    }
    fs::write(recording, bytes).unwrap();
    fs::copy(fleet.file("web-1", "ca.pem"), ca).unwrap();
}

/// When it was recorded, and what of each kind.
fn recorded() -> (i64, BTreeMap<Kind, Vec<Vec<u8>>>) {
    let open = fs::File::open(file("0.1.0-sealed.capture")).unwrap();
    let mut all: BTreeMap<Kind, Vec<Vec<u8>>> = BTreeMap::new();
    let mut time_ms = 0;
    for message in Reader::new(std::io::BufReader::new(open)).unwrap().map(Result::unwrap) {
        let kind = KINDS.into_iter().find(|kind| topic(*kind) == message.topic);
        all.entry(kind.unwrap()).or_default().push(message.payload.to_vec());
        time_ms = message.time_ms;
    }
    (time_ms, all)
}

fn is_read(kind: Kind, bytes: &[u8]) -> bool {
    match kind {
        Kind::Birth => wire::decode_birth(bytes).is_ok(),
        Kind::Delta => wire::decode_frame(bytes).is_ok(),
        Kind::Event => wire::decode_event(bytes).is_ok(),
        Kind::Hole => wire::decode_hole(bytes).is_ok(),
        Kind::Outcome => wire::decode_outcome(bytes).is_ok(),
        Kind::Command => wire::decode_command(bytes).is_ok(),
        Kind::Watermark => wire::decode_watermark(bytes).is_ok(),
    }
}

#[test]
fn today_believes_and_reads_what_the_version_before_has_sealed_and_signed() {
    let config = Config {
        ca: file("0.1.0-sealed.ca.pem"),
        crl: None,
        identities: Vec::new(),
        sign_frames: true,
    };
    let authorities = Authorities::load(&config).unwrap();
    // By the clock of then: certificates end.
    let (then_ms, all) = recorded();
    assert_eq!(all.len(), KINDS.len(), "some of each kind");
    let signer = authorities
        .signer(&scope(Kind::Birth), &all[&Kind::Birth][0], then_ms)
        .unwrap();
    for (kind, messages) in all {
        let check = |kind: Kind, payload: &[u8]| match kind {
            Kind::Delta | Kind::Event | Kind::Hole => signer.check(&scope(kind), payload, then_ms),
            _ => authorities.check(&scope(kind), payload, then_ms),
        };
        for payload in messages {
            assert_eq!(check(kind, &payload), Ok(()), "{kind:?} of 0.1.0");
            assert!(is_read(kind, &payload), "{kind:?} of 0.1.0");
            // A newer version signs what it adds, and today reads over it; added by another, nothing counts.
            let wide = with_field(&payload, 1_000);
            assert!(is_read(kind, &wide), "{kind:?} of a newer version");
            assert_ne!(check(kind, &wide), Ok(()), "{kind:?}");
            let other = if kind == Kind::Delta { Kind::Event } else { Kind::Delta };
            let fault = signer.check(&scope(other), &payload, then_ms).unwrap_err();
            assert!(
                matches!(fault, SealError::Signature | SealError::Wire(_)),
                "{kind:?}: {fault:?}"
            );
        }
    }
}
