//! Model-specific registers through the kernel: `/dev/cpu/N/msr` (`msr(4)`), 8 bytes at the register's number.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::{error::ProbeError, probe::Place};

/// What reading registers takes.
const NEEDS: &str = "CAP_SYS_RAWIO and the right to read the file, which root has";

/// The most files that are kept open: a process may have no more than 1,024 as a rule.
const MAX_FILES: usize = 512;

/// Where registers are read from.
pub(in crate::probe) trait Registers {
    /// The register as the hardware thread `cpu` sees it; `None` where it is not implemented (`EIO`), or the thread is
    /// off line. A register that is not implemented may also read as zero, under hypervisors for example.
    fn read(&self, cpu: u32, register: u32) -> Option<u64>;
}

/// The kernel's files, kept open.
#[derive(Debug)]
pub(in crate::probe) struct MsrFiles {
    files: BTreeMap<u32, File>,
}

impl MsrFiles {
    /// Opens the files of `cpus`, at most 512.
    ///
    /// # Errors
    /// [`ProbeError`] when the first of them cannot be opened: absent without the kernel's module `msr`, no permission
    /// without the capability. Further ones that cannot be opened are off line.
    pub(in crate::probe) fn open(place: &Place, cpus: impl IntoIterator<Item = u32>) -> Result<Self, ProbeError> {
        let mut files = BTreeMap::new();
        for cpu in cpus.into_iter().take(MAX_FILES) {
            let path = path(place, cpu);
            match File::open(&path) {
                Ok(file) => _ = files.insert(cpu, file),
                Err(fault) if files.is_empty() => return Err(refused(&path, fault)),
                Err(_) => {}
            }
        }
        Ok(Self { files })
    }
}

impl Registers for MsrFiles {
    fn read(&self, cpu: u32, register: u32) -> Option<u64> {
        let mut bytes = [0; 8];
        self.files.get(&cpu)?.read_exact_at(&mut bytes, register.into()).ok()?;
        Some(u64::from_le_bytes(bytes))
    }
}

/// Where the registers of `cpu` are.
pub(in crate::probe) fn path(place: &Place, cpu: u32) -> PathBuf {
    place.path(format!("dev/cpu/{cpu}/msr"))
}

fn refused(path: &Path, fault: io::Error) -> ProbeError {
    match fault.kind() {
        io::ErrorKind::NotFound => ProbeError::Absent(format!(
            "{}: not there; the kernel's module msr is not loaded",
            path.display()
        )),
        io::ErrorKind::PermissionDenied => ProbeError::NoPermission {
            path: path.to_owned(),
            needs: NEEDS,
        },
        _ => ProbeError::io(path, fault),
    }
}

#[cfg(test)]
pub(in crate::probe) mod tests {
    use super::*;
    use crate::probe::tree::Tree;

    /// Registers that a test sets; all others are not implemented.
    #[derive(Debug, Clone, Default)]
    pub(in crate::probe) struct Fake(BTreeMap<(u32, u32), u64>);

    impl Fake {
        pub(in crate::probe) fn set(&mut self, cpu: u32, register: u32, value: u64) {
            self.0.insert((cpu, register), value);
        }
    }

    impl Registers for Fake {
        fn read(&self, cpu: u32, register: u32) -> Option<u64> {
            self.0.get(&(cpu, register)).copied()
        }
    }

    #[test]
    fn registers_are_read_at_their_number() {
        let tree = Tree::new(&[]);
        let mut bytes = vec![0; 0x610];
        bytes.extend(0x0001_84b0_0011_83e8_u64.to_le_bytes());
        tree.set_bytes("dev/cpu/1/msr", &bytes);
        let files = MsrFiles::open(&tree.place(), [1, 2]).unwrap();
        assert_eq!(files.read(1, 0x610), Some(0x0001_84b0_0011_83e8));
        assert_eq!(files.read(1, 0x611), None, "past the end, as EIO");
        assert_eq!(files.read(2, 0x610), None, "off line");
    }

    #[test]
    fn what_is_missing_is_named() {
        let absent = MsrFiles::open(&Tree::new(&[]).place(), [0]).unwrap_err();
        assert_eq!(absent.state(), shadow::SourceState::Absent);
        assert!(absent.to_string().contains("module msr"));
        let denied = refused(Path::new("/dev/cpu/0/msr"), io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.state(), shadow::SourceState::NoPermission);
        assert!(denied.to_string().contains("CAP_SYS_RAWIO"), "{denied}");
    }
}
