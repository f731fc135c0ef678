//! `foreshadow backup`: a data folder that a brain can start from, copied while another brain runs on the first.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use brain::{backup, history::Database};
use clap::Args;
use runtime::output::print_line;
use tempfile::TempDir;

/// What to copy, and whereto.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 when the copy is whole; 1 when it is not, and then there is none; 64 for bad usage.")]
pub(crate) struct BackupArgs {
    /// The brain's data folder
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The copy, a folder that is not there yet; a brain whose folder it is goes on from there
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

/// Copies the database, the models and the audit log.
///
/// # Errors
/// When the output is there already, or something cannot be read or written; no half a copy stays.
pub(crate) async fn main(BackupArgs { data_dir, output }: BackupArgs) -> anyhow::Result<()> {
    ensure!(
        !output.exists(),
        "{} is there already: name a folder that is not",
        output.display()
    );
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let copy = TempDir::with_prefix_in(".foreshadow-backup-", parent).with_context(|| parent.display().to_string())?;
    backup::copy(
        &Database::file(&data_dir.join("brain.db")),
        &copy.path().join("brain.db"),
    )
    .await?;
    sync(&copy.path().join("brain.db"))?;
    // Models after the database, which names one of them: older ones go, and new ones come before they are named.
    for entry in data_dir.read_dir().with_context(|| data_dir.display().to_string())? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text == "models" || text.starts_with("audit") {
            copy_all(&data_dir.join(&name), &copy.path().join(&name))?;
        }
    }
    fs::rename(copy.path(), &output).with_context(|| output.display().to_string())?;
    // The folder has its name: there is nothing left to delete.
    let _gone = copy.keep();
    sync(parent)?;
    Ok(print_line(&output.display().to_string())?)
}

/// A file, or a folder with all in it; one that is gone meanwhile is left out.
fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = || -> io::Result<()> {
        if from.is_dir() {
            fs::create_dir(to)
        } else {
            fs::copy(from, to)?;
            File::open(to)?.sync_all()
        }
    };
    match copied() {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => return Ok(()),
        other => other.with_context(|| from.display().to_string())?,
    }
    if to.is_dir() {
        for entry in from.read_dir().with_context(|| from.display().to_string())? {
            let name = entry?.file_name();
            copy_all(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

fn sync(path: &Path) -> anyhow::Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.with_context(|| path.display().to_string())
}
