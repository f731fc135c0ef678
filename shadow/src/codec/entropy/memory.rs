//! Where columns stand: what the next level is expected to be, and how sure that is.

use super::{
    ABSENT, Cell, FAILED, STALE,
    clock::Clock,
    grid::{Grid, Moment},
    link::Link,
};

/// Binary digits after the point of averages and activities.
const FRACTION: u32 = 4;

/// Activities from 2^this on are told by their scale: residuals lose as many low bits, which travel raw.
const SCALED: u32 = 10;

/// How many classes of activity there are: 0, and two for each octave below `2^SCALED`.
pub(super) const ACTIVITIES: usize = 2 * SCALED as usize + 1;

/// Classes of what is expected: 0, 1, 2, more, negative.
const EXPECTED: usize = 5;

/// Whether each of the last two residuals was 0.
const RECENT: usize = 4;

/// How many contexts a level may be told in.
pub(super) const LEVEL_CONTEXTS: usize = ACTIVITIES * EXPECTED * RECENT;

/// How many contexts there are to tell that a column does as expected in the whole frame.
pub(super) const QUIET_CONTEXTS: usize = 32;

/// The largest residual that activities take in full, so that they stay far from overflow.
const MOST_ACTIVE: u64 = 1 << 55;

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

    /// Puts the levels of rates where they are in a row whose levels are others than before.
    /// Tells whether it did.
    pub(super) fn renew(&mut self, grids: &[Grid], before: &Moment, now: &Moment) -> bool {
        if before.ruling_s == now.ruling_s {
            return false;
        }
        for (grid, column) in grids.iter().zip(&mut self.columns).filter(|(grid, _)| grid.is_rate()) {
            column.last = grid.renew(column.last, before, now);
            column.settle();
        }
        true
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
    /// The same of its residuals' magnitudes.
    activity: i64,
    /// Of the last residual and the one before: `1` and `2` if they were not 0, `4` if the last was negative.
    recent: u8,
    /// How far its last cell is above [`ABSENT`], plus one, if that was missing.
    missing: u8,
    /// What it follows.
    pub(super) link: Link,
}

/// In which context a residual is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// Which.
    pub(super) number: usize,
    /// How many of its low bits are told raw.
    pub(super) shift: u32,
    /// Whether it is told with the other sign: residuals that follow a negative one are.
    pub(super) mirrored: bool,
}

impl Column {
    /// The exponential average, rounded.
    pub(super) const fn average(&self) -> i64 {
        (self.average + (1 << (FRACTION - 1))) >> FRACTION
    }

    /// The context of a residual to the level `expected`.
    pub(super) fn context(&self, expected: i64) -> Context {
        let (activity, shift) = activity_class(self.activity);
        let class = if expected < 0 {
            4
        } else {
            usize::try_from(expected.min(3)).unwrap_or(0)
        };
        Context {
            number: (activity * EXPECTED + class) * RECENT + usize::from(self.recent & 3),
            shift,
            mirrored: self.recent > 3 && expected > 2,
        }
    }

    /// The context of whether it does as expected in the whole frame: less than [`QUIET_CONTEXTS`].
    pub(super) fn quiet_context(&self) -> usize {
        let (activity, _) = activity_class(self.activity);
        activity.min(QUIET_CONTEXTS / 2 - 1) * 2 + usize::from(self.recent & 1)
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

    /// Goes on by a residual.
    pub(super) fn learn(&mut self, residual: i64) {
        let magnitude = residual.unsigned_abs().min(MOST_ACTIVE) as i64;
        self.activity += ((magnitude << FRACTION) - self.activity) >> 2;
        self.recent = (self.recent & 1) << 1 | u8::from(residual != 0) | u8::from(residual < 0) << 2;
    }

    /// Goes on by a frame without residuals.
    pub(super) fn rest(&mut self) {
        self.activity >>= 1;
        self.recent = 0;
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

    /// Goes on by many rows of its last level.
    const fn settle(&mut self) {
        self.average = self.last << FRACTION;
    }

    /// Whether nothing but its last level is expected of it.
    pub(super) fn stays(&self) -> bool {
        self.link == Link::default()
    }
}

/// The class of an activity, and how many bits above the last class it is.
#[inline]
pub(super) fn activity_class(activity: i64) -> (usize, u32) {
    let activity = activity.max(0).unsigned_abs();
    let shift = (u64::BITS - activity.leading_zeros()).saturating_sub(SCALED);
    let scaled = usize::try_from(activity >> shift).unwrap_or(0);
    let class = CLASSES.get(scaled).copied().unwrap_or(0);
    (class.into(), shift)
}

/// The classes of activities below `2^SCALED`.
static CLASSES: [u8; 1 << SCALED] = classes();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it is worked out when this is compiled"
)]
const fn classes() -> [u8; 1 << SCALED] {
    let mut all = [0; 1 << SCALED];
    let mut activity = 1;
    while activity < all.len() {
        let octave = activity.ilog2();
        let half = if octave > 0 { activity >> (octave - 1) & 1 } else { 0 };
        all[activity] = 1 + 2 * octave as u8 + half as u8;
        activity += 1;
    }
    all
}
