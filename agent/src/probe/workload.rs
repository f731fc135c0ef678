//! What workloads use: one cgroup each (kernel documentation, `admin-guide/cgroup-v2` and `cgroup-v1`).
//!
//! Workloads are the children of the cgroups that the configuration names, by default of the root: the slices of systemd,
//! or whatever took their place. `workload.<name>.cpu` is in cores; `workload.<name>.memory` is the working set in bytes:
//! what is charged without pages of files that are not in use, which the kernel gives back before anything suffers.
//!
//! | metric | cgroup v2 | cgroup v1 |
//! |---|---|---|
//! | `cpu`, `throttled` | `cpu.stat` | `cpuacct.usage`, `cpu.stat` |
//! | `memory`, `memory_charged`, `memory_growth` | `memory.current`, `memory.stat` | `memory.usage_in_bytes`, `memory.stat` |
//! | `oom_kills`, `memory_high` | `memory.events` | `memory.oom_control`, kills alone |
//! | `disk_read`, `disk_write` | `io.stat` | `blkio.throttle.io_service_bytes_recursive` |
//! | `tasks` | `pids.current` | `pids.current` |
//! | `pressure.{cpu,memory,io}` | `{cpu,memory,io}.pressure`, the line `some` | |
//!
//! A process that was killed for want of memory is told as an event.

use shadow::{Finding, Metric, Reading, Severity};

use super::{Place, Probe, Tier};
use crate::error::ProbeError;

mod hierarchy;
mod source;

pub use hierarchy::{Found, Hierarchy};
use source::Source;

/// Opens the cgroups of all workloads.
///
/// # Errors
/// [`ProbeError::Absent`] without cgroups, or without a workload that tells what it uses.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let hierarchy = Hierarchy::find(place)?;
    let found = hierarchy.workloads(place);
    let each: Vec<Group> = found.iter().map(|workload| Group::open(&hierarchy, workload)).collect();
    let metrics: Vec<Metric> = each.iter().flat_map(Group::metrics).collect();
    if metrics.is_empty() {
        return Err(ProbeError::Absent(
            "no cgroup below the root tells what it uses".to_owned(),
        ));
    }
    Ok(Box::new(Workloads {
        place: place.clone(),
        metrics,
        hierarchy,
        found,
        each,
        killed: Vec::new(),
        gone: false,
    }))
}

struct Workloads {
    place: Place,
    hierarchy: Hierarchy,
    found: Vec<Found>,
    each: Vec<Group>,
    metrics: Vec<Metric>,
    killed: Vec<Finding>,
    gone: bool,
}

impl Probe for Workloads {
    fn tier(&self) -> Tier {
        Tier::Middle
    }

    fn location(&self) -> String {
        let version = if matches!(self.hierarchy, Hierarchy::V2(_)) {
            "v2"
        } else {
            "v1"
        };
        format!("cgroup {version}, workloads: {}", self.found.len())
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// A cgroup that went away is absent until the catalogue is told anew.
    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let mut rest = out;
        for source in self.each.iter_mut().flat_map(|group| &mut group.sources) {
            let Some((places, tail)) = rest.split_at_mut_checked(source.metrics().len()) else {
                break;
            };
            if source.read(now_ns, places).is_err() {
                places.fill(Reading::ABSENT);
                self.gone = true;
            }
            rest = tail;
        }
        for group in &mut self.each {
            let killed = group.sources.iter_mut().map(Source::take_killed).sum();
            self.killed.extend((killed > 0).then(|| kill(&group.name, killed)));
        }
        Ok(())
    }

    fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.killed)
    }

    fn outdated(&mut self) -> bool {
        self.gone || self.hierarchy.workloads(&self.place) != self.found
    }
}

fn kill(workload: &str, killed: u64) -> Finding {
    Finding {
        source: "workload".to_owned(),
        subject: workload.to_owned(),
        kind: "oom_kill".to_owned(),
        severity: Severity::Critical,
        text: format!("{killed} processes were killed for want of memory"),
        details: vec![("killed".to_owned(), killed.to_string())],
    }
}

/// One workload.
struct Group {
    name: String,
    sources: Vec<Source>,
}

impl Group {
    /// Controllers that are not enabled for a cgroup leave it without their files.
    fn open(hierarchy: &Hierarchy, found: &Found) -> Self {
        let sources = match hierarchy {
            Hierarchy::V2(_) => Source::of_v2(found),
            Hierarchy::V1 { .. } => Source::of_v1(found),
        };
        Self {
            name: found.name.clone(),
            sources,
        }
    }

    fn metrics(&self) -> impl Iterator<Item = Metric> {
        self.sources.iter().flat_map(|source| source.metrics().iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read};

    const ROOT: &str = "sys/fs/cgroup";

    fn v2() -> Tree {
        Tree::new(&[
            (&format!("{ROOT}/cgroup.controllers"), "cpu memory\n"),
            (&format!("{ROOT}/cpu.stat"), "usage_usec 9\n"),
            (
                &format!("{ROOT}/system.slice/cpu.stat"),
                "usage_usec 1000000\nuser_usec 5\n",
            ),
            (&format!("{ROOT}/system.slice/memory.current"), "4096\n"),
            (
                &format!("{ROOT}/system.slice/memory.stat"),
                "anon 2048\ninactive_file 1024\n",
            ),
            (
                &format!("{ROOT}/system.slice/memory.events"),
                "low 0\nhigh 2\noom 1\noom_kill 1\n",
            ),
            (
                &format!("{ROOT}/system.slice/io.stat"),
                "8:0 rbytes=100 wbytes=200 rios=1\n8:16 rbytes=50 wbytes=0\n",
            ),
            (&format!("{ROOT}/system.slice/pids.current"), "7\n"),
            (
                &format!("{ROOT}/system.slice/cpu.pressure"),
                "some avg10=0.00 total=1000\nfull avg10=0.00 total=5\n",
            ),
            (&format!("{ROOT}/system.slice/web.service/cpu.stat"), "usage_usec 7\n"),
            (&format!("{ROOT}/user@1.slice/cpu.stat"), "usage_usec 0\n"),
        ])
    }

    #[test]
    fn slices_of_cgroup_v2_are_workloads() {
        let tree = v2();
        let mut probe = open(&tree.place()).unwrap();
        check(
            &read(probe.as_mut(), 0.0).unwrap(),
            &[
                ("workload.system.slice.cpu", f64::NAN),
                ("workload.system.slice.memory", 3072.0),
                ("workload.system.slice.memory_charged", 4096.0),
                ("workload.system.slice.tasks", 7.0),
            ],
        );
        tree.set(
            &format!("{ROOT}/system.slice/cpu.stat"),
            "usage_usec 2500000\nuser_usec 5\n",
        );
        let found = read(probe.as_mut(), 1.0).unwrap();
        check(
            &found,
            &[("workload.system.slice.cpu", 1.5), ("workload.user_1.slice.cpu", 0.0)],
        );
        assert!(
            !found.contains_key("workload.user_1.slice.memory"),
            "its controller is not enabled"
        );
    }

    #[test]
    fn what_holds_a_workload_up_is_told() {
        let tree = v2();
        let file = |name: &str| format!("{ROOT}/system.slice/{name}");
        let mut probe = open(&tree.place()).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        assert!(probe.take_findings().is_empty(), "what was before is no news");
        tree.set(&file("cpu.stat"), "usage_usec 1000000\nthrottled_usec 500000\n");
        tree.set(&file("memory.stat"), "anon 4096\ninactive_file 1024\n");
        tree.set(&file("memory.events"), "low 0\nhigh 12\noom 3\noom_kill 3\n");
        tree.set(
            &file("io.stat"),
            "8:0 rbytes=300 wbytes=200 rios=1\n8:16 rbytes=50 wbytes=400\n",
        );
        tree.set(&file("cpu.pressure"), "some avg10=0.00 total=501000\n");
        let found = read(probe.as_mut(), 2.0).unwrap();
        check(
            &found,
            &[
                ("workload.system.slice.memory_growth", 1024.0),
                ("workload.system.slice.memory_high", 5.0),
                ("workload.system.slice.oom_kills", 1.0),
                ("workload.system.slice.disk_read", 100.0),
                ("workload.system.slice.disk_write", 200.0),
                ("workload.system.slice.pressure.cpu", 0.25),
            ],
        );
        let killed = probe.take_findings();
        assert_eq!((killed.len(), killed[0].kind.as_str()), (1, "oom_kill"));
        assert_eq!(
            (killed[0].subject.as_str(), killed[0].details[0].1.as_str()),
            ("system.slice", "2")
        );
        tree.remove(&file("io.stat"));
        assert!(probe.take_findings().is_empty());
    }

    #[test]
    fn workloads_that_come_and_go_make_the_probe_outdated() {
        let tree = v2();
        let mut probe = open(&tree.place()).unwrap();
        assert!(!probe.outdated());
        tree.set(&format!("{ROOT}/batch.slice/cpu.stat"), "usage_usec 0\n");
        assert!(probe.outdated());
        tree.remove(&format!("{ROOT}/batch.slice"));
        assert!(!probe.outdated());
    }

    #[test]
    fn parents_names_and_their_number_are_bounded() {
        let mut tree = v2();
        tree.config.workload.parents = vec!["system.slice".to_owned()];
        let names = |tree: &Tree| {
            let found = Hierarchy::find(&tree.place()).unwrap().workloads(&tree.place());
            found.into_iter().map(|found| found.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&tree), ["web.service"]);
        tree.set(&format!("{ROOT}/system.slice/host/cpu.stat"), "usage_usec 0\n");
        tree.set(&format!("{ROOT}/system.slice/a/cpu.stat"), "usage_usec 0\n");
        assert_eq!(names(&tree), ["a", "web.service"], "the host as a whole is no workload");
        tree.config.workload.max = 1;
        assert_eq!(names(&tree), ["a"]);
    }

    #[test]
    fn controllers_of_cgroup_v1_make_one_workload() {
        let tree = Tree::new(&[
            (&format!("{ROOT}/cpuacct/web/cpuacct.usage"), "1000000000\n"),
            (&format!("{ROOT}/memory/web/memory.usage_in_bytes"), "1048576\n"),
            (
                &format!("{ROOT}/memory/web/memory.stat"),
                "total_rss 5\ntotal_inactive_file 48576\n",
            ),
            (&format!("{ROOT}/memory/db/memory.usage_in_bytes"), "2097152\n"),
            (&format!("{ROOT}/memory/db/memory.stat"), "cache 5\n"),
            (
                &format!("{ROOT}/memory/db/memory.oom_control"),
                "oom_kill_disable 0\nunder_oom 0\n",
            ),
            (&format!("{ROOT}/pids/web/pids.current"), "7\n"),
            (&format!("{ROOT}/pids/elsewhere/pids.current"), "1\n"),
        ]);
        let file = |name: &str| format!("{ROOT}/{name}");
        tree.set(
            &file("memory/web/memory.oom_control"),
            "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        );
        let (quota, disks) = (
            file("cpu/web/cpu.stat"),
            file("blkio/web/blkio.throttle.io_service_bytes_recursive"),
        );
        tree.set(&quota, "nr_periods 9\nnr_throttled 3\nthrottled_time 5000000000\n");
        tree.set(&disks, "8:0 Read 100\n8:0 Write 50\n8:16 Read 10\nTotal 160\n");
        let mut probe = open(&tree.place()).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        tree.set(&file("cpuacct/web/cpuacct.usage"), "1250000000\n");
        tree.set(&quota, "nr_periods 9\nnr_throttled 3\nthrottled_time 5500000000\n");
        tree.set(&disks, "8:0 Read 400\n8:0 Write 250\n8:16 Read 110\nTotal 760\n");
        tree.set(
            &file("memory/web/memory.oom_control"),
            "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
        );
        let found = read(probe.as_mut(), 1.0).unwrap();
        check(
            &found,
            &[
                ("workload.web.cpu", 0.25),
                ("workload.web.memory", 1_000_000.0),
                ("workload.db.memory", 2_097_152.0),
                ("workload.web.throttled", 0.5),
                ("workload.web.disk_read", 400.0),
                ("workload.web.disk_write", 200.0),
                ("workload.web.tasks", 7.0),
                ("workload.web.oom_kills", 1.0),
            ],
        );
        assert_eq!(
            found.len(),
            12,
            "an old kernel tells no kills, and a tree of tasks alone makes no workload"
        );
        assert_eq!(probe.take_findings().len(), 1);
        assert!(!probe.outdated());
    }
}
