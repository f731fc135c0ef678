//! Tokens, and what is issued for them.

use trust::audit::{Entry, What};

use super::{Authority, fingerprint};
use crate::{
    PkiError, Subject, Token,
    folder::Change,
    issue,
    token::{Answer, Pending},
};

impl Authority {
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
                answer: None,
            });
            let entry = self.entry("token made", &subject.name).with("until_s", until_s);
            change.entries.push(entry);
            tokens.push(token);
        }
        change.commit()?;
        Ok(tokens)
    }

    /// Issues a certificate for the key of `request` by the token with this digest, which is used up with that. Asked again
    /// with the same key, within the token's time, the answer is the same: the first may have been lost.
    ///
    /// # Errors
    /// [`PkiError::Refused`] in words for the host; whether a token is unknown, used or late is told in the log alone.
    pub fn enrol(&self, digest: &str, request: &issue::Request, peer: &str) -> Result<String, PkiError> {
        let now_s = self.now_s();
        let mut change = self.folder.change()?;
        let found = change.index.tokens.iter().position(|token| token.digest == digest);
        let token = found.and_then(|at| change.index.tokens.get(at)).cloned();
        let key = request.key_digest();
        if let Some(token) = &token
            && let Some(certificate) = token.answered(&key, now_s)
            && change
                .index
                .issued
                .iter()
                .any(|one| token.used.as_ref() == Some(&one.serial) && one.is_good(now_s))
        {
            return Ok(certificate.to_owned());
        }
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
            token.answer = Some(Answer {
                key,
                certificate: pem.clone(),
                at_s: now_s,
            });
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
}
