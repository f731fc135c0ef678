//! The publishing half against a real broker: Debian's `mosquitto`, where it is installed.
//!
//! The brain's side of the bus is played by the tests. Nothing waits for a time of day: every wait is for a
//! message, with a deadline.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed; clippy knows tests by their functions only, not their helpers"
)]

mod acting;
mod attacks;
mod budget;
mod harness;
#[path = "../../../tests/e2e/ports.rs"]
mod ports;
mod slow;
mod syscalls;

use std::time::Duration;

use agent::{
    act::dry_run::DryRun,
    publish::{Publisher, Settings},
    replay,
    status::Cost,
};
use harness::{Brain, Mosquitto, broker};
use runtime::Clock;
use shadow::{
    Birth, Capacity, Catalogue, Change, Channel, Command, EpochMark, Explanation, Finding, Outcome, OutcomeState,
    Reading, Resource, Severity, Vantage, Watermark, Workload, codec, wire,
};

const HOST: &str = "web-1";
const DEADLINE: Duration = Duration::from_secs(5);

fn start(broker: &Mosquitto, clock: &Clock) -> Publisher {
    let settings = Settings::new(harness::topics(), HOST, bus::Broker::new("127.0.0.1", broker.port()));
    Publisher::start(settings, DryRun::detached(), clock.clone()).unwrap()
}

fn birth() -> Birth {
    Birth {
        agent_version: "1".to_owned(),
        catalogue: Catalogue::of_channels(&[Channel::Cpu, Channel::Memory]),
        workloads: vec![Workload {
            name: "app".to_owned(),
            criticality: 50,
            class: "default".to_owned(),
        }],
        ..Birth::default()
    }
}

/// One frame of one sample.
fn tell(publisher: &mut Publisher, time_ms: i64, cpu: f64) -> u64 {
    publisher
        .push(time_ms, &[Reading::new(cpu), Reading::new(0.5)])
        .unwrap();
    publisher.cut()
}

fn mark(epoch: u64, durable_below: u64, missing: &[(u64, u64)], birth_wanted: bool) -> Vec<u8> {
    wire::encode_watermark(&Watermark {
        epochs: vec![EpochMark {
            epoch,
            durable_below,
            missing: missing.iter().map(|&(first, end)| first..end).collect(),
            birth_wanted,
        }],
    })
}

fn command(sequence: u64, workload: &str, dry_run: bool) -> Command {
    Command {
        id: format!("9.{HOST}.{sequence}"),
        host: HOST.to_owned(),
        issuer_epoch: 9,
        sequence,
        issued_ms: 1_000_000,
        ttl_ms: 60_000,
        dry_run,
        changes: vec![Change {
            workload: workload.to_owned(),
            resource: Resource::Cpu,
            before: None,
            target: 1.5,
            explanation: Explanation::default(),
            ceiling: None,
        }],
        actions: Vec::new(),
    }
}

async fn ask(brain: &mut Brain, command: Command) -> Outcome {
    brain.say("command", wire::encode_command(&command)).await;
    let outcome = wire::decode_outcome(&brain.expect("outcome").await).unwrap();
    assert_eq!(outcome.command_id, command.id);
    outcome
}

#[tokio::test]
async fn samples_arrive_as_frames_that_the_birth_reads() {
    let Some(broker) = broker() else { return };
    let clock = Clock::manual(1_000_000);
    let mut brain = Brain::connect(&broker).await;
    let mut publisher = start(&broker, &clock);
    let epoch = publisher.begin(birth());
    publisher.report(Cost::default());
    for i in 0..20 {
        let row = [Reading::new(f64::from(i) / 100.0), Reading::STALE];
        publisher.push(1_000_000 + i64::from(i) * 100, &row).unwrap();
    }
    assert!(publisher.push(1_000_000, &[]).is_err(), "time must rise");

    let told = wire::decode_birth(&brain.expect("birth").await).unwrap();
    assert_eq!((told.epoch, told.catalogue.len()), (epoch, 2));
    let status = brain.expect("status").await;
    assert!(status.starts_with(br#"{"state":"online""#), "{status:?}");
    let mut decoder = codec::Decoder::new(&told.catalogue);
    let mut block = shadow::Block::default();
    for sequence in 0..2 {
        let frame = wire::decode_frame(brain.expect("delta").await).unwrap();
        assert_eq!((frame.epoch, frame.sequence, frame.samples), (epoch, sequence, 10));
        decoder.read(&frame, &mut block).unwrap();
        let last = block.sample(9).unwrap();
        assert_eq!(last.time_ms, 1_000_900 + sequence as i64 * 1_000);
        assert_eq!(last.readings[1], Reading::STALE);
    }
    let counters = publisher.counters();
    assert_eq!((counters.samples, counters.refused, counters.frames), (20, 1, 2));
    publisher.push(1_002_000, &[Reading::STALE, Reading::STALE]).unwrap();
    assert!(publisher.stop(DEADLINE).await);
    let status = brain.expect("status").await;
    assert!(brain.has("delta"), "the last frame comes before the last word");
    assert!(
        status.starts_with(br#"{"state":"offline","reason":"stopped""#),
        "{status:?}"
    );
}

/// After a clock that was wrong by a year is set right, epochs still rise, and times are present times.
#[tokio::test]
async fn a_clock_set_back_takes_no_time_from_the_future_along() {
    let Some(broker) = broker() else { return };
    let clock = Clock::manual(31_536_000_000);
    let mut brain = Brain::connect(&broker).await;
    let mut publisher = start(&broker, &clock);
    let wrong = publisher.begin(birth());
    let told = wire::decode_birth(&brain.expect("birth").await).unwrap();
    assert_eq!((told.epoch, told.time_ms), (wrong, 31_536_000_000));

    clock.set(1_000_000);
    let right = publisher.begin(birth());
    assert!(right > wrong, "the brain tells new from old by it");
    tell(&mut publisher, 1_000_000, 0.5);
    let told = wire::decode_birth(&brain.expect("birth").await).unwrap();
    assert_eq!((told.epoch, told.time_ms), (right, 1_000_000));
    let frame = wire::decode_frame(brain.expect("delta").await).unwrap();
    assert_eq!((frame.epoch, frame.sequence, frame.start_ms), (right, 0, 1_000_000));
}

#[tokio::test]
async fn frames_are_kept_until_the_watermark_covers_them() {
    let Some(broker) = broker() else { return };
    let clock = Clock::manual(1_000_000);
    let mut brain = Brain::connect(&broker).await;
    let mut publisher = start(&broker, &clock);
    let epoch = publisher.begin(birth());
    for i in 0..5 {
        tell(&mut publisher, 1_000_000 + i, 0.5);
        brain.expect("delta").await;
    }
    assert_eq!(publisher.spooled(), 5);

    // Long after they were sent, the brain lacks two of them and the birth.
    clock.set(1_010_000);
    brain.expect("birth").await;
    brain.say("watermark", mark(epoch, 5, &[(1, 2), (3, 4)], true)).await;
    assert_eq!(wire::decode_birth(&brain.expect("birth").await).unwrap().epoch, epoch);
    for sequence in [1, 3] {
        assert_eq!(
            wire::decode_frame(brain.expect("delta").await).unwrap().sequence,
            sequence
        );
    }
    assert_eq!(publisher.spooled(), 2);
    brain.say("watermark", mark(epoch, 5, &[], true)).await;
    brain.expect("birth").await;
    assert_eq!(publisher.spooled(), 0);
    assert_eq!(publisher.counters().resent, 2);
}

#[tokio::test]
async fn events_are_numbered_among_the_frames_and_kept_as_they_are() {
    let Some(broker) = broker() else { return };
    let clock = Clock::manual(1_000_000);
    let mut brain = Brain::connect(&broker).await;
    let mut publisher = start(&broker, &clock);
    let finding = Finding {
        source: "pci".to_owned(),
        subject: "0000:01:00.0".to_owned(),
        kind: "link_degraded".to_owned(),
        severity: Severity::Warning,
        text: "x4 of x16".to_owned(),
        details: Vec::new(),
    };
    assert!(publisher.event(1_000_000, finding.clone()).is_err(), "no epoch yet");
    let epoch = publisher.begin(birth());
    publisher.push(1_000_000, &[Reading::new(0.5), Reading::STALE]).unwrap();
    publisher.event(1_000_050, finding.clone()).unwrap();
    tell(&mut publisher, 1_000_100, 0.5);

    let first = wire::decode_frame(brain.expect("delta").await).unwrap();
    let event = wire::decode_event(&brain.expect("event").await).unwrap();
    let last = wire::decode_frame(brain.expect("delta").await).unwrap();
    assert_eq!((first.sequence, event.sequence, last.sequence), (0, 1, 2));
    assert_eq!((event.epoch, event.time_ms, event.finding), (epoch, 1_000_050, finding));

    clock.set(1_010_000);
    brain.say("watermark", mark(epoch, 3, &[(1, 2)], false)).await;
    let again = wire::decode_event(&brain.expect("event").await).unwrap();
    assert_eq!(again.sequence, 1);
    assert_eq!(publisher.spooled(), 1);
}

#[tokio::test]
async fn nothing_is_lost_when_the_broker_dies() {
    let Some(mut broker) = broker() else { return };
    let clock = Clock::manual(1_000_000);
    let mut brain = Brain::connect(&broker).await;
    let mut publisher = start(&broker, &clock);
    let first = publisher.begin(birth());
    tell(&mut publisher, 1_000_000, 0.1);
    brain.expect("delta").await;

    broker.kill();
    brain.lost().await;
    tell(&mut publisher, 1_000_100, 0.2);
    clock.set(1_001_000);
    let second = publisher.begin(birth());
    tell(&mut publisher, 1_001_000, 0.3);
    broker.restart();
    brain.connected().await;
    // Frames that came to the broker before the brain did are told again when it says what it has.
    clock.set(1_040_000);
    brain.say("watermark", mark(first, 0, &[], false)).await;

    let mut told = std::collections::BTreeSet::new();
    while told.len() < 3 {
        let frame = wire::decode_frame(brain.expect("delta").await).unwrap();
        told.insert((frame.epoch, frame.sequence));
    }
    assert_eq!(told, [(first, 0), (first, 1), (second, 0)].into());
    let kept = Brain::connect(&broker).await.expect("birth").await;
    assert_eq!(
        wire::decode_birth(&kept).unwrap().epoch,
        second,
        "the broker keeps the newest birth"
    );
}

#[tokio::test]
async fn a_publisher_that_dies_is_told_offline_by_its_will() {
    let Some(broker) = broker() else { return };
    let mut brain = Brain::connect(&broker).await;
    let mut publisher = start(&broker, &Clock::manual(1_000_000));
    publisher.report(Cost::default());
    brain.expect("status").await;
    // What a crash looks like to the broker: the tasks end without a goodbye.
    publisher.abort();
    let will = brain.expect("status").await;
    assert_eq!(will.as_ref(), br#"{"state":"offline","reason":"connection lost"}"#);
}

#[tokio::test]
async fn every_command_is_answered() {
    let Some(broker) = broker() else { return };
    let mut brain = Brain::connect(&broker).await;
    let mut publisher = start(&broker, &Clock::manual(1_000_000));
    publisher.begin(birth());
    brain.expect("birth").await;

    let outcome = ask(&mut brain, command(1, "app", true)).await;
    assert_eq!(outcome.state, OutcomeState::DryRun);
    assert_eq!(outcome.changes[0].lever, "cpu.max = 150000 100000");
    assert_eq!(
        ask(&mut brain, command(1, "app", true)).await,
        outcome,
        "the same again"
    );

    let outcome = ask(&mut brain, command(2, "ghost", true)).await;
    assert_eq!(outcome.state, OutcomeState::Refused);
    assert!(outcome.changes[0].note.contains("ghost"), "{outcome:?}");
    let outcome = ask(&mut brain, command(3, "app", false)).await;
    assert_eq!(outcome.state, OutcomeState::Refused);
    assert_eq!(outcome.reason, "acting is not switched on for this host");

    // What is not a command is refused without an answer, and harms nothing.
    brain.say("command", b"\xff\xff garbage".to_vec()).await;
    brain.say("watermark", b"\xff\xff garbage".to_vec()).await;
    assert_eq!(
        ask(&mut brain, command(5, "app", true)).await.state,
        OutcomeState::DryRun
    );
    assert_eq!(publisher.counters().commands, 5);
    assert_eq!(
        harness::topics().command(HOST, Vantage::Inband),
        "foreshadow/test/web-1/bin/inband/command"
    );
}

#[tokio::test]
async fn a_replayed_host_is_a_host() {
    let Some(broker) = broker() else { return };
    let mut brain = Brain::connect(&broker).await;
    let host = replay::Host {
        name: HOST.to_owned(),
        channels: vec![Channel::Cpu, Channel::Power],
        capacity: Capacity::default(),
        workloads: Vec::new(),
    };
    let address = ("127.0.0.1", broker.port());
    let mut replay = replay::start(host, harness::topics(), address, Clock::manual(1_000)).unwrap();
    for i in 0..3 {
        replay.push(i * 60_000, &[0.25, f64::NAN]).unwrap();
    }
    assert_eq!(replay.cut(), 3, "rows a minute apart are frames of their own");

    let birth = wire::decode_birth(&brain.expect("birth").await).unwrap();
    assert_eq!(birth.sources[0].name, "replay");
    let frame = wire::decode_frame(brain.expect("delta").await).unwrap();
    let block = codec::decode(
        &birth.catalogue,
        frame.codec,
        frame.samples,
        frame.start_ms,
        &frame.body,
    );
    let readings = block.unwrap().sample(0).unwrap().readings;
    assert_eq!(readings[0].value(), Some(0.25));
    assert_eq!(readings[1], Reading::ABSENT);
    assert!(replay.stop(DEADLINE).await);
}
