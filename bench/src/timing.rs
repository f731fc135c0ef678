//! Times of several tasks that take turns, so that whatever else the machine does hits all of them. Time is the
//! processor's, spent by the thread at hand: waiting for a processor that others use does not count.

use rustix::time::{ClockId, clock_gettime};

/// A thread's processor time since a moment.
pub(crate) struct Stopwatch(f64);

impl Stopwatch {
    /// Since now.
    pub(crate) fn start() -> Self {
        Self(thread_ns())
    }

    /// Nanoseconds that this thread has spent since.
    pub(crate) fn ns(&self) -> f64 {
        thread_ns() - self.0
    }
}

fn thread_ns() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// The median over `rounds` of each task's time for one call, in nanoseconds. One round goes uncounted.
pub(crate) fn medians_ns<const N: usize>(rounds: usize, mut tasks: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut times = [(); N].map(|()| Vec::with_capacity(rounds));
    for round in 0..=rounds {
        for (task, times) in tasks.iter_mut().zip(&mut times) {
            let watch = Stopwatch::start();
            task();
            if round > 0 {
                times.push(watch.ns());
            }
        }
    }
    times.map(median)
}

/// The middle one; NaN of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn tasks_take_turns() {
        let calls = RefCell::new(String::new());
        let mut first = || calls.borrow_mut().push('a');
        let mut second = || calls.borrow_mut().push('b');
        let times = medians_ns(2, [&mut first, &mut second]);
        assert!(times.iter().all(|time| *time >= 0.0));
        assert_eq!(calls.into_inner(), "ababab");
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
