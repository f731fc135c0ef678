//! Room for activations, used again: a training step needs tens of megabytes, and to get them anew from the system at
//! each step would cost a third of its time.
//!
//! What a thread has dropped it gets again, until it ends; a training has threads of its own.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    mem,
    ops::{Deref, DerefMut},
};

use super::aligned::Aligned;

/// Most pieces of a length that a thread keeps. A step of the served network on one thread needs some three hundred of all lengths, and
/// with fewer than it needs the others are fetched anew each time.
const MOST: usize = 256;

thread_local! {
    /// By their length.
    static SPARE: RefCell<BTreeMap<usize, Vec<Aligned>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Numbers whose room goes back when it is dropped; at first they are what the room held before.
#[derive(Debug, Default)]
pub(crate) struct Spare(Aligned);

impl Spare {
    /// Room for `count` numbers.
    pub(crate) fn new(count: usize) -> Self {
        let found = SPARE.try_with(|spare| spare.borrow_mut().get_mut(&count)?.pop());
        Self(found.ok().flatten().unwrap_or_else(|| Aligned::zeros(count)))
    }

    /// The same, filled with zeros.
    pub(crate) fn zeros(count: usize) -> Self {
        let mut spare = Self::new(count);
        spare.fill(0.0);
        spare
    }
}

impl Clone for Spare {
    fn clone(&self) -> Self {
        let mut other = Self::new(self.len());
        other.copy_from_slice(self);
        other
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        let numbers = mem::take(&mut self.0);
        let keep = |spare: &RefCell<BTreeMap<usize, Vec<Aligned>>>| {
            let mut spare = spare.borrow_mut();
            let alike = spare.entry(numbers.len()).or_default();
            if alike.len() < MOST {
                alike.push(numbers);
            }
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
