//! What the brain has made durable of an agent's frames, what it lacks, and what nobody has any more.

use std::ops::Range;

use serde::Serialize;

/// The brain's answer to one agent, for each epoch that it knows frames of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Watermark {
    /// One mark an epoch, oldest first.
    pub epochs: Vec<EpochMark>,
}

/// How far one epoch is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EpochMark {
    /// The epoch.
    pub epoch: u64,
    /// Every frame with a smaller sequence is durable, those in `missing` excepted.
    pub durable_below: u64,
    /// Sequences that never came, rising, apart from each other.
    pub missing: Vec<Range<u64>>,
    /// The brain has frames of this epoch but not its birth.
    pub birth_wanted: bool,
}

impl EpochMark {
    /// Whether the frame `sequence` is durable.
    pub fn covers(&self, sequence: u64) -> bool {
        sequence < self.durable_below && !self.missing.iter().any(|range| range.contains(&sequence))
    }
}

/// Sequences of an epoch that its agent no longer has and never will: nobody is to wait for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// The epoch.
    pub epoch: u64,
    /// The first of them.
    pub first: u64,
    /// One past the last; more than `first`.
    pub end: u64,
}
