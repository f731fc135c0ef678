//! How often passwords may be tried: from an address, and for a name.
//!
//! A name has a bound of its own, or a thousand machines could guess for one. Whoever floods a name could keep its owner out
//! by that; so it does not hold where the owner has come in from before.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use trust::secret::{Digest, digest};

/// Failures that may come at once, and after how long another one may: from an address (IPv6: a /64, which a household has),
const OF_ADDRESS: Bound = Bound {
    burst: 10,
    every: Duration::from_secs(10),
};
/// and for a name, from wherever.
const OF_NAME: Bound = Bound {
    burst: 20,
    every: Duration::from_secs(30),
};
/// Addresses and names that are remembered at a time. Further ones have to wait.
const MAX: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Bound {
    burst: u32,
    every: Duration,
}

/// Who has tried how often.
#[derive(Debug, Default)]
pub(super) struct Tries(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    addresses: HashMap<IpAddr, u64>,
    names: HashMap<Digest, u64>,
    /// From where which name came in.
    known: HashSet<(IpAddr, Digest)>,
}

impl Tries {
    /// Counts a try, before its password is looked at.
    ///
    /// # Errors
    /// How long to wait where it may not be made.
    pub(super) fn begin(&self, from: IpAddr, name: &str, now_ns: u64) -> Result<(), Duration> {
        let (from, name) = (household(from), digest(name.as_bytes()));
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut tables.addresses, from, OF_ADDRESS, now_ns)?;
        if tables.known.contains(&(from, name)) {
            return Ok(());
        }
        take(&mut tables.names, name, OF_NAME, now_ns)
            .inspect_err(|_| give_back(&mut tables.addresses, &from, OF_ADDRESS))
    }

    /// The password was right: the try does not count.
    pub(super) fn succeeded(&self, from: IpAddr, name: &str) {
        let (from, name) = (household(from), digest(name.as_bytes()));
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        give_back(&mut tables.addresses, &from, OF_ADDRESS);
        if tables.known.contains(&(from, name)) {
            return;
        }
        give_back(&mut tables.names, &name, OF_NAME);
        if tables.known.len() >= MAX {
            tables.known.clear();
        }
        tables.known.insert((from, name));
    }
}

/// The table holds until when each has used up its tries: a try is `every` long, and `burst` of them may be ahead.
fn take<K: Hash + Eq>(table: &mut HashMap<K, u64>, key: K, bound: Bound, now_ns: u64) -> Result<(), Duration> {
    let every = nanos(bound.every);
    if table.len() >= MAX && !table.contains_key(&key) {
        table.retain(|_, until| *until > now_ns);
        if table.len() >= MAX {
            return Err(bound.every);
        }
    }
    let until = table.entry(key).or_default();
    let next = (*until).max(now_ns).saturating_add(every);
    let most = now_ns.saturating_add(every.saturating_mul(u64::from(bound.burst)));
    if next > most {
        return Err(Duration::from_nanos(next - most));
    }
    *until = next;
    Ok(())
}

fn give_back<K: Hash + Eq>(table: &mut HashMap<K, u64>, key: &K, bound: Bound) {
    if let Some(until) = table.get_mut(key) {
        *until = until.saturating_sub(nanos(bound.every));
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Who has one address of IPv6 has 2^64 of them.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => (u128::from(address) >> 64 << 64).to_be_bytes().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn address(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn an_address_has_ten_failures_and_then_one_each_ten_seconds() {
        let tries = Tries::default();
        let at = |second: u64, from: &str| {
            tries.begin(from.parse().unwrap(), &format!("{from} {second}"), second * SECOND_NS)
        };
        let free = |second: u64, from: &str| (0..100).take_while(|_| at(second, from).is_ok()).count();
        assert_eq!(free(0, "10.0.0.7"), 10);
        assert_eq!(at(0, "10.0.0.7"), Err(Duration::from_secs(10)));
        assert_eq!(free(35, "10.0.0.7"), 3);
        assert_eq!(free(35, "::ffff:10.0.0.7"), 0, "the same address");
        assert_eq!(free(35, "2001:db8::1"), 10);
        assert_eq!((free(35, "2001:db8::2"), free(35, "2001:db8:0:1::1")), (0, 10));
    }

    #[test]
    fn a_name_is_guarded_against_many_addresses_and_stays_open_to_its_owner() {
        let tries = Tries::default();
        for _ in 0..50 {
            tries.begin(address(1), "ann", 0).unwrap();
            tries.succeeded(address(1), "ann");
        }
        let guessed = (100..200)
            .filter(|from| tries.begin(address(*from), "ann", 0).is_ok())
            .count();
        assert_eq!(guessed, 20);
        assert!(
            tries.begin(address(1), "ann", 0).is_ok(),
            "from where she came in before"
        );
        assert!(tries.begin(address(2), "ann", 0).is_err());
        assert!(tries.begin(address(2), "bob", 0).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let tries = Tries::default();
        for n in 0..2 * MAX {
            tries
                .begin(address(u32::try_from(n).unwrap()), &n.to_string(), 0)
                .unwrap_or_default();
        }
        let tables = tries.0.lock().unwrap();
        assert_eq!((tables.addresses.len(), tables.names.len()), (MAX, MAX));
        drop(tables);
        assert!(
            tries.begin(address(1 << 30), "ann", 0).is_err(),
            "nobody is forgotten in a flood"
        );
        assert!(tries.begin(address(1 << 30), "ann", 60 * SECOND_NS).is_ok());
    }
}
