//! How much a column moves: a machine with few states, moved on by each symbol.
//!
//! A state is a class of activity, the exponential average of residuals' magnitudes, and whether each of the last
//! two residuals was 0. All transitions are worked out once, so that going on is a look into a table.

#![expect(clippy::cast_possible_truncation, reason = "states and classes are few")]

use super::{
    coder::magnitudes,
    priors::{SYMBOLS, filled},
};

/// Binary digits after the point of activities.
const FRACTION: u32 = 4;

/// Activities from 2^this on are told by their scale: residuals lose as many low bits, which travel raw.
const SCALED: u32 = 10;

/// The most low bits that are lost; larger residuals escape.
const MOST_SHIFT: u32 = 24;

/// Residuals of at least 2^this count as that.
const MOST_MAGNITUDE: u64 = 1 << 40;

/// Classes below `2^SCALED`: 0, 1, 2, 3, and four for each octave.
pub(super) const PLAIN_CLASSES: usize = 4 + 4 * (SCALED as usize - 2);

const CLASSES: usize = PLAIN_CLASSES + 4 * MOST_SHIFT as usize;

/// How many contexts there are to tell that a column does as expected in the whole frame.
pub(super) const QUIET_CONTEXTS: usize = 32;

/// Whether each of the last two residuals was 0.
pub(super) const RECENT: usize = 4;

/// How many states there are.
pub(super) const STATES: usize = CLASSES * RECENT;

/// The same, rounded up to a power of two.
pub(super) const MOST_STATES: usize = STATES.next_power_of_two();

/// The number of a state; 0 is that of a column that has never moved.
pub(super) type State = u16;

/// All transitions.
#[derive(Debug)]
pub(super) struct Machine {
    next: Box<[State; MOST_STATES * SYMBOLS]>,
    rest: Box<[State; MOST_STATES]>,
    quiet: Box<[u8; MOST_STATES]>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let states = 0..STATES as State;
        let after = |state| magnitudes().map(move |magnitude| step(state, magnitude << shift(state)));
        Self {
            next: filled(states.clone().flat_map(after)),
            rest: filled(
                states
                    .clone()
                    .map(|state| join(class(activity(split(state).0) >> 1), 0)),
            ),
            quiet: filled(states.map(|state| {
                let (class, recent) = plain(state);
                ((class / 2).min(QUIET_CONTEXTS / 2 - 1) * 2 + recent % 2) as u8
            })),
        }
    }

    /// The state after `symbol`, which is not an escape.
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "the numbers of states and of symbols are powers of two"
    )]
    pub(super) fn next(&self, state: State, symbol: u8) -> State {
        self.next[(usize::from(state) * SYMBOLS + usize::from(symbol)) % (MOST_STATES * SYMBOLS)]
    }

    /// The context of whether a column does as expected in the whole frame: less than [`QUIET_CONTEXTS`].
    #[inline]
    pub(super) fn quiet(&self, state: State) -> usize {
        self.quiet.get(usize::from(state)).copied().unwrap_or(0).into()
    }

    /// The state after a frame without residuals.
    pub(super) fn rest(&self, state: State) -> State {
        self.rest.get(usize::from(state)).copied().unwrap_or(0)
    }
}

/// The state after a residual of `magnitude`.
pub(super) fn step(state: State, magnitude: u64) -> State {
    let (of, recent) = split(state);
    let activity = activity(of);
    let target = magnitude.min(MOST_MAGNITUDE) << FRACTION;
    let moved = activity.cast_signed() + ((target.cast_signed() - activity.cast_signed()) >> 2);
    join(
        class(moved.max(0).unsigned_abs()),
        (recent & 1) << 1 | State::from(magnitude != 0),
    )
}

/// How many low bits of a residual are told raw.
pub(super) fn shift(state: State) -> u32 {
    let (class, _) = split(state);
    let scaled = usize::from(class).checked_sub(PLAIN_CLASSES);
    scaled.map_or(0, |scaled| scaled as u32 / 4 + 1)
}

/// The class below `2^SCALED` that a state's activity has when it is shifted, and its recent residuals.
pub(super) fn plain(state: State) -> (usize, usize) {
    let (class, recent) = split(state);
    let class = usize::from(class);
    let scaled = class.checked_sub(PLAIN_CLASSES);
    (
        scaled.map_or(class, |scaled| PLAIN_CLASSES - 4 + scaled % 4),
        recent.into(),
    )
}

fn split(state: State) -> (State, State) {
    (state / RECENT as State, state % RECENT as State)
}

fn join(class: State, recent: State) -> State {
    class * RECENT as State + recent
}

/// The class of an activity: which quarter of which octave.
fn class(activity: u64) -> State {
    let activity = activity.min((1 << (SCALED + MOST_SHIFT)) - 1);
    if activity < 4 {
        return activity as State;
    }
    let octave = activity.ilog2();
    let quarter = activity >> (octave - 2) & 3;
    (4 * u64::from(octave - 1) + quarter) as State
}

/// The activity in the middle of a class.
fn activity(class: State) -> u64 {
    let class = u64::from(class);
    if class < 4 {
        return class;
    }
    let (octave, quarter) = (class / 4 + 1, class % 4);
    (2 * (4 + quarter) + 1) << (octave - 2) >> 1
}
