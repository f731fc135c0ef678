//! One-time words that let a host enrol. The authority keeps their digests alone. Pure but for random numbers.
//!
//! `foreshadow:1:CELL:SECRET:AUTHORITY`, where the last is the digest of the authority's certificate: by it the host knows
//! the server, before it says anything.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use shadow::check_name;
use trust::secret::{self, Digest};

use crate::{PkiError, Subject};

/// Bytes of a secret: 128 bits are not guessed.
const SECRET_BYTES: usize = 16;
const PREFIX: [&str; 2] = ["foreshadow", "1"];

/// A token, as a host is given it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The cell of the host.
    pub cell: String,
    secret: Vec<u8>,
    /// The digest of the authority's certificate.
    pub authority: Digest,
}

/// What the authority keeps of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The digest of the secret, two digits a byte.
    pub digest: String,
    /// Who may enrol by it.
    #[serde(flatten)]
    pub subject: Subject,
    /// Up to when, in seconds of the unix clock.
    pub until_s: i64,
    /// The serial number of what was issued for it: it is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
    /// What was answered then: told again to who asks with the same key, for the answer may have been lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// What was issued by a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The digest of the key that it was for, two digits a byte.
    pub key: String,
    /// The certificate, in PEM.
    pub certificate: String,
    /// When, in seconds of the unix clock.
    pub at_s: i64,
}

/// So long a server waits for those whose answer may have been lost, in seconds.
const ASKED_AGAIN_S: i64 = 5;

impl Pending {
    /// Whether somebody may still enrol by it at `now_s`.
    pub fn is_open(&self, now_s: i64) -> bool {
        self.used.is_none() && now_s <= self.until_s
    }

    /// Whether it was used a moment ago, so that its host may ask again at `now_s`.
    pub fn is_fresh(&self, now_s: i64) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|answer| (0..ASKED_AGAIN_S).contains(&now_s.saturating_sub(answer.at_s)))
    }

    /// What was answered to the holder of `key`, while the token would be good.
    pub fn answered(&self, key: &str, now_s: i64) -> Option<&str> {
        let answer = self
            .answer
            .as_ref()
            .filter(|answer| answer.key == key && now_s <= self.until_s)?;
        Some(&answer.certificate)
    }
}

impl Token {
    /// A new token for hosts of `cell`.
    ///
    /// # Errors
    /// [`PkiError::Random`].
    pub fn new(cell: &str, authority: Digest) -> Result<Self, PkiError> {
        let secret: [u8; SECRET_BYTES] = secret::random().ok_or(PkiError::Random)?;
        Ok(Self {
            cell: cell.to_owned(),
            secret: secret.to_vec(),
            authority,
        })
    }

    /// What the authority keeps of it.
    pub fn digest(&self) -> String {
        secret::hex(&secret::digest(&self.secret))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [name, version] = PREFIX;
        let (secret, authority) = (secret::hex(&self.secret), secret::hex(&self.authority));
        write!(f, "{name}:{version}:{}:{secret}:{authority}", self.cell)
    }
}

/// No log shows a token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, ...)", self.cell)
    }
}

impl FromStr for Token {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        // What was given is not told: it may be a secret all the same.
        let bad = || {
            PkiError::asked("this is no token: one line, foreshadow:1:CELL:SECRET:AUTHORITY, as `pki token` tells it")
        };
        let parts: Vec<&str> = text.trim().split(':').collect();
        let [name, version, cell, secret, authority] = parts[..] else {
            return Err(bad());
        };
        let secret = secret::from_hex(secret).filter(|secret| secret.len() == SECRET_BYTES);
        let authority = secret::from_hex(authority).and_then(|digest| digest.try_into().ok());
        match (secret, authority) {
            (Some(secret), Some(authority)) if [name, version] == PREFIX && check_name(cell).is_ok() => Ok(Self {
                cell: cell.to_owned(),
                secret,
                authority,
            }),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is_one() {
        let token = Token::new("lab", [7; 32]).unwrap();
        let text = token.to_string();
        assert_eq!(format!(" {text}\n").parse::<Token>().unwrap(), token);
        assert!(!format!("{token:?}").contains(text.split(':').nth(3).unwrap()));
        assert!(!token.digest().contains(text.split(':').nth(3).unwrap()));
        for cut in 0..text.len() {
            assert!(text[..cut].parse::<Token>().is_err(), "{cut}");
        }
        for bad in [
            text.replace(":1:", ":2:"),
            text.replace("lab", "a b"),
            format!("{text}:x"),
            format!("{text}0"),
        ] {
            let fault = bad.parse::<Token>().unwrap_err().to_string();
            assert!(!fault.contains(&bad), "{fault}");
        }
    }
}
