//! One alarm an incident, one more when it escalates, and an end.

use serde::{Deserialize, Serialize};
use shadow::UnixMs;

use super::{Anomaly, Phase};

/// How much rarer an incident has to become before it is told again: ten times.
const ESCALATION: f64 = 1.0;

/// What is at most this much below the bar keeps an incident going, or it would end and begin at every wobble.
const SLACK: f64 = 1.0;

/// Unusual values that belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Incident {
    since_ms: UnixMs,
    until_ms: UnixMs,
    /// The rarest so far.
    score: f64,
    /// The score that was told last.
    told: f64,
    evidence: String,
}

impl Incident {
    pub(super) fn new(now_ms: UnixMs, score: f64, evidence: String) -> Self {
        Self {
            since_ms: now_ms,
            until_ms: now_ms,
            score,
            told: score,
            evidence,
        }
    }

    /// Takes in the next score; `evidence` is asked for when it is the rarest.
    pub(super) fn update(
        &mut self,
        now_ms: UnixMs,
        score: f64,
        bar: f64,
        quiet_ms: u64,
        evidence: impl FnOnce() -> String,
    ) -> Anomaly {
        if score > self.score {
            self.score = score;
            self.evidence = evidence();
        }
        if score >= bar - SLACK {
            self.until_ms = self.until_ms.max(now_ms);
        }
        let quiet_for = u64::try_from(now_ms.saturating_sub(self.until_ms)).unwrap_or(0);
        let phase = if self.score >= self.told + ESCALATION {
            self.told = self.score;
            Phase::Escalated
        } else if quiet_for >= quiet_ms {
            Phase::Ended
        } else {
            Phase::Continues
        };
        self.tell(phase)
    }

    pub(super) fn tell(&self, phase: Phase) -> Anomaly {
        Anomaly {
            phase,
            since_ms: self.since_ms,
            until_ms: self.until_ms,
            score: self.score,
            evidence: self.evidence.clone(),
        }
    }
}
