//! Functions on the PCI buses: `/sys/bus/pci/devices` (kernel documentation, `ABI/testing/sysfs-bus-pci`).
//!
//! A worker surveys all functions at the pace of slow sources: attributes, and of those that are awake the
//! configuration space. The survey goes into the birth; what changes from one to the next becomes events.
//!
//! | file | what it does |
//! |---|---|
//! | `config_space` | header and lists of capabilities |
//! | `express` | port, device errors and link |
//! | `aer` | advanced error reporting, raw and as the kernel counts it |
//! | `chipset` | registers of host bridge, LPC bridge and SMBus |
//! | `function` | all of them: one function decoded |
//! | `survey` | reads all functions |
//! | `slow_link` | links that do less than they could |
//! | `changes` | compares two surveys |

use shadow::{Bound, Finding, Inventory, Metric, PciDevice, Reading};

use self::{
    changes::Changes,
    survey::{DEVICES, Function, Survey},
};
use super::{
    Place, Probe, Tier, put,
    worker::{Report, Worker},
};
use crate::error::ProbeError;

mod aer;
mod changes;
mod chipset;
mod config_space;
mod express;
mod function;
mod slow_link;
mod survey;

#[cfg(test)]
mod dumps;
#[cfg(test)]
mod fixture;

/// What is counted: functions, links slower than they could be, errors since the kernel started.
const METRICS: [&str; 5] = [
    "pci.functions",
    "pci.links_degraded",
    "pci.errors.correctable",
    "pci.errors.nonfatal",
    "pci.errors.fatal",
];

/// Starts the worker.
///
/// # Errors
/// [`ProbeError::Absent`] on a machine without PCI.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let dir = place.path(DEVICES);
    let mut listed = dir.read_dir().map_err(|fault| ProbeError::io(&dir, fault))?;
    if listed.next().is_none() {
        return Err(ProbeError::Absent(format!("{}: no function", dir.display())));
    }
    let (there, mut changes) = (place.clone(), Changes::default());
    let worker = Worker::start(place, "pci", place.config.slow.duration(), move |_| {
        round(&there, &mut changes)
    })?;
    Ok(Box::new(Pci {
        place: place.clone(),
        metrics: METRICS
            .map(|name| Metric::new(name, "1", Bound::Absolute { step: 1.0 }))
            .into(),
        survey: None,
        early: None,
        findings: Vec::new(),
        described: Vec::new(),
        worker,
    }))
}

fn round(place: &Place, changes: &mut Changes) -> Report<Survey> {
    let survey = Survey::take(place);
    let findings = changes.find(&survey);
    let sum = |class: fn(&PciDevice) -> Option<u64>| {
        let counted = survey.functions.iter().filter_map(|function| class(&function.device));
        let sum = counted.reduce(u64::saturating_add);
        sum.map_or(Reading::ABSENT, |sum| Reading::new(sum as f64))
    };
    // In the order of `METRICS`.
    let readings = vec![
        Reading::new(survey.functions.len() as f64),
        Reading::new(changes.slow_links() as f64),
        sum(|device| device.aer?.correctable),
        sum(|device| device.aer?.nonfatal),
        sum(|device| device.aer?.fatal),
    ];
    Report {
        readings,
        findings,
        more: survey,
    }
}

struct Pci {
    place: Place,
    metrics: Vec<Metric>,
    /// The latest; `None` before the first.
    survey: Option<Survey>,
    /// Readings that were taken for the first birth.
    early: Option<Vec<Reading>>,
    findings: Vec<Finding>,
    /// Address, vendor and device of what the last birth was told.
    described: Vec<(String, u16, u16)>,
    worker: Worker<Survey>,
}

impl Pci {
    fn functions(&self) -> &[Function] {
        self.survey.as_ref().map_or(&[], |survey| &survey.functions)
    }
}

impl Probe for Pci {
    fn tier(&self) -> Tier {
        Tier::Middle
    }

    fn location(&self) -> String {
        let dir = self.place.path(DEVICES).display().to_string();
        match self.survey.as_ref().map_or(0, |survey| survey.restricted) {
            0 => dir,
            count => format!("{dir}; of {count} functions the header alone: the rest takes CAP_SYS_ADMIN"),
        }
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, _now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let survey = self.worker.take(&self.place, out, &mut self.findings)?;
        let early = self.early.take();
        if survey.is_some() {
            self.survey = survey;
        } else if let Some(early) = early {
            put(out, early);
        }
        Ok(())
    }

    fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    fn await_first(&mut self) {
        self.worker.await_first();
        let mut early = vec![Reading::STALE; METRICS.len()];
        if let Ok(Some(survey)) = self.worker.take(&self.place, &mut early, &mut self.findings) {
            self.survey = Some(survey);
            self.early = Some(early);
        }
    }

    fn describe(&mut self, inventory: &mut Inventory) {
        let id = |function: &Function| {
            let device = &function.device;
            (device.address.clone(), device.vendor, device.device)
        };
        self.described = self.functions().iter().map(id).collect();
        inventory.pci = self.survey.as_ref().map(Survey::devices).unwrap_or_default();
    }

    fn has_news_for_birth(&self) -> bool {
        let is = |function: &Function, (address, vendor, device): &(String, u16, u16)| {
            let now = &function.device;
            now.address == *address && now.vendor == *vendor && now.device == *device
        };
        let (now, told) = (self.functions(), &self.described);
        now.len() != told.len() || now.iter().zip(told).any(|(now, told)| !is(now, told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read_fresh};

    const DIR: &str = "sys/bus/pci/devices";

    fn card(tree: &Tree, address: &str) {
        for (name, value) in [
            ("aer_dev_fatal", "DLP 1\nTOTAL_ERR_FATAL 1\n"),
            ("vendor", "0x8086\n"),
            ("device", "0x1572\n"),
            ("class", "0x020000\n"),
        ] {
            tree.set(&format!("{DIR}/{address}/{name}"), value);
        }
    }

    #[test]
    fn a_card_that_comes_is_an_event_and_news_for_the_birth() {
        let mut tree = Tree::new(&[]);
        tree.config.slow = runtime::Span::from_millis(1);
        card(&tree, "0000:01:00.0");
        let mut probe = open(&tree.place()).unwrap();
        check(
            &read_fresh(probe.as_mut()),
            &[("pci.functions", 1.0), ("pci.errors.fatal", 1.0)],
        );
        let mut inventory = Inventory::default();
        probe.describe(&mut inventory);
        assert_eq!((inventory.pci.len(), probe.has_news_for_birth()), (1, false));
        card(&tree, "0000:02:00.0");
        while !probe.has_news_for_birth() {
            read_fresh(probe.as_mut());
        }
        assert!(probe.take_findings().iter().any(|found| found.kind == "device_added"));
    }

    #[test]
    fn a_machine_without_pci_says_so() {
        let state = |tree: &Tree| open(&tree.place()).err().map(|fault| fault.state());
        assert_eq!(state(&Tree::new(&[])), Some(shadow::SourceState::Absent));
    }
}
