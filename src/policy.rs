//! `foreshadow policy`: is a policy file good, and what does it say?

use std::path::PathBuf;

use brain::policy::{BUILT_IN, Policy};
use clap::{Args, Subcommand};
use runtime::output::print;

const CHECK_STATUS: &str = "\
Exit status: 0 when the file is good, and then what it says is printed in words; 64 when it has faults, which are all told,
each with the key where it is.";

/// Arguments of `foreshadow policy`.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Whether a policy file is good: all its faults, or what it says in words
    #[command(after_help = CHECK_STATUS)]
    Check {
        /// The policy file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// The policy that rules where a brain is given none, as a file to begin with
    Show {
        /// In words instead
        #[arg(long)]
        words: bool,
    },
}

/// Checks or shows a policy.
///
/// # Errors
/// [`runtime::ConfigError`] with all faults of the file, or an output that cannot be written.
pub(crate) fn main(arguments: &PolicyArgs) -> anyhow::Result<()> {
    let text = match &arguments.command {
        Command::Check { file } => brain::policy_of(file)?.words(),
        Command::Show { words: true } => Policy::built_in().words(),
        Command::Show { words: false } => BUILT_IN.to_owned(),
    };
    Ok(print(&text)?)
}
