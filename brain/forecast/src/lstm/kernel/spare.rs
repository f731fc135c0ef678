//! Room for activations, used again: a training step needs tens of megabytes, and to get them anew from the system at
//! each step would cost a third of its time.
//!
//! What a thread has dropped it gets again, until it ends; a training has threads of its own.

use std::{
    cell::RefCell,
    mem,
    ops::{Deref, DerefMut},
};

use super::aligned::Aligned;

/// Most pieces that a thread keeps. A step of the served network on one thread needs some three hundred, and with fewer than it
/// needs all of them are fetched anew each time.
const MOST: usize = 1_024;

thread_local! {
    static SPARE: RefCell<Vec<Aligned>> = const { RefCell::new(Vec::new()) };
}

/// Numbers whose room goes back when it is dropped; at first they are what the room held before.
#[derive(Debug)]
pub(crate) struct Spare(Aligned);

impl Spare {
    /// Room for `count` numbers.
    pub(crate) fn new(count: usize) -> Self {
        let found = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            let at = spare.iter().rposition(|numbers| numbers.len() == count);
            at.map(|at| spare.swap_remove(at))
        });
        Self(found.ok().flatten().unwrap_or_else(|| Aligned::zeros(count)))
    }

    /// The same, filled with zeros.
    pub(crate) fn zeros(count: usize) -> Self {
        let mut spare = Self::new(count);
        spare.fill(0.0);
        spare
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        let numbers = mem::take(&mut self.0);
        let keep = |spare: &RefCell<Vec<Aligned>>| {
            let mut spare = spare.borrow_mut();
            if spare.len() >= MOST {
                spare.clear();
            }
            spare.push(numbers);
        };
        // It fails where the thread is ending and nobody will ask for it.
        SPARE.try_with(keep).ok();
    }
}

impl Deref for Spare {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Spare {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}
