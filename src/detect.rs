//! `foreshadow detect`: how unusual is each row of a series, or of hosts?
//!
//! | file | what it does |
//! |---|---|
//! | `detect/files.rs` | files, packed or not, and the standard streams |

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anomaly::table::{self, Columns, Detector, How, TableError, Told, host};
use anyhow::{Context, anyhow};
use clap::Args;
use runtime::{
    bar::Bar,
    output::{OutputError, print_line},
    process::Usage,
};

use crate::trace;

mod files;

/// What to judge, and whereto.
#[derive(Debug, Args)]
#[command(after_help = "\
A row is judged by itself and the rows before it: nothing is learnt beforehand, and it works from the first row. A score of
0.24 or more is an alarm. It stands at the row that opens an incident or makes it worse; all others have 0.
An empty value or nan is a missing reading. Other columns are handed on as they are.
The score of a host is how rare its row is: -log10 of the chance that 12 rows reach it. All its columns are metrics but time
and label.
Exit status: 0 when all rows were judged, or nobody reads the output any more; 1 when the input is at fault or the output
cannot be written: then there is no new file; 64 for bad usage.")]
pub(crate) struct DetectArgs {
    /// A CSV with the columns timestamp and value, also packed by gzip; - is standard input
    #[arg(long, value_name = "CSV", required_unless_present = "traces")]
    input: Option<PathBuf>,
    /// Instead of a series, hosts with all their metrics: a folder of CSVs, a file a host (docs/traces.md)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["input", "raw", "combine"])]
    traces: Option<PathBuf>,
    /// The same rows with the column `anomaly_score`, 0 to 1; of hosts, rows of host, time and score. Packed where the name
    /// ends in .gz; - is standard output
    #[arg(long, value_name = "CSV")]
    output: PathBuf,
    /// Also judges by what the series does each day at this hour, as its timestamps tell it: sees a regular event that fails
    /// to happen, from the second week on
    #[arg(long)]
    combine: bool,
    /// Adds the column `raw_score`: what each row is worth by itself, in points, of which 6 are an alarm
    #[arg(long)]
    raw: bool,
}

/// Judges the rows of a series or of hosts.
///
/// # Errors
/// When the input cannot be read or is at fault, or the output cannot be written.
pub(crate) fn main(arguments: &DetectArgs) -> anyhow::Result<()> {
    let output = &arguments.output;
    let told = match (&arguments.input, &arguments.traces) {
        (_, Some(folder)) => files::write(output, |to| hosts(folder, to, output))?,
        (Some(input), None) => series(input, arguments)?,
        (None, None) => return Err(Usage("an input is needed: --input CSV or --traces DIR".to_owned()).into()),
    };
    if files::is_stream(output) {
        return Ok(());
    }
    Ok(print_line(&format!("{} ({told})", output.display()))?)
}

/// One series.
fn series(input: &Path, arguments: &DetectArgs) -> anyhow::Result<String> {
    let name = files::name(input);
    let rows = files::open(input).with_context(|| name.clone())?;
    let how = How {
        columns: if arguments.raw {
            Columns::ScoreAndPoints
        } else {
            Columns::Score
        },
        detector: if arguments.combine {
            Detector::StatesAndDays
        } else {
            Detector::States
        },
    };
    let output = &arguments.output;
    let told = files::write(output, |to| {
        table::detect(rows, to, how).map_err(|error| fault(error, &name, output))
    })?;
    warn(&told, &name);
    let Told { rows, alarms, .. } = told;
    Ok(format!("{rows} rows, {alarms} alarms"))
}

/// Every host of a folder.
fn hosts(folder: &Path, mut to: &mut dyn Write, output: &Path) -> anyhow::Result<String> {
    let unwritten = |source| fault(TableError::Write(source), "", output);
    host::write_header(&mut to).map_err(unwritten)?;
    let (paths, mut rows) = (trace::list(folder)?, 0);
    let bar = (!files::is_stream(output)).then(Bar::new);
    for (at, path) in paths.iter().enumerate() {
        if let Some(bar) = &bar {
            bar.tell(at + 1, paths.len(), "hosts");
        }
        let place = path.display().to_string();
        // It stands in the output as it is.
        let host = trace::host_of(path).unwrap_or_default();
        shadow::check_name(host).with_context(|| format!("{place}: the host's name"))?;
        let input = files::open(path).with_context(|| place.clone())?;
        rows += host::detect(input, &mut to, host).map_err(|error| fault(error, &place, output))?;
    }
    Ok(format!("{rows} rows of {} hosts", paths.len()))
}

/// Says which file is at fault. Whoever reads the output may stop reading.
fn fault(error: TableError, input: &str, output: &Path) -> anyhow::Error {
    match error {
        TableError::Write(source) => {
            anyhow::Error::from(OutputError::from(source)).context(output.display().to_string())
        }
        of_input => anyhow!("{input}: {of_input}"),
    }
}

/// What is no fault, and yet may not be what was meant.
fn warn(told: &Told, name: &str) {
    if told.rows == 0 {
        tracing::warn!("{name}: there is no row");
    }
    if let Some(first) = told.first_falling {
        let rows = told.falling;
        tracing::warn!(
            "{name}: {rows} timestamps are not after the one before, first in line {first}; rows are taken as they come"
        );
    }
}
