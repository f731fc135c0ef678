//! Whether the chain of an audit log is whole.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use shadow::UnixMs;
use thiserror::Error;

use super::{Line, MAX_LINE, What, log::full_files};
use crate::{
    TrustError,
    secret::{Digest, digest, hex},
};

/// What a whole log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Files, the full ones included.
    pub files: usize,
    /// Lines.
    pub lines: u64,
    /// The number of the first line that is there; above 0, older files were let go.
    pub first: u64,
    /// When the last line was written.
    pub last_ms: UnixMs,
    /// The digest of the last line: who keeps it elsewhere sees later that nothing was cut off.
    pub last: String,
    /// Lines that the log itself tells were not written.
    pub lost: u64,
    /// Whether the very end is half a line: the process was ended while it wrote, and has not gone on.
    pub torn: bool,
}

/// Why a log is not believed.
#[derive(Debug, Error)]
pub enum Broken {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] TrustError),
    /// Here the chain breaks for the first time.
    #[error("{path}:{line}: {what}", path = .path.display())]
    Chain {
        /// In which file.
        path: PathBuf,
        /// In which of its lines, from 1.
        line: u64,
        /// What is not as it was written.
        what: String,
    },
}

/// What is known when a line comes.
#[derive(Default)]
struct Chain {
    lines: u64,
    first: Option<u64>,
    next: u64,
    last: Option<Digest>,
    last_ms: UnixMs,
    lost: u64,
    torn: bool,
}

/// Checks every line of the log at `path`, from its oldest full file on.
///
/// # Errors
/// [`Broken`] with the first place where the chain does not hold.
pub fn verify(path: &Path) -> Result<Report, Broken> {
    let mut chain = Chain::default();
    let full = full_files(path).into_iter().map(|(_, path)| path);
    let files: Vec<PathBuf> = full.chain([path.to_owned()]).collect();
    for file in &files {
        read(file, &mut chain)?;
    }
    Ok(Report {
        files: files.len(),
        lines: chain.lines,
        first: chain.first.unwrap_or(0),
        last_ms: chain.last_ms,
        last: hex(&chain.last.unwrap_or_default()),
        lost: chain.lost,
        torn: chain.torn,
    })
}

fn read(path: &Path, chain: &mut Chain) -> Result<(), Broken> {
    let mut reader = BufReader::new(File::open(path).map_err(TrustError::file(path))?);
    for number in 1.. {
        let mut line = Vec::new();
        let mut bounded = reader.by_ref().take(MAX_LINE as u64 + 1);
        bounded.read_until(b'\n', &mut line).map_err(TrustError::file(path))?;
        let broken = |what: String| Broken::Chain {
            path: path.to_owned(),
            line: number,
            what,
        };
        if line.is_empty() {
            return Ok(());
        }
        if chain.torn {
            return Err(broken("half a line stands before this one".to_owned()));
        }
        match line.strip_suffix(b"\n") {
            Some(whole) => chain.take(whole, number == 1).map_err(broken)?,
            None if line.len() > MAX_LINE => return Err(broken(format!("longer than {MAX_LINE} bytes"))),
            None => chain.torn = true,
        }
    }
    Ok(())
}

impl Chain {
    /// Takes the next line; `begins` where it is the first of its file.
    fn take(&mut self, bytes: &[u8], begins: bool) -> Result<(), String> {
        let line: Line = serde_json::from_slice(bytes).map_err(|error| format!("no line of an audit log: {error}"))?;
        if begins && line.kind != What::Begin {
            return Err("a file begins with a line that says so: its begin was cut off".to_owned());
        }
        let last = hex(&self.last.unwrap_or_default());
        // Before the first line that is there, others may have been let go.
        if (self.first.is_some() || line.n == 0) && line.before != last {
            return Err(
                "the line before is not the one that this was written after: one was changed, taken out or put in"
                    .to_owned(),
            );
        }
        if self.first.is_some() && line.n != self.next {
            return Err(format!(
                "line {} follows line {}: some are missing",
                line.n,
                self.next.saturating_sub(1)
            ));
        }
        self.first.get_or_insert(line.n);
        if line.kind == What::Lost {
            let lines = line.details.get("lines").and_then(|lines| lines.parse().ok());
            self.lost += lines.unwrap_or(1);
        }
        (self.next, self.last, self.last_ms) = (line.n + 1, Some(digest(bytes)), line.time_ms);
        self.lines += 1;
        Ok(())
    }
}
