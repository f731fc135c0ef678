//! TOML files into checked types. Every fault names file, line and key.
//!
//! A configuration type derives `Deserialize` with `deny_unknown_fields` and implements [`Validate`], which
//! tells *all* that is wrong at once. Text that is no TOML, keys that are not known and values of a wrong
//! type end the reading at the first fault, for what follows cannot be trusted.

use std::{fmt, fs, io, path::Path};

use serde::de::DeserializeOwned;
use thiserror::Error;
use toml::de::DeTable;

mod faults;

pub use faults::{Fault, Faults};

/// The largest configuration file that is read, in bytes.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("configuration {file}: {source}")]
    Read {
        /// Its path.
        file: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is larger than a configuration can be.
    #[error("configuration {file}: more than {MAX_BYTES} bytes; is it the right file?")]
    TooLarge {
        /// Its path.
        file: String,
    },
    /// No TOML, a key that is not known, or a value of a wrong type.
    #[error("{file}:{line}: {}{message}", in_key(key))]
    Parse {
        /// Path of the file.
        file: String,
        /// Line in it, from 1.
        line: usize,
        /// The table or key, dotted; empty at the top.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// Values that make no sense, all of them.
    #[error("{}", list(file, faults))]
    Invalid {
        /// Path of the file.
        file: String,
        /// At least one.
        faults: Vec<Fault>,
    },
}

/// A configuration type that can tell what is wrong with its values.
pub trait Validate {
    /// Adds every fault to `faults`: ranges, names, and what does not go together.
    fn validate(&self, faults: &mut Faults);
}

/// Reads and checks the file at `path`.
///
/// # Errors
/// [`ConfigError`], ready to be shown to the person who wrote the file.
pub fn load<T: DeserializeOwned + Validate>(path: &Path) -> Result<T, ConfigError> {
    let file = path.display().to_string();
    let read = |source| ConfigError::Read {
        file: file.clone(),
        source,
    };
    if fs::metadata(path).map_err(read)?.len() > MAX_BYTES {
        return Err(ConfigError::TooLarge { file });
    }
    let text = fs::read_to_string(path).map_err(read)?;
    parse(&text, &file)
}

/// Reads and checks `text`, which is called `file` in errors.
///
/// # Errors
/// [`ConfigError::Parse`] or [`ConfigError::Invalid`].
pub fn parse<T: DeserializeOwned + Validate>(text: &str, file: &str) -> Result<T, ConfigError> {
    let config: T = toml::from_str(text).map_err(|error| parse_error(text, file, error))?;
    let mut faults = Faults::default();
    config.validate(&mut faults);
    let mut faults = faults.into_vec();
    if faults.is_empty() {
        return Ok(config);
    }
    locate(text, &mut faults);
    Err(ConfigError::Invalid {
        file: file.to_owned(),
        faults,
    })
}

/// Checks a configuration that was made in code or completed from the command line.
///
/// # Errors
/// [`ConfigError::Invalid`], with `source` in place of a file's name.
pub fn check<T: Validate>(config: &T, source: &str) -> Result<(), ConfigError> {
    let mut faults = Faults::default();
    config.validate(&mut faults);
    let faults = faults.into_vec();
    if faults.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Invalid {
        file: source.to_owned(),
        faults,
    })
}

fn parse_error(text: &str, file: &str, mut error: toml::de::Error) -> ConfigError {
    let line = error.span().map_or(1, |span| line_of(text, span.start));
    let message = error.message().to_owned();
    // The path of keys is shown by the error only when it has no text to point into.
    error.set_input(None);
    let shown = error.to_string();
    let table = shown
        .rsplit_once("\nin `")
        .and_then(|(_, rest)| rest.trim_end().strip_suffix('`'));
    // An unknown key is not on that path yet.
    let unknown = message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split_once('`'))
        .map(|(key, _)| key);
    ConfigError::Parse {
        file: file.to_owned(),
        line,
        key: table.into_iter().chain(unknown).collect::<Vec<_>>().join("."),
        message,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&b| b == b'\n').count()
}

/// Gives each fault the line of its key, or of the nearest table around it that stands in the text.
fn locate(text: &str, faults: &mut [Fault]) {
    let Ok(table) = DeTable::parse(text) else { return };
    for fault in faults {
        let (mut line, mut level) = (None, Some(table.get_ref()));
        for part in fault.key.split('.') {
            let Some((key, value)) = level.and_then(|l| l.iter().find(|(key, _)| key.get_ref() == part)) else {
                break;
            };
            line = Some(line_of(text, key.span().start));
            level = value.get_ref().as_table();
        }
        fault.line = line;
    }
}

fn in_key(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

fn list(file: &str, faults: &[Fault]) -> impl fmt::Display {
    let lines = faults.iter().map(|fault| {
        let line = fault.line.map(|line| format!(":{line}")).unwrap_or_default();
        // A fault of a whole file has no key.
        let key = match fault.key.as_str() {
            "" => String::new(),
            key => format!("{key}: "),
        };
        format!("{file}{line}: {key}{}", fault.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
