//! Enrolment over TLS: a host makes its key, shows a one-time token, and is given its certificate.
//!
//! The token names the authority by the digest of its certificate, so that the host knows the server before it says anything
//! ([`pin`]); the server knows the host by the token. Each says one line of JSON:
//!
//! ```text
//! host    {"version":1,"token":"...","request":"-----BEGIN CERTIFICATE REQUEST-----..."}
//! server  {"certificate":"...","ca":"...","crl":"..."}      or {"refused":"why"}
//! ```

pub mod client;
pub mod pin;
pub mod server;
pub mod tries;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::issue::MAX_REQUEST;

/// What both speak; another version is refused.
pub const VERSION: u32 = 1;

/// The longest line of a host: a request, whose line ends take two bytes in JSON, and a token.
pub const MAX_QUESTION: u64 = 2 * MAX_REQUEST as u64;

/// The longest line of the server: two authorities, and their lists of some ten thousand revoked certificates.
pub const MAX_ANSWER: u64 = 4 << 20;

/// What a host says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// [`VERSION`].
    pub version: u32,
    /// The token's secret, as its text.
    pub token: String,
    /// The request, in PEM.
    pub request: String,
}

/// What the server says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Answer {
    /// All of it in PEM.
    Enrolled {
        /// The certificate.
        certificate: String,
        /// The authorities of the cell.
        ca: String,
        /// What they have revoked.
        crl: String,
    },
    /// Nothing was issued.
    Refused {
        /// Why.
        refused: String,
    },
}

/// Reads one line of at most `most` bytes, without its end.
async fn line(from: &mut (impl AsyncRead + Unpin), most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut from = from.take(most);
    loop {
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            return Ok(bytes);
        }
        if from.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                format!("no line of at most {most} bytes"),
            ));
        }
    }
}

#[cfg(test)]
mod tests;
