//! Where cgroups are, and which of them are workloads.

use std::path::{Path, PathBuf};

use shadow::HOST_WORKLOAD;

use crate::{
    error::ProbeError,
    probe::{Place, parse::metric_part, power::entries},
};

/// Controllers of version 1 beside those by which workloads are found: quotas where they are apart from accounting, disks,
/// tasks.
const OTHERS: [&str; 3] = ["cpu", "blkio", "pids"];

/// The layout of the cgroup file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hierarchy {
    /// One tree, here.
    V2(PathBuf),
    /// A tree a controller.
    V1 {
        /// Where the trees are.
        root: PathBuf,
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
    /// Of v1's other controllers, as far as it is in their trees.
    pub others: Vec<PathBuf>,
}

impl Found {
    /// Everywhere it lives.
    pub(super) fn dirs(&self) -> impl Iterator<Item = &Path> {
        let named = self.cpu.iter().chain(&self.memory);
        named.chain(&self.others).map(PathBuf::as_path)
    }
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
        Ok(Self::V1 { root, cpu, memory })
    }

    /// Where the cgroups of CPU and of memory begin.
    fn roots(&self) -> (Option<&Path>, Option<&Path>) {
        match self {
            Self::V2(root) => (Some(root), Some(root)),
            Self::V1 { cpu, memory, .. } => (cpu.as_deref(), memory.as_deref()),
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
        if let Self::V1 { root, .. } = self {
            for workload in &mut found {
                workload.others = others(root, workload);
            }
        }
        found
    }
}

/// Where else in version 1 a workload lives: the same path in the trees of the other controllers.
fn others(root: &Path, found: &Found) -> Vec<PathBuf> {
    let path = found.dirs().next().and_then(|dir| dir.strip_prefix(root).ok());
    // Without the name of the tree in which it was found.
    let path: PathBuf = path.into_iter().flatten().skip(1).collect();
    let trees = OTHERS.iter().map(|tree| root.join(tree).join(&path));
    trees.filter(|dir| dir.is_dir()).collect()
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
            others: Vec::new(),
        });
        found.len() - 1
    });
    if let Some(workload) = found.get_mut(known) {
        side(workload).get_or_insert_with(|| dir.to_owned());
    }
}
