//! What a receiver was told, and what it is owed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shadow::{Severity, UnixMs};

use crate::incident::Incident;

/// What was told is forgotten after longer than anything waits to be told again: a month.
const FORGET_MS: i64 = 31 * 86_400_000;

/// Of what a receiver wants to be told, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// What is less bad is not told.
    pub(crate) min_severity: Severity,
    /// So long after the first of them what is owed goes out together, in milliseconds.
    pub(crate) group_wait_ms: i64,
    /// What goes on and nobody has acknowledged is told again after so long, in milliseconds.
    pub(crate) repeat_every_ms: i64,
    /// Of whom nothing is told for a time.
    pub(crate) silences: Vec<Silence>,
}

/// Hosts of which nothing is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Silence {
    /// Begin and end of a name, around what may be anything; a whole name where there is no end.
    pub(crate) hosts: (String, Option<String>),
    pub(crate) until_ms: UnixMs,
}

impl Silence {
    fn covers(&self, host: &str, now_ms: UnixMs) -> bool {
        let named = match &self.hosts {
            (name, None) => host == name,
            (begin, Some(end)) => {
                host.len() >= begin.len() + end.len() && host.starts_with(begin) && host.ends_with(end)
            }
        };
        named && now_ms < self.until_ms
    }
}

/// Why an incident is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    Began,
    BecameGraver,
    GoesOn,
    Ended,
}

/// An incident that is owed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notice {
    pub(crate) incident: Incident,
    pub(crate) why: Why,
}

/// What was told of an incident last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Told {
    host: String,
    since_ms: UnixMs,
    severity: String,
    at_ms: UnixMs,
    ended: bool,
}

/// What is kept of a desk over restarts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    /// What ended before is none of this receiver's.
    since_ms: UnixMs,
    told: Vec<Told>,
}

/// One receiver's.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    rules: Rules,
    since_ms: UnixMs,
    told: BTreeMap<(String, UnixMs), Told>,
    /// When the first was owed of what waits for others to go with.
    owes_since_ms: Option<UnixMs>,
}

impl Desk {
    /// A desk that goes on from what was kept, or begins now.
    pub(crate) fn new(rules: Rules, kept: Option<Kept>, now_ms: UnixMs) -> Self {
        let Kept { since_ms, told } = kept.unwrap_or(Kept {
            since_ms: now_ms,
            told: Vec::new(),
        });
        Self {
            rules,
            since_ms,
            told: told
                .into_iter()
                .map(|told| ((told.host.clone(), told.since_ms), told))
                .collect(),
            owes_since_ms: None,
        }
    }

    pub(crate) fn kept(&self) -> Kept {
        Kept {
            since_ms: self.since_ms,
            told: self.told.values().cloned().collect(),
        }
    }

    /// What is to go out now, the gravest first; nothing while it may still have company.
    pub(crate) fn due(&mut self, now_ms: UnixMs, incidents: &[Incident]) -> Vec<Notice> {
        let mut owed: Vec<Notice> = incidents
            .iter()
            .filter_map(|incident| self.owed(now_ms, incident))
            .collect();
        if owed.is_empty() {
            self.owes_since_ms = None;
            return owed;
        }
        // A clock that was set back does not hold anything up.
        let since_ms = self.owes_since_ms.map_or(now_ms, |since_ms| since_ms.min(now_ms));
        self.owes_since_ms = Some(since_ms);
        if now_ms - since_ms < self.rules.group_wait_ms {
            return Vec::new();
        }
        owed.sort_by_key(|notice| (notice.why == Why::Ended, std::cmp::Reverse(notice.incident.severity)));
        owed
    }

    fn owed(&self, now_ms: UnixMs, incident: &Incident) -> Option<Notice> {
        let why = self.why(now_ms, incident)?;
        let silent = self
            .rules
            .silences
            .iter()
            .any(|silence| silence.covers(&incident.host, now_ms));
        (!silent && incident.severity >= self.rules.min_severity).then(|| Notice {
            incident: incident.clone(),
            why,
        })
    }

    fn why(&self, now_ms: UnixMs, incident: &Incident) -> Option<Why> {
        let Some(told) = self.told.get(&(incident.host.clone(), incident.since_ms)) else {
            return match (incident.is_acknowledged, incident.goes_on) {
                (true, _) => None,
                (false, true) => Some(Why::Began),
                // It came and went while nothing could be told.
                (false, false) => (incident.since_ms >= self.since_ms).then_some(Why::Ended),
            };
        };
        if !incident.goes_on {
            return (!told.ended).then_some(Why::Ended);
        }
        if told.severity != incident.severity.as_str() && Severity::from_word(&told.severity) < Some(incident.severity)
        {
            return Some(Why::BecameGraver);
        }
        let again = !incident.is_acknowledged && now_ms - told.at_ms >= self.rules.repeat_every_ms;
        again.then_some(Why::GoesOn)
    }

    /// `notices` have been delivered.
    pub(crate) fn deliver(&mut self, now_ms: UnixMs, notices: &[Notice]) {
        self.owes_since_ms = None;
        for Notice { incident, why } in notices {
            let told = Told {
                host: incident.host.clone(),
                since_ms: incident.since_ms,
                severity: incident.severity.as_str().to_owned(),
                at_ms: now_ms,
                ended: *why == Why::Ended,
            };
            self.told.insert((incident.host.clone(), incident.since_ms), told);
        }
        self.told.retain(|_, told| now_ms - told.at_ms < FORGET_MS);
    }
}

#[cfg(test)]
mod tests;
