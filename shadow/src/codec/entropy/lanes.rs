//! Columns of quick frames on their way into a body. What is ordinary is done four rows at once, and step by step for all columns,
//! so that little has to be guessed: which columns are not 0, their levels and residuals, classes, and bits.

#![expect(clippy::cast_possible_truncation, reason = "levels and counts in lanes are small")]

mod part;

use std::ops::Range;

pub(super) use part::all_bits;
use part::{Part, find, widen};

use super::{
    super::quantize::{LANES, Plan, Rows, Told},
    class::{QUIET, Runs},
    coder::Writing,
    draft::{Draft, Still, closely},
    grid::{Grid, Moment, Moments},
    link::Hint,
    memory::Column,
    quick::{self, ASIDE, KEPT},
};
use crate::{Block, Reading};

/// Levels of a column that are further from 0 than this take the long way.
const FAR: i64 = 1 << 29;

/// The readings of a frame, run by run and column by column, each run in as many parts as the longest has.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    runs: Runs,
    rows: usize,
    /// Parts of a run.
    each: usize,
    /// Of all parts of a column: what gauges are scaled by, and rates.
    plain: Vec<Rows>,
    rated: Vec<Rows>,
    /// How the levels of each column are found, and whether by what rates are scaled by.
    plans: Vec<Option<(Plan, bool)>>,
    /// What that depends on.
    planned: Option<(u64, bool)>,
    parts: Vec<Part>,
    /// Columns that are not just 0.
    moving: Vec<u32>,
    /// Runs that are told in front: first part, class and rows.
    fronted: Vec<Fronted>,
    /// Columns that took the long way.
    close: Vec<usize>,
    /// Those of them that were missing before, or whose levels have another meaning now.
    moved: Vec<usize>,
}

/// A run that is told in front.
#[derive(Debug, Clone, Copy, Default)]
struct Fronted {
    part: u32,
    marks: u32,
    rows: u16,
    class: u8,
}

impl Lanes {
    /// Begins with a frame.
    fn begin(&mut self, grids: &[Grid], moments: &Moments) {
        let rows = moments.rows.len();
        let runs = self.runs.of(rows);
        if self.rows != rows || self.moving.len() != grids.len() {
            self.rows = rows;
            let longest = runs.iter().map(Range::len).max().unwrap_or(0);
            self.each = longest.div_ceil(LANES);
            self.plain.clear();
            self.plain.resize(runs.len() * self.each, Rows::default());
            for (run, parts) in runs.iter().zip(self.plain.chunks_exact_mut(self.each)) {
                let lanes = parts.iter_mut().flat_map(|part| {
                    let Rows { down, keep, .. } = part;
                    down.iter_mut().zip(keep)
                });
                for (down, keep) in lanes.take(run.len()) {
                    (*down, *keep) = (1.0, -1);
                }
            }
            for part in &mut self.plain {
                part.count = part.keep.iter().filter(|&&keep| keep != 0).count();
                part.last = part.count.checked_sub(1).unwrap_or(LANES);
            }
            self.rated.clone_from(&self.plain);
            // Behind the last row all is 0.
            self.parts.clear();
            self.parts.resize(grids.len() * self.plain.len(), Part::EMPTY);
            self.moving.resize(grids.len(), 0);
            self.fronted.resize(grids.len() * runs.len(), Fronted::default());
        }
        for (run, parts) in runs.iter().zip(self.rated.chunks_exact_mut(self.each)) {
            let lanes = parts.iter_mut().flat_map(|part| &mut part.down);
            let moments = moments.rows.get(run.clone()).unwrap_or_default();
            lanes.zip(moments).for_each(|(down, moment)| *down = moment.gap_s);
        }
        self.close.clear();
        self.moved.clear();
        self.plan(grids, moments);
    }

    /// Plans hold while rates are taken over about the same time.
    fn plan(&mut self, grids: &[Grid], moments: &Moments) {
        let first = moments.rows.first().copied().unwrap_or_default();
        let now = moments.alike().then_some((first.ruling_s.to_bits(), first.gap_us > 0));
        if self.planned != now || now.is_none() {
            self.planned = now;
            self.plans.clear();
            self.plans.extend(grids.iter().map(|grid| grid.plan(moments)));
        }
    }

    /// Fills `told` with what a reader will be told of column `at` of `grid`, but for extremes; tells whether its levels are known here.
    pub(super) fn show(&self, at: usize, grid: &Grid, moments: &Moments, told: &mut [Reading]) -> bool {
        if self.close.contains(&at) {
            return false;
        }
        let place = at * self.plain.len()..(at + 1) * self.plain.len();
        let parts = self.parts.get(place).unwrap_or_default();
        if let [part] = parts {
            return grid.tell_ordinary(part.levels(), moments, told);
        }
        let levels = self
            .runs
            .all()
            .iter()
            .zip(parts.chunks_exact(self.each))
            .flat_map(|(run, parts)| parts.iter().flat_map(Part::levels).take(run.len()));
        grid.tell_ordinary(levels, moments, told)
    }
}

impl Draft {
    /// Levels, classes and residuals of all columns but those residuals that are told by symbols.
    pub(super) fn write_apart(
        &mut self,
        coder: &mut Writing<'_>,
        (grids, columns): (&[Grid], &mut [Column]),
        before: Moment,
        block: &Block,
    ) {
        let renewed = self.moments.rows.iter().any(|moment| moment.rules_otherwise(&before));
        self.lanes.begin(grids, &self.moments);
        let runs = self.lanes.runs.all().len();
        self.ways.clear();
        self.ways.resize(grids.len() * runs, QUIET);
        self.sheet.begin(grids.len(), block.len());
        // What is in front is not looked at.
        self.residuals.resize(grids.len() * block.len(), 0);
        let moving = self.look(grids, columns, renewed, block);
        self.find_levels((grids, &mut *columns), (before, renewed), block, moving);
        let fronted = self.choose(moving);
        for &at in &self.lanes.moved {
            if let Some(still) = self.still.get_mut(at) {
                *still = Still::No;
            }
        }
        self.told_classes.resize(self.ways.len(), KEPT);
        let slots = self.ways.iter().zip(&mut self.told_classes);
        let keep = |column: &mut Column, (way, told): (&u8, &mut u8)| {
            // All bits if it is kept: nothing is guessed.
            let kept = u32::from(*way ^ column.class).wrapping_sub(1) >> u8::BITS;
            *told = *way | kept as u8 & KEPT;
            column.class = *way;
        };
        if runs == 1 {
            columns
                .iter_mut()
                .zip(slots)
                .for_each(|(column, slot)| keep(column, slot));
        } else {
            let mut slots = slots;
            for column in columns {
                slots.by_ref().take(runs).for_each(|slot| keep(column, slot));
            }
        }
        quick::write_classes(&self.told_classes, coder.front);
        for run in self.lanes.fronted.iter().take(fronted) {
            let part = run.part as usize;
            let parts = self.lanes.parts.get(part..part + self.lanes.each).unwrap_or_default();
            quick::write(
                run.class,
                (run.rows.into(), run.marks),
                parts.iter().map(|part| &part.residuals),
                coder.front,
            );
        }
    }

    /// Looks at all readings at once, for they come from far in memory; returns how many columns are not just 0 as before.
    fn look(&mut self, grids: &[Grid], columns: &[Column], renewed: bool, block: &Block) -> usize {
        let moving = &mut self.lanes.moving;
        let mut count = 0;
        let all = grids.iter().zip(columns).zip(&block.columns);
        for (at, ((grid, column), readings)) in (0..).zip(all) {
            if let Some(to) = moving.get_mut(count) {
                *to = at;
            }
            // Not by a condition: nothing is guessed.
            let other = u64::from(renewed) | u64::from(!grid.has_zero()) | u64::from(column.missed().is_some());
            let moves = other | column.last.cast_unsigned() | all_bits(readings);
            count += usize::from(moves != 0);
        }
        self.still.clear();
        self.still.resize(grids.len(), Still::Zero);
        count
    }

    /// Finds levels and residuals of the columns that move.
    fn find_levels(
        &mut self,
        (grids, columns): (&[Grid], &mut [Column]),
        (before, renewed): (Moment, bool),
        block: &Block,
        moving: usize,
    ) {
        let Lanes {
            runs,
            plain,
            rated,
            plans,
            parts,
            moving: all,
            close,
            ..
        } = &mut self.lanes;
        let runs = runs.all();
        let sets = [plain.as_slice(), rated.as_slice()];
        for &at in all.iter().take(moving) {
            let at = at as usize;
            let place = at * plain.len()..(at + 1) * plain.len();
            let (Some(column), Some(readings), Some(plan), Some(parts)) = (
                columns.get_mut(at),
                block.columns.get(at),
                plans.get(at),
                parts.get_mut(place),
            ) else {
                continue;
            };
            let near = column.last.unsigned_abs() < FAR.unsigned_abs() && !renewed && column.missed().is_none();
            let last = column.last as i32;
            let found = plan.as_ref().filter(|_| near).and_then(|(plan, is_rated)| {
                let rows = sets.get(usize::from(*is_rated)).copied().unwrap_or_default();
                match (&mut *parts, rows) {
                    ([part], [rows]) => part.find(readings, plan, rows, last),
                    (parts, rows) => find(parts, readings, plan, (runs, rows), last),
                }
            });
            match found {
                Some(last) => column.last = last.into(),
                None => close.push(at),
            }
        }
        for number in 0..self.lanes.close.len() {
            let at = self.lanes.close.get(number).copied().unwrap_or(0);
            self.closely(at, (grids, columns), (before, renewed), block);
        }
    }

    /// Works out residuals of the columns that move, and chooses how their runs are told; returns how many of these are told in front.
    fn choose(&mut self, moving: usize) -> usize {
        let Lanes {
            runs,
            rows: length,
            each,
            plain,
            parts,
            moving: all,
            fronted: to,
            ..
        } = &mut self.lanes;
        let all = all.iter().take(moving).map(|&at| at as usize);
        let runs = runs.all();
        let mut fronted = 0;
        if let [rows] = plain.as_slice() {
            // The usual second.
            for at in all {
                let (Some(part), Some(way), Some(still), Some(to)) = (
                    parts.get_mut(at),
                    self.ways.get_mut(at),
                    self.still.get_mut(at),
                    to.get_mut(fronted),
                ) else {
                    continue;
                };
                let told = part.tell(rows);
                let class = quick::class(&told, *length as u32);
                *to = Fronted {
                    part: at as u32,
                    marks: told.marks,
                    rows: *length as u16,
                    class,
                };
                *way = class;
                *still = if class == QUIET { Still::Yes } else { Still::No };
                fronted += usize::from(class != QUIET && class != ASIDE);
                if class == ASIDE {
                    let from = at * *length;
                    widen(
                        std::slice::from_ref(part),
                        self.residuals.get_mut(from..from + *length).unwrap_or_default(),
                    );
                }
            }
            return fronted;
        }
        for at in all {
            let mut moved = QUIET;
            let slots = at * runs.len()..(at + 1) * runs.len();
            for ((slot, run), rows) in slots.zip(runs).zip(plain.chunks_exact(*each)) {
                let part = slot * *each;
                let (Some(parts), Some(way), Some(to)) = (
                    parts.get_mut(part..part + *each),
                    self.ways.get_mut(slot),
                    to.get_mut(fronted),
                ) else {
                    continue;
                };
                let told = parts
                    .iter_mut()
                    .zip(rows)
                    .rev()
                    .fold(Told::NONE, |all, (part, rows)| part.tell(rows).before(all));
                let class = quick::class(&told, run.len() as u32);
                *to = Fronted {
                    part: part as u32,
                    marks: told.marks,
                    rows: run.len() as u16,
                    class,
                };
                *way = class;
                moved |= class;
                fronted += usize::from(class != QUIET && class != ASIDE);
                if class == ASIDE {
                    let from = at * *length + run.start;
                    widen(
                        parts,
                        self.residuals.get_mut(from..from + run.len()).unwrap_or_default(),
                    );
                }
            }
            if let Some(still) = self.still.get_mut(at) {
                *still = if moved == QUIET { Still::Yes } else { Still::No };
            }
        }
        fronted
    }

    /// The same of one column where levels are not ordinary, are missing, or change their meaning.
    #[cold]
    fn closely(
        &mut self,
        at: usize,
        (grids, columns): (&[Grid], &mut [Column]),
        (before, renewed): (Moment, bool),
        block: &Block,
    ) {
        let (Some(grid), Some(column), Some(readings)) = (grids.get(at), columns.get_mut(at), block.columns.get(at))
        else {
            return;
        };
        let rows = readings.len();
        if column.missed().is_some() || renewed {
            self.lanes.moved.push(at);
        }
        let residuals = self.residuals.get_mut(at * rows..(at + 1) * rows).unwrap_or_default();
        let (_, cells, _) = self.sheet.split(at);
        grid.each_level(readings, &self.moments, cells);
        closely(
            Some(grid),
            (column, before),
            (cells, &self.moments.rows),
            Hint::Steps(&[]),
            residuals,
            None,
        );
        let Lanes {
            runs,
            each,
            parts,
            plain,
            ..
        } = &mut self.lanes;
        let parts = parts
            .get_mut(at * plain.len()..(at + 1) * plain.len())
            .unwrap_or_default();
        for (run, parts) in runs.all().iter().zip(parts.chunks_exact_mut(*each)) {
            let residuals = residuals.get(run.clone()).unwrap_or_default();
            let mut told = Some(quick::told(residuals));
            let mut residuals = residuals.chunks(LANES);
            for part in parts {
                part.residuals = quick::narrow(residuals.next().unwrap_or_default());
                part.told = told.take().unwrap_or(Told::NONE);
                part.near = false;
            }
        }
    }
}
