//! How much memory a host takes in the hot store with the default settings: 62 metrics, ten samples a second.

#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that meets what it does not expect is to fail there and then, and this one tells what it measures"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use brain::intake::Intake;
use bytes::Bytes;
use shadow::{
    Birth, Block, Catalogue, Channel, Metric, Reading, UnixMs,
    codec::Encoder,
    metric::channel_metric,
    wire::{encode_birth, encode_frame},
};

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts what is in use as the C library does: eight bytes more each, in multiples of 16.
struct Counting;

fn taken(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

// SAFETY: every call goes to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(taken(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(taken(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(taken(size), Ordering::Relaxed);
        LIVE.fetch_sub(taken(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a host may take in the hot store.
const MOST: usize = 512 << 10;
/// What the frames of a saturated host have: 3.66 % of packed doubles (docs/benchmarks.md).
const SATURATED_BYTES: usize = 185;
/// The one that always had a link, and the one that has lost it for a while twice.
const LINKED: usize = 0;
const CUT_OFF: usize = 1;
const BOTH: [usize; 2] = [LINKED, CUT_OFF];
const METRICS: usize = 62;
const START_MS: UnixMs = 1_764_000_000_000;
const DAY_S: i64 = 86_400;
/// The recent window, a chain more, and some.
const FULL_RATE_S: i64 = 1_020;
/// What was told in an outage comes when there is a link again, so many frames a second (`RESEND_PER_S` of the agent).
const RESENT: usize = 200;
/// How long the outages lasted.
const OUTAGE_S: i64 = 1_200;

/// A host whose values move: shares by `noise`, rates by as many parts of them.
struct Host {
    catalogue: Catalogue,
    noise: f64,
    state: u64,
}

impl Host {
    fn new(noise: f64) -> Self {
        let channels = Channel::ALL.into_iter().map(channel_metric);
        let shares = (0..27).map(|i| Metric::share(format!("cpu.{i}.busy")));
        let rates = (27..55).map(|i| Metric::rate(format!("network.{i}.rx"), "By/s", 100.0));
        let catalogue = Catalogue::new(channels.chain(shares).chain(rates).collect());
        assert_eq!(catalogue.len(), METRICS);
        Self {
            catalogue,
            noise,
            state: 1,
        }
    }

    /// Between -1 and 1, mostly near 0.
    fn random(&mut self) -> f64 {
        let mut uniform = || {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.state >> 40) as f64 / (1_u64 << 24) as f64
        };
        (0..4).map(|_| uniform()).sum::<f64>() / 2.0 - 1.0
    }

    fn sample(&mut self) -> Vec<Reading> {
        let value = |(at, moved): (usize, f64)| match at {
            0 | 1 | 7..34 => 0.5 + moved,
            _ => 1e6 * (1.0 + moved),
        };
        let moved: Vec<f64> = (0..METRICS).map(|_| self.noise * self.random()).collect();
        let values = moved.into_iter().enumerate().map(value);
        values.map(Reading::new).collect()
    }

    /// Frames of `samples` samples each, `step_ms` apart, over `seconds` from `start_ms` on.
    fn frames(&mut self, start_ms: UnixMs, seconds: i64, samples: i64, step_ms: i64) -> Vec<(UnixMs, Bytes)> {
        let mut encoder = Encoder::new(&self.catalogue);
        let mut frames = Vec::new();
        for at in 0..seconds * 1_000 / (samples * step_ms) {
            let mut block = Block::new(&self.catalogue);
            for i in 0..samples {
                block.push(start_ms + (at * samples + i) * step_ms, &self.sample());
            }
            let frame = encoder.frame(start_ms as u64 * 1_000, at as u64, &block).unwrap();
            frames.push((*block.times_ms.last().unwrap(), encode_frame(&frame).into()));
        }
        frames
    }
}

fn topic(host: usize, kind: &str) -> String {
    format!("foreshadow/main/host-{host}/bin/inband/{kind}")
}

/// Lets `hosts` be born at `start_ms`.
fn born(brain: &mut Intake, host: &Host, hosts: &[usize], start_ms: UnixMs) {
    let birth = Birth {
        epoch: start_ms as u64 * 1_000,
        time_ms: start_ms,
        catalogue: host.catalogue.clone(),
        ..Birth::default()
    };
    let birth: Bytes = encode_birth(&birth).into();
    let tell = |host: &usize| brain.message(topic(*host, "birth"), birth.clone(), start_ms);
    hosts.iter().for_each(tell);
}

/// Lets both hosts tell `frames`, with a tick each `every_ms`.
fn tell(brain: &mut Intake, host: &Host, start_ms: UnixMs, frames: &[(UnixMs, Bytes)], every_ms: i64) {
    born(brain, host, &BOTH, start_ms);
    let mut ticked_ms = start_ms;
    for (newest_ms, frame) in frames {
        for host in BOTH {
            brain.message(topic(host, "delta"), frame.clone(), *newest_ms);
        }
        if newest_ms - ticked_ms >= every_ms {
            brain.tick(*newest_ms);
            brain.settle();
            ticked_ms = *newest_ms;
        }
    }
}

/// Lets the host that was cut off send `OUTAGE_S` of frames from `start_ms` on, with a tick each second but the last, when
/// most is in memory.
fn resend(brain: &mut Intake, host: &mut Host, start_ms: UnixMs, now_ms: &mut UnixMs) {
    let frames = host.frames(start_ms, OUTAGE_S, 10, 100);
    born(brain, host, &[CUT_OFF], start_ms);
    for second in frames.chunks(RESENT) {
        brain.tick(*now_ms);
        brain.settle();
        *now_ms += 1_000;
        for (_, frame) in second {
            brain.message(topic(CUT_OFF, "delta"), frame.clone(), *now_ms);
        }
    }
}

/// What a host takes after a day and a full recent window.
struct Measured {
    /// Bytes in the hot store.
    hot: usize,
    /// The same while it sends what it has told in outages.
    resending: usize,
    /// Bytes of a frame of a second.
    frame: usize,
    /// Seconds at full rate that are kept.
    seconds: usize,
}

fn measure(noise: f64) -> Measured {
    let mut host = Host::new(noise);
    // A day of few samples fills rows and minutes; then the full rate fills the recent window.
    let day = host.frames(START_MS - DAY_S * 1_000, DAY_S - OUTAGE_S, 1, 10_000);
    let full = host.frames(START_MS, FULL_RATE_S, 10, 100);
    let frame = full.iter().map(|(_, frame)| frame.len()).sum::<usize>() / full.len();

    let empty = LIVE.load(Ordering::Relaxed);
    let mut brain = Intake::new(START_MS - DAY_S * 1_000).unwrap();
    tell(&mut brain, &host, START_MS - DAY_S * 1_000, &day, 7_200_000);
    tell(&mut brain, &host, START_MS, &full, 10_000);
    let mut told = (day.len() + full.len()) * BOTH.len();
    assert_eq!(brain.frames(), told as u64);
    let all = LIVE.load(Ordering::Relaxed) - empty;
    let recent = brain
        .past()
        .recent("host-0", shadow::Vantage::Inband, &["host.cpu"], START_MS);
    let seconds = recent.unwrap().times_ms.len() / 10;
    let hot = forgotten(&mut brain, LINKED);
    // Rows and minutes that are known come late; then minutes that are a day old, and older ones of which memory knows nothing.
    let mut now_ms = START_MS + FULL_RATE_S * 1_000;
    let (late_ms, long_ago_ms) = (START_MS - OUTAGE_S * 1_000, now_ms - (DAY_S + OUTAGE_S / 2) * 1_000);
    for start_ms in [late_ms, long_ago_ms] {
        resend(&mut brain, &mut host, start_ms, &mut now_ms);
    }
    told += 2 * usize::try_from(OUTAGE_S).unwrap();
    assert_eq!(brain.frames(), told as u64);
    let resending = forgotten(&mut brain, CUT_OFF);
    let all = all / BOTH.len();
    println!(
        "{hot} bytes a host in the hot store, {resending} after outages, {all} in the whole brain; {seconds} s of frames of \
         {frame} bytes"
    );
    Measured {
        hot,
        resending,
        frame,
        seconds,
    }
}

/// What a host took in the hot store.
fn forgotten(brain: &mut Intake, host: usize) -> usize {
    let before = LIVE.load(Ordering::Relaxed);
    brain.forget_past(&format!("host-{host}"));
    before - LIVE.load(Ordering::Relaxed)
}

#[test]
fn a_host_takes_at_most_512_kb_in_the_hot_store() {
    let busy = measure(0.006);
    assert!(
        busy.frame >= SATURATED_BYTES,
        "{} bytes are not those of a busy host",
        busy.frame
    );
    assert!(busy.seconds >= 900, "{} s", busy.seconds);
    assert!(
        busy.hot <= MOST && busy.resending <= MOST,
        "{} bytes, {} after outages",
        busy.hot,
        busy.resending
    );
    // One whose frames are far larger keeps fewer of them.
    let wild = measure(0.5);
    assert!(
        wild.frame > 3 * SATURATED_BYTES && wild.seconds < 900,
        "{} bytes",
        wild.frame
    );
    assert!(
        wild.hot <= MOST && wild.resending <= MOST,
        "{} bytes, {} after outages",
        wild.hot,
        wild.resending
    );
}
