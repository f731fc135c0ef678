//! Which hosts there are, which of them live, and what their newest sample says.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use shadow::{Birth, Capacity, Channel, Resource, SourceState, UnixMs, Vantage, Workload};

use crate::{
    engine::At,
    skew::{Skew, Turn},
    store::{
        Stream,
        memory::{Channels, Readings},
    },
};

/// All hosts ever seen.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    hosts: BTreeMap<Arc<str>, Host>,
    /// Statuses of hosts that are not known yet: retained, they may come before the birth.
    early: BTreeMap<(Arc<str>, Vantage), bool>,
}

/// One host: what its agents, in band and out of band, tell of it, put together.
#[derive(Debug, Default)]
pub(crate) struct Host {
    views: BTreeMap<Vantage, View>,
    /// The newest value of each channel; NaN where there is none.
    newest: Option<Channels>,
    /// When its BMC told its power last, by the time of the sample.
    bmc_power_ms: Option<UnixMs>,
    /// When something of it came last, on the brain's monotonic clock.
    heard_ns: u64,
}

/// One agent's view of a host.
#[derive(Debug, Default)]
struct View {
    /// What the agent said of itself: gone or there; `None` before it has.
    online: Option<bool>,
    birth: Option<Arc<Birth>>,
    /// When its newest sample was taken; 0 before the first.
    newest_ms: UnixMs,
    /// Milliseconds between its newest two samples.
    interval_ms: u64,
    skew: Skew,
}

/// Whether a host lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Samples come.
    Online,
    /// Of its BMC alone: nothing runs on it, or its agent is gone.
    BmcOnly,
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
            Self::BmcOnly => "bmc only",
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
/// For how long what the BMC told of the host's power is better than what the host measures itself.
const BMC_POWER_MS: i64 = 60_000;

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
    pub(crate) fn get(&self, name: &str) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// A host that the store knows from before a restart.
    pub(crate) fn restore(&mut self, name: &Arc<str>, newest_ms: UnixMs) {
        let host = self.host(name);
        // The store does not tell who saw it; the births do.
        let vantage = host
            .views
            .iter()
            .find(|(_, view)| view.birth.is_some())
            .map(|(&vantage, _)| vantage);
        let view = host.view(vantage.unwrap_or(Vantage::Inband));
        view.newest_ms = view.newest_ms.max(newest_ms);
    }

    /// The newest birth of a stream. With an epoch time begins anew: what is later is from a clock that was wrong.
    pub(crate) fn birth(&mut self, stream: &Stream, birth: &Arc<Birth>, monotonic_ns: u64) {
        let host = self.host(&stream.host);
        host.heard_ns = monotonic_ns;
        let view = host.view(stream.vantage);
        view.birth = Some(Arc::clone(birth));
        view.newest_ms = view.newest_ms.min(birth.time_ms);
        view.skew.begin(monotonic_ns);
    }

    /// A frame of a stream has come, with its newest sample taken at `newest_ms`: whether its clock is found to be off,
    /// or right again.
    pub(crate) fn clock(&mut self, stream: &Stream, newest_ms: UnixMs, at: At, limit_ms: i64) -> Option<Turn> {
        let view = self.host(&stream.host).view(stream.vantage);
        view.skew.arrived(newest_ms, at.now_ms, at.monotonic_ns, limit_ms)
    }

    /// The clock was set back to `now_ms`.
    pub(crate) fn rewind(&mut self, now_ms: UnixMs) {
        for host in self.hosts.values_mut() {
            host.bmc_power_ms = None;
            for view in host.views.values_mut() {
                view.newest_ms = view.newest_ms.min(now_ms);
            }
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
            Some(host) => host.view(vantage).online = Some(online),
            None if self.early.len() < MAX_EARLY => drop(self.early.insert((name.into(), vantage), online)),
            None => {}
        }
        true
    }

    /// Leaves out of `readings` what another view of the host knows better: the BMC measures the power of the whole
    /// machine.
    pub(crate) fn reconcile(&mut self, stream: &Stream, readings: &mut Readings) {
        let host = self.host(&stream.host);
        for (&(time_ms, _), channels) in readings.times.iter().zip(&mut readings.channels) {
            let Some(power) = channels.get_mut(Channel::Power.index()) else {
                continue;
            };
            match stream.vantage {
                Vantage::Oob if power.is_finite() => host.bmc_power_ms = host.bmc_power_ms.max(Some(time_ms)),
                Vantage::Inband if host.has_bmc_power(time_ms) => *power = f64::NAN,
                _ => {}
            }
        }
    }

    /// The samples of a frame, [reconciled](Self::reconcile). Older ones than the newest change nothing.
    pub(crate) fn samples(&mut self, stream: &Stream, readings: &Readings, monotonic_ns: u64) {
        let host = self.host(&stream.host);
        host.heard_ns = monotonic_ns;
        for (&(time_ms, span_ms), channels) in readings.times.iter().zip(&readings.channels) {
            let view = host.view(stream.vantage);
            if time_ms <= view.newest_ms {
                continue;
            }
            view.newest_ms = time_ms;
            view.interval_ms = span_ms.unsigned_abs();
            host.merge(channels, stream.vantage, time_ms);
        }
        // Frames are the better sign of life: a last will may be older than they are.
        host.view(stream.vantage).online = Some(true);
    }

    fn host(&mut self, name: &Arc<str>) -> &mut Host {
        let early = &mut self.early;
        self.hosts.entry(Arc::clone(name)).or_insert_with(|| {
            let mut host = Host::default();
            for vantage in [Vantage::Inband, Vantage::Oob] {
                if let Some(online) = early.remove(&(Arc::clone(name), vantage)) {
                    host.view(vantage).online = Some(online);
                }
            }
            host
        })
    }
}

impl View {
    /// A host that samples slowly is not stale between two samples.
    fn is_stale(&self, now_ms: UnixMs, stale_ms: i64) -> bool {
        let patience = stale_ms.max(3_i64.saturating_mul(i64::try_from(self.interval_ms).unwrap_or(i64::MAX)));
        now_ms.saturating_sub(self.newest_ms) > patience
    }
}

impl Host {
    fn view(&mut self, vantage: Vantage) -> &mut View {
        self.views.entry(vantage).or_default()
    }

    /// Who is asked first: the agent on the host, if there ever was one.
    fn leading(&self) -> Option<&View> {
        let known = |view: &&View| view.birth.is_some() || view.newest_ms > 0;
        // In band is the lesser of the two.
        self.views.values().find(known).or_else(|| self.views.values().next())
    }

    /// When its newest sample was taken: on the host, where an agent runs there; 0 before the first.
    pub(crate) fn newest_ms(&self) -> UnixMs {
        self.leading().map_or(0, |view| view.newest_ms)
    }

    /// Milliseconds between its newest two samples.
    pub(crate) fn interval_ms(&self) -> u64 {
        self.leading().map_or(0, |view| view.interval_ms)
    }

    /// How far its clock is ahead of the brain's, less the delay of its frames, in milliseconds: see [`Skew`].
    pub(crate) fn clock_offset_ms(&self) -> Option<i64> {
        self.leading().and_then(|view| view.skew.offset_ms())
    }

    /// Whether the clock of one of its agents was found to be off.
    pub(crate) fn is_skewed(&self) -> bool {
        self.views.values().any(|view| view.skew.is_flagged())
    }

    /// Whether its BMC told its power within a minute of `time_ms`.
    fn has_bmc_power(&self, time_ms: UnixMs) -> bool {
        let near = |told_ms: UnixMs| time_ms.saturating_sub(told_ms).saturating_abs() <= BMC_POWER_MS;
        self.bmc_power_ms.is_some_and(near)
    }

    /// In band a reading that failed is told as such, but for power that the BMC tells; out of band only adds what it
    /// has.
    fn merge(&mut self, channels: &Channels, vantage: Vantage, time_ms: UnixMs) {
        let bmc_power = self.has_bmc_power(time_ms);
        let newest = self.newest.get_or_insert([f64::NAN; 7]);
        for ((index, slot), &value) in newest.iter_mut().enumerate().zip(channels) {
            let known_better = vantage == Vantage::Oob || (bmc_power && index == Channel::Power.index());
            if !(value.is_nan() && known_better) {
                *slot = value;
            }
        }
    }

    /// Whether it lives at `now_ms`, where samples may be `stale_ms` old.
    pub(crate) fn life(&self, now_ms: UnixMs, stale_ms: i64) -> Life {
        let lives = |view: &View| view.online != Some(false) && !view.is_stale(now_ms, stale_ms);
        let gone = |view: &View| view.online == Some(false);
        match self.leading() {
            Some(view) if lives(view) => Life::Online,
            _ if self.views.values().any(lives) => Life::BmcOnly,
            Some(view) if gone(view) => Life::Offline,
            _ => Life::Stale,
        }
    }

    /// What its agent in band told, or else the one beside it.
    pub(crate) fn birth(&self) -> Option<&Arc<Birth>> {
        self.births().next()
    }

    /// All that its agents told, in band first.
    pub(crate) fn told(&self) -> Vec<(Vantage, Arc<Birth>)> {
        let told = |(&vantage, view): (&Vantage, &View)| Some((vantage, Arc::clone(view.birth.as_ref()?)));
        self.views.iter().filter_map(told).collect()
    }

    fn births(&self) -> impl Iterator<Item = &Arc<Birth>> {
        self.views.values().filter_map(|view| view.birth.as_ref())
    }

    /// Whether an agent speaks for it out of band: it can be asked even when nothing runs on the host.
    pub(crate) fn has_bmc(&self) -> bool {
        self.views.get(&Vantage::Oob).is_some_and(|view| view.birth.is_some())
    }

    /// What it has at most; each agent may add what the others do not know.
    pub(crate) fn capacity(&self) -> Capacity {
        let mut all = Capacity::default();
        for birth in self.births() {
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
        let mut sources = self.births().flat_map(|birth| &birth.sources);
        let source = sources.find(|source| source.name == resource.as_str());
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
        self.births().any(has)
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
mod tests;
