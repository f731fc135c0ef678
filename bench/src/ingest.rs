//! What a brain needs to take frames in: decoding and appending by itself, and over a broker on loopback.
//!
//! A recording is told by many hosts at once, in frames of a second. The brain is the real one without its database:
//! topic, checks, decoding, hot store and batch. Rivals are what cannot be avoided (a copy of the values) and what others
//! would send (packed doubles into columns).

mod mqtt;

use std::{hint::black_box, path::PathBuf};

use anyhow::{Context, ensure};
use brain::intake::Intake;
use bytes::Bytes;
use prost::Message;
use shadow::{Birth, Block, Catalogue, Channel, Metric, UnixMs, codec::Encoder, wire};

use crate::{
    codec,
    recording::{self, Levels, Recording},
    report::{Quantity, Report, Rival},
    rivals::Rows,
    timing::{Stopwatch, median},
};

/// Hosts that tell the recording side by side.
pub(crate) const HOSTS: usize = 100;
/// Seconds of it.
const SECONDS: usize = 60;
/// An odd number of rounds, enough for a median on a machine that also does other things.
const ROUNDS: usize = 11;
/// What one host tells: 60 metrics, ten times a second.
const POINTS_PER_S: f64 = 600.0;
/// Columns of the recording that stand for the channels, so that the hot store has something to keep.
const CHANNELS: [(&str, Channel); 7] = [
    ("cpuacct_cpu0_run_ns", Channel::Cpu),
    ("mem_AnonPages_kB", Channel::Memory),
    ("net_eth0_rx_bytes", Channel::NetworkRx),
    ("net_eth0_tx_bytes", Channel::NetworkTx),
    ("disk_vda_rd_sectors", Channel::DiskRead),
    ("disk_vda_wr_sectors", Channel::DiskWrite),
    ("load1_x100", Channel::Power),
];

const HOSTS_PER_CORE: Quantity = Quantity {
    metric: "hosts_per_core",
    unit: "1",
};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A recording of raw counters, or a trace; CSV, or gzipped with the ending .gz. Without it: our own traces.
    #[arg(long, value_name = "FILE")]
    telemetry: Option<PathBuf>,
}

/// Runs all cases.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let path = arguments.telemetry.clone().map_or_else(recording::own, Ok)?;
    let fleet = Fleet::new(&recording::read(&path, Levels::Bound)?)?;
    let mut report = Report::new("ingest");
    decode_append(&fleet, &mut report)?;
    mqtt::measure(&fleet, &mut report)?;
    Ok(report)
}

/// What all hosts tell.
pub(crate) struct Fleet {
    pub(crate) birth: Birth,
    /// The frames of one host, as they travel.
    frames: Vec<Bytes>,
    /// The same samples as packed doubles.
    packed: Vec<Vec<u8>>,
    /// Readings in all frames of one host.
    points: usize,
    pub(crate) now_ms: UnixMs,
}

impl Fleet {
    pub(crate) fn new(recording: &Recording) -> anyhow::Result<Self> {
        let catalogue = with_channels(&recording.catalogue);
        let blocks: Vec<Block> = codec::cut(&recording.samples, &catalogue, 1_000)
            .into_iter()
            .take(SECONDS)
            .collect();
        let first_ms = blocks.first().and_then(|block| block.times_ms.first());
        let start_ms = *first_ms.context("the recording is empty")?;
        let epoch = start_ms.unsigned_abs() * 1_000;
        let mut encoder = Encoder::new(&catalogue);
        let frames = (0..).zip(&blocks).map(|(sequence, block)| {
            let frame = encoder.frame(epoch, sequence, block)?;
            Ok(Bytes::from(wire::encode_frame(&frame)))
        });
        Ok(Self {
            frames: frames.collect::<anyhow::Result<_>>()?,
            packed: blocks.iter().map(|block| Rows::of(block).encode_to_vec()).collect(),
            points: blocks.iter().map(Block::len).sum::<usize>() * catalogue.len(),
            now_ms: blocks
                .last()
                .and_then(|block| block.times_ms.last().copied())
                .unwrap_or(start_ms),
            birth: Birth {
                epoch,
                time_ms: start_ms,
                catalogue,
                ..Birth::default()
            },
        })
    }

    /// Readings of all hosts.
    pub(crate) fn points(&self) -> f64 {
        (self.points * HOSTS) as f64
    }

    fn messages(&self) -> usize {
        self.frames.len() * HOSTS
    }

    fn topic(host: usize, kind: &str) -> String {
        format!("foreshadow/main/host-{host}/bin/inband/{kind}")
    }

    /// A brain that knows all hosts.
    pub(crate) fn brain(&self) -> anyhow::Result<Intake> {
        let mut intake = self.brain_of(HOSTS, &self.birth)?;
        intake.settle();
        Ok(intake)
    }

    /// A brain that knows so many, each born so, and has not made it durable.
    pub(crate) fn brain_of(&self, hosts: usize, birth: &Birth) -> anyhow::Result<Intake> {
        let mut intake = Intake::new(self.now_ms)?;
        let birth = Bytes::from(wire::encode_birth(birth));
        for host in 0..hosts {
            intake.message(Self::topic(host, "birth"), birth.clone(), self.now_ms);
        }
        Ok(intake)
    }

    /// Second by second, every host's frame: its own bytes, as they come from a socket.
    pub(crate) fn deltas(&self) -> Vec<(String, Bytes)> {
        self.deltas_of(HOSTS)
    }

    /// The same of so many hosts.
    pub(crate) fn deltas_of(&self, hosts: usize) -> Vec<(String, Bytes)> {
        let second = |frame: &Bytes| -> Vec<(String, Bytes)> {
            let of_host = |host| (Self::topic(host, "delta"), Bytes::copy_from_slice(frame));
            (0..hosts).map(of_host).collect()
        };
        self.frames.iter().flat_map(second).collect()
    }
}

/// The same columns, some of them under the names of channels.
pub(crate) fn with_channels(catalogue: &Catalogue) -> Catalogue {
    let renamed = catalogue.metrics().iter().map(|metric| {
        let channel = CHANNELS.iter().find(|(name, _)| *name == metric.name);
        let name = channel.map_or(&*metric.name, |(_, channel)| channel.metric());
        Metric {
            name: name.to_owned(),
            ..metric.clone()
        }
    });
    Catalogue::new(renamed.collect())
}

fn decode_append(fleet: &Fleet, report: &mut Report) -> anyhow::Result<()> {
    let mut times = [(); 3].map(|()| Vec::new());
    for round in 0..=ROUNDS {
        let turn = [ours(fleet)?, copied(fleet), unpacked(fleet)?];
        for (times, ns) in times.iter_mut().zip(turn) {
            // The first round warms up.
            times.extend((round > 0).then_some(ns));
        }
    }
    let [ours, copied, unpacked] = times.map(|times| 1e9 / (median(times) / fleet.points() * POINTS_PER_S));
    let rivals = [("memcpy", copied), ("prost-packed", unpacked)];
    for (name, value) in rivals {
        report.push("decode-append", HOSTS_PER_CORE, ours, Rival { name, value });
    }
    Ok(())
}

/// Nanoseconds that the brain needs for all frames of all hosts.
fn ours(fleet: &Fleet) -> anyhow::Result<f64> {
    let mut brain = fleet.brain()?;
    let deltas = fleet.deltas();
    let watch = Stopwatch::start();
    for (topic, payload) in deltas {
        brain.message(topic, payload, fleet.now_ms);
    }
    let ns = watch.ns();
    let taken = brain.frames();
    ensure!(
        taken == fleet.messages() as u64,
        "the brain took {taken} of {} frames",
        fleet.messages()
    );
    Ok(ns)
}

/// Nanoseconds for a copy of the values to where each host's are kept.
fn copied(fleet: &Fleet) -> f64 {
    let values: Vec<f64> = vec![0.5; fleet.points / fleet.frames.len()];
    let mut kept: Vec<Vec<f64>> = (0..HOSTS).map(|_| Vec::with_capacity(fleet.points)).collect();
    let watch = Stopwatch::start();
    for _ in &fleet.frames {
        for host in &mut kept {
            host.extend_from_slice(black_box(&values));
        }
    }
    black_box(&kept);
    watch.ns()
}

/// Nanoseconds for packed doubles into each host's columns.
fn unpacked(fleet: &Fleet) -> anyhow::Result<f64> {
    let metrics = fleet.birth.catalogue.len();
    let mut kept: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); metrics]; HOSTS];
    let watch = Stopwatch::start();
    for packed in &fleet.packed {
        for host in &mut kept {
            for row in Rows::decode(packed.as_slice())?.rows {
                host.iter_mut()
                    .zip(row.values)
                    .for_each(|(column, value)| column.push(value));
            }
        }
    }
    black_box(&kept);
    Ok(watch.ns())
}

#[cfg(test)]
mod tests {
    use shadow::Reading;

    use super::*;

    #[test]
    fn every_frame_of_every_host_is_taken() {
        let catalogue = Catalogue::new(vec![Metric::share("cpuacct_cpu0_run_ns"), Metric::share("other")]);
        let mut samples = Block::new(&catalogue);
        for i in 0..40 {
            samples.push(
                1_764_000_000_000 + i * 100,
                &[Reading::new(0.5), Reading::new(i as f64 / 100.0)],
            );
        }
        let fleet = Fleet::new(&Recording { catalogue, samples }).unwrap();
        assert_eq!((fleet.frames.len(), fleet.points), (4, 80));
        assert!(fleet.birth.catalogue.column("host.cpu").is_some());
        assert!(ours(&fleet).unwrap() > 0.0);
        assert!(unpacked(&fleet).unwrap() > 0.0 && copied(&fleet) > 0.0);
    }
}
