//! Books outlive a restart: what they have learnt is handed to the store once an hour, each host at another interval.

use std::collections::BTreeMap;

use limits::Prices;
use shadow::{Resource, UnixMs};

use super::Limits;
use crate::store::StoredBook;

/// Of how many intervals each host has one in which its books are stored: an hour.
const TURNS: i64 = 12;

/// The most books that wait for the store: those of 8,000 hosts' turn, 45 MB.
const MAX_WAITING: usize = 8_192;

/// Books that are to be stored, by host and resource, and until when they are written.
pub(crate) type Waiting = BTreeMap<(String, Resource), (UnixMs, Vec<u8>)>;

impl Limits {
    /// Adds books of those hosts whose turn it is since the last interval to `waiting`, and tells the prices; `None` where no
    /// interval has ended since. Where too many wait, the others are left for an hour.
    pub(crate) fn store(&mut self, waiting: &mut Waiting) -> Option<BTreeMap<&'static str, Prices>> {
        let (interval, end_ms) = self.due.take()?;
        for (resource, fleet) in Resource::ALL.into_iter().zip(&self.fleets) {
            for host in fleet.hosts().filter(|host| turn(host) == interval.rem_euclid(TURNS)) {
                let key = (host.to_owned(), resource);
                if fleet.booked(host) > 0.0
                    && (waiting.len() < MAX_WAITING || waiting.contains_key(&key))
                    && let Some(body) = fleet.stored(host)
                {
                    waiting.insert(key, (end_ms, body));
                }
            }
        }
        let prices = self.fleets.each_ref().map(limits::Fleet::prices);
        Some(Resource::ALL.map(Resource::as_str).into_iter().zip(prices).collect())
    }

    /// Goes on with what was stored; tells how many books were none of this version, or broken. Their hosts begin anew.
    pub(crate) fn restore(&mut self, books: Vec<StoredBook>, prices: &BTreeMap<String, Prices>) -> usize {
        for (resource, fleet) in Resource::ALL.into_iter().zip(&mut self.fleets) {
            if let Some(prices) = prices.get(resource.as_str()) {
                fleet.restore_prices(*prices);
            }
        }
        let mut refused = 0;
        for (host, resource, body) in books {
            let fleet = self.fleets.get_mut(resource.index());
            if !fleet.is_some_and(|fleet| fleet.restore(&host, &body)) {
                tracing::warn!(host, %resource, "stored books are broken or of another version: they begin anew");
                refused += 1;
            }
        }
        refused
    }
}

/// Which of the turns a host has. FNV-1a: hosts come evenly, however they are called.
fn turn(host: &str) -> i64 {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    i64::from(host.bytes().fold(0x811c_9dc5, mix)) % TURNS
}

#[cfg(test)]
mod tests {
    use shadow::HOST_WORKLOAD;

    use super::*;
    use crate::{allocate::HostInput, policy::Policy, testing::host_with_peaks};

    fn hosts(end_ms: UnixMs) -> BTreeMap<String, HostInput> {
        let names = ["a", "b", "c"];
        names
            .map(|name| (name.to_owned(), host_with_peaks(0.3, end_ms, None)))
            .into()
    }

    #[test]
    fn each_host_is_stored_once_an_hour_and_a_start_goes_on_with_what_is_whole() {
        let policy = Policy::built_in();
        let mut limits = Limits::new(policy.limits);
        let (mut stored, mut told) = (Waiting::new(), 0);
        let mut prices = BTreeMap::new();
        for minute in 0..60 * 30 {
            limits.row(60_000 * minute, &policy, &hosts(60_000 * minute));
            let mut waiting = Waiting::new();
            if let Some(of_now) = limits.store(&mut waiting) {
                prices = of_now.into_iter().map(|(name, of)| (name.to_owned(), of)).collect();
                told += waiting.len();
                stored.extend(waiting);
            }
        }
        // Network alone is forecast; each of three hosts once in each of 30 hours, but where nothing was booked yet.
        assert!(
            stored.len() == 3 && (85..=90).contains(&told),
            "{} {told}",
            stored.len()
        );
        let before = limits.fleets[2].booked("b");
        let mut books: Vec<StoredBook> = stored
            .into_iter()
            .map(|((host, resource), (_, body))| (host, resource, body))
            .collect();
        books[2].2[100] ^= 4;
        let mut next = Limits::new(policy.limits);
        assert_eq!(next.restore(books, &prices), 1);
        let booked = ["a", "b", "c"].map(|host| next.fleets[2].booked(host));
        assert!(booked[1] > before - 12.0 && booked[1] <= before, "{booked:?} {before}");
        assert!(booked[0] > 230.0 && booked[2] == 0.0, "{booked:?}");
        assert_eq!(next.fleets[2].prices(), limits.fleets[2].prices());
        // A start that knows its books decides at once, where a new brain takes a day.
        let end_ms = 60_000 * 60 * 31;
        next.row(end_ms, &policy, &hosts(end_ms));
        let standing = ["a", "c", HOST_WORKLOAD].map(|host| next.standing(host)[2].is_some());
        assert_eq!(standing, [true, false, false]);
    }

    #[test]
    fn what_waits_for_the_store_is_bounded() {
        let policy = Policy::built_in();
        let mut limits = Limits::new(policy.limits);
        for minute in 0..20 {
            limits.row(60_000 * minute, &policy, &hosts(60_000 * minute));
        }
        let full = |at: usize| ((format!("other-{at}"), Resource::Cpu), (0, Vec::new()));
        let mut waiting: Waiting = (0..MAX_WAITING).map(full).collect();
        for minute in 20..90 {
            limits.row(60_000 * minute, &policy, &hosts(60_000 * minute));
            limits.store(&mut waiting);
        }
        assert_eq!(waiting.len(), MAX_WAITING);
    }
}
