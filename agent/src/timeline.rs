//! When a sample was taken: unix time that only rises within an epoch. Pure.

use shadow::{Finding, Severity, UnixMs};

/// A unix clock that is off by more, against the monotonic one, was set anew.
const JUMP_MS: u64 = 2_000;

/// What a look at the clocks says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// This time, later than all before it.
    At(UnixMs),
    /// The unix clock was set, forward or back by so much: a new epoch begins at this time.
    Jumped { to: UnixMs, by_ms: i64 },
}

/// Two clocks, side by side since the begin of an epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeline {
    /// Unix minus monotonic time.
    offset_ms: i64,
    last_ms: UnixMs,
}

impl Timeline {
    /// Begins at `wall_ms`, when the monotonic clock shows `monotonic_ns`.
    pub(crate) fn new(wall_ms: UnixMs, monotonic_ns: u64) -> Self {
        Self {
            offset_ms: wall_ms.saturating_sub(in_ms(monotonic_ns)),
            last_ms: wall_ms.saturating_sub(1),
        }
    }

    /// The time of a sample. Small steps of the unix clock are followed; one that would make time stand
    /// still or fall is followed as far as it can be.
    pub(crate) fn at(&mut self, wall_ms: UnixMs, monotonic_ns: u64) -> Moment {
        let offset_ms = wall_ms.saturating_sub(in_ms(monotonic_ns));
        let by_ms = offset_ms.saturating_sub(self.offset_ms);
        if by_ms.unsigned_abs() > JUMP_MS {
            *self = Self {
                last_ms: wall_ms,
                ..Self::new(wall_ms, monotonic_ns)
            };
            return Moment::Jumped { to: wall_ms, by_ms };
        }
        // A clock that is slewed moves away a little at a time: only steps are jumps.
        self.offset_ms = offset_ms;
        self.last_ms = wall_ms.max(self.last_ms.saturating_add(1));
        Moment::At(self.last_ms)
    }
}

/// What is told of a jump: samples before and after it do not lie as far apart as their times say.
pub(crate) fn jumped(to: UnixMs, by_ms: i64) -> Finding {
    let direction = if by_ms < 0 { "back" } else { "forward" };
    let by_s = by_ms.unsigned_abs() as f64 / 1_000.0;
    Finding {
        source: "agent".to_owned(),
        subject: "system clock".to_owned(),
        kind: "clock_jump".to_owned(),
        severity: Severity::Warning,
        text: format!("set {direction} by {by_s:.1} s: a new epoch begins"),
        details: vec![
            ("by_ms".to_owned(), by_ms.to_string()),
            ("to_ms".to_owned(), to.to_string()),
        ],
    }
}

fn in_ms(ns: u64) -> i64 {
    i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// From 10,000 ms unix time at 500 ms monotonic time.
    fn check(looks: &[(i64, u64, Moment)]) {
        let mut timeline = Timeline::new(10_000, 500 * MS);
        for &(wall_ms, monotonic_ms, expected) in looks {
            assert_eq!(timeline.at(wall_ms, monotonic_ms * MS), expected, "{looks:?}");
        }
    }

    #[test]
    fn time_rises_whatever_small_steps_the_clock_makes() {
        check(&[
            (10_000, 500, Moment::At(10_000)),
            (10_100, 600, Moment::At(10_100)),
            (9_000, 700, Moment::At(10_101)),
            (9_100, 800, Moment::At(10_102)),
            (11_000, 900, Moment::At(11_000)),
        ]);
    }

    #[test]
    fn a_clock_that_is_set_begins_anew() {
        let jumped = |to, by_ms| Moment::Jumped { to, by_ms };
        check(&[
            (10_100, 600, Moment::At(10_100)),
            (13_000, 700, jumped(13_000, 2_800)),
            (13_100, 800, Moment::At(13_100)),
            (5_000, 900, jumped(5_000, -8_200)),
            (5_100, 1_000, Moment::At(5_100)),
        ]);
        check(&[(i64::MAX, 600, jumped(i64::MAX, i64::MAX - 600 - 9_500))]);
        check(&[(i64::MIN, 600, jumped(i64::MIN, i64::MIN))]);
    }

    #[test]
    fn a_jump_is_told_with_how_far_it_went() {
        let told = jumped(5_000, -8_200);
        assert_eq!(told.text, "set back by 8.2 s: a new epoch begins");
        assert_eq!(told.details[0], ("by_ms".to_owned(), "-8200".to_owned()));
        assert!(jumped(i64::MIN, i64::MIN).text.starts_with("set back by"));
        assert!(jumped(9_000, 2_500).text.starts_with("set forward by 2.5 s"));
    }

    #[test]
    fn a_clock_that_is_slewed_is_followed() {
        let mut timeline = Timeline::new(0, 0);
        for second in 1..10_000 {
            // 0.05 % fast, as adjtime(3) slews.
            let wall_ms = second * 1_000 + second / 2;
            assert_eq!(timeline.at(wall_ms, second as u64 * 1_000 * MS), Moment::At(wall_ms));
        }
    }
}
