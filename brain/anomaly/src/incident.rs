//! What belongs together on one host is told once: when it begins, when it gets worse, when it is over, with its likely cause.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use shadow::{Severity, UnixMs};

/// The most signals of an incident; past it the weakest go.
const MAX_SIGNALS: usize = 16;
/// Diagnostic events this long before an incident may be its cause.
const NEAR_MS: i64 = 600_000;
/// The most of them that are remembered.
const MAX_NEAR: usize = 8;
/// How much rarer an incident has to become before it is told again: ten times.
const ESCALATION: f64 = 1.0;

/// What kind of thing is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Kind {
    /// What registers, logs and sensors told.
    Event,
    /// The host is in a state that it was never in.
    State,
    /// A reading left its forecast.
    Reading,
    /// What is forecast was never forecast before.
    Forecast,
}

/// One thing that is unusual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Signal {
    /// What kind of thing.
    pub kind: Kind,
    /// What it is about: a resource, `host`, a device.
    pub subject: String,
    /// How bad it is: `info`, `warning` or `critical`.
    #[serde(serialize_with = "word", deserialize_with = "from_word")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub severity: Severity,
    /// How rare: -log10 of its chance.
    pub score: f64,
    /// What was seen, in words.
    pub evidence: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn word<S: serde::Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(severity.as_str())
}

fn from_word<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Severity, D::Error> {
    let word = String::deserialize(deserializer)?;
    Severity::from_word(&word).ok_or_else(|| serde::de::Error::custom(format!("no severity: {word:?}")))
}

/// That somebody has taken notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// When.
    pub time_ms: UnixMs,
    /// Who, by their own word.
    pub by: String,
}

/// What is told of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It began: an alarm.
    Began,
    /// It is graver, or ten times rarer, than what was told of it: another alarm.
    Escalated,
    /// It goes on.
    Continues,
    /// It is over.
    Ended,
}

/// Signals of one host that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// When it began; with the host's name it names the incident.
    pub since_ms: UnixMs,
    /// When something unusual was last seen.
    pub until_ms: UnixMs,
    /// What was unusual, each at its rarest; the likely cause first.
    pub signals: Vec<Signal>,
    /// Who has taken notice.
    pub acknowledged: Option<Acknowledged>,
}

impl Incident {
    /// The gravest of its signals; readings that go with a diagnostic event are critical.
    pub fn severity(&self) -> Severity {
        let of = |kinds: &[Kind]| {
            let signals = self.signals.iter().filter(|signal| kinds.contains(&signal.kind));
            signals.map(|signal| signal.severity).max()
        };
        let event = of(&[Kind::Event]);
        let reading = of(&[Kind::State, Kind::Reading]);
        match (event, reading) {
            (Some(event), Some(_)) if event >= Severity::Warning => Severity::Critical,
            _ => event
                .max(reading)
                .or_else(|| of(&[Kind::Forecast]))
                .unwrap_or(Severity::Info),
        }
    }

    /// The rarest of its signals: -log10 of its chance.
    pub fn score(&self) -> f64 {
        self.signals.iter().map(|signal| signal.score).fold(0.0, f64::max)
    }

    /// Its likely cause in words: the gravest diagnostic event, else what the host's state is unusual by, else the reading
    /// that is farthest off.
    pub fn cause(&self) -> &str {
        self.signals.first().map_or("", |signal| &signal.evidence)
    }

    /// Takes a signal in, or what is new of one that is known.
    fn join(&mut self, now_ms: UnixMs, signal: Signal) {
        self.until_ms = self.until_ms.max(now_ms);
        let same = |known: &&mut Signal| known.kind == signal.kind && known.subject == signal.subject;
        match self.signals.iter_mut().find(same) {
            Some(known) if (known.severity, known.score) >= (signal.severity, signal.score) => return,
            Some(known) => *known = signal,
            None => self.signals.push(signal),
        }
        self.signals.sort_by(|a, b| {
            let [a_rank, b_rank] = [a, b].map(|signal| (signal.kind, std::cmp::Reverse(signal.severity)));
            a_rank.cmp(&b_rank).then(b.score.total_cmp(&a.score))
        });
        self.signals.truncate(MAX_SIGNALS);
    }
}

/// The incidents of one host, of which at most one goes on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Incidents {
    open: Option<Incident>,
    /// What was told of it last.
    told: Option<(Severity, f64)>,
    /// Diagnostic events that are no alarm by themselves, oldest first.
    near: VecDeque<(UnixMs, Signal)>,
}

impl Incidents {
    /// The incident that goes on.
    pub const fn open(&self) -> Option<&Incident> {
        self.open.as_ref()
    }

    /// Goes on with an incident of before a restart.
    pub fn restore(&mut self, incident: Incident) {
        self.told = Some((incident.severity(), incident.score()));
        self.open = Some(incident);
    }

    /// Something is unusual: it joins the incident that goes on, or begins one.
    pub fn raise(&mut self, now_ms: UnixMs, signal: Signal) -> Phase {
        let Some(incident) = &mut self.open else {
            let mut incident = Incident {
                since_ms: now_ms,
                until_ms: now_ms,
                signals: Vec::new(),
                acknowledged: None,
            };
            for (time_ms, near) in self.near.drain(..) {
                if now_ms.saturating_sub(time_ms) <= NEAR_MS {
                    incident.join(now_ms, near);
                }
            }
            incident.join(now_ms, signal);
            self.restore(incident);
            return Phase::Began;
        };
        incident.join(now_ms, signal);
        let (severity, score) = self.told.unwrap_or((Severity::Info, 0.0));
        let (new_severity, new_score) = (incident.severity(), incident.score());
        if new_severity <= severity && new_score < score + ESCALATION {
            return Phase::Continues;
        }
        self.told = Some((severity.max(new_severity), score.max(new_score)));
        Phase::Escalated
    }

    /// A diagnostic event that is no alarm by itself: it belongs to the incident that goes on, or to one that begins soon.
    /// Tells whether it has joined one.
    pub fn note(&mut self, now_ms: UnixMs, signal: Signal) -> bool {
        if let Some(incident) = &mut self.open {
            let until_ms = incident.until_ms;
            incident.join(now_ms, signal);
            // It explains, and does not keep it open.
            incident.until_ms = until_ms;
            return true;
        }
        if self.near.len() >= MAX_NEAR {
            self.near.pop_front();
        }
        self.near.push_back((now_ms, signal));
        false
    }

    /// Something that was unusual still nearly is: the incident goes on, or it would end and begin at every wobble.
    pub fn hold(&mut self, now_ms: UnixMs) {
        if let Some(incident) = &mut self.open {
            incident.until_ms = incident.until_ms.max(now_ms);
        }
    }

    /// Time has passed: an incident is over when nothing unusual was seen for `quiet_ms`. Hands out what is over.
    pub fn pass(&mut self, now_ms: UnixMs, quiet_ms: i64) -> Option<Incident> {
        let is_over = |incident: &mut Incident| now_ms.saturating_sub(incident.until_ms) >= quiet_ms;
        self.open.take_if(is_over)
    }

    /// Somebody takes notice of the incident that goes on and began at `since_ms`. Tells whether there is such a one.
    pub fn acknowledge(&mut self, since_ms: UnixMs, acknowledged: Acknowledged) -> bool {
        match &mut self.open {
            Some(incident) if incident.since_ms == since_ms => {
                incident.acknowledged = Some(acknowledged);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(kind: Kind, subject: &str, severity: Severity, score: f64) -> Signal {
        Signal {
            kind,
            subject: subject.into(),
            severity,
            score,
            evidence: format!("{subject} at {score}"),
        }
    }

    fn cpu(score: f64) -> Signal {
        signal(Kind::Reading, "cpu", Severity::Warning, score)
    }

    #[test]
    fn what_comes_together_is_one_incident() {
        let mut host = Incidents::default();
        assert_eq!(host.raise(1_000, cpu(3.0)), Phase::Began);
        assert_eq!(
            host.raise(2_000, signal(Kind::State, "host", Severity::Warning, 3.5)),
            Phase::Continues
        );
        assert_eq!(host.raise(3_000, cpu(3.2)), Phase::Continues);
        assert_eq!(host.raise(4_000, cpu(4.1)), Phase::Escalated);
        let incident = host.open().unwrap();
        assert_eq!((incident.since_ms, incident.until_ms), (1_000, 4_000));
        assert_eq!((incident.signals.len(), incident.score()), (2, 4.1));
        assert_eq!(
            (incident.cause(), incident.severity()),
            ("host at 3.5", Severity::Warning)
        );
    }

    #[test]
    fn a_diagnostic_event_near_in_time_is_the_likely_cause_and_makes_it_critical() {
        let mut host = Incidents::default();
        let ecc = || signal(Kind::Event, "mc0", Severity::Warning, 2.0);
        assert!(!host.note(0, signal(Kind::Event, "old", Severity::Warning, 2.0)));
        assert!(!host.note(500_000, ecc()));
        assert_eq!(host.raise(1_000_000, cpu(3.0)), Phase::Began);
        let incident = host.open().unwrap();
        assert_eq!(
            (incident.cause(), incident.severity()),
            ("mc0 at 2", Severity::Critical)
        );
        assert_eq!(incident.signals.len(), 2, "the old one is no cause: {incident:?}");
        // After it began as well; but what only explains does not keep it open.
        assert!(host.note(1_500_000, signal(Kind::Event, "mc1", Severity::Warning, 1.0)));
        assert_eq!(host.open().unwrap().until_ms, 1_000_000);
    }

    #[test]
    fn it_is_over_when_all_was_quiet_and_not_before() {
        let mut host = Incidents::default();
        host.raise(0, cpu(3.0));
        host.hold(500);
        assert_eq!(host.pass(1_499, 1_000), None);
        let ended = host.pass(1_500, 1_000).unwrap();
        assert_eq!((ended.since_ms, ended.until_ms), (0, 500));
        assert_eq!(host.pass(9_000, 1_000), None);
        assert_eq!(host.raise(9_000, cpu(3.0)), Phase::Began);
    }

    #[test]
    fn only_the_incident_that_is_meant_is_acknowledged() {
        let mut host = Incidents::default();
        let by = |name: &str| Acknowledged {
            time_ms: 7,
            by: name.into(),
        };
        assert!(!host.acknowledge(0, by("a")));
        host.raise(5, cpu(3.0));
        assert!(!host.acknowledge(4, by("a")));
        assert!(host.acknowledge(5, by("b")));
        assert_eq!(host.open().unwrap().acknowledged, Some(by("b")));
    }

    #[test]
    fn forecasts_alone_are_worth_knowing_and_the_weakest_signals_go() {
        let mut host = Incidents::default();
        host.raise(0, signal(Kind::Forecast, "host", Severity::Info, 3.0));
        assert_eq!(host.open().unwrap().severity(), Severity::Info);
        for device in 0..100 {
            host.raise(
                0,
                signal(Kind::Event, &device.to_string(), Severity::Critical, f64::from(device)),
            );
        }
        let signals = &host.open().unwrap().signals;
        assert_eq!(signals.len(), MAX_SIGNALS);
        assert!(signals.iter().all(|signal| signal.score >= 84.0), "{signals:?}");
    }

    #[test]
    fn signals_are_stored_as_json() {
        let stored = serde_json::to_string(&[cpu(3.5)]).unwrap();
        let expected =
            r#"[{"kind":"reading","subject":"cpu","severity":"warning","score":3.5,"evidence":"cpu at 3.5"}]"#;
        assert_eq!(stored, expected);
        assert_eq!(serde_json::from_str::<Vec<Signal>>(&stored).unwrap(), [cpu(3.5)]);
        assert!(serde_json::from_str::<Vec<Signal>>(&expected.replace("warning", "bad")).is_err());
    }
}
