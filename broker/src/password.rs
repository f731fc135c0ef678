//! `password NAME`: sets the password of a user in the broker's list.

use std::path::PathBuf;

use clap::Args;

use crate::access::passwords;

/// Sets the password of a user of the broker, read from the terminal or from the first line of standard input
#[derive(Debug, Clone, Args)]
pub struct PasswordArgs {
    /// The user
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The list, as `access.passwords` names it; made if it is not there, for its owner alone to read
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
}

/// Reads a password and writes its hash.
///
/// # Errors
/// What does not work, in words.
pub(crate) fn run(arguments: &PasswordArgs) -> anyhow::Result<()> {
    let password = runtime::prompt::new_password(&arguments.name)?;
    passwords::set(&arguments.file, &arguments.name, &password)?;
    runtime::output::print_line(&format!(
        "{}: password of {} is set; a broker that runs takes it at SIGHUP",
        arguments.file.display(),
        arguments.name
    ))?;
    Ok(())
}
