//! Wakes up at a moment, once.
//!
//! tokio's timers lie on wheels: one that is further away than 64 ms wakes the process up to be moved to a finer wheel, and
//! again when it is due. At ten samples a second that would double the wake-ups, which cost as much as the reading does.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{Instant, sleep_until},
};

/// A timer of the kernel (`timerfd_create(2)`), or tokio's where there is none.
pub(crate) struct Alarm(Option<AsyncFd<OwnedFd>>);

impl Alarm {
    /// Must be called within a tokio runtime.
    #[expect(
        deprecated,
        reason = "unsound for types whose descriptor may change under tokio's eyes; an OwnedFd keeps its own"
    )]
    pub(crate) fn new() -> Self {
        let fd = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        );
        let watched = fd
            .map_err(io::Error::from)
            .and_then(|fd| AsyncFd::with_interest(fd, Interest::READABLE));
        if let Err(fault) = &watched {
            tracing::warn!(%fault, "no timer of the kernel: waking up costs more");
        }
        Self(watched.ok())
    }

    /// Returns at `moment`. May be given up and called anew.
    pub(crate) async fn until(&self, moment: Instant) {
        let Some(watched) = &self.0 else {
            return sleep_until(moment).await;
        };
        // One that rings early, as timers of emulated processors do by a little, is set once more.
        while let Some(left) = moment
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            if set(watched.get_ref(), left).is_err() || rings(watched).await.is_err() {
                return sleep_until(moment).await;
            }
        }
    }
}

/// Returns when the timer has expired since it was set; what it did before that is forgotten by setting it.
async fn rings(timer: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut expirations = [0; 8];
    loop {
        let mut ready = timer.readable().await?;
        match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut expirations)?)) {
            Ok(read) => return read.map(drop),
            Err(_not_ready) => {}
        }
    }
}

/// A time of zero would switch it off.
fn set(fd: &OwnedFd, after: Duration) -> io::Result<()> {
    let after = after.max(Duration::from_nanos(1));
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    let timer = Itimerspec {
        it_interval: none,
        it_value: Timespec {
            tv_sec: after.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: after.subsec_nanos().into(),
        },
    };
    timerfd_settime(fd, TimerfdTimerFlags::empty(), &timer)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_wakes_at_its_moment_and_forgets_those_given_up() {
        let alarm = Alarm::new();
        assert!(alarm.0.is_some());
        let begin = Instant::now();
        alarm.until(begin).await;
        for ms in [1, 70, 3] {
            let moment = Instant::now() + Duration::from_millis(ms);
            // One that is given up, sooner and later.
            for other in [Duration::ZERO, Duration::from_mins(1)] {
                tokio::select! {
                    biased;
                    () = std::future::ready(()) => {}
                    () = alarm.until(Instant::now() + other) => {}
                }
            }
            alarm.until(moment).await;
            assert!(Instant::now() >= moment);
        }
    }
}
