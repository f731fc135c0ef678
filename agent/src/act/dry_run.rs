//! Writes nothing: finds the present limit, and tells what would be written where.
//!
//! | resource | cgroup v2 | cgroup v1 |
//! |---|---|---|
//! | CPU | `cpu.max` | `cpu.cfs_quota_us` (with `cpu.cfs_period_us`) |
//! | memory | `memory.high` | `memory.soft_limit_in_bytes` |
//!
//! Network, disk and power have no lever yet.

use std::path::{Path, PathBuf};

use shadow::{ChangeOutcome, HOST_WORKLOAD, Resource};

use super::Lever;
use crate::{
    guard::Ruling,
    probe::{
        Place,
        power::text,
        workload::{Found, Hierarchy},
    },
};

/// The period that quotas are written for: the kernel's default.
const PERIOD_US: u64 = 100_000;

/// The kernel refuses less.
const MIN_QUOTA_US: u64 = 1_000;

/// Room above what a workload uses: a limit below its use would throttle or kill it at once.
const MEMORY_MARGIN: f64 = 1.1;

/// A limit of cgroup v1 from here on is none.
const UNLIMITED: f64 = (1_u64 << 60) as f64;

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

    fn plan(&self, ruling: &Ruling) -> Option<Write> {
        let change = &ruling.change;
        if change.workload == HOST_WORKLOAD {
            return None;
        }
        let hierarchy = self.place.as_ref().and_then(|place| Hierarchy::find(place).ok());
        let found = hierarchy
            .as_ref()
            .zip(self.place.as_ref())
            .and_then(|(hierarchy, place)| {
                let all = hierarchy.workloads(place);
                all.into_iter().find(|workload| workload.name == change.workload)
            });
        let v1 = matches!(hierarchy, Some(Hierarchy::V1 { .. }));
        match change.resource {
            Resource::Cpu => Some(cpu(change.target, v1, found.as_ref())),
            Resource::Memory => Some(memory(change.target, v1, found.as_ref())),
            _ => None,
        }
    }
}

impl Lever for DryRun {
    fn pull(&mut self, ruling: &Ruling) -> ChangeOutcome {
        let change = &ruling.change;
        let plan = self.plan(ruling);
        let notes = [
            ruling.note.as_str(),
            plan.as_ref().map_or("no lever for it yet", |plan| plan.note),
        ];
        let notes: Vec<&str> = notes.into_iter().filter(|note| !note.is_empty()).collect();
        ChangeOutcome {
            workload: change.workload.clone(),
            resource: change.resource,
            before: plan.as_ref().and_then(|plan| plan.before),
            after: Some(plan.as_ref().map_or(change.target, |plan| plan.after)),
            lever: plan.map_or_else(String::new, |plan| format!("{} = {}", plan.file, plan.text)),
            note: notes.join("; "),
            effect: shadow::Effect::None,
        }
    }
}

/// `"150000 100000"`: 1.5 cores.
fn cpu(cores: f64, v1: bool, workload: Option<&Found>) -> Write {
    let wanted_us = (cores * PERIOD_US as f64).round();
    // A whole number below 2^53: the target is bounded by the host's cores.
    let quota_us = if wanted_us < MIN_QUOTA_US as f64 {
        MIN_QUOTA_US as f64
    } else {
        wanted_us
    };
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
        note: if quota_us > wanted_us {
            "raised to the least that the kernel takes"
        } else {
            ""
        },
    }
}

/// Cores of `cpu.max`; `None` without a limit.
fn quota_v2(dir: &Path) -> Option<f64> {
    let limit = text(&dir.join("cpu.max"));
    let (quota, period) = limit.split_once(' ')?;
    ratio(quota, period)
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
    limits.find_map(|(quota, period)| ratio(&quota, &period))
}

/// -1 and `max` are no limit.
fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// Whole bytes, never below what is used and a margin: the kernel takes any number, and reclaims or kills.
fn memory(bytes: f64, v1: bool, workload: Option<&Found>) -> Write {
    let dir = workload.and_then(|w| w.memory.as_deref());
    let number = |file: &str| text(&dir?.join(file)).parse::<f64>().ok();
    let (file, usage) = if v1 {
        ("memory.soft_limit_in_bytes", number("memory.usage_in_bytes"))
    } else {
        ("memory.high", number("memory.current"))
    };
    let least = usage.map_or(0.0, |usage| usage * MEMORY_MARGIN);
    let after = bytes.max(least).round();
    Write {
        file,
        text: format!("{after:.0}"),
        before: number(file).filter(|limit| *limit < UNLIMITED),
        after,
        note: if after > bytes.round() {
            "raised to what is used and a margin"
        } else {
            ""
        },
    }
}

#[cfg(test)]
mod tests {
    use shadow::{Change, Explanation};

    use super::*;
    use crate::probe::tree::Tree;

    const ROOT: &str = "sys/fs/cgroup";

    fn pull(lever: &mut DryRun, workload: &str, resource: Resource, target: f64) -> ChangeOutcome {
        lever.pull(&Ruling {
            change: Change {
                workload: workload.to_owned(),
                resource,
                before: Some(7.0),
                target,
                explanation: Explanation::default(),
                ceiling: None,
            },
            refused: None,
            note: String::new(),
        })
    }

    fn check(tree: &Tree, resource: Resource, target: f64, expected: (Option<f64>, f64, &str, &str)) {
        let outcome = pull(&mut DryRun::new(&tree.place()), "web", resource, target);
        let after = outcome.after.unwrap();
        assert_eq!(
            (outcome.before, after, outcome.lever.as_str(), outcome.note.as_str()),
            expected
        );
    }

    #[test]
    fn cgroup_v2_is_told_in_its_own_words() {
        let tree = Tree::new(&[
            (&format!("{ROOT}/cgroup.controllers"), "cpu memory"),
            (&format!("{ROOT}/web/cpu.max"), "max 100000\n"),
            (&format!("{ROOT}/web/memory.high"), "max\n"),
            (&format!("{ROOT}/web/memory.current"), "1000000\n"),
        ]);
        check(&tree, Resource::Cpu, 1.5, (None, 1.5, "cpu.max = 150000 100000", ""));
        check(&tree, Resource::Memory, 2e6, (None, 2e6, "memory.high = 2000000", ""));
        let raised = "raised to what is used and a margin";
        check(
            &tree,
            Resource::Memory,
            5e5,
            (None, 1.1e6, "memory.high = 1100000", raised),
        );
        tree.set(&format!("{ROOT}/web/cpu.max"), "50000 200000\n");
        tree.set(&format!("{ROOT}/web/memory.high"), "3000000\n");
        check(
            &tree,
            Resource::Memory,
            2e6,
            (Some(3e6), 2e6, "memory.high = 2000000", ""),
        );
        let least = "raised to the least that the kernel takes";
        check(
            &tree,
            Resource::Cpu,
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
            Resource::Cpu,
            2.0,
            (Some(0.5), 2.0, "cpu.cfs_quota_us = 200000", ""),
        );
        check(
            &tree,
            Resource::Memory,
            10.0,
            (None, 10.0, "memory.soft_limit_in_bytes = 10", ""),
        );
    }

    #[test]
    fn what_has_no_lever_says_so() {
        let mut lever = DryRun::detached();
        for (workload, resource) in [("web", Resource::Network), (HOST_WORKLOAD, Resource::Cpu)] {
            let outcome = pull(&mut lever, workload, resource, 5.0);
            assert_eq!(
                (outcome.lever.as_str(), outcome.note.as_str()),
                ("", "no lever for it yet")
            );
            assert_eq!(outcome.after, Some(5.0));
        }
        assert_eq!(
            pull(&mut lever, "web", Resource::Cpu, 1.0).lever,
            "cpu.max = 100000 100000"
        );
    }
}
