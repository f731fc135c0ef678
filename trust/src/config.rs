//! Which files say who is trusted, and who this is: the table `[trust]` of agent and brain.

use std::path::{Path, PathBuf};

use runtime::{Faults, Validate};
use serde::{Deserialize, Serialize};

/// Which files say who is trusted, and who this is. All are PEM, and may be renewed while they are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The authorities of the cell: one, or while it is replaced both.
    pub ca: PathBuf,
    /// Certificates that are no longer good, of each authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<PathBuf>,
    /// Who this is: of several, the one that was issued last and is good now seals.
    pub identities: Vec<Pair>,
    /// Whether an agent signs each frame, event and hole, which makes it 67 bytes longer, and whether a brain takes no
    /// others.
    #[serde(default = "yes")]
    pub sign_frames: bool,
}

const fn yes() -> bool {
    true
}

/// A certificate and its key, Ed25519.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key, which others must not be able to read: mode 600, or 640 where its group reads it.
    pub key: PathBuf,
}

impl Config {
    /// Every file that is read.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.identities.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        [&self.ca]
            .into_iter()
            .chain(&self.crl)
            .chain(pairs)
            .map(PathBuf::as_path)
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        let message = "name at least one certificate with its key";
        faults.require(!self.identities.is_empty(), "identities", message);
        let named = self.files().all(|file| !file.as_os_str().is_empty());
        faults.require(named, "ca", "no path of a file may be empty");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_needed() {
        let mut faults = Faults::default();
        let config = Config {
            ca: "ca.pem".into(),
            crl: Some("".into()),
            identities: Vec::new(),
            sign_frames: true,
        };
        config.validate(&mut faults);
        let keys: Vec<String> = faults.into_vec().into_iter().map(|fault| fault.key).collect();
        assert_eq!(keys, ["identities", "ca"]);
    }
}
