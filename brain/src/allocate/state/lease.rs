//! Leases: what agents really hold, by which command, and when it has to be told again.
//!
//! A command holds for its time to live. What is to stay is told again, unchanged, in the third quarter of that time, all
//! of a host at once, each host at a moment of its own: so a cell of 10,000 hosts with a time to live of 5 min is told
//! some 55 renewals a second, and an answer that got lost is asked for again before the lease ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shadow::{Command, Effect, Outcome, OutcomeState, UnixMs};

use super::{Key, State};

/// What an agent holds by a command that was no dry run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(in crate::allocate) struct Lease {
    /// The command by whose word it holds, and when that was issued; `None` before the first answer.
    held: Option<(String, UnixMs)>,
    /// The newest that is not answered yet.
    asked: Option<(String, UnixMs)>,
    /// Up to where the agent may raise it by itself.
    #[serde(default)]
    ceiling: Option<f64>,
    /// Whether one was never answered that another followed: it may be in force.
    #[serde(default)]
    doubt: bool,
}

impl Lease {
    /// Whether it has to be told again at `now_ms`.
    fn is_due(&self, now_ms: UnixMs, ages: Ages) -> bool {
        let since = |told: &Option<(String, UnixMs)>| told.as_ref().map(|(_, ms)| now_ms.saturating_sub(*ms));
        match (since(&self.held), since(&self.asked)) {
            (Some(held_ms), None) => held_ms >= ages.renew_ms,
            (Some(held_ms), Some(asked_ms)) => held_ms >= ages.renew_ms && asked_ms >= ages.again_ms,
            (None, Some(asked_ms)) => asked_ms >= ages.again_ms,
            (None, None) => false,
        }
    }

    /// It does not hold by the word of command `id`. Where one before may hold, it is asked again.
    fn not_done(&mut self, id: &str) {
        self.held = self.held.take().filter(|(known, _)| known != id);
        self.asked = match self.asked.take() {
            Some((known, ms)) if known == id => self.doubt.then(|| (String::new(), ms)),
            asked => asked,
        };
    }

    /// It holds by the word of the newest command.
    fn done(&mut self, command: &Command) {
        let id = &command.id;
        if self.held.as_ref().is_none_or(|(_, ms)| *ms <= command.issued_ms) {
            self.held = Some((id.clone(), command.issued_ms));
        }
        if self.asked.as_ref().is_some_and(|(known, _)| known == id) {
            self.asked = None;
            self.doubt = false;
        }
    }

    fn oldest_ms(&self) -> UnixMs {
        let told = self.held.as_ref().or(self.asked.as_ref());
        told.map_or(UnixMs::MIN, |(_, ms)| *ms)
    }
}

/// After how long something is told again.
#[derive(Debug, Clone, Copy)]
struct Ages {
    renew_ms: i64,
    again_ms: i64,
}

impl Ages {
    /// Between half and three quarters of the time to live; what is not answered again after an eighth.
    fn of(host: &str, ttl_ms: u64) -> Self {
        let ttl_ms = i64::try_from(ttl_ms).unwrap_or(i64::MAX);
        let spread = u64::try_from(ttl_ms / 4).unwrap_or(0).max(1);
        let own = i64::try_from(mixed(host) % spread).unwrap_or(0);
        Self {
            renew_ms: ttl_ms / 2 + own,
            again_ms: ttl_ms / 8,
        }
    }
}

/// A number of its own for each name (FNV-1a).
fn mixed(name: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

impl State {
    /// Whether an agent holds `key`, or was told to.
    pub fn is_leased(&self, key: &Key) -> bool {
        self.leases.contains_key(key)
    }

    /// `command`, which is no dry run, is on its way.
    pub(crate) fn sent(&mut self, command: &Command) {
        for change in &command.changes {
            let key = Key::new(&command.host, &change.workload, change.resource);
            let lease = self.leases.entry(key).or_default();
            lease.doubt |= lease.asked.is_some();
            lease.asked = Some((command.id.clone(), command.issued_ms));
            lease.ceiling = change.ceiling;
        }
    }

    /// Takes in what an agent did with `command`, which was no dry run.
    ///
    /// A lease that has ended leaves the reservation: what was promised stays promised, and the next plan asks for it again
    /// where it may.
    pub(super) fn lease_answered(&mut self, command: &Command, outcome: &Outcome) {
        for (at, change) in command.changes.iter().enumerate() {
            let key = Key::new(&command.host, &change.workload, change.resource);
            let lease = self.leases.entry(key.clone()).or_default();
            let effect = outcome.changes.get(at).map_or(Effect::None, |told| told.effect);
            let is = |told: &Option<(String, UnixMs)>| told.as_ref().is_some_and(|(id, _)| *id == command.id);
            match outcome.state {
                OutcomeState::Refused | OutcomeState::Failed => lease.not_done(&command.id),
                _ if effect == Effect::NotDone => lease.not_done(&command.id),
                OutcomeState::Applied | OutcomeState::DryRun | OutcomeState::Raised | OutcomeState::Hurt => {
                    lease.done(command);
                }
                OutcomeState::Expired => {
                    if is(&lease.held) || lease.held.is_none() {
                        *lease = Lease::default();
                    }
                }
                OutcomeState::Distrusted => {}
            }
            if lease.held.is_none() && lease.asked.is_none() {
                self.leases.remove(&key);
            }
        }
    }

    /// The lease by the word of command `id` on `host` has ended. Tells whether there was one.
    pub(crate) fn lease_ended(&mut self, host: &str, id: &str) -> bool {
        let by = |lease: &Lease| lease.held.as_ref().is_some_and(|(held, _)| held == id);
        let of_host = self.leases_of(host).filter(|(_, lease)| by(lease));
        let ended: Vec<Key> = of_host.map(|(key, _)| key.clone()).collect();
        for key in &ended {
            self.leases.remove(key);
        }
        !ended.is_empty()
    }

    fn leases_of(&self, host: &str) -> impl Iterator<Item = (&Key, &Lease)> {
        let all = self.leases.range(Key::new(host, "", shadow::Resource::Cpu)..);
        all.take_while(move |(key, _)| key.host == host)
    }

    /// What has to be told again at `now_ms`, by host, of the hosts that `may` be told: at most `most` hosts, those first
    /// that wait longest. All of a host goes along as soon as one is due.
    pub(crate) fn renewals(
        &self,
        (now_ms, ttl_ms): (UnixMs, u64),
        most: usize,
        may: impl Fn(&str) -> bool,
    ) -> BTreeMap<String, Vec<Key>> {
        let mut oldest: BTreeMap<&str, UnixMs> = BTreeMap::new();
        let mut ages = ("", Ages::of("", ttl_ms));
        for (key, lease) in &self.leases {
            if ages.0 != key.host {
                ages = (&key.host, Ages::of(&key.host, ttl_ms));
            }
            if lease.is_due(now_ms, ages.1) {
                let known = oldest.entry(&key.host).or_insert(UnixMs::MAX);
                *known = lease.oldest_ms().min(*known);
            }
        }
        let mut hosts: Vec<(UnixMs, &str)> = oldest.into_iter().map(|(host, ms)| (ms, host)).collect();
        hosts.retain(|(_, host)| may(host));
        hosts.sort_unstable();
        hosts.truncate(most);
        let of_host = |host: &str| self.leases_of(host).map(|(key, _)| key.clone()).collect();
        hosts
            .into_iter()
            .map(|(_, host)| (host.to_owned(), of_host(host)))
            .collect()
    }

    /// Up to where the agent may raise what it holds of `key`.
    pub(crate) fn ceiling(&self, key: &Key) -> Option<f64> {
        self.leases.get(key)?.ceiling
    }

    /// Lets a lease run out: nothing of it is told again.
    pub(crate) fn let_go(&mut self, key: &Key) {
        self.leases.remove(key);
    }
}
