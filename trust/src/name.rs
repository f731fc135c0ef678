//! Names in certificates, as URIs among the subject's alternative names.
//!
//! | URI | says that it is |
//! |---|---|
//! | `foreshadow:role/agent`, `.../brain`, `.../viewer` | of this role; the broker and readers of seals go by it |
//! | `foreshadow:CELL/HOST/VANTAGE` | an agent that may speak for this host, as seen from there |
//! | `foreshadow:CELL/_brain` | a brain of this cell |

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use shadow::{Vantage, check_name};

/// What all names begin with.
const SCHEME: &str = "foreshadow:";

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

/// A host, as one agent may speak for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// The cell it belongs to.
    pub cell: String,
    /// The host.
    pub host: String,
    /// From where it is seen.
    pub vantage: Vantage,
}

/// One of the names above, read back: its parts are checked, so that they can stand as levels of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// What somebody is.
    Role(Role),
    /// A host that an agent may speak for.
    Stream(Stream),
    /// The cell of a brain.
    Brain(String),
}

impl Name {
    /// The role, if it is one.
    pub const fn role(&self) -> Option<Role> {
        match self {
            Self::Role(role) => Some(*role),
            _ => None,
        }
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(uri: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{uri:?} is no name: foreshadow:role/ROLE, foreshadow:CELL/HOST/VANTAGE (inband, oob), foreshadow:CELL/_brain"
            )
        };
        let levels: Vec<&str> = uri.strip_prefix(SCHEME).ok_or_else(bad)?.split('/').collect();
        let checked = |name: &str| check_name(name).map(|()| name.to_owned()).map_err(|_| bad());
        match *levels.as_slice() {
            [cell, "_brain"] => checked(cell).map(Self::Brain),
            ["role", role] => role.parse().map(Self::Role),
            [cell, host, vantage] => Ok(Self::Stream(Stream {
                cell: checked(cell)?,
                host: checked(host)?,
                vantage: vantage.parse().map_err(|_| bad())?,
            })),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_else_is() {
        for role in [Role::Agent, Role::Brain, Role::Viewer, Role::Broker] {
            assert_eq!(role.uri().parse(), Ok(Name::Role(role)));
        }
        assert_eq!(brain_uri("lab").parse(), Ok(Name::Brain("lab".to_owned())));
        let stream = Stream {
            cell: "lab".to_owned(),
            host: "web-1.a".to_owned(),
            vantage: Vantage::Oob,
        };
        assert_eq!(
            stream_uri("lab", "web-1.a", Vantage::Oob).parse(),
            Ok(Name::Stream(stream))
        );
        // A cell may be called `role`.
        assert!(
            "foreshadow:role/_brain"
                .parse::<Name>()
                .is_ok_and(|name| name.role().is_none())
        );
        for bad in [
            "",
            "lab/_brain",
            "foreshadow:",
            "foreshadow:role/king",
            "foreshadow:+/_brain",
            "foreshadow:lab/+/inband",
            "foreshadow:lab/#/inband",
            "foreshadow:lab/_brain/inband",
            "foreshadow:lab/a/outside",
            "foreshadow:lab/a/inband/x",
            "foreshadow:lab//inband",
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }
}
