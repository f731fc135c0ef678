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

/// What the row at hand has told so far.
pub(super) struct Row<'a> {
    /// The cells of the columns before the one at hand.
    pub(super) cells: &'a [Cell],
    /// Their surprises; 0 where there is no level.
    pub(super) surprises: &'a [i64],
}

impl Row<'_> {
    /// The level that is expected of a column, given what its own past tells and what it `follows`.
    ///
    /// `translate` gives the level of a column before it, so many before, in the levels of the column at hand.
    pub(super) fn expected(&self, past: i64, follows: Follows, translate: impl Fn(usize, i64) -> Option<i64>) -> i64 {
        let expected = match follows {
            Follows::Itself => past,
            Follows::Step(distance) => past + back(self.surprises, distance).unwrap_or(0),
            Follows::Sum(count) => {
                let from = self.surprises.len().saturating_sub(count);
                let sum: i64 = self.surprises.get(from..).unwrap_or_default().iter().sum();
                past - sum
            }
            Follows::Value(distance) => {
                let level = back(self.cells, distance).filter(|&cell| is_level(cell));
                level.and_then(|level| translate(distance, level)).unwrap_or(past)
            }
        };
        expected.clamp(-MAX_LEVEL, MAX_LEVEL)
    }
}

fn back(numbers: &[i64], distance: usize) -> Option<i64> {
    numbers.get(numbers.len().checked_sub(distance)?).copied()
}
