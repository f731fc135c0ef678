//! Names of hosts and cells, and from where a host is seen.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name, in bytes: a DNS label.
pub const MAX_NAME: usize = 63;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// The name has no character, or more than [`MAX_NAME`].
    #[error("name {0:?} has {1} bytes; 1 to {MAX_NAME} are allowed")]
    Length(String, usize),
    /// The name has a character that a topic level may not carry.
    #[error(
        "name {name:?} has {found:?} at byte {at}; letters, digits, '.' and '-' are allowed, the first a letter or digit"
    )]
    Character {
        /// The whole name.
        name: String,
        /// The first character refused.
        found: char,
        /// Its offset in bytes.
        at: usize,
    },
    /// Neither `inband` nor `oob`.
    #[error("vantage {0:?} is neither inband nor oob")]
    Vantage(String),
}

/// Checks the name of a host or a cell: `[A-Za-z0-9][A-Za-z0-9.-]{0,62}`.
///
/// # Errors
/// [`NameError`] with the first fault.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() || name.len() > MAX_NAME {
        let shown = name.chars().take(MAX_NAME).collect();
        return Err(NameError::Length(shown, name.len()));
    }
    let allowed = |at: usize, c: char| c.is_ascii_alphanumeric() || (at > 0 && matches!(c, '.' | '-'));
    match name.char_indices().find(|&(at, c)| !allowed(at, c)) {
        None => Ok(()),
        Some((at, found)) => Err(NameError::Character {
            name: name.to_owned(),
            found,
            at,
        }),
    }
}

/// From where an agent sees a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// On the host itself.
    Inband,
    /// Out of band: beside its BMC.
    Oob,
}

impl Vantage {
    /// The topic level of this vantage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inband => "inband",
            Self::Oob => "oob",
        }
    }
}

impl fmt::Display for Vantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Vantage {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "inband" => Ok(Self::Inband),
            "oob" => Ok(Self::Oob),
            _ => Err(NameError::Vantage(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_topic_levels() {
        for good in ["a", "web-1.rack2", "0", &"x".repeat(63)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "-a",
            ".a",
            "a/b",
            "a+",
            "#",
            "a b",
            "a\u{0}",
            "ä",
            "a\n",
            &"x".repeat(64),
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
