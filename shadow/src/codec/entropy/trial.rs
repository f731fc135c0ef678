//! Which column follows which: the writer tries all links on some frames and keeps the scores.

use super::{
    Cell,
    grid::{Grid, Moment},
    is_level,
    link::{Follows, Link, expected},
    memory::Column,
};

/// What is left of a score at the next trial.
const KEPT: f32 = 0.95;

/// What a link must be better by than following nothing, in bits of the score's memory.
const MARGIN: f32 = 4.0;

const LINKS: usize = Link::COUNT as usize;

/// The scores of all links of all columns.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// Bits that each link would have cost, roughly; older trials count less.
    scores: Vec<[f32; LINKS]>,
}

/// A frame to try links on.
pub(super) struct Frame<'a> {
    pub(super) grids: &'a [Grid],
    pub(super) moments: &'a [Moment],
    /// Row by row.
    pub(super) cells: &'a [Cell],
    /// Where the columns stand before it.
    pub(super) columns: &'a [Column],
}

impl Trial {
    /// Tries all links on `frame`.
    pub(super) fn run(&mut self, frame: &Frame<'_>) {
        let metrics = frame.columns.len();
        self.scores.resize(metrics, [0.0; LINKS]);
        let moving: Vec<bool> = (0..metrics).map(|column| frame.moves(column)).collect();
        for (scores, _) in self.scores.iter_mut().zip(&moving).filter(|&(_, &moving)| moving) {
            for score in scores {
                *score *= KEPT;
            }
        }
        let mut columns = frame.columns.to_vec();
        let mut surprises = Vec::with_capacity(metrics);
        for (row, moment) in frame.cells.chunks_exact(metrics.max(1)).zip(frame.moments) {
            surprises.clear();
            for (at, (&cell, column)) in row.iter().zip(&mut columns).enumerate() {
                if moving.get(at) == Some(&true) && is_level(cell) {
                    self.score(frame, (at, cell), (row, &surprises), (column, moment));
                }
                // Each column is seen through the past that its own link begins with.
                let surprise = if is_level(cell) {
                    cell - column.link.past(column)
                } else {
                    0
                };
                surprises.push(surprise);
                if is_level(cell) {
                    column.follow(cell);
                }
            }
        }
    }

    fn score(
        &mut self,
        frame: &Frame<'_>,
        (at, cell): (usize, Cell),
        (cells, surprises): (&[Cell], &[i64]),
        (column, moment): (&Column, &Moment),
    ) {
        let Some(scores) = self.scores.get_mut(at) else { return };
        for (number, score) in (0..).zip(scores) {
            let Some(link) = Link::new(number) else { return };
            let past = link.past(column);
            let expected = expected(cells, surprises, (at, link, past), |distance, level| {
                frame.translate(at, distance, level, moment)
            });
            // Halfway between whole bits: a logarithm to the last digit would not choose better.
            let left = cell.abs_diff(expected).saturating_mul(2) + 1;
            let octave = left.ilog2();
            let half = if octave > 0 { left >> (octave - 1) & 1 } else { 0 };
            *score += octave as f32 + half as f32 / 2.0;
        }
    }

    /// The best link of `column`, which now has `link`.
    pub(super) fn best(&self, column: usize, link: Link) -> Link {
        let Some(scores) = self.scores.get(column) else {
            return link;
        };
        let score = |number: u8| {
            let score = scores.get(usize::from(number)).copied().unwrap_or(f32::INFINITY);
            let free = number == link.number() || number == 0;
            if free { score } else { score + MARGIN }
        };
        let possible = (0..Link::COUNT).filter(|&number| Link::new(number).is_some_and(|link| reaches(link, column)));
        let best = possible.min_by(|&a, &b| score(a).total_cmp(&score(b)));
        best.and_then(Link::new).unwrap_or(link)
    }
}

/// Whether there are as many columns before `column` as `link` looks at.
fn reaches(link: Link, column: usize) -> bool {
    match link.follows() {
        Follows::Itself => true,
        Follows::Step(distance) | Follows::Sum(distance) | Follows::Value(distance) => distance <= column,
    }
}

impl Frame<'_> {
    fn moves(&self, column: usize) -> bool {
        let metrics = self.columns.len();
        let last = self.columns.get(column).map_or(0, |column| column.last);
        let mut cells = self.cells.iter().skip(column).step_by(metrics.max(1));
        cells.any(|&cell| is_level(cell) && cell != last)
    }

    fn translate(&self, at: usize, distance: usize, level: i64, moment: &Moment) -> Option<i64> {
        translate(self.grids, at, distance, level, moment)
    }
}

/// What is `level` in the column `distance` before column `at`, in the levels of that.
pub(super) fn translate(grids: &[Grid], at: usize, distance: usize, level: i64, moment: &Moment) -> Option<i64> {
    let (from, to) = (grids.get(at.checked_sub(distance)?)?, grids.get(at)?);
    if from.is_same(to) {
        return Some(level);
    }
    let value = from.value(level, moment);
    if value.is_finite() {
        to.level(value, moment)
    } else {
        None
    }
}
