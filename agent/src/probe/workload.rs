//! What workloads use: one cgroup each (kernel documentation, `admin-guide/cgroup-v2` and `cgroup-v1`).
//!
//! Workloads are the children of the cgroups that the configuration names, by default of the root: the
//! slices of systemd, or whatever took their place. `workload.<name>.cpu` is in cores,
//! `workload.<name>.memory` in bytes, page cache included, for that is what limits count too.
//! Where the host has cgroup v1, the controllers `cpuacct` and `memory` are read.

use std::path::{Path, PathBuf};

use shadow::{Bound, HOST_WORKLOAD, Metric, Reading, Resource, birth::workload_metric, rate::RateMeter};

use super::{
    Place, Probe, Tier,
    disk::scaled,
    file::KeptFile,
    parse::{fields, lines, metric_part, next_number},
    power::entries,
};
use crate::error::ProbeError;

/// The layout of the cgroup file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hierarchy {
    /// One tree, here.
    V2(PathBuf),
    /// A tree a controller.
    V1 {
        /// Of `cpuacct`.
        cpu: Option<PathBuf>,
        /// Of `memory`.
        memory: Option<PathBuf>,
    },
}

/// One workload and where it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Unique on the host, safe in metrics and topics.
    pub name: String,
    /// Of cgroup v2, or of v1's `cpuacct`.
    pub cpu: Option<PathBuf>,
    /// Of cgroup v2, or of v1's `memory`.
    pub memory: Option<PathBuf>,
}

impl Hierarchy {
    /// How `place` keeps its cgroups.
    ///
    /// # Errors
    /// [`ProbeError::Absent`] when no cgroup file system is mounted at the usual place.
    pub fn find(place: &Place) -> Result<Self, ProbeError> {
        let root = place.path("sys/fs/cgroup");
        if root.join("cgroup.controllers").exists() {
            return Ok(Self::V2(root));
        }
        let controller = |name: &str| Some(root.join(name)).filter(|path| path.is_dir());
        let cpu = controller("cpuacct").or_else(|| controller("cpu,cpuacct"));
        let memory = controller("memory");
        if cpu.is_none() && memory.is_none() {
            return Err(ProbeError::Absent(format!("no cgroups in {}", root.display())));
        }
        Ok(Self::V1 { cpu, memory })
    }

    /// Where the cgroups of CPU and of memory begin.
    fn roots(&self) -> (Option<&Path>, Option<&Path>) {
        match self {
            Self::V2(root) => (Some(root), Some(root)),
            Self::V1 { cpu, memory } => (cpu.as_deref(), memory.as_deref()),
        }
    }

    /// Every workload, by name, at most `probes.workload.max`.
    pub fn workloads(&self, place: &Place) -> Vec<Found> {
        let (cpu, memory) = self.roots();
        let mut found: Vec<Found> = Vec::new();
        for parent in &place.config.workload.parents {
            for dir in cpu.map(|root| groups(&root.join(parent))).unwrap_or_default() {
                add(&mut found, &dir, |found| &mut found.cpu);
            }
            for dir in memory.map(|root| groups(&root.join(parent))).unwrap_or_default() {
                add(&mut found, &dir, |found| &mut found.memory);
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.truncate(place.config.workload.max);
        found
    }
}

fn groups(dir: &Path) -> Vec<PathBuf> {
    entries(dir).into_iter().filter(|path| path.is_dir()).collect()
}

/// Gives `dir` to its workload. Of two cgroups with one name the first has it; the name of the host as a
/// whole is nobody else's.
fn add(found: &mut Vec<Found>, dir: &Path, side: impl Fn(&mut Found) -> &mut Option<PathBuf>) {
    let name = dir
        .file_name()
        .map(|name| metric_part(&name.to_string_lossy()))
        .unwrap_or_default();
    if name.is_empty() || name == HOST_WORKLOAD {
        return;
    }
    let known = found.iter().position(|f| f.name == name).unwrap_or_else(|| {
        found.push(Found {
            name,
            cpu: None,
            memory: None,
        });
        found.len() - 1
    });
    if let Some(workload) = found.get_mut(known) {
        side(workload).get_or_insert_with(|| dir.to_owned());
    }
}

/// Opens the cgroups of all workloads.
///
/// # Errors
/// [`ProbeError::Absent`] without cgroups, or without a workload that tells what it uses.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let hierarchy = Hierarchy::find(place)?;
    let found = hierarchy.workloads(place);
    let gauges: Vec<Gauge> = found.iter().flat_map(|workload| gauges(&hierarchy, workload)).collect();
    if gauges.is_empty() {
        return Err(ProbeError::Absent(
            "no cgroup below the root tells what it uses".to_owned(),
        ));
    }
    Ok(Box::new(Workloads {
        place: place.clone(),
        metrics: gauges.iter().map(|gauge| gauge.metric.clone()).collect(),
        hierarchy,
        found,
        gauges,
        gone: false,
    }))
}

struct Workloads {
    place: Place,
    hierarchy: Hierarchy,
    found: Vec<Found>,
    gauges: Vec<Gauge>,
    metrics: Vec<Metric>,
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
        format!("cgroup {version}, {} workloads", self.found.len())
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// A cgroup that went away is absent until the catalogue is told anew.
    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        for (gauge, place) in self.gauges.iter_mut().zip(out) {
            *place = gauge.read(now_ns).unwrap_or_else(|_| {
                self.gone = true;
                Reading::ABSENT
            });
        }
        Ok(())
    }

    fn outdated(&mut self) -> bool {
        self.gone || self.hierarchy.workloads(&self.place) != self.found
    }
}

/// One number of one cgroup.
struct Gauge {
    metric: Metric,
    file: KeptFile,
    kind: Kind,
}

enum Kind {
    /// `cpu.stat`: `usage_usec 123`.
    CpuMicros(RateMeter),
    /// `cpuacct.usage`: nanoseconds.
    CpuNanos(RateMeter),
    Bytes,
}

/// What can be read of one workload. Controllers that are not enabled for it leave it without their files.
fn gauges(hierarchy: &Hierarchy, workload: &Found) -> Vec<Gauge> {
    let v2 = matches!(hierarchy, Hierarchy::V2(_));
    let (cpu_file, memory_file) = if v2 {
        ("cpu.stat", "memory.current")
    } else {
        ("cpuacct.usage", "memory.usage_in_bytes")
    };
    let open = |dir: &Option<PathBuf>, file: &str| KeptFile::open(dir.as_ref()?.join(file)).ok();
    let cores = Bound::Relative {
        ratio: 0.01,
        floor: 0.1,
    };
    let bytes = Bound::Relative {
        ratio: 0.001,
        floor: 1e6,
    };
    let cpu = open(&workload.cpu, cpu_file).map(|file| Gauge {
        metric: Metric::new(workload_metric(&workload.name, Resource::Cpu), "{core}", cores),
        file,
        kind: if v2 {
            Kind::CpuMicros(RateMeter::default())
        } else {
            Kind::CpuNanos(RateMeter::default())
        },
    });
    let memory = open(&workload.memory, memory_file).map(|file| Gauge {
        metric: Metric::new(workload_metric(&workload.name, Resource::Memory), "By", bytes),
        file,
        kind: Kind::Bytes,
    });
    cpu.into_iter().chain(memory).collect()
}

impl Gauge {
    fn read(&mut self, now_ns: u64) -> Result<Reading, ProbeError> {
        Ok(match &mut self.kind {
            Kind::CpuMicros(meter) => {
                let usage = usage_us(self.file.read()?);
                let usage = usage.ok_or_else(|| self.file.format("tells no usage_usec"))?;
                scaled(meter.update(usage, now_ns), 1e-6)
            }
            Kind::CpuNanos(meter) => scaled(meter.update(self.file.number()?, now_ns), 1e-9),
            Kind::Bytes => Reading::new(self.file.number()? as f64),
        })
    }
}

fn usage_us(text: &[u8]) -> Option<u64> {
    lines(text).find_map(|line| {
        let mut fields = fields(line);
        (fields.next()? == b"usage_usec").then(|| next_number(&mut fields))?
    })
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
                ("workload.system.slice.memory", 4096.0),
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
    fn both_controllers_of_cgroup_v1_make_one_workload() {
        let tree = Tree::new(&[
            (&format!("{ROOT}/cpuacct/web/cpuacct.usage"), "1000000000\n"),
            (&format!("{ROOT}/memory/web/memory.usage_in_bytes"), "1048576\n"),
            (&format!("{ROOT}/memory/db/memory.usage_in_bytes"), "2097152\n"),
        ]);
        let mut probe = open(&tree.place()).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        tree.set(&format!("{ROOT}/cpuacct/web/cpuacct.usage"), "1250000000\n");
        let found = read(probe.as_mut(), 1.0).unwrap();
        check(
            &found,
            &[
                ("workload.web.cpu", 0.25),
                ("workload.web.memory", 1_048_576.0),
                ("workload.db.memory", 2_097_152.0),
            ],
        );
        assert_eq!(found.len(), 3);
    }
}
