//! The table of rules: a need, and how it is held.

use std::fmt;

use crate::need::Needs;

/// Holds of the peaks that needs are made of, in minutes.
pub const HOLDS_MIN: [u32; 3] = [5, 15, 60];

/// Quantiles of the peaks that needs are made of.
pub const QUANTILES: [f64; 6] = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99];

/// What a need is multiplied with.
pub(crate) const MULTIPLES: [f64; 3] = [1.0, 1.15, 1.3];

/// Amounts that needs are made of: the quantiles of each hold, and the last interval's peak.
pub(crate) const BASES: usize = HOLDS_MIN.len() * QUANTILES.len() + 1;

/// Needs, each a base times a multiple.
pub(crate) const NEEDS: usize = BASES * MULTIPLES.len();

/// Rules: each need in each way of holding it.
pub const RULES: usize = NEEDS * HELD.len();

/// How a need is held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Held {
    /// Which of [`WINDOWS`]: over how many intervals the largest need is taken.
    pub(crate) window: usize,
    /// How far the limit must lie above what is needed before it is lowered, as a share of the capacity.
    pub(crate) band: f64,
    /// 1 and the head-room that goes on top of the need.
    pub(crate) room: f64,
}

/// Intervals over which needs are held.
pub(crate) const WINDOWS: [usize; 4] = [1, 6, 12, LONGEST];
pub(crate) const LONGEST: usize = 36;

const fn held(window: usize, band: f64, room: f64) -> Held {
    Held { window, band, room }
}

/// The ways of holding.
pub(crate) const HELD: [Held; 6] = [
    held(0, 0.0, 1.0),
    held(0, 0.06, 1.1),
    held(1, 0.04, 1.0),
    held(2, 0.12, 1.1),
    held(3, 0.12, 1.1),
    held(2, 0.25, 1.1),
];

/// One of the [`RULES`] rules, by its place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Rule(pub(crate) u16);

impl Rule {
    /// The rule at a place of the table; `None` beyond its end.
    pub fn at(place: usize) -> Option<Self> {
        u16::try_from(place).ok().filter(|_| place < RULES).map(Self)
    }

    /// What it makes of needs at one moment, with its head-room; how long it holds them is not asked.
    pub fn amount(self, needs: &Needs) -> f64 {
        let (need, held) = (self.place() / HELD.len(), self.place() % HELD.len());
        let base = needs.bases().get(need / MULTIPLES.len()).copied();
        let multiple = MULTIPLES.get(need % MULTIPLES.len()).copied();
        let room = HELD.get(held).map_or(1.0, |held| held.room);
        base.unwrap_or(needs.last) * multiple.unwrap_or(1.0) * room
    }

    /// Its place in the table, below [`RULES`].
    pub const fn place(self) -> usize {
        self.0 as usize
    }
}

/// `the median peak over 60 min x 1.15, held 60 min, lowered by .12 or more, room .1`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (need, held) = (self.place() / HELD.len(), self.place() % HELD.len());
        let (base, multiple) = (need / MULTIPLES.len(), need % MULTIPLES.len());
        let hold = HOLDS_MIN.get(base / QUANTILES.len());
        match (hold, QUANTILES.get(base % QUANTILES.len())) {
            (Some(hold), Some(quantile)) => write!(f, "peak over {hold} min at p{:.0}", quantile * 100.0)?,
            _ => f.write_str("last peak")?,
        }
        if let Some(multiple) = MULTIPLES.get(multiple).filter(|multiple| **multiple > 1.0) {
            write!(f, " x {multiple}")?;
        }
        let Some(held) = HELD.get(held) else { return Ok(()) };
        match WINDOWS.get(held.window) {
            Some(window) if *window > 1 => write!(f, ", held {} min", 5 * window)?,
            _ => f.write_str(", as it comes")?,
        }
        if held.band > 0.0 {
            write!(f, ", lowered by {:.0} % or more", held.band * 100.0)?;
        }
        if held.room > 1.0 {
            write!(f, ", {:.0} % head-room", (held.room - 1.0) * 100.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_makes_of_needs_what_its_name_says() {
        let needs = Needs {
            peaks: std::array::from_fn(|hold| std::array::from_fn(|rank| (10 * hold + rank) as f64)),
            last: 7.0,
        };
        for (name, expected) in [
            ("peak over 15 min at p90 x 1.15, as it comes", 12.0 * 1.15),
            (
                "peak over 60 min at p99, held 60 min, lowered by 12 % or more, 10 % head-room",
                25.0 * 1.1,
            ),
            ("last peak x 1.3, held 30 min, lowered by 4 % or more", 7.0 * 1.3),
        ] {
            let rule = (0..RULES)
                .filter_map(Rule::at)
                .find(|rule| rule.to_string() == name)
                .unwrap();
            assert!((rule.amount(&needs) - expected).abs() < 1e-12, "{name}");
        }
    }

    #[test]
    fn rules_have_names_of_their_own() {
        let names: std::collections::BTreeSet<String> =
            (0..RULES).map(|place| Rule::at(place).unwrap().to_string()).collect();
        assert_eq!((names.len(), RULES), (RULES, 342));
        assert_eq!(Rule::at(RULES), None);
        assert_eq!(Rule(0).to_string(), "peak over 5 min at p50, as it comes");
        let tall = "peak over 60 min at p99 x 1.3, held 60 min, lowered by 25 % or more, 10 % head-room";
        assert_eq!(Rule(54 * 6 - 1).to_string(), tall);
        assert_eq!(
            Rule(341 - 3).to_string(),
            "last peak x 1.3, held 30 min, lowered by 4 % or more"
        );
    }
}
