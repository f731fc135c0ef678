//! Whom a certificate is for, and the names that it has. Pure.

use std::{collections::BTreeSet, fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use shadow::{Vantage, check_name};
use trust::{
    Role,
    name::{brain_uri, stream_uri},
};

use crate::PkiError;

/// Hosts that one agent may speak for: its certificate travels with each seal and must be at most 4 KiB, with the longest names.
pub const MAX_STREAMS: usize = 24;
/// Addresses of one broker.
pub const MAX_ADDRESSES: usize = 16;
/// The name of the server of enrolment, which nothing else may have: below a domain that no registry gives away.
pub const ENROLMENT_NAME: &str = "enrol.foreshadow.internal";

const RESERVED: &str = "foreshadow.internal";

/// A host as seen from one vantage: `web-1/inband`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Stream {
    /// Which host.
    pub host: String,
    /// From where.
    pub vantage: Vantage,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.vantage)
    }
}

impl FromStr for Stream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let (host, vantage) = parts.ok_or_else(|| format!("{text:?} is not HOST/inband or HOST/oob"))?;
        check_name(host).map_err(|fault| fault.to_string())?;
        let vantage = vantage.parse().map_err(|fault: shadow::NameError| fault.to_string())?;
        Ok(Self {
            host: host.to_owned(),
            vantage,
        })
    }
}

impl From<Stream> for String {
    fn from(stream: Stream) -> Self {
        stream.to_string()
    }
}

impl TryFrom<String> for Stream {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Whom a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The common name, which brokers take for the user's; and the name of its folder. It belongs to one role alone.
    pub name: String,
    /// What it is to the others.
    pub role: Role,
    /// What an agent may speak for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub streams: BTreeSet<Stream>,
    /// Where a broker is reached: names and addresses.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub addresses: BTreeSet<String>,
}

impl Subject {
    /// An agent called `name`, mostly its host's name, that may speak for `streams`.
    ///
    /// # Errors
    /// [`PkiError::Asked`] when the name is none, or there are no streams or too many.
    pub fn agent(name: &str, streams: BTreeSet<Stream>) -> Result<Self, PkiError> {
        checked(name)?;
        if streams.is_empty() || streams.len() > MAX_STREAMS {
            let found = streams.len();
            return Err(PkiError::Asked(format!(
                "{name}: an agent speaks for 1 to {MAX_STREAMS} hosts and vantages, not {found}; use several agents"
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            role: Role::Agent,
            streams,
            addresses: BTreeSet::new(),
        })
    }

    /// The brain. No host is called so: names of hosts do not begin with `_`.
    pub fn brain() -> Self {
        Self::only("_brain", Role::Brain)
    }

    /// A broker that is reached under `addresses`.
    ///
    /// # Errors
    /// [`PkiError::Asked`] when there are none or too many, or one is no name and no address.
    pub fn broker(addresses: BTreeSet<String>) -> Result<Self, PkiError> {
        if addresses.is_empty() || addresses.len() > MAX_ADDRESSES {
            return Err(PkiError::Asked(format!(
                "a broker has 1 to {MAX_ADDRESSES} names and addresses: what clients connect to, each with --address"
            )));
        }
        for address in &addresses {
            let name = address.to_ascii_lowercase();
            if name == RESERVED || name.ends_with(&format!(".{RESERVED}")) {
                return Err(PkiError::Asked(format!(
                    "{address}: names below {RESERVED} are not for brokers"
                )));
            }
            let is_address = address.parse::<IpAddr>().is_ok();
            if !is_address && rustls::pki_types::DnsName::try_from(address.as_str()).is_err() {
                return Err(PkiError::Asked(format!(
                    "{address:?} is no DNS name and no IP address; --address names what clients connect to"
                )));
            }
        }
        Ok(Self {
            addresses,
            ..Self::only("_broker", Role::Broker)
        })
    }

    /// Somebody who looks on.
    ///
    /// # Errors
    /// [`PkiError::Asked`] when the name is none.
    pub fn viewer(name: &str) -> Result<Self, PkiError> {
        checked(name)?;
        Ok(Self::only(name, Role::Viewer))
    }

    fn only(name: &str, role: Role) -> Self {
        Self {
            name: name.to_owned(),
            role,
            streams: BTreeSet::new(),
            addresses: BTreeSet::new(),
        }
    }

    /// Its names in a certificate of `cell`: its role first.
    pub fn uris(&self, cell: &str) -> BTreeSet<String> {
        let streams = self.streams.iter();
        let streams = streams.map(|stream| stream_uri(cell, &stream.host, stream.vantage));
        let brain = (self.role == Role::Brain).then(|| brain_uri(cell));
        [self.role.uri()].into_iter().chain(brain).chain(streams).collect()
    }

    /// What it is for, in a few words.
    pub fn describe(&self) -> String {
        let join = |parts: Vec<String>| parts.join(" ");
        match self.role {
            Role::Agent => join(self.streams.iter().map(ToString::to_string).collect()),
            Role::Broker => join(self.addresses.iter().cloned().collect()),
            Role::Brain | Role::Viewer => String::new(),
        }
    }
}

fn checked(name: &str) -> Result<(), PkiError> {
    check_name(name).map_err(|fault| PkiError::Asked(fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(all: &[&str]) -> BTreeSet<Stream> {
        all.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn names_say_what_one_may_do() {
        let gateway = Subject::agent("gw", streams(&["web-1/oob", "gw/inband"])).unwrap();
        let uris: Vec<String> = gateway.uris("lab").into_iter().collect();
        assert_eq!(
            uris,
            [
                "foreshadow:lab/gw/inband",
                "foreshadow:lab/web-1/oob",
                "foreshadow:role/agent"
            ]
        );
        let uris: Vec<String> = Subject::brain().uris("lab").into_iter().collect();
        assert_eq!(uris, ["foreshadow:lab/_brain", "foreshadow:role/brain"]);
        let viewer = Subject::viewer("ann").unwrap();
        assert_eq!(
            viewer.uris("lab").into_iter().collect::<Vec<_>>(),
            ["foreshadow:role/viewer"]
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "web-1",
            "web-1/",
            "/oob",
            "web 1/oob",
            "_x/oob",
            "a/b/oob",
            "web-1/front",
        ] {
            assert!(bad.parse::<Stream>().is_err(), "{bad}");
        }
        assert!(Subject::agent("_brain", streams(&["a/oob"])).is_err());
        assert!(Subject::agent("a", BTreeSet::new()).is_err());
        let many = (0..=MAX_STREAMS)
            .map(|n| format!("h{n}/oob").parse().unwrap())
            .collect();
        assert!(Subject::agent("a", many).is_err());
        assert!(Subject::viewer("a/b").is_err());
        for bad in ["", "*", "a b", "enrol.foreshadow.internal", "X.Foreshadow.Internal"] {
            assert!(Subject::broker(BTreeSet::from([bad.to_owned()])).is_err(), "{bad:?}");
        }
        for good in ["broker.example", "10.0.0.1", "::1", "localhost"] {
            assert!(Subject::broker(BTreeSet::from([good.to_owned()])).is_ok(), "{good}");
        }
    }
}
