//! Identities and authorities from files that may be renewed while they are used.

use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use shadow::UnixMs;

use crate::{
    Authorities, Config, Identity, Scope, SealError, Signer, TrustError,
    files::{self, Stamp},
};

/// Who this part is and whom it believes.
#[derive(Debug)]
pub struct Trust {
    config: Config,
    cell: String,
    current: RwLock<Arc<Current>>,
    stamps: Mutex<Vec<Stamp>>,
    generation: AtomicU64,
}

#[derive(Debug)]
struct Current {
    identities: Vec<Identity>,
    authorities: Authorities,
}

/// What [`Trust::refresh`] has found.
#[derive(Debug)]
pub enum Refreshed {
    /// The files are as they were.
    Same,
    /// They are new, and hold from now on.
    Renewed,
    /// They are new, and of no use: those before hold on. Told once.
    Failed(TrustError),
}

impl Trust {
    /// Reads the files of `config`, for a part of `cell`.
    ///
    /// # Errors
    /// [`TrustError`] with the first file that is of no use.
    pub fn load(config: Config, cell: impl Into<String>) -> Result<Self, TrustError> {
        let stamps = stamps(&config);
        let current = Current::load(&config)?;
        Ok(Self {
            config,
            cell: cell.into(),
            current: RwLock::new(Arc::new(current)),
            stamps: Mutex::new(stamps),
            generation: AtomicU64::new(0),
        })
    }

    /// The cell that seals are made and read for.
    pub fn cell(&self) -> &str {
        &self.cell
    }

    /// Looks whether files have changed, and reads them then. Some microseconds where they have not.
    pub fn refresh(&self) -> Refreshed {
        let found = stamps(&self.config);
        let mut stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        if *stamps == found {
            return Refreshed::Same;
        }
        // Certificate and key are two files: between them they do not belong together, and the next look sees the second.
        *stamps = found;
        match Current::load(&self.config) {
            Err(error) => Refreshed::Failed(error),
            Ok(current) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
                self.generation.fetch_add(1, Ordering::Release);
                Refreshed::Renewed
            }
        }
    }

    /// How often files were renewed: who shares this with others sees by it that something has changed.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Seals an encoded message with the identity that was issued last of those that are good at `now_ms`.
    ///
    /// # Errors
    /// [`SealError::NoIdentity`] when none is.
    pub fn seal(&self, scope: &Scope<'_>, message: Vec<u8>, now_ms: UnixMs) -> Result<Vec<u8>, SealError> {
        let current = self.current();
        let newest = newest(&current.identities, now_ms).ok_or(SealError::NoIdentity)?;
        Ok(newest.seal(scope, message))
    }

    /// Whether frames, events and holes are signed.
    pub const fn signs_frames(&self) -> bool {
        self.config.sign_frames
    }

    /// Signs as [`Trust::seal`] seals, without the certificate.
    ///
    /// # Errors
    /// [`SealError::NoIdentity`] when none is good.
    pub fn sign(&self, scope: &Scope<'_>, message: Vec<u8>, now_ms: UnixMs) -> Result<Vec<u8>, SealError> {
        let current = self.current();
        let newest = newest(&current.identities, now_ms).ok_or(SealError::NoIdentity)?;
        Ok(newest.sign(scope, message))
    }

    /// By which key is sealed and signed at `now_ms`: another number, another key. `None` where none is good.
    pub fn signs_by(&self, now_ms: UnixMs) -> Option<u64> {
        newest(&self.current().identities, now_ms).map(Identity::number)
    }

    /// Who has sealed a message for `scope`.
    ///
    /// # Errors
    /// [`SealError`] with what is wrong first.
    pub fn signer(&self, scope: &Scope<'_>, message: &[u8], now_ms: UnixMs) -> Result<Signer, SealError> {
        self.current().authorities.signer(scope, message, now_ms)
    }

    /// Whether the certificate of `signer` still counts.
    pub fn vouches(&self, signer: &Signer, now_ms: UnixMs) -> bool {
        self.current().authorities.vouches(signer, now_ms)
    }

    /// Whether a message was sealed for `scope` by somebody who may.
    ///
    /// # Errors
    /// [`SealError`] with what is wrong first.
    pub fn check(&self, scope: &Scope<'_>, message: &[u8], now_ms: UnixMs) -> Result<(), SealError> {
        self.current().authorities.check(scope, message, now_ms)
    }

    /// Up to when something can be sealed; `None` where nothing can be at `now_ms`.
    pub fn good_until_ms(&self, now_ms: UnixMs) -> Option<UnixMs> {
        let current = self.current();
        let good = current.identities.iter().filter(|identity| identity.is_good(now_ms));
        good.map(|identity| identity.validity().not_after_ms).max()
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Current {
    fn load(config: &Config) -> Result<Self, TrustError> {
        let identities = config.identities.iter().map(Identity::load);
        Ok(Self {
            identities: identities.collect::<Result<_, _>>()?,
            authorities: Authorities::load(config)?,
        })
    }
}

/// The identity that seals at `now_ms`: while an old one and its successor are both good, the successor.
fn newest(identities: &[Identity], now_ms: UnixMs) -> Option<&Identity> {
    let good = identities.iter().filter(|identity| identity.is_good(now_ms));
    good.max_by_key(|identity| identity.validity().not_before_ms)
}

fn stamps(config: &Config) -> Vec<Stamp> {
    config.files().map(files::stamp).collect()
}
