//! TLS 1.3 or 1.2 towards the broker: who is trusted there, and by which certificate this client is known.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use runtime::{Faults, Validate};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use serde::{Deserialize, Serialize};

use crate::broker::{CredentialError, read, read_private};

/// TLS towards the broker. All files are PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The authorities whose word on the broker is taken: those of this file, and no others.
    pub ca: PathBuf,
    /// Certificates of brokers that are no longer good, by the same authorities, each of which needs a list here; without
    /// it, none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<PathBuf>,
    /// The certificate of this client, with what leads to its authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its key, which others must not be able to read: mode 600, or 640 where its group reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The name that the broker's certificate must have, where that is not the host that is connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

impl Validate for Tls {
    fn validate(&self, faults: &mut Faults) {
        faults.require(
            self.certificate.is_some() == self.key.is_some(),
            "certificate",
            "certificate and key stand together, or neither",
        );
        if let Some(name) = &self.server_name {
            faults.check(ServerName::try_from(name.as_str()), "server_name");
        }
    }
}

impl Tls {
    /// What a connection to `host` needs, from the files as they are now.
    ///
    /// # Errors
    /// [`CredentialError`] when one cannot be read, or they do not go together.
    pub fn client(&self, host: &str) -> Result<Arc<ClientConfig>, CredentialError> {
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(tls)?;
        let provider = Arc::new(ring::default_provider());

        let mut roots = RootCertStore::empty();
        for authority in all::<CertificateDer<'_>>(&self.ca)? {
            roots.add(authority).map_err(|error| content(&self.ca, &error))?;
        }
        let mut verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        if let Some(crl) = &self.crl {
            verifier = verifier
                .with_crls(all::<CertificateRevocationListDer<'_>>(crl)?)
                .only_check_end_entity_revocation();
        }
        let inner = verifier.build().map_err(tls)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            // Not weaker than the usual one: it is the usual one, asked for another name.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Named { name, inner }));
        let mut config = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let chain = all(certificate)?;
                let key_der =
                    PrivateKeyDer::from_pem_slice(&read_private(key)?).map_err(|error| content(key, &error))?;
                builder.with_client_auth_cert(chain, key_der).map_err(tls)?
            }
            _ => builder.with_no_client_auth(),
        };
        // Each connection has a configuration of its own, so there is nothing to resume; and a store takes memory.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// Every object of this kind in a file, at least one.
fn all<T: PemObject>(path: &Path) -> Result<Vec<T>, CredentialError> {
    let bytes = read(path)?;
    let found: Result<Vec<T>, _> = T::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(content(
            path,
            &"holds nothing of this kind in PEM; is it the right file?",
        )),
        Ok(found) => Ok(found),
        Err(error) => Err(content(path, &error)),
    }
}

fn content(path: &Path, what: &impl ToString) -> CredentialError {
    CredentialError::Content {
        path: path.to_owned(),
        what: what.to_string(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn tls(error: impl ToString) -> CredentialError {
    CredentialError::Tls(error.to_string())
}

/// Checks the broker's certificate for a name of its own: rumqttc asks for the host that it connects to.
#[derive(Debug)]
struct Named {
    name: ServerName<'static>,
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _asked: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner
            .verify_server_cert(end_entity, intermediates, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
