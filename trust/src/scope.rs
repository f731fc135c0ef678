//! What a seal is good for: one kind of message, of or for one host, seen from one vantage, in one cell.

use shadow::Vantage;

use crate::name::{Role, brain_uri, stream_uri};

/// What is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// By the brain, for an agent.
    Command,
    /// By the brain, for an agent: it forgets what this says is durable.
    Watermark,
    /// By an agent.
    Birth,
    /// By an agent.
    Outcome,
    /// A frame, signed by an agent.
    Delta,
    /// Signed by an agent.
    Event,
    /// Signed by an agent.
    Hole,
}

impl Kind {
    /// The word in topics and in what is signed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Watermark => "watermark",
            Self::Birth => "birth",
            Self::Outcome => "outcome",
            Self::Delta => "delta",
            Self::Event => "event",
            Self::Hole => "hole",
        }
    }
}

/// What a seal is good for. A message that is sealed for one scope is nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Of what.
    pub kind: Kind,
    /// In which cell.
    pub cell: &'a str,
    /// Of, or for, which host.
    pub host: &'a str,
    /// By, or for, the agent that sees it from there.
    pub vantage: Vantage,
}

impl Scope<'_> {
    /// What is signed before the message: `foreshadow.v1`, kind, cell, host and vantage, each with a byte 0 behind it.
    /// No name has one, so that different scopes never give the same bytes; and no handshake of TLS, which the same key
    /// signs as well, begins so (RFC 8446, 4.4.3; RFC 5246, 7.4.8).
    pub(crate) fn context(&self) -> Vec<u8> {
        let Self {
            kind,
            cell,
            host,
            vantage,
        } = self;
        format!("foreshadow.v1\0{}\0{cell}\0{host}\0{vantage}\0", kind.as_str()).into_bytes()
    }

    /// The names that a certificate must have to seal this.
    pub(crate) fn names(&self) -> [String; 2] {
        match self.kind {
            Kind::Command | Kind::Watermark => [Role::Brain.uri(), brain_uri(self.cell)],
            Kind::Birth | Kind::Outcome | Kind::Delta | Kind::Event | Kind::Hole => {
                [Role::Agent.uri(), stream_uri(self.cell, self.host, self.vantage)]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_scopes_are_signed_alike() {
        let mut contexts = BTreeSet::new();
        let mut scopes = 0;
        for kind in [
            Kind::Command,
            Kind::Watermark,
            Kind::Birth,
            Kind::Outcome,
            Kind::Delta,
            Kind::Event,
            Kind::Hole,
        ] {
            for cell in ["a", "a.b", "ab"] {
                for host in ["a", "b", "b.inband"] {
                    for vantage in [Vantage::Inband, Vantage::Oob] {
                        let scope = Scope {
                            kind,
                            cell,
                            host,
                            vantage,
                        };
                        contexts.insert(scope.context());
                        scopes += 1;
                    }
                }
            }
        }
        assert_eq!(contexts.len(), scopes);
        let scope = Scope {
            kind: Kind::Command,
            cell: "lab",
            host: "web-1",
            vantage: Vantage::Inband,
        };
        // As docs/wire-format.md has it.
        assert_eq!(scope.context(), b"foreshadow.v1\0command\0lab\0web-1\0inband\0");
    }
}
