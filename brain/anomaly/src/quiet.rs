//! One alarm an incident, and one more for each step that it gets worse.

/// What belongs to one level of an incident, in points.
const STEP: f64 = 2.0;

/// Rows without the incident's level after which it is over.
const QUIET: u64 = 150;

/// What was told of the incident that goes on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quiet {
    /// Points in whole steps; 0 without an incident.
    level: f64,
    /// Rows since it was reached.
    age: u64,
}

impl Default for Quiet {
    fn default() -> Self {
        Self { level: 0.0, age: QUIET }
    }
}

impl Quiet {
    /// Takes in the points of the next row, and tells whether they are worth telling: they are when their level exceeds
    /// every level of the incident.
    pub(crate) fn update(&mut self, points: f64) -> bool {
        self.age = self.age.saturating_add(1);
        if self.age > QUIET {
            self.level = 0.0;
        }
        let level = (points / STEP).floor() * STEP;
        let worse = level > self.level;
        if worse || (level >= self.level && self.level > 0.0) {
            self.level = level;
            self.age = 0;
        }
        worse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_is_told_once_and_again_at_each_step() {
        let mut quiet = Quiet::default();
        let told: Vec<bool> = [1.9, 2.0, 3.9, 4.0, 2.0, 4.5, 6.1]
            .into_iter()
            .map(|points| quiet.update(points))
            .collect();
        assert_eq!(told, [false, true, false, true, false, false, true]);
    }

    #[test]
    fn it_is_over_after_150_rows_and_a_row_that_reaches_it_keeps_it_open() {
        for (rows, told) in [(149, false), (150, true)] {
            let mut quiet = Quiet::default();
            assert!(quiet.update(6.0));
            for _ in 0..100 {
                assert!(!quiet.update(5.9));
            }
            assert!(!quiet.update(7.9), "keeps it open");
            for _ in 0..rows {
                assert!(!quiet.update(0.0));
            }
            assert_eq!(quiet.update(6.0), told, "after {rows}");
        }
    }
}
