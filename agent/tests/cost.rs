//! What a sample of this very machine costs: nothing is allocated, and each file is read once.

#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    path::PathBuf,
};

use agent::{
    act::dry_run::DryRun,
    config::Probes,
    probe::{Place, ProbeSet},
    publish::{Publisher, Settings},
};
use runtime::Clock;
use shadow::Birth;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts by thread what it is asked for.
struct Counting;

// SAFETY: every call goes to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TICK_NS: u64 = 100_000_000;
const TICKS: u64 = 100;

/// Probes of every sample. What else runs here may come and go meanwhile, so others are left out.
fn fast() -> ProbeSet {
    let off = [
        "paging", "numa", "power", "workload", "bmc", "pci", "edac", "thermal", "msr", "agent",
    ];
    let config = Probes {
        off: off.map(str::to_owned).into(),
        ..Probes::default()
    };
    ProbeSet::open(Place::new(PathBuf::from("/"), config))
}

#[test]
fn a_sample_allocates_nothing() {
    let mut probes = fast();
    for tick in 0..20 {
        probes.sample(tick * TICK_NS);
    }
    let before = ALLOCATIONS.get();
    let mut read = 0;
    for tick in 20..20 + TICKS {
        read += probes.sample(tick * TICK_NS).len();
        assert!(probes.take_findings().is_empty());
    }
    assert!(read > 0);
    assert_eq!(ALLOCATIONS.get() - before, 0, "in {TICKS} samples");
}

#[test]
fn a_sample_that_is_put_on_tape_and_read_later_allocates_nothing_either() {
    let mut probes = fast();
    let mut round = |first: u64| {
        for number in 0..10 {
            assert!(probes.record(number, (first + number as u64) * TICK_NS));
        }
        for number in 0..10 {
            probes.play(number, (first + number as u64) * TICK_NS);
        }
    };
    (0..3).for_each(|tens| round(tens * 10));
    let before = ALLOCATIONS.get();
    (3..13).for_each(|tens| round(tens * 10));
    assert_eq!(ALLOCATIONS.get() - before, 0, "in a hundred samples");
}

/// The publisher's own tasks do not run meanwhile.
#[tokio::test]
async fn a_sample_on_its_way_into_a_frame_allocates_nothing_either() {
    let mut probes = fast();
    let broker = bus::Broker::new("127.0.0.1", 1);
    let topics = bus::Topics::new("foreshadow", "test").unwrap();
    let settings = Settings::new(topics, "web-1", broker);
    let mut publisher = Publisher::start(settings, DryRun::detached(), Clock::system()).unwrap();
    publisher.begin(Birth {
        catalogue: probes.catalogue().clone(),
        ..Birth::default()
    });
    let (mut between, mut cutting) = (0, 0);
    let mut frames = 0;
    for tick in 0..20 + TICKS {
        let before = ALLOCATIONS.get();
        let row = probes.sample(tick * TICK_NS);
        let time_ms = i64::try_from(tick * TICK_NS / 1_000_000).unwrap();
        publisher.push_rated(time_ms, 100_000, row).unwrap();
        let allocated = ALLOCATIONS.get() - before;
        let cut = std::mem::replace(&mut frames, publisher.counters().frames) < frames;
        match tick {
            0..20 => {}
            _ if cut => cutting += allocated,
            _ => between += allocated,
        }
    }
    assert!((11..=13).contains(&frames), "one a second: {frames}");
    assert_eq!(between, 0, "in samples that end no frame");
    assert!(cutting <= 10 * 40, "{cutting} in ten frames");
}

#[test]
fn a_sample_reads_each_file_once() {
    let Some(_) = reads() else {
        return eprintln!("SKIPPED: this kernel does not count reads (/proc/thread-self/io)");
    };
    let mut probes = fast();
    probes.sample(0);
    let before = reads().unwrap();
    for tick in 1..=TICKS {
        probes.sample(tick * TICK_NS);
    }
    let reads = reads().unwrap() - before;
    // stat, cpuacct, meminfo, net/dev, diskstats, three of pressure, loadavg.
    let files = 9;
    assert!(reads <= TICKS * (files + 2), "{reads} reads in {TICKS} samples");
}

/// Calls of read and its like by this thread so far; `None` where they are not counted.
fn reads() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/io").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("syscr: "));
    line?.parse().ok()
}
