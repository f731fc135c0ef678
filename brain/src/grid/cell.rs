//! What is known of one row while samples may still join it.

use shadow::UnixMs;

use super::{Detail, Row, tail::Tail};

/// One row of `N` series, with tails of `K` values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell<const N: usize, const K: usize> {
    series: [Sums<K>; N],
    /// Row up to which it is remembered.
    pub(super) until: i64,
    /// The sample that it was touched by last, of all that came.
    pub(super) touched: u32,
    /// Whether it has changed since it was last put into the rings.
    pub(super) changed: bool,
}

/// One series of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sums<const K: usize> {
    /// Value times milliseconds.
    sum: f64,
    /// Milliseconds that values are known for.
    known_ms: f32,
    max: f32,
    min: f32,
    last: f32,
    /// Milliseconds of the row before the end of what `last` tells of.
    last_at_ms: u32,
    tail: Tail<K>,
}

impl<const K: usize> Sums<K> {
    const EMPTY: Self = Self {
        sum: 0.0,
        known_ms: 0.0,
        max: f32::NAN,
        min: f32::NAN,
        last: f32::NAN,
        last_at_ms: 0,
        tail: Tail::EMPTY,
    };

    #[expect(clippy::cast_possible_truncation, reason = "the grid holds single precision")]
    fn add(&mut self, value: f64, (from_ms, to_ms): (u32, u32), step_ms: f32) {
        let narrow = value as f32;
        if !narrow.is_finite() {
            return;
        }
        let ms = (to_ms - from_ms) as f32;
        self.sum += value * f64::from(ms);
        self.known_ms += ms;
        self.max = self.max.max(narrow);
        self.min = self.min.min(narrow);
        if to_ms >= self.last_at_ms || self.last.is_nan() {
            (self.last, self.last_at_ms) = (narrow, to_ms);
        }
        self.tail.add(narrow, ms, step_ms.max(self.known_ms));
    }
}

impl<const N: usize, const K: usize> Cell<N, K> {
    /// Nothing is known of it.
    pub(super) const EMPTY: Self = Self {
        series: [Sums::EMPTY; N],
        until: 0,
        touched: 0,
        changed: false,
    };

    /// A row that was closed, as far as it is still known: its means over `known_ms`, and what `detail` tells.
    #[expect(clippy::cast_possible_truncation, reason = "a row has at most an hour")]
    pub(super) fn of(mean: &[f32; N], known_ms: f32, detail: Option<&Detail<N>>) -> Self {
        let mut cell = Self::EMPTY;
        for (at, (sums, &mean)) in cell.series.iter_mut().zip(mean).enumerate() {
            if mean.is_nan() {
                continue;
            }
            let figure = |of: fn(&Detail<N>) -> &[f32; N]| {
                let told = detail.and_then(|detail| of(detail).get(at).copied());
                told.filter(|value| !value.is_nan()).unwrap_or(mean)
            };
            sums.sum = f64::from(mean) * f64::from(known_ms);
            sums.known_ms = known_ms;
            sums.max = figure(|detail| &detail.max);
            sums.min = figure(|detail| &detail.min);
            sums.last = figure(|detail| &detail.last);
            // Rows are mostly known from their begin on.
            sums.last_at_ms = known_ms as u32;
            sums.tail = Tail::of(figure(|detail| &detail.p95), known_ms);
        }
        cell
    }

    /// Adds a sample that tells of the milliseconds `from` to `to` of the row.
    pub(super) fn add(&mut self, values: &[f64; N], span_ms: (u32, u32), step_ms: f32) {
        for (sums, &value) in self.series.iter_mut().zip(values) {
            sums.add(value, span_ms, step_ms);
        }
    }

    /// As it stands.
    #[expect(clippy::cast_possible_truncation, reason = "the grid holds single precision")]
    pub(super) fn row(&self, begin_ms: UnixMs, step_ms: i64) -> Row<N> {
        let known_ms = |sums: &Sums<K>| f64::from(sums.known_ms);
        let mean = |sums: &Sums<K>| (sums.sum / known_ms(sums)) as f32;
        let longest = self.series.iter().map(known_ms).fold(0.0, f64::max);
        let of = |figure: fn(&Sums<K>) -> f32| self.series.each_ref().map(figure);
        Row {
            begin_ms,
            // Of nothing known this is 0 / 0 and so NaN.
            mean: self.series.each_ref().map(mean),
            detail: Detail {
                coverage: (longest / step_ms as f64).min(1.0) as f32,
                max: of(|sums| sums.max),
                min: of(|sums| sums.min),
                last: of(|sums| sums.last),
                p95: of(|sums| sums.tail.p95(sums.known_ms)),
            },
        }
    }
}
