//! Certificate, password or neither: the name of a client, and its rules.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rumqttd::protocol::{ConnectReturnCode, Login};
use rustls::{
    CertificateError,
    pki_types::{CertificateDer, UnixTime},
};
use thiserror::Error;
use trust::{
    Bearer, Name, Role,
    access::{rules_of, viewer},
    password::{self, Hash},
};

use super::{
    Gate, MAX_WAITING, MAX_WAITING_PER_ADDRESS,
    config::Anonymous,
    files::Current,
    is_local,
    refusals::Refusal,
    rules::{Effect, Permit, Rules},
    seats::{Seat, household},
};
use crate::packet::Version;

/// Ends the name in the id of a session. No name and no client id has it.
const END_OF_NAME: char = '\u{1f}';

/// What somebody shows who wants to come in.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// Its own certificate first. An authority has vouched for it.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) login: Option<Login>,
    pub(crate) client_id: String,
    pub(crate) peer: SocketAddr,
}

/// Who a client is.
#[derive(Debug)]
pub(crate) struct Known {
    /// `None` where it did not say.
    pub(crate) name: Option<Arc<str>>,
    pub(super) client_id: Box<str>,
    pub(super) proof: Proof,
}

impl Known {
    /// Somebody of this machine without a name.
    #[cfg(test)]
    pub(crate) fn nobody() -> Self {
        Self {
            name: None,
            client_id: "".into(),
            proof: Proof::Nothing { local: true },
        }
    }

    /// What it takes, in bytes.
    pub(crate) fn cost(&self) -> usize {
        let Proof::Certificate(chain) = &self.proof else {
            return 0;
        };
        chain.iter().map(|certificate| certificate.len()).sum()
    }
}

/// Who a client is, and what it may do.
#[derive(Debug)]
pub(crate) struct Badge {
    /// A session that lasts keeps it.
    pub(crate) known: Arc<Known>,
    pub(crate) permit: Arc<Permit>,
    /// Up to when its certificate is good, in seconds of the unix clock.
    pub(super) good_until_s: Option<u64>,
    /// That of the files that were read when it came in.
    pub(super) generation: u64,
    /// Among those of its name.
    _seat: Option<Seat<Arc<str>>>,
}

/// How it was shown.
#[derive(Debug)]
pub(super) enum Proof {
    Certificate(Vec<CertificateDer<'static>>),
    /// By the password of this hash.
    Password(Arc<Hash>),
    /// Not at all, from this machine or not.
    Nothing {
        local: bool,
    },
}

/// Why somebody does not come in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Denied {
    #[error("wrong user or password")]
    Credentials,
    #[error("neither certificate nor password")]
    Anonymous,
    #[error("its certificate has no common name")]
    Nameless,
    #[error("its certificate does not count: {0}")]
    Certificate(String),
    #[error("its certificate has expired")]
    Expired,
    #[error("its user is gone, or has another password")]
    Gone,
    #[error("as many clients as may be have this name")]
    Crowded,
    #[error("too many passwords wait to be checked")]
    Busy,
}

impl Denied {
    /// What is counted.
    pub(crate) const fn refusal(&self) -> Refusal {
        match self {
            Self::Crowded => Refusal::Name,
            Self::Busy => Refusal::Busy,
            _ => Refusal::Login,
        }
    }

    /// What the client is told (3.1.1: 3.2.2.3; 5: 3.2.2.2).
    pub(crate) const fn code(&self, version: Version) -> ConnectReturnCode {
        match (self, version) {
            (Self::Credentials, _) => ConnectReturnCode::BadUserNamePassword,
            (Self::Busy, Version::V5) => ConnectReturnCode::ServerBusy,
            (Self::Crowded, Version::V5) => ConnectReturnCode::QuotaExceeded,
            (Self::Busy | Self::Crowded, Version::V4) => ConnectReturnCode::ServiceUnavailable,
            _ => ConnectReturnCode::NotAuthorized,
        }
    }
}

/// The id of a client's session: clients of different names never take each other's place, whatever ids they choose.
pub(crate) fn scoped(name: Option<&str>, client_id: &str) -> String {
    name.map_or_else(
        || client_id.to_owned(),
        |name| format!("{name}{END_OF_NAME}{client_id}"),
    )
}

/// The name in the id of a session.
pub(crate) fn name_of(id: &str) -> Option<&str> {
    id.split_once(END_OF_NAME).map(|(name, _)| name)
}

impl Gate {
    /// Finds out who this is. Whether or not it comes in stands in the audit trail, without what it showed.
    pub(crate) async fn enter(&self, credentials: Credentials) -> Result<Badge, Denied> {
        let (peer, client_id) = (credentials.peer, credentials.client_id.clone());
        let user = credentials.login.as_ref().map(|login| shortened(&login.username));
        let entered = self.login(credentials).await;
        match &entered {
            Ok(badge) => self.note_login(badge, peer, &client_id),
            Err(why) => {
                self.refused.count(why.refusal());
                self.note_denied(why, user.as_deref(), peer, &client_id);
            }
        }
        entered
    }

    async fn login(&self, credentials: Credentials) -> Result<Badge, Denied> {
        let Credentials {
            certificates,
            login,
            client_id,
            peer,
        } = credentials;
        let current = self.current();
        let login = login.filter(|_| current.passwords.is_some());
        let mut good_until_s = None;
        let (name, proof) = if let Some(first) = certificates.first() {
            let bearer = Bearer::of(first).ok_or(Denied::Nameless)?;
            good_until_s = u64::try_from(bearer.validity.not_after_ms / 1_000).ok();
            let name = bearer.common_name.ok_or(Denied::Nameless)?;
            (Some(name), Proof::Certificate(certificates))
        } else if let Some(Login { username, password }) = login {
            let hash = current.passwords.as_ref().and_then(|all| all.get(&username)).cloned();
            let good = self.check_password(peer.ip(), hash.clone(), password).await?;
            let hash = hash.filter(|_| good).ok_or(Denied::Credentials)?;
            (Some(username), Proof::Password(hash))
        } else {
            let local = is_local(peer.ip());
            (None, Proof::Nothing { local })
        };
        let name: Option<Arc<str>> = name.map(Arc::from);
        let known = Known {
            name,
            client_id: client_id.into(),
            proof,
        };
        let permit = self.judge(&current, &known)?;
        let seat = known.name.clone().map(|name| {
            let most = if permit.is_of_agent() {
                self.limits.max_connections_per_agent
            } else {
                self.limits.max_connections_per_name
            };
            let seat = self.names.take(name, most);
            seat.ok_or(Denied::Crowded)
        });
        Ok(Badge {
            _seat: seat.transpose()?,
            known: Arc::new(known),
            permit,
            good_until_s,
            generation: current.generation,
        })
    }

    /// Checks a password in a thread where nobody waits for it, when it is its turn.
    async fn check_password(&self, peer: IpAddr, hash: Option<Arc<Hash>>, password: String) -> Result<bool, Denied> {
        let waits = self
            .waiting
            .take(household(peer), MAX_WAITING_PER_ADDRESS)
            .ok_or(Denied::Busy)?;
        let in_line = self.line.take((), MAX_WAITING).ok_or(Denied::Busy)?;
        let turn = self
            .turns
            .clone()
            .acquire_owned()
            .await
            .map_err(|_closed| Denied::Busy)?;
        let checked = tokio::task::spawn_blocking(move || {
            // Held until it is done, also when the client is gone meanwhile.
            let _turn = turn;
            password::check(hash.as_deref(), password.as_bytes())
        });
        let checked = checked.await;
        drop((waits, in_line));
        checked.map_err(|_panicked| Denied::Busy)
    }

    /// What somebody may do by what the files say now; an error where it may not even be here.
    pub(super) fn judge(&self, current: &Current, known: &Known) -> Result<Arc<Permit>, Denied> {
        let (name, client_id) = (known.name.as_deref(), &*known.client_id);
        let names = match &known.proof {
            Proof::Certificate(certificates) => vouched(current, certificates)?,
            Proof::Password(hash) => {
                let known = current
                    .passwords
                    .as_ref()
                    .zip(name)
                    .and_then(|(all, name)| all.get(name));
                if known.is_none_or(|known| known != hash) {
                    return Err(Denied::Gone);
                }
                self.access().names_of(name.unwrap_or_default())
            }
            Proof::Nothing { local: false } => return Err(Denied::Anonymous),
            Proof::Nothing { local: true } => match self.access().anonymous {
                Anonymous::Everything => return Ok(self.everything.clone()),
                Anonymous::Nothing => return Err(Denied::Anonymous),
                Anonymous::Viewer | Anonymous::Listed => Vec::new(),
            },
        };
        let prefix = &self.access().prefix;
        let mut rules = Rules::of(names.contains(&Name::Role(Role::Agent)));
        let as_viewer = name.is_none() && self.access().anonymous == Anonymous::Viewer;
        let looks_on = if as_viewer { viewer(prefix, "+") } else { Vec::new() };
        for rule in rules_of(&names, prefix).into_iter().chain(looks_on) {
            rules.add(Effect::Allow(rule.access), &rule.filter);
        }
        current.acl.rules_of(name, client_id, &mut rules);
        Ok(Arc::new(Permit::Rules(rules)))
    }
}

impl Badge {
    /// `None` where it did not say.
    pub(crate) fn name(&self) -> Option<&str> {
        self.known.name.as_deref()
    }
}

/// The names of a certificate, if the authorities vouch for it now.
fn vouched(current: &Current, certificates: &[CertificateDer<'static>]) -> Result<Vec<Name>, Denied> {
    let refused = |why: &dyn std::fmt::Display| Denied::Certificate(why.to_string());
    let port = current.tls.as_ref().ok_or_else(|| refused(&"there is no TLS"))?;
    let (first, rest) = certificates.split_first().ok_or(Denied::Nameless)?;
    let verified = port.verifier.verify_client_cert(first, rest, UnixTime::now());
    verified.map_err(|error| match error {
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Denied::Expired
        }
        error => refused(&error),
    })?;
    Ok(Bearer::of(first).map(|bearer| bearer.names).unwrap_or_default())
}

impl Proof {
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "certificate",
            Self::Password(_) => "password",
            Self::Nothing { .. } => "nothing",
        }
    }
}

/// A name from the network, short enough for a line.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
