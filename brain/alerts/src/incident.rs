//! What is told.

use shadow::{Severity, UnixMs};

/// What was unusual on a host at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// Where.
    pub host: String,
    /// When it began; with the host it names the incident.
    pub since_ms: UnixMs,
    /// When something unusual was last seen.
    pub until_ms: UnixMs,
    /// Whether it goes on.
    pub goes_on: bool,
    /// How bad it is.
    pub severity: Severity,
    /// The likely cause, in words.
    pub cause: String,
    /// What was seen, in words, the likely cause first.
    pub evidence: Vec<String>,
    /// Whether somebody has taken notice.
    pub is_acknowledged: bool,
}

/// Tells the time and the newest incidents, whenever it is asked.
pub trait Source: Send + Sync + 'static {
    /// Now, and what is known of incidents now: those that go on, and those that ended lately.
    fn incidents(&self) -> (UnixMs, Vec<Incident>);
}
