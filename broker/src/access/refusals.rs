//! What was refused, counted by reason.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Wrong user or password, no credentials where they are needed, or a certificate without a name.
    Login,
    /// Too many passwords wait to be checked.
    Busy,
    /// A connection past `max_connections`.
    Connection,
    /// A connection past what its address may have.
    Address,
    /// A client past what its name may have.
    Name,
    /// A connection that was not complete in time: handshake or CONNECT.
    Late,
    /// A connection that was not encrypted, or whose handshake has failed.
    Handshake,
    /// A message that its sender may not publish.
    Publish,
    /// A subscription to what its client may not read.
    Subscribe,
    /// A will that its client may not publish.
    Will,
    /// A packet that is too large or malformed.
    Packet,
    /// A message that was delivered but not retained: the store is full, or as much of it as its publisher's name may have.
    Retain,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::Login,
        Self::Busy,
        Self::Connection,
        Self::Address,
        Self::Name,
        Self::Late,
        Self::Handshake,
        Self::Publish,
        Self::Subscribe,
        Self::Will,
        Self::Packet,
        Self::Retain,
    ];

    /// The word in topics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Busy => "busy",
            Self::Connection => "connection",
            Self::Address => "address",
            Self::Name => "name",
            Self::Late => "late",
            Self::Handshake => "handshake",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Will => "will",
            Self::Packet => "packet",
            Self::Retain => "retain",
        }
    }
}

/// How often each reason was met since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refusals([u64; Refusal::ALL.len()]);

impl Refusals {
    /// How often this was the reason.
    pub fn of(&self, why: Refusal) -> u64 {
        self.0.get(why as usize).copied().unwrap_or_default()
    }

    /// Every reason with its number.
    pub fn each(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(self.0)
    }
}

/// The counters behind [`Refusals`].
#[derive(Debug, Default)]
pub(crate) struct Refused([AtomicU64; Refusal::ALL.len()]);

impl Refused {
    /// Counts one.
    pub(crate) fn count(&self, why: Refusal) {
        if let Some(counter) = self.0.get(why as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// All of them now.
    pub(crate) fn now(&self) -> Refusals {
        Refusals(std::array::from_fn(|at| {
            self.0.get(at).map_or(0, |counter| counter.load(Relaxed))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_number() {
        let refused = Refused::default();
        for (at, why) in Refusal::ALL.into_iter().enumerate() {
            (0..=at).for_each(|_| refused.count(why));
        }
        let found: Vec<u64> = refused.now().each().map(|(_, n)| n).collect();
        assert_eq!(found, (1..=Refusal::ALL.len() as u64).collect::<Vec<_>>());
        assert_eq!(refused.now().of(Refusal::Retain), Refusal::ALL.len() as u64);
    }
}
