//! `foreshadow detect`: how unusual is each row of a series?
//!
//! | file | what it does |
//! |---|---|
//! | `detect/files.rs` | files, packed or not, and the standard streams |

use std::path::PathBuf;

use anomaly::table::{self, Columns, TableError, Told};
use anyhow::{Context, anyhow};
use clap::Args;
use runtime::output::{OutputError, print_line};

mod files;

/// What to judge, and whereto.
#[derive(Debug, Args)]
#[command(after_help = "\
A row is judged by itself and the rows before it: nothing is learnt beforehand, and it works from the first row. A score of
0.24 or more is an alarm. It stands at the row that opens an incident or makes it worse; all others have 0.
An empty value or nan is a missing reading. Other columns are handed on as they are.
Exit status: 0 when all rows were judged, or nobody reads the output any more; 1 when the input is at fault or the output
cannot be written: then there is no new file; 64 for bad usage.")]
pub(crate) struct DetectArgs {
    /// A CSV with the columns timestamp and value, also packed by gzip; - is standard input
    #[arg(long, value_name = "CSV")]
    input: PathBuf,
    /// The same rows with the column anomaly_score, 0 to 1; packed where the name ends in .gz; - is standard output
    #[arg(long, value_name = "CSV")]
    output: PathBuf,
    /// Adds the column raw_score: what each row is worth by itself, in points, of which 6 are an alarm
    #[arg(long)]
    raw: bool,
}

/// Judges the rows of a series.
///
/// # Errors
/// When the input cannot be read or is at fault, or the output cannot be written.
pub(crate) fn main(arguments: &DetectArgs) -> anyhow::Result<()> {
    let (path, name) = (&arguments.output, files::name(&arguments.input));
    let input = files::open(&arguments.input).with_context(|| name.clone())?;
    let columns = if arguments.raw {
        Columns::ScoreAndPoints
    } else {
        Columns::Score
    };
    let fault = |error| match error {
        TableError::Write(source) => anyhow::Error::from(OutputError::from(source)).context(path.display().to_string()),
        of_input => anyhow!("{name}: {of_input}"),
    };
    let told = files::write(path, |output| table::detect(input, output, columns).map_err(fault))?;
    warn(&told, &name);
    if !files::is_stream(path) {
        let Told { rows, alarms, .. } = told;
        print_line(&format!("{} ({rows} rows, {alarms} alarms)", path.display()))?;
    }
    Ok(())
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
