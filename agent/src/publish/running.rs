//! The running epoch of a publisher: samples that are in no frame yet, and when a frame is cut. Pure.

use shadow::{
    Block, Catalogue, Event, Finding, Frame, Grain, Reading, UnixMs, codec::Encoder, frame::end_of_span,
    rate::per_second,
};

use crate::{config::Codec, error::PublishError};

/// The most points in a frame, so that even values that do not compress stay below the largest frame.
const MAX_POINTS: usize = 65_536;

/// A sample that is expected so much after a frame's end will not come before it, in milliseconds.
const SURELY_MS: i64 = 6;

/// The epoch that is told, and its samples that are in no frame yet.
pub(super) struct Running {
    epoch: u64,
    sequence: u64,
    encoder: Encoder,
    /// Columns whose extremes are told exactly, and what their values are made of.
    grains: Vec<(usize, Grain)>,
    /// Times and gaps of its samples. The columns are filled when it is cut: a row more is a line of memory each, and all
    /// of them are cold by the next sample.
    block: Block,
    /// The readings of its samples, row by row.
    rows: Vec<Reading>,
    last_ms: Option<UnixMs>,
}

impl Running {
    pub(super) fn new(epoch: u64, catalogue: &Catalogue, codec: Codec) -> Self {
        let key = catalogue.metrics().iter().enumerate().filter(|(_, metric)| metric.key);
        Self {
            epoch,
            sequence: 0,
            block: Block::new(catalogue),
            rows: Vec::new(),
            encoder: match codec {
                Codec::Quick => Encoder::new(catalogue),
                Codec::Dense => Encoder::dense(catalogue),
                Codec::Lz4 => Encoder::lz4(catalogue),
            },
            grains: key
                .filter_map(|(column, metric)| Some((column, metric.grain?)))
                .collect(),
            last_ms: None,
        }
    }

    /// Whether a sample at `time_ms` lies past the span of the frame: spans are counted from the begin of the epoch, as
    /// the seconds are whose extremes are told exactly. Agents that began at different times cut at different times.
    pub(super) fn is_over(&self, time_ms: UnixMs, frame_ms: i64) -> bool {
        let first_ms = self.block.times_ms.first();
        first_ms.is_some_and(|first| time_ms >= end_of_span(self.epoch, *first, frame_ms))
    }

    /// Whether a sample at `time_ms`, `step_ms` after the one before, is the last of its frame: when the next will be too
    /// late, be it a little early. Where that is not sure, it will show.
    pub(super) fn fills(&self, time_ms: UnixMs, step_ms: i64, frame_ms: i64) -> bool {
        time_ms.saturating_add(step_ms - (step_ms / 16).min(SURELY_MS)) >= end_of_span(self.epoch, time_ms, frame_ms)
    }

    /// Takes a sample whose rates are over `gap_us` microseconds, 0 where that is not known. Returns whether the frame is
    /// full.
    pub(super) fn push(
        &mut self,
        time_ms: UnixMs,
        gap_us: u32,
        readings: &[Reading],
        frame_ms: i64,
    ) -> Result<bool, PublishError> {
        if let Some(last_ms) = self.last_ms.filter(|last| *last >= time_ms) {
            return Err(PublishError::TimeNotRising { time_ms, last_ms });
        }
        let step_ms = self.last_ms.map_or(0, |last| time_ms.saturating_sub(last));
        self.last_ms = Some(time_ms);
        self.block.times_ms.push(time_ms);
        self.block.gaps_us.push(gap_us);
        let width = self.block.columns.len();
        self.rows.extend(readings.iter().take(width));
        self.rows.resize(self.block.len() * width, Reading::ABSENT);
        let most = (MAX_POINTS / width.max(1)).clamp(1, shadow::frame::MAX_SAMPLES);
        Ok(self.fills(time_ms, step_ms, frame_ms) || self.block.len() >= most)
    }

    /// Puts the rows into columns.
    ///
    /// Key readings become what their metric says that they are made of, the nearest there is: sums of rates and shares
    /// are off in their last bits, and exact values are told in few bits only if they are not.
    fn fill_columns(&mut self) {
        let width = self.block.columns.len();
        for (at, column) in self.block.columns.iter_mut().enumerate() {
            column.extend(self.rows.iter().skip(at).step_by(width));
        }
        self.rows.clear();
        for &(column, grain) in &self.grains {
            let column = self.block.columns.get_mut(column).into_iter().flatten();
            for (place, &gap_us) in column.zip(&self.block.gaps_us) {
                let grained = place.value().map(|value| on_grain(value, grain, gap_us));
                *place = grained.filter(|value| value.is_finite()).map_or(*place, Reading::new);
            }
        }
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
        if self.block.is_empty() {
            return None;
        }
        self.fill_columns();
        let frame = self.encoder.frame(self.epoch, self.sequence, &self.block);
        let samples = self.block.len();
        self.block.clear();
        let frame = frame
            .inspect_err(
                |fault| tracing::error!(epoch = self.epoch, samples, %fault, "samples lost: they cannot be encoded"),
            )
            .ok()?;
        self.number();
        Some(frame)
    }
}

/// The nearest value that is made of grains.
fn on_grain(value: f64, grain: Grain, gap_us: u32) -> f64 {
    match grain {
        Grain::Gauge { unit } => (value / unit).round() * unit,
        Grain::Rate { unit } if gap_us > 0 => per_second((value / per_second(1.0, unit, gap_us)).round(), unit, gap_us),
        Grain::Rate { .. } => value,
    }
}

#[cfg(test)]
mod tests {
    use shadow::Channel;

    use super::*;

    /// Samples of each frame of a second, for samples at these times.
    fn frames(times_ms: impl IntoIterator<Item = i64>) -> Vec<u32> {
        let mut running = Running::new(7_000, &Catalogue::of_channels(&[Channel::Cpu]), Codec::Quick);
        let mut found = Vec::new();
        for time_ms in times_ms {
            // The epoch began 13 ms before.
            let time_ms = time_ms + 20;
            if running.is_over(time_ms, 1_000) {
                found.extend(running.cut());
            }
            if running.push(time_ms, 0, &[Reading::new(0.5)], 1_000).unwrap() {
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
        let early = (0..41).map(|i| i * 100 - 21 - i / 10 % 2 * 3);
        assert_eq!(frames(early), [11, 9, 11, 9], "no frame of a few that come early");
    }

    #[test]
    fn many_metrics_make_short_frames() {
        let metric = |n: i32| shadow::Metric::share(format!("m{n}"));
        let mut running = Running::new(1, &Catalogue::new((0..10_000).map(metric).collect()), Codec::Quick);
        let full = (0..9)
            .map(|i| running.push(i, 0, &[], 1_000).unwrap())
            .position(|full| full);
        assert_eq!(full, Some(5), "65,536 points");
    }

    #[test]
    fn key_readings_are_put_on_their_grain() {
        let catalogue = Catalogue::of_channels(&[Channel::Cpu, Channel::NetworkRx]);
        let mut running = Running::new(1, &catalogue, Codec::Quick);
        let gap_us = 100_003;
        let rate = per_second(700.0, 1.0, gap_us) + per_second(41.0, 1.0, gap_us);
        let row = [0.123_456_789, rate].map(Reading::new);
        running.push(5, gap_us, &row, 1_000).unwrap();
        running.push(6, 0, &[Reading::STALE, Reading::new(0.3)], 1_000).unwrap();
        running.push(7, 0, &[], 1_000).unwrap();
        running.fill_columns();
        let [cpu, rx] = [0, 1].map(|column: usize| running.block.columns[column].clone());
        let absent = Reading::ABSENT;
        assert_eq!(cpu, [Reading::new(123_457.0 * 1e-6), Reading::STALE, absent]);
        assert_eq!(
            rx,
            [Reading::new(per_second(741.0, 1.0, gap_us)), Reading::new(0.3), absent]
        );
    }

    #[test]
    fn time_must_rise() {
        let mut running = Running::new(1, &Catalogue::default(), Codec::Quick);
        running.push(i64::MIN, 0, &[], 1_000).unwrap();
        running.push(i64::MAX, 0, &[], 1_000).unwrap();
        let fault = running.push(i64::MAX, 0, &[], 1_000).unwrap_err();
        assert!(matches!(fault, PublishError::TimeNotRising { .. }));
    }
}
