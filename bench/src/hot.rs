//! The hot store: how long readers keep its writer waiting. What memory it takes is counted by `brain/tests/memory.rs`.
//!
//! A recording is told by many hosts at once, in frames of a second, to a brain without bus, database and page. In turns of
//! one second of all hosts, a reader in another thread goes through all of them or rests. A thread that waits for a lock
//! gives its processor up, which the kernel counts apart from processors that are taken away: so waits can be counted on a
//! machine with other work.

use std::{
    fs,
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
    recording::{self, Levels},
    report::{Quantity, Report, Rival},
};

/// Hosts that a reader goes through.
const HOSTS: usize = 1_000;
/// Seconds that all hosts have told before the reader begins, and with and without it in turns.
const SECONDS: (usize, usize) = (20, 20);
/// How long messages take, by their share in thousandths.
const MESSAGES: [(Quantity, usize); 3] = [
    (of_a_message("message_p50"), 500),
    (of_a_message("message_p99"), 990),
    (of_a_message("message_most"), 1_000),
];
const WAITS: Quantity = Quantity {
    metric: "waits_per_million",
    unit: "1",
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

    fn topic(host: usize, kind: &str) -> String {
        format!("foreshadow/main/host-{host}/bin/inband/{kind}")
    }

    fn born(&self, brain: &mut Intake, hosts: usize) {
        let birth = Bytes::from(wire::encode_birth(&self.birth));
        for host in 0..hosts {
            brain.message(Self::topic(host, "birth"), birth.clone(), self.birth.time_ms);
        }
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
    let mut waited = [0_u32; 2];
    for turn in 0..2 * SECONDS.1 {
        let reads = turn % 2 == 0;
        reader.reads.store(reads, Ordering::Release);
        thread.thread().unpark();
        let second = SECONDS.0 + turn;
        let before = waits_so_far()?;
        let of_second = full.tell(&mut brain, HOSTS, second..second + 1, usize::MAX);
        let mut kinds = took.iter_mut().zip(&mut waited);
        let (took, waited) = kinds.nth(turn % 2).context("two kinds")?;
        took.extend(of_second);
        *waited += waits_so_far()? - before;
    }
    reader.ends.store(true, Ordering::Release);
    thread.thread().unpark();
    ensure!(thread.join().is_ok(), "the reader has failed");
    ensure!(reader.hosts.load(Ordering::Acquire) > 0, "nothing was read");
    let mut push = |quantity, [ours, value]: [f64; 2]| {
        let name = "without a reader";
        report.push("with-reader", quantity, ours, Rival { name, value });
    };
    for took in &mut took {
        took.sort_unstable_by(f64::total_cmp);
    }
    for (quantity, per_mille) in MESSAGES {
        let last = |took: &Vec<f64>| took.len().saturating_sub(1) * per_mille / 1_000;
        let at = |took: &Vec<f64>| took.get(last(took)).copied().unwrap_or(f64::NAN);
        push(quantity, took.each_ref().map(at));
    }
    let messages = (HOSTS * SECONDS.1) as f64;
    push(WAITS, waited.map(|waits| f64::from(waits) * 1e6 / messages));
    Ok(())
}

/// How often this thread has given its processor up: for a lock, or for whatever else it has waited.
fn waits_so_far() -> anyhow::Result<u32> {
    let text = fs::read_to_string("/proc/thread-self/status")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    Ok(line.context("no voluntary_ctxt_switches")?.trim().parse()?)
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
