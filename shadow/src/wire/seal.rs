//! The seal of a message: its last two fields, a certificate and a signature over every byte before.
//!
//! Both are fields that the message itself does not have, so that who knows nothing of seals reads a sealed message as
//! any other. What a signature is worth is for the crate `trust` to say; here it is only found.
//!
//! What is told often (frames, events, holes) has the signature alone: its reader knows by a birth whose it is.

use super::{WireError, scan};

/// The longest certificate, in bytes of DER: some hundred are usual.
pub const MAX_CERTIFICATE_BYTES: usize = 4 << 10;

/// An Ed25519 signature, in bytes (RFC 8032, 5.1.6).
pub const SIGNATURE_BYTES: usize = 64;

const CERTIFICATE: u64 = 100;
const SIGNATURE: u64 = 101;

/// A message's seal, and what it is a seal of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal<'a> {
    /// Everything before the signature's field, the certificate among it.
    pub signed: &'a [u8],
    /// DER, 1 to [`MAX_CERTIFICATE_BYTES`]. Nothing of it is checked.
    pub certificate: &'a [u8],
    /// Not checked.
    pub signature: &'a [u8; SIGNATURE_BYTES],
}

/// A signature, and what it is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// Everything before the signature's field.
    pub signed: &'a [u8],
    /// Not checked.
    pub signature: &'a [u8; SIGNATURE_BYTES],
}

/// Finds the seal of a `message` (`birth`, `command`, ...); `None` where it has none.
///
/// # Errors
/// [`WireError`] when it is not protobuf, or certificate and signature do not stand at its end, once, in this order.
pub fn split_seal<'a>(message: &'static str, bytes: &'a [u8]) -> Result<Option<Seal<'a>>, WireError> {
    let Some((certificate, Signed { signed, signature })) = split(message, bytes)? else {
        return Ok(None);
    };
    let certificate = certificate.ok_or_else(|| bad(message, "signature", "no certificate stands before it"))?;
    Ok(Some(Seal {
        signed,
        certificate,
        signature,
    }))
}

/// Finds the signature of a `message` (`frame`, `event`, `hole`); `None` where it has none.
///
/// # Errors
/// [`WireError`] when it is not protobuf, or the signature does not stand at its end, once, without a certificate.
pub fn split_signature<'a>(message: &'static str, bytes: &'a [u8]) -> Result<Option<Signed<'a>>, WireError> {
    match split(message, bytes)? {
        Some((Some(_), _)) => Err(bad(message, "certificate", "such a message has none")),
        found => Ok(found.map(|(_, signed)| signed)),
    }
}

fn bad(message: &'static str, field: &str, fault: &str) -> WireError {
    WireError::Field {
        message,
        field: field.to_owned(),
        fault: fault.to_owned(),
    }
}

/// The certificate, if there is one, and the signature.
type Found<'a> = (Option<&'a [u8]>, Signed<'a>);

fn split<'a>(message: &'static str, bytes: &'a [u8]) -> Result<Option<Found<'a>>, WireError> {
    let bad = |field: &str, fault: &str| bad(message, field, fault);
    let (mut certificate, mut seal, mut rest) = (None, None, bytes);
    for field in scan::fields(bytes) {
        if seal.is_some() {
            return Err(bad("signature", "it is not the last field"));
        }
        match field.number {
            CERTIFICATE if certificate.is_some() => return Err(bad("certificate", "there are two")),
            CERTIFICATE => {
                let sized = |der: &&[u8]| (1..=MAX_CERTIFICATE_BYTES).contains(&der.len());
                let fault = || bad("certificate", &format!("it has not 1 to {MAX_CERTIFICATE_BYTES} bytes"));
                certificate = Some(field.content.filter(sized).ok_or_else(fault)?);
            }
            SIGNATURE => {
                let signature = field.content.and_then(|bytes| bytes.try_into().ok());
                seal = Some(Signed {
                    signed: bytes.get(..bytes.len() - rest.len()).unwrap_or_default(),
                    signature: signature
                        .ok_or_else(|| bad("signature", &format!("it has not {SIGNATURE_BYTES} bytes")))?,
                });
            }
            _ if certificate.is_some() => return Err(bad("certificate", "it does not stand before the signature")),
            _ => {}
        }
        rest = field.rest;
    }
    if !rest.is_empty() {
        return Err(WireError::Malformed {
            message,
            reason: "a field is cut off or of no known kind".to_owned(),
        });
    }
    if certificate.is_some() && seal.is_none() {
        return Err(bad("certificate", "no signature stands behind it"));
    }
    Ok(seal.map(|seal| (certificate, seal)))
}

/// Appends a certificate (DER, 1 to [`MAX_CERTIFICATE_BYTES`]) to an encoded message. What is there then is to be signed.
pub fn push_certificate(message: &mut Vec<u8>, certificate: &[u8]) {
    push(message, CERTIFICATE, certificate);
}

/// Appends the signature: the message is sealed.
pub fn push_signature(message: &mut Vec<u8>, signature: &[u8; SIGNATURE_BYTES]) {
    push(message, SIGNATURE, signature);
}

fn push(message: &mut Vec<u8>, number: u64, content: &[u8]) {
    prost::encoding::encode_varint((number << 3) | 2, message);
    prost::encoding::encode_varint(content.len() as u64, message);
    message.extend_from_slice(content);
}
