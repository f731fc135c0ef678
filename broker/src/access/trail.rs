//! What the audit trail is told: who came in and who was refused, who was sent away, and that files were read anew.
//!
//! Nobody may drive out of it what was told before: of refusals there is one line a second, of each name that comes in so many
//! at once and from then on one a minute, each with the number of those that were left out.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use runtime::{LogBudget, LogLimit};

use super::{
    Gate, Guest, Reload,
    login::{Badge, Denied, Known},
};

static REFUSED: LogLimit = LogLimit::new(Duration::from_secs(1));

/// Logins of one name that are told at once, and how soon another one is.
const LOGINS: (u32, Duration) = (20, Duration::from_mins(1));

/// Names that have come in, each with what it may still have told.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<HashMap<Arc<str>, LogBudget>>);

impl Logins {
    /// `Some(logins of this name that were left out before)` when this one is told.
    fn pass(&self, name: &Arc<str>, now_ns: u64) -> Option<u64> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has come in seldom is as one that never has, and is forgotten before the table grows.
        if names.len() == names.capacity() {
            names.retain(|_, budget| !budget.is_whole(now_ns));
        }
        let (at_once, every) = LOGINS;
        let budget = names
            .entry(name.clone())
            .or_insert_with(|| LogBudget::new(at_once, every));
        budget.pass(now_ns)
    }
}

impl Gate {
    /// Somebody has come in.
    pub(super) fn note_login(&self, badge: &Badge, peer: SocketAddr, client: &str) {
        let by = badge.known.proof.as_str();
        let Some(name) = &badge.known.name else {
            // Nobody is nobody: not worth a line each time.
            tracing::debug!(target: "audit", event = "login", accepted = true, by, %peer, client);
            return;
        };
        if let Some(suppressed) = self.logins.pass(name, self.now_ns()) {
            tracing::info!(target: "audit", event = "login", accepted = true, name = &**name, by, %peer, client, suppressed);
        }
    }

    /// Somebody was refused, who called itself `user`.
    pub(super) fn note_denied(&self, why: &Denied, user: Option<&str>, peer: SocketAddr, client: &str) {
        if let Some(suppressed) = REFUSED.pass(self.now_ns()) {
            tracing::warn!(target: "audit", event = "login", accepted = false, %why, user, %peer, client, suppressed);
        }
    }

    /// Somebody was turned away for its certificate, before it could say anything.
    pub(crate) fn note_certificate(&self, peer: SocketAddr, why: &io::Error) {
        let refused = why.get_ref().and_then(|inner| inner.downcast_ref());
        let Some(why @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)) = refused
        else {
            return;
        };
        if let Some(suppressed) = REFUSED.pass(self.now_ns()) {
            tracing::warn!(target: "audit", event = "login", accepted = false, %why, by = "certificate", %peer, suppressed);
        }
    }

    /// Certificates, the list of revoked ones, users and rules were read: the digests (SHA-256) of the broker's certificate and
    /// of the list tell whether they are others.
    pub(crate) fn note_files(&self, event: &str, reload: &Reload) {
        let (faults, ended, sessions) = (reload.faults.len(), reload.ended, reload.sessions);
        let current = self.current();
        let port = current.tls.as_ref();
        let certificate = port.map(|port| &*port.certificate);
        let crl = port.and_then(|port| port.crl.as_deref());
        tracing::info!(target: "audit", event, kind = "key", name = "broker", certificate, crl, faults, ended, sessions);
    }
}

impl Guest {
    /// Somebody who was in is sent away.
    pub(super) fn note_end(&self, serial: u64, why: &str) {
        let Known { name, client_id, .. } = &*self.badge.known;
        let (name, client) = (name.as_deref(), &**client_id);
        tracing::info!(target: "audit", event = "ended", serial, name, client, why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_in_again_and_again_does_not_fill_the_log() {
        let logins = Logins::default();
        let (eve, ann): (Arc<str>, Arc<str>) = ("eve".into(), "ann".into());
        let second = 1_000_000_000;
        // An hour of a hundred logins a second, and one of somebody else a minute.
        let (mut lines, mut left_out) = (0, 0);
        for n in 0..360_000 {
            if let Some(suppressed) = logins.pass(&eve, n * second / 100) {
                (lines, left_out) = (lines + 1, left_out + suppressed);
            }
            if n % 6_000 == 0 {
                assert_eq!(logins.pass(&ann, n * second / 100), Some(0));
            }
        }
        assert!((79..=80).contains(&lines), "{lines}: 20 at once and 59 more");
        assert!(left_out > 350_000, "{left_out}");
        for n in 0..10_000_u64 {
            logins.pass(&n.to_string().into(), (4_000 + 100 * n) * second);
        }
        assert!(logins.0.lock().unwrap().len() < 100, "who comes in seldom is forgotten");
    }
}
