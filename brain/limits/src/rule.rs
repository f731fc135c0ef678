//! The table of rules: a need, and how it is held.

use std::fmt;

use crate::{need::Needs, sums::Each};

/// Holds of the peaks that needs are made of, in minutes.
pub const HOLDS_MIN: [u32; 3] = [5, 15, 60];

/// Quantiles of the peaks that needs are made of.
pub const QUANTILES: [f64; 6] = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99];

/// Amounts that needs are made of: the quantiles of each hold, and the last interval's peak.
pub(crate) const BASES: usize = HOLDS_MIN.len() * QUANTILES.len() + 1;

/// Rules: each base in each way of making a limit of it.
pub const RULES: usize = BASES * WAYS.len();

/// A way of making a limit of a base.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Way {
    /// What is needed is the base times this ...
    pub(crate) multiple: f64,
    /// ... and so much of the capacity.
    pub(crate) added: f64,
    /// Which of [`WINDOWS`]: over how many intervals the largest need is taken.
    pub(crate) window: usize,
    /// How far the limit must lie above what is needed before it is lowered, as a share of the capacity.
    pub(crate) band: f64,
    /// 1 and the head-room that goes on top of the need.
    pub(crate) room: f64,
}

/// Intervals over which needs are held.
pub(crate) const WINDOWS: [usize; 4] = [1, 6, 12, 36];

/// Margins: a multiple, and what is added. What a forecast errs by grows with what it says, and is not nothing where that is.
const MARGINS: [(f64, f64); 3] = [(1.0, 0.0), (1.1, 0.02), (1.3, 0.05)];

const fn held(window: usize, band: f64, room: f64) -> Way {
    Way {
        multiple: 1.0,
        added: 0.0,
        window,
        band,
        room,
    }
}

const HELD: [Way; 6] = [
    held(0, 0.0, 1.0),
    held(0, 0.06, 1.1),
    held(1, 0.04, 1.0),
    held(2, 0.12, 1.1),
    held(3, 0.12, 1.1),
    held(2, 0.25, 1.1),
];

/// All of them: each margin, held in each way.
#[allow(
    clippy::indexing_slicing,
    reason = "places are below both lengths, and it is done when this is compiled"
)]
pub(crate) const WAYS: [Way; MARGINS.len() * HELD.len()] = {
    let (mut ways, mut place) = ([held(0, 0.0, 1.0); MARGINS.len() * HELD.len()], 0);
    while place < ways.len() {
        ways[place] = Way {
            multiple: MARGINS[place / HELD.len()].0,
            added: MARGINS[place / HELD.len()].1,
            ..HELD[place % HELD.len()]
        };
        place += 1;
    }
    ways
};

/// One of the [`RULES`] rules, by its place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Rule(pub(crate) u16);

impl Rule {
    /// The rule at a place of the table; `None` beyond its end.
    pub fn at(place: usize) -> Option<Self> {
        u16::try_from(place).ok().filter(|_| place < RULES).map(Self)
    }

    /// What it makes of the needs of a part of what it limits to `limit`, in the part's unit, with its head-room; how long it
    /// holds them is not asked. Of what is added to the whole, a share of the capacity, the part has what its need is of the
    /// whole's.
    pub fn amount(self, needs: &Needs, limit: f64) -> f64 {
        let base = needs.bases().get(self.base()).copied().unwrap_or(needs.last);
        let Some(way) = WAYS.get(self.way()) else { return base };
        let whole = (limit / way.room - way.added) / way.multiple;
        let added = if whole > 0.0 { way.added / whole } else { 0.0 };
        base * way.room * (way.multiple + added)
    }

    /// Its place in the table, below [`RULES`].
    pub const fn place(self) -> usize {
        self.0 as usize
    }

    /// All of them, in the order of the table.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..RULES).filter_map(Self::at)
    }

    /// The rule of a base in a way.
    pub(crate) fn made(way: usize, base: usize) -> Option<Self> {
        Self::at(base * WAYS.len() + way)
    }

    /// Its number among those of all.
    pub(crate) fn of(self, each: &Each) -> f64 {
        let row = each.get(self.way());
        row.and_then(|row| row.get(self.base())).copied().unwrap_or(0.0)
    }

    /// Likewise; there is always one.
    pub(crate) fn of_mut(self, each: &mut Each) -> Option<&mut f64> {
        each.get_mut(self.way())?.get_mut(self.base())
    }

    const fn base(self) -> usize {
        self.place() / WAYS.len()
    }

    const fn way(self) -> usize {
        self.place() % WAYS.len()
    }
}

/// `peak over 60 min at p50 x 1.1 + 2 %, held 60 min, lowered by 12 % or more, 10 % head-room`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hold = HOLDS_MIN.get(self.base() / QUANTILES.len());
        match (hold, QUANTILES.get(self.base() % QUANTILES.len())) {
            (Some(hold), Some(quantile)) => write!(f, "peak over {hold} min at p{:.0}", quantile * 100.0)?,
            _ => f.write_str("last peak")?,
        }
        let Some(way) = WAYS.get(self.way()) else { return Ok(()) };
        if way.multiple > 1.0 {
            write!(f, " x {}", way.multiple)?;
        }
        if way.added > 0.0 {
            write!(f, " + {:.0} %", way.added * 100.0)?;
        }
        match WINDOWS.get(way.window) {
            Some(window) if *window > 1 => write!(f, ", held {} min", 5 * window)?,
            _ => f.write_str(", as it comes")?,
        }
        if way.band > 0.0 {
            write!(f, ", lowered by {:.0} % or more", way.band * 100.0)?;
        }
        if way.room > 1.0 {
            write!(f, ", {:.0} % head-room", (way.room - 1.0) * 100.0)?;
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
        for (name, limit, expected) in [
            ("peak over 15 min at p90 x 1.1 + 2 %, as it comes", 0.13, 12.0 * 1.3),
            (
                "peak over 60 min at p99, held 60 min, lowered by 12 % or more, 10 % head-room",
                0.5,
                25.0 * 1.1,
            ),
            (
                "last peak x 1.3 + 5 %, held 30 min, lowered by 4 % or more",
                0.01,
                7.0 * 1.3,
            ),
            (
                "last peak x 1.3 + 5 %, as it comes, lowered by 6 % or more, 10 % head-room",
                0.198,
                7.0 * 1.98,
            ),
        ] {
            let rule = (0..RULES)
                .filter_map(Rule::at)
                .find(|rule| rule.to_string() == name)
                .unwrap();
            assert!((rule.amount(&needs, limit) - expected).abs() < 1e-12, "{name}");
        }
    }

    #[test]
    fn amounts_of_parts_add_up_to_what_the_whole_is_limited_to() {
        let mut numbers = crate::tests::Numbers(7);
        let needs = |of: f64| Needs {
            peaks: std::array::from_fn(|hold| std::array::from_fn(|rank| of * (10 * hold + rank + 1) as f64)),
            last: of * 7.0,
        };
        for rule in Rule::all() {
            let (whole, part) = (1e-3 + 0.02 * numbers.next(), numbers.next());
            let way = WAYS[rule.way()];
            let limit = (needs(whole).bases()[rule.base()] * way.multiple + way.added) * way.room;
            let parts = [part, 1.0 - part].map(|part| rule.amount(&needs(whole * part), limit));
            let off = parts[0] + parts[1] - limit;
            assert!(
                off.abs() < 1e-12 && parts.iter().all(|part| *part >= 0.0),
                "{rule}: {off}"
            );
        }
    }

    #[test]
    fn rules_have_names_of_their_own() {
        let names: std::collections::BTreeSet<String> =
            (0..RULES).map(|place| Rule::at(place).unwrap().to_string()).collect();
        assert_eq!((names.len(), RULES), (RULES, 342));
        assert_eq!(Rule::at(RULES), None);
        assert_eq!(Rule(0).to_string(), "peak over 5 min at p50, as it comes");
        let tall = "peak over 60 min at p99 x 1.3 + 5 %, held 60 min, lowered by 25 % or more, 10 % head-room";
        assert_eq!(Rule(54 * 6 - 1).to_string(), tall);
        assert_eq!(
            Rule(341 - 3).to_string(),
            "last peak x 1.3 + 5 %, held 30 min, lowered by 4 % or more"
        );
    }
}
