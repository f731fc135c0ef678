//! Columns that follow others: what a column's level is expected to be, seen from the columns before it.

use super::{
    super::quantize::MAX_LEVEL,
    ABSENT, Cell,
    grid::{Grid, Moment, Translation},
    is_level,
    sheet::Before,
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

    /// The column's average.
    pub(super) const AVERAGE: Self = Self(1);

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

    /// Whether there are as many columns before `column` as it looks at.
    pub(super) fn reaches(self, column: usize) -> bool {
        match self.follows() {
            Follows::Itself => true,
            Follows::Step(distance) | Follows::Sum(distance) | Follows::Value(distance) => distance <= column,
        }
    }
}

/// What a link makes of the columns before, row by row; where rows are missing, nothing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hint<'a> {
    /// How far the level is expected to be from the column's past.
    Steps(&'a [i64]),
    /// What it is expected to be, where that is a level.
    Levels(&'a [Cell]),
}

impl Hint<'_> {
    /// What is expected in `row`, given what is expected from the column's own past.
    pub(super) fn expected(&self, row: usize, past: i64) -> i64 {
        match self {
            Self::Steps(rows) => step(past, rows.get(row).copied().unwrap_or(0)),
            Self::Levels(rows) => level(past, rows.get(row).copied().unwrap_or(ABSENT)),
        }
    }
}

/// What is expected by a step from the column's past.
#[inline]
pub(super) fn step(past: i64, step: i64) -> i64 {
    (past + step).clamp(-MAX_LEVEL, MAX_LEVEL)
}

/// What is expected by another column's level.
#[inline]
pub(super) const fn level(past: i64, level: Cell) -> i64 {
    if is_level(level) { level } else { past }
}

/// Memory for the hints of the column at hand.
#[derive(Debug, Default)]
pub(super) struct Hints(Vec<i64>);

impl Hints {
    /// The hints of a column that follows those `before` it by `link`.
    #[inline]
    pub(super) fn of<'a>(
        &'a mut self,
        before: &Before<'a>,
        (at, link): (usize, Link),
        (grids, moments): (&[Grid], &[Moment]),
    ) -> Hint<'a> {
        match link.follows() {
            Follows::Itself => Hint::Steps(&[]),
            Follows::Step(distance) => Hint::Steps(before.surprises(distance)),
            Follows::Sum(count) => {
                self.0.clear();
                self.0.resize(before.rows(), 0);
                for distance in 1..=count {
                    let other = self.0.iter_mut().zip(before.surprises(distance));
                    other.for_each(|(hint, surprise)| *hint -= surprise);
                }
                Hint::Steps(&self.0)
            }
            Follows::Value(distance) => {
                let cells = before.cells(distance);
                let from = at.checked_sub(distance).and_then(|other| grids.get(other));
                let Some((from, to)) = from.zip(grids.get(at)) else {
                    return Hint::Levels(&[]);
                };
                match to.translation(from) {
                    Translation::Same => Hint::Levels(cells),
                    translation => {
                        translate(translation, cells, (from, to), moments, &mut self.0);
                        Hint::Levels(&self.0)
                    }
                }
            }
        }
    }
}

/// Replaces `out` by what `cells` of one grid are in the other.
fn translate(
    translation: Translation,
    cells: &[Cell],
    (from, to): (&Grid, &Grid),
    moments: &[Moment],
    out: &mut Vec<i64>,
) {
    let counts = matches!(translation, Translation::Counts(_));
    // Most repeat the one before.
    let mut seen = (ABSENT, Moment::default(), ABSENT);
    out.clear();
    out.extend(cells.iter().zip(moments).map(|(&cell, moment)| {
        let alike = if counts {
            seen.1.is_like(moment)
        } else {
            seen.1 == *moment
        };
        if seen.0 != cell || !alike {
            let level = is_level(cell).then(|| to.translate(translation, from, cell, moment));
            seen = (cell, *moment, level.flatten().unwrap_or(ABSENT));
        }
        seen.2
    }));
}
