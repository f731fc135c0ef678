//! To and fro: how often a reservation fell after it had risen, lately. Each time makes the next fall wait longer, and
//! after so many as its class allows nothing is lowered until the oldest is long ago.

use serde::{Deserialize, Serialize};
use shadow::UnixMs;

use crate::policy::Flap;

use super::{Key, State};

/// Where a reservation is going, and when it turned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::allocate) struct Turn {
    /// Whether its last change was a rise.
    rose: bool,
    /// When it fell after a rise, oldest first, at most [`Flap::MOST`].
    falls: Vec<UnixMs>,
}

impl Turn {
    /// It rises.
    pub(in crate::allocate) fn rise(&mut self) {
        self.rose = true;
    }

    /// It falls.
    pub(in crate::allocate) fn fall(&mut self, now_ms: UnixMs) {
        if std::mem::take(&mut self.rose) {
            self.falls.push(now_ms);
            let over = self.falls.len().saturating_sub(Flap::MOST as usize);
            self.falls.drain(..over);
        }
    }

    /// Whether it would be one more fall after a rise.
    fn would_turn(&self) -> bool {
        self.rose
    }

    fn count(&self, now_ms: UnixMs, within_ms: u64) -> u32 {
        let within = |fall: &&UnixMs| u64::try_from(now_ms.saturating_sub(**fall)).is_ok_and(|ago| ago < within_ms);
        u32::try_from(self.falls.iter().filter(within).count()).unwrap_or(u32::MAX)
    }

    /// The clock was set back.
    pub(super) fn rewind(&mut self, now_ms: UnixMs) {
        for fall in &mut self.falls {
            *fall = (*fall).min(now_ms);
        }
    }
}

/// How far a reservation is held back from falling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::allocate) struct Damping {
    /// Falls after a rise that count.
    pub(in crate::allocate) falls: u32,
    /// Whether it may not fall at all.
    pub(in crate::allocate) is_used_up: bool,
    /// How long it has to stand before it falls, in milliseconds.
    pub(in crate::allocate) dwell_ms: u64,
}

impl State {
    /// How far the reservation of `key` is held back, where it has to stand for `dwell_ms` at least.
    pub(in crate::allocate) fn damping(&self, key: &Key, now_ms: UnixMs, (flap, dwell_ms): (Flap, u64)) -> Damping {
        let turn = self.turns.get(key);
        let falls = turn.map_or(0, |turn| turn.count(now_ms, flap.within_ms));
        let turns = turn.is_some_and(Turn::would_turn);
        Damping {
            falls,
            is_used_up: turns && falls >= flap.most,
            dwell_ms: dwell_ms.saturating_mul(1 << falls.min(Flap::MOST)),
        }
    }
}
