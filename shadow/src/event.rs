//! Events: what a register, a log or a sensor told that is not a sample.

use serde::Serialize;

use crate::UnixMs;

/// The most details of an event.
pub const MAX_DETAILS: usize = 64;

/// Something that changed or happened on a host, as its agent saw it.
///
/// An event takes a sequence of its epoch, as a frame does: it is spooled until it is durable, asked for again
/// where it is missing, and taken in once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The epoch that it was told in.
    pub epoch: u64,
    /// Its place among the frames and events of the epoch: 0, 1, 2, ...
    pub sequence: u64,
    /// When the agent saw it.
    pub time_ms: UnixMs,
    /// What happened.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What a probe finds, before it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The probe: `pci`, `mce`, `bmc`, ...
    pub source: String,
    /// What it is about: `0000:01:00.0`, `cpu 3 bank 5`, a sensor's name.
    pub subject: String,
    /// What kind of thing happened, in lower case with underscores: `link_degraded`, `corrected_error`, ...
    pub kind: String,
    /// How bad it is.
    pub severity: Severity,
    /// In words, for people.
    pub text: String,
    /// Names and values as the source gives them, at most [`MAX_DETAILS`].
    pub details: Vec<(String, String)>,
}

/// How bad an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something is worse than it should be, and works.
    Warning,
    /// Something is broken, or about to be.
    Critical,
}

impl Severity {
    /// The word for people, JSON and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Critical]
            .into_iter()
            .find(|severity| severity.as_str() == word)
    }
}
