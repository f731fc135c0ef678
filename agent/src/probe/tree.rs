//! A tree of files that looks like a host, for tests of probes.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink};

use shadow::Reading;
use tempfile::TempDir;

use super::{Place, Probe};
use crate::{config::Probes, error::ProbeError};

/// A host made of files.
pub(crate) struct Tree {
    dir: TempDir,
    pub(crate) config: Probes,
}

impl Tree {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self {
            dir: TempDir::new().unwrap(),
            config: Probes::default(),
        };
        for (path, text) in files {
            tree.set(path, text);
        }
        tree
    }

    /// Writes a file, in place where it is there, as a kept file wants it.
    pub(crate) fn set(&self, path: &str, text: &str) {
        self.set_bytes(path, text.as_bytes());
    }

    /// The same for what is no text.
    pub(crate) fn set_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.dir.path().join(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(self.dir.path().to_owned(), self.config.clone())
    }
}

/// Everything that `probe` reads at `seconds`, by name.
pub(crate) fn read(probe: &mut dyn Probe, seconds: f64) -> Result<BTreeMap<String, Reading>, ProbeError> {
    let mut out = vec![Reading::new(-1.0); probe.metrics().len()];
    let now = std::time::Duration::from_secs_f64(seconds);
    probe.read(u64::try_from(now.as_nanos()).unwrap(), &mut out)?;
    let names = probe.metrics().iter().map(|metric| metric.name.clone());
    Ok(names.zip(out).collect())
}

/// The same of a probe whose worker has gone round once more.
pub(crate) fn read_fresh(probe: &mut dyn Probe) -> BTreeMap<String, Reading> {
    loop {
        let found = read(probe, 0.0).unwrap();
        if found.values().any(|reading| *reading != Reading::STALE) {
            return found;
        }
        std::thread::yield_now();
    }
}

/// Checks values within one in a million; NaN stands for a stale reading.
pub(crate) fn check(found: &BTreeMap<String, Reading>, expected: &[(&str, f64)]) {
    for &(name, value) in expected {
        let reading = found
            .get(name)
            .unwrap_or_else(|| panic!("no {name} among {:?}", found.keys()));
        if value.is_nan() {
            assert_eq!(*reading, Reading::STALE, "{name}");
        } else {
            let close = reading
                .value()
                .is_some_and(|v| (v - value).abs() <= 1e-6 * value.abs().max(1e-3));
            assert!(close, "{name}: {reading:?}, not {value}");
        }
    }
}
