//! How a broker is reached, and as whom: the table `[broker]` of agent and brain.

use std::{
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
};

use runtime::{Faults, Validate};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Tls;

/// The largest file of certificates, keys or passwords that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// How a broker is reached, and as whom.
///
/// Files are read anew at each attempt to connect, so that what is renewed needs no restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The user to log in as. Not needed where a client certificate says who this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The file whose first line is that user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Encryption; without it, bytes travel in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Why a file that a connection needs is of no use.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// It cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It does not hold what it should.
    #[error("{path}: {what}", path = .path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Certificate, key and authorities do not go together.
    #[error("TLS to the broker: {0}")]
    Tls(String),
}

impl Broker {
    /// A broker in the clear, with no name to log in by.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            user: None,
            password_file: None,
            tls: None,
        }
    }

    /// Whether it is one of this machine, which nobody reaches from elsewhere.
    pub fn is_here(&self) -> bool {
        let address = self.host.trim_matches(['[', ']']).parse::<IpAddr>();
        address.map_or_else(
            |_| self.host.eq_ignore_ascii_case("localhost"),
            |address| address.is_loopback(),
        )
    }

    /// User and password, as they stand in the file now; `None` where nobody logs in.
    ///
    /// # Errors
    /// [`CredentialError`] when the password cannot be read.
    pub fn login(&self) -> Result<Option<(String, String)>, CredentialError> {
        let Some(user) = &self.user else { return Ok(None) };
        let Some(path) = &self.password_file else {
            return Ok(Some((user.clone(), String::new())));
        };
        let content = |what: &str| CredentialError::Content {
            path: path.clone(),
            what: what.to_owned(),
        };
        let text = String::from_utf8(read(path)?).map_err(|_| content("the password is no UTF-8"))?;
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() {
            return Err(content("its first line, the password, is empty"));
        }
        Ok(Some((user.clone(), password.to_owned())))
    }

    /// Whether everything that a connection needs can be read: for a clear word at the start.
    ///
    /// # Errors
    /// [`CredentialError`], the first.
    pub fn check(&self) -> Result<(), CredentialError> {
        self.login()?;
        self.tls.as_ref().map_or(Ok(()), |tls| tls.client(&self.host).map(drop))
    }
}

impl Default for Broker {
    /// A broker on this machine.
    fn default() -> Self {
        Self::new("127.0.0.1", 1883)
    }
}

impl Validate for Broker {
    fn validate(&self, faults: &mut Faults) {
        faults.require(!self.host.is_empty(), "host", "must name the broker's host");
        faults.require(self.port != 0, "port", "must be the broker's port, 1 to 65535");
        faults.require(
            self.password_file.is_none() || self.user.is_some(),
            "password_file",
            "stands without a user",
        );
        if let Some(tls) = &self.tls {
            faults.within("tls", |faults| tls.validate(faults));
        }
    }
}

/// The bytes of a small file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CredentialError> {
    let failed = |source| CredentialError::Read {
        path: path.to_owned(),
        source,
    };
    read_of(path, File::open(path).map_err(failed)?)
}

/// As [`read`], of a key: others must not be able to read it, nor anybody but its owner to write it.
pub(crate) fn read_private(path: &Path) -> Result<Vec<u8>, CredentialError> {
    let failed = |source| CredentialError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    match runtime::private::fault_of_mode(&file).map_err(failed)? {
        Some(what) => Err(CredentialError::Content {
            path: path.to_owned(),
            what,
        }),
        None => read_of(path, file),
    }
}

fn read_of(path: &Path, file: File) -> Result<Vec<u8>, CredentialError> {
    let failed = |source| CredentialError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(CredentialError::Content {
            path: path.to_owned(),
            what: format!("more than {MAX_FILE} bytes; is it the right file?"),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(broker: &Broker) -> usize {
        let mut faults = Faults::default();
        broker.validate(&mut faults);
        faults.into_vec().len()
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        assert_eq!(faults(&Broker::default()), 0);
        let tls = Tls {
            ca: "ca.pem".into(),
            crl: None,
            certificate: Some("a.pem".into()),
            key: None,
            server_name: Some("not a name".to_owned()),
        };
        let bad = Broker {
            password_file: Some("x".into()),
            tls: Some(tls),
            ..Broker::new("", 0)
        };
        assert_eq!(faults(&bad), 5);
    }

    #[test]
    fn a_broker_of_this_machine_is_known_by_its_address() {
        for (host, is_here) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("[::1]", true),
            ("localhost", true),
            ("192.0.2.1", false),
            ("broker", false),
            ("localhost.example.org", false),
        ] {
            assert_eq!(Broker::new(host, 1883).is_here(), is_here, "{host}");
        }
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let file = std::env::temp_dir().join(format!("foreshadow-bus-password-{}", std::process::id()));
        let broker = Broker {
            user: Some("u".to_owned()),
            password_file: Some(file.clone()),
            ..Broker::default()
        };
        assert_eq!(Broker::default().login().unwrap(), None);
        assert!(matches!(broker.login(), Err(CredentialError::Read { .. })));
        std::fs::write(&file, "secret word\nrest\n").unwrap();
        assert_eq!(
            broker.login().unwrap(),
            Some(("u".to_owned(), "secret word".to_owned()))
        );
        std::fs::write(&file, "\n").unwrap();
        let error = broker.login().unwrap_err().to_string();
        assert!(
            error.contains("empty") && error.contains("foreshadow-bus-password"),
            "{error}"
        );
        std::fs::remove_file(&file).unwrap();
    }
}
