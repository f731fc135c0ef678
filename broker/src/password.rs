//! `password NAME`: sets the password of a user in the broker's list.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

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
    let stdin = io::stdin();
    let password = if stdin.is_terminal() {
        let first = ask(stdin.as_fd(), &format!("password of {}: ", arguments.name))?;
        let second = ask(stdin.as_fd(), "once more: ")?;
        anyhow::ensure!(first == second, "the two are not the same; nothing was changed");
        first
    } else {
        line()?
    };
    passwords::set(&arguments.file, &arguments.name, &password)?;
    runtime::output::print_line(&format!(
        "{}: password of {} is set; a broker that runs takes it at SIGHUP",
        arguments.file.display(),
        arguments.name
    ))?;
    Ok(())
}

fn line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks without showing what is typed.
fn ask(terminal: BorrowedFd<'_>, prompt: &str) -> anyhow::Result<String> {
    write!(io::stderr(), "{prompt}")?;
    let silent = Silent::new(terminal)?;
    let line = line();
    drop(silent);
    writeln!(io::stderr())?;
    line
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: BorrowedFd<'a>) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(self.terminal, OptionalActions::Flush, &self.before) {
            tracing::warn!(%error, "the terminal may not show what is typed; `stty echo` mends it");
        }
    }
}
