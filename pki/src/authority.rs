//! What is done with an authority: begin it, issue, renew, revoke, rotate.

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
    Index, Issued, PkiError, Subject, Token, bundle,
    folder::{Change, Folder},
    index::Signer,
    issue::{self, Good, Issuer, Made, Terms},
    lifetime,
    token::Pending,
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
        let found =
            found.ok_or_else(|| PkiError::Asked(format!("{name}: it has no certificate that could be renewed")))?;
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
            return Err(PkiError::Asked(format!(
                "{whom:?}: nothing of that is good, so that nothing is revoked"
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

    /// Signs the lists of revoked ones anew, so that they are not overdue.
    ///
    /// # Errors
    /// [`PkiError::Key`] when a key is not at hand.
    pub fn renew_lists(&self) -> Result<(), PkiError> {
        let mut change = self.folder.change()?;
        self.sign_lists(&mut change)?;
        change.entries.push(self.entry("lists signed", ""));
        change.commit()
    }

    /// Begins another authority beside the present one: both are believed, and the new one issues. Open tokens end.
    ///
    /// # Errors
    /// [`PkiError::Asked`] while two are believed.
    pub fn rotate(&self, life_s: i64) -> Result<String, PkiError> {
        let mut change = self.folder.change()?;
        if change.index.authorities.len() > 1 {
            return Err(PkiError::asked(
                "two authorities are believed already; `foreshadow pki rotate --finish` ends the older one",
            ));
        }
        let signer = self.signer(&change.index, life_s)?;
        let id = signer.id.clone();
        change.entries.push(self.entry("authority made", &id));
        change.index.authorities.push(signer);
        // They name the authority before, by which no server is known any more.
        let now_s = self.now_s();
        change.index.tokens.retain(|token| !token.is_open(now_s));
        change.commit()?;
        Ok(id)
    }

    /// Ends all authorities but the newest. With `force` also where parts have nothing of the newest yet: they are
    /// outside then.
    ///
    /// # Errors
    /// [`PkiError::Asked`] when that would leave parts outside, with their names.
    pub fn finish_rotation(&self, force: bool) -> Result<(), PkiError> {
        let mut change = self.folder.change()?;
        let newest = change.index.newest()?.id.clone();
        let current = change.index.all_current(self.now_s());
        let outside = current.into_iter().filter(|issued| issued.authority != newest);
        let outside: Vec<&str> = outside.map(|issued| issued.subject.name.as_str()).collect();
        if !force && !outside.is_empty() {
            return Err(PkiError::Asked(format!(
                "these would be outside, renew them first: {}",
                outside.join(" ")
            )));
        }
        for signer in change.index.authorities.iter().filter(|signer| signer.id != newest) {
            change.entries.push(self.entry("authority ended", &signer.id));
        }
        change.index.authorities.retain(|signer| signer.id == newest);
        change.index.issued.retain(|issued| issued.authority == newest);
        change.commit()
    }

    /// Makes a one-time token for each of `subjects`, good for `life_s`. All or none.
    ///
    /// # Errors
    /// [`PkiError::Asked`] when one has a name of another role.
    pub fn tokens(&self, subjects: &[Subject], life_s: i64) -> Result<Vec<Token>, PkiError> {
        let mut change = self.folder.change()?;
        let now_s = self.now_s();
        change.index.forget_old(now_s);
        let authority = fingerprint(&change.index.newest()?.certificate)?;
        let mut tokens = Vec::new();
        for subject in subjects {
            change.index.admits(subject, now_s)?;
            let token = Token::new(&change.index.cell, authority)?;
            let until_s = now_s.saturating_add(life_s);
            change.index.tokens.push(Pending {
                digest: token.digest(),
                subject: subject.clone(),
                until_s,
                used: None,
            });
            let entry = self.entry("token made", &subject.name).with("until_s", until_s);
            change.entries.push(entry);
            tokens.push(token);
        }
        change.commit()?;
        Ok(tokens)
    }

    /// Issues a certificate for the key of `request` by the token with this digest, which is used up with that.
    ///
    /// # Errors
    /// [`PkiError::Refused`] in words for the host; whether a token is unknown, used or late is told in the log alone.
    pub fn enrol(&self, digest: &str, request: &issue::Request, peer: &str) -> Result<String, PkiError> {
        let now_s = self.now_s();
        let mut change = self.folder.change()?;
        let found = change.index.tokens.iter().position(|token| token.digest == digest);
        let token = found.and_then(|at| change.index.tokens.get(at)).cloned();
        let Some(token) = token.filter(|token| token.is_open(now_s)) else {
            let state = if found.is_some() { "used or late" } else { "unknown" };
            return self.refuse(
                change,
                peer,
                "-",
                state,
                "the token is not good: unknown, used or late; ask for another",
            );
        };
        let cell = change.index.cell.clone();
        let names = token.subject.uris(&cell);
        // A request that leaves its names to the token is as good.
        if request.uris != names {
            let asked: Vec<&str> = request.uris.iter().map(String::as_str).collect();
            let due: Vec<&str> = names.iter().map(String::as_str).collect();
            let reason = format!(
                "the token is for the names {}, not for {}",
                due.join(" "),
                asked.join(" ")
            );
            return self.refuse(change, peer, &token.subject.name, "other names", &reason);
        }
        let (mut issued, pem) = self.sign(&mut change, &token.subject, &request.key, None)?;
        issued.enrolled = true;
        if let Some(token) = found.and_then(|at| change.index.tokens.get_mut(at)) {
            token.used = Some(issued.serial.clone());
        }
        let entry = self.entry("enrolled", &token.subject.name);
        change
            .entries
            .push(entry.with("serial", &issued.serial).with("from", peer));
        change.index.issued.push(issued);
        change.commit()?;
        Ok(pem)
    }

    fn refuse<T>(
        &self,
        mut change: Change<'_>,
        peer: &str,
        who: &str,
        state: &str,
        reason: &str,
    ) -> Result<T, PkiError> {
        let entry = Entry::new(self.clock.now_ms(), What::Refusal, "enrolment", who);
        change.entries.push(entry.with("from", peer).with("token", state));
        change.commit()?;
        Err(PkiError::Refused(reason.to_owned()))
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

    /// A new authority, its key written. Where the process ends before it is in an index, the key is of nobody.
    fn signer(&self, index: &Index, life_s: i64) -> Result<Signer, PkiError> {
        let now_s = self.now_s();
        let id = secret::hex(&secret::random::<4>().ok_or(PkiError::Random)?);
        let good = Good {
            from_s: now_s - lifetime::BACKDATE_S,
            to_s: now_s.saturating_add(life_s),
        };
        let made = issue::authority(&format!("foreshadow {} authority {id}", index.cell), good)?;
        let path = self.folder.key(self.keys_of(index), &id);
        if let Some(folder) = path.parent() {
            files::folder(folder)?;
        }
        files::create(&path, made.key.as_bytes())?;
        let mut signer = Signer {
            id,
            certificate: made.certificate.clone(),
            from_s: good.from_s,
            to_s: good.to_s,
            list: String::new(),
            list_number: 0,
            list_to_s: 0,
        };
        self.sign_list(&mut signer, &Issuer::new(&made)?, &[])?;
        Ok(signer)
    }

    /// Issues for a new key, which is staged with the certificate.
    fn make(&self, change: &mut Change<'_>, subject: &Subject, life_s: Option<i64>) -> Result<Issued, PkiError> {
        let key = issue::key()?;
        let (issued, certificate) = self.sign(change, subject, &key, life_s)?;
        change.stage(
            &subject.name,
            &issued.serial,
            &bundle::identity(&certificate, &key.serialize_pem()),
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

    fn sign_lists(&self, change: &mut Change<'_>) -> Result<(), PkiError> {
        let now_s = self.now_s();
        change.index.forget_old(now_s);
        let mut authorities = change.index.authorities.clone();
        for signer in &mut authorities {
            let issuer = self.issuer_of(&change.index, signer)?;
            let of_it = change
                .index
                .issued
                .iter()
                .filter(|issued| issued.authority == signer.id);
            let revoked = of_it.filter_map(|issued| Some((secret::from_hex(&issued.serial)?, issued.revoked_s?)));
            self.sign_list(signer, &issuer, &revoked.collect::<Vec<_>>())?;
        }
        change.index.authorities = authorities;
        Ok(())
    }

    fn sign_list(&self, signer: &mut Signer, issuer: &Issuer, revoked: &[(Vec<u8>, i64)]) -> Result<(), PkiError> {
        let now_s = self.now_s();
        let good = Good {
            from_s: now_s - lifetime::BACKDATE_S,
            to_s: now_s + lifetime::CRL_S,
        };
        signer.list_number += 1;
        signer.list = issuer.revoked(signer.list_number, good, revoked)?;
        signer.list_to_s = good.to_s;
        Ok(())
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
