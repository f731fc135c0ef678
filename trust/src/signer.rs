//! Who has sealed something, and what he signs after that.

use rustls_pki_types::CertificateDer;
use shadow::{UnixMs, wire::split_signature};
use webpki::EndEntityCert;

use crate::{Scope, SealError, Validity};

/// Whoever has sealed a birth: his signature on frames, events and holes of the same stream needs no certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    certificate: CertificateDer<'static>,
    validity: Validity,
}

impl Signer {
    /// By a certificate that an authority has vouched for.
    pub(crate) fn of(der: &[u8]) -> Result<Self, SealError> {
        let fault = || SealError::Certificate("it is no X.509 certificate".to_owned());
        Ok(Self {
            certificate: CertificateDer::from(der.to_vec()),
            validity: Validity::of(der).ok_or_else(fault)?,
        })
    }

    pub(crate) const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Whether he has signed `message` for `scope`, with a certificate that is good now. Some 60 microseconds.
    ///
    /// Nobody is asked whether the certificate was revoked: ask [`Authorities::vouches`](crate::Authorities::vouches)
    /// when the files of the authorities change.
    ///
    /// # Errors
    /// [`SealError`] with what is wrong first.
    pub fn check(&self, scope: &Scope<'_>, message: &[u8], now_ms: UnixMs) -> Result<(), SealError> {
        let found = split_signature(scope.kind.as_str(), message)?.ok_or(SealError::Missing)?;
        if !self.validity.holds(now_ms) {
            return Err(SealError::Certificate("it is not good now".to_owned()));
        }
        let certificate = EndEntityCert::try_from(&self.certificate);
        let certificate = certificate.map_err(|error| SealError::Certificate(error.to_string()))?;
        let mut signed = scope.context();
        signed.extend_from_slice(found.signed);
        let good = certificate.verify_signature(webpki::ring::ED25519, &signed, found.signature);
        good.map_err(|_| SealError::Signature)
    }
}
