//! High marks: what much is of a series that has no capacity, by its own past.

use crate::window::{Layout, Row, sum};

/// The share of the past that is at or below the high mark.
const SHARE: f64 = 0.999;

/// Buckets an octave, from 2^-12 to 2^40.
const PER_OCTAVE: f32 = 4.0;
const LOWEST: f32 = -12.0;
const BUCKETS: usize = 208;

/// The high mark of each track of a host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    tracks: Vec<Mark>,
}

#[derive(Debug, Clone)]
enum Mark {
    /// Shares of a capacity: the mark is 1.
    Share,
    Rate(Box<Past>),
}

/// Values so far, counted by size, and the mark that they make.
#[derive(Debug, Clone)]
struct Past {
    counts: [u32; BUCKETS],
    total: u32,
    most: f32,
    mark: f32,
}

impl Marks {
    /// Nothing is known: every mark is 1.
    pub(crate) fn new(layout: &Layout) -> Self {
        let empty = || Past {
            counts: [0; BUCKETS],
            total: 0,
            most: 0.0,
            mark: 1.0,
        };
        let mark = |share: bool| {
            if share {
                Mark::Share
            } else {
                Mark::Rate(Box::new(empty()))
            }
        };
        Self {
            tracks: layout.tracks.iter().map(|track| mark(track.share)).collect(),
        }
    }

    /// Takes in rows, in any order; missing values change nothing.
    pub(crate) fn push(&mut self, layout: &Layout, rows: &[Row]) {
        for (mark, track) in self.tracks.iter_mut().zip(&layout.tracks) {
            let Mark::Rate(past) = mark else { continue };
            for value in rows.iter().map(|row| sum(row, &track.channels)) {
                past.add(value);
            }
            past.mark = past.quantile();
        }
    }

    /// The mark of a track, above 0.
    pub(crate) fn of(&self, track: usize) -> f32 {
        match self.tracks.get(track) {
            Some(Mark::Rate(past)) => past.mark,
            Some(Mark::Share) | None => 1.0,
        }
    }
}

impl Past {
    fn add(&mut self, value: f32) {
        if !value.is_finite() || self.total == u32::MAX {
            return;
        }
        self.total += 1;
        self.most = self.most.max(value);
        let place = (value.log2() - LOWEST) * PER_OCTAVE;
        let bucket = (place.max(0.0) as usize).min(BUCKETS - 1);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    fn quantile(&self) -> f32 {
        let wanted = SHARE * f64::from(self.total);
        let mut above = 0.0;
        for (bucket, count) in self.counts.iter().enumerate().rev() {
            let count = f64::from(*count);
            if count > 0.0 && f64::from(self.total) - above - count <= wanted {
                let part = ((wanted - (f64::from(self.total) - above - count)) / count) as f32;
                let edge = ((bucket as f32 + part) / PER_OCTAVE + LOWEST).exp2();
                let mark = if bucket == 0 { self.most } else { edge.min(self.most) };
                return if mark > 0.0 { mark } else { self.fallback() };
            }
            above += count;
        }
        self.fallback()
    }

    fn fallback(&self) -> f32 {
        if self.most > 0.0 { self.most } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_mark_is_close_to_the_quantile_of_the_past() {
        let layout = Layout::new(&Config::for_step(60));
        let mut marks = Marks::new(&layout);
        assert_eq!(marks.of(2), 1.0);
        let row = |received: f32| [0.5, 0.5, received, 0.0, f32::NAN, f32::NAN, 90.0];
        let rows: Vec<Row> = (0..10_000_usize).map(|i| row((i * 7 % 10_000) as f32 * 1e3)).collect();
        marks.push(&layout, &rows);
        let check = |track: usize, expected: f32| {
            let mark = marks.of(track);
            assert!(
                (mark / expected - 1.0).abs() < 0.04,
                "track {track}: {mark} for {expected}"
            );
        };
        check(0, 1.0);
        check(2, 9.99e6);
        // Never used, never measured, constant; received and sent together.
        check(3, 1.0);
        check(4, 1.0);
        check(6, 90.0);
        check(7, 9.99e6);
    }

    #[test]
    fn a_series_that_is_mostly_idle_has_the_mark_of_its_rare_work() {
        let layout = Layout::new(&Config::for_step(60));
        let mut marks = Marks::new(&layout);
        let row = |received: f32| [0.5, 0.5, received, 0.0, 0.0, 0.0, 0.0];
        let mut rows = vec![row(0.0); 5_000];
        rows.push(row(4e6));
        marks.push(&layout, &rows);
        assert_eq!(marks.of(2), 4e6);
    }
}
