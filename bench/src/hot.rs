//! The hot store: how much memory a host takes, how long readers keep the writer waiting, and how fast they are.
//!
//! A recording is told by many hosts at once, in frames of a second, to a brain without bus, database and page. In turns of
//! one second of all hosts, a reader in another thread goes through all of them or rests.

use std::{
    hint::black_box,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context, ensure};
use brain::{intake::Intake, snapshot::SeriesSource};
use bytes::Bytes;
use shadow::{Birth, Block, Catalogue, Channel, Resource, UnixMs, Vantage, codec::Encoder, wire};

use crate::{
    codec,
    ingest::with_channels,
    process::memory_bytes,
    recording::{self, Levels},
    report::{Quantity, Report, Rival},
};

/// Hosts that a reader goes through.
const HOSTS: usize = 1_000;
/// Hosts whose memory is measured.
const MEASURED: usize = 50;
/// Seconds that all hosts have told before the reader begins, and with and without it in turns.
const SECONDS: (usize, usize) = (60, 40);
/// What a host may take.
const MOST_BYTES: f64 = 524_288.0;

const BYTES: Quantity = Quantity {
    metric: "bytes_per_host",
    unit: "B",
};
const WAIT: [(Quantity, f64); 3] = [
    (of_a_message("message_p50"), 0.5),
    (of_a_message("message_p99"), 0.99),
    (of_a_message("message_most"), 1.0),
];
const SCANS: Quantity = Quantity {
    metric: "hosts_read_per_s",
    unit: "1/s",
};
const READ: Quantity = Quantity {
    metric: "read_15m",
    unit: "ms",
};

const fn of_a_message(metric: &'static str) -> Quantity {
    Quantity { metric, unit: "us" }
}

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
    let recording = recording::read(&path, Levels::Bound)?;
    let catalogue = with_channels(&recording.catalogue);
    let blocks = codec::cut(&recording.samples, &catalogue, 1_000);
    let mut report = Report::new("hot");
    let full = Told::new(&catalogue, &blocks)?;
    memory(&full, &Told::day_before(&catalogue, &blocks)?, &mut report)?;
    waits(&full, &mut report)?;
    Ok(report)
}

/// What each host tells in one epoch.
struct Told {
    birth: Birth,
    /// When the newest sample of each frame was taken, and the frame.
    frames: Vec<(UnixMs, Bytes)>,
}

impl Told {
    fn new(catalogue: &Catalogue, blocks: &[Block]) -> anyhow::Result<Self> {
        let first_ms = blocks.first().and_then(|block| block.times_ms.first());
        let start_ms = *first_ms.context("the recording is empty")?;
        let epoch = start_ms.unsigned_abs() * 1_000;
        let mut encoder = Encoder::new(catalogue);
        let frames = (0..).zip(blocks).map(|(sequence, block)| {
            let frame = encoder.frame(epoch, sequence, block)?;
            let newest_ms = block.times_ms.last().copied().unwrap_or(start_ms);
            Ok((newest_ms, Bytes::from(wire::encode_frame(&frame))))
        });
        Ok(Self {
            frames: frames.collect::<anyhow::Result<_>>()?,
            birth: Birth {
                epoch,
                time_ms: start_ms,
                catalogue: catalogue.clone(),
                ..Birth::default()
            },
        })
    }

    /// The day before the recording, a sample each ten seconds: it fills rows and minutes.
    fn day_before(catalogue: &Catalogue, blocks: &[Block]) -> anyhow::Result<Self> {
        let samples: Vec<_> = blocks.iter().filter_map(|block| block.sample(0)).collect();
        let start_ms = samples.first().context("the recording is empty")?.time_ms;
        let of_a_day = (1..=8_640).rev().zip(samples.iter().cycle()).map(|(ago, sample)| {
            let mut block = Block::new(catalogue);
            block.push(start_ms - ago * 10_000, &sample.readings);
            block
        });
        Self::new(catalogue, &of_a_day.collect::<Vec<_>>())
    }

    fn topic(host: usize, kind: &str) -> String {
        format!("foreshadow/main/host-{host}/bin/inband/{kind}")
    }

    fn born(&self, brain: &mut Intake, hosts: usize) {
        let birth = Bytes::from(wire::encode_birth(&self.birth));
        (0..hosts).for_each(|host| brain.message(Self::topic(host, "birth"), birth.clone(), self.birth.time_ms));
    }

    /// Lets all hosts tell `frames`; a tick and a flush each so many of them. Tells how long each message took, in
    /// microseconds.
    fn tell(&self, brain: &mut Intake, hosts: usize, frames: std::ops::Range<usize>, every: usize) -> Vec<f64> {
        let mut took = Vec::new();
        for (at, (newest_ms, frame)) in self.frames.iter().enumerate().take(frames.end).skip(frames.start) {
            for host in 0..hosts {
                let payload = Bytes::copy_from_slice(frame);
                let topic = Self::topic(host, "delta");
                let start = Instant::now();
                brain.message(topic, payload, *newest_ms);
                took.push(start.elapsed().as_secs_f64() * 1e6);
            }
            if at % every == every - 1 {
                brain.tick(*newest_ms);
                brain.settle();
            }
        }
        took
    }
}

/// Growth of the process with a day and a full recent window of some hosts: the whole brain, with its decoders and
/// forecasters. What the hot store has of it, a test counts.
fn memory(full: &Told, day: &Told, report: &mut Report) -> anyhow::Result<()> {
    let empty = memory_bytes(std::process::id(), "VmRSS:")?;
    let mut brain = Intake::new(day.birth.time_ms)?;
    for (told, every) in [(day, 720), (full, 10)] {
        told.born(&mut brain, MEASURED);
        told.tell(&mut brain, MEASURED, 0..told.frames.len(), every);
    }
    let grown = memory_bytes(std::process::id(), "VmRSS:")? - empty;
    let limit = Rival {
        name: "limit of the hot store",
        value: MOST_BYTES,
    };
    report.push("whole-brain", BYTES, grown / MEASURED as f64, limit);
    let start = Instant::now();
    let columns = brain
        .past()
        .recent("host-0", Vantage::Inband, &[Channel::Cpu.metric()], 0);
    let told = columns.context("nothing recent")?.times_ms.len();
    ensure!(told > 0, "no samples");
    let limit = Rival {
        name: "100 ms",
        value: 100.0,
    };
    report.push("full-rate", READ, start.elapsed().as_secs_f64() * 1e3, limit);
    Ok(())
}

/// How long the writer takes for a message while a reader goes through all hosts, and while it rests.
fn waits(full: &Told, report: &mut Report) -> anyhow::Result<()> {
    let mut brain = Intake::new(full.birth.time_ms)?;
    full.born(&mut brain, HOSTS);
    brain.settle();
    full.tell(&mut brain, HOSTS, 0..SECONDS.0, 10);
    let reader = Arc::new(Reader::default());
    let (past, of_thread) = (brain.past(), Arc::clone(&reader));
    let thread = thread::spawn(move || of_thread.run(&*past));
    let mut took = [Vec::new(), Vec::new()];
    let mut read_s = 0.0;
    for turn in 0..2 * SECONDS.1 {
        let reads = turn % 2 == 0;
        reader.reads.store(reads, Ordering::Release);
        thread.thread().unpark();
        let second = SECONDS.0 + turn;
        let start = Instant::now();
        let [with, without] = &mut took;
        let took = if reads { with } else { without };
        took.extend(full.tell(&mut brain, HOSTS, second..second + 1, usize::MAX));
        read_s += if reads { start.elapsed().as_secs_f64() } else { 0.0 };
    }
    reader.ends.store(true, Ordering::Release);
    thread.thread().unpark();
    ensure!(thread.join().is_ok(), "the reader has failed");
    took.iter_mut().for_each(|took| took.sort_unstable_by(f64::total_cmp));
    let at = |took: &[f64], share: f64| {
        let at = (took.len() as f64 * share) as usize;
        took.get(at.min(took.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    };
    let [with, without] = &took;
    for (quantity, share) in WAIT {
        let alone = Rival {
            name: "without a reader",
            value: at(without, share),
        };
        report.push("with-reader", quantity, at(with, share), alone);
    }
    let scans = reader.hosts.load(Ordering::Acquire) as f64 / read_s;
    let each_second = Rival {
        name: "all hosts a second",
        value: HOSTS as f64,
    };
    report.push("with-reader", SCANS, scans, each_second);
    Ok(())
}

/// Goes through all hosts while it is to.
#[derive(Default)]
struct Reader {
    reads: AtomicBool,
    ends: AtomicBool,
    /// Hosts that were read.
    hosts: AtomicU64,
}

impl Reader {
    fn run(&self, past: &dyn SeriesSource) {
        let hosts: Vec<String> = (0..HOSTS).map(|host| format!("host-{host}")).collect();
        for host in hosts.iter().cycle() {
            while !self.reads.load(Ordering::Acquire) && !self.ends.load(Ordering::Acquire) {
                thread::park();
            }
            if self.ends.load(Ordering::Acquire) {
                return;
            }
            black_box(past.series(host, Resource::Cpu, 0));
            black_box(past.recent(host, Vantage::Inband, &[Channel::Cpu.metric()], UnixMs::MIN));
            self.hosts.fetch_add(1, Ordering::AcqRel);
        }
    }
}
