//! What a shell and `man` want to know of these commands, from the definitions that `--help` is made of.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use runtime::output::print;

/// Completions are printed: `foreshadow completions bash > /etc/bash_completion.d/foreshadow`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Whose
    shell: Shell,
    /// Of this part's own program, foreshadow-agent and the like, in place of this one's
    #[arg(long)]
    part: Option<Part>,
}

/// Pages for `man`, one a command.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder for them, made where it is missing
    #[arg(long, value_name = "DIR", default_value = "man")]
    out: PathBuf,
    /// Of this part's own program, foreshadow-agent and the like, in place of this one's
    #[arg(long)]
    part: Option<Part>,
}

/// A part that there is as a program of its own.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    Agent,
    Broker,
    Brain,
}

/// A part's program, else `P`, with the name that it is called by.
fn command<P: CommandFactory>(part: Option<Part>) -> (Command, &'static str) {
    match part {
        None => (P::command(), "foreshadow"),
        Some(Part::Agent) => (agent::cli::Program::command(), "foreshadow-agent"),
        Some(Part::Broker) => (broker::cli::Program::command(), "foreshadow-broker"),
        Some(Part::Brain) => (brain::cli::Program::command(), "foreshadow-brain"),
    }
}

/// Prints the completions of `P`, or of a part.
pub(crate) fn completions<P: CommandFactory>(arguments: &CompletionsArgs) -> anyhow::Result<()> {
    let mut text = Vec::new();
    let (mut command, name) = command::<P>(arguments.part);
    clap_complete::generate(arguments.shell, &mut command, name, &mut text);
    Ok(print(&String::from_utf8(text)?)?)
}

/// Writes the man pages of `P`, or of a part.
///
/// # Errors
/// A folder that cannot be written.
pub(crate) fn man<P: CommandFactory>(arguments: &ManArgs) -> anyhow::Result<()> {
    let folder = &arguments.out;
    let mut command = command::<P>(arguments.part).0.disable_help_subcommand(true);
    command.build();
    fs::create_dir_all(folder)
        .and_then(|()| pages(&command, folder))
        .with_context(|| format!("man pages cannot be written to {}", folder.display()))
}

/// One page of `command`, and one of each below it.
fn pages(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, folder)?;
    }
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    fs::write(folder.join(page.get_filename()), with_exit_status(&text))
}

/// The generator puts all that stands below a command's options under `EXTRA`; where exit codes are looked for is another section.
fn with_exit_status(page: &str) -> String {
    const SECTION: &str = "\n.SH \"EXIT STATUS\"\n";
    page.replacen("\n.SH EXTRA\nExit status: ", SECTION, 1)
        .replacen("\nExit status: ", SECTION, 1)
        .replacen("\n.SH EXTRA\n", "\n.SH NOTES\n", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_have_a_section_of_their_own() {
        for (page, section) in [
            (".SH EXTRA\nExit status: 0 when", ".SH \"EXIT STATUS\"\n0 when"),
            (
                ".SH EXTRA\nA week.\nExit status: 0 when",
                ".SH NOTES\nA week.\n.SH \"EXIT STATUS\"\n0 when",
            ),
            (".SH EXTRA\nA week.", ".SH NOTES\nA week."),
            (".SH OPTIONS\nx", ".SH OPTIONS\nx"),
        ] {
            let end = "\n.SH VERSION\n";
            assert_eq!(
                with_exit_status(&format!(".TH x\n{page}{end}")),
                format!(".TH x\n{section}{end}")
            );
        }
    }
}
