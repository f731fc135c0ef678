//! Which column follows which: the writer tries all links on some frames and keeps the scores.

use super::{
    grid::{Grid, Moment},
    is_level,
    link::{Hints, Link},
    memory::Column,
    sheet::Sheet,
};

/// What is left of a score at the next trial.
const KEPT: f32 = 0.95;

/// What a link must be better by than following nothing, in bits of the score's memory.
const MARGIN: f32 = 8.0;

const LINKS: usize = Link::COUNT as usize;

/// The scores of all links of all columns.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// Bits that each link would have cost, roughly; older trials count less.
    scores: Vec<[f32; LINKS]>,
    /// What is expected of a column by its last level and by its average, row by row.
    pasts: Vec<[i64; 2]>,
    hints: Hints,
}

/// A frame to try links on.
pub(super) struct Frame<'a> {
    pub(super) grids: &'a [Grid],
    pub(super) moments: &'a [Moment],
    /// Where the columns stand before it.
    pub(super) columns: &'a [Column],
    /// Its cells, and how far they are from what the columns expect by themselves.
    pub(super) sheet: &'a Sheet,
}

impl Trial {
    /// Tries all links on `frame`.
    pub(super) fn run(&mut self, frame: &Frame<'_>) {
        for at in self.scores.len()..frame.columns.len() {
            let reaches = |number| Link::new(number).is_some_and(|link| link.reaches(at));
            let mut scores = [f32::INFINITY; LINKS];
            for (score, _) in scores.iter_mut().zip(0..).filter(|&(_, number)| reaches(number)) {
                *score = 0.0;
            }
            self.scores.push(scores);
        }
        for ((at, column), scores) in frame.columns.iter().enumerate().zip(&mut self.scores) {
            let cells = frame.sheet.cells(at);
            if cells.iter().all(|&cell| !is_level(cell) || cell == column.last) {
                continue;
            }
            self.pasts.clear();
            let mut column = column.averaging();
            for &cell in cells {
                self.pasts.push([column.last, column.average()]);
                if is_level(cell) {
                    column.follow(cell);
                }
            }
            for (link, score) in (0..).map_while(Link::new).zip(scores) {
                if score.is_infinite() {
                    continue;
                }
                let hint = self
                    .hints
                    .of(&frame.sheet.before(at), (at, link), (frame.grids, frame.moments));
                let rows = cells.iter().zip(&self.pasts).enumerate();
                let levels = rows.filter(|(_, (cell, _))| is_level(**cell));
                let bits = levels.map(|(row, (&cell, &[last, average]))| {
                    let past = if link.averages() { average } else { last };
                    half_bits(cell.abs_diff(hint.expected(row, past)))
                });
                *score = *score * KEPT + bits.sum::<u32>() as f32 / 2.0;
            }
        }
    }

    /// The best link of `column`, which now has `link`.
    pub(super) fn best(&self, column: usize, link: Link) -> Link {
        let Some(scores) = self.scores.get(column) else {
            return link;
        };
        let score = |number: u8| scores.get(usize::from(number)).copied().unwrap_or(f32::INFINITY);
        let costs = (0..).zip(scores.iter().map(|score| score + MARGIN));
        // What it does already costs nothing to tell, and to follow nothing needs no other column.
        let free = [link.number(), 0].map(|number| (number, score(number)));
        let best = costs.chain(free).fold((link.number(), f32::INFINITY), |best, next| {
            if next.1 < best.1 { next } else { best }
        });
        Link::new(best.0).unwrap_or(link)
    }
}

/// How many half bits a residual takes, roughly: a logarithm to the last digit would not choose better.
fn half_bits(magnitude: u64) -> u32 {
    let twice = magnitude.saturating_mul(2) + 1;
    let octave = twice.ilog2();
    let half = if octave > 0 { twice >> (octave - 1) & 1 } else { 0 };
    2 * octave + u32::from(half == 1)
}
