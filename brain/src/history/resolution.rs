//! How fine a series is told.

use std::{fmt, ops::Range, str::FromStr};

use serde::{Serialize, Serializer};
use shadow::UnixMs;

/// What one row of a series spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// A row of the grid: 10 s unless `grid.step` says otherwise.
    TenSeconds,
    /// A minute.
    Minute,
    /// An hour; the running one is not there yet.
    Hour,
}

impl Resolution {
    /// All of them, finest first.
    pub const ALL: [Self; 3] = [Self::TenSeconds, Self::Minute, Self::Hour];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenSeconds => "10s",
            Self::Minute => "1m",
            Self::Hour => "1h",
        }
    }

    /// What a row spans in milliseconds, by its word.
    pub const fn step_ms(self) -> i64 {
        match self {
            Self::TenSeconds => 10_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }

    /// The finest that tells `within` in at most `points` rows and reaches as far back as any coarser one, by the oldest row
    /// that each of them has in that time. Where none is fine enough or there are no rows, the coarsest that is left.
    pub(crate) fn of(within: &Range<UnixMs>, points: usize, oldest: [Option<UnixMs>; 3]) -> Self {
        let known: Vec<_> = Self::ALL.into_iter().zip(oldest).collect();
        let begin = |oldest: UnixMs| oldest.max(within.start);
        let reaches = |oldest: UnixMs| {
            let further = |(coarser, of_it): &(Self, Option<UnixMs>)| {
                of_it.is_some_and(|of_it| begin(of_it) + coarser.step_ms() <= begin(oldest))
            };
            !known.iter().any(further)
        };
        let rows = |resolution: Self, oldest: UnixMs| {
            let length_ms = within.end.saturating_sub(begin(oldest));
            usize::try_from(length_ms / resolution.step_ms()).unwrap_or(0)
        };
        let fits = |&(resolution, oldest): &(Self, Option<UnixMs>)| {
            oldest.is_some_and(|oldest| rows(resolution, oldest) <= points && reaches(oldest))
        };
        let fitting = known.iter().find(|known| fits(known));
        let coarsest = || known.iter().rfind(|(_, oldest)| oldest.is_some());
        fitting
            .or_else(coarsest)
            .map_or(Self::Minute, |&(resolution, _)| resolution)
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Resolution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl FromStr for Resolution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|resolution| resolution.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is none of 10s, 1m, 1h"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const DAY_MS: i64 = 24 * HOUR_MS;

    fn of(days: std::ops::RangeInclusive<i64>, points: usize, oldest: [Option<i64>; 3]) -> Resolution {
        let within = days.start() * DAY_MS..days.end() * DAY_MS;
        Resolution::of(&within, points, oldest.map(|day| Some(day? * DAY_MS)))
    }

    #[test]
    fn the_finest_that_fits_and_reaches_back_is_taken() {
        // Kept: 3 days, 90 days, for ever; the time is day 100.
        let kept = [Some(97), Some(10), Some(0)];
        let within = |hours: i64| {
            let within = 100 * DAY_MS - hours * HOUR_MS..100 * DAY_MS;
            Resolution::of(&within, 2_000, kept.map(|day| Some(day? * DAY_MS)))
        };
        assert_eq!(within(1), Resolution::TenSeconds);
        assert_eq!(within(5), Resolution::TenSeconds);
        assert_eq!(within(6), Resolution::Minute);
        assert_eq!(within(33), Resolution::Minute);
        assert_eq!(within(34), Resolution::Hour);
        assert_eq!(of(100..=101, 100_000, kept), Resolution::TenSeconds);
        assert_eq!(
            of(90..=100, 1_000_000, kept),
            Resolution::Minute,
            "ten days are not kept at 10 s"
        );
        assert_eq!(of(5..=100, 1_000_000, kept), Resolution::Hour);
    }

    #[test]
    fn what_is_there_counts_and_not_what_is_asked_for() {
        let minutes = |minute: i64| Some(minute * 60_000);
        let year = 0..365 * DAY_MS;
        let young = [minutes(37), minutes(37), minutes(0)];
        let within = 0..2 * HOUR_MS;
        assert_eq!(
            Resolution::of(&within, 2_000, young),
            Resolution::TenSeconds,
            "an hour begins before its rows"
        );
        assert_eq!(Resolution::of(&year, 2_000, young), Resolution::Hour);
        assert_eq!(Resolution::of(&within, 2_000, [None, None, None]), Resolution::Minute);
        assert_eq!(
            Resolution::of(&year, 10, [minutes(0), None, None]),
            Resolution::TenSeconds
        );
    }

    #[test]
    fn words_are_read_as_they_are_told() {
        for resolution in Resolution::ALL {
            assert_eq!(resolution.to_string().parse(), Ok(resolution));
        }
        assert!("5m".parse::<Resolution>().unwrap_err().contains("10s, 1m, 1h"));
    }
}
