//! Which hosts there are, which of them live, and what their newest sample says.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use shadow::{Birth, Capacity, Resource, SourceState, UnixMs, Vantage, Workload};

use crate::store::{
    Stream,
    memory::{Channels, Readings},
};

/// All hosts ever seen.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    hosts: BTreeMap<Arc<str>, Host>,
    /// Statuses of hosts that are not known yet: retained, they may come before the birth.
    early: BTreeMap<(Arc<str>, Vantage), bool>,
}

/// One host.
#[derive(Debug, Default)]
pub(crate) struct Host {
    /// What its agents said of themselves: gone or there.
    online: BTreeMap<Vantage, bool>,
    births: BTreeMap<Vantage, Arc<Birth>>,
    /// When its newest sample was taken; 0 before the first.
    pub(crate) newest_ms: UnixMs,
    /// Milliseconds between its newest two samples.
    pub(crate) interval_ms: u64,
    /// The newest value of each channel; NaN where there is none.
    newest: Option<Channels>,
    /// When something of it came last, on the brain's monotonic clock.
    heard_ns: u64,
}

/// Whether a host lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Samples come.
    Online,
    /// They have stopped.
    Stale,
    /// Its agents are gone.
    Offline,
}

impl Life {
    /// The word in views and on the page.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Stale => "stale",
            Self::Offline => "offline",
        }
    }
}

/// What an agent, or the broker in its stead, tells on its status topic. Other fields are for people.
#[derive(Debug, Deserialize)]
struct Status {
    state: String,
}

/// The longest status that is read, in bytes.
const MAX_STATUS: usize = 4_096;
/// The most statuses of hosts that are not known yet.
const MAX_EARLY: usize = 10_000;

impl Fleet {
    /// All hosts by name.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&Arc<str>, &Host)> {
        self.hosts.iter()
    }

    /// How many hosts are known.
    pub(crate) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// The host called `name`, if it is known.
    #[cfg(test)]
    pub(crate) fn get(&self, name: &str) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// A host that the store knows from before a restart.
    pub(crate) fn restore(&mut self, name: &Arc<str>, newest_ms: UnixMs) {
        let host = self.host(name);
        host.newest_ms = host.newest_ms.max(newest_ms);
    }

    /// The newest birth of a stream. With an epoch time begins anew: what is later is from a clock that was wrong.
    pub(crate) fn birth(&mut self, stream: &Stream, birth: &Arc<Birth>, monotonic_ns: u64) {
        let host = self.host(&stream.host);
        host.births.insert(stream.vantage, Arc::clone(birth));
        host.newest_ms = host.newest_ms.min(birth.time_ms);
        host.heard_ns = monotonic_ns;
    }

    /// The clock was set back to `now_ms`.
    pub(crate) fn rewind(&mut self, now_ms: UnixMs) {
        for host in self.hosts.values_mut() {
            host.newest_ms = host.newest_ms.min(now_ms);
        }
    }

    /// Hosts of which nothing has come for `silence_ns`.
    pub(crate) fn silent(&self, silence_ns: u64, monotonic_ns: u64) -> Vec<Arc<str>> {
        let silent = |host: &Host| monotonic_ns.saturating_sub(host.heard_ns) > silence_ns;
        let hosts = self.hosts.iter().filter(|(_, host)| silent(host));
        hosts.map(|(name, _)| Arc::clone(name)).collect()
    }

    /// Forgets a host.
    pub(crate) fn forget(&mut self, name: &Arc<str>) {
        self.hosts.remove(name);
    }

    /// An agent's status; tells whether it could be read. A host becomes known by its birth or frames, not by
    /// its status.
    pub(crate) fn status(&mut self, name: &str, vantage: Vantage, payload: &[u8]) -> bool {
        if payload.len() > MAX_STATUS {
            return false;
        }
        let Ok(status) = serde_json::from_slice::<Status>(payload) else {
            return false;
        };
        let online = status.state != "offline";
        match self.hosts.get_mut(name) {
            Some(host) => drop(host.online.insert(vantage, online)),
            None if self.early.len() < MAX_EARLY => drop(self.early.insert((name.into(), vantage), online)),
            None => {}
        }
        true
    }

    /// The samples of a frame. Older ones than the newest change nothing.
    pub(crate) fn samples(&mut self, stream: &Stream, readings: &Readings, monotonic_ns: u64) {
        let host = self.host(&stream.host);
        host.heard_ns = monotonic_ns;
        for (&(time_ms, span_ms), channels) in readings.times.iter().zip(&readings.channels) {
            if time_ms <= host.newest_ms {
                continue;
            }
            host.newest_ms = time_ms;
            host.interval_ms = span_ms.unsigned_abs();
            let newest = host.newest.get_or_insert([f64::NAN; 7]);
            merge(newest, channels, stream.vantage);
        }
        // Frames are the better sign of life: a last will may be older than they are.
        host.online.insert(stream.vantage, true);
    }

    fn host(&mut self, name: &Arc<str>) -> &mut Host {
        let early = &mut self.early;
        self.hosts.entry(Arc::clone(name)).or_insert_with(|| {
            let told = [Vantage::Inband, Vantage::Oob].into_iter();
            let online = told.filter_map(|vantage| Some((vantage, early.remove(&(Arc::clone(name), vantage))?)));
            Host {
                online: online.collect(),
                ..Host::default()
            }
        })
    }
}

/// In band a reading that failed is told as such; out of band only adds what it has.
fn merge(newest: &mut Channels, channels: &Channels, vantage: Vantage) {
    for (slot, &value) in newest.iter_mut().zip(channels) {
        if vantage == Vantage::Inband || !value.is_nan() {
            *slot = value;
        }
    }
}

impl Host {
    /// Whether it lives at `now_ms`, where samples may be `stale_ms` old.
    pub(crate) fn life(&self, now_ms: UnixMs, stale_ms: i64) -> Life {
        // A host that samples slowly is not stale between two samples.
        let patience = stale_ms.max(3_i64.saturating_mul(i64::try_from(self.interval_ms).unwrap_or(i64::MAX)));
        if !self.online.is_empty() && self.online.values().all(|online| !online) {
            Life::Offline
        } else if now_ms.saturating_sub(self.newest_ms) > patience {
            Life::Stale
        } else {
            Life::Online
        }
    }

    /// What its agent in band told, or else the one beside it.
    pub(crate) fn birth(&self) -> Option<&Arc<Birth>> {
        self.births.values().next()
    }

    /// What it has at most; each agent may add what the others do not know.
    pub(crate) fn capacity(&self) -> Capacity {
        let mut all = Capacity::default();
        for birth in self.births.values() {
            let told = birth.capacity;
            all.cpu_cores = all.cpu_cores.or(told.cpu_cores);
            all.memory_bytes = all.memory_bytes.or(told.memory_bytes);
            all.network_bytes_per_s = all.network_bytes_per_s.or(told.network_bytes_per_s);
            all.disk_bytes_per_s = all.disk_bytes_per_s.or(told.disk_bytes_per_s);
            all.power_w = all.power_w.or(told.power_w);
        }
        all
    }

    /// What resources are allocated to.
    pub(crate) fn workloads(&self) -> &[Workload] {
        self.birth().map_or(&[], |birth| &birth.workloads)
    }

    /// The newest value of `resource` in its own unit; `None` when it is not measured.
    pub(crate) fn value(&self, resource: Resource) -> Option<f64> {
        let newest = self.newest.as_ref()?;
        let channels = resource.channels().iter();
        let value = channels.filter_map(|channel| newest.get(channel.index())).sum::<f64>();
        value.is_finite().then_some(value)
    }

    /// Why `resource` has no value, in words.
    pub(crate) fn why_absent(&self, resource: Resource) -> String {
        let sources = self.births.values().flat_map(|birth| &birth.sources);
        let source = sources.into_iter().find(|source| source.name == resource.as_str());
        match source {
            Some(source) if source.state == SourceState::Absent => source.reason.clone(),
            Some(source) if source.state != SourceState::Works => {
                format!("{}: {}", source.state.as_str(), source.reason)
            }
            _ if self.newest.is_none() => "no sample yet".into(),
            _ if self.is_in_catalogue(resource) => "not read in the newest sample".into(),
            _ => "this host's agent does not measure it".into(),
        }
    }

    fn is_in_catalogue(&self, resource: Resource) -> bool {
        let has = |birth: &Arc<Birth>| {
            let mut channels = resource.channels().iter();
            channels.all(|channel| birth.catalogue.column(channel.metric()).is_some())
        };
        self.births.values().any(has)
    }

    /// Kernel, processor and number of PCI functions, in a line.
    pub(crate) fn inventory(&self) -> String {
        let Some(birth) = self.birth() else {
            return String::new();
        };
        let inventory = &birth.inventory;
        let pci = match inventory.pci.len() {
            0 => String::new(),
            n => format!("{n} PCI functions"),
        };
        let parts = [&inventory.kernel, &inventory.os, &inventory.cpu_model, &pci];
        let parts: Vec<&str> = parts
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(interval_ms: i64) -> Fleet {
        let mut fleet = Fleet::default();
        let stream = Stream {
            host: "a".into(),
            vantage: Vantage::Inband,
        };
        let mut channels = [f64::NAN; 7];
        channels[0] = 0.25;
        let readings = Readings {
            times: vec![(100_000, interval_ms)],
            channels: vec![channels],
            workloads: Vec::new(),
        };
        fleet.samples(&stream, &readings, 0);
        fleet
    }

    #[test]
    fn a_host_lives_while_samples_come_and_its_agent_is_there() {
        let check = |interval_ms: i64, now_ms: i64, status: Option<&str>, expected: Life| {
            let mut fleet = fleet(interval_ms);
            if let Some(status) = status {
                assert!(fleet.status("a", Vantage::Inband, status.as_bytes()));
            }
            let life = fleet.get("a").unwrap().life(now_ms, 20_000);
            assert_eq!(life, expected, "{interval_ms} {now_ms} {status:?}");
        };
        check(1_000, 110_000, None, Life::Online);
        check(1_000, 121_000, None, Life::Stale);
        check(60_000, 270_000, None, Life::Online);
        check(1_000, 110_000, Some(r#"{"state":"offline"}"#), Life::Offline);
        check(1_000, 110_000, Some(r#"{"state":"online","samples":5}"#), Life::Online);
    }

    #[test]
    fn a_status_that_is_none_is_refused() {
        let mut fleet = fleet(1_000);
        for bad in [&b"offline"[..], b"{}", b"\xff", &[b' '; 5_000]] {
            assert!(!fleet.status("a", Vantage::Inband, bad));
        }
        assert!(fleet.status("later", Vantage::Inband, br#"{"state":"offline"}"#));
        assert_eq!(fleet.len(), 1, "a status alone makes no host");
        fleet.restore(&"later".into(), 100_000);
        assert_eq!(
            fleet.get("later").unwrap().life(100_000, 20_000),
            Life::Offline,
            "but it is not forgotten"
        );
    }

    #[test]
    fn what_is_not_measured_has_a_reason() {
        let fleet = fleet(1_000);
        let host = fleet.get("a").unwrap();
        assert_eq!(host.value(Resource::Cpu), Some(0.25));
        assert_eq!(host.value(Resource::Power), None);
        assert_eq!(
            host.why_absent(Resource::Power),
            "this host's agent does not measure it"
        );
    }

    #[test]
    fn what_is_absent_is_told_apart_from_what_may_not_be_read() {
        for (state, expected) in [
            (SourceState::Absent, "why"),
            (SourceState::NoPermission, "no permission: why"),
            (SourceState::Failed, "failed: why"),
        ] {
            let mut fleet = fleet(1_000);
            let mut birth = crate::testing::birth(7);
            birth.sources = vec![shadow::Source {
                name: "power".into(),
                state,
                reason: "why".into(),
            }];
            let stream = Stream {
                host: "a".into(),
                vantage: Vantage::Inband,
            };
            fleet.birth(&stream, &birth.into(), 0);
            assert_eq!(fleet.get("a").unwrap().why_absent(Resource::Power), expected);
        }
    }
}
