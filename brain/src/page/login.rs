//! Who somebody is, and what they may do.
//!
//! Without a list of users nobody logs in: whoever reaches the page reads it, and nothing is changed, unless the configuration
//! lets who comes from this machine (`page.local_role`), by the name that they give. With one, everybody shows a name and a password: people in a form, whose session
//! a cookie carries; programs with each request (Basic, RFC 7617). Behind a proxy that people log in with (`page.proxy_login`) they
//! are who it says that they are.
//!
//! | module | what it does |
//! |---|---|
//! | [`users`] | the list |
//! | [`roles`] | which route needs whom |
//! | [`sessions`] | who has logged in, and until when |
//! | [`tries`] | how often passwords may be tried |
//! | [`proxy`] | who a proxy with a login of its own says that somebody is |
//! | [`gate`] | holds every request against all of these |
//! | [`form`] | the form, its answer, and the way out |
//! | [`told`] | tells the log and the audit log of logins and refusals |

pub(in crate::page) mod form;
pub(in crate::page) mod gate;
mod proxy;
pub(in crate::page) mod roles;
mod sessions;
pub(in crate::page) mod told;
mod tries;
pub(crate) mod users;

#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use runtime::Clock;
use serde::Serialize;
use tokio::sync::Semaphore;
use trust::{
    files::{Stamp, stamp},
    password,
    secret::{Digest, digest, hex, random},
};
use utoipa::ToSchema;

use self::{
    proxy::Proxy,
    sessions::{Live, Sessions},
    tries::Tries,
    users::{Role, User, Users, UsersError},
};
use super::problem::Problem;
use crate::config;

/// The longest password that is looked at, in bytes.
pub(in crate::page) const MAX_PASSWORD: usize = 1_024;
/// The most characters of a name that somebody gives.
const MAX_NAME: usize = 64;
/// What goes on longer of who has logged in with the proxy ends, for it may let them in no more.
const LET_IN: Duration = Duration::from_mins(15);
/// Passwords that are checked at a time: each takes a core for some 20 ms, and 19 MiB.
const CHECKED: usize = 2;
/// Those that wait for it; further ones are sent away.
const WAITING: usize = 32;

/// Lets people in.
#[derive(Debug)]
pub(crate) struct Door {
    /// `None` where nobody shows a password.
    list: Option<List>,
    /// `None` where no proxy says who somebody is.
    proxy: Option<Proxy>,
    sessions: Sessions,
    tries: Tries,
    waiting: Semaphore,
    turns: Arc<Semaphore>,
    clock: Clock,
    /// Goes into digests of passwords, so that a dump of them is of no use to guess by.
    pepper: [u8; 32],
    /// Name of the cookie: with the port, for browsers give all ports of a machine the same cookies.
    cookie: String,
    is_secure: bool,
    behind_proxy: bool,
    /// What somebody of this machine is where nobody logs in.
    local_role: Role,
}

/// The list of users, as it was read last.
#[derive(Debug)]
struct List {
    path: PathBuf,
    stamp: Mutex<Stamp>,
    users: RwLock<Arc<Users>>,
}

/// Why a password lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    /// It is not that of the name, or nobody has the name: which of both is not told.
    Wrong,
    /// Too many were wrong; after so long the next is looked at.
    TooMany(Duration),
    /// Too many wait.
    Busy,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(in crate::page) struct Caller {
    /// `None` where nobody logs in here, or this one has not.
    live: Option<Live>,
    /// What the proxy that they have logged in with calls them.
    named: Option<Arc<str>>,
    /// `None` where they would have to log in.
    role: Option<Role>,
}

/// Who asks, as they are told.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::page) struct Me {
    /// `null` where nobody logs in.
    name: Option<String>,
    role: Option<Role>,
    /// Whether there is a session here that they can end.
    has_session: bool,
}

impl Door {
    /// As the configuration says.
    ///
    /// # Errors
    /// When the list of users is of no use.
    pub(crate) fn open(page: &config::Page, clock: Clock) -> Result<Self, UsersError> {
        let list = page.users.clone().map(List::load).transpose()?;
        let no_numbers = || UsersError::Refused("the system has no random numbers to give".to_owned());
        let host = if page.is_secure() { "__Host-" } else { "" };
        Ok(Self {
            list,
            proxy: page.proxy_login.as_ref().map(Proxy::open).transpose()?,
            sessions: Sessions::default(),
            tries: Tries::default(),
            waiting: Semaphore::new(WAITING),
            turns: Arc::new(Semaphore::new(CHECKED)),
            clock,
            pepper: random().ok_or_else(no_numbers)?,
            cookie: format!("{host}foreshadow-{}", page.listen.port()),
            is_secure: page.is_secure(),
            behind_proxy: page.behind_proxy,
            local_role: page.local_role,
        })
    }

    /// Whether people log in, here or with the proxy, or everybody comes in.
    pub(in crate::page) const fn has_lock(&self) -> bool {
        self.has_form() || self.proxy.is_some()
    }

    /// Whether passwords are taken here.
    const fn has_form(&self) -> bool {
        self.list.is_some()
    }

    /// Whether connections come from a proxy, and not from those whom they are of.
    pub(in crate::page) const fn is_behind_proxy(&self) -> bool {
        self.behind_proxy
    }

    /// Reads the list anew if it has changed, and ends sessions that are over. To be called each second.
    pub(in crate::page) fn upkeep(&self) {
        let Some(list) = &self.list else { return };
        list.refresh();
        self.sessions.sweep(&list.users(), self.clock.monotonic_ns());
    }

    fn users(&self) -> Arc<Users> {
        self.list.as_ref().map(List::users).unwrap_or_default()
    }

    /// Whom a token or a pair of name and password has let in before.
    fn find(&self, token: &Digest) -> Option<Live> {
        self.sessions.find(token, &self.users(), self.clock.monotonic_ns())
    }

    /// Looks at a password, when it is its turn. What is looked at takes its time whoever is asked for.
    async fn check(&self, from: IpAddr, name: &str, password: &str) -> Result<Arc<User>, Denied> {
        let _waits = self.waiting.try_acquire().map_err(|_| Denied::Busy)?;
        let begun = self.tries.begin(from, name, self.clock.monotonic_ns()).await;
        let begun = begun.map_err(Denied::TooMany)?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| Denied::Busy)?;
        let user = self.users().get(name).cloned();
        let (asked, password) = (user.clone(), password.as_bytes().to_vec());
        let checked = tokio::task::spawn_blocking(move || {
            // Held until it is done, also when the client is gone meanwhile.
            let _turn = turn;
            password.len() <= MAX_PASSWORD && password::check(asked.as_ref().map(|user| user.hash()), &password)
        });
        match (checked.await, user) {
            (Ok(true), Some(user)) => {
                begun.succeeded();
                Ok(user)
            }
            (Ok(_), _) => Err(Denied::Wrong),
            (Err(_panicked), _) => Err(Denied::Busy),
        }
    }

    /// Begins a session of a browser; its token is told once.
    fn begin(&self, user: Arc<User>) -> Option<String> {
        let token = hex(&random::<32>()?);
        self.sessions
            .begin(digest(token.as_bytes()), user, self.clock.monotonic_ns());
        Some(token)
    }

    /// What stands for a name and a password that come with each request, so that they are looked at once.
    fn pair(&self, pair: &[u8]) -> Digest {
        digest(&[&self.pepper, pair].concat())
    }

    /// `Set-Cookie` for a token; an empty one takes it away.
    fn cookie(&self, token: &str) -> String {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let gone = if token.is_empty() { "; Max-Age=0" } else { "" };
        format!(
            "{}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{gone}",
            self.cookie
        )
    }
}

impl List {
    fn load(path: PathBuf) -> Result<Self, UsersError> {
        let stamp = stamp(&path);
        let users = Users::load(&path)?;
        Ok(Self {
            stamp: Mutex::new(stamp),
            users: RwLock::new(Arc::new(users)),
            path,
        })
    }

    /// A list that is of no use is told once; the one before holds on.
    fn refresh(&self) {
        let found = stamp(&self.path);
        let mut known = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == found {
            return;
        }
        *known = found;
        match Users::load(&self.path) {
            Ok(users) => {
                let count = users.all().len();
                *self.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
                tracing::info!(count, file = %self.path.display(), "the page's users are read anew");
            }
            Err(fault) => tracing::error!(%fault, "page.users: not taken; the users before hold on"),
        }
    }

    fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Caller {
    /// Whether they would have to log in.
    pub(in crate::page) const fn is_stranger(&self) -> bool {
        self.role.is_none()
    }

    /// Who shows nothing.
    const fn nameless(role: Option<Role>) -> Self {
        Self {
            live: None,
            named: None,
            role,
        }
    }

    /// The name that they have logged in by.
    pub(in crate::page) fn user(&self) -> Option<&str> {
        let named = self.named.as_ref();
        self.live
            .as_ref()
            .map(|live| &live.user.name)
            .or(named)
            .map(|name| &**name)
    }

    /// Returns when they have logged out, or are let in no more: who has logged in with the proxy it is asked about again then.
    /// Never where nobody logs in.
    pub(in crate::page) async fn ended(self) {
        match self {
            Self { live: Some(live), .. } => live.ended.cancelled().await,
            Self { named: Some(_), .. } => tokio::time::sleep(LET_IN).await,
            _ => std::future::pending().await,
        }
    }

    /// The name that something is recorded by: that of the login; where nobody logs in, the one that they give.
    ///
    /// # Errors
    /// When there is none, it can stand in no line, or it is another's.
    pub(in crate::page) fn acts_as(&self, by: Option<&str>) -> Result<String, Problem> {
        let by = by.map(str::trim);
        match (self.user(), by) {
            (Some(user), None | Some("")) => Ok(user.to_owned()),
            (Some(user), Some(by)) if by == user => Ok(user.to_owned()),
            (Some(user), Some(_)) => Err(Problem::bad_request(format!(
                "by: you have logged in as {user}; leave it out"
            ))),
            (None, by) => {
                let by = by.unwrap_or_default();
                if by.is_empty() || by.chars().count() > MAX_NAME || by.chars().any(char::is_control) {
                    return Err(Problem::bad_request(format!(
                        "by: a name of 1 to {MAX_NAME} characters is needed"
                    )));
                }
                Ok(by.to_owned())
            }
        }
    }

    fn me(&self) -> Me {
        Me {
            name: self.user().map(str::to_owned),
            role: self.role,
            has_session: self.live.is_some(),
        }
    }
}
