//! TLS 1.3 and 1.2 at the broker's port: its certificate, and those that clients may show.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use thiserror::Error;
use trust::TrustError;

use crate::config::Tls;

/// The largest file that is read, in bytes: a list of some ten thousand revoked certificates.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Why certificates, keys or lists are of no use.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {what}", path = .path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The files do not go together.
    #[error("certificate, key and authorities do not go together: {0}")]
    Together(String),
}

/// What the port needs.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) config: Arc<ServerConfig>,
    /// Tells whether a certificate of a client still counts.
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
    /// The digest of the broker's certificate (SHA-256, in hexadecimal digits), and that of the list of revoked ones.
    pub(crate) certificate: String,
    pub(crate) crl: Option<String>,
}

/// What the port needs, from the files as they are now.
pub(crate) fn load(tls: &Tls) -> Result<Port, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let crl = tls
        .crl
        .as_deref()
        .map(all::<CertificateRevocationListDer<'_>>)
        .transpose()?;
    let crl_digest = crl.as_ref().map(|lists| digest(lists.iter().map(AsRef::as_ref)));
    let verifier = verifier(tls, crl, &provider)?;
    let chain = all::<CertificateDer<'_>>(&tls.certificate)?;
    let certificate = digest(chain.first().map(AsRef::as_ref));
    let key = PrivateKeyDer::from_pem_slice(&read_private(&tls.key)?).map_err(|error| content(&tls.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(together)?
        .with_client_cert_verifier(verifier.clone())
        .with_single_cert(chain, key)
        .map_err(together)?;
    // A client that comes back shows its certificate again, which may have been revoked since; and ten thousand
    // sessions that might be resumed take memory.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Port {
        config: Arc::new(config),
        verifier,
        certificate,
        crl: crl_digest,
    })
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let bytes: Vec<u8> = parts.into_iter().flatten().copied().collect();
    trust::secret::hex(&trust::secret::digest(&bytes))
}

fn verifier(
    tls: &Tls,
    crl: Option<Vec<CertificateRevocationListDer<'static>>>,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(ca) = &tls.client_ca else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    for authority in all::<CertificateDer<'_>>(ca)? {
        roots.add(authority).map_err(|error| content(ca, &error))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if let Some(revoked) = crl {
        builder = builder.with_crls(revoked).only_check_end_entity_revocation();
    }
    if !tls.require_client_certificate {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(together)
}

/// Every object of this kind in a file, at least one.
fn all<T: PemObject>(path: &Path) -> Result<Vec<T>, TlsError> {
    let bytes = read(path)?;
    let found: Result<Vec<T>, pem::Error> = T::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(content(
            path,
            &"holds nothing of this kind in PEM; is it the right file?",
        )),
        Ok(found) => Ok(found),
        Err(error) => Err(content(path, &error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(content(
            path,
            &format!("more than {MAX_FILE} bytes; is it the right file?"),
        ));
    }
    Ok(bytes)
}

/// As [`read`], of the key: others must not be able to read it, nor anybody but its owner to write it.
fn read_private(path: &Path) -> Result<Vec<u8>, TlsError> {
    trust::files::read_private(path).map_err(|fault| match fault {
        TrustError::File { path, source } => TlsError::Read { path, source },
        TrustError::Content { path, what } => TlsError::Content { path, what },
    })
}

fn content(path: &Path, what: &impl ToString) -> TlsError {
    TlsError::Content {
        path: path.to_owned(),
        what: what.to_string(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn together(error: impl ToString) -> TlsError {
    TlsError::Together(error.to_string())
}
