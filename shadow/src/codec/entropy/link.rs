//! Columns that follow others: what a column's level is expected to be, seen from the columns before it.

use super::{super::quantize::MAX_LEVEL, Cell, is_level, memory::Column};

/// How a column is predicted, as a number below [`Link::COUNT`].
///
/// | number | expected |
/// |---|---|
/// | 0 | its last level |
/// | 1 | its average |
/// | 2, 3 | its last level, and the surprise of the column 1 or 2 before it |
/// | 4, 5 | its average, and the surprise of the column 1 or 2 before it |
/// | 6 to 9 | its last level, less the surprises of the 1 to 4 columns before it: together they make a sum |
/// | 10 to 17 | the value of the column 1 to 8 before it |
///
/// A surprise is how far a level is from the column's own past: from its average where that is what its link
/// begins with, else from its last level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Link(u8);

/// What a link makes of other columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Nothing.
    Itself,
    /// The surprise of the column that is so many before it.
    Step(usize),
    /// The surprises of so many columns before it, subtracted.
    Sum(usize),
    /// The value of the column that is so many before it.
    Value(usize),
}

impl Link {
    /// How many there are.
    pub(super) const COUNT: u8 = 18;

    /// The link of a number, if there is one.
    pub(super) const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// Its number.
    pub(super) const fn number(self) -> u8 {
        self.0
    }

    /// Whether it begins with the average instead of the last level.
    pub(super) const fn averages(self) -> bool {
        matches!(self.0, 1 | 4 | 5)
    }

    /// What it makes of other columns.
    pub(super) const fn follows(self) -> Follows {
        match self.0 {
            2 | 3 => Follows::Step(self.0 as usize - 1),
            4 | 5 => Follows::Step(self.0 as usize - 3),
            6..=9 => Follows::Sum(self.0 as usize - 5),
            10..=17 => Follows::Value(self.0 as usize - 9),
            _ => Follows::Itself,
        }
    }

    /// What is expected of `column` from its own past.
    pub(super) const fn past(self, column: &Column) -> i64 {
        if self.averages() { column.average() } else { column.last }
    }
}

/// The level that is expected of column `at`, given its `link` and what is expected from its own `past`.
///
/// Of `cells` and `surprises` those before `at` are of the row at hand; a surprise is 0 where there is no
/// level. `translate` gives the level of a column before it, so many before, in the levels of column `at`.
#[inline]
pub(super) fn expected(
    cells: &[Cell],
    surprises: &[i64],
    (at, link, past): (usize, Link, i64),
    translate: impl Fn(usize, i64) -> Option<i64>,
) -> i64 {
    let back = |numbers: &[i64], distance| numbers.get(at.checked_sub(distance)?).copied();
    let expected = match link.follows() {
        Follows::Itself => return past,
        Follows::Step(distance) => past + back(surprises, distance).unwrap_or(0),
        Follows::Sum(count) => {
            let before = surprises.get(at.saturating_sub(count)..at);
            past - before.unwrap_or_default().iter().sum::<i64>()
        }
        Follows::Value(distance) => {
            let level = back(cells, distance).filter(|&cell| is_level(cell));
            level.and_then(|level| translate(distance, level)).unwrap_or(past)
        }
    };
    expected.clamp(-MAX_LEVEL, MAX_LEVEL)
}
