//! The authorities of a cell, and whether a seal holds by their word.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime, pem::PemObject};
use shadow::{UnixMs, wire::split_seal};
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, anchor_from_trusted_cert,
};

use crate::{Config, Scope, SealError, Signer, TrustError, files};

/// Whose word counts, and which of their certificates are no longer good.
#[derive(Debug)]
pub struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    revoked: Vec<CertRevocationList<'static>>,
}

impl Authorities {
    /// Reads the files of `config`.
    ///
    /// # Errors
    /// [`TrustError`] when one cannot be read or holds no certificate or no list.
    pub fn load(config: &Config) -> Result<Self, TrustError> {
        let pem = files::read(&config.ca)?;
        let bad = |error: &dyn std::fmt::Display| {
            TrustError::content(
                &config.ca,
                format!("no authority in PEM, is it the right file? {error}"),
            )
        };
        let anchors = CertificateDer::pem_slice_iter(&pem).map(|der| {
            let der = der.map_err(|error| bad(&error))?;
            let anchor = anchor_from_trusted_cert(&der).map_err(|error| bad(&error))?;
            Ok(anchor.to_owned())
        });
        let anchors = anchors.collect::<Result<Vec<_>, TrustError>>()?;
        if anchors.is_empty() {
            return Err(bad(&"it holds no certificate"));
        }
        let mut revoked = Vec::new();
        if let Some(path) = &config.crl {
            let bad = |error: &dyn std::fmt::Display| {
                TrustError::content(path, format!("no list of revoked ones, is it the right file? {error}"))
            };
            for der in CertificateRevocationListDer::pem_slice_iter(&files::read(path)?) {
                let der = der.map_err(|error| bad(&error))?;
                let list = OwnedCertRevocationList::from_der(&der).map_err(|error| bad(&error))?;
                revoked.push(CertRevocationList::Owned(list));
            }
            if revoked.is_empty() {
                return Err(bad(&"it holds none in PEM"));
            }
        }
        Ok(Self { anchors, revoked })
    }

    /// Whether `message` was sealed for `scope`, by somebody who may, and is as it was then. Some 200 microseconds.
    ///
    /// # Errors
    /// [`SealError`] with what is wrong first.
    pub fn check(&self, scope: &Scope<'_>, message: &[u8], now_ms: UnixMs) -> Result<(), SealError> {
        self.sealed_by(scope, message, now_ms).map(drop)
    }

    /// As [`Authorities::check`]; tells who it was, so that what he signs without a certificate can be told.
    ///
    /// # Errors
    /// [`SealError`] with what is wrong first.
    pub fn signer(&self, scope: &Scope<'_>, message: &[u8], now_ms: UnixMs) -> Result<Signer, SealError> {
        Signer::of(self.sealed_by(scope, message, now_ms)?)
    }

    /// Whether a certificate still counts: an authority is no longer asked, or has revoked it.
    pub fn vouches(&self, signer: &Signer, now_ms: UnixMs) -> bool {
        let certificate = EndEntityCert::try_from(signer.certificate());
        certificate.is_ok_and(|certificate| self.vouch(&certificate, now_ms).is_ok())
    }

    /// The certificate of who has sealed `message`.
    fn sealed_by<'m>(&self, scope: &Scope<'_>, message: &'m [u8], now_ms: UnixMs) -> Result<&'m [u8], SealError> {
        let seal = split_seal(scope.kind.as_str(), message)?.ok_or(SealError::Missing)?;
        let der = CertificateDer::from(seal.certificate);
        let certificate = EndEntityCert::try_from(&der).map_err(refused)?;
        for name in scope.names() {
            if !certificate.valid_uri_names().any(|found| found == name) {
                return Err(SealError::Name(name));
            }
        }
        self.vouch(&certificate, now_ms)?;
        let mut signed = scope.context();
        signed.extend_from_slice(seal.signed);
        let good = certificate.verify_signature(webpki::ring::ED25519, &signed, seal.signature);
        good.map(|()| seal.certificate).map_err(|_| SealError::Signature)
    }

    /// Whether an authority issued it, and it is good at `now_ms`.
    fn vouch(&self, certificate: &EndEntityCert<'_>, now_ms: UnixMs) -> Result<(), SealError> {
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now_ms.max(0).unsigned_abs()));
        let lists: Vec<&CertRevocationList<'_>> = self.revoked.iter().collect();
        // Like the broker: a list goes on to count when it should have been renewed, and an authority without one is none.
        let revocation = RevocationOptionsBuilder::new(&lists)
            .ok()
            .map(|options| options.with_depth(RevocationCheckDepth::EndEntity).build());
        let usage = KeyUsage::client_auth();
        certificate
            .verify_for_usage(ALL_VERIFICATION_ALGS, &self.anchors, &[], now, usage, revocation, None)
            .map(drop)
            .map_err(refused)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn refused(error: webpki::Error) -> SealError {
    use webpki::Error;
    let what = match &error {
        // The second where an authority of the same name is known: the name is not what counts.
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => {
            "none of the known authorities has issued it".to_owned()
        }
        Error::CertExpired { .. } => "it has expired; issue another, or set this clock".to_owned(),
        Error::CertNotValidYet { .. } => "it is not good yet; is this clock right?".to_owned(),
        Error::CertRevoked => "it has been revoked".to_owned(),
        other => other.to_string(),
    };
    SealError::Certificate(what)
}
