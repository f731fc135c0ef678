//! What is unusual on each host, by all that is known of it: signals become incidents, one at a time a host.
//!
//! | signal | where it comes from |
//! |---|---|
//! | reading | a resource left its calibrated forecast ([`anomaly::residual`], in `foresight`) |
//! | state | all channels together are in a state that the host was never in ([`anomaly::HostDetector`]), a row a minute |
//! | forecast | the same of what is expected of all resources at the farthest horizon: it is told before it happens |
//! | event | registers, logs and sensors, by severity and rate ([`anomaly::Diagnostics`]) |
//!
//! How many alarms may come is chosen ([`Budget`]), not a threshold. An incident is over when all was quiet for a while.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use anomaly::{Acknowledged, Diagnostics, Incident, Incidents, Kind, Phase, Signal};
use shadow::{Channel, Event, Forecast, Resource, Severity, UnixMs};

use tokio::sync::oneshot;

use self::states::{Expected, States};
use crate::{snapshot::IncidentView, store::StoredIncident};

mod states;

/// The most incidents that are remembered to be shown; the store has the others.
const MAX_SHOWN: usize = 200;

/// Minutes between two savings of what a host's detector has learnt.
const SAVED_EVERY: i64 = 360;

/// What an agent tells of itself and its clock says nothing of its host.
const AGENT: &str = "agent";

/// What is this much below the bar keeps an incident going, in powers of ten.
const SLACK: f64 = 1.0;

/// Who may raise how many alarms on a host in a week. The shares of one host's rate; together with those of the readings
/// ([`crate::config::Anomaly::residuals`]) they may exceed it a little, for what is unusual is mostly told by several, and
/// is one incident.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Budget {
    /// Alarms of a host in a week for which there is no reason, as chosen.
    pub(crate) a_week: f64,
    /// An incident is over when nothing unusual was seen for this long, in milliseconds.
    pub(crate) quiet_ms: i64,
}

impl Budget {
    /// Blocks of rows of a minute in a week.
    const BLOCKS_A_WEEK: f64 = 10_080.0 / anomaly::BLOCK as f64;
    const HOURS_A_WEEK: f64 = 168.0;

    /// The score at which a state is an alarm. It has most of the budget (docs/brain.md has all shares): it sees most.
    fn state_bar(self) -> f64 {
        (Self::BLOCKS_A_WEEK / (0.7 * self.a_week)).log10()
    }

    /// The score at which a forecast is an alarm.
    fn forecast_bar(self) -> f64 {
        (Self::BLOCKS_A_WEEK / (0.1 * self.a_week)).log10()
    }

    /// The score at which events of a kind are an alarm.
    fn event_bar(self) -> f64 {
        (Self::HOURS_A_WEEK / (0.1 * self.a_week)).log10()
    }
}

/// What the detector of a host is stored as that has been in these states, a minute each.
pub(crate) fn learnt(minutes: impl IntoIterator<Item = [f32; Channel::COUNT]>) -> Vec<u8> {
    let mut states = States::default();
    for means in minutes {
        drop(states.update(&means));
    }
    states.to_bytes()
}

/// What is done with the states of a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attention {
    /// They are learnt, and what is unusual is told.
    Tell,
    /// They are learnt: the past is gone through again, and what was unusual in it is known.
    Learn,
}

/// What is unusual on all hosts.
#[derive(Debug)]
pub(crate) struct Watch {
    budget: Budget,
    hosts: BTreeMap<Arc<str>, Host>,
    /// Oldest first.
    shown: VecDeque<StoredIncident>,
    /// What has changed since it was asked for, by host and begin.
    changed: BTreeMap<(Arc<str>, UnixMs), (Incident, bool)>,
    /// Alarms since it was asked for.
    alarms: u64,
}

/// That somebody takes notice of an incident.
#[derive(Debug)]
pub struct Acknowledgement {
    /// Of this host.
    pub host: String,
    /// Which began then.
    pub since_ms: UnixMs,
    /// Who, by their own word.
    pub by: String,
    /// Told whether the incident is known.
    pub done: oneshot::Sender<bool>,
}

/// What the page tells of people.
#[derive(Debug)]
pub enum Notice {
    /// Somebody takes notice of one.
    Taken(Acknowledgement),
    /// Somebody has logged in or out.
    Entered {
        /// By which name.
        who: String,
        /// The caller's address; empty where that is not known.
        from: String,
        /// In words.
        how: &'static str,
        /// Others of this name since one was told last.
        suppressed: u64,
    },
    /// Somebody may not do something: the request came from this address, and why it was refused.
    Refused {
        /// The caller's address; empty where that is not known.
        from: String,
        /// In words.
        why: String,
        /// Others that were refused since one was told last.
        suppressed: u64,
    },
}

#[derive(Debug)]
struct Host {
    states: States,
    /// The end of the newest minute that was learnt.
    learnt_ms: UnixMs,
    expected: Expected,
    diagnostics: Diagnostics,
    incidents: Incidents,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            states: States::default(),
            learnt_ms: UnixMs::MIN,
            expected: Expected::default(),
            diagnostics: Diagnostics::default(),
            incidents: Incidents::default(),
        }
    }
}

impl Watch {
    /// Nothing is known yet.
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            budget,
            hosts: BTreeMap::new(),
            shown: VecDeque::new(),
            changed: BTreeMap::new(),
            alarms: 0,
        }
    }

    /// Puts back an incident of before a restart; they come oldest first. One that went on goes on.
    pub(crate) fn restore(&mut self, (host, incident, goes_on): StoredIncident) {
        if goes_on {
            let of_host = self.hosts.entry(Arc::clone(&host)).or_default();
            of_host.incidents.restore(incident.clone());
        }
        self.show(host, incident, goes_on);
    }

    /// Goes on with what a detector had learnt until `saved_ms`, before a restart.
    pub(crate) fn relearn(&mut self, host: &Arc<str>, saved_ms: UnixMs, body: &[u8]) {
        let Some(states) = States::from_bytes(body) else {
            return tracing::warn!(
                host = &**host,
                "the stored detector is of another version; it learns anew"
            );
        };
        let of_host = self.hosts.entry(Arc::clone(host)).or_default();
        of_host.states = states;
        of_host.learnt_ms = saved_ms;
    }

    /// The clock was set back to `now_ms`.
    pub(crate) fn rewind(&mut self, now_ms: UnixMs) {
        for of_host in self.hosts.values_mut() {
            of_host.learnt_ms = of_host.learnt_ms.min(now_ms);
        }
    }

    /// What detectors have learnt, of those hosts whose turn it is in the minute that ends at `now_ms`: each has one in six
    /// hours, which is as much of the past as is learnt again after a restart.
    pub(crate) fn take_learnt(&self, now_ms: UnixMs) -> BTreeMap<Arc<str>, (UnixMs, Vec<u8>)> {
        let minute = now_ms.div_euclid(60_000).rem_euclid(SAVED_EVERY);
        let is_due = |(name, of_host): &(&Arc<str>, &Host)| {
            // FNV-1a: hosts come evenly, however they are called.
            let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
            let turn = name.bytes().fold(0x811c_9dc5, mix);
            i64::from(turn) % SAVED_EVERY == minute && of_host.learnt_ms == now_ms
        };
        let due = self.hosts.iter().filter(is_due);
        due.map(|(host, of_host)| (Arc::clone(host), (of_host.learnt_ms, of_host.states.to_bytes())))
            .collect()
    }

    /// Learns of an event of before a restart, so that rates go on; they come oldest first.
    pub(crate) fn recall(&mut self, host: &Arc<str>, event: &Event) {
        let of_host = self.hosts.entry(Arc::clone(host)).or_default();
        of_host.diagnostics.add(event);
    }

    /// Forgets a host; what was told of it stays.
    pub(crate) fn forget(&mut self, host: &Arc<str>) {
        if let Some(of_host) = self.hosts.remove(host)
            && let Some(incident) = of_host.incidents.open().cloned()
        {
            self.tell(host, incident, false);
        }
    }

    /// A reading of `resource` left its forecast.
    pub(crate) fn reading(
        &mut self,
        host: &Arc<str>,
        resource: Resource,
        now_ms: UnixMs,
        (score, evidence): (f64, &str),
    ) {
        let signal = Signal {
            kind: Kind::Reading,
            subject: resource.to_string(),
            severity: Severity::Warning,
            score,
            evidence: evidence.to_owned(),
        };
        self.raise(host, now_ms, signal);
    }

    /// A minute is over. `means` in the order of [`Channel::ALL`], NaN where nothing was read.
    pub(crate) fn minute(
        &mut self,
        host: &Arc<str>,
        now_ms: UnixMs,
        means: &[f32; Channel::COUNT],
        attention: Attention,
    ) {
        let of_host = self.hosts.entry(Arc::clone(host)).or_default();
        // What was learnt before a restart is gone through again as well.
        if now_ms <= of_host.learnt_ms {
            return;
        }
        of_host.learnt_ms = now_ms;
        let Some(seen) = of_host.states.update(means) else {
            return;
        };
        if attention == Attention::Tell {
            self.judge(host, now_ms, seen, self.budget.state_bar());
        }
    }

    /// What is expected of a host, once a minute; nothing where there is no forecast.
    pub(crate) fn forecast(&mut self, host: &Arc<str>, now_ms: UnixMs, forecasts: &[Forecast], attention: Attention) {
        let of_host = self.hosts.entry(Arc::clone(host)).or_default();
        let Some(seen) = of_host.expected.update(forecasts) else {
            return;
        };
        if attention == Attention::Tell {
            self.judge(host, now_ms, seen, self.budget.forecast_bar());
        }
    }

    /// Raises what is beyond the bar; what nearly is keeps an incident going.
    fn judge(&mut self, host: &Arc<str>, now_ms: UnixMs, seen: states::Seen, bar: f64) {
        if seen.score >= bar {
            let signal = seen.signal();
            self.raise(host, now_ms, signal);
        } else if seen.score >= bar - SLACK
            && let Some(of_host) = self.hosts.get_mut(host)
        {
            of_host.incidents.hold(now_ms);
        }
    }

    /// An event has come, by the time of its host's clock; `now_ms` is the brain's.
    pub(crate) fn event(&mut self, host: &Arc<str>, event: &Event, now_ms: UnixMs) {
        let finding = &event.finding;
        if finding.source == AGENT {
            return;
        }
        let of_host = self.hosts.entry(Arc::clone(host)).or_default();
        let (score, count) = of_host.diagnostics.add(event);
        if finding.severity == Severity::Info {
            return;
        }
        // Of long ago, as what an agent has kept for hours: it is told as of then.
        let now_ms = now_ms.min(event.time_ms);
        let often = if count > 1 {
            format!(" ({count} within an hour)")
        } else {
            String::new()
        };
        let signal = Signal {
            kind: Kind::Event,
            subject: format!("{} {}", finding.source, finding.kind),
            severity: finding.severity,
            score,
            evidence: format!("{} {}: {}{often}", finding.source, finding.subject, finding.text),
        };
        if score >= self.budget.event_bar() {
            self.raise(host, now_ms, signal);
        } else if of_host.incidents.note(now_ms, signal)
            && let Some(incident) = of_host.incidents.open().cloned()
        {
            self.tell(host, incident, true);
        }
    }

    fn raise(&mut self, host: &Arc<str>, now_ms: UnixMs, signal: Signal) {
        let of_host = self.hosts.entry(Arc::clone(host)).or_default();
        let phase = of_host.incidents.raise(now_ms, signal);
        self.alarms += u64::from(matches!(phase, Phase::Began | Phase::Escalated));
        if let Some(incident) = of_host.incidents.open().cloned() {
            self.tell(host, incident, true);
        }
    }

    /// Time has passed: ends what has been quiet.
    pub(crate) fn pass(&mut self, now_ms: UnixMs) {
        let quiet_ms = self.budget.quiet_ms;
        let ended = |(host, of_host): (&Arc<str>, &mut Host)| {
            let incident = of_host.incidents.pass(now_ms, quiet_ms)?;
            Some((Arc::clone(host), incident))
        };
        let ended: Vec<_> = self.hosts.iter_mut().filter_map(ended).collect();
        for (host, incident) in ended {
            self.tell(&host, incident, false);
        }
    }

    /// Somebody takes notice of an incident; tells whether it is known. One that is over can be acknowledged as well.
    pub(crate) fn acknowledge(&mut self, host: &str, since_ms: UnixMs, acknowledged: Acknowledged) -> bool {
        let is_meant = |(of, incident, _): &&StoredIncident| &**of == host && incident.since_ms == since_ms;
        let Some((host, mut incident, goes_on)) = self.shown.iter().find(is_meant).cloned() else {
            return false;
        };
        if let Some(of_host) = self.hosts.get_mut(&host) {
            of_host.incidents.acknowledge(since_ms, acknowledged.clone());
        }
        incident.acknowledged = Some(acknowledged);
        self.tell(&host, incident, goes_on);
        true
    }

    fn tell(&mut self, host: &Arc<str>, incident: Incident, goes_on: bool) {
        let key = (Arc::clone(host), incident.since_ms);
        self.changed.insert(key, (incident.clone(), goes_on));
        self.show(Arc::clone(host), incident, goes_on);
    }

    fn show(&mut self, host: Arc<str>, incident: Incident, goes_on: bool) {
        let same = |(of, known, _): &&mut StoredIncident| known.since_ms == incident.since_ms && *of == host;
        match self.shown.iter_mut().rev().find(same) {
            Some(known) => *known = (host, incident, goes_on),
            None => self.shown.push_back((host, incident, goes_on)),
        }
        if self.shown.len() > MAX_SHOWN {
            self.shown.pop_front();
        }
    }

    /// What has changed, to be made durable.
    pub(crate) fn take_changed(&mut self) -> BTreeMap<(Arc<str>, UnixMs), (Incident, bool)> {
        std::mem::take(&mut self.changed)
    }

    /// Alarms since the last call: incidents that began or became graver.
    pub(crate) fn take_alarms(&mut self) -> u64 {
        std::mem::take(&mut self.alarms)
    }

    /// Incidents, newest first.
    pub(crate) fn shown(&self) -> Vec<IncidentView> {
        let view = |(host, incident, goes_on): &StoredIncident| IncidentView::of(host, incident, *goes_on);
        self.shown.iter().rev().map(view).collect()
    }
}

#[cfg(test)]
mod tests;
