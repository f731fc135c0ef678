//! Budgets that a real agent exceeds, on this very machine.

use agent::config::{Pace, Probes};
use runtime::{Clock, Shutdown};
use shadow::{Block, codec, wire};

use super::{
    HOST,
    harness::{Brain, broker},
};

/// Frames after which an agent must have said what it does.
const FRAMES: usize = 12;

/// Starts an agent with these budgets; returns whether it has said that it is slowed down, and the milliseconds between
/// the last two samples when it did, or after all frames.
async fn slowed(budget: f64, memory_budget: u64) -> Option<(bool, i64)> {
    let broker = broker()?;
    let mut brain = Brain::connect(&broker).await;
    let config = agent::Config {
        host: Some(HOST.to_owned()),
        cell: "test".to_owned(),
        broker: bus::Broker::new("127.0.0.1", broker.port()),
        pace: Pace {
            // A host that is at rest has samples as rare.
            max: "1s".parse().unwrap(),
            budget,
            memory_budget,
            ..Pace::default()
        },
        probes: Probes {
            off: ["workload", "pci", "edac", "thermal", "msr", "numa", "power"]
                .map(str::to_owned)
                .into(),
            ..Probes::default()
        },
        ..agent::Config::default()
    };
    let stop = Shutdown::new();
    let mut agent = agent::start(config, Clock::system(), stop.clone()).await.unwrap();
    let birth = wire::decode_birth(&brain.expect("birth").await).unwrap();
    let slowed = birth.catalogue.column("agent.slowed").unwrap();
    let (mut decoder, mut block) = (codec::Decoder::new(&birth.catalogue), Block::default());
    let (mut told, mut gap_ms, mut last_ms) = (false, 0, None);
    for _ in 0..FRAMES {
        let frame = wire::decode_frame(brain.expect("delta").await).unwrap();
        decoder.read(&frame, &mut block).unwrap();
        for &time_ms in &block.times_ms {
            gap_ms = last_ms.replace(time_ms).map_or(0, |last_ms| time_ms - last_ms);
        }
        told = block
            .columns
            .get(slowed)
            .unwrap()
            .iter()
            .any(|reading| reading.value() == Some(1.0));
        if told && gap_ms >= 900 {
            break;
        }
    }
    stop.trigger("done");
    agent.ended().await.unwrap();
    Some((told, gap_ms))
}

#[tokio::test]
async fn an_agent_that_takes_too_much_slows_down_and_says_so() {
    // A thousandth of a thousandth of a core; one byte.
    for (budget, memory_budget) in [(1e-6, 0), (1.0, 1)] {
        let Some((told, gap_ms)) = slowed(budget, memory_budget).await else {
            return;
        };
        assert!(told, "{budget}, {memory_budget}");
        assert!(gap_ms >= 900, "{budget}, {memory_budget}: {gap_ms} ms between samples");
    }
    assert_eq!(slowed(1.0, 0).await.map(|(told, _)| told), Some(false));
}
