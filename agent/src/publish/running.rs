//! The running epoch of a publisher: samples that are in no frame yet, and when a frame is cut. Pure.

use shadow::{Block, Catalogue, Event, Finding, Frame, Reading, UnixMs, codec};

use crate::error::PublishError;

/// The most points in a frame, so that even values that do not compress stay below the largest frame.
const MAX_POINTS: usize = 65_536;

/// The epoch that is told, and its samples that are in no frame yet.
pub(super) struct Running {
    epoch: u64,
    sequence: u64,
    catalogue: Catalogue,
    block: Block,
    last_ms: Option<UnixMs>,
}

impl Running {
    pub(super) fn new(epoch: u64, catalogue: Catalogue) -> Self {
        Self {
            epoch,
            sequence: 0,
            block: Block::new(&catalogue),
            catalogue,
            last_ms: None,
        }
    }

    /// Whether a sample at `time_ms` lies past the span of the frame.
    pub(super) fn is_over(&self, time_ms: UnixMs, frame_ms: i64) -> bool {
        let first_ms = self.block.times_ms.first();
        first_ms.is_some_and(|first| time_ms.saturating_sub(*first) >= frame_ms)
    }

    /// Returns whether the frame is full.
    pub(super) fn push(&mut self, time_ms: UnixMs, readings: &[Reading], frame_ms: i64) -> Result<bool, PublishError> {
        if let Some(last_ms) = self.last_ms.filter(|last| *last >= time_ms) {
            return Err(PublishError::TimeNotRising { time_ms, last_ms });
        }
        let step_ms = self.last_ms.map_or(0, |last| time_ms.saturating_sub(last));
        self.last_ms = Some(time_ms);
        self.block.push(time_ms, readings);
        let first_ms = self.block.times_ms.first().copied().unwrap_or(time_ms);
        let most = (MAX_POINTS / self.catalogue.len().max(1)).clamp(1, shadow::frame::MAX_SAMPLES);
        // Full when the next sample would be too late, were it half a step early.
        let next_ms = time_ms
            .saturating_sub(first_ms)
            .saturating_add(step_ms)
            .saturating_add(step_ms / 2);
        Ok(next_ms >= frame_ms || self.block.len() >= most)
    }

    /// An event with a place of its own among the frames.
    pub(super) fn event(&mut self, time_ms: UnixMs, finding: Finding) -> Event {
        Event {
            epoch: self.epoch,
            sequence: self.number(),
            time_ms,
            finding,
        }
    }

    fn number(&mut self) -> u64 {
        let sequence = self.sequence;
        self.sequence += 1;
        sequence
    }

    /// The frame so far, encoded; `None` without a sample, or when it cannot be encoded.
    pub(super) fn cut(&mut self) -> Option<Frame> {
        let start_ms = self.block.times_ms.first().copied()?;
        let samples = u32::try_from(self.block.len()).ok()?;
        let body = codec::encode(&self.catalogue, &self.block);
        self.block.clear();
        let body = body
            .inspect_err(
                |fault| tracing::error!(epoch = self.epoch, samples, %fault, "samples lost: they cannot be encoded"),
            )
            .ok()?;
        Some(Frame {
            epoch: self.epoch,
            sequence: self.number(),
            start_ms,
            samples,
            codec: codec::MASK_VARINT_LZ4,
            reference: 0,
            body: body.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use shadow::Channel;

    use super::*;

    /// Samples of each frame of a second, for samples at these times.
    fn frames(times_ms: impl IntoIterator<Item = i64>) -> Vec<u32> {
        let mut running = Running::new(1, Catalogue::of_channels(&[Channel::Cpu]));
        let mut found = Vec::new();
        for time_ms in times_ms {
            if running.is_over(time_ms, 1_000) {
                found.extend(running.cut());
            }
            if running.push(time_ms, &[Reading::new(0.5)], 1_000).unwrap() {
                found.extend(running.cut());
            }
        }
        assert!(found.iter().zip(0..).all(|(frame, n)| frame.sequence == n));
        found.iter().map(|frame| frame.samples).collect()
    }

    #[test]
    fn frames_span_their_time_however_uneven_the_samples_are() {
        assert_eq!(frames((0..30).map(|i| i * 100)), [10, 10, 10]);
        assert_eq!(frames((0..30).map(|i| i * 100 + i * 7 % 11)), [10, 10, 10]);
        assert_eq!(frames((0..4).map(|i| i * 500)), [2, 2]);
        assert_eq!(frames((0..4).map(|i| i * 60_000)), [1, 1, 1, 1]);
        assert_eq!(
            frames([0, 100, 200, 90_000, 90_100]),
            [3, 1],
            "the first after a gap stands alone"
        );
    }

    #[test]
    fn many_metrics_make_short_frames() {
        let metric = |n: i32| shadow::Metric::share(format!("m{n}"));
        let mut running = Running::new(1, Catalogue::new((0..10_000).map(metric).collect()));
        let full = (0..9)
            .map(|i| running.push(i, &[], 1_000).unwrap())
            .position(|full| full);
        assert_eq!(full, Some(5), "65,536 points");
    }

    #[test]
    fn time_must_rise() {
        let mut running = Running::new(1, Catalogue::default());
        running.push(i64::MIN, &[], 1_000).unwrap();
        running.push(i64::MAX, &[], 1_000).unwrap();
        let fault = running.push(i64::MAX, &[], 1_000).unwrap_err();
        assert!(matches!(fault, PublishError::TimeNotRising { .. }));
    }
}
