//! What a hostile broker says in the brain's name, and that an agent with `[trust]` believes none of it.
//!
//! The broker is mosquitto without access control: whatever a hostile one could hand to the agent, the test publishes.

use std::{path::PathBuf, sync::Arc, time::Instant};

use agent::{
    act::dry_run::DryRun,
    publish::{Publisher, Settings},
};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519,
    SanType, date_time_ymd,
};
use runtime::Clock;
use shadow::{OutcomeState, Vantage, wire};
use tempfile::TempDir;
use trust::{Config, Kind, Pair, Scope, Trust};

use crate::{
    DEADLINE, HOST, birth, command,
    harness::{self, Brain, Mosquitto, broker},
    mark, tell,
};

const CELL: &str = "test";
const NOW_MS: i64 = 1_000_000;
const BRAIN: &[&str] = &["foreshadow:role/brain", "foreshadow:test/_brain"];
const AGENT: &[&str] = &["foreshadow:role/agent", "foreshadow:test/web-1/inband"];

/// An authority and what it issues, in a folder of its own.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (date_time_ymd(1970, 1, 1), date_time_ymd(2100, 1, 1));
        let folder = tempfile::tempdir().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { folder, issuer }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Somebody with these names, who believes this authority.
    fn trust(&self, name: &str, uris: &[&str]) -> Arc<Trust> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
        params.subject_alt_names = uris.iter().map(uri).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(1970, 1, 1), date_time_ymd(2100, 1, 1));
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let pair = Pair {
            certificate: self.file(&format!("{name}.pem")),
            key: self.file(&format!("{name}.key")),
        };
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(&pair.certificate, certificate.pem()).unwrap();
        trust::files::replace(&pair.key, key.serialize_pem().as_bytes()).unwrap();
        let config = Config {
            ca: self.file("ca.pem"),
            crl: None,
            identities: vec![pair],
            sign_frames: true,
        };
        Arc::new(Trust::load(config, CELL).unwrap())
    }
}

fn seal(by: &Trust, kind: Kind, host: &str, message: Vec<u8>) -> Vec<u8> {
    let scope = Scope {
        kind,
        cell: CELL,
        host,
        vantage: Vantage::Inband,
    };
    by.seal(&scope, message, NOW_MS).unwrap()
}

/// What somebody makes of `message` who has not the brain's key: as it is, from a foreign cell's brain, from an agent of
/// this cell, a true one for another host or of another kind, and a true one with a bit changed.
fn forgeries(cell: &Authority, brain: &Trust, kind: Kind, message: &[u8]) -> Vec<Vec<u8>> {
    let foreign = Authority::new().trust("brain", BRAIN);
    let rogue = cell.trust("rogue", AGENT);
    let other_kind = if kind == Kind::Command {
        Kind::Watermark
    } else {
        Kind::Command
    };
    let mut changed = seal(brain, kind, HOST, message.to_vec());
    let middle = message.len() / 2;
    changed[middle] ^= 1;
    vec![
        message.to_vec(),
        seal(&foreign, kind, HOST, message.to_vec()),
        seal(&rogue, kind, HOST, message.to_vec()),
        seal(brain, kind, "web-2", message.to_vec()),
        seal(brain, other_kind, HOST, message.to_vec()),
        changed,
    ]
}

fn start(broker: &Mosquitto, cell: &Authority, clock: &Clock) -> Publisher {
    let settings = Settings {
        trust: Some(cell.trust("agent", AGENT)),
        fence: Some(cell.file("fence")),
        ..Settings::new(harness::topics(), HOST, bus::Broker::new("127.0.0.1", broker.port()))
    };
    Publisher::start(settings, DryRun::detached(), clock.clone()).unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < 4 * DEADLINE, "not in time: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_watermark_that_the_brain_has_not_said_makes_an_agent_forget_nothing() {
    let Some(broker) = broker() else { return };
    let (cell, clock) = (Authority::new(), Clock::manual(NOW_MS));
    let truly = cell.trust("brain", BRAIN);
    let mut brain = Brain::connect(&broker).await;
    let mut publisher = start(&broker, &cell, &clock);
    let epoch = publisher.begin(birth());
    for n in 0..3 {
        tell(&mut publisher, NOW_MS + n * 1_000, 0.5);
        brain.expect("delta").await;
    }
    for forged in forgeries(&cell, &truly, Kind::Watermark, &mark(epoch, 3, &[], false)) {
        brain.say("watermark", forged).await;
    }
    // Messages of one topic keep their order: when this one holds, the others were seen.
    let first = seal(&truly, Kind::Watermark, HOST, mark(epoch, 1, &[], false));
    brain.say("watermark", first.clone()).await;
    until("one frame is forgotten", || publisher.spooled() < 3).await;
    assert_eq!(publisher.spooled(), 2, "and no other");
    // One from before, said again: what was durable stays so, and nothing comes back or goes.
    let second = seal(&truly, Kind::Watermark, HOST, mark(epoch, 2, &[], false));
    for message in [second, first] {
        brain.say("watermark", message).await;
    }
    until("two frames are forgotten", || publisher.spooled() < 2).await;
    brain
        .say(
            "watermark",
            seal(&truly, Kind::Watermark, HOST, mark(epoch, 3, &[], false)),
        )
        .await;
    until("all are forgotten", || publisher.spooled() == 0).await;
    assert!(publisher.stop(DEADLINE).await);
}

#[tokio::test]
async fn a_command_that_the_brain_has_not_sent_is_refused_and_one_that_it_has_is_obeyed_once() {
    let Some(broker) = broker() else { return };
    let (cell, clock) = (Authority::new(), Clock::manual(NOW_MS));
    let truly = cell.trust("brain", BRAIN);
    let mut brain = Brain::connect(&broker).await;
    let mut publisher = start(&broker, &cell, &clock);
    publisher.begin(birth());
    brain.expect("birth").await;
    let sent = command(7, "app", true);
    let bytes = wire::encode_command(&sent);
    let forged = forgeries(&cell, &truly, Kind::Command, &bytes);
    let (count, genuine) = (forged.len() as u64, seal(&truly, Kind::Command, HOST, bytes));
    for message in forged {
        brain.say("command", message).await;
    }
    until("all are refused", || publisher.counters().commands_refused == count).await;
    brain.say("command", genuine.clone()).await;
    let obeyed = loop {
        let outcome = wire::decode_outcome(&brain.expect("outcome").await).unwrap();
        if outcome.state != OutcomeState::Distrusted {
            break outcome;
        }
    };
    assert_eq!((&*obeyed.command_id, obeyed.state), (&*sent.id, OutcomeState::DryRun));
    // The broker hands it on twice: the answer is the same, nothing is done again.
    clock.set(NOW_MS + 1_000);
    brain.say("command", genuine.clone()).await;
    let again = wire::decode_outcome(&brain.expect("outcome").await).unwrap();
    assert_eq!(again, obeyed);
    // After a restart, when nobody remembers the answer, it is not obeyed.
    assert!(publisher.stop(DEADLINE).await);
    let mut publisher = start(&broker, &cell, &clock);
    publisher.begin(birth());
    brain.expect("birth").await;
    brain.say("command", genuine).await;
    until("it is refused", || publisher.counters().commands_refused == 1).await;
    let answer = wire::decode_outcome(&brain.expect("outcome").await).unwrap();
    assert_eq!(
        (&*answer.command_id, answer.state),
        (&*sent.id, OutcomeState::Distrusted)
    );
    assert!(publisher.stop(DEADLINE).await);
}

#[tokio::test]
async fn an_answer_that_was_withheld_is_never_replaced_by_a_false_one() {
    let Some(broker) = broker() else { return };
    let (cell, clock) = (Authority::new(), Clock::manual(NOW_MS));
    let truly = cell.trust("brain", BRAIN);
    let mut brain = Brain::connect(&broker).await;
    let mut publisher = start(&broker, &cell, &clock);
    publisher.begin(birth());
    brain.expect("birth").await;
    let sealed = |sequence, dry_run| {
        let bytes = wire::encode_command(&command(sequence, "app", dry_run));
        seal(&truly, Kind::Command, HOST, bytes)
    };
    // Old ones that were not obeyed, kept back by the broker; then one that is, whose answer it keeps.
    let older: Vec<_> = (1..=70).map(|sequence| sealed(sequence, true)).collect();
    let obeyed = command(71, "app", true).id;
    brain.say("command", sealed(71, true)).await;
    let outcome = wire::decode_outcome(&brain.expect("outcome").await).unwrap();
    assert_eq!((&outcome.command_id, outcome.state), (&obeyed, OutcomeState::DryRun));
    // More than it remembers answers.
    for message in older {
        brain.say("command", message).await;
    }
    until("all are refused", || publisher.counters().commands_refused == 70).await;
    // Repeats are answered ten times in ten seconds.
    for _ in 0..10 {
        let answer = wire::decode_outcome(&brain.expect("outcome").await).unwrap();
        assert_eq!(answer.state, OutcomeState::Distrusted, "{answer:?}");
    }
    clock.set(NOW_MS + 11_000);
    brain.say("command", sealed(71, true)).await;
    let again = wire::decode_outcome(&brain.expect("outcome").await).unwrap();
    assert_eq!(again, outcome, "refusals have driven out no outcome");
    assert!(publisher.stop(DEADLINE).await);
}

#[tokio::test]
async fn a_true_command_that_is_not_understood_is_refused_with_an_answer_and_a_forged_one_without() {
    let Some(broker) = broker() else { return };
    let (cell, clock) = (Authority::new(), Clock::manual(NOW_MS));
    let truly = cell.trust("brain", BRAIN);
    let mut brain = Brain::connect(&broker).await;
    let mut publisher = start(&broker, &cell, &clock);
    publisher.begin(birth());
    brain.expect("birth").await;
    let sent = command(7, "app", true);
    // Field 99, which changes what is meant; and one longer than any may be.
    let critical = [wire::encode_command(&sent), vec![0x98, 6, 1]].concat();
    let filler = [&[0xfa, 0x3e, 0x80, 0x80, 0x14][..], &vec![b'x'; 20 << 14]].concat();
    let oversize = [wire::encode_command(&sent), filler].concat();
    assert!(oversize.len() > wire::MAX_COMMAND_BYTES);
    for (message, why) in [(critical, "field 99"), (oversize, "bytes")] {
        for forged in forgeries(&cell, &truly, Kind::Command, &message) {
            brain.say("command", forged).await;
        }
        brain.say("command", seal(&truly, Kind::Command, HOST, message)).await;
        let answer = wire::decode_outcome(&brain.expect("outcome").await).unwrap();
        assert_eq!((&*answer.command_id, answer.state), (&*sent.id, OutcomeState::Refused));
        assert!(answer.reason.contains(why), "{answer:?}");
    }
    assert_eq!(publisher.counters().commands_refused, 14);
    // A number so far ahead that it would fence off every brain to come.
    let mut poison = sent.clone();
    poison.issuer_epoch = u64::MAX >> 1;
    let poisoned = seal(&truly, Kind::Command, HOST, wire::encode_command(&poison));
    brain.say("command", poisoned).await;
    let answer = wire::decode_outcome(&brain.expect("outcome").await).unwrap();
    assert_eq!(answer.state, OutcomeState::Distrusted, "{answer:?}");
    let genuine = seal(&truly, Kind::Command, HOST, wire::encode_command(&sent));
    brain.say("command", genuine).await;
    let answer = wire::decode_outcome(&brain.expect("outcome").await).unwrap();
    assert_eq!(answer.state, OutcomeState::DryRun, "{answer:?}");
    assert!(publisher.stop(DEADLINE).await);
}
