//! TLS 1.3 and 1.2 at the page's listener: its certificate, read anew when the files change.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use trust::{
    TrustError,
    files::{self, Stamp, stamp},
};

use crate::config::Tls;

/// The certificate that is shown.
#[derive(Debug)]
pub(crate) struct Certificates {
    files: Tls,
    stamps: Mutex<[Stamp; 2]>,
    current: RwLock<Arc<ServerConfig>>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// Which of them is of no use, and why.
    pub(crate) fn load(files: Tls) -> Result<Self, TrustError> {
        let stamps = stamps(&files);
        let current = load(&files)?;
        Ok(Self {
            files,
            stamps: Mutex::new(stamps),
            current: RwLock::new(Arc::new(current)),
        })
    }

    /// Reads them anew if they have changed. What is of no use is told once, and those before hold on: certificate and key are
    /// two files, and between them they do not go together.
    pub(super) fn refresh(&self) {
        let found = stamps(&self.files);
        let mut known = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == found {
            return;
        }
        *known = found;
        let file = self.files.certificate.display();
        match load(&self.files) {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!(%file, "the page's certificate is read anew");
            }
            Err(fault) => tracing::error!(%fault, "page.tls: not taken; the certificate before holds on"),
        }
    }

    /// What a handshake needs now.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn stamps(files: &Tls) -> [Stamp; 2] {
    [&files.certificate, &files.key].map(|path| stamp(path))
}

fn load(tls: &Tls) -> Result<ServerConfig, TrustError> {
    let pem = files::read(&tls.certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| content(&tls.certificate, &error))?;
    let key =
        PrivateKeyDer::from_pem_slice(&files::read_private(&tls.key)?).map_err(|error| content(&tls.key, &error))?;
    if chain.is_empty() {
        return Err(content(
            &tls.certificate,
            &"holds no certificate in PEM; is it the right file?",
        ));
    }
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let config = builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| {
        let key = tls.key.display();
        content(
            &tls.certificate,
            &format!("does not go together with the key {key}, name a pair that was issued together: {error}"),
        )
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn content(path: &Path, what: &impl ToString) -> TrustError {
    TrustError::Content {
        path: path.to_owned(),
        what: what.to_string(),
    }
}
