//! Slow sources: each is read in a thread of its own, so that one that hangs costs its own readings and nothing else.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    thread,
    time::Duration,
};

use runtime::Clock;

use super::Place;
use crate::error::ProbeError;

/// Readers are shallow; what they read is on the heap.
const STACK_BYTES: usize = 256 << 10;

/// How long the opening of a source may wait for its first report. It is spent at start and at a refresh, not between
/// two samples.
const FIRST: Duration = Duration::from_millis(250);

/// A thread that reads a source again and again, and what it reports.
///
/// At most one report waits to be taken; until then the thread rests. Dropping the worker ends the thread after the
/// round that it is in, without waiting for it.
pub(super) struct Worker<T> {
    reports: Receiver<T>,
    /// Nothing is ever sent: its end is heard.
    _stop: SyncSender<()>,
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
        mut round: impl FnMut(u64) -> T + Send + 'static,
    ) -> Result<Self, ProbeError> {
        let (report, reports) = sync_channel(1);
        let (stop, stopped) = sync_channel::<()>(0);
        let clock = Clock::system();
        let work = move || {
            while report.send(round(clock.monotonic_ns())).is_ok() {
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        let started = thread.spawn(work);
        started.map_err(|fault| ProbeError::io(&place.root, fault))?;
        Ok(Self { reports, _stop: stop })
    }

    /// The first report, if it comes soon.
    pub(super) fn first(&self) -> Option<T> {
        self.reports.recv_timeout(FIRST).ok()
    }

    /// What was reported since the last call, if anything.
    ///
    /// # Errors
    /// [`ProbeError`] when the thread has ended, which only a panic does.
    pub(super) fn take(&self, place: &Place) -> Result<Option<T>, ProbeError> {
        match self.reports.try_recv() {
            Ok(report) => Ok(Some(report)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(ProbeError::format(&place.root, "its reader has ended by a panic")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::probe::tree::Tree;

    const SOON: Duration = Duration::from_millis(1);

    #[test]
    fn reports_come_until_the_worker_goes() {
        let place = Tree::new(&[]).place();
        let (ended, end) = channel::<()>();
        let mut rounds = 0;
        let round = move |_| {
            let _held = &ended;
            rounds += 1;
            rounds
        };
        let worker = Worker::start(&place, "test", SOON, round).unwrap();
        assert_eq!(worker.first(), Some(1));
        assert_eq!(worker.first(), Some(2));
        drop(worker);
        assert!(end.recv().is_err(), "the thread ends and drops what it holds");
    }

    #[test]
    fn a_source_that_hangs_or_panics_costs_nobody_else() {
        let place = Tree::new(&[]).place();
        let (go, gate) = channel::<()>();
        let worker = Worker::start(&place, "hangs", SOON, move |_| gate.recv().is_ok()).unwrap();
        assert!(worker.take(&place).unwrap().is_none());
        drop(go);
        assert_eq!(worker.first(), Some(false));
        let round = |_| -> u32 { panic!("as a test does") };
        let worker = Worker::start(&place, "panics", SOON, round).unwrap();
        while worker.take(&place).is_ok() {
            thread::yield_now();
        }
    }
}
