//! What is kept of one host, and what is seen of it at one step.

use shadow::UnixMs;

use crate::{
    features::{Columns, Levels, Moment, describe, scales, sequence},
    ladder::Series,
    marks::Marks,
    recent::recent,
    target::Target,
    window::{Layout, Look, Place, Row, sum},
};

const HOUR_MS: i64 = 3_600_000;

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    /// Time of the newest row taken in.
    seen_ms: Option<UnixMs>,
    /// By target; `None` until it was measured.
    pub(super) series: Vec<Option<Series>>,
    marks: Marks,
    /// Taken in which hour.
    levels: Option<(i64, Levels)>,
}

/// One host at one step.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(super) time_ms: UnixMs,
    /// When the host was seen before, if this is a later time.
    pub(super) since_ms: Option<UnixMs>,
    /// Whether it is the first time, or later than all before.
    pub(super) news: bool,
    pub(super) rows: &'a [Row],
    pub(crate) moment: Moment,
    /// By look: `[input, fold, channel]`
    pub(crate) sequences: Vec<Vec<f32>>,
    /// By target: quantiles of the last hour, 4 hours and day, in its unit.
    pub(super) recent: Vec<Option<[[f32; 4]; 3]>>,
}

impl Host {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            seen_ms: None,
            series: vec![None; layout.targets.len()],
            marks: Marks::new(layout),
            levels: None,
        }
    }

    pub(super) fn rewind(&mut self) {
        self.seen_ms = None;
        self.levels = None;
        self.series.iter_mut().flatten().for_each(Series::rewind);
    }

    /// Describes the newest of `rows`, which is that of `time_ms`, after all of them are taken in.
    pub(super) fn look<'a>(&mut self, layout: &Layout, time_ms: UnixMs, rows: &'a [Row]) -> Seen<'a> {
        let news = self.seen_ms.is_none_or(|seen_ms| seen_ms < time_ms);
        let since_ms = self.seen_ms.filter(|_| news);
        let fresh = match since_ms {
            Some(since_ms) => fresh(layout, since_ms, time_ms, rows.len()),
            None if self.levels.is_none() && self.series.iter().all(Option::is_none) => rows.len(),
            None => 0,
        };
        self.marks
            .push(layout, rows.get(rows.len() - fresh..).unwrap_or_default());
        if news {
            self.seen_ms = Some(time_ms);
        }
        let columns = Columns::new(layout, rows, &self.marks);
        let newest = columns.len().saturating_sub(1);
        let hour = time_ms.div_euclid(HOUR_MS);
        if self.levels.as_ref().is_none_or(|(of, _)| *of != hour) {
            self.levels = Some((hour, Levels::new(layout, &columns, newest)));
        }
        let none = Levels::default();
        let levels = self.levels.as_ref().map_or(&none, |(_, levels)| levels);
        let moment = describe(layout, &columns, newest, levels);
        let read = |look: &Look| {
            let mut window = Vec::new();
            sequence(layout, look, &columns, newest, &moment.scales, &mut window);
            window
        };
        let of_place = |place: &Place| {
            let found = recent(layout, columns.past(layout, place.track, newest))?;
            let mark = columns.mark(place.track);
            Some(found.map(|quantiles| quantiles.map(|value| value * mark)))
        };
        Seen {
            time_ms,
            since_ms,
            news,
            rows,
            recent: layout.targets.iter().map(of_place).collect(),
            sequences: layout.looks.iter().map(read).collect(),
            moment,
        }
    }
}

/// How many of `rows` came after `since_ms`.
pub(super) fn fresh(layout: &Layout, since_ms: UnixMs, time_ms: UnixMs, rows: usize) -> usize {
    let step_ms = i64::from(layout.step_s) * 1_000;
    let steps = time_ms.saturating_sub(since_ms) / step_ms;
    usize::try_from(steps.max(0)).unwrap_or(usize::MAX).min(rows)
}

impl Seen<'_> {
    /// A target's values, oldest first.
    pub(super) fn values(&self, target: &Target) -> impl DoubleEndedIterator<Item = f32> + ExactSizeIterator {
        self.rows.iter().map(|row| sum(row, &target.channels))
    }

    /// The value of a target at a moment before, if it is known.
    pub(super) fn value_at(&self, layout: &Layout, target: &Target, at_ms: UnixMs) -> Option<f32> {
        let step_ms = i64::from(layout.step_s) * 1_000;
        let back = usize::try_from((self.time_ms.saturating_sub(at_ms) + step_ms / 2) / step_ms).ok()?;
        let row = self
            .rows
            .len()
            .checked_sub(back + 1)
            .and_then(|row| self.rows.get(row))?;
        Some(sum(row, &target.channels)).filter(|value| value.is_finite())
    }

    /// The highest value of a target after one moment up to another, where at least half of them are known.
    pub(super) fn highest(&self, layout: &Layout, target: &Target, from_ms: UnixMs, to_ms: UnixMs) -> Option<f32> {
        let back = |at_ms: UnixMs| fresh(layout, at_ms, self.time_ms, usize::MAX);
        let count = self.rows.len();
        let rows = self
            .rows
            .get(count.checked_sub(back(from_ms))?..count.checked_sub(back(to_ms))?)?;
        let known = rows
            .iter()
            .map(|row| sum(row, &target.channels))
            .filter(|value| value.is_finite());
        let enough = 2 * known.clone().count() >= rows.len();
        known.reduce(f32::max).filter(|_| enough)
    }

    /// A target's values with the scale at each, both in its unit.
    pub(super) fn past(&self, layout: &Layout, target: &Target, mark: f32) -> (Vec<f32>, Vec<f32>) {
        let values: Vec<f32> = self.values(target).collect();
        let shares: Vec<f32> = values.iter().map(|value| value / mark).collect();
        let scales = scales(layout, &shares).into_iter().map(|scale| scale * mark);
        (values, scales.collect())
    }
}
