//! What a series needs, now and within the windows over which needs are held.

use std::collections::VecDeque;

use crate::rule::{BASES, HOLDS_MIN, LONGEST, QUANTILES, WINDOWS};

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

/// The largest of each base within each window, the newest moment included: `[window][base]`.
pub(crate) type Largest = [[f64; BASES]; WINDOWS.len()];

/// Needs of the newest intervals, as many as the longest window, and the largest of them: 6 KB.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Recent {
    newest_first: VecDeque<[f64; BASES]>,
    largest: Largest,
}

impl Recent {
    /// Takes in what is needed now.
    pub(crate) fn push(&mut self, needs: &Needs) {
        let new = needs.bases();
        let leaving = WINDOWS.map(|window| self.newest_first.get(window - 1).copied());
        self.newest_first.truncate(LONGEST - 1);
        self.newest_first.push_front(new);
        for ((largest, window), leaving) in self.largest.iter_mut().zip(WINDOWS).zip(leaving) {
            let falls = leaving.is_some_and(|leaving| {
                let mut bases = largest.iter().zip(leaving).zip(new);
                bases.any(|((high, leaving), new)| leaving >= *high && new < leaving)
            });
            // Most moments neither raise the largest need nor lose it, and none of the others has to be looked at.
            if falls {
                *largest = new;
                self.newest_first
                    .iter()
                    .take(window)
                    .for_each(|row| raise(largest, row));
            } else {
                raise(largest, &new);
            }
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The largest of what is there within each window.
    pub(crate) const fn largest(&self) -> &Largest {
        &self.largest
    }
}

fn raise(largest: &mut [f64; BASES], row: &[f64; BASES]) {
    for (high, value) in largest.iter_mut().zip(row) {
        *high = f64::max(*high, *value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_the_largest_need_as_long_as_they_are() {
        let mut recent = Recent::default();
        let needs = |last: f64| Needs {
            peaks: [[last / 2.0; 6]; 3],
            last,
        };
        recent.push(&needs(0.9));
        for _ in 0..5 {
            recent.push(&needs(0.1));
        }
        let last = |recent: &Recent| recent.largest().map(|bases| bases[BASES - 1]);
        assert_eq!(last(&recent), [0.1, 0.9, 0.9, 0.9]);
        assert_eq!(recent.largest()[1][0], 0.45);
        for (more, expected) in [(6, [0.2, 0.2, 0.9, 0.9]), (24, [0.2, 0.2, 0.2, 0.9]), (1, [0.2; 4])] {
            for _ in 0..more {
                recent.push(&needs(0.2));
            }
            assert_eq!(last(&recent), expected, "{more} more");
        }
        assert_eq!(recent.newest_first.len(), 36);
        assert!(
            !Needs {
                last: f64::NAN,
                ..needs(0.1)
            }
            .are_sound()
        );
    }
}
