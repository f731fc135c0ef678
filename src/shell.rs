//! What a shell and `man` want to know of this command, from the definitions that `--help` is made of.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use runtime::output::print;

/// Completions are printed: `foreshadow completions bash > /etc/bash_completion.d/foreshadow`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Whose
    shell: Shell,
}

/// Pages for `man`, one a command.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder for them, made where it is missing
    #[arg(long, value_name = "DIR", default_value = "man")]
    out: PathBuf,
}

/// Prints the completions of `P`.
pub(crate) fn completions<P: CommandFactory>(arguments: &CompletionsArgs) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut P::command(), "foreshadow", &mut text);
    Ok(print(&String::from_utf8(text)?)?)
}

/// Writes the man pages of `P`.
///
/// # Errors
/// A folder that cannot be written.
pub(crate) fn man<P: CommandFactory>(arguments: &ManArgs) -> anyhow::Result<()> {
    let folder = &arguments.out;
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(P::command(), folder))
        .with_context(|| format!("man pages cannot be written to {}", folder.display()))
}
