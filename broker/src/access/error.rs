//! Why a list of users or of rules is of no use.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Why a list of users or of rules is of no use.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] trust::TrustError),
    /// Lines of it are no such lines.
    #[error("{}", Shown(path, faults))]
    Lines {
        /// Which file.
        path: PathBuf,
        /// All faults, each with the number of its line, from 1.
        faults: Vec<(usize, String)>,
    },
    /// A password that cannot be taken.
    #[error("password: {0}")]
    Password(String),
}

impl AccessError {
    /// `Ok` where there are no faults.
    pub(crate) fn unless_clean(path: &Path, faults: Vec<(usize, String)>) -> Result<(), Self> {
        if faults.is_empty() {
            return Ok(());
        }
        Err(Self::Lines {
            path: path.to_owned(),
            faults,
        })
    }
}

struct Shown<'a>(&'a Path, &'a [(usize, String)]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, faults) = self;
        for (at, (line, what)) in faults.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{line}: {what}", path.display())?;
        }
        Ok(())
    }
}
