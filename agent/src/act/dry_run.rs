//! Writes nothing: finds the present limit, and tells what would be written where.
//!
//! | resource | cgroup v2 | cgroup v1 |
//! |---|---|---|
//! | CPU | `cpu.max` | `cpu.cfs_quota_us` (with `cpu.cfs_period_us`) |
//! | memory | `memory.high` | `memory.soft_limit_in_bytes` |
//!
//! What other levers would write is not told.

use std::path::{Path, PathBuf};

use shadow::{Effect, HOST_WORKLOAD};

use super::{
    Quantity,
    answer::Row,
    cgroup::{
        cpu_max::{PERIOD_US, cores, quota_us},
        memory::{UNLIMITED, bounded},
    },
};
use crate::{
    guard::Ruling,
    probe::{
        Place,
        power::text,
        workload::{Found, Hierarchy},
    },
};

/// Tells what it would have done.
#[derive(Debug)]
pub struct DryRun {
    place: Option<Place>,
}

/// What would be written, and what stands there.
#[derive(Debug, PartialEq)]
struct Write {
    file: &'static str,
    text: String,
    before: Option<f64>,
    after: f64,
    note: &'static str,
}

impl DryRun {
    /// Looks for limits below `place`.
    pub fn new(place: &Place) -> Self {
        Self {
            place: Some(place.clone()),
        }
    }

    /// For hosts that are not this machine: finds nothing, and tells what would be written under cgroup v2.
    pub const fn detached() -> Self {
        Self { place: None }
    }

    /// Tells what it would have done, and what it found. `ruling` is not refused.
    pub fn pull(&self, ruling: &Ruling) -> Row {
        let plan = self.plan(ruling);
        let notes = [
            ruling.note.as_str(),
            plan.as_ref().map_or("no dry run of it yet", |plan| plan.note),
        ];
        let notes: Vec<&str> = notes.into_iter().filter(|note| !note.is_empty()).collect();
        Row {
            workload: ruling.workload.clone(),
            quantity: ruling.quantity,
            before: plan.as_ref().and_then(|plan| plan.before),
            after: Some(plan.as_ref().map_or(ruling.amount, |plan| plan.after)),
            lever: plan.map_or_else(|| ruling.lever.clone(), |plan| format!("{} = {}", plan.file, plan.text)),
            note: notes.join("; "),
            effect: Effect::None,
        }
    }

    fn plan(&self, ruling: &Ruling) -> Option<Write> {
        if ruling.workload == HOST_WORKLOAD {
            return None;
        }
        let hierarchy = self.place.as_ref().and_then(|place| Hierarchy::find(place).ok());
        let found = hierarchy
            .as_ref()
            .zip(self.place.as_ref())
            .and_then(|(hierarchy, place)| {
                let all = hierarchy.workloads(place);
                all.into_iter().find(|workload| workload.name == ruling.workload)
            });
        let v1 = matches!(hierarchy, Some(Hierarchy::V1 { .. }));
        match ruling.quantity {
            Quantity::Cpu => Some(cpu(ruling.amount, v1, found.as_ref())),
            Quantity::Memory => Some(memory(ruling.amount, v1, found.as_ref())),
            _ => None,
        }
    }
}

/// `"150000 100000"`: 1.5 cores.
fn cpu(wanted: f64, v1: bool, workload: Option<&Found>) -> Write {
    let (quota_us, note) = quota_us(wanted, PERIOD_US as f64);
    let dir = workload.and_then(|w| w.cpu.as_deref());
    let (file, text) = if v1 {
        ("cpu.cfs_quota_us", format!("{quota_us:.0}"))
    } else {
        ("cpu.max", format!("{quota_us:.0} {PERIOD_US}"))
    };
    Write {
        file,
        text,
        before: dir.and_then(|dir| if v1 { quota_v1(dir) } else { quota_v2(dir) }),
        after: quota_us / PERIOD_US as f64,
        note,
    }
}

/// Cores of `cpu.max`; `None` without a limit.
fn quota_v2(dir: &Path) -> Option<f64> {
    let limit = text(&dir.join("cpu.max"));
    let (quota, period) = limit.split_once(' ')?;
    cores(quota, period)
}

/// Cores of the controller `cpu`, which may be mounted beside `cpuacct`.
fn quota_v1(cpuacct: &Path) -> Option<f64> {
    let beside = |dir: &Path| -> Option<PathBuf> { Some(dir.parent()?.parent()?.join("cpu").join(dir.file_name()?)) };
    let dirs = [Some(cpuacct.to_owned()), beside(cpuacct)];
    let read = |dir: &PathBuf, file: &str| text(&dir.join(file));
    let mut limits = dirs
        .iter()
        .flatten()
        .map(|dir| (read(dir, "cpu.cfs_quota_us"), read(dir, "cpu.cfs_period_us")));
    limits.find_map(|(quota, period)| cores(&quota, &period))
}

/// Never below what is used and a margin: the kernel takes any number, and reclaims or kills. What is used is with the page cache,
/// which is more than the working set that is told of a workload.
fn memory(bytes: f64, v1: bool, workload: Option<&Found>) -> Write {
    let dir = workload.and_then(|w| w.memory.as_deref());
    let number = |file: &str| text(&dir?.join(file)).parse::<f64>().ok();
    let (file, usage) = if v1 {
        ("memory.soft_limit_in_bytes", number("memory.usage_in_bytes"))
    } else {
        ("memory.high", number("memory.current"))
    };
    let (after, note) = bounded(bytes, usage.unwrap_or(0.0));
    Write {
        file,
        text: format!("{after:.0}"),
        before: number(file).filter(|limit| *limit < UNLIMITED),
        after,
        note,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::Tree;

    const ROOT: &str = "sys/fs/cgroup";

    fn pull(lever: &DryRun, workload: &str, quantity: Quantity, amount: f64) -> Row {
        lever.pull(&Ruling {
            workload: workload.to_owned(),
            quantity,
            amount,
            ceiling: None,
            is_protected: false,
            lever: String::new(),
            refused: None,
            note: String::new(),
        })
    }

    fn check(tree: &Tree, quantity: Quantity, target: f64, expected: (Option<f64>, f64, &str, &str)) {
        let row = pull(&DryRun::new(&tree.place()), "web", quantity, target);
        let after = row.after.unwrap();
        assert_eq!((row.before, after, row.lever.as_str(), row.note.as_str()), expected);
    }

    #[test]
    fn cgroup_v2_is_told_in_its_own_words() {
        let tree = Tree::new(&[
            (&format!("{ROOT}/cgroup.controllers"), "cpu memory"),
            (&format!("{ROOT}/web/cpu.max"), "max 100000\n"),
            (&format!("{ROOT}/web/memory.high"), "max\n"),
            (&format!("{ROOT}/web/memory.current"), "1000000\n"),
        ]);
        check(&tree, Quantity::Cpu, 1.5, (None, 1.5, "cpu.max = 150000 100000", ""));
        check(
            &tree,
            Quantity::Memory,
            2e6,
            (None, 2_002_944.0, "memory.high = 2002944", ""),
        );
        let raised = "raised to what is used, page cache included, and a margin";
        check(
            &tree,
            Quantity::Memory,
            5e5,
            (None, 1_101_824.0, "memory.high = 1101824", raised),
        );
        tree.set(&format!("{ROOT}/web/cpu.max"), "50000 200000\n");
        tree.set(&format!("{ROOT}/web/memory.high"), "3000000\n");
        check(
            &tree,
            Quantity::Memory,
            2e6,
            (Some(3e6), 2_002_944.0, "memory.high = 2002944", ""),
        );
        let least = "raised to the least that the kernel takes";
        check(
            &tree,
            Quantity::Cpu,
            0.0,
            (Some(0.25), 0.01, "cpu.max = 1000 100000", least),
        );
    }

    #[test]
    fn cgroup_v1_has_files_of_its_own() {
        let tree = Tree::new(&[
            (&format!("{ROOT}/cpuacct/web/cpuacct.usage"), "1"),
            (&format!("{ROOT}/cpu/web/cpu.cfs_quota_us"), "25000"),
            (&format!("{ROOT}/cpu/web/cpu.cfs_period_us"), "50000"),
            (
                &format!("{ROOT}/memory/web/memory.soft_limit_in_bytes"),
                "9223372036854771712",
            ),
        ]);
        check(
            &tree,
            Quantity::Cpu,
            2.0,
            (Some(0.5), 2.0, "cpu.cfs_quota_us = 200000", ""),
        );
        check(
            &tree,
            Quantity::Memory,
            10.0,
            (None, 4_096.0, "memory.soft_limit_in_bytes = 4096", ""),
        );
    }

    #[test]
    fn what_has_no_lever_says_so() {
        let lever = DryRun::detached();
        for (workload, resource) in [("web", Quantity::Network), (HOST_WORKLOAD, Quantity::Cpu)] {
            let outcome = pull(&lever, workload, resource, 5.0);
            assert_eq!(
                (outcome.lever.as_str(), outcome.note.as_str()),
                ("", "no dry run of it yet")
            );
            assert_eq!(outcome.after, Some(5.0));
        }
        assert_eq!(pull(&lever, "web", Quantity::Cpu, 1.0).lever, "cpu.max = 100000 100000");
    }
}
