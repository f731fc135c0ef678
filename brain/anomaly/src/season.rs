//! What a series does each day at this hour: an event that comes each day and fails to happen leaves the series in a state
//! that is well known, and yet not the one of this hour.

use std::collections::VecDeque;

use crate::tail::Tail;

/// The length of a season, in seconds.
const DAY_S: f64 = 86_400.0;

/// Days that are remembered, and days that must be before anything is expected: a week, so that weekends are known.
const DAYS: usize = 8;
const LEAST_DAYS: usize = 7;

/// Rows that a day may have: of fewer there is no hour, of more the memory would be too much.
const ROWS: std::ops::RangeInclusive<f64> = 12.0..=20_000.0;

/// What was done so much earlier or later in a day counts as well, as a share of a day: ten minutes, in whole rows.
const TOLERANCE: f64 = 1.0 / 144.0;

/// Days of a week.
const WEEK: usize = 7;

/// A level beyond this is taken as this.
const LARGEST: f64 = 1e30;

/// How far ahead both forecasts look, as a share of a day: an hour.
const AHEAD: f64 = 1.0 / 24.0;

/// Days that their errors are remembered for.
const MEMORY_DAYS: f64 = 7.0;

/// The share of the error of the level that stays which the days must save to be believed in full; of less, in part.
const BELIEVED: f64 = 0.5;

/// The levels of the last days by the hour; 4 bytes a row of eight days.
///
/// It is a forecast: what is expected an hour ahead is what was at that hour in the days before, and it is believed as far as
/// it errs less than the level that stays. So a series that has no hours is judged by none, however far it goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Season {
    clock: Clock,
    errors: Errors,
    /// Levels of the newest rows by time, NaN where there was none; the last is the newest.
    levels: VecDeque<f32>,
    tail: Tail,
}

/// Fading sums of absolute errors over the spread, an hour ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Errors {
    days: f64,
    level: f64,
}

/// How far rows lie apart in time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Clock {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// One row, at this time in seconds.
    First(f64),
    /// A row each `step_s`; `slot` is the number of the newest.
    Known { step_s: f64, slot: f64, day: usize },
    /// There is no hour in this series.
    None,
}

impl Season {
    /// Takes in the level of a row at `time_s` (`None` where the time is not known), and tells how far it is from all that
    /// was at this hour in the days before, in spreads, and how rare that is: see [`Tail::update`]. 0 and 0 while less than a
    /// week is known.
    pub(crate) fn update(&mut self, time_s: Option<f64>, level: f64, spread: f64) -> (f64, f64) {
        let new_rows = self.clock.advance(time_s);
        let Clock::Known { day, .. } = self.clock else {
            return (0.0, 0.0);
        };
        if new_rows == 0 {
            return (0.0, 0.0);
        }
        for _ in 1..new_rows.min(DAYS * day) {
            self.push(f32::NAN, day);
        }
        #[expect(clippy::cast_possible_truncation, reason = "clamped to what single precision holds")]
        let level = level.clamp(-LARGEST, LARGEST) as f32;
        self.push(level, day);
        let level = f64::from(level);
        let Some(far) = self.distance(level, day) else {
            return (0.0, 0.0);
        };
        let far = far / spread * self.errors.believed();
        self.learn(level, day, spread);
        (far, self.tail.update(far))
    }

    /// Takes in how far both forecasts of this row were off.
    fn learn(&mut self, level: f64, day: usize, spread: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a share of a day in rows, at most 20,000"
        )]
        let ahead = ((AHEAD * day as f64) as usize).max(1);
        let ago = |rows: usize| {
            let row = self.levels.len().checked_sub(rows + 1)?;
            self.levels
                .get(row)
                .map(|level| f64::from(*level))
                .filter(|level| level.is_finite())
        };
        let mut days: Vec<f64> = (1..=DAYS).filter_map(|days| ago(days * day)).collect();
        days.sort_by(f64::total_cmp);
        let (Some(usual), Some(stays)) = (days.get(days.len() / 2), ago(ahead)) else {
            return;
        };
        let keep = 1.0 - 1.0 / (MEMORY_DAYS * day as f64);
        for (sum, expected) in [(&mut self.errors.days, *usual), (&mut self.errors.level, stays)] {
            *sum = keep * *sum + (level - expected).abs() / spread;
        }
    }

    fn push(&mut self, level: f32, day: usize) {
        if self.levels.len() > DAYS * day {
            self.levels.pop_front();
        }
        self.levels.push_back(level);
    }

    /// How far `level` is from what was at this hour in all days before but one, and on this day of the week before; `None`
    /// where too few days are known. One day that was like this does not make it usual, nor does an anomaly of one day.
    fn distance(&self, level: f64, day: usize) -> Option<f64> {
        let now = self.levels.len().checked_sub(1)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a share of a day in rows, at most 20,000"
        )]
        let around = (TOLERANCE * day as f64) as usize;
        let of_day = |ago: usize| {
            let then = now.checked_sub(ago * day)?;
            let levels = self
                .levels
                .range(then.saturating_sub(around)..=(then + around).min(now));
            let known = levels.filter(|level| level.is_finite()).map(|known| f64::from(*known));
            let range = known.fold(None, |range: Option<(f64, f64)>, known| {
                let (least, most) = range.unwrap_or((known, known));
                Some((least.min(known), most.max(known)))
            });
            range.map(|(least, most)| (least - level).max(level - most).max(0.0))
        };
        let mut days: Vec<f64> = (1..=DAYS).filter_map(of_day).collect();
        if days.len() < LEAST_DAYS {
            return None;
        }
        days.sort_by(f64::total_cmp);
        let second = days.get(1).copied()?;
        Some(of_day(WEEK).map_or(second, |a_week_ago| second.min(a_week_ago)))
    }
}

impl Errors {
    /// How far what was at this hour is believed, 0 to 1; not at all before anything is known.
    fn believed(self) -> f64 {
        if self.level > 0.0 {
            ((1.0 - self.days / self.level) / BELIEVED).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

impl Clock {
    /// How many rows later the row at `time_s` is; 0 where it is none later.
    fn advance(&mut self, time_s: Option<f64>) -> usize {
        let Some(time_s) = time_s.filter(|time_s| time_s.is_finite()) else {
            return 0;
        };
        match *self {
            Self::Unknown => *self = Self::First(time_s),
            Self::First(first_s) if time_s > first_s => *self = Self::of(time_s - first_s, time_s),
            Self::Known { step_s, slot, day } => {
                let new = (time_s / step_s).round();
                if new > slot {
                    *self = Self::Known { step_s, slot: new, day };
                    #[expect(clippy::cast_possible_truncation, reason = "bounded by what is remembered")]
                    return (new - slot).min((DAYS * day) as f64) as usize;
                }
            }
            Self::First(_) | Self::None => {}
        }
        0
    }

    fn of(step_s: f64, time_s: f64) -> Self {
        let rows = (DAY_S / step_s).round();
        if !ROWS.contains(&rows) {
            return Self::None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        let day = rows as usize;
        let slot = (time_s / step_s).round();
        Self::Known { step_s, slot, day }
    }
}

/// Seconds of a timestamp: a number, or a date with a time as in RFC 3339, with or without its letters; of time zones
/// nothing is taken in, for only distances count. `None` where it is neither.
pub(crate) fn seconds(timestamp: &str) -> Option<f64> {
    let text = timestamp.trim();
    if let Ok(number) = text.parse::<f64>() {
        return Some(number);
    }
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time.get(..8)?, ':')?;
    Some(DAY_S * days(year, month, day) + 3_600.0 * hour + 60.0 * minute + second)
}

fn numbers(text: &str, between: char) -> Option<[f64; 3]> {
    let mut parts = text.split(between).map(|part| part.parse::<u16>().ok().map(f64::from));
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// Days since the first of March of year 0 in the Gregorian calendar (Hinnant, chrono-compatible date algorithms).
fn days(year: f64, month: f64, day: f64) -> f64 {
    let year = if month > 2.0 { year } else { year - 1.0 };
    let of_year = ((153.0 * ((month + 9.0) % 12.0) + 2.0) / 5.0).floor() + day - 1.0;
    365.0 * year + (year / 4.0).floor() - (year / 100.0).floor() + (year / 400.0).floor() + of_year
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read_as_far_as_distances_need() {
        let apart = |a: &str, b: &str| seconds(b).unwrap() - seconds(a).unwrap();
        assert_eq!(apart("2014-07-01 00:00:00", "2014-07-01 00:30:00"), 1_800.0);
        assert_eq!(apart("2024-02-28T23:59:59Z", "2024-03-01T00:00:00Z"), 86_401.0);
        assert_eq!(apart("2023-12-31 00:00:00", "2024-01-01 00:00:00.250"), 86_400.0);
        assert_eq!(apart("1700000000", "1700000060.5"), 60.5);
        for text in [
            "",
            "now",
            "2014-07-01",
            "2014-07 00:00:00",
            "2014-07-01 00:00",
            "a-b-c d:e:f",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    fn hourly(hour: usize) -> f64 {
        if hour % 24 == 9 { 1.0 } else { 0.1 }
    }

    #[test]
    fn an_event_that_fails_to_happen_is_far_from_what_is_usual_at_this_hour() {
        let mut season = Season::default();
        let mut told = |hour: usize, level: f64| season.update(Some(3_600.0 * hour as f64), level, 1.0);
        for hour in 0..24 * 14 {
            assert_eq!(told(hour, hourly(hour)).0, 0.0, "hour {hour}");
        }
        for hour in 24 * 14..24 * 15 {
            let far = told(hour, 0.1).0;
            assert_eq!(far > 0.5, hour % 24 == 9, "hour {hour}: {far}");
        }
    }

    #[test]
    fn gaps_and_times_that_fall_shift_no_hour() {
        let mut season = Season::default();
        let mut told = |hour: usize, level: f64| season.update(Some(3_600.0 * hour as f64), level, 1.0);
        for hour in (0..24 * 14).filter(|hour| hour % 50 > 1) {
            assert_eq!(told(hour, hourly(hour)).0, 0.0);
            assert_eq!(told(hour, 7.0).0, 0.0, "twice the same time is nothing");
        }
        let hour = 24 * 14 + 9;
        assert!(told(hour, 0.1).0 > 0.5);
        let later = 24 * 365;
        assert_eq!(told(later, 5.0).0, 0.0, "after a year all is new");
    }

    #[test]
    fn where_there_is_no_hour_nothing_is_expected() {
        for step_s in [1.0, 86_400.0, 1e-300, 1e300] {
            let mut season = Season::default();
            for row in 0..100 {
                assert_eq!(
                    season.update(Some(step_s * f64::from(row)), f64::from(row), 1.0),
                    (0.0, 0.0)
                );
            }
            assert!(season.levels.is_empty());
        }
        let mut season = Season::default();
        assert_eq!(season.update(None, 1.0, 1.0), (0.0, 0.0));
    }
}
