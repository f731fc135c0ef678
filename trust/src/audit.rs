//! The audit log: who has done what and when, in a file that is only appended to. Each line holds the digest of the line
//! before, so that none can be changed, taken out or put in without the chain breaking at that place.
//!
//! What it cannot show: that whoever may write the file has rewritten all of it, or has cut off its end. Against that, keep
//! what [`verify`](verify()) tells of the last line somewhere else, or send the file on as it grows.
//!
//! One line is one JSON object: `n` (lines are numbered), `time_ms`, `kind`, `what`, `who`, `details`, `before` (the digest
//! of the line before, without its end; zeros before the first). A full file is renamed to `FILE.1`, `FILE.2` and so on, and the
//! next one goes on with numbers and chain.

mod log;
mod queue;
mod verify;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use shadow::UnixMs;

pub use log::Log;
pub use queue::{Audit, keep_trail};
pub use verify::{Broken, Report, verify};

/// The longest line that is written or read, in bytes.
pub const MAX_LINE: usize = 16 << 10;

/// The longest text in an entry, in bytes; what is longer is cut.
pub const MAX_TEXT: usize = 512;

/// The most details that an entry has.
pub const MAX_DETAILS: usize = 16;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Bytes of a file; a line that does not fit begins the next one.
    pub file_bytes: u64,
    /// Full files; the oldest goes.
    pub files: usize,
}

impl Default for Keep {
    /// 16 files of 16 MiB: some million lines.
    fn default() -> Self {
        Self {
            file_bytes: 16 << 20,
            files: 16,
        }
    }
}

/// What kind of thing is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A file begins.
    Begin,
    /// A command was issued.
    Command,
    /// An agent has told what it did with a command.
    Outcome,
    /// Something was refused: a message, a login, a request.
    Refusal,
    /// A person has approved or declined something.
    Approval,
    /// Somebody has come in, or has left.
    Login,
    /// A key or a certificate was made, revoked or replaced.
    Key,
    /// Lines are missing here: more came than could be written. `details.lines` tells how many.
    Lost,
    /// A line was not finished here: the process or the machine ended while it was written.
    Torn,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, in milliseconds of the unix clock.
    pub time_ms: UnixMs,
    /// What kind of thing.
    pub kind: What,
    /// What has happened, in a word or two: `issued`, `revoked`, `done`.
    pub what: String,
    /// Who has done it, or to whom: a host, a user, a part.
    pub who: String,
    /// More of it, by name.
    pub details: BTreeMap<String, String>,
}

impl Entry {
    /// `what` of `who`, without details.
    pub fn new(time_ms: UnixMs, kind: What, what: impl Into<String>, who: impl Into<String>) -> Self {
        Self {
            time_ms,
            kind,
            what: what.into(),
            who: who.into(),
            details: BTreeMap::new(),
        }
    }

    /// The same with one detail more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.details.insert(name.to_owned(), value.to_string());
        self
    }
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    n: u64,
    time_ms: UnixMs,
    kind: What,
    what: String,
    who: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, String>,
    before: String,
}

impl Line {
    fn new(n: u64, entry: &Entry, before: String) -> Self {
        let details = entry.details.iter().take(MAX_DETAILS);
        Self {
            n,
            time_ms: entry.time_ms,
            kind: entry.kind,
            what: cut(&entry.what),
            who: cut(&entry.who),
            details: details.map(|(name, value)| (cut(name), cut(value))).collect(),
            before,
        }
    }
}

/// At most [`MAX_TEXT`] bytes of `text`.
fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
