//! Everything that an authority has issued, and what it still has to know: one file of JSON. Pure.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{PkiError, Subject, issue::Good, lifetime, token::Pending};

/// What is written; another version is refused rather than guessed at.
pub const VERSION: u32 = 1;

/// Certificates and tokens that are past their end for longer leave the index; the audit log still tells of them.
const FORGET_S: i64 = lifetime::DAY_S;

/// Everything that an authority has issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// [`VERSION`].
    pub version: u32,
    /// The cell: one has one authority, or two while it is replaced.
    pub cell: String,
    /// The folder of the keys, where that is not beside the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<PathBuf>,
    /// Oldest first; the newest issues.
    pub authorities: Vec<Signer>,
    /// In the order of their issue.
    pub issued: Vec<Issued>,
    /// Open tokens, and used ones until they would have run out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Pending>,
}

/// One authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// What its key's file is called after.
    pub id: String,
    /// Its certificate, in PEM.
    pub certificate: String,
    /// From when on it is good, in seconds of the unix clock.
    pub from_s: i64,
    /// Up to when.
    pub to_s: i64,
    /// Its list of revoked ones, in PEM.
    pub list: String,
    /// How many lists it has signed.
    pub list_number: u64,
    /// By when the next list is due.
    pub list_to_s: i64,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Its serial number, two digits a byte.
    pub serial: String,
    /// For whom.
    #[serde(flatten)]
    pub subject: Subject,
    /// By which authority.
    pub authority: String,
    /// From when on it is good, in seconds of the unix clock.
    pub from_s: i64,
    /// Up to when.
    pub to_s: i64,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_s: Option<i64>,
    /// Whether its key was made on the host that enrolled, and is nowhere else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enrolled: bool,
}

impl Issued {
    /// Whether others still take it at `now_s`.
    pub fn is_good(&self, now_s: i64) -> bool {
        self.revoked_s.is_none() && now_s <= self.to_s
    }
}

impl Index {
    /// An index of nothing, for `cell`.
    pub fn new(cell: &str, keys: Option<PathBuf>) -> Self {
        Self {
            version: VERSION,
            cell: cell.to_owned(),
            keys,
            authorities: Vec::new(),
            issued: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// The authority that issues.
    ///
    /// # Errors
    /// [`PkiError::Asked`] where there is none: the file was changed by hand.
    pub fn newest(&self) -> Result<&Signer, PkiError> {
        let none = || PkiError::asked("the index names no authority: it was changed by hand");
        self.authorities.last().ok_or_else(none)
    }

    /// The certificate of `name` that was issued last and is good at `now_s`.
    pub fn current(&self, name: &str, now_s: i64) -> Option<&Issued> {
        let mut good = self.issued.iter().filter(|issued| issued.is_good(now_s));
        good.rfind(|issued| issued.subject.name == name)
    }

    /// The newest good certificate of each name at `now_s`, by name.
    pub fn all_current(&self, now_s: i64) -> Vec<&Issued> {
        let names: BTreeSet<&str> = self.issued.iter().map(|issued| issued.subject.name.as_str()).collect();
        names.into_iter().filter_map(|name| self.current(name, now_s)).collect()
    }

    /// Whether `subject` may be given a certificate: a name belongs to one role.
    ///
    /// # Errors
    /// [`PkiError::Asked`] when the name is another role's.
    pub fn admits(&self, subject: &Subject, now_s: i64) -> Result<(), PkiError> {
        let mut good = self.issued.iter().filter(|issued| issued.is_good(now_s));
        let other = good.find(|issued| issued.subject.name == subject.name && issued.subject.role != subject.role);
        let open = self.tokens.iter().filter(|token| token.is_open(now_s));
        let promised = open.map(|token| &token.subject);
        let mut promised = promised.filter(|found| found.name == subject.name && found.role != subject.role);
        match other
            .map(|issued| issued.subject.role)
            .or_else(|| promised.next().map(|found| found.role))
        {
            None => Ok(()),
            Some(role) => Err(PkiError::Asked(format!(
                "{}: this is the name of a part of the role {role}; brokers know parts by their names, so take another",
                subject.name
            ))),
        }
    }

    /// From when to when something is good that is issued at `now_s` for `life_s`: not beyond its authority.
    ///
    /// # Errors
    /// [`PkiError::Asked`] when the authority has ended.
    pub fn good(&self, now_s: i64, life_s: i64) -> Result<Good, PkiError> {
        let to_s = self.newest()?.to_s.min(now_s.saturating_add(life_s));
        if to_s <= now_s {
            return Err(PkiError::asked(
                "the authority has expired; `foreshadow pki rotate` makes another",
            ));
        }
        Ok(Good {
            from_s: now_s - lifetime::BACKDATE_S,
            to_s,
        })
    }

    /// Forgets what nobody takes any more, whatever would be said of it.
    pub fn forget_old(&mut self, now_s: i64) {
        self.issued
            .retain(|issued| now_s <= issued.to_s.saturating_add(FORGET_S));
        self.tokens
            .retain(|token| now_s <= token.until_s.saturating_add(FORGET_S));
    }

    /// The certificates of all authorities, newest first, in PEM.
    pub fn bundle(&self) -> String {
        self.authorities
            .iter()
            .rev()
            .map(|signer| signer.certificate.as_str())
            .collect()
    }

    /// The lists of all authorities, in PEM.
    pub fn lists(&self) -> String {
        self.authorities
            .iter()
            .rev()
            .map(|signer| signer.list.as_str())
            .collect()
    }
}
