//! `foreshadow audit`: whether a log of who has done what is as it was written.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use runtime::output::print_line;
use trust::audit::{Broken, verify};

/// Arguments of `foreshadow audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the chain of every line, from the oldest full file on, and names the first break
    Verify {
        /// The newest file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Does what was asked for.
///
/// # Errors
/// When the chain is broken, with the place, or the log cannot be read.
pub(crate) fn main(arguments: &AuditArgs) -> anyhow::Result<()> {
    let Command::Verify { file } = &arguments.command;
    let report = match verify(file) {
        Ok(report) => report,
        Err(Broken::File(error)) => return Err(error.into()),
        Err(broken) => bail!(
            "the chain is broken at {broken}; if that file is an audit log, its lines from there on prove nothing: compare them with a copy, \
             and find out who could write there"
        ),
    };
    let mut told = vec![format!(
        "whole: {} lines in {} files, last {}",
        report.lines, report.files, report.last
    )];
    if report.first > 0 {
        told.push(format!("lines before {} were let go", report.first));
    }
    if report.lost > 0 {
        told.push(format!("{} entries were not written, as it tells itself", report.lost));
    }
    if report.torn {
        told.push("it ends with half a line".to_owned());
    }
    Ok(print_line(&told.join("; "))?)
}
