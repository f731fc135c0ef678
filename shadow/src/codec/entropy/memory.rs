//! Where columns stand: what the next level is expected to be.

use super::{
    super::quantize::MAX_LEVEL,
    ABSENT, Cell, FAILED, STALE,
    class::NONE,
    clock::Clock,
    grid::{Grid, Moment},
    link::{Follows, Link},
};

/// Binary digits after the point of averages.
const FRACTION: u32 = 4;

/// What writer and reader know after a frame.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// Times and gaps.
    pub(super) clock: Clock,
    /// One for each metric.
    pub(super) columns: Vec<Column>,
    /// Whether any of them may follow another, or its own average.
    pub(super) linked: bool,
}

impl Memory {
    /// The memory of a frame that is read by itself.
    pub(super) fn new(metrics: usize) -> Self {
        Self {
            clock: Clock::default(),
            columns: vec![Column::default(); metrics],
            linked: false,
        }
    }

    /// Becomes equal to `other`, without allocating where the catalogue is the same.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.clock = other.clock;
        self.linked = other.linked;
        self.columns.clone_from(&other.columns);
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.clock = Clock::default();
        self.linked = false;
        self.columns.fill(Column::default());
    }
}

/// Where one column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    /// Its last level.
    pub(super) last: i64,
    /// The exponential average of its levels, a quarter for the newest, if its link begins with that.
    average: i64,
    /// The class of its last residuals.
    pub(super) class: u8,
    /// How far its last cell is above [`ABSENT`], plus one, if that was missing.
    missing: u8,
    /// What it follows.
    pub(super) link: Link,
}

impl Default for Column {
    fn default() -> Self {
        Self {
            last: 0,
            average: 0,
            class: NONE,
            missing: 0,
            link: Link::default(),
        }
    }
}

impl Column {
    /// The exponential average, rounded.
    #[inline]
    pub(super) const fn average(&self) -> i64 {
        (self.average + (1 << (FRACTION - 1))) >> FRACTION
    }

    /// Goes on by a cell that is no level.
    pub(super) const fn miss(&mut self, cell: Cell) {
        self.missing = match cell {
            ABSENT => 1,
            FAILED => 2,
            STALE => 3,
            _ => 0,
        };
    }

    /// The cell of the last row, if that was missing.
    #[inline]
    pub(super) const fn missed(&self) -> Option<Cell> {
        if self.missing == 0 {
            None
        } else {
            Some(ABSENT + self.missing as Cell - 1)
        }
    }

    /// Goes on by a level.
    #[inline]
    pub(super) const fn follow(&mut self, level: i64) {
        self.last = level;
        self.missing = 0;
        if self.link.averages() {
            self.average += ((level << FRACTION) - self.average) >> 2;
        }
    }

    /// What is expected of it from its own past.
    #[inline]
    pub(super) const fn past(&self) -> i64 {
        if self.link.averages() {
            self.average()
        } else {
            self.last
        }
    }

    /// Takes another link.
    pub(super) fn relink(&mut self, link: Link) {
        if link != self.link {
            self.link = link;
            self.settle();
        }
    }

    /// The same with an average, if it has none.
    pub(super) fn averaging(mut self) -> Self {
        if !self.link.averages() {
            self.relink(Link::AVERAGE);
        }
        self
    }

    /// Puts the level of a rate where it is in a row whose levels are others than before.
    #[inline]
    pub(super) fn renew(&mut self, grid: &Grid, before: &Moment, now: &Moment) {
        if now.rules_otherwise(before) && grid.is_rate() {
            self.last = grid.renew(self.last, before, now);
            self.settle();
        }
    }

    /// Lets the average be the last level.
    const fn settle(&mut self) {
        self.average = self.last << FRACTION;
    }

    /// Whether its level is one that a writer may tell.
    pub(super) const fn is_known(&self) -> bool {
        self.last.unsigned_abs() <= MAX_LEVEL.unsigned_abs()
    }

    /// Whether nothing but its last level is expected of it.
    #[inline]
    pub(super) fn stays(&self) -> bool {
        self.link == Link::default()
    }

    /// Whether it follows no other.
    pub(super) fn is_apart(&self) -> bool {
        self.link.follows() == Follows::Itself
    }
}
