//! A bar on a terminal while something takes long, on standard error; nothing where nobody watches.

use std::{
    io::{IsTerminal, Write},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// How wide the bar is.
const WIDTH: usize = 30;

/// The shortest time between two drawings.
const PAUSE_MS: u64 = 100;

/// How far something is.
#[derive(Debug)]
pub struct Bar {
    begun: Instant,
    /// When it is drawn next, after the begin.
    next_ms: AtomicU64,
    watched: bool,
}

impl Default for Bar {
    fn default() -> Self {
        Self::new()
    }
}

impl Bar {
    /// Nothing is drawn yet.
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            next_ms: AtomicU64::new(0),
            watched: std::io::stderr().is_terminal(),
        }
    }

    /// So many of so many are done. At the end the line is empty again.
    pub fn tell(&self, done: usize, of: usize, what: &str) {
        let now_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = done >= of;
        if !self.watched || (!last && now_ms < self.next_ms.load(Ordering::Relaxed)) {
            return;
        }
        // Of an empty line nothing is left to clear.
        self.next_ms
            .store(if last { 0 } else { now_ms + PAUSE_MS }, Ordering::Relaxed);
        let line = if last { String::new() } else { drawn(done, of, what) };
        let mut out = std::io::stderr();
        // A terminal that is gone is no reason to stop.
        drop(write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush()));
    }
}

impl Drop for Bar {
    /// Whatever ends the work leaves no half line behind.
    fn drop(&mut self) {
        if self.watched && self.next_ms.load(Ordering::Relaxed) > 0 {
            self.tell(0, 0, "");
        }
    }
}

fn drawn(done: usize, of: usize, what: &str) -> String {
    let filled = WIDTH * done.min(of) / of.max(1);
    let bar = "=".repeat(filled) + &" ".repeat(WIDTH - filled);
    format!("[{bar}] {done} of {of} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        assert_eq!(
            drawn(50, 200, "rows"),
            format!("[{}{}] 50 of 200 rows", "=".repeat(7), " ".repeat(23))
        );
        assert!(drawn(0, 0, "rows").starts_with("[ "));
        assert!(drawn(9, 3, "rows").starts_with(&format!("[{}]", "=".repeat(30))));
    }
}
