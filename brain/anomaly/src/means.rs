//! Means of the newest values of a series, over several lengths.

use std::collections::VecDeque;

/// Over how many rows the means are taken: the level now, lately, and two for the trend.
const LENGTHS: [usize; 4] = [3, 12, 36, 144];

/// The newest values of a series.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Means {
    /// Oldest first, as many as the longest mean needs.
    values: VecDeque<f64>,
}

impl Means {
    /// Takes in the next value, and tells the means of the newest 3, 12, 36 and 144 values, or of all while there are
    /// fewer.
    ///
    /// Each is summed anew: sums that are carried on would never get rid of what a huge value has rounded away.
    pub(crate) fn update(&mut self, value: f64) -> [f64; 4] {
        let [.., longest] = LENGTHS;
        if self.values.len() >= longest {
            self.values.pop_front();
        }
        self.values.push_back(value);
        let values = self.values.make_contiguous();
        LENGTHS.map(|length| {
            let newest = values.get(values.len().saturating_sub(length)..).unwrap_or(values);
            newest.iter().sum::<f64>() / newest.len() as f64
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_of_what_there_is() {
        let mut means = Means::default();
        assert_eq!(means.update(4.0), [4.0; 4]);
        assert_eq!(means.update(6.0), [5.0; 4]);
        means.update(8.0);
        assert_eq!(means.update(10.0), [8.0, 7.0, 7.0, 7.0]);
        let told = (1..=300).map(|at| means.update(f64::from(at)));
        assert_eq!(told.last(), Some([299.0, 294.5, 282.5, 228.5]));
        assert_eq!(means.values.len(), 144);
    }

    #[test]
    fn a_huge_value_leaves_nothing_behind() {
        let mut means = Means::default();
        means.update(1e150);
        let told = (0..144).map(|_| means.update(0.1));
        let last = told.last().unwrap();
        assert!(last.iter().all(|mean| (mean - 0.1).abs() < 1e-12), "{last:?}");
    }
}
