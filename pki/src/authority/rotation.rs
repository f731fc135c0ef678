//! Authorities come and go, and sign their lists of revoked certificates.

use trust::{files, secret};

use super::Authority;
use crate::{
    Index, PkiError,
    folder::Change,
    index::Signer,
    issue::{self, Good, Issuer},
    lifetime,
};

impl Authority {
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
                "these would be outside, renew them first (`foreshadow pki renew NAME`): {}",
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

    /// A new authority, its key written. Where the process ends before it is in an index, the key is of nobody.
    pub(super) fn signer(&self, index: &Index, life_s: i64) -> Result<Signer, PkiError> {
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

    pub(super) fn sign_lists(&self, change: &mut Change<'_>) -> Result<(), PkiError> {
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
}
