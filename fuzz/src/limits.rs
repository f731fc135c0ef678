//! What a decoder is held to besides not to panic: 64 MB of memory, 50 ms of processor time, and that what it has
//! read is written and read again as the same.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fmt::Debug,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use rustix::time::{ClockId, clock_gettime};
use shadow::WireError;

/// The most bytes that may be allocated at any time.
const MOST_BYTES: usize = 64_000_000;

/// The longest that one input may take, in nanoseconds of its thread: what others do on the machine does not count.
const LONGEST_NS: i64 = 50_000_000;

#[global_allocator]
static CAPPED: Capped = Capped(AtomicUsize::new(0));

/// The system's allocator, which has no more than [`MOST_BYTES`]: an allocation past them fails, and so ends the run.
struct Capped(AtomicUsize);

impl Capped {
    /// Takes `bytes` from what is left.
    fn take(&self, bytes: usize) -> bool {
        let before = self.0.fetch_add(bytes, Relaxed);
        let fits = before.saturating_add(bytes) <= MOST_BYTES;
        if !fits {
            self.give(bytes);
        }
        fits
    }

    fn give(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }
}

// SAFETY: every block comes from `System` and goes back to it with the layout that it was asked for with; the counter
// beside it is not memory. `alloc_zeroed` and `realloc` are the trait's own, made of these two.
unsafe impl GlobalAlloc for Capped {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !self.take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps to the contract of `GlobalAlloc::alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.give(layout.size());
        // SAFETY: the caller keeps to the contract of `GlobalAlloc::dealloc`, and `block` came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}

/// How often an input may take too long before that is a fault: a virtual processor that its host has stopped for a
/// while counts the while as its thread's, so one slow time proves nothing. What is slow by itself is slow each time.
const TRIES: u32 = 3;

/// Does `work`, which may take [`LONGEST_NS`]; again, where it took longer.
///
/// # Panics
/// When each of [`TRIES`] times has taken longer.
pub fn in_time(work: impl Fn()) {
    let mut least = i64::MAX;
    for _ in 0..TRIES {
        let began = spent_ns();
        work();
        least = least.min(spent_ns() - began);
        if least <= LONGEST_NS {
            return;
        }
    }
    panic!("{} ms of processor time, at the least of {TRIES} times", least / 1_000_000);
}

/// Reads a message; one that is taken must be written in about as many bytes, and read again as the same.
///
/// # Panics
/// When it is not, or takes too long.
pub fn round_trip<T: PartialEq + Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, WireError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    in_time(|| {
        let Ok(message) = decode(bytes) else { return };
        let written = encode(&message);
        // Parts that were not there may be written as empty ones.
        assert!(
            written.len() <= 2 * bytes.len() + 64,
            "{} became {}",
            bytes.len(),
            written.len()
        );
        assert_eq!(decode(&written).as_ref(), Ok(&message));
    });
}

fn spent_ns() -> i64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec * 1_000_000_000 + spent.tv_nsec
}
