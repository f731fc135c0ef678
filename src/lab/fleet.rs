//! The replayed hosts of a lab.

use std::time::Duration;

use agent::replay::{self, Replay};
use anyhow::{Context, ensure};
use bus::Topics;
use runtime::Clock;
use shadow::{Capacity, Channel, UnixMs};
use tokio::task::JoinSet;

use super::timeline::absolute;
use crate::trace::Trace;

/// Traces tell shares of a capacity that they do not tell: four cores, 16 GiB, and a link of 1 Gbit/s each way stand
/// for it, so that the allocator has something to divide.
const NOMINAL: Capacity = Capacity {
    cpu_cores: Some(4.0),
    memory_bytes: Some((16_u64 << 30) as f64),
    network_bytes_per_s: Some(2.0 * LINK_BYTES_PER_S),
    disk_bytes_per_s: None,
    power_w: None,
};

/// 1 Gbit/s: what a normalised rate of 1 stands for.
pub(crate) const LINK_BYTES_PER_S: f64 = 1.25e8;

/// All hosts of a lab.
pub(crate) struct Fleet<'a> {
    hosts: Vec<Host<'a>>,
}

/// One host: a trace, possibly read from another moment on.
struct Host<'a> {
    trace: &'a Trace,
    /// Values of row `(i + shift) % rows` are told at the time of row `i`.
    shift: usize,
    next: usize,
    /// What byte rates are multiplied with.
    rate_factor: f64,
    replay: Replay,
}

impl<'a> Fleet<'a> {
    /// Connects `count` hosts.
    pub(crate) fn start(
        traces: &'a [Trace],
        count: usize,
        normalised: bool,
        topics: &Topics,
        broker: (&str, u16),
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        let rate_factor = if normalised { LINK_BYTES_PER_S } else { 1.0 };
        let copies = count.div_ceil(traces.len().max(1));
        let start = |(index, trace): (usize, &'a Trace)| -> anyhow::Result<Host<'a>> {
            let copy = index / traces.len();
            let name = if copy == 0 {
                trace.host.clone()
            } else {
                format!("{}-{copy}", trace.host)
            };
            let host = replay::Host {
                name,
                channels: trace.channels.clone(),
                capacity: NOMINAL,
                workloads: Vec::new(),
            };
            let replay = replay::start(host, topics.clone(), broker, clock.clone());
            let replay = replay.with_context(|| format!("host {} cannot be replayed", trace.host))?;
            let shift = trace.rows.len() * copy / copies;
            Ok(Host {
                trace,
                shift,
                next: 0,
                rate_factor,
                replay,
            })
        };
        let hosts = traces
            .iter()
            .cycle()
            .take(count)
            .enumerate()
            .map(start)
            .collect::<Result<_, _>>()?;
        Ok(Self { hosts })
    }

    /// Lets every host tell what it did up to `until_ms`: a sample tells of the time before it, so the one taken
    /// at the end of a step belongs to that step. Returns how many frames have been sent so far, all
    /// hosts together.
    pub(crate) fn tell(&mut self, until_ms: UnixMs) -> anyhow::Result<u64> {
        let mut frames = 0;
        for host in &mut self.hosts {
            frames += host.tell(until_ms)?;
        }
        Ok(frames)
    }

    /// Disconnects all hosts, at once and within `deadline`.
    ///
    /// # Errors
    /// When the broker has not taken everything that some host had to tell.
    pub(crate) async fn stop(self, deadline: Duration) -> anyhow::Result<()> {
        let hosts = self.hosts.into_iter();
        let goodbyes: JoinSet<bool> = hosts.map(|host| host.replay.stop(deadline)).collect();
        let untold = goodbyes.join_all().await.iter().filter(|told| !**told).count();
        ensure!(untold == 0, "{untold} hosts could not tell the broker everything");
        Ok(())
    }
}

impl Host<'_> {
    fn tell(&mut self, until_ms: UnixMs) -> anyhow::Result<u64> {
        while let Some(time_ms) = self.trace.times_ms.get(self.next).map(|&time| absolute(time)) {
            if time_ms > until_ms {
                break;
            }
            let row = (self.next + self.shift) % self.trace.rows.len();
            if let Some(row) = self.trace.rows.get(row) {
                self.replay
                    .push(time_ms, &self.values(row))
                    .context(self.trace.host.clone())?;
            }
            self.next += 1;
        }
        Ok(self.replay.cut())
    }

    /// The values of the channels that the trace has, rates in bytes a second.
    fn values(&self, row: &[f64; Channel::COUNT]) -> Vec<f64> {
        let value = |channel: &Channel| {
            let factor = if is_rate(*channel) { self.rate_factor } else { 1.0 };
            row.get(channel.index()).map_or(f64::NAN, |value| value * factor)
        };
        self.trace.channels.iter().map(value).collect()
    }
}

const fn is_rate(channel: Channel) -> bool {
    matches!(
        channel,
        Channel::NetworkRx | Channel::NetworkTx | Channel::DiskRead | Channel::DiskWrite
    )
}
