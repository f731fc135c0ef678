//! `foreshadow export`: the series of hosts into files that others read, a file a host.
//!
//! | file | what it does |
//! |---|---|
//! | `export/csv.rs` | traces, as `lab` and [`crate::trace`] read them |
//! | `export/columnar.rs` | every figure of every channel, for data frames |
//!
//! What is read is bounded: a page of rows at a time goes from the database into the file. All files are written under
//! names of no meaning and get their own at the end, so that an export that fails leaves nothing behind.

use std::{
    fs::{self, File, Permissions},
    ops::Range,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use brain::history::{Column, History, Resolution, Rows};
use clap::{Args, ValueEnum};
use runtime::{Clock, bar::Bar, output::print_line};
use shadow::UnixMs;
use tempfile::TempPath;

use self::columnar::Columns;
use crate::query::place::{Place, Scope};

mod columnar;
mod csv;

/// Rows that are held at a time.
const PAGE: usize = 50_000;

/// What to export, and whereto.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 when there is a file of at least one host; 1 when nothing is kept of what was asked for, the database cannot
be read or a file not be written: then there is no new file at all; 64 for bad usage.
Times are a span back such as 2h, RFC 3339, or seconds of the unix clock.")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    scope: Scope,
    /// csv and csv.gz are traces (docs/traces.md), with the means of the channels; parquet has every figure
    #[arg(long, value_enum)]
    format: Format,
    /// What a row spans: 10s (a row of the grid), 1m or 1h
    #[arg(long, value_name = "10s|1m|1h", default_value = "10s")]
    resolution: Resolution,
    /// Folder of the files, HOST.csv, HOST.csv.gz or HOST.parquet; made when it is not there. Files of before are replaced
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    #[value(name = "csv.gz")]
    CsvGz,
    Parquet,
}

impl Format {
    const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::CsvGz => "csv.gz",
            Self::Parquet => "parquet",
        }
    }

    fn columns(self) -> Vec<Column> {
        match self {
            Self::Csv | Self::CsvGz => Column::means(None),
            Self::Parquet => Column::of(None),
        }
    }

    /// Rows without which a file is none: a trace tells the distance of its rows by them.
    const fn least(self) -> usize {
        match self {
            Self::Csv | Self::CsvGz => 2,
            Self::Parquet => 1,
        }
    }

    fn writer(self, file: File, host: &str, resolution: Resolution) -> anyhow::Result<Box<dyn Writer>> {
        Ok(match self {
            Self::Csv => Box::new(csv::Traces::new(file)?),
            Self::CsvGz => Box::new(csv::Traces::packed(file)?),
            Self::Parquet => Box::new(Columns::new(file, host, resolution, &self.columns())?),
        })
    }
}

/// One file.
trait Writer {
    /// Takes further rows.
    fn write(&mut self, rows: &Rows) -> anyhow::Result<()>;

    /// Ends the file, with all of it on the disk.
    fn finish(self: Box<Self>) -> anyhow::Result<()>;
}

/// A file that is whole but has not its name yet.
struct Done {
    written: TempPath,
    name: PathBuf,
    rows: usize,
}

/// Exports what the arguments ask for.
///
/// # Errors
/// When there is nothing to export, the database cannot be read, or a file cannot be written.
pub(crate) async fn main(arguments: ExportArgs) -> anyhow::Result<()> {
    let within = arguments.scope.within(Clock::system().now_ms())?;
    let mut history = History::open(&arguments.place.database()?).await?;
    let hosts = arguments.scope.all_hosts(&mut history).await?;
    let folder = &arguments.output;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let (mut done, bar) = (Vec::new(), Bar::new());
    for (at, host) in hosts.iter().enumerate() {
        // It becomes the name of a file, and a database may come from anywhere.
        shadow::check_name(host).with_context(|| format!("host {host:?}"))?;
        let file = one(&mut history, host, &within, &arguments).await?;
        if file.is_none() {
            tracing::warn!(host, "too few rows are kept for a file");
        }
        done.extend(file);
        bar.tell(at + 1, hosts.len(), "hosts");
    }
    history.close().await?;
    ensure!(
        !done.is_empty(),
        "nothing is kept of what was asked for: an earlier --since may help; `foreshadow query hosts` tells what there is"
    );
    for Done { written, name, rows } in done {
        written.persist(&name).with_context(|| name.display().to_string())?;
        print_line(&format!("{} ({rows} rows)", name.display()))?;
    }
    Ok(())
}

/// One host, page by page.
async fn one(
    history: &mut History,
    host: &str,
    within: &Range<UnixMs>,
    arguments: &ExportArgs,
) -> anyhow::Result<Option<Done>> {
    let (format, folder) = (arguments.format, arguments.output.as_path());
    let place = || folder.display().to_string();
    let (file, written) = temporary(folder).with_context(place)?;
    let mut writer = format.writer(file, host, arguments.resolution).with_context(place)?;
    let (columns, mut from, mut count) = (format.columns(), within.start, 0);
    loop {
        let wanted = (arguments.resolution, PAGE);
        let rows = history.page(host, &columns, &(from..within.end), wanted).await?;
        let Some(last_ms) = rows.begin_ms.last() else { break };
        from = last_ms + 1;
        count += rows.len();
        writer.write(&rows).with_context(place)?;
    }
    if count < format.least() {
        return Ok(None);
    }
    writer.finish().with_context(place)?;
    Ok(Some(Done {
        written,
        name: folder.join(format!("{host}.{}", format.ending())),
        rows: count,
    }))
}

/// A file that is gone unless it gets a name; who may read it is up to the umask, as of any new file.
pub(crate) fn temporary(folder: &Path) -> std::io::Result<(File, TempPath)> {
    let mut named = tempfile::Builder::new();
    let named = named.prefix(".foreshadow-").permissions(Permissions::from_mode(0o666));
    Ok(named.tempfile_in(folder)?.into_parts())
}
