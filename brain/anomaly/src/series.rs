//! One series: how new and how rare is the state that it is in?

use crate::{
    means::Means,
    memory::{Memory, Novelty},
    quiet::Quiet,
    season::Season,
    spread::Spread,
    tail::Tail,
};

/// Values that the spread is taken of.
const SPREAD_ROWS: usize = 5001;

/// What novelty alone can give, in points: all of it at an eighth of the spread.
const MOST_OF_NOVELTY: f64 = 5.0;
/// Halvings of the spread at which novelty begins to count.
const HALVINGS: f64 = 8.0;
/// The same for the distance from what is usual at this hour, and the least of it that counts: peaks of each day are of
/// different height.
const HALVINGS_OF_HOUR: f64 = 6.0;
const LEAST_OF_HOUR: f64 = 0.3;
/// A novelty below this is none.
const LEAST_NOVELTY: f64 = 1e-9;

/// Points of an alarm.
pub const ALARM: f64 = 6.0;
/// Points that make a full score.
pub const FULL: f64 = 25.0;

/// A value beyond this is taken as this: nothing measured is, and no sum or quotient of such values overflows.
const LARGEST: f64 = 1e150;

/// What one row of a series means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// Distance to the nearest state that the series has been in, in spreads; 0 while none is known.
    pub novelty: f64,
    /// How rare such a novelty is for this series: -log10 of the chance that twelve rows reach it.
    pub rarity: f64,
    /// What both are worth, 0 or more; [`ALARM`] is an alarm.
    pub points: f64,
    /// Whether this row opens an incident or makes it worse, at any level.
    pub told: bool,
    /// Rows since the nearest state was last visited; `None` while none is known.
    pub rows_ago: Option<u64>,
}

impl Judged {
    /// The score that is told of this row, 0 to 1: 0 unless it opens an incident or makes it worse. From 0.24 on it is an
    /// alarm.
    pub fn score(&self) -> f64 {
        if self.told { (self.points / FULL).min(1.0) } else { 0.0 }
    }

    /// Whether somebody should be told.
    pub fn is_alarm(&self) -> bool {
        self.told && self.points >= ALARM
    }
}

/// Watches one series, row by row. It learns nothing beforehand, works from the first row and needs at most some 70 KB
/// (40 KB of them the values that the spread is taken of).
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesDetector {
    spread: Spread<f64>,
    means: Means,
    memory: Memory<[f64; 3]>,
    tail: Tail,
    quiet: Quiet,
    season: Option<Season>,
    last: f64,
}

impl Default for SeriesDetector {
    fn default() -> Self {
        Self {
            spread: Spread::new(SPREAD_ROWS, 1),
            means: Means::default(),
            memory: Memory::default(),
            tail: Tail::default(),
            quiet: Quiet::default(),
            season: None,
            last: 0.0,
        }
    }
}

impl SeriesDetector {
    /// A detector that also knows what the series does each day at this hour: it sees a regular event that fails to happen,
    /// for which the state of the series is no new one. It begins to expect after a week. Of such rows only
    /// [`Judged::points`] tell.
    pub fn with_season() -> Self {
        Self {
            season: Some(Season::default()),
            ..Self::default()
        }
    }

    /// Takes in the value of the next row, in any unit, and judges it by the rows before. What is not finite is a missing
    /// reading and repeats the last value (0 before the first).
    pub fn update(&mut self, value: f64) -> Judged {
        self.update_at(None, value)
    }

    /// The same for a row at `time_s`, in seconds of any clock; only [`with_season`](Self::with_season) takes it in.
    pub fn update_at(&mut self, time_s: Option<f64>, value: f64) -> Judged {
        if value.is_finite() {
            self.last = value.clamp(-LARGEST, LARGEST);
        }
        let spread = self.spread.update(self.last);
        let [now, lately, long, longest] = self.means.update(self.last);
        let state = [now, lately, long - longest];
        let Novelty { distance, rows_ago, .. } = self.memory.update(state, spread, farthest);
        let rarity = self.tail.update(distance);
        let mut points = points(distance, HALVINGS) + rarity;
        if let Some(season) = &mut self.season {
            let (far, rare) = season.update(time_s, now, spread);
            if far >= LEAST_OF_HOUR {
                points = points.max(self::points(far, HALVINGS_OF_HOUR) + rare);
            }
        }
        Judged {
            novelty: distance,
            rarity,
            points,
            told: self.quiet.update(points),
            rows_ago,
        }
    }
}

/// What a distance in spreads is worth by itself.
fn points(distance: f64, halvings: f64) -> f64 {
    (distance.max(LEAST_NOVELTY).log2() + halvings).clamp(0.0, MOST_OF_NOVELTY)
}

/// The largest distance of two states in any of their means.
fn farthest(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    let ([a_now, a_lately, a_trend], [b_now, b_lately, b_trend]) = (a, b);
    let level = (a_now - b_now).abs().max((a_lately - b_lately).abs());
    level.max((a_trend - b_trend).abs())
}

#[cfg(test)]
mod tests;
