//! Whether the places of the spool work, and what is told when that changes. Pure.

use shadow::{Finding, Severity};

/// Where the spool keeps what is in memory alone otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The RAM-backed folder.
    Ram,
    /// The state folder.
    Disk,
}

/// How they do.
#[derive(Debug, Default)]
pub(crate) struct Health {
    faults: [Option<String>; 2],
    findings: Vec<Finding>,
}

impl Health {
    /// `None` when it works. A fault that goes on is told once.
    pub(crate) fn set(&mut self, place: Place, fault: Option<String>) {
        let (slot, name, stays) = match place {
            Place::Ram => (0, "RAM-backed folder", "a kill loses what is not durable"),
            Place::Disk => (1, "state folder", "frames stay in memory"),
        };
        let Some(known) = self.faults.get_mut(slot) else { return };
        let told = match &fault {
            Some(_) if known.is_some() => return,
            None if known.is_none() => return,
            Some(fault) => finding("spool_failed", Severity::Warning, format!("{name}: {fault}; {stays}")),
            None => finding("spool_works", Severity::Info, format!("{name}: works again")),
        };
        if fault.is_some() {
            tracing::warn!(text = told.text, "the spool fails");
        }
        *known = fault;
        self.findings.push(told);
    }

    /// Something else that is to be told.
    pub(crate) fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// How many do not work.
    pub(crate) fn failing(&self) -> usize {
        self.faults.iter().flatten().count()
    }

    /// What has changed since the last call.
    pub(crate) fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }
}

fn finding(kind: &str, severity: Severity, text: String) -> Finding {
    Finding {
        source: "agent".to_owned(),
        subject: "spool".to_owned(),
        kind: kind.to_owned(),
        severity,
        text,
        details: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_when_it_begins_and_when_it_ends() {
        let mut health = Health::default();
        let mut told = |place, fault: Option<&str>| {
            health.set(place, fault.map(str::to_owned));
            let kinds: Vec<String> = health.take_findings().into_iter().map(|finding| finding.kind).collect();
            (kinds, health.failing())
        };
        assert_eq!(told(Place::Disk, None), (vec![], 0));
        assert_eq!(told(Place::Disk, Some("full")), (vec!["spool_failed".to_owned()], 1));
        assert_eq!(told(Place::Disk, Some("full")), (vec![], 1));
        assert_eq!(told(Place::Ram, Some("gone")), (vec!["spool_failed".to_owned()], 2));
        assert_eq!(told(Place::Disk, None), (vec!["spool_works".to_owned()], 1));
    }
}
