//! The freeze switch: somebody says that nothing is to move, and nothing moves until somebody lets it.
//!
//! While it is on no command changes anything: no reservation is raised, lowered or put into force. What agents hold is
//! told again unchanged before it runs out ([`super::renew`]), for to let it run out would change every limit of the cell
//! within minutes, which is what whoever freezes a cell does not want. An agent still raises what it holds under pressure,
//! by itself and within its lease. The switch is stored and outlives a restart.

use serde::{Deserialize, Serialize};
use shadow::UnixMs;
use tokio::sync::oneshot;
use utoipa::ToSchema;

/// Who has frozen the cell, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Freeze {
    /// Who, by their own word.
    pub by: String,
    /// Why, in their words, or empty.
    pub reason: String,
    /// Since when.
    pub since_ms: UnixMs,
}

/// Somebody turns the switch.
#[derive(Debug)]
pub struct FreezeSwitch {
    /// On or off.
    pub is_on: bool,
    /// Who, by their own word.
    pub by: String,
    /// Why, in their words, or empty.
    pub reason: String,
    /// Told how it stands then.
    pub done: oneshot::Sender<Option<Freeze>>,
}
