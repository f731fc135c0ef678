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
const HOSTS: usize = 2;
const METRICS: usize = 62;
const START_MS: UnixMs = 1_764_000_000_000;
const DAY_S: i64 = 86_400;
/// The recent window, a chain more, and some.
const FULL_RATE_S: i64 = 1_020;

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

/// Lets all hosts tell `frames`, with a tick each `every_ms`.
fn tell(brain: &mut Intake, host: &Host, start_ms: UnixMs, frames: &[(UnixMs, Bytes)], every_ms: i64) {
    let birth = Birth {
        epoch: start_ms as u64 * 1_000,
        time_ms: start_ms,
        catalogue: host.catalogue.clone(),
        ..Birth::default()
    };
    let birth: Bytes = encode_birth(&birth).into();
    (0..HOSTS).for_each(|host| brain.message(topic(host, "birth"), birth.clone(), start_ms));
    let mut ticked_ms = start_ms;
    for (newest_ms, frame) in frames {
        (0..HOSTS).for_each(|host| brain.message(topic(host, "delta"), frame.clone(), *newest_ms));
        if newest_ms - ticked_ms >= every_ms {
            brain.tick(*newest_ms);
            brain.settle();
            ticked_ms = *newest_ms;
        }
    }
}

/// What a host takes after a day and a full recent window.
struct Measured {
    /// Bytes in the hot store.
    hot: usize,
    /// Bytes of a frame of a second.
    frame: usize,
    /// Seconds at full rate that are kept.
    seconds: usize,
}

fn measure(noise: f64) -> Measured {
    let mut host = Host::new(noise);
    // A day of few samples fills rows and minutes; then the full rate fills the recent window.
    let day = host.frames(START_MS - DAY_S * 1_000, DAY_S, 1, 10_000);
    let full = host.frames(START_MS, FULL_RATE_S, 10, 100);
    let frame = full.iter().map(|(_, frame)| frame.len()).sum::<usize>() / full.len();

    let empty = LIVE.load(Ordering::Relaxed);
    let mut brain = Intake::new(START_MS - DAY_S * 1_000).unwrap();
    tell(&mut brain, &host, START_MS - DAY_S * 1_000, &day, 7_200_000);
    tell(&mut brain, &host, START_MS, &full, 10_000);
    assert_eq!(brain.frames(), ((day.len() + full.len()) * HOSTS) as u64);
    let all = LIVE.load(Ordering::Relaxed) - empty;
    let recent = brain
        .past()
        .recent("host-0", shadow::Vantage::Inband, &["host.cpu"], START_MS);
    let seconds = recent.unwrap().times_ms.len() / 10;
    brain.forget_past();
    let hot = all + empty - LIVE.load(Ordering::Relaxed);
    let (hot, all) = (hot / HOSTS, all / HOSTS);
    println!("{hot} bytes a host in the hot store, {all} in the whole brain; {seconds} s of frames of {frame} bytes");
    Measured { hot, frame, seconds }
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
    assert!(busy.hot <= MOST, "{} bytes", busy.hot);
    // One whose frames are far larger keeps fewer of them.
    let wild = measure(0.5);
    assert!(
        wild.frame > 3 * SATURATED_BYTES && wild.seconds < 900,
        "{} bytes",
        wild.frame
    );
    assert!(wild.hot <= MOST, "{} bytes", wild.hot);
}
