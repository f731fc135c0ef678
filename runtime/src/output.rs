//! Standard output of commands that print: whoever reads it may stop reading.

use std::io::{self, Write};

use thiserror::Error;

/// Why a command cannot print on.
#[derive(Debug, Error)]
pub enum OutputError {
    /// Its reader is gone, as `head` is after ten lines. That is no failure: [`process::run`](crate::process::run) ends
    /// the command with success and says nothing.
    #[error("nobody reads the output any more")]
    Closed,
    /// The output cannot be written: a full disk, for one.
    #[error("cannot write the output: {0}")]
    Failed(#[source] io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Failed(error)
        }
    }
}

/// Prints `text` as it is and hands it on at once.
///
/// # Errors
/// [`OutputError`]; to be passed on by `?`, for what it means is settled in [`process::run`](crate::process::run).
pub fn print(text: &str) -> Result<(), OutputError> {
    print_to(&mut io::stdout().lock(), text)
}

/// Prints `text` and a line's end.
///
/// # Errors
/// As [`print()`].
pub fn print_line(text: &str) -> Result<(), OutputError> {
    print(&format!("{text}\n"))
}

/// Standard output, for what is long. A failure to write it is to be passed on as an [`OutputError`].
pub fn stream() -> impl Write {
    io::stdout().lock()
}

/// The columns of the terminal that the output goes to; `None` where it goes elsewhere.
pub fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

fn print_to(out: &mut impl Write, text: &str) -> Result<(), OutputError> {
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_told_from_a_failure() {
        let mut out = Vec::new();
        print_to(&mut out, "a").unwrap();
        assert_eq!(out, b"a");
        let broken = |kind| print_to(&mut Broken(kind), "a").unwrap_err();
        assert!(matches!(broken(io::ErrorKind::BrokenPipe), OutputError::Closed));
        assert!(matches!(broken(io::ErrorKind::StorageFull), OutputError::Failed(_)));
    }
}
