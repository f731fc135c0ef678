//! Frames: consecutive samples of one host, encoded together.

use schemas::Bytes;

use crate::{Catalogue, Reading, Sample, UnixMs};

/// The most samples that a frame may hold.
pub const MAX_SAMPLES: usize = 4_096;

/// How much before its time a sample may come and still belong to the second after it, in milliseconds.
const EARLY_MS: i64 = 8;

/// When spans of `span_ms` (at least 1) of an epoch begin and end: the end of the one that `time_ms` lies in.
///
/// Spans are counted from just before the epoch's begin, not from whole seconds of the clock: so each host has an end of
/// its own, and samples taken every so often since the begin lie well within theirs. Seconds whose extremes are told
/// exactly are such spans.
pub fn end_of_span(epoch: u64, time_ms: UnixMs, span_ms: i64) -> UnixMs {
    let begin_ms = UnixMs::try_from(epoch / 1_000)
        .unwrap_or(UnixMs::MAX)
        .saturating_sub(EARLY_MS);
    let span_ms = span_ms.max(1);
    let within = time_ms.saturating_sub(begin_ms).rem_euclid(span_ms);
    time_ms.saturating_add(span_ms - within)
}

/// One encoded frame, as it travels and as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The birth that it is read with.
    pub epoch: u64,
    /// 0, 1, 2, ... within the epoch.
    pub sequence: u64,
    /// When its first sample was taken.
    pub start_ms: UnixMs,
    /// How many samples it holds, 1 to [`MAX_SAMPLES`].
    pub samples: u32,
    /// Which codec wrote `body`: see [`crate::codec`].
    pub codec: u32,
    /// 0 when it is read by itself; else it is read against the frame of the same epoch whose sequence is
    /// this much smaller.
    pub reference: u64,
    /// The samples.
    pub body: Bytes,
}

impl Frame {
    /// The sequence of the frame that must be read before this one; `None` when it is read by itself.
    pub const fn reads_against(&self) -> Option<u64> {
        if self.reference == 0 {
            None
        } else {
            self.sequence.checked_sub(self.reference)
        }
    }
}

/// Samples in columns: what an agent collects and what a reader gets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block {
    /// When each sample was taken, rising.
    pub times_ms: Vec<UnixMs>,
    /// Microseconds that each sample's rates are taken over, as long as `times_ms`; 0 = not known.
    pub gaps_us: Vec<u32>,
    /// One column a metric of the catalogue, each as long as `times_ms`.
    pub columns: Vec<Vec<Reading>>,
}

impl Block {
    /// An empty block for the metrics of `catalogue`.
    pub fn new(catalogue: &Catalogue) -> Self {
        Self {
            times_ms: Vec::new(),
            gaps_us: Vec::new(),
            columns: vec![Vec::new(); catalogue.len()],
        }
    }

    /// Appends a sample that does not tell what its rates are taken over. Readings past the last column are
    /// dropped, missing ones are absent.
    pub fn push(&mut self, time_ms: UnixMs, readings: &[Reading]) {
        self.push_rated(time_ms, 0, readings);
    }

    /// Appends a sample whose rates are taken over `gap_us` microseconds: see [`crate::rate::gap_us`].
    pub fn push_rated(&mut self, time_ms: UnixMs, gap_us: u32, readings: &[Reading]) {
        self.times_ms.push(time_ms);
        self.gaps_us.push(gap_us);
        for (i, column) in self.columns.iter_mut().enumerate() {
            column.push(readings.get(i).copied().unwrap_or(Reading::ABSENT));
        }
    }

    /// How many samples it holds.
    pub fn len(&self) -> usize {
        self.times_ms.len()
    }

    /// Whether it holds no sample.
    pub fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    /// Forgets all samples and keeps the memory.
    pub fn clear(&mut self) {
        self.times_ms.clear();
        self.gaps_us.clear();
        self.columns.iter_mut().for_each(Vec::clear);
    }

    /// The sample at `row`, if there is one.
    pub fn sample(&self, row: usize) -> Option<Sample> {
        let time_ms = *self.times_ms.get(row)?;
        let readings = self.columns.iter().filter_map(|c| c.get(row).copied()).collect();
        Some(Sample { time_ms, readings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_begin_with_their_epoch() {
        let ends = |epoch: u64, times: &[i64]| -> Vec<i64> {
            times
                .iter()
                .map(|&time_ms| end_of_span(epoch, time_ms, 1_000))
                .collect()
        };
        assert_eq!(
            ends(5_000_999, &[4_991, 4_992, 5_000, 5_991, 5_992]),
            [4_992, 5_992, 5_992, 5_992, 6_992]
        );
        assert_eq!(ends(5_000_000, &[-9, 3_000]), [-8, 3_992]);
        assert_eq!(ends(0, &[i64::MAX, i64::MIN]).len(), 2, "no overflow");
        assert_eq!(end_of_span(0, 7, 0), 8);
    }
}
