//! An identity: a certificate of an authority, with its Ed25519 key. It seals.

use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};
use shadow::{
    UnixMs,
    wire::{MAX_CERTIFICATE_BYTES, SIGNATURE_BYTES, push_certificate, push_signature},
};
use webpki::EndEntityCert;

use crate::{Pair, Scope, TrustError, Validity, files};

/// A certificate with its key.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: Ed25519KeyPair,
    validity: Validity,
}

impl Identity {
    /// Reads both files. Of several certificates the first counts: what leads to the authority may follow.
    ///
    /// # Errors
    /// [`TrustError`] when a file cannot be read, that of the key lets others read or write it, the certificate is longer than a seal may carry, the key is not
    /// Ed25519, or they do not belong together.
    pub fn load(pair: &Pair) -> Result<Self, TrustError> {
        let Pair { certificate: path, key } = pair;
        let certificate = CertificateDer::from_pem_slice(&files::read(path)?).map_err(|error| {
            TrustError::content(path, format!("no certificate in PEM, is it the right file? {error}"))
        })?;
        let key_der = PrivatePkcs8KeyDer::from_pem_slice(&files::read_private(key)?).map_err(|error| {
            TrustError::content(key, format!("no key in PEM (PKCS #8), is it the right file? {error}"))
        })?;
        let key_pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key_der.secret_pkcs8_der()).map_err(|error| {
            TrustError::content(
                key,
                format!("no Ed25519 key, which seals need and `foreshadow pki` makes: {error}"),
            )
        })?;
        if certificate.len() > MAX_CERTIFICATE_BYTES {
            let fault = format!("longer than {MAX_CERTIFICATE_BYTES} bytes, which a seal carries at most");
            return Err(TrustError::content(path, fault));
        }
        let validity = Validity::of(&certificate).ok_or_else(|| TrustError::content(path, "no X.509 certificate"))?;
        let identity = Self {
            certificate,
            key: key_pair,
            validity,
        };
        if !identity.is_whole() {
            return Err(TrustError::content(
                path,
                format!(
                    "not the certificate of the key {}; name a pair that was issued together",
                    key.display()
                ),
            ));
        }
        Ok(identity)
    }

    /// Whether the key is that of the certificate: what one signs, the other must find good.
    fn is_whole(&self) -> bool {
        let signature = self.key.sign(b"foreshadow");
        EndEntityCert::try_from(&self.certificate).is_ok_and(|certificate| {
            let good = certificate.verify_signature(webpki::ring::ED25519, b"foreshadow", signature.as_ref());
            good.is_ok()
        })
    }

    /// From when to when its seals hold.
    pub const fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether its seals hold at `now_ms`.
    pub fn is_good(&self, now_ms: UnixMs) -> bool {
        self.validity.holds(now_ms)
    }

    /// A number by which its key is told from others.
    pub(crate) fn number(&self) -> u64 {
        let key = self.key.public_key().as_ref();
        key.iter()
            .take(8)
            .fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    /// The certificate, in DER.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// Seals an encoded message for `scope` alone. Some 30 microseconds, and the length of the certificate and 71 bytes more.
    pub fn seal(&self, scope: &Scope<'_>, mut message: Vec<u8>) -> Vec<u8> {
        push_certificate(&mut message, &self.certificate);
        self.sign(scope, message)
    }

    /// Signs an encoded message for `scope` alone: for readers who know by a seal whose signature it is. Some 30
    /// microseconds, and 67 bytes more.
    pub fn sign(&self, scope: &Scope<'_>, mut message: Vec<u8>) -> Vec<u8> {
        let mut signed = scope.context();
        signed.extend_from_slice(&message);
        let signature = self.key.sign(&signed);
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes
            .iter_mut()
            .zip(signature.as_ref())
            .for_each(|(to, from)| *to = *from);
        push_signature(&mut message, &bytes);
        message
    }
}
