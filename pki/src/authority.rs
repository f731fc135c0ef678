//! What is done with an authority: begin it, issue, renew, revoke, rotate.

mod rotation;
mod tokens;

use std::path::{Path, PathBuf};

use rcgen::PublicKeyData;
use runtime::Clock;
use shadow::check_name;
use trust::{
    Role,
    audit::{Entry, What},
    files, secret,
};

use crate::{
    Index, Issued, PkiError, Subject, bundle,
    folder::{Change, Folder},
    index::Signer,
    issue::{self, Issuer, Made, Terms},
    lifetime,
};

/// An authority in its folder.
#[derive(Debug, Clone)]
pub struct Authority {
    folder: Folder,
    keys: Option<PathBuf>,
    clock: Clock,
}

/// What is to be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// Everything that a part has, open tokens included.
    Name(String),
    /// One certificate, by its serial number.
    Serial(String),
}

impl Authority {
    /// The authority kept at `folder`. Its keys are in `keys`, or where the index says.
    pub fn new(folder: impl Into<PathBuf>, keys: Option<PathBuf>, clock: Clock) -> Self {
        Self {
            folder: Folder::new(folder),
            keys,
            clock,
        }
    }

    /// Where it is kept.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What it has issued, as it is now.
    ///
    /// # Errors
    /// [`PkiError`] when there is none.
    pub fn index(&self) -> Result<Index, PkiError> {
        self.folder.index()
    }

    /// Now, in seconds of the unix clock.
    pub fn now_s(&self) -> i64 {
        self.clock.now_ms().div_euclid(1_000)
    }

    /// Begins an authority of `cell` that is good for `life_s`.
    ///
    /// # Errors
    /// [`PkiError::Exists`] when there is one; it is not touched.
    pub fn init(&self, cell: &str, life_s: i64) -> Result<(), PkiError> {
        check_name(cell).map_err(|fault| PkiError::Asked(format!("the cell: {fault}")))?;
        if self.folder.index().is_ok() {
            return Err(PkiError::Exists(self.folder.path().to_owned()));
        }
        let mut index = Index::new(cell, self.keys.clone());
        let signer = self.signer(&index, life_s)?;
        let entry = self.entry("authority made", &signer.id);
        index.authorities.push(signer);
        self.folder.begin(index, vec![entry])
    }

    /// Issues a certificate for a part that has none, and puts it with its new key into the part's folder.
    ///
    /// # Errors
    /// [`PkiError::Asked`] when it has one, or the name is that of another role.
    pub fn issue(&self, subject: &Subject, life_s: Option<i64>) -> Result<Issued, PkiError> {
        let mut change = self.folder.change()?;
        if let Some(found) = change.index.current(&subject.name, self.now_s()) {
            return Err(PkiError::Asked(format!(
                "{}: it has a certificate ({}); `foreshadow pki renew {0}` gives another for the same names, `pki revoke {0}` ends it",
                subject.name, found.serial
            )));
        }
        let issued = self.make(&mut change, subject, life_s)?;
        change.commit()?;
        Ok(issued)
    }

    /// Issues another certificate, with another key, for the names that a part has. The one before stays good until its end.
    ///
    /// # Errors
    /// [`PkiError::Asked`] when it has none, or its key is on its host alone.
    pub fn renew(&self, name: &str, life_s: Option<i64>) -> Result<Issued, PkiError> {
        let mut change = self.folder.change()?;
        let found = change.index.current(name, self.now_s()).cloned();
        let found = found.ok_or_else(|| {
            PkiError::Asked(format!(
                "{name}: it has no certificate that could be renewed; `foreshadow pki list` tells which there are"
            ))
        })?;
        if found.enrolled {
            return Err(PkiError::Asked(format!(
                "{name}: it has enrolled, and its key is on its host alone; `foreshadow pki token {name}`, and there `foreshadow pki enrol --replace`"
            )));
        }
        let issued = self.make(&mut change, &found.subject, life_s)?;
        change.commit()?;
        Ok(issued)
    }

    /// Revokes, and signs the lists anew. Gives the certificates that are no longer good.
    ///
    /// # Errors
    /// [`PkiError::Asked`] when there is nothing to revoke.
    pub fn revoke(&self, whom: &Whom) -> Result<Vec<Issued>, PkiError> {
        let mut change = self.folder.change()?;
        let now_s = self.now_s();
        let mut revoked = Vec::new();
        for issued in change.index.issued.iter_mut().filter(|issued| issued.is_good(now_s)) {
            if matches!(whom, Whom::Name(name) if *name == issued.subject.name)
                || matches!(whom, Whom::Serial(serial) if *serial == issued.serial)
            {
                issued.revoked_s = Some(now_s);
                revoked.push(issued.clone());
            }
        }
        let tokens = change.index.tokens.len();
        if let Whom::Name(name) = whom {
            change
                .index
                .tokens
                .retain(|token| token.subject.name != *name || !token.is_open(now_s));
        }
        if revoked.is_empty() && change.index.tokens.len() == tokens {
            let what = match whom {
                Whom::Name(name) => name.clone(),
                Whom::Serial(serial) => format!("serial {serial}"),
            };
            return Err(PkiError::Asked(format!(
                "{what}: nothing of that is good, so that nothing is revoked; `foreshadow pki list` tells what is"
            )));
        }
        for issued in &revoked {
            let entry = self
                .entry("revoked", &issued.subject.name)
                .with("serial", &issued.serial);
            change.entries.push(entry);
        }
        self.sign_lists(&mut change)?;
        change.commit()?;
        Ok(revoked)
    }

    /// What the newest authority can sign with.
    ///
    /// # Errors
    /// [`PkiError::Key`] when the key is not at hand.
    pub fn issuer(&self, index: &Index) -> Result<Issuer, PkiError> {
        self.issuer_of(index, index.newest()?)
    }

    fn issuer_of(&self, index: &Index, signer: &Signer) -> Result<Issuer, PkiError> {
        let path = self.folder.key(self.keys_of(index), &signer.id);
        let key = files::read(&path).map_err(|_| PkiError::Key(path.clone()))?;
        let key = String::from_utf8(key).map_err(|_| PkiError::Key(path))?;
        Issuer::new(&Made {
            certificate: signer.certificate.clone(),
            key,
        })
    }

    fn keys_of<'a>(&'a self, index: &'a Index) -> Option<&'a Path> {
        self.keys.as_deref().or(index.keys.as_deref())
    }

    /// Issues for a new key, which is staged with the certificate.
    fn make(&self, change: &mut Change<'_>, subject: &Subject, life_s: Option<i64>) -> Result<Issued, PkiError> {
        let key = issue::key()?;
        let (issued, certificate) = self.sign(change, subject, &key, life_s)?;
        change.stage(
            &subject.name,
            &issued.serial,
            &bundle::identity(&certificate, &issue::key_pem(&key)?),
        )?;
        let entry = self.entry("issued", &subject.name).with("role", subject.role);
        change
            .entries
            .push(entry.with("serial", &issued.serial).with("until_s", issued.to_s));
        change.index.issued.push(issued.clone());
        Ok(issued)
    }

    fn sign(
        &self,
        change: &mut Change<'_>,
        subject: &Subject,
        key: &impl PublicKeyData,
        life_s: Option<i64>,
    ) -> Result<(Issued, String), PkiError> {
        let now_s = self.now_s();
        change.index.forget_old(now_s);
        change.index.admits(subject, now_s)?;
        let life_s = life_s.unwrap_or(match subject.role {
            Role::Viewer => lifetime::VIEWER_S,
            Role::Agent | Role::Brain | Role::Broker => lifetime::PART_S,
        });
        let good = change.index.good(now_s, life_s)?;
        let serial = issue::serial()?;
        let terms = Terms {
            cell: &change.index.cell,
            serial: &serial,
            good,
        };
        let pem = self.issuer(&change.index)?.certificate(subject, key, &terms)?;
        let issued = Issued {
            serial: secret::hex(&serial),
            subject: subject.clone(),
            authority: change.index.newest()?.id.clone(),
            from_s: good.from_s,
            to_s: good.to_s,
            revoked_s: None,
            enrolled: false,
        };
        Ok((issued, pem))
    }

    fn entry(&self, what: &str, who: &str) -> Entry {
        Entry::new(self.clock.now_ms(), What::Key, what, who)
    }
}

/// The digest of a certificate in PEM.
pub(crate) fn fingerprint(pem: &str) -> Result<secret::Digest, PkiError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let der = CertificateDer::from_pem_slice(pem.as_bytes());
    let der = der.map_err(|error| PkiError::Asked(format!("no certificate in PEM: {error}")))?;
    Ok(secret::digest(&der))
}
