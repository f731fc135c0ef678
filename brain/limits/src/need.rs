//! What a series needs, now and within the windows over which needs are held.

use crate::{
    rule::{BASES, HOLDS_MIN, QUANTILES, WINDOWS},
    sums::Row,
};

/// What is expected of one series at one moment, in shares of its capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Needs {
    /// The highest value within each of [`HOLDS_MIN`], at each of [`QUANTILES`]; rising in both.
    pub peaks: [[f64; QUANTILES.len()]; HOLDS_MIN.len()],
    /// The highest value of the interval that ends now.
    pub last: f64,
}

impl Needs {
    /// Whether every amount is a number, and none is below 0.
    pub fn are_sound(&self) -> bool {
        self.bases().iter().all(|amount| amount.is_finite() && *amount >= 0.0)
    }

    /// Peaks by hold and quantile, then the last peak.
    pub(crate) fn bases(&self) -> [f64; BASES] {
        let mut bases = [self.last; BASES];
        for (slot, peak) in bases.iter_mut().zip(self.peaks.iter().flatten()) {
            *slot = *peak;
        }
        bases
    }
}

/// The largest of each base within each of [`WINDOWS`], the newest moment included.
pub(crate) type Largest = [Row; WINDOWS.len()];

/// Moments of a group, which is the second window; the third is two of them, and the longest six.
const GROUP: usize = WINDOWS[1];
const LONGEST: usize = WINDOWS[3];

/// Needs of the newest intervals, as many as the longest window, and the largest of them: 6 KB.
///
/// A moment takes the place of the one that leaves the longest window. Groups that are full hold at each place the largest from
/// there to their end, so that a window is the rest of one group, groups as a whole and the newest one: few rows of many.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recent {
    rows: [Row; LONGEST],
    /// Where the newest is.
    place: usize,
    /// The largest of its group so far, and of the groups that are within the longest window as a whole.
    newest: Row,
    others: Row,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            rows: [[0.0; BASES]; LONGEST],
            place: LONGEST - 1,
            newest: [0.0; BASES],
            others: [0.0; BASES],
        }
    }
}

impl Recent {
    /// Takes in what is needed now, and tells the largest within each window.
    pub(crate) fn push(&mut self, needs: &Needs) -> Largest {
        let now = needs.bases();
        self.place = (self.place + 1) % LONGEST;
        let in_group = self.place % GROUP;
        if in_group == 0 {
            self.newest = [0.0; BASES];
            self.others =
                (1..LONGEST / GROUP).fold([0.0; BASES], |others, back| larger(others, self.row(back * GROUP)));
        }
        self.put(0, now);
        self.newest = larger(self.newest, &now);
        if in_group == GROUP - 1 {
            for back in 1..GROUP {
                self.put(back, larger(*self.row(back), self.row(back - 1)));
            }
        }
        let [_, group, two, longest] = WINDOWS;
        [
            now,
            larger(self.newest, self.row(group - 1)),
            larger(larger(self.newest, self.row(two - 1)), self.row(in_group + GROUP)),
            larger(larger(self.newest, self.row(longest - 1)), &self.others),
        ]
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What stands at the place of so many moments before the newest, fewer than the longest window.
    fn row(&self, back: usize) -> &Row {
        self.rows.get(self.at(back)).unwrap_or(&self.newest)
    }

    fn put(&mut self, back: usize, row: Row) {
        let place = self.at(back);
        if let Some(slot) = self.rows.get_mut(place) {
            *slot = row;
        }
    }

    const fn at(&self, back: usize) -> usize {
        (self.place + LONGEST - back) % LONGEST
    }
}

fn larger(one: Row, other: &Row) -> Row {
    let mut larger = one;
    for (one, other) in larger.iter_mut().zip(other) {
        *one = if *other > *one { *other } else { *one };
    }
    larger
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_the_largest_need_as_long_as_they_are() {
        let (mut recent, mut past, mut number) = (Recent::default(), Vec::new(), 1_u64);
        for moment in 0..200 {
            if moment == 120 {
                recent.clear();
                past.clear();
            }
            let needs = Needs {
                peaks: std::array::from_fn(|_| {
                    std::array::from_fn(|_| {
                        number = number * 1_103_515_245 % (1 << 31);
                        number as f64
                    })
                }),
                last: f64::from(moment % 45),
            };
            let largest = recent.push(&needs);
            past.push(needs.bases());
            for (largest, window) in largest.iter().zip(WINDOWS) {
                for (base, largest) in largest.iter().enumerate() {
                    let within = past.iter().rev().take(window).map(|bases| bases[base]);
                    assert_eq!(
                        *largest,
                        within.fold(0.0, f64::max),
                        "{base} within {window} at {moment}"
                    );
                }
            }
        }
    }

    #[test]
    fn needs_are_numbers() {
        let needs = |last: f64| Needs {
            peaks: [[0.1; 6]; 3],
            last,
        };
        let sound = [0.0, 0.1, f64::NAN, f64::INFINITY, -0.1].map(|last| needs(last).are_sound());
        assert_eq!(sound, [true, true, false, false, false]);
    }
}
