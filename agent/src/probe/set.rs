//! All probes of a host, and what a failing one costs.

use std::{collections::HashSet, time::Duration};

use runtime::Clock;
use shadow::{Catalogue, Channel, Finding, Inventory, Metric, Reading, Source, SourceState, metric::MAX_METRICS};

use super::{OUT_OF_BAND, Open, PROBES, Place, Probe, Tier, file::play};
use crate::{config::told_as, error::ProbeError};

/// Failures in a row after which a probe is left alone until the next refresh.
const MAX_FAILURES: u32 = 3;

/// The shortest time between two readings of a middle probe.
const MIDDLE_NS: u64 = 900_000_000;

/// The most that is put on tape, of all files together: a host of two cores has 5 KiB a sample.
const MAX_TAPE_BYTES: usize = 128 << 10;

/// The column of a reading that is left out. There are fewer columns, and two bytes for each: all are looked at in each
/// sample.
const NOWHERE: u16 = u16::MAX;
const _: () = assert!(MAX_METRICS < NOWHERE as usize, "each metric has a column");

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
    /// Which slots have anything to read: what a host has not is not looked at in each sample.
    live: Vec<usize>,
    /// Whether any of them may have found something since it was asked.
    may_have_found: bool,
    catalogue: Catalogue,
    /// Column of each reading, in the order in which they are read.
    columns: Vec<u16>,
    /// Room for the readings of any one probe.
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
            live: Vec::new(),
            may_have_found: false,
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
        let mut rest = self.columns.as_slice();
        for &at in &self.live {
            let Some(slot) = self.slots.get_mut(at) else { continue };
            let (columns, tail) = rest.split_at(slot.metrics.len().min(rest.len()));
            rest = tail;
            if slot.rests(now_ns) {
                continue;
            }
            let out = self.scratch.get_mut(..columns.len()).unwrap_or_default();
            self.may_have_found |= slot.read(now_ns, out);
            for (&column, &mut reading) in columns.iter().zip(out) {
                if let Some(place) = self.row.get_mut(usize::from(column)) {
                    *place = reading;
                }
            }
        }
        &self.row
    }

    /// Puts on tape what all probes would read now, as `number` of a tape that 0 begins. Returns whether that is so: not when
    /// one is due that has to be read at once, or when the tape is long enough; then nothing of it counts.
    ///
    /// Reading is all that has to be done at its time: code and tables of the parsers, cold a tenth of a second later, are
    /// fetched once for many samples.
    pub fn record(&self, number: usize, now_ns: u64) -> bool {
        let slots = self.live.iter().filter_map(|&at| self.slots.get(at));
        let mut bytes = 0;
        for slot in slots {
            let recorded = match &slot.probe {
                // That there is nothing new of it is told when this is played.
                Some(_) if slot.tier == Tier::Middle && !slot.has_rested(now_ns) => Some(0),
                Some(probe) => probe.record(number),
                None => Some(0),
            };
            match recorded {
                Some(more) => bytes += more,
                None => return false,
            }
        }
        bytes <= MAX_TAPE_BYTES
    }

    /// What was put on tape as `number` at `now_ns`: as [`ProbeSet::sample`] then, and in the same order.
    pub fn play(&mut self, number: usize, now_ns: u64) -> &[Reading] {
        play(number, || self.sample(now_ns))
    }

    /// Whether [`ProbeSet::take_findings`] is worth a call.
    pub(crate) const fn may_have_found(&self) -> bool {
        self.may_have_found
    }

    /// What was read last.
    pub(crate) fn row(&self) -> &[Reading] {
        &self.row
    }

    /// What the probes have found since the last call.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        let mut found = Vec::new();
        if !std::mem::take(&mut self.may_have_found) {
            return found;
        }
        for slot in &mut self.slots {
            if std::mem::take(&mut slot.may_have_found) {
                slot.keep_findings();
            }
            found.append(&mut slot.found);
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
        // One that is opened anew leaves what it had found.
        self.may_have_found = true;
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
        for (column, &(reading, _)) in (0..).zip(&order) {
            if let Some(place) = columns.get_mut(reading) {
                *place = column;
            }
        }
        let told = order
            .into_iter()
            .map(|(_, metric)| told_as(&self.place.config.bounds, metric));
        let catalogue = Catalogue::new(told.collect());
        let most = self.slots.iter().map(|slot| slot.metrics.len()).max();
        self.scratch = vec![Reading::STALE; most.unwrap_or(0)];
        self.row = vec![Reading::STALE; catalogue.len()];
        self.columns = columns;
        self.catalogue = catalogue;
        let slots = self.slots.iter().enumerate();
        self.live = slots.filter(|(_, slot)| slot.is_live()).map(|(at, _)| at).collect();
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
    /// Of the probe. Asking each of them at each sample would cost more than the answer is worth.
    tier: Tier,
    /// What was found and is not told yet.
    found: Vec<Finding>,
    /// Whether the probe was read since it was asked for findings; those of the fast tier have none.
    may_have_found: bool,
    failures: u32,
    last_ns: Option<u64>,
    /// Whether its places in the row say that there is nothing new.
    is_told_stale: bool,
}

impl Slot {
    fn new(name: &'static str, open: Open, place: &Place) -> Self {
        let mut slot = Self {
            name,
            open,
            metrics: Vec::new(),
            probe: None,
            fault: None,
            tier: Tier::Fast,
            found: Vec::new(),
            may_have_found: false,
            failures: 0,
            last_ns: None,
            is_told_stale: false,
        };
        slot.reopen(place);
        slot
    }

    /// Opens the probe anew; a source that is gone takes its metrics along, one that fails keeps them.
    fn reopen(&mut self, place: &Place) {
        self.failures = 0;
        self.last_ns = None;
        self.is_told_stale = false;
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
                self.tier = probe.tier();
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

    /// Whether there is anything to read, or places for what failed.
    fn is_live(&self) -> bool {
        self.probe.is_some() || !self.metrics.is_empty()
    }

    /// Whether a probe of the middle tier was read lately, so that it is not its turn.
    fn has_rested(&self, now_ns: u64) -> bool {
        self.last_ns.is_none_or(|last| now_ns.saturating_sub(last) >= MIDDLE_NS)
    }

    /// Whether there is nothing to do: it is not its turn, and that is told already.
    fn rests(&self, now_ns: u64) -> bool {
        self.is_told_stale && self.probe.is_some() && !self.has_rested(now_ns)
    }

    /// Returns whether it may have found something that is no sample.
    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> bool {
        // A probe that leaves a place as it is has nothing new for it.
        out.fill(Reading::STALE);
        let has_rested = self.has_rested(now_ns);
        let Some(probe) = self.probe.as_mut() else {
            out.fill(Reading::FAILED);
            return false;
        };
        if self.tier == Tier::Middle {
            self.is_told_stale = !has_rested;
            if self.is_told_stale {
                return false;
            }
            self.last_ns = Some(now_ns);
            self.may_have_found = true;
        }
        match probe.read(now_ns, out) {
            Ok(()) => self.failures = 0,
            Err(fault) => {
                out.fill(Reading::FAILED);
                self.fail(fault);
            }
        }
        self.may_have_found
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
mod tests;
