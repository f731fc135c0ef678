//! All probes of a host, and what a failing one costs.

use std::{collections::HashSet, time::Duration};

use runtime::Clock;
use shadow::{Catalogue, Channel, Finding, Inventory, Metric, Reading, Source, SourceState, metric::MAX_METRICS};

use super::{OUT_OF_BAND, Open, PROBES, Place, Probe, Tier};
use crate::error::ProbeError;

/// Failures in a row after which a probe is left alone until the next refresh.
const MAX_FAILURES: u32 = 3;

/// The shortest time between two readings of a middle probe.
const MIDDLE_NS: u64 = 900_000_000;

/// The column of a reading that is left out.
const NOWHERE: usize = usize::MAX;

/// One probe, examined.
#[derive(Debug)]
pub struct Checkup {
    /// What it reads, or why it does not.
    pub source: Source,
    /// How many metrics it gives.
    pub metrics: usize,
    /// What a reading takes; `None` where it is not read.
    pub read: Option<Duration>,
}

/// All probes of a host, and the order of their readings.
///
/// Channels come first, in the order of [`Channel::ALL`], then everything else in the order of the probes.
///
/// A probe that fails costs itself alone: its columns are [`Reading::FAILED`], and after three failures in a
/// row it is left alone until the next [`ProbeSet::refresh`] opens it anew.
pub struct ProbeSet {
    place: Place,
    slots: Vec<Slot>,
    catalogue: Catalogue,
    /// Column of each reading, in the order in which they are read.
    columns: Vec<usize>,
    scratch: Vec<Reading>,
    row: Vec<Reading>,
}

impl ProbeSet {
    /// Opens whatever `place` has. What cannot be opened is told by [`ProbeSet::sources`].
    pub fn open(place: Place) -> Self {
        let probes = PROBES.into_iter();
        let seen = probes.filter(|(name, _)| place.is_inband() || OUT_OF_BAND.contains(name));
        let mut slots: Vec<Slot> = seen.map(|(name, open)| Slot::new(name, open, &place)).collect();
        for probe in slots.iter_mut().filter_map(|slot| slot.probe.as_mut()) {
            probe.await_first();
        }
        let mut set = Self {
            place,
            slots,
            catalogue: Catalogue::default(),
            columns: Vec::new(),
            scratch: Vec::new(),
            row: Vec::new(),
        };
        set.lay_out();
        set
    }

    /// What is read, in column order.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What each probe reads, or why it does not.
    pub fn sources(&self) -> Vec<Source> {
        self.slots.iter().map(Slot::source).collect()
    }

    /// Reads everything, in the column order of the catalogue. `now_ns` is monotonic.
    pub fn sample(&mut self, now_ns: u64) -> &[Reading] {
        let mut rest = self.scratch.as_mut_slice();
        for slot in &mut self.slots {
            let (out, tail) = rest.split_at_mut(slot.metrics.len().min(rest.len()));
            slot.read(now_ns, out);
            rest = tail;
        }
        for (&column, &reading) in self.columns.iter().zip(&self.scratch) {
            if let Some(place) = self.row.get_mut(column) {
                *place = reading;
            }
        }
        &self.row
    }

    /// What the probes have found since the last call.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        let mut found = Vec::new();
        for slot in &mut self.slots {
            found.append(&mut slot.found);
            found.extend(
                slot.probe
                    .as_mut()
                    .map(|probe| probe.take_findings())
                    .unwrap_or_default(),
            );
        }
        found
    }

    /// Reads each probe by itself, the second time with the clock in hand.
    pub fn examine(&mut self, clock: &Clock) -> Vec<Checkup> {
        self.slots.iter_mut().map(|slot| slot.examine(clock)).collect()
    }

    /// Adds what the probes know of the host to a birth.
    pub fn describe(&mut self, inventory: &mut Inventory) {
        let probes = self.slots.iter_mut().filter_map(|slot| slot.probe.as_mut());
        probes.for_each(|probe| probe.describe(inventory));
    }

    /// Looks for what came and went, and gives failed probes another try. Takes some milliseconds.
    ///
    /// Returns whether the catalogue, a source's state or what [`ProbeSet::describe`] adds changed: then a new epoch has
    /// to begin.
    pub fn refresh(&mut self) -> bool {
        let mut changed = false;
        for slot in &mut self.slots {
            changed |= slot.refresh(&self.place);
        }
        if changed {
            self.lay_out();
        }
        changed
    }

    /// Gives each reading a column. Of two metrics with one name, which only names made safe can have, and
    /// past [`MAX_METRICS`], readings go nowhere, for nobody would read such a birth.
    fn lay_out(&mut self) {
        let metrics: Vec<&Metric> = self.slots.iter().flat_map(|slot| &slot.metrics).collect();
        let rank = |metric: &Metric| Channel::ALL.iter().position(|c| c.metric() == metric.name);
        let mut order: Vec<(usize, &Metric)> = metrics.into_iter().enumerate().collect();
        let readings = order.len();
        order.sort_by_key(|(_, metric)| rank(metric).unwrap_or(Channel::COUNT));
        let mut names = HashSet::new();
        order.retain(|(_, metric)| names.len() < MAX_METRICS && names.insert(metric.name.as_str()));
        if order.len() < readings {
            tracing::warn!(
                left_out = readings - order.len(),
                "metrics left out: too many, or two of one name"
            );
        }
        let mut columns = vec![NOWHERE; readings];
        for (column, &(reading, _)) in order.iter().enumerate() {
            if let Some(place) = columns.get_mut(reading) {
                *place = column;
            }
        }
        let catalogue = Catalogue::new(order.into_iter().map(|(_, metric)| metric.clone()).collect());
        self.scratch = vec![Reading::STALE; readings];
        self.row = vec![Reading::STALE; catalogue.len()];
        self.columns = columns;
        self.catalogue = catalogue;
    }
}

/// One probe with its troubles.
struct Slot {
    name: &'static str,
    open: Open,
    /// What the layout has places for; kept while the probe fails.
    metrics: Vec<Metric>,
    probe: Option<Box<dyn Probe>>,
    fault: Option<ProbeError>,
    /// What a probe had found that is no longer there.
    found: Vec<Finding>,
    failures: u32,
    last_ns: Option<u64>,
}

impl Slot {
    fn new(name: &'static str, open: Open, place: &Place) -> Self {
        let mut slot = Self {
            name,
            open,
            metrics: Vec::new(),
            probe: None,
            fault: None,
            found: Vec::new(),
            failures: 0,
            last_ns: None,
        };
        slot.reopen(place);
        slot
    }

    /// Opens the probe anew; a source that is gone takes its metrics along, one that fails keeps them.
    fn reopen(&mut self, place: &Place) {
        self.failures = 0;
        self.last_ns = None;
        self.keep_findings();
        let opened = if place.config.off.iter().any(|off| off == self.name) {
            Err(ProbeError::Absent(
                "switched off by the configuration (probes.off)".to_owned(),
            ))
        } else {
            (self.open)(place)
        };
        match opened {
            Ok(probe) => {
                self.metrics = probe.metrics().to_vec();
                self.probe = Some(probe);
                self.fault = None;
            }
            Err(fault) => {
                if fault.state() == SourceState::Absent {
                    self.metrics.clear();
                }
                self.probe = None;
                self.fault = Some(fault);
            }
        }
    }

    fn refresh(&mut self, place: &Place) -> bool {
        let outdated = self.probe.as_mut().is_none_or(|probe| probe.outdated());
        if !outdated {
            return self.probe.as_ref().is_some_and(|probe| probe.has_news_for_birth());
        }
        let before = (self.metrics.clone(), self.state());
        self.reopen(place);
        before != (self.metrics.clone(), self.state())
    }

    fn read(&mut self, now_ns: u64, out: &mut [Reading]) {
        let Some(probe) = self.probe.as_mut() else {
            out.fill(Reading::FAILED);
            return;
        };
        let rested = self.last_ns.is_none_or(|last| now_ns.saturating_sub(last) >= MIDDLE_NS);
        if probe.tier() == Tier::Middle && !rested {
            out.fill(Reading::STALE);
            return;
        }
        self.last_ns = Some(now_ns);
        match probe.read(now_ns, out) {
            Ok(()) => self.failures = 0,
            Err(fault) => {
                out.fill(Reading::FAILED);
                self.fail(fault);
            }
        }
    }

    /// Before the probe goes.
    fn keep_findings(&mut self) {
        self.found.extend(
            self.probe
                .as_mut()
                .map(|probe| probe.take_findings())
                .unwrap_or_default(),
        );
    }

    fn examine(&mut self, clock: &Clock) -> Checkup {
        let mut out = vec![Reading::STALE; self.metrics.len()];
        let mut read = || {
            let begin_ns = clock.monotonic_ns();
            let read = self.probe.as_mut()?.read(begin_ns, &mut out);
            let spent = Duration::from_nanos(clock.monotonic_ns().saturating_sub(begin_ns));
            read.is_ok().then_some(spent)
        };
        read();
        Checkup {
            read: read(),
            source: self.source(),
            metrics: self.metrics.len(),
        }
    }

    fn fail(&mut self, fault: ProbeError) {
        self.failures += 1;
        if self.failures >= MAX_FAILURES {
            tracing::warn!(probe = self.name, %fault, "probe left alone until the next refresh");
            self.keep_findings();
            self.probe = None;
            self.fault = Some(fault);
        }
    }

    fn state(&self) -> SourceState {
        match &self.fault {
            None => SourceState::Works,
            Some(fault) => fault.state(),
        }
    }

    fn source(&self) -> Source {
        let reason = match (&self.fault, &self.probe) {
            (Some(fault), _) => fault.to_string(),
            (None, Some(probe)) => probe.location(),
            (None, None) => String::new(),
        };
        Source {
            name: self.name.to_owned(),
            state: self.state(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::tree::Tree;

    const STAT: &str = "cpu  1 0 1 7 0 0 0 0\ncpu0 1 0 1 7 0 0 0 0\nintr 0\n";
    const MEMINFO: &str = "MemTotal: 1000 kB\nMemAvailable: 400 kB\n";
    const DISKS: &str = " 8 0 sda 10 0 100 5 20 0 200 9 3 1000 14\n";

    fn tree() -> Tree {
        Tree::new(&[
            ("proc/stat", STAT),
            ("proc/meminfo", MEMINFO),
            ("proc/diskstats", DISKS),
        ])
    }

    fn names(set: &ProbeSet) -> Vec<&str> {
        set.catalogue()
            .metrics()
            .iter()
            .map(|metric| metric.name.as_str())
            .collect()
    }

    fn reading(set: &mut ProbeSet, name: &str, seconds: u64) -> Reading {
        let column = set.catalogue().column(name).unwrap();
        set.sample(seconds * 1_000_000_000)[column]
    }

    fn state(set: &ProbeSet, name: &str) -> SourceState {
        set.sources().iter().find(|source| source.name == name).unwrap().state
    }

    #[test]
    fn channels_come_first_and_readings_follow_their_metrics() {
        let mut set = ProbeSet::open(tree().place());
        let names = names(&set);
        assert_eq!(
            names[..4],
            ["host.cpu", "host.memory", "host.disk.read", "host.disk.write"]
        );
        assert_eq!(names[4..6], ["cpu.0.user", "cpu.0.system"]);
        assert_eq!(reading(&mut set, "host.memory", 0).value(), Some(0.6));
        assert_eq!(reading(&mut set, "disk.sda.inflight", 1).value(), Some(3.0));
        assert_eq!(reading(&mut set, "memory.available", 2).value(), Some(409_600.0));
    }

    #[test]
    fn what_is_not_there_is_absent_with_a_reason() {
        let set = ProbeSet::open(tree().place());
        assert_eq!(state(&set, "cpu"), SourceState::Works);
        for absent in ["network", "pressure", "power", "workload"] {
            assert_eq!(state(&set, absent), SourceState::Absent, "{absent}");
        }
        assert!(
            set.sources().iter().all(|source| !source.reason.is_empty()),
            "{:?}",
            set.sources()
        );
    }

    #[test]
    fn a_probe_that_is_switched_off_says_so() {
        let mut tree = tree();
        tree.config.off = vec!["disk".to_owned()];
        let mut set = ProbeSet::open(tree.place());
        let source = set.sources().into_iter().find(|source| source.name == "disk").unwrap();
        assert_eq!(source.state, SourceState::Absent);
        assert!(source.reason.contains("probes.off"), "{source:?}");
        assert!(set.catalogue().column("disk.sda.busy").is_none());
        assert!(!set.refresh(), "and stays so");
    }

    #[test]
    fn a_failing_probe_costs_itself_alone_and_is_opened_anew() {
        let tree = tree();
        let mut set = ProbeSet::open(tree.place());
        tree.set("proc/stat", "garbage\n");
        for second in 0..5 {
            assert_eq!(reading(&mut set, "host.cpu", second), Reading::FAILED);
            assert_eq!(reading(&mut set, "host.memory", second).value(), Some(0.6));
        }
        assert_eq!(state(&set, "cpu"), SourceState::Failed);
        assert!(!set.refresh(), "still broken: nothing has changed");
        tree.set("proc/stat", STAT);
        assert!(set.refresh(), "its state has changed");
        assert_eq!(state(&set, "cpu"), SourceState::Works);
        assert_eq!(reading(&mut set, "host.cpu", 9), Reading::STALE);
    }

    #[test]
    fn what_comes_and_goes_changes_the_catalogue() {
        let tree = tree();
        let mut set = ProbeSet::open(tree.place());
        assert!(!set.refresh());
        tree.set("proc/loadavg", "0.5 0 0 1/2 3\n");
        assert!(set.refresh());
        assert_eq!(reading(&mut set, "load.1m", 1).value(), Some(0.5));
        tree.set("proc/diskstats", &format!("{DISKS} 8 16 sdb 1 0 1 5 2 0 2 9 3 1 1\n"));
        assert!(set.refresh());
        assert!(set.catalogue().column("disk.sdb.busy").is_some());
        assert_eq!(reading(&mut set, "load.1m", 2).value(), Some(0.5));
    }

    #[test]
    fn of_two_metrics_with_one_name_the_first_is_told() {
        let tree = tree();
        let line = |name: &str, bytes: u64| format!("{name}: {bytes} 1 0 0 0 0 0 0 {bytes} 1 0 0 0 0 0 0\n");
        tree.set("proc/net/dev", &(line("eth0!1", 0) + &line("eth0?1", 0)));
        let mut set = ProbeSet::open(tree.place());
        let names = names(&set);
        assert_eq!(
            names.iter().filter(|name| **name == "network.eth0_1.rx_bytes").count(),
            1,
            "{names:?}"
        );
        set.sample(0);
        tree.set("proc/net/dev", &(line("eth0!1", 100) + &line("eth0?1", 900)));
        assert_eq!(reading(&mut set, "network.eth0_1.rx_bytes", 1).value(), Some(100.0));
        assert_eq!(reading(&mut set, "host.network.rx", 2).value(), Some(0.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever the kernel says, a probe fails or reads, and never panics.
        #[test]
        fn any_content_is_survived(first in content(), second in content()) {
            const FILES: [&str; 9] = [
                "proc/stat", "proc/meminfo", "proc/net/dev", "proc/diskstats", "proc/loadavg", "proc/pressure/cpu",
                "proc/pressure/memory", "proc/pressure/io", "sys/fs/cgroup/memory/a/memory.usage_in_bytes",
            ];
            let tree = tree();
            for path in FILES {
                tree.set(path, &first);
            }
            let mut set = ProbeSet::open(tree.place());
            set.sample(0);
            for path in FILES {
                tree.set(path, &second);
            }
            set.sample(1_000_000_000);
            set.refresh();
            set.sample(2_000_000_000);
        }
    }

    /// Bits of the kernel's tables in any order, and any characters.
    fn content() -> impl Strategy<Value = String> {
        let words = prop::sample::select(vec![
            "cpu ",
            "cpu0 ",
            "18446744073709551615 ",
            "0 ",
            "7 ",
            "-1 ",
            ": ",
            "eth0:",
            " 8 0 sda ",
            "\n",
            "some ",
            "total=",
            "MemTotal: ",
            "MemAvailable: ",
            "kB",
            "1/2 ",
            "0.5 ",
            "\u{0}",
            "\u{fffd}",
        ]);
        let bits = prop::collection::vec(words, 0..80).prop_map(|words| words.concat());
        prop_oneof![bits, any::<String>()]
    }

    #[test]
    fn middle_probes_are_stale_between_their_readings() {
        let tree = tree();
        tree.set("sys/class/hwmon/hwmon0/power1_input", "25000000");
        let mut set = ProbeSet::open(tree.place());
        let column = set.catalogue().column("host.power").unwrap();
        let read = |set: &mut ProbeSet, ms: u64| set.sample(ms * 1_000_000)[column].value();
        let found: Vec<_> = [0, 100, 800, 1_000, 1_100, 2_000].map(|ms| read(&mut set, ms)).into();
        assert_eq!(found, [Some(25.0), None, None, Some(25.0), None, Some(25.0)]);
    }

    /// Trees of real servers, such as the unpacked test archives of `prometheus/procfs` and `node_exporter`.
    #[test]
    fn trees_of_real_servers_are_read() {
        let Ok(trees) = std::env::var("FORESHADOW_SYSFS_TREES") else {
            eprintln!("stepped aside: FORESHADOW_SYSFS_TREES does not name a folder of sysfs and procfs trees");
            return;
        };
        let mut read = 0;
        let roots = std::fs::read_dir(trees).unwrap().map(|entry| entry.unwrap().path());
        for root in roots.filter(|root| root.is_dir()) {
            let config = crate::config::Probes::default();
            let place = Place::new(root, config);
            let mut set = ProbeSet::open(place.clone());
            set.sample(0);
            let row = set.sample(1_000_000_000).to_vec();
            read += row.iter().filter(|reading| reading.value().is_some()).count();
            for source in set.sources() {
                assert_ne!(
                    source.state,
                    SourceState::Failed,
                    "{}: {source:?}",
                    place.root.display()
                );
                eprintln!("{} {source:?}", place.root.display());
            }
            let mut inventory = Inventory::default();
            set.describe(&mut inventory);
            eprintln!("{inventory:?}");
        }
        assert!(read > 50, "{read} readings");
    }
}
