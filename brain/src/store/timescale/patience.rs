//! How long an answer is waited for.
//!
//! A batch that was cut off is written again from its begin, so one that needs longer than it is given would never become
//! durable: each time it is cut off it is given twice as long.

use std::time::Duration;

/// A span that doubles.
#[derive(Debug)]
pub(super) struct Patience {
    shortest: Duration,
    longest: Duration,
    span: Duration,
}

impl Patience {
    /// From `shortest` to `longest`.
    pub(super) const fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            span: shortest,
        }
    }

    /// How long it is now.
    pub(super) const fn span(&self) -> Duration {
        self.span
    }

    /// It was too short.
    pub(super) fn grow(&mut self) {
        self.span = self.span.saturating_mul(2).min(self.longest);
    }

    /// It was long enough.
    pub(super) const fn reset(&mut self) {
        self.span = self.shortest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_longest_and_begins_anew() {
        let seconds = Duration::from_secs;
        let mut patience = Patience::new(seconds(60), seconds(900));
        let mut spans = vec![patience.span()];
        for _ in 0..5 {
            patience.grow();
            spans.push(patience.span());
        }
        assert_eq!(spans, [60, 120, 240, 480, 900, 900].map(seconds));
        patience.reset();
        assert_eq!(patience.span(), seconds(60));
    }
}
