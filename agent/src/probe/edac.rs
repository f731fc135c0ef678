//! Errors of memory that its controllers have counted: `/sys/devices/system/edac/mc` (kernel documentation,
//! `admin-guide/ras`, `ABI/testing/sysfs-devices-edac`).
//!
//! Per controller a metric of corrected (`ce`) and of uncorrected (`ue`) errors; counts that rise are events that
//! name the modules.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use shadow::{Bound, Finding, Metric, Reading, Severity};

use super::{
    Place, Probe, Tier,
    parse::number,
    power::{entries, text},
    worker::{Report, Worker},
};
use crate::error::ProbeError;

const CONTROLLERS: &str = "sys/devices/system/edac/mc";

/// The most controllers, and the most modules of one, that are read.
const MAX_CONTROLLERS: usize = 64;
const MAX_MODULES: usize = 256;

/// Starts the worker.
///
/// # Errors
/// [`ProbeError::Absent`] where no driver has found a memory controller that counts.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let dirs = controllers(place);
    if dirs.is_empty() {
        let absent = format!("/{CONTROLLERS}: no EDAC driver has found a memory controller that counts errors");
        return Err(ProbeError::Absent(absent));
    }
    let metric = |dir: &PathBuf, kind: &str| {
        let name = format!("edac.{}.{kind}", name(dir));
        Metric::new(name, "1", Bound::Absolute { step: 1.0 })
    };
    let metrics = dirs
        .iter()
        .flat_map(|dir| [metric(dir, "ce"), metric(dir, "ue")])
        .collect();
    let mut watched: Vec<Controller> = dirs.iter().map(|dir| Controller::new(dir)).collect();
    let worker = Worker::start(place, "edac", place.config.slow.duration(), move |_| {
        let mut report = Report::default();
        for controller in &mut watched {
            controller.round(&mut report);
        }
        report
    })?;
    Ok(Box::new(Edac {
        place: place.clone(),
        dirs,
        metrics,
        findings: Vec::new(),
        worker,
    }))
}

/// `mc0`, `mc1`, ...
fn controllers(place: &Place) -> Vec<PathBuf> {
    let mut dirs = entries(&place.path(CONTROLLERS));
    dirs.retain(|dir| {
        name(dir)
            .strip_prefix("mc")
            .and_then(|n| number(n.as_bytes()))
            .is_some()
    });
    dirs.truncate(MAX_CONTROLLERS);
    dirs
}

fn name(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

struct Edac {
    place: Place,
    dirs: Vec<PathBuf>,
    metrics: Vec<Metric>,
    findings: Vec<Finding>,
    worker: Worker,
}

impl Probe for Edac {
    fn tier(&self) -> Tier {
        Tier::Middle
    }

    fn location(&self) -> String {
        self.place.path(CONTROLLERS).display().to_string()
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, _now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        self.worker.take(&self.place, out, &mut self.findings)?;
        Ok(())
    }

    fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    fn outdated(&mut self) -> bool {
        controllers(&self.place) != self.dirs
    }
}

/// One memory controller, and what it had counted when it was last read.
struct Controller {
    name: String,
    dir: PathBuf,
    last: Option<[Counts; 2]>,
}

/// Errors of one kind: of the controller as a whole, and of modules by label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counts {
    total: Option<u64>,
    modules: BTreeMap<String, u64>,
}

/// Attribute, words, kind of finding, severity.
const KINDS: [(&str, &str, &str, Severity); 2] = [
    ("ce", "corrected", "corrected_error", Severity::Warning),
    ("ue", "uncorrected", "uncorrected_error", Severity::Critical),
];

impl Controller {
    fn new(dir: &Path) -> Self {
        Self {
            name: name(dir),
            dir: dir.to_owned(),
            last: None,
        }
    }

    fn round(&mut self, report: &mut Report) {
        let now = KINDS.map(|(attribute, ..)| Counts::read(&self.dir, attribute));
        for (i, counts) in now.iter().enumerate() {
            report
                .readings
                .push(counts.total.map_or(Reading::FAILED, |count| Reading::new(count as f64)));
            let before = self.last.as_ref().and_then(|last| last.get(i));
            let rose = before.and_then(|before| counts.since(before));
            report.findings.extend(
                rose.zip(KINDS.get(i))
                    .map(|((more, modules), kind)| told(&self.name, counts, (more, modules), *kind)),
            );
        }
        self.last = Some(now);
    }
}

fn told(
    controller: &str,
    counts: &Counts,
    (more, modules): (u64, Vec<(&str, u64)>),
    (_, words, kind, severity): (&str, &str, &str, Severity),
) -> Finding {
    let names: Vec<&str> = modules.iter().map(|(label, _)| *label).take(8).collect();
    let at = if names.is_empty() {
        "a module that is not known".to_owned()
    } else {
        names.join(", ")
    };
    let mut details: Vec<(String, String)> = modules
        .iter()
        .take(shadow::event::MAX_DETAILS - 1)
        .map(|(label, more)| ((*label).to_owned(), more.to_string()))
        .collect();
    details.push(("total".to_owned(), counts.total.unwrap_or(0).to_string()));
    Finding {
        source: "edac".to_owned(),
        subject: controller.to_owned(),
        kind: kind.to_owned(),
        severity,
        text: format!("{more} {words} errors of memory at {at} ({controller})"),
        details,
    }
}

impl Counts {
    fn read(dir: &Path, kind: &str) -> Self {
        Self {
            total: count(&dir.join(format!("{kind}_count"))),
            modules: modules(dir, kind),
        }
    }

    /// What was counted since `before`, and at which modules. Counts that fell began anew, and tell nothing.
    fn since<'a>(&'a self, before: &Self) -> Option<(u64, Vec<(&'a str, u64)>)> {
        let more = self.total?.checked_sub(before.total?).filter(|&more| more > 0)?;
        let rose = |(label, &count): (&'a String, &u64)| {
            let more = count.checked_sub(before.modules.get(label).copied().unwrap_or(0))?;
            (more > 0).then_some((label.as_str(), more))
        };
        Some((more, self.modules.iter().filter_map(rose).collect()))
    }
}

fn count(path: &Path) -> Option<u64> {
    number(text(path).as_bytes())
}

/// Counts by label: of `dimm*` and `rank*`, or else of the channels of `csrow*`, as older drivers have them.
fn modules(dir: &Path, kind: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut rows = BTreeMap::new();
    for entry in entries(dir).iter().take(MAX_MODULES) {
        let part = name(entry);
        if part.starts_with("dimm") || part.starts_with("rank") {
            let label = text(&entry.join("dimm_label"));
            found.extend(count(&entry.join(format!("dimm_{kind}_count"))).map(|count| (labelled(label, part), count)));
        } else if part.starts_with("csrow") {
            rows.extend(channels(entry, kind));
        }
    }
    if found.is_empty() { rows } else { found }
}

fn channels(row: &Path, kind: &str) -> Vec<(String, u64)> {
    let suffix = format!("_{kind}_count");
    let channel = |path: &PathBuf| {
        let file = name(path);
        let channel = file.strip_suffix(&suffix).filter(|channel| channel.starts_with("ch"))?;
        let label = text(&row.join(format!("{channel}_dimm_label")));
        Some((labelled(label, format!("{} {channel}", name(row))), count(path)?))
    };
    entries(row).iter().filter_map(channel).collect()
}

fn labelled(label: String, else_name: String) -> String {
    if label.is_empty() { else_name } else { label }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read_fresh};

    const MC: &str = "sys/devices/system/edac/mc/mc0";

    fn round(controller: &mut Controller) -> Report {
        let mut report = Report::default();
        controller.round(&mut report);
        report
    }

    #[test]
    fn counts_that_rise_name_their_modules() {
        let tree = Tree::new(&[
            (&format!("{MC}/ce_count"), "1\n"),
            (&format!("{MC}/ue_count"), "0\n"),
            (&format!("{MC}/dimm0/dimm_label"), "CPU_SrcID#0_MC#0_Chan#0_DIMM#0\n"),
            (&format!("{MC}/dimm0/dimm_ce_count"), "1\n"),
            (&format!("{MC}/dimm1/dimm_ce_count"), "0\n"),
            (&format!("{MC}/csrow0/ch0_ce_count"), "1\n"),
        ]);
        let mut controller = Controller::new(&tree.place().path(MC));
        assert_eq!(round(&mut controller).findings, [], "what was before is in the metric");
        tree.set(&format!("{MC}/ce_count"), "4\n");
        tree.set(&format!("{MC}/dimm1/dimm_ce_count"), "3\n");
        tree.set(&format!("{MC}/ue_count"), "1\n");
        let found = round(&mut controller).findings;
        assert_eq!(found[0].text, "3 corrected errors of memory at dimm1 (mc0)");
        assert_eq!(found[0].details[0], ("dimm1".to_owned(), "3".to_owned()));
        assert_eq!(found[1].kind, "uncorrected_error");
        assert!(found[1].text.contains("not known"));
        tree.set(&format!("{MC}/ce_count"), "0\n");
        assert_eq!(round(&mut controller).findings, [], "the driver began anew");
    }

    #[test]
    fn rows_serve_where_there_are_no_modules() {
        let tree = Tree::new(&[
            (&format!("{MC}/csrow0/ch0_ce_count"), "2\n"),
            (&format!("{MC}/csrow0/ch0_dimm_label"), "A1\n"),
            (&format!("{MC}/csrow0/ch1_ce_count"), "0\n"),
        ]);
        let found = modules(&tree.place().path(MC), "ce");
        let expected = [("A1".to_owned(), 2), ("csrow0 ch1".to_owned(), 0)];
        assert_eq!(found, BTreeMap::from(expected));
    }

    #[test]
    fn controllers_make_metrics() {
        let tree = Tree::new(&[
            (&format!("{MC}/ce_count"), "7\n"),
            ("sys/devices/system/edac/mc/power/control", "auto\n"),
        ]);
        let mut probe = open(&tree.place()).unwrap();
        let found = read_fresh(probe.as_mut());
        check(&found, &[("edac.mc0.ce", 7.0)]);
        assert_eq!(found["edac.mc0.ue"], Reading::FAILED);
        assert_eq!(found.len(), 2);
        assert!(!probe.outdated());
        let absent = open(&Tree::new(&[]).place()).err().unwrap();
        assert_eq!(absent.state(), shadow::SourceState::Absent);
    }

    #[test]
    fn trees_of_real_servers_are_read() {
        let Ok(trees) = std::env::var("FORESHADOW_SYSFS_TREES") else {
            eprintln!("stepped aside: FORESHADOW_SYSFS_TREES does not name a folder of sysfs trees");
            return;
        };
        let root = Path::new(&trees).join("node_exporter");
        let config = crate::config::Probes::default();
        let mut probe = open(&Place::new(root.clone(), config)).unwrap();
        let found = read_fresh(probe.as_mut());
        check(&found, &[("edac.mc0.ce", 1.0), ("edac.mc0.ue", 5.0)]);
        assert_eq!(modules(&root.join(MC), "ce")["mc0csrow0channel0"], 0);
    }
}
