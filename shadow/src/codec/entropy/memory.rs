//! Where columns stand: what the next level is expected to be, and how sure that is.

use super::{
    super::quantize::MAX_LEVEL,
    ABSENT, Cell, FAILED, STALE,
    activity::{Machine, PLAIN_CLASSES, RECENT, State, plain},
    clock::Clock,
    grid::{Grid, Moment},
    link::{Follows, Link},
};

/// Binary digits after the point of averages.
const FRACTION: u32 = 4;

/// Classes of what is expected: 0, 1, 2, more, negative.
pub(super) const EXPECTED: usize = 5;

/// How many contexts a level may be told in.
pub(super) const LEVEL_CONTEXTS: usize = PLAIN_CLASSES * EXPECTED * RECENT;

/// What writer and reader know after a frame.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// Times and gaps.
    pub(super) clock: Clock,
    /// One for each metric.
    pub(super) columns: Vec<Column>,
}

impl Memory {
    /// The memory of a frame that is read by itself.
    pub(super) fn new(metrics: usize) -> Self {
        Self {
            clock: Clock::default(),
            columns: vec![Column::default(); metrics],
        }
    }

    /// Becomes equal to `other`, without allocating where the catalogue is the same.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.clock = other.clock;
        self.columns.clone_from(&other.columns);
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.clock = Clock::default();
        self.columns.fill(Column::default());
    }
}

/// Where one column stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Column {
    /// Its last level.
    pub(super) last: i64,
    /// The exponential average of its levels, a quarter for the newest.
    average: i64,
    /// How much it moves.
    pub(super) state: State,
    /// Whether its last residual was negative.
    pub(super) negative: bool,
    /// How far its last cell is above [`ABSENT`], plus one, if that was missing.
    missing: u8,
    /// What it follows.
    pub(super) link: Link,
}

/// The context of a level: what is expected as a class, in a state.
pub(super) fn level_context(state: State, wanted: usize) -> usize {
    let (class, recent) = plain(state);
    (class * EXPECTED + wanted) * RECENT + recent
}

impl Column {
    /// The exponential average, rounded.
    pub(super) const fn average(&self) -> i64 {
        (self.average + (1 << (FRACTION - 1))) >> FRACTION
    }

    /// Whether a residual to the level `expected` is told with the other sign: those that follow a negative one are.
    #[inline]
    pub(super) const fn mirrors(&self, expected: i64) -> bool {
        self.negative && expected > 2
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
    pub(super) const fn missed(&self) -> Option<Cell> {
        if self.missing == 0 {
            None
        } else {
            Some(ABSENT + self.missing as Cell - 1)
        }
    }

    /// What it held in the last row; a value without a level counts as the level before.
    pub(super) fn cell(&self) -> Cell {
        self.missed().unwrap_or(self.last)
    }

    /// Goes on by a frame without residuals.
    pub(super) fn rest(&mut self, machine: &Machine) {
        self.state = machine.rest(self.state);
        self.negative = false;
        if self.stays() {
            self.settle();
        }
    }

    /// Goes on by a level.
    pub(super) const fn follow(&mut self, level: i64) {
        self.last = level;
        self.average += ((level << FRACTION) - self.average) >> 2;
        self.missing = 0;
    }

    /// Puts the level of a rate where it is in a row whose levels are others than before.
    #[inline]
    pub(super) fn renew(&mut self, grid: &Grid, before: &Moment, now: &Moment) {
        if now.rules_otherwise(before) && grid.is_rate() {
            self.last = grid.renew(self.last, before, now);
            self.settle();
        }
    }

    /// Goes on by many rows of its last level.
    const fn settle(&mut self) {
        self.average = self.last << FRACTION;
    }

    /// Whether nothing but its last level is expected of it.
    pub(super) fn stays(&self) -> bool {
        self.link == Link::default()
    }

    /// Whether its level is one that a writer may tell.
    pub(super) const fn is_known(&self) -> bool {
        self.last.unsigned_abs() <= MAX_LEVEL.unsigned_abs()
    }

    /// Whether its cells are told row by row, with those of other columns.
    pub(super) fn is_apart(&self) -> bool {
        self.link.follows() == Follows::Itself
    }
}

/// The class of what is expected.
#[inline]
pub(super) fn wanted(expected: i64) -> usize {
    // Negative numbers are no indices.
    usize::try_from(expected.min(3)).unwrap_or(EXPECTED - 1)
}
