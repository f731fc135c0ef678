//! Who has logged in, and until when. A session is known by a digest of its token alone: who reads the memory or a dump of it
//! finds nothing to come in with.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::{CancellationToken, DropGuard};
use trust::secret::Digest;

use super::users::{User, Users};

/// A session ends when nothing was asked for so long,
const IDLE: Duration = Duration::from_hours(1);
/// and so long after it began in any case.
const LONGEST: Duration = Duration::from_hours(12);
/// Sessions of one user; the one that was idle longest makes room.
const MAX_OF_USER: usize = 32;
/// Sessions of all users together; likewise.
const MAX: usize = 4_096;

/// All that go on.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Digest, Session>>);

#[derive(Debug)]
struct Session {
    /// As the list had them when they came in.
    user: Arc<User>,
    began_ns: u64,
    used_ns: u64,
    /// Ends what goes on under it, as event streams do, when it is dropped.
    ended: CancellationToken,
    _end: DropGuard,
}

impl Session {
    fn is_over(&self, users: &Users, now_ns: u64) -> bool {
        let since = |from_ns: u64| Duration::from_nanos(now_ns.saturating_sub(from_ns));
        let is_same = users.get(&self.user.name) == Some(&self.user);
        !is_same || since(self.used_ns) >= IDLE || since(self.began_ns) >= LONGEST
    }
}

/// One that goes on.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) user: Arc<User>,
    /// Cancelled when it ends.
    pub(super) ended: CancellationToken,
}

impl Sessions {
    /// Begins one for who has shown that they are `user`. Where requests of a program come at once, all have the first one's.
    pub(super) fn begin(&self, token: Digest, user: Arc<User>, now_ns: u64) -> Live {
        let mut table = self.lock();
        if let Some(session) = table.get_mut(&token).filter(|session| session.user == user) {
            (session.began_ns, session.used_ns) = (now_ns, now_ns);
            let ended = session.ended.clone();
            return Live { user, ended };
        }
        table.remove(&token);
        let of_user = |session: &Session| session.user.name == user.name;
        if table.values().filter(|session| of_user(session)).count() >= MAX_OF_USER {
            end_idlest(&mut table, of_user);
        }
        if table.len() >= MAX {
            end_idlest(&mut table, |_| true);
        }
        let ended = CancellationToken::new();
        let session = Session {
            user: Arc::clone(&user),
            began_ns: now_ns,
            used_ns: now_ns,
            ended: ended.clone(),
            _end: ended.clone().drop_guard(),
        };
        table.insert(token, session);
        Live { user, ended }
    }

    /// The one of a token, which is used thereby.
    pub(super) fn find(&self, token: &Digest, users: &Users, now_ns: u64) -> Option<Live> {
        let mut table = self.lock();
        let session = table.get_mut(token)?;
        if session.is_over(users, now_ns) {
            table.remove(token);
            return None;
        }
        session.used_ns = now_ns;
        Some(Live {
            user: Arc::clone(&session.user),
            ended: session.ended.clone(),
        })
    }

    /// Ends the one of a token.
    pub(super) fn end(&self, token: &Digest) {
        self.lock().remove(token);
    }

    /// Ends those that are over: idle, old, or of users who are gone or have another password or role.
    pub(super) fn sweep(&self, users: &Users, now_ns: u64) {
        self.lock().retain(|_, session| !session.is_over(users, now_ns));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end_idlest(table: &mut HashMap<Digest, Session>, of: impl Fn(&Session) -> bool) {
    let candidates = table.iter().filter(|(_, session)| of(session));
    let idlest = candidates.min_by_key(|(_, session)| session.used_ns);
    if let Some(token) = idlest.map(|(token, _)| *token) {
        table.remove(&token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::fixture::people;

    const HOUR_NS: u64 = 3_600_000_000_000;

    fn token(n: u64) -> Digest {
        trust::secret::digest(&n.to_be_bytes())
    }

    #[test]
    fn a_session_ends_idle_or_old_and_what_goes_on_under_it_ends_too() {
        let (users, sessions) = (people(), Sessions::default());
        let ann = users.get("ann").unwrap();
        let live = sessions.begin(token(1), ann.clone(), 0);
        assert!(sessions.find(&token(1), &users, HOUR_NS - 1).is_some());
        assert!(
            sessions.find(&token(1), &users, 2 * HOUR_NS - 2).is_some(),
            "it was used"
        );
        assert!(sessions.find(&token(2), &users, 0).is_none(), "another token");
        sessions.sweep(&users, 3 * HOUR_NS - 3);
        assert!(!live.ended.is_cancelled());
        sessions.sweep(&users, 3 * HOUR_NS - 2);
        assert!(live.ended.is_cancelled());
        let live = sessions.begin(token(1), ann.clone(), 0);
        for half_hour in 1..24 {
            assert!(sessions.find(&token(1), &users, half_hour * HOUR_NS / 2).is_some());
        }
        assert!(sessions.find(&token(1), &users, 12 * HOUR_NS).is_none());
        assert!(live.ended.is_cancelled());
        let live = sessions.begin(token(1), ann.clone(), 0);
        sessions.end(&token(1));
        assert!(live.ended.is_cancelled() && sessions.find(&token(1), &users, 0).is_none());
    }

    #[test]
    fn who_is_gone_or_changed_has_no_session() {
        let (users, sessions) = (people(), Sessions::default());
        sessions.begin(token(1), users.get("ann").unwrap().clone(), 0);
        assert!(
            sessions.find(&token(1), &people(), 0).is_some(),
            "read anew, and the same"
        );
        assert!(sessions.find(&token(1), &Users::default(), 0).is_none());
        assert!(sessions.find(&token(1), &users, 0).is_none(), "it does not come back");
    }

    #[test]
    fn sessions_are_bounded_and_the_idlest_makes_room() {
        let (users, sessions) = (people(), Sessions::default());
        let (ann, bob) = (users.get("ann").unwrap(), users.get("bob").unwrap());
        sessions.begin(token(1_000), bob.clone(), 0);
        for n in 0..=MAX_OF_USER as u64 {
            sessions.begin(token(n), ann.clone(), n);
        }
        assert_eq!(sessions.lock().len(), MAX_OF_USER + 1);
        assert!(sessions.find(&token(0), &users, 9).is_none() && sessions.find(&token(1), &users, 9).is_some());
        assert!(sessions.find(&token(1_000), &users, 9).is_some(), "others keep theirs");
    }
}
