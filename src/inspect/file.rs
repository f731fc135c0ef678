//! Captures, and databases of brains.

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use brain::{archive, history::Database};
use runtime::{OutputError, Shutdown};
use shadow::capture;

use super::{Filter, More, Teller, line::Reader};

/// The first bytes of an `SQLite` file: <https://www.sqlite.org/fileformat.html>
const DATABASE: &[u8] = b"SQLite format 3\0";

/// Tells what `files` hold, one after the other. A file that cannot be read to its end is reported, and the next one is
/// read all the same.
///
/// # Errors
/// When a file was not read to its end, or the output cannot be written.
pub(super) async fn tell(
    files: &[PathBuf],
    filter: &Filter,
    mut reader: Reader,
    mut teller: Teller,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for file in files {
        let told = match tell_one(file, filter, &mut reader, &mut teller, shutdown).await {
            Err(fault) if fault.is::<OutputError>() => return Err(fault),
            Err(fault) => {
                faults.push(format!("{}: {fault:#}", file.display()));
                continue;
            }
            Ok(more) => more,
        };
        if told == More::Enough {
            break;
        }
    }
    ensure!(
        faults.is_empty(),
        "{} of {} files were not read to their end: {}",
        faults.len(),
        files.len(),
        faults.join("; ")
    );
    Ok(())
}

async fn tell_one(
    file: &Path,
    filter: &Filter,
    reader: &mut Reader,
    teller: &mut Teller,
    shutdown: &Shutdown,
) -> anyhow::Result<More> {
    let mut opened = File::open(file)?;
    let mut magic = Vec::new();
    opened.by_ref().take(DATABASE.len() as u64).read_to_end(&mut magic)?;
    if magic.starts_with(DATABASE) {
        drop(opened);
        return tell_database(&Database::file(file), filter, reader, teller, shutdown).await;
    }
    if !magic.starts_with(&capture::MAGIC) {
        bail!(
            "neither a capture of a version that is known here nor a database; name what `inspect --record` or a brain has written"
        );
    }
    opened.rewind()?;
    for message in capture::Reader::new(BufReader::new(opened))? {
        let message = message?;
        if shutdown.is_triggered() {
            return Ok(More::Enough);
        }
        if filter.takes(&message.topic) && teller.tell(&reader.message(message))? == More::Enough {
            return Ok(More::Enough);
        }
    }
    Ok(More::Wanted)
}

/// Tells what a database holds.
pub(super) async fn tell_database(
    database: &Database,
    filter: &Filter,
    reader: &mut Reader,
    teller: &mut Teller,
    shutdown: &Shutdown,
) -> anyhow::Result<More> {
    let told = archive::read(database, &filter.hosts, |entry| {
        if shutdown.is_triggered() {
            return ControlFlow::Break(Ok(More::Enough));
        }
        match teller.tell(&reader.entry(entry)) {
            Ok(More::Wanted) => ControlFlow::Continue(()),
            other => ControlFlow::Break(other),
        }
    });
    match told.await.context("the database")? {
        ControlFlow::Continue(()) => Ok(More::Wanted),
        ControlFlow::Break(told) => Ok(told?),
    }
}
