//! Sensors that do not answer are left alone, each time for longer.

use std::time::{Duration, Instant};

/// How long a sensor is left alone at first.
const FIRST: Duration = Duration::from_secs(30);
/// How long at most.
const LONGEST: Duration = Duration::from_hours(1);

/// Whether a sensor is left alone, and until when.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Quarantine {
    until: Option<Instant>,
    pause: Duration,
}

impl Quarantine {
    /// Whether it is to be asked.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// After it failed: twice as long as the last time.
    pub(super) fn extend(&mut self, now: Instant) {
        self.pause = (self.pause * 2).clamp(FIRST, LONGEST);
        self.until = Some(now + self.pause);
    }

    /// After it answered.
    pub(super) fn lift(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_end_with_an_answer() {
        let (mut quarantine, now) = (Quarantine::default(), Instant::now());
        assert!(quarantine.is_over(now));
        for pause in [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
            quarantine.extend(now);
            assert!(!quarantine.is_over(now + Duration::from_secs(pause - 1)), "{pause}");
            assert!(quarantine.is_over(now + Duration::from_secs(pause)), "{pause}");
        }
        quarantine.lift();
        assert!(quarantine.is_over(now));
        quarantine.extend(now);
        assert!(quarantine.is_over(now + FIRST));
    }
}
