//! How much is made of commands that nobody vouches for. Pure.
//!
//! Whoever sends them decides how many there are. So they are all counted, but only some are answered, and fewer still
//! become events: they must not drive out what matters.

/// Answers in a window, at most, where nothing else is said.
const ANSWERS: u32 = 10;
const WINDOW_NS: u64 = 10_000_000_000;
/// Between two events.
const EVENT_NS: u64 = 60_000_000_000;

/// What was refused lately.
#[derive(Debug)]
pub(crate) struct Refusals {
    /// Answers in a window, at most.
    most: u32,
    /// When the window began, and the answers in it.
    window: Option<(u64, u32)>,
    told_ns: Option<u64>,
    /// Since the last event.
    untold: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self::answering(ANSWERS)
    }
}

impl Refusals {
    /// So many are answered in ten seconds.
    pub(crate) const fn answering(most: u32) -> Self {
        Self {
            most,
            window: None,
            told_ns: None,
            untold: 0,
        }
    }

    /// One more at `now_ns`; whether it is to be answered.
    pub(crate) fn answers(&mut self, now_ns: u64) -> bool {
        let (began_ns, answers) = match self.window {
            Some((began_ns, answers)) if now_ns.saturating_sub(began_ns) < WINDOW_NS => (began_ns, answers),
            _ => (now_ns, 0),
        };
        self.window = Some((began_ns, answers.saturating_add(1)));
        answers < self.most
    }

    /// One more at `now_ns`; how many an event is to tell of now, itself among them.
    pub(crate) fn tells(&mut self, now_ns: u64) -> Option<u64> {
        self.untold += 1;
        if self
            .told_ns
            .is_some_and(|told_ns| now_ns.saturating_sub(told_ns) < EVENT_NS)
        {
            return None;
        }
        self.told_ns = Some(now_ns);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_answered_in_part() {
        let mut refusals = Refusals::default();
        let mut answered = |from_s: u64| {
            (0..100)
                .filter(|i| refusals.answers(from_s * 1_000_000_000 + i))
                .count()
        };
        assert_eq!([0, 5, 10, 21].map(&mut answered), [10, 0, 10, 10]);
        let told: Vec<_> = (0..130).map(|s| refusals.tells(s * 1_000_000_000)).collect();
        let events: Vec<_> = told.iter().flatten().copied().collect();
        assert_eq!((told[0], events), (Some(1), vec![1, 60, 60]));
    }
}
