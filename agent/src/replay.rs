//! A host without probes, whose samples come from elsewhere: a lab replays traces through it.
//!
//! It is the agent's own way from a sample to the broker and from a command to an outcome. It never waits
//! for the time of day: the caller's clock, and the caller's pushes, move it.

use std::time::Duration;

use bus::Topics;
use runtime::Clock;
use shadow::{Birth, Capacity, Catalogue, Channel, Reading, Source, SourceState, UnixMs, Workload};

use crate::{
    act::dry_run::DryRun,
    error::PublishError,
    publish::{Counters, Publisher, Settings},
};

/// The longest frame of a replayed host; its caller cuts earlier where a step ends.
const FRAME_MS: i64 = 10_000;

/// What a replayed host is.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name, a topic level.
    pub name: String,
    /// What is known of it, in the order of its readings.
    pub channels: Vec<Channel>,
    /// What it could give at most.
    pub capacity: Capacity,
    /// What resources are allocated to. They have no metrics of their own.
    pub workloads: Vec<Workload>,
}

/// A replayed host at work.
pub struct Replay {
    publisher: Publisher,
    row: Vec<Reading>,
}

/// Connects `host` to the broker and tells its birth. Samples may be pushed at once.
///
/// Must be called within a tokio runtime.
///
/// # Errors
/// [`PublishError::Host`] when its name cannot be a topic level.
pub fn start(host: Host, topics: Topics, broker: (&str, u16), clock: Clock) -> Result<Replay, PublishError> {
    let settings = Settings {
        frame_ms: FRAME_MS,
        link_clock: Some(Clock::system()),
        ..Settings::new(topics, host.name.clone(), bus::Broker::new(broker.0, broker.1))
    };
    let mut publisher = Publisher::start(settings, DryRun::detached(), clock)?;
    publisher.begin(birth(host));
    publisher.report(crate::status::Cost::default());
    Ok(Replay {
        publisher,
        row: Vec::new(),
    })
}

impl Replay {
    /// Takes one row: a value a channel, in their order, not finite where there is none. Times must rise.
    ///
    /// # Errors
    /// [`PublishError::TimeNotRising`]; the row is dropped.
    pub fn push(&mut self, time_ms: UnixMs, values: &[f64]) -> Result<(), PublishError> {
        let reading = |value: &f64| {
            if value.is_finite() {
                Reading::new(*value)
            } else {
                Reading::ABSENT
            }
        };
        self.row.clear();
        self.row.extend(values.iter().map(reading));
        self.publisher.push(time_ms, &self.row)
    }

    /// Cuts the running frame now, so that it is on its way. Returns how many frames were cut so far: that
    /// many will arrive.
    pub fn cut(&mut self) -> u64 {
        self.publisher.cut()
    }

    /// Counts since the start.
    pub fn counters(&self) -> Counters {
        self.publisher.counters()
    }

    /// Frames that are not known to be durable at the brain.
    pub fn spooled(&self) -> usize {
        self.publisher.spooled()
    }

    /// Returns when a task has ended that should not.
    pub async fn failed(&mut self) -> PublishError {
        self.publisher.failed().await
    }

    /// See [`Publisher::stop`].
    pub async fn stop(self, deadline: Duration) -> bool {
        self.publisher.stop(deadline).await
    }
}

fn birth(host: Host) -> Birth {
    Birth {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        catalogue: Catalogue::of_channels(&host.channels),
        sources: vec![Source {
            name: "replay".to_owned(),
            state: SourceState::Works,
            reason: "samples of a trace".to_owned(),
        }],
        capacity: host.capacity,
        workloads: host.workloads,
        ..Birth::default()
    }
}
