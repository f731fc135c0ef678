//! Slow sources: each is read in a thread of its own, so that one that hangs costs its own readings and nothing else.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use runtime::Clock;
use shadow::{Finding, Reading};

use super::{Place, put};
use crate::error::ProbeError;

/// Readers are shallow; what they read is on the heap.
const STACK_BYTES: usize = 256 << 10;

/// How long a start may wait for the first report of a source.
const FIRST: Duration = Duration::from_millis(250);

/// The most findings that wait to be taken; later ones are lost, as the agent would not tell that many.
const MAX_WAITING: usize = 1_024;

/// What one round has read.
#[derive(Debug, Default)]
pub(super) struct Report<T = ()> {
    /// In the order of the probe's metrics.
    pub(super) readings: Vec<Reading>,
    pub(super) findings: Vec<Finding>,
    /// Whatever else the probe wants of its worker.
    pub(super) more: T,
}

impl<T> Report<T> {
    /// Takes over a later report: its readings, and all findings.
    fn merge(&mut self, later: Self) {
        self.readings = later.readings;
        self.more = later.more;
        let room = MAX_WAITING.saturating_sub(self.findings.len());
        self.findings.extend(later.findings.into_iter().take(room));
    }
}

/// A thread that reads a source again and again.
///
/// Reports that nobody takes become one, with the latest readings. Dropping the worker ends the thread after the round
/// that it is in, without waiting for it.
pub(super) struct Worker<T = ()> {
    shelf: Arc<Shelf<T>>,
    thread: JoinHandle<()>,
    /// Nothing is ever sent: its end is heard.
    _stop: SyncSender<()>,
}

/// Where a report waits. It is never locked while a source is read.
struct Shelf<T> {
    waiting: Mutex<Option<Report<T>>>,
    filled: Condvar,
}

impl<T> Shelf<T> {
    fn lock(&self) -> MutexGuard<'_, Option<Report<T>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, report: Report<T>) {
        let mut waiting = self.lock();
        match waiting.as_mut() {
            Some(earlier) => earlier.merge(report),
            None => *waiting = Some(report),
        }
        self.filled.notify_all();
    }
}

impl<T: Send + 'static> Worker<T> {
    /// Calls `round` at once and then at distances of `every`, with nanoseconds that never fall.
    ///
    /// # Errors
    /// [`ProbeError`] when the system gives no thread.
    pub(super) fn start(
        place: &Place,
        name: &str,
        every: Duration,
        mut round: impl FnMut(u64) -> Report<T> + Send + 'static,
    ) -> Result<Self, ProbeError> {
        let shelf = Arc::new(Shelf {
            waiting: Mutex::new(None),
            filled: Condvar::new(),
        });
        let (stop, stopped) = sync_channel::<()>(0);
        let (clock, filled) = (Clock::system(), Arc::clone(&shelf));
        let work = move || {
            loop {
                filled.fill(round(clock.monotonic_ns()));
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        let thread = thread.spawn(work).map_err(|fault| ProbeError::io(&place.root, fault))?;
        Ok(Self {
            shelf,
            thread,
            _stop: stop,
        })
    }

    /// Waits a moment for the first report; it is left to be taken.
    pub(super) fn await_first(&self) {
        let empty = |waiting: &mut Option<Report<T>>| waiting.is_none();
        drop(self.shelf.filled.wait_timeout_while(self.shelf.lock(), FIRST, empty));
    }

    /// Writes the readings that are new to `out`, [`Reading::STALE`] where there are none, adds findings to `findings`,
    /// and returns the rest of the report.
    ///
    /// # Errors
    /// [`ProbeError`] when the thread has ended, which only a panic does.
    pub(super) fn take(
        &self,
        place: &Place,
        out: &mut [Reading],
        findings: &mut Vec<Finding>,
    ) -> Result<Option<T>, ProbeError> {
        out.fill(Reading::STALE);
        let Some(report) = self.shelf.lock().take() else {
            if self.thread.is_finished() {
                return Err(ProbeError::format(&place.root, "its reader has ended by a panic"));
            }
            return Ok(None);
        };
        put(out, report.readings);
        findings.extend(report.findings);
        Ok(Some(report.more))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::probe::tree::Tree;

    const SOON: Duration = Duration::from_millis(1);

    fn report(value: f64) -> Report {
        Report {
            readings: vec![Reading::new(value)],
            findings: vec![Finding {
                source: "test".to_owned(),
                subject: value.to_string(),
                kind: "round".to_owned(),
                severity: shadow::Severity::Info,
                text: String::new(),
                details: Vec::new(),
            }],
            more: (),
        }
    }

    fn take(worker: &Worker, place: &Place) -> Result<(Reading, usize), ProbeError> {
        let (mut out, mut findings) = ([Reading::FAILED], Vec::new());
        worker.take(place, &mut out, &mut findings)?;
        Ok((out[0], findings.len()))
    }

    #[test]
    fn the_latest_readings_and_all_findings_wait_until_they_are_taken() {
        let place = Tree::new(&[]).place();
        let (done, rounds) = channel();
        let (go, gate) = channel::<()>();
        let round = move |_| {
            let value = f64::from(gate.recv().is_ok());
            done.send(()).unwrap();
            report(value)
        };
        let worker = Worker::start(&place, "test", SOON, round).unwrap();
        assert_eq!(take(&worker, &place).unwrap(), (Reading::STALE, 0), "it hangs");
        go.send(()).unwrap();
        drop(go);
        // The third round begins when the second report is on the shelf.
        (0..3).for_each(|_| rounds.recv().unwrap());
        let (reading, findings) = take(&worker, &place).unwrap();
        assert_eq!(reading, Reading::new(0.0));
        assert!(findings >= 2);
        drop(worker);
        while rounds.recv().is_ok() {}
    }

    #[test]
    fn a_panic_is_a_fault() {
        let place = Tree::new(&[]).place();
        let worker: Worker = Worker::start(&place, "panics", SOON, |_| panic!("as a test does")).unwrap();
        while take(&worker, &place).is_ok() {
            thread::yield_now();
        }
    }
}
