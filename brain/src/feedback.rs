//! Feedback: what came of earlier plans corrects the next one. Pure, and it can be stored.
//!
//! Three things are learnt of each reservation:
//!
//! * **Margin.** While more is used than is reserved, a margin grows; while the reservation suffices it shrinks, a
//!   hundredth as fast. So in the long run about one minute in a hundred is over, whatever the forecast's faults
//!   are (online quantile tracking: Gibbs and Candès 2021). The margin goes on top of the class's own, is never
//!   below 0 nor above [`MOST_MARGIN`], and the next plan's explanation names it.
//! * **Rest.** What an agent refused, could not write or cut down would be refused again in the next round. After
//!   each such answer the reservation is left alone, for one minute first and then twice as long each time, up to
//!   an hour. The first answer that it went as asked ends it.
//! * **Scar.** A lowering that hurt is undone, and nothing is lowered below what was held before for a time that grows
//!   ([`scar`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shadow::{Change, ChangeOutcome, Command, Effect, Outcome, OutcomeState, UnixMs};

use crate::allocate::{Key, pairs};

mod moments;
mod scar;

pub(crate) use self::moments::Moments;
pub use self::scar::Strain;
pub(crate) use self::scar::{Look, metrics};
use self::scar::{Scar, Watch};

/// The most that is learnt, as a share of the forecast.
pub const MOST_MARGIN: f64 = 0.5;

/// How much the margin grows in a minute in which more is used than is reserved.
const STEP: f64 = 0.02;

/// The share of time in which a reservation may be too small.
const TARGET: f64 = 0.01;

/// The longest time that one observation speaks for, in milliseconds.
const LONGEST_MS: i64 = 300_000;

/// After a week of observations half of their count is forgotten.
const MEMORY_MS: i64 = 7 * 24 * 3_600_000;

/// What is not heard of for so long is forgotten.
const FORGOTTEN_MS: i64 = 30 * 24 * 3_600_000;

const FIRST_REST_MS: i64 = 60_000;
const LONGEST_REST_MS: i64 = 3_600_000;

/// What was learnt. Empty in the beginning.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Feedback {
    #[serde(with = "pairs")]
    lessons: BTreeMap<Key, Lesson>,
    /// Lowerings that are watched.
    #[serde(default, with = "pairs")]
    watched: BTreeMap<Key, Watch>,
    /// When something was too small, by host.
    #[serde(default)]
    moments: Moments,
    /// When it was last looked for what is long past.
    #[serde(default)]
    forgot_ms: UnixMs,
}

/// What was learnt of one reservation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Lesson {
    margin: f64,
    last_ms: Option<UnixMs>,
    watched_ms: i64,
    over_ms: i64,
    /// Answers in a row that were not as asked.
    refusals: u32,
    rest_until_ms: Option<UnixMs>,
    /// What the agent said last.
    said: String,
    /// A lowering that hurt.
    #[serde(default)]
    scar: Option<Scar>,
}

impl Feedback {
    /// Takes in what the holder of `key` used at `time_ms` while it held `reserved`, in the same unit. How often that
    /// is told does not matter.
    ///
    /// A reservation that waits for the pool ([`crate::allocate::State::waits`]) should be left out: that it is too
    /// small is known, and no fault of its margin.
    pub fn usage(&mut self, time_ms: UnixMs, key: &Key, used: f64, reserved: f64) {
        if !(used.is_finite() && used >= 0.0 && reserved.is_finite() && reserved > 0.0) {
            return;
        }
        let lesson = self.lessons.entry(key.clone()).or_default();
        let last_ms = lesson.last_ms.replace(time_ms).unwrap_or(time_ms);
        let span_ms = time_ms.saturating_sub(last_ms).clamp(0, LONGEST_MS);
        lesson.watch(span_ms, used > reserved);
        if used > reserved && span_ms > 0 {
            self.moments.note(&key.host, time_ms);
        }
    }

    /// The clock was set back: times that were noted are from nowhere, what was learnt is not.
    pub fn rewind(&mut self) {
        for lesson in self.lessons.values_mut() {
            lesson.last_ms = None;
            lesson.rest_until_ms = None;
        }
        self.watched.clear();
        self.forgot_ms = 0;
    }

    /// Takes in what an agent did with `command`.
    pub fn outcome(&mut self, command: &Command, outcome: &Outcome) {
        for (at, change) in command.changes.iter().enumerate() {
            let key = Key::new(&command.host, &change.workload, change.resource);
            let told = outcome.changes.get(at);
            if let Some(told) = told.filter(|told| told.effect == Effect::Hurt) {
                let before = told.after.or(change.before).unwrap_or(change.target);
                self.hurt(&key, outcome.time_ms, (before, &told.note));
                continue;
            }
            if outcome.state == OutcomeState::Applied && !command.dry_run {
                self.written(&key, change, outcome.time_ms);
            }
            let refused = match outcome.state {
                // Every lease ends some day; and what was forged teaches nothing.
                OutcomeState::Expired | OutcomeState::Distrusted => continue,
                OutcomeState::Refused | OutcomeState::Failed => true,
                _ if told.is_some_and(|told| told.effect == Effect::NotDone) => true,
                OutcomeState::Applied | OutcomeState::DryRun => told.is_some_and(|told| is_cut(told, change.target)),
                OutcomeState::Raised | OutcomeState::Hurt => false,
            };
            let lesson = self.lessons.entry(key).or_default();
            if refused {
                let note = told.map(|told| told.note.as_str()).filter(|note| !note.is_empty());
                lesson.refuse(outcome.time_ms, note.unwrap_or(&outcome.reason));
            } else {
                lesson.accept();
            }
        }
        self.forget_old(outcome.time_ms);
    }

    /// An agent has really written `change`.
    fn written(&mut self, key: &Key, change: &Change, time_ms: UnixMs) {
        // A first limit takes something away too: it was well with as much more as it may have at once.
        let unlimited = change.ceiling.unwrap_or(1.25 * change.target);
        let before = change
            .before
            .filter(|before| before.to_bits() != change.target.to_bits());
        let lowered = before.is_none_or(|before| before > change.target);
        if change.explanation.strategy != shadow::LEASE {
            self.lowered(key, time_ms, lowered.then(|| before.unwrap_or(unlimited)));
        }
    }

    /// What is long past is forgotten, looked for once an hour.
    fn forget_old(&mut self, newest_ms: UnixMs) {
        if (0..3_600_000).contains(&newest_ms.saturating_sub(self.forgot_ms)) {
            return;
        }
        self.forgot_ms = newest_ms;
        self.moments.forget_old(newest_ms);
        self.lessons.retain(|_, lesson| {
            let is_new = |last_ms: UnixMs| newest_ms.saturating_sub(last_ms) < FORGOTTEN_MS;
            lesson.last_ms.is_none_or(is_new) || lesson.remembers(newest_ms)
        });
    }

    /// When something was too small: what led up to it counts more in a training.
    pub(crate) const fn moments(&self) -> &Moments {
        &self.moments
    }

    /// What goes on top of the class's margin, as a share of the forecast: 0 to [`MOST_MARGIN`].
    pub fn margin(&self, key: &Key) -> f64 {
        let learnt = self.lessons.get(key).map_or(0.0, |lesson| lesson.margin);
        // What was stored may have been tampered with.
        if learnt.is_finite() {
            learnt.clamp(0.0, MOST_MARGIN)
        } else {
            0.0
        }
    }

    /// Why `key` is left alone at `now_ms`, in words; `None` when it is not.
    pub fn rest(&self, key: &Key, now_ms: UnixMs) -> Option<String> {
        let lesson = self.lessons.get(key)?;
        let left_ms = lesson.rest_until_ms?.saturating_sub(now_ms);
        // An hour at most, so that a clock that was set back cannot make it longer.
        (1..=LONGEST_REST_MS).contains(&left_ms).then(|| {
            let (times, said) = (lesson.refusals, &lesson.said);
            format!("its agent did not do as asked {times} time(s), last: {said}")
        })
    }

    /// What the margin of `key` rests on, in words; `None` when nothing is learnt.
    pub fn explain(&self, key: &Key) -> Option<String> {
        let lesson = self.lessons.get(key).filter(|lesson| lesson.margin > 0.0)?;
        let percent = 100.0 * self.margin(key);
        let [over, watched] = [lesson.over_ms, lesson.watched_ms].map(|ms| ms / 60_000);
        Some(format!(
            "{percent:.0} % learnt: {over} of {watched} min were over the reservation"
        ))
    }
}

impl Lesson {
    /// Adds to the margin.
    fn more(&mut self, share: f64) {
        self.margin = (self.margin + share).clamp(0.0, MOST_MARGIN);
    }

    fn watch(&mut self, span_ms: i64, is_over: bool) {
        let minutes = span_ms as f64 / 60_000.0;
        let share = if is_over { 1.0 - TARGET } else { -TARGET };
        self.margin = (self.margin + STEP * share * minutes).clamp(0.0, MOST_MARGIN);
        self.watched_ms = self.watched_ms.saturating_add(span_ms);
        self.over_ms = self.over_ms.saturating_add(if is_over { span_ms } else { 0 });
        if self.watched_ms > MEMORY_MS {
            self.watched_ms /= 2;
            self.over_ms /= 2;
        }
    }

    fn refuse(&mut self, time_ms: UnixMs, said: &str) {
        let doublings = self.refusals.min(6);
        let rest_ms = (FIRST_REST_MS << doublings).min(LONGEST_REST_MS);
        self.refusals = self.refusals.saturating_add(1);
        self.rest_until_ms = Some(time_ms.saturating_add(rest_ms));
        self.said = said.chars().take(200).collect();
    }

    fn accept(&mut self) {
        self.refusals = 0;
        self.rest_until_ms = None;
        self.said.clear();
    }
}

/// Whether the agent ended elsewhere than at `target`, by more than the rounding of its lever.
fn is_cut(told: &ChangeOutcome, target: f64) -> bool {
    told.after
        .is_some_and(|after| (after - target).abs() > 0.02 * target.abs())
}

#[cfg(test)]
mod tests;
