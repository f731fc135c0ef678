//! Who gets in, under what name, and what they may do there.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | the table `[access]` |
//! | `login` | certificate, password or neither: the name of a client, and its rules |
//! | `rules` | what one client may send and get, decided topic by topic |
//! | `acl`, `passwords` | lists in files |
//! | `seats`, `rate` | how many are there, and how fast they may be |
//! | `files` | what is read anew while the broker runs |
//! | `refusals` | what was refused, counted |
//! | `trail` | what the audit trail is told |

pub(crate) mod acl;
pub mod config;
mod error;
mod files;
mod login;
pub(crate) mod passwords;
mod rate;
mod refusals;
pub(crate) mod rules;
mod seats;
mod trail;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use rustls::{ServerConfig, pki_types::UnixTime};
use tokio::sync::Semaphore;

use self::{
    config::{Access, Anonymous},
    files::{Current, Source},
    rate::Paces,
    seats::{Seat, Seats, household},
    trail::Logins,
};
pub use self::{
    error::AccessError,
    refusals::{Refusal, Refusals},
};
pub(crate) use self::{
    login::{Badge, Credentials, Denied, Known, name_of, scoped},
    rate::Pace,
    refusals::Refused,
    rules::Permit,
};
use crate::{
    BrokerError, Config, Limits,
    message::Serial,
    outbox::{Close, Outbox},
};

/// Passwords that may wait to be checked: all, each holding up to 64 KiB, and those of one address, which others wait behind.
/// Past it a login is refused as busy.
const MAX_WAITING: usize = 256;
const MAX_WAITING_PER_ADDRESS: usize = 16;

/// Where everyone comes in.
#[derive(Debug)]
pub(crate) struct Gate {
    source: Source,
    limits: Limits,
    current: RwLock<Arc<Current>>,
    addresses: Seats<IpAddr>,
    /// Of those, the ones that have not said who they are; and all of these together.
    unfinished: Seats<IpAddr>,
    crowd: Seats<()>,
    names: Seats<Arc<str>>,
    waiting: Seats<IpAddr>,
    line: Seats<()>,
    paces: Paces,
    logins: Logins,
    /// Checking a password is dear: few at once.
    turns: Arc<Semaphore>,
    guests: Mutex<HashMap<Serial, Guest>>,
    everything: Arc<Permit>,
    pub(crate) refused: Refused,
    started: Instant,
}

/// Somebody who is in.
#[derive(Debug)]
struct Guest {
    badge: Arc<Badge>,
    outbox: Arc<Outbox>,
}

impl Guest {
    fn send_away(&self, serial: Serial, why: &str) {
        self.note_end(serial, why);
        self.outbox.close(Close::Unwelcome);
    }
}

/// A connection's place among those of its address, while it lasts.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    _address: Option<Seat<IpAddr>>,
    unfinished: Option<(Seat<IpAddr>, Seat<()>)>,
}

impl Admission {
    /// The client has said who it is.
    pub(crate) fn finish(&mut self) {
        self.unfinished = None;
    }
}

/// What reading the files anew has brought.
#[derive(Debug, Default)]
pub struct Reload {
    /// Files that are of no use, and why: what they said before holds on.
    pub faults: Vec<BrokerError>,
    /// Clients whose connection was ended, for they may no longer do what they could.
    pub ended: usize,
    /// Sessions that ended, for their clients may not even come in any more.
    pub sessions: usize,
}

impl Gate {
    pub(crate) fn new(config: &Config) -> Result<Self, BrokerError> {
        let source = Source {
            access: config.access.clone(),
            tls: config.tls.clone(),
        };
        let current = source.load()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            source,
            limits: config.limits.clone(),
            current: RwLock::new(Arc::new(current)),
            addresses: Seats::default(),
            unfinished: Seats::default(),
            crowd: Seats::default(),
            names: Seats::default(),
            waiting: Seats::default(),
            line: Seats::default(),
            paces: Paces::default(),
            logins: Logins::default(),
            turns: Arc::new(Semaphore::new(cores.div_ceil(4))),
            guests: Mutex::default(),
            everything: Arc::new(Permit::Everything),
            refused: Refused::default(),
            started: Instant::now(),
        })
    }

    /// What encryption at the port needs now.
    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.current().tls.as_ref().map(|port| port.config.clone())
    }

    /// Whether a connection may come in from there, before a byte of it is read. Addresses of this machine are not
    /// counted where its clients may do everything anyway.
    pub(crate) fn admit(&self, peer: IpAddr) -> Result<Admission, Refusal> {
        if is_local(peer) && self.access().anonymous == Anonymous::Everything {
            return Ok(Admission::default());
        }
        let address = household(peer);
        let limits = &self.limits;
        let seat = self.addresses.take(address, limits.max_connections_per_address);
        let seat = seat.ok_or(Refusal::Address)?;
        let unfinished = self.unfinished.take(address, limits.max_unfinished_per_address);
        let unfinished = unfinished.ok_or(Refusal::Address)?;
        let crowd = self.crowd.take((), limits.max_unfinished).ok_or(Refusal::Connection)?;
        Ok(Admission {
            _address: Some(seat),
            unfinished: Some((unfinished, crowd)),
        })
    }

    /// How fast a client of this name may publish; all of one name share it.
    pub(crate) fn pace(&self, name: Option<&str>) -> Pace {
        let limits = &self.limits;
        self.paces.of(name, limits.max_messages_per_s, limits.max_bytes_per_s)
    }

    /// Keeps a client in mind, so that it can be sent away once its rights end.
    pub(crate) fn register(&self, serial: Serial, badge: Arc<Badge>, outbox: Arc<Outbox>) {
        let guest = Guest { badge, outbox };
        let mut guests = self.guests();
        // Files may have been read anew since it logged in.
        let current = self.current();
        if current.generation != guest.badge.generation {
            self.examine(&current, serial, &guest);
        }
        guests.insert(serial, guest);
    }

    /// Forgets a client that has left.
    pub(crate) fn forget(&self, serial: Serial) {
        self.guests().remove(&serial);
    }

    /// Reads all files anew, and sends away who may no longer do what it could. Takes some 100 microseconds a client
    /// with a certificate: not for a task that others wait for.
    pub(crate) fn reload(&self) -> Reload {
        let mut reload = Reload::default();
        let current = Arc::new(self.source.renew(&self.current(), &mut reload.faults));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current.clone();
        for (serial, guest) in &*self.guests() {
            reload.ended += usize::from(!self.examine(&current, *serial, guest));
        }
        reload
    }

    /// Whether somebody may not even come in any more: revoked, or gone. One whose certificate has expired may come with
    /// another, and nobody does not change.
    pub(crate) fn is_banished(&self, known: &Known) -> bool {
        let denied = known
            .name
            .as_ref()
            .and_then(|_| self.judge(&self.current(), known).err());
        denied.is_some_and(|denied| denied != Denied::Expired)
    }

    /// Sends away whose certificate has expired.
    pub(crate) fn end_expired(&self) {
        let now_s = UnixTime::now().as_secs();
        let guests = self.guests();
        let expired = guests
            .iter()
            .filter(|(_, guest)| guest.badge.good_until_s.is_some_and(|until| until < now_s));
        for (serial, guest) in expired {
            guest.send_away(*serial, "its certificate has expired");
        }
    }

    /// Whether a client may stay; otherwise its connection is ended.
    fn examine(&self, current: &Current, serial: Serial, guest: &Guest) -> bool {
        let badge = &guest.badge;
        let found = self.judge(current, &badge.known);
        let why = match found {
            Ok(permit) if *permit == *badge.permit => return true,
            Ok(_) => "its rules have changed".to_owned(),
            Err(denied) => denied.to_string(),
        };
        guest.send_away(serial, &why);
        false
    }

    /// Nanoseconds since the start.
    fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn access(&self) -> &Access {
        &self.source.access
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn guests(&self) -> MutexGuard<'_, HashMap<Serial, Guest>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody there is on this machine.
pub(crate) fn is_local(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}
