//! What changed from one survey to the next, as findings. Pure.

use std::collections::BTreeMap;

use shadow::{Finding, Severity};

use super::{
    aer::Counts,
    slow_link::SlowLink,
    survey::{Function, Survey},
};

/// Of the classes of errors that the kernel counts: kind of finding, words, severity.
const CLASSES: [(&str, &str, Severity); 3] = [
    ("corrected_error", "corrected", Severity::Warning),
    ("nonfatal_error", "uncorrected, not fatal", Severity::Warning),
    ("fatal_error", "fatal", Severity::Critical),
];

/// Error bits that everyday accesses set, to functions that are not there for example.
const HARMLESS: [&str; 4] = [
    "ReceivedMasterAbort",
    "SecondaryReceivedMasterAbort",
    "CorrErr",
    "UnsupReq",
];

/// Error bits after which something does not work.
const GRAVE: [&str; 3] = ["SignaledSystemErr", "SecondaryReceivedSystemErr", "FatalErr"];

/// Remembers the last survey.
#[derive(Debug, Default)]
pub(super) struct Changes {
    known: Option<BTreeMap<String, Known>>,
}

/// What was last seen of a function.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    name: String,
    slow: Option<SlowLink>,
    errors: Vec<String>,
    counts: [Option<Counts>; 3],
    silent: bool,
    contained: bool,
}

impl Changes {
    /// What is worth telling of `survey`. Of the first one, what is wrong already; counts and error bits begin with it.
    pub(super) fn find(&mut self, survey: &Survey) -> Vec<Finding> {
        let functions: BTreeMap<&str, &Function> = survey
            .functions
            .iter()
            .map(|function| (function.device.address.as_str(), function))
            .collect();
        let is_first = self.known.is_none();
        let mut before = self.known.take().unwrap_or_default();
        let (mut found, mut known) = (Vec::new(), BTreeMap::new());
        for (&address, function) in &functions {
            let above = function.parent.as_deref().and_then(|parent| functions.get(parent));
            let was = before.remove(address);
            if was.is_none() && !is_first {
                let text = format!("{} has come", name(function));
                found.push(finding(address, "device_added", Severity::Info, text));
            }
            let now = Known::of(function, above.copied(), was.as_ref());
            now.tell(address, &was.clone().unwrap_or_default(), &mut found);
            found.extend(was.iter().flat_map(|was| now.errors_since(address, was)));
            known.insert(address.to_owned(), now);
        }
        for (address, was) in before {
            let text = format!("{} is gone", was.name);
            found.push(finding(&address, "device_gone", Severity::Warning, text));
        }
        self.known = Some(known);
        found
    }

    /// How many links do less than both their ends could.
    pub(super) fn slow_links(&self) -> usize {
        let known = self.known.iter().flat_map(BTreeMap::values);
        known.filter(|known| known.slow.is_some()).count()
    }
}

impl Known {
    fn of(function: &Function, above: Option<&Function>, was: Option<&Self>) -> Self {
        let device = &function.device;
        let mut now = Self {
            name: name(function),
            slow: SlowLink::of(function, above),
            errors: device.errors.clone(),
            counts: function.counts.clone(),
            silent: function.silent,
            contained: device.dpc.as_ref().is_some_and(|dpc| dpc.triggered),
        };
        // What was not asked, or did not answer, is as it was.
        if let Some(was) = was.filter(|_| function.asleep || function.silent) {
            now.slow = was.slow;
            now.errors.clone_from(&was.errors);
            now.contained = was.contained;
            now.silent = function.silent || was.silent;
        }
        now
    }

    /// States that begin or end.
    fn tell(&self, address: &str, was: &Self, found: &mut Vec<Finding>) {
        let name = &self.name;
        let mut push = |kind, severity, text| found.push(finding(address, kind, severity, text));
        match (was.silent, self.silent) {
            (false, true) => push("device_silent", Severity::Critical, format!("{name} does not answer")),
            (true, false) => push("device_answers", Severity::Info, format!("{name} answers again")),
            _ => {}
        }
        match (was.contained, self.contained) {
            (false, true) => push(
                "port_contained",
                Severity::Critical,
                format!("{name} has cut off what is behind it after an error"),
            ),
            (true, false) => push("port_released", Severity::Info, format!("{name} is connected again")),
            _ => {}
        }
        match (was.slow, self.slow) {
            (was, Some(slow)) if was != Some(slow) => {
                let text = format!("link of {name} runs at {slow}");
                let mut told = finding(address, "link_degraded", Severity::Warning, text);
                told.details = slow.details();
                found.push(told);
            }
            (Some(_), None) => {
                let text = format!("link of {name} is no longer slower than it could be");
                found.push(finding(address, "link_restored", Severity::Info, text));
            }
            _ => {}
        }
    }

    /// Counts that rose, and error bits that were not set before.
    fn errors_since(&self, address: &str, was: &Self) -> Vec<Finding> {
        let pairs = self.counts.iter().zip(&was.counts).zip(CLASSES);
        let mut found: Vec<Finding> = pairs
            .filter_map(|((now, before), class)| self.counted(address, (now.as_ref()?, before.as_ref()?), class))
            .collect();
        let is_new = |name: &&String| !was.errors.contains(name);
        let new: Vec<&str> = self.errors.iter().filter(is_new).map(String::as_str).collect();
        if !new.is_empty() {
            let text = format!("status of {} has new error bits: {}", self.name, new.join(", "));
            found.push(finding(address, "status_error", gravity(&new), text));
        }
        found
    }

    fn counted(
        &self,
        address: &str,
        (now, before): (&Counts, &Counts),
        (kind, words, severity): (&str, &str, Severity),
    ) -> Option<Finding> {
        let (more, names) = now.since(before)?;
        let list: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        let text = format!("{more} errors at {} ({words}): {}", self.name, list.join(", "));
        let mut told = finding(address, kind, severity, text);
        told.details = names
            .iter()
            .map(|(name, more)| ((*name).to_owned(), more.to_string()))
            .collect();
        told.details.truncate(shadow::event::MAX_DETAILS - 1);
        told.details.push(("total".to_owned(), now.total().to_string()));
        Some(told)
    }
}

fn finding(address: &str, kind: &str, severity: Severity, text: String) -> Finding {
    Finding {
        source: "pci".to_owned(),
        subject: address.to_owned(),
        kind: kind.to_owned(),
        severity,
        text,
        details: Vec::new(),
    }
}

fn gravity(names: &[&str]) -> Severity {
    if names.iter().any(|name| GRAVE.contains(name)) {
        Severity::Critical
    } else if names.iter().all(|name| HARMLESS.contains(name)) {
        Severity::Info
    } else {
        Severity::Warning
    }
}

/// `0000:01:00.0 (8086:1572, i40e)`.
fn name(function: &Function) -> String {
    let device = &function.device;
    let driver = if device.driver.is_empty() {
        "no driver"
    } else {
        &device.driver
    };
    format!(
        "{} ({:04x}:{:04x}, {driver})",
        device.address, device.vendor, device.device
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::pci::slow_link::tests::host;

    const CARD: &str = "0000:01:00.0";

    fn kinds(found: &[Finding]) -> Vec<(&str, &str)> {
        found.iter().map(|f| (f.subject.as_str(), f.kind.as_str())).collect()
    }

    #[test]
    fn a_link_below_what_both_ends_can_is_told_once() {
        let mut changes = Changes::default();
        assert_eq!(changes.find(&host(8.0, 16)), [], "as fast as it was asked to be");
        let found = changes.find(&host(8.0, 4));
        assert_eq!(kinds(&found), [(CARD, "link_degraded")]);
        assert!(found[0].text.ends_with("8 GT/s x4 of 8 GT/s x16"), "{}", found[0].text);
        assert_eq!((changes.find(&host(8.0, 4)), changes.slow_links()), (vec![], 1));
        let mut asleep = host(8.0, 16);
        asleep.functions[1].asleep = true;
        assert_eq!(changes.find(&asleep), []);
        assert_eq!(kinds(&changes.find(&host(8.0, 16))), [(CARD, "link_restored")]);
        assert_eq!(
            kinds(&Changes::default().find(&host(2.5, 16))),
            [(CARD, "link_degraded")]
        );
    }

    #[test]
    fn devices_come_and_go() {
        let mut changes = Changes::default();
        let mut survey = host(8.0, 16);
        changes.find(&survey);
        let card = survey.functions.pop().unwrap();
        assert_eq!(kinds(&changes.find(&survey)), [(CARD, "device_gone")]);
        survey.functions.push(card);
        assert_eq!(kinds(&changes.find(&survey)), [(CARD, "device_added")]);
        survey.functions[1].silent = true;
        assert_eq!(kinds(&changes.find(&survey)), [(CARD, "device_silent")]);
        assert_eq!(changes.find(&survey), []);
        survey.functions[1].silent = false;
        assert_eq!(kinds(&changes.find(&survey)), [(CARD, "device_answers")]);
    }

    #[test]
    fn errors_that_rose_are_told_by_name() {
        let survey = |total: u64, errors: &[&str]| {
            let mut survey = host(8.0, 16);
            let text = format!("RxErr 0\nBadTLP {total}\nTOTAL_ERR_COR {total}\n");
            survey.functions[1].counts[0] = Counts::parse(text.as_bytes());
            survey.functions[1].device.errors = errors.iter().map(|&name| name.to_owned()).collect();
            survey
        };
        let mut changes = Changes::default();
        assert_eq!(
            changes.find(&survey(5, &["CorrErr"])),
            [],
            "what was before is in the birth"
        );
        let found = changes.find(&survey(8, &["CorrErr", "SignaledSystemErr"]));
        assert_eq!(kinds(&found), [(CARD, "corrected_error"), (CARD, "status_error")]);
        assert_eq!(found[0].details[0], ("BadTLP".to_owned(), "3".to_owned()));
        assert_eq!(found[1].severity, Severity::Critical);
        assert_eq!(changes.find(&survey(2, &[])), [], "counted anew");
        assert_eq!(changes.find(&survey(2, &["UnsupReq"]))[0].severity, Severity::Info);
    }

    #[test]
    fn containment_begins_and_ends() {
        let survey = |triggered| {
            let mut survey = host(8.0, 16);
            survey.functions[0].device.dpc = Some(shadow::birth::Dpc {
                triggered,
                ..shadow::birth::Dpc::default()
            });
            survey
        };
        let mut changes = Changes::default();
        let found = changes.find(&survey(true));
        assert_eq!(kinds(&found), [("0000:00:01.0", "port_contained")]);
        assert_eq!(
            kinds(&changes.find(&survey(false))),
            [("0000:00:01.0", "port_released")]
        );
    }
}
