//! `foreshadow backup`: a data folder that a brain can start from, copied while another brain runs on the first.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use brain::{backup, history::Database};
use clap::Args;
use runtime::{bar::Bar, output::print_line};
use tempfile::TempDir;
use tokio::time::interval;

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

/// How often it is looked how far the database is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How much is copied, of how much about: what the database gives back of its room is not copied.
struct Copied<T> {
    bytes: u64,
    of: u64,
    tell: T,
}

impl<T: FnMut(u64, u64)> Copied<T> {
    /// So much more.
    fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        (self.tell)(self.bytes, self.of);
    }
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
    let bar = Bar::new();
    let mut copied = Copied {
        bytes: 0,
        of: size(&data_dir),
        tell: |done: u64, of: u64| bar.tell(mebibytes(done.min(of)), mebibytes(of).max(1), "MiB"),
    };
    database(&data_dir, copy.path(), &mut copied).await?;
    // Models after the database, which names one of them: older ones go, and new ones come before they are named.
    for entry in data_dir.read_dir().with_context(|| data_dir.display().to_string())? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text == "models" || text.starts_with("audit") {
            copy_all(&data_dir.join(&name), &copy.path().join(&name), &mut copied)?;
        }
    }
    drop(bar);
    fs::rename(copy.path(), &output).with_context(|| output.display().to_string())?;
    // The folder has its name: there is nothing left to delete.
    let _gone = copy.keep();
    sync(parent)?;
    Ok(print_line(&output.display().to_string())?)
}

/// The database, which tells nothing of how far it is but by its copy's size.
async fn database(data_dir: &Path, copy: &Path, copied: &mut Copied<impl FnMut(u64, u64)>) -> anyhow::Result<()> {
    let (from, to) = (Database::file(&data_dir.join("brain.db")), copy.join("brain.db"));
    let mut work = Box::pin(backup::copy(&from, &to));
    let (mut looks, mut seen) = (interval(LOOK_EVERY), 0);
    loop {
        let is_done = tokio::select! {
            done = &mut work => done.map(|()| true)?,
            _ = looks.tick() => false,
        };
        let length = size(&to);
        copied.add(length.saturating_sub(seen));
        seen = seen.max(length);
        if is_done {
            return sync(&to);
        }
    }
}

/// Bytes of a file, or of all in a folder, as far as they can be told.
fn size(path: &Path) -> u64 {
    match path.read_dir() {
        Ok(entries) => entries.flatten().map(|entry| size(&entry.path())).sum(),
        Err(_) => path.metadata().map_or(0, |file| file.len()),
    }
}

/// In whole ones.
fn mebibytes(bytes: u64) -> usize {
    usize::try_from(bytes >> 20).unwrap_or(usize::MAX)
}

/// A file, or a folder with all in it; one that is gone meanwhile is left out.
fn copy_all(from: &Path, to: &Path, told: &mut Copied<impl FnMut(u64, u64)>) -> anyhow::Result<()> {
    let mut copied = || -> io::Result<()> {
        if from.is_dir() {
            fs::create_dir(to)
        } else {
            told.add(fs::copy(from, to)?);
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
            copy_all(&from.join(&name), &to.join(&name), told)?;
        }
    }
    Ok(())
}

fn sync(path: &Path) -> anyhow::Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.with_context(|| path.display().to_string())
}
