//! The number of the newest command that was obeyed, in a file: one that comes again is refused after a restart, too.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use shadow::{Command, UnixMs};
use trust::files;

/// Where the number stands, and which it was at the start.
#[derive(Debug)]
pub(crate) struct Fence {
    path: Option<PathBuf>,
    start: Start,
}

/// What is known of the commands before the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// The newest that was obeyed: issuer epoch and sequence.
    After(u64, u64),
    /// Nothing: of those that were issued before this moment none is obeyed.
    From(UnixMs),
    /// A file that cannot be read: none is obeyed.
    Unknown(String),
}

impl Fence {
    /// Reads the file at `path`; without one, or where it is not there yet, nothing from before `now_ms` counts.
    pub(crate) fn open(path: Option<PathBuf>, now_ms: UnixMs) -> Self {
        let start = match path.as_deref().map(read) {
            None | Some(Ok(None)) => Start::From(now_ms),
            Some(Ok(Some((epoch, sequence)))) => Start::After(epoch, sequence),
            Some(Err(fault)) => Start::Unknown(fault),
        };
        if let Start::Unknown(fault) = &start {
            tracing::error!(fault, "commands are refused");
        }
        Self { path, start }
    }

    /// What is known of the commands before the start.
    pub(crate) const fn start(&self) -> &Start {
        &self.start
    }

    /// Why a command that somebody vouches for must not be obeyed all the same, in words.
    pub(crate) fn objection(&self, command: &Command) -> Option<String> {
        match &self.start {
            Start::Unknown(fault) => Some(format!("which commands were obeyed before is not known: {fault}")),
            Start::From(began_ms) if command.issued_ms < *began_ms => {
                Some("it was issued before this agent began, which does not know what was obeyed then".to_owned())
            }
            _ => None,
        }
    }

    /// Makes the number of a command durable. Some milliseconds, or as long as the disk takes.
    ///
    /// # Errors
    /// In words; the command is not to be obeyed then, for it could come again after a restart.
    pub(crate) async fn pass(&self, command: &Command) -> Result<(), String> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let text = format!("1 {} {}\n", command.issuer_epoch, command.sequence);
        let write = move || {
            path.parent().map_or(Ok(()), files::folder)?;
            files::replace(&path, text.as_bytes())
        };
        let written = tokio::task::spawn_blocking(write).await;
        let written = written.map_err(|panicked| panicked.to_string())?;
        written.map_err(|fault| format!("its number cannot be kept: {fault}"))
    }
}

/// Version, issuer epoch, sequence.
fn read(path: &Path) -> Result<Option<(u64, u64)>, String> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let numbers: Result<Vec<u64>, _> = text.split_ascii_whitespace().map(str::parse).collect();
    match numbers.as_deref() {
        Ok(&[1, epoch, sequence]) if text.ends_with('\n') => Ok(Some((epoch, sequence))),
        _ => {
            let path = path.display();
            Err(format!("{path} is damaged; delete it once the brain was started anew"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(issuer_epoch: u64, sequence: u64, issued_ms: UnixMs) -> Command {
        Command {
            id: "x".to_owned(),
            host: "web-1".to_owned(),
            issuer_epoch,
            sequence,
            issued_ms,
            ttl_ms: 1,
            dry_run: true,
            changes: Vec::new(),
            actions: Vec::new(),
        }
    }

    #[tokio::test]
    async fn the_newest_number_outlives_the_process() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("commands/web-1.inband");
        let fence = Fence::open(Some(path.clone()), 5_000);
        assert_eq!(*fence.start(), Start::From(5_000));
        assert!(
            fence
                .objection(&command(7, 1, 4_999))
                .is_some_and(|why| why.contains("before this agent began"))
        );
        assert_eq!(fence.objection(&command(7, 1, 5_000)), None);
        fence.pass(&command(7, 12, 5_000)).await.unwrap();
        fence.pass(&command(8, 1, 5_000)).await.unwrap();
        let after = Fence::open(Some(path.clone()), 9_000);
        assert_eq!(*after.start(), Start::After(8, 1));
        assert_eq!(
            after.objection(&command(8, 2, 0)),
            None,
            "its number tells, whatever the clock was"
        );
        for damaged in ["", "1 8", "1 8 1", "2 8 1\n", "1 8 -1\n", "1 8 1 0\n"] {
            fs::write(&path, damaged).unwrap();
            let fence = Fence::open(Some(path.clone()), 9_000);
            let why = fence.objection(&command(9, 1, 9_000));
            assert!(why.is_some_and(|why| why.contains("is damaged")), "{damaged:?}");
        }
    }

    #[tokio::test]
    async fn without_a_folder_only_what_is_new_counts_and_without_a_disk_nothing() {
        let fence = Fence::open(None, 5_000);
        assert!(fence.objection(&command(7, 1, 4_999)).is_some());
        fence.pass(&command(7, 1, 5_000)).await.unwrap();
        let fence = Fence::open(Some("/proc/none/web-1".into()), 5_000);
        let fault = fence.pass(&command(7, 1, 5_000)).await.unwrap_err();
        assert!(fault.contains("its number cannot be kept"), "{fault}");
    }
}
