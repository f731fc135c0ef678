//! Columns that follow others: what a column's level is expected to be, seen from the columns before it.

use super::{
    super::quantize::MAX_LEVEL,
    grid::{Grid, Moment},
    is_level,
    memory::Column,
    sheet::Sheet,
};

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

/// The links that begin with the average, a bit each.
const AVERAGING: u32 = 1 << 1 | 1 << 4 | 1 << 5;

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
        AVERAGING >> self.0 & 1 == 1
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
    #[inline]
    pub(super) fn past(self, column: &Column) -> i64 {
        // Which it is, a processor guesses badly: columns of both kinds take turns.
        let average = -i64::from(AVERAGING >> self.0 & 1);
        column.last ^ (column.last ^ column.average()) & average
    }
}

/// What a link makes of the columns before, for one row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hint {
    level: i64,
    /// Whether it is what is expected, not how far that is from the column's past.
    absolute: bool,
}

impl Hint {
    const NONE: Self = Self::step(0);

    const fn step(level: i64) -> Self {
        Self { level, absolute: false }
    }

    /// The level that is expected, given what is expected from the column's own past.
    #[inline]
    pub(super) fn expected(self, past: i64) -> i64 {
        let expected = if self.absolute { self.level } else { past + self.level };
        expected.clamp(-MAX_LEVEL, MAX_LEVEL)
    }
}

/// Replaces `out` by the hints of column `at` of `sheet` in each row, if it follows by `link`.
pub(super) fn hints(
    sheet: &Sheet,
    (at, link): (usize, Link),
    (grids, moments): (&[Grid], &[Moment]),
    out: &mut Vec<Hint>,
) {
    out.clear();
    match link.follows() {
        Follows::Itself => {}
        Follows::Step(distance) => {
            let other = at.checked_sub(distance).map(|other| sheet.surprises(other));
            out.extend(other.unwrap_or_default().iter().copied().map(Hint::step));
        }
        Follows::Sum(count) => {
            out.resize(sheet.rows(), Hint::NONE);
            for other in at.saturating_sub(count)..at {
                for (hint, surprise) in out.iter_mut().zip(sheet.surprises(other)) {
                    hint.level -= surprise;
                }
            }
        }
        Follows::Value(distance) => {
            let other = at.checked_sub(distance);
            let cells = other.map(|other| sheet.cells(other)).unwrap_or_default();
            let pair = other.and_then(|other| Some((grids.get(other)?, grids.get(at)?)));
            if let Some((from, to)) = pair {
                let translation = to.translation(from);
                out.extend(cells.iter().zip(moments).map(|(&cell, moment)| {
                    let level = if is_level(cell) {
                        to.translate(translation, from, cell, moment)
                    } else {
                        None
                    };
                    level.map_or(Hint::NONE, |level| Hint { level, absolute: true })
                }));
            }
        }
    }
    out.resize(sheet.rows(), Hint::NONE);
}
