//! Limits of workloads: files of their cgroups.
//!
//! | lever | cgroup v2 | cgroup v1 | unit of a target |
//! |---|---|---|---|
//! | `cpu.max` | `cpu.max` | `cpu.cfs_quota_us` | cores |
//! | `cpu.weight` | `cpu.weight`, 100 a core | `cpu.shares`, 1,024 a core | cores |
//! | `cpuset.cpus` | `cpuset.cpus` | | cores, rounded up |
//! | `memory.high` | `memory.high` | `memory.soft_limit_in_bytes` | bytes |
//! | `memory.max` | `memory.max` | `memory.limit_in_bytes` | bytes |
//! | `io.max` | `io.max` of each disk | `blkio.throttle.read_bps_device`, `...write...` | bytes a second, reads and writes each |
//! | `pids.max` | `pids.max` | `pids.max` | tasks |
//!
//! The words of each file are in a file of its own; this one finds a workload's folder, and no other.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Ask, Lever, LeverError, Quantity, Turn, Watched, beneath::Beneath};
use crate::probe::{
    Place,
    workload::{Found, Hierarchy},
};

pub(crate) mod cpu_max;
mod cpu_weight;
mod cpuset;
mod io_max;
pub(crate) mod memory;
mod pids_max;

/// The version of the cgroup file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// The words of one file. Pure but for what it reads of the workload's folder.
pub(crate) trait Words: Send + Sync {
    /// The lever's name.
    fn name(&self) -> &'static str;

    /// What it sets.
    fn quantity(&self) -> Quantity;

    /// The file, and the tree of version 1 that it is in; `None` where there is no such.
    fn file(&self, version: Version) -> Option<(&'static str, &'static str)>;

    /// The file of a subject with the `detail`, where there are several.
    fn file_of(&self, file: &'static str, _detail: &str) -> &'static str {
        file
    }

    /// What to write for `amount`: a detail of the subject (or nothing), the text, and the bound that moved it.
    ///
    /// # Errors
    /// In words.
    fn aim(&self, folder: &Folder<'_>, amount: f64) -> Result<Vec<Aim>, String>;

    /// What the text of the file says, where the subject has the `detail`.
    fn pick(&self, text: &str, _detail: &str) -> String {
        text.to_owned()
    }

    /// What is written for `text`.
    fn line(&self, text: &str, _detail: &str) -> String {
        text.to_owned()
    }

    /// How much `text` means; `None` for no limit.
    fn amount(&self, folder: &Folder<'_>, text: &str) -> Option<f64>;

    /// See [`Lever::confirm`].
    fn confirm(&self, _folder: &Folder<'_>, _text: &str) -> Result<(), String> {
        Ok(())
    }

    /// See [`Lever::may_restore`].
    fn may_restore(&self, _folder: &Folder<'_>, _text: &str) -> Result<(), String> {
        Ok(())
    }
}

/// One text for one file.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Aim {
    /// Which part of the file, such as a disk; mostly empty.
    pub(crate) detail: String,
    /// What to write.
    pub(crate) text: String,
    /// The bound that moved it, or empty.
    pub(crate) note: String,
}

/// The folder of a workload.
#[derive(Debug)]
pub(crate) struct Folder<'a> {
    pub(crate) version: Version,
    files: &'a Beneath,
    path: &'a str,
    disks: &'a [String],
}

impl Folder<'_> {
    /// The text of one of its files.
    fn read(&self, file: &str) -> io::Result<String> {
        self.files.read(&format!("{}/{file}", self.path))
    }

    /// The number in one of its files.
    fn number(&self, file: &str) -> Option<f64> {
        self.read(file).ok()?.parse().ok()
    }

    /// The text of a file of the folder above.
    fn read_above(&self, file: &str) -> io::Result<String> {
        match self.path.rsplit_once('/') {
            Some((above, _)) => self.files.read(&format!("{above}/{file}")),
            None => self.files.read(file),
        }
    }
}

/// All levers of cgroups below `place`, within `delegated`: a path below the root of the hierarchy, or nothing.
pub(crate) fn levers(place: &Place, delegated: &str, disks: Vec<String>) -> Vec<Box<dyn Lever>> {
    let Ok(hierarchy) = Hierarchy::find(place) else {
        return Vec::new();
    };
    let cgroups = Arc::new(Cgroups {
        root: place.path("sys/fs/cgroup"),
        version: match hierarchy {
            Hierarchy::V2(_) => Version::Two,
            Hierarchy::V1 { .. } => Version::One,
        },
        hierarchy,
        place: place.clone(),
        delegated: delegated.trim_matches('/').to_owned(),
        disks,
        found: Mutex::default(),
    });
    let words: [Box<dyn Words>; 7] = [
        Box::new(cpu_max::CpuMax),
        Box::new(cpu_weight::CpuWeight),
        Box::new(cpuset::Cpuset),
        Box::new(memory::Memory::HIGH),
        Box::new(memory::Memory::MAX),
        Box::new(io_max::IoMax),
        Box::new(pids_max::PidsMax),
    ];
    let lever = |words: Box<dyn Words>| -> Option<Box<dyn Lever>> {
        let (tree, file) = words.file(cgroups.version)?;
        let cgroups = Arc::clone(&cgroups);
        Some(Box::new(File {
            words,
            tree,
            name: file,
            cgroups,
        }))
    };
    words.into_iter().filter_map(lever).collect()
}

/// Where cgroups are.
struct Cgroups {
    root: PathBuf,
    version: Version,
    hierarchy: Hierarchy,
    place: Place,
    delegated: String,
    /// Numbers of the disks that are limited: `254:0`.
    disks: Vec<String>,
    /// Those that were there at the last look.
    found: Mutex<Option<Arc<Vec<Found>>>>,
}

impl Cgroups {
    fn found(&self) -> Arc<Vec<Found>> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let all = found.get_or_insert_with(|| Arc::new(self.hierarchy.workloads(&self.place)));
        Arc::clone(all)
    }

    fn forget(&self) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The folder of `workload` below the root of its tree.
    fn path(&self, workload: &str) -> Result<String, String> {
        let found = self.found();
        let workload = found.iter().find(|known| known.name == workload);
        let workload = workload.ok_or_else(|| "it has no cgroup here".to_owned())?;
        let dir = workload.cpu.as_deref().or(workload.memory.as_deref());
        let below = dir.and_then(|dir| dir.strip_prefix(&self.root).ok());
        // In version 1 the name of the tree in which it was found comes first.
        let skipped = usize::from(self.version == Version::One);
        let path: Option<PathBuf> = below.map(|path| path.iter().skip(skipped).collect());
        let path = path.as_deref().and_then(Path::to_str).unwrap_or_default().to_owned();
        if path.is_empty() {
            return Err("its cgroup has no name that can be written".to_owned());
        }
        if !is_within(&path, &self.delegated) {
            return Err(format!(
                "its cgroup {path} is not below the delegated {}",
                self.delegated
            ));
        }
        Ok(path)
    }

    /// The root of a tree: in version 1 one a controller, which may stand there under another name.
    fn tree(&self, tree: &str) -> Beneath {
        Beneath::new(match self.version {
            Version::Two => self.root.clone(),
            Version::One => self.root.join(tree),
        })
    }
}

/// Whether `path` is inside the folder `outer`; everything is inside nothing.
pub(crate) fn is_within(path: &str, outer: &str) -> bool {
    outer.is_empty() || path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// One file of each cgroup.
struct File {
    words: Box<dyn Words>,
    tree: &'static str,
    name: &'static str,
    cgroups: Arc<Cgroups>,
}

impl File {
    /// Does something with the folder of a subject: `web`, or `254:0 web`.
    fn at<T>(&self, path: &str, then: impl FnOnce(&Folder<'_>) -> T) -> T {
        then(&Folder {
            version: self.cgroups.version,
            files: &self.cgroups.tree(self.tree),
            path,
            disks: &self.cgroups.disks,
        })
    }

    /// The detail and the path of a subject. That of a ledger of another configuration may be outside.
    fn split<'a>(&self, subject: &'a str) -> Result<(&'a str, &'a str), LeverError> {
        let (detail, path) = subject.split_once(' ').unwrap_or(("", subject));
        if is_within(path, &self.cgroups.delegated) {
            Ok((detail, path))
        } else {
            Err(LeverError::Failed("it is outside what is delegated".to_owned()))
        }
    }
}

impl Lever for File {
    fn name(&self) -> &'static str {
        self.words.name()
    }

    fn quantity(&self) -> Quantity {
        self.words.quantity()
    }

    fn look(&mut self) {
        self.cgroups.forget();
    }

    fn aim(&mut self, ask: Ask<'_>) -> Result<Vec<Turn>, String> {
        let path = self.cgroups.path(ask.workload)?;
        // What stands before a path is a detail.
        if path.contains(' ') {
            return Err("its cgroup has a space in its name".to_owned());
        }
        let aims = self.at(&path, |folder| self.words.aim(folder, ask.amount))?;
        let subject = |detail: &str| match detail {
            "" => path.clone(),
            detail => format!("{detail} {path}"),
        };
        let turn = |aim: Aim| Turn {
            subject: subject(&aim.detail),
            text: aim.text,
            note: aim.note,
        };
        Ok(aims.into_iter().map(turn).collect())
    }

    fn read(&mut self, subject: &str) -> Result<String, LeverError> {
        let (detail, path) = self.split(subject)?;
        let file = self.words.file_of(self.name, detail);
        let text = self.at(path, |folder| folder.read(file))?;
        Ok(self.words.pick(&text, detail))
    }

    fn write(&mut self, subject: &str, text: &str) -> Result<(), LeverError> {
        let (detail, path) = self.split(subject)?;
        let line = self.words.line(text, detail);
        Ok(self
            .cgroups
            .tree(self.tree)
            .write(&format!("{path}/{}", self.words.file_of(self.name, detail)), &line)?)
    }

    fn amount(&mut self, subject: &str, text: &str) -> Option<f64> {
        let (_, path) = self.split(subject).ok()?;
        self.at(path, |folder| self.words.amount(folder, text))
    }

    fn confirm(&mut self, subject: &str, text: &str) -> Result<(), String> {
        let (_, path) = self.split(subject).map_err(|fault| fault.to_string())?;
        self.at(path, |folder| self.words.confirm(folder, text))
    }

    fn may_restore(&mut self, subject: &str, text: &str) -> Result<(), String> {
        let (_, path) = self.split(subject).map_err(|fault| fault.to_string())?;
        self.at(path, |folder| self.words.may_restore(folder, text))
    }

    fn watched(&self, subject: &str) -> Option<Watched> {
        let (_, path) = self.split(subject).ok()?;
        let root = match self.cgroups.version {
            Version::Two => self.cgroups.root.clone(),
            Version::One => self.cgroups.root.join(self.tree),
        };
        let folder = path.to_owned();
        Some(Watched { root, folder })
    }
}

#[cfg(test)]
mod tests;
