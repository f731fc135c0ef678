//! Names in certificates, as URIs among the subject's alternative names.
//!
//! | URI | says that it is |
//! |---|---|
//! | `foreshadow:role/agent`, `.../brain`, `.../viewer` | of this role; the broker and readers of seals go by it |
//! | `foreshadow:CELL/HOST/VANTAGE` | an agent that may speak for this host, as seen from there |
//! | `foreshadow:CELL/_brain` | a brain of this cell |

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use shadow::Vantage;

/// What a part is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads a host and carries out commands on it.
    Agent,
    /// Stores, forecasts, commands.
    Brain,
    /// Looks on.
    Viewer,
    /// Moves the bytes.
    Broker,
}

impl Role {
    /// The word in names and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Brain => "brain",
            Self::Viewer => "viewer",
            Self::Broker => "broker",
        }
    }

    /// Its name in a certificate.
    pub fn uri(self) -> String {
        format!("foreshadow:role/{self}")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Agent, Self::Brain, Self::Viewer, Self::Broker];
        let found = all.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no role: agent, brain, viewer, broker"))
    }
}

/// The name of an agent that speaks for `host`, seen from `vantage`.
pub fn stream_uri(cell: &str, host: &str, vantage: Vantage) -> String {
    format!("foreshadow:{cell}/{host}/{vantage}")
}

/// The name of a brain of `cell`. No host is called so: names of hosts do not begin with `_`.
pub fn brain_uri(cell: &str) -> String {
    format!("foreshadow:{cell}/_brain")
}
