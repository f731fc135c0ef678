//! How far the clocks of agents are from the brain's, as far as frames can tell. Pure.
//!
//! A sample arrives some time after it was taken: its frame is filled first, then it travels, or waits in a spool. So of
//! all that arrived lately the least late one is looked at, and what it says is
//!
//! offset = time of the newest sample - time of arrival = how far the host's clock is ahead - delay
//!
//! A host that is ahead by more than its least delay shows so for certain, and by how much at least. One that is behind
//! cannot be told from one whose frames all come late: an offset below 0 is a bound on both together. Frames of a second
//! on a good network are late by some tenths of a second.

use shadow::{Finding, Severity, UnixMs};

/// For how long an arrival counts: one of two halves, the newer of which is being filled.
const HALF_NS: u64 = 30_000_000_000;

/// The clock of one agent.
#[derive(Debug, Default)]
pub(crate) struct Skew {
    begun_ns: u64,
    /// The largest offset of the half that runs, and of the one before.
    halves: [Option<i64>; 2],
    flagged: bool,
}

/// What changes with an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The offset is past the limit now.
    Skewed(i64),
    /// It is well within again.
    Mended(i64),
}

impl Turn {
    /// What is told of it.
    pub(crate) fn finding(self) -> Finding {
        let (kind, severity, offset_ms) = match self {
            Self::Skewed(offset_ms) => ("clock_skew", Severity::Warning, offset_ms),
            Self::Mended(offset_ms) => ("clock_right", Severity::Info, offset_ms),
        };
        let by_s = offset_ms.unsigned_abs() as f64 / 1_000.0;
        let text = if offset_ms > 0 {
            format!("at least {by_s:.1} s ahead of the brain's")
        } else {
            format!("behind the brain's, or its frames come late, by {by_s:.1} s")
        };
        Finding {
            source: "brain".to_owned(),
            subject: "system clock".to_owned(),
            kind: kind.to_owned(),
            severity,
            text,
            details: vec![("offset_ms".to_owned(), offset_ms.to_string())],
        }
    }
}

impl Skew {
    /// A frame whose newest sample was taken at `sample_ms` has come at `now_ms`. Past `limit_ms` the clock counts as
    /// skewed, until it is within half of that; 0 is no limit.
    pub(crate) fn arrived(
        &mut self,
        sample_ms: UnixMs,
        now_ms: UnixMs,
        monotonic_ns: u64,
        limit_ms: i64,
    ) -> Option<Turn> {
        let offset = sample_ms.saturating_sub(now_ms);
        let age_ns = monotonic_ns.saturating_sub(self.begun_ns);
        let whole = age_ns >= HALF_NS;
        if whole {
            let [newer, _] = self.halves;
            self.halves = [None, newer.filter(|_| age_ns < 2 * HALF_NS)];
            self.begun_ns = monotonic_ns;
        }
        let [newer, _] = &mut self.halves;
        *newer = Some(newer.map_or(offset, |known| known.max(offset)));
        // Of a half that has just begun little is known: what comes first may have waited for long.
        let settled = self.offset_ms().filter(|_| whole && limit_ms > 0)?;
        let (past, within) = (
            settled.saturating_abs() > limit_ms,
            settled.saturating_abs() <= limit_ms / 2,
        );
        match self.flagged {
            false if past => {
                self.flagged = true;
                Some(Turn::Skewed(settled))
            }
            true if within => {
                self.flagged = false;
                Some(Turn::Mended(settled))
            }
            _ => None,
        }
    }

    /// Milliseconds that the agent's clock is ahead, less the delay; `None` before the first frame.
    pub(crate) fn offset_ms(&self) -> Option<i64> {
        self.halves.iter().flatten().copied().max()
    }

    /// Whether it was found to be past the limit.
    pub(crate) const fn is_flagged(&self) -> bool {
        self.flagged
    }

    /// An epoch has begun: its clock may be another.
    pub(crate) fn begin(&mut self, monotonic_ns: u64) {
        self.halves = [None; 2];
        self.begun_ns = monotonic_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A frame a second, `offset(second)` ahead; the turns and when they came.
    fn turns(seconds: u64, offset: impl Fn(u64) -> i64) -> (Vec<(u64, Turn)>, Option<i64>) {
        let mut skew = Skew::default();
        let told = (0..seconds).filter_map(|second| {
            let now_ms = 1_000_000 + 1_000 * i64::try_from(second).unwrap();
            let turn = skew.arrived(now_ms + offset(second), now_ms, second * SECOND, 5_000);
            turn.map(|turn| (second, turn))
        });
        (told.collect(), skew.offset_ms())
    }

    #[test]
    fn the_least_late_frame_tells() {
        let late = |second: u64| if second.is_multiple_of(10) { -300 } else { -90_000 };
        assert_eq!(
            turns(100, late),
            (vec![], Some(-300)),
            "what waited in a spool tells nothing"
        );
    }

    #[test]
    fn a_clock_that_is_off_is_told_once_and_when_it_is_right_again() {
        let (told, offset_ms) = turns(200, |second| if second < 100 { 60_000 } else { -200 });
        assert_eq!(told, [(30, Turn::Skewed(60_000)), (150, Turn::Mended(-200))]);
        assert_eq!(offset_ms, Some(-200));
        assert_eq!(turns(100, |_| -60_000).0, [(30, Turn::Skewed(-60_000))]);
        assert_eq!(turns(100, |_| 4_900).0, []);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut skew = Skew::default();
        assert_eq!(skew.offset_ms(), None);
        skew.arrived(9_000, 0, 0, 0);
        skew.arrived(0, 1_000, 31 * SECOND, 0);
        assert_eq!(skew.offset_ms(), Some(9_000));
        skew.arrived(0, 1_000, 200 * SECOND, 0);
        assert_eq!(skew.offset_ms(), Some(-1_000));
        skew.begin(200 * SECOND);
        assert_eq!(skew.offset_ms(), None);
        assert!(!skew.is_flagged(), "without a limit");
    }
}
