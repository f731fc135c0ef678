//! Passwords from the terminal, where what is typed is not shown, or from the first line of standard input.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    os::fd::{AsFd, BorrowedFd},
};

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// A new password of `name`: typed twice, or the first line of standard input.
///
/// # Errors
/// When there is nothing to read, or the two are not the same.
pub fn new_password(name: &str) -> anyhow::Result<String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line();
    }
    let first = ask(stdin.as_fd(), &format!("password of {name}: "))?;
    let second = ask(stdin.as_fd(), "once more: ")?;
    anyhow::ensure!(first == second, "the two are not the same; nothing was changed");
    Ok(first)
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
