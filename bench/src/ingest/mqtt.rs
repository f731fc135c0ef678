//! From a client through the broker to the hot store, all in this process and over loopback.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use broker::Config;
use bus::{Client, Event, Qos};
use runtime::Shutdown;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;

use super::Fleet;
use crate::{
    report::{Quantity, Report, Rival},
    timing::median,
};

/// An odd number of rounds.
const ROUNDS: usize = 5;
/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(30);

const MESSAGES: Quantity = Quantity {
    metric: "messages_per_s",
    unit: "1/s",
};
const POINTS: Quantity = Quantity {
    metric: "points_per_s",
    unit: "1/s",
};
const CPU: Quantity = Quantity {
    metric: "cpu_per_message",
    unit: "us",
};

/// What a run took.
struct Took {
    seconds: f64,
    cpu_s: f64,
}

/// Measures with the brain behind the broker, and with nobody who decodes.
pub(super) fn measure(fleet: &Fleet, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut took = [(); 2].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        for (took, decode) in took.iter_mut().zip([true, false]) {
            took.push(runtime.block_on(run(fleet, decode))?);
        }
    }
    let [ours, bare] = took.map(|took| Took {
        seconds: median(took.iter().map(|took| took.seconds).collect()),
        cpu_s: median(took.iter().map(|took| took.cpu_s).collect()),
    });
    let messages = fleet.messages() as f64;
    let mut push = |quantity, of: &dyn Fn(&Took) -> f64| {
        let rival = Rival {
            name: "not decoded",
            value: of(&bare),
        };
        report.push("mqtt-to-hot-store", quantity, of(&ours), rival);
    };
    push(MESSAGES, &|took| messages / took.seconds);
    push(POINTS, &|took| fleet.points() / took.seconds);
    push(CPU, &|took| took.cpu_s / messages * 1e6);
    Ok(())
}

async fn run(fleet: &Fleet, decode: bool) -> anyhow::Result<Took> {
    let mut brain = fleet.brain()?;
    let deltas = fleet.deltas();
    let expected = deltas.len();
    let stop = Shutdown::new();
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        ..Config::default()
    };
    let broker = broker::start(config, stop.clone()).await?;
    let port = broker.addr().port();
    let (agents, _agents_events) = connected(bus::Config::new("127.0.0.1", port, "agents")).await?;
    let (_brain_client, mut events) = connected(bus::Config {
        subscriptions: vec![("foreshadow/#".to_owned(), Qos::AtLeastOnce)],
        ..bus::Config::new("127.0.0.1", port, "brain")
    })
    .await?;

    let (start, cpu) = (Instant::now(), cpu_s());
    let telling = tokio::spawn(async move {
        for (topic, payload) in deltas {
            agents.publish(topic, payload, Qos::AtLeastOnce, false).await?;
        }
        Ok::<Client, bus::BusError>(agents)
    });
    let mut come = 0;
    while come < expected {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await;
        match event.context("no message came")?.context("the client has ended")? {
            Event::Message { topic, payload, .. } => {
                come += 1;
                if decode {
                    brain.message(topic, payload, fleet.now_ms);
                }
            }
            event => anyhow::bail!("unexpected: {event:?}"),
        }
    }
    let took = Took {
        seconds: start.elapsed().as_secs_f64(),
        cpu_s: cpu_s() - cpu,
    };
    let taken = if decode { expected as u64 } else { 0 };
    ensure!(
        brain.frames() == taken,
        "the brain took {} of {taken} frames",
        brain.frames()
    );
    drop(telling.await??);
    stop.trigger("measured");
    Ok(took)
}

/// A client that the broker has taken.
async fn connected(config: bus::Config) -> anyhow::Result<(Client, mpsc::Receiver<Event>)> {
    let (client, mut events) = bus::connect(config);
    let event = tokio::time::timeout(PATIENCE, events.recv()).await?;
    ensure!(event == Some(Event::Connected), "not connected: {event:?}");
    Ok((client, events))
}

/// Seconds of processor time that this process has taken.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
