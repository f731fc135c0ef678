//! How often passwords may be tried: from an address, and for a name.
//!
//! A name has a bound of its own, or a thousand machines could guess for one. Whoever floods a name could keep its owner out
//! by that; so it does not hold where the owner has come in from before.
//!
//! A try counts from its begin, as if it were wrong, so that nobody has more at a time than the bound. Where only tries that
//! are not decided yet are in the way, the next one waits for these instead of being refused: they may all be right.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
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
pub(super) struct Tries {
    tables: Mutex<Tables>,
    /// Told whenever a try has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Tables {
    addresses: HashMap<IpAddr, u64>,
    names: HashMap<Digest, u64>,
    /// Tries that are not decided yet.
    open: Vec<(IpAddr, Digest)>,
    /// From where which name came in.
    known: HashSet<(IpAddr, Digest)>,
}

/// A try under way. Unless it has [succeeded](Self::succeeded), it was one too many.
#[derive(Debug)]
pub(super) struct Try<'a> {
    tries: &'a Tries,
    from: IpAddr,
    name: Digest,
    /// Whether it counts for the name as well.
    of_name: bool,
}

/// Why a try is not made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// By tries that were wrong, for so long.
    For(Duration),
    /// By tries that are not decided yet.
    ByOthers,
}

impl Tries {
    /// Counts a try, before its password is looked at; where others that are not decided yet leave no room for it, when they are.
    ///
    /// # Errors
    /// How long to wait where it may not be made.
    pub(super) async fn begin(&self, from: IpAddr, name: &str, now_ns: u64) -> Result<Try<'_>, Duration> {
        let (from, name) = (household(from), digest(name.as_bytes()));
        loop {
            // Made before the look at the tables, so that no end in between is missed.
            let ended = self.ended.notified();
            let taken = self.tables().take(from, name, now_ns);
            match taken {
                Ok(of_name) => {
                    let tries = self;
                    return Ok(Try {
                        tries,
                        from,
                        name,
                        of_name,
                    });
                }
                Err(Held::For(wait)) => return Err(wait),
                Err(Held::ByOthers) => ended.await,
            }
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Try<'_> {
    /// The password was right: the try does not count.
    pub(super) fn succeeded(self) {
        self.tries.tables().give_back(&self);
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        let mut tables = self.tries.tables();
        let this = tables.open.iter().position(|open| *open == (self.from, self.name));
        this.map(|at| tables.open.swap_remove(at));
        drop(tables);
        self.tries.ended.notify_waiters();
    }
}

impl Tables {
    /// Whether the try counts for the name as well.
    fn take(&mut self, from: IpAddr, name: Digest, now_ns: u64) -> Result<bool, Held> {
        let undecided = self.open.iter().filter(|open| open.0 == from).count();
        take(&mut self.addresses, from, OF_ADDRESS, now_ns).map_err(held(undecided))?;
        let of_name = !self.known.contains(&(from, name));
        if of_name {
            let undecided = self.open.iter().filter(|open| open.1 == name).count();
            take(&mut self.names, name, OF_NAME, now_ns)
                .inspect_err(|_| give_back(&mut self.addresses, &from, OF_ADDRESS))
                .map_err(held(undecided))?;
        }
        self.open.push((from, name));
        Ok(of_name)
    }

    fn give_back(&mut self, right: &Try<'_>) {
        let Try { from, name, .. } = *right;
        give_back(&mut self.addresses, &from, OF_ADDRESS);
        if right.of_name {
            give_back(&mut self.names, &name, OF_NAME);
            if self.known.len() >= MAX {
                self.known.clear();
            }
            self.known.insert((from, name));
        }
    }
}

fn held(undecided: usize) -> impl FnOnce(Duration) -> Held {
    move |wait| if undecided > 0 { Held::ByOthers } else { Held::For(wait) }
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
    use futures_util::FutureExt as _;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn address(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    /// One that is wrong; whether it was let through is told at once, for no other is under way.
    fn wrong(tries: &Tries, from: IpAddr, name: &str, now_ns: u64) -> Result<(), Duration> {
        let begun = tries.begin(from, name, now_ns).now_or_never();
        begun.expect("it waits").map(drop)
    }

    fn right(tries: &Tries, from: IpAddr, name: &str) {
        let begun = tries.begin(from, name, 0).now_or_never();
        begun.expect("it waits").unwrap().succeeded();
    }

    #[test]
    fn an_address_has_ten_failures_and_then_one_each_ten_seconds() {
        let tries = Tries::default();
        let at = |second: u64, from: &str| {
            let name = format!("{from} {second}");
            wrong(&tries, from.parse().unwrap(), &name, second * SECOND_NS)
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
            right(&tries, address(1), "ann");
        }
        let guessed = (100..200)
            .filter(|from| wrong(&tries, address(*from), "ann", 0).is_ok())
            .count();
        assert_eq!(guessed, 20);
        assert!(
            wrong(&tries, address(1), "ann", 0).is_ok(),
            "from where she came in before"
        );
        assert!(wrong(&tries, address(2), "ann", 0).is_err());
        assert!(wrong(&tries, address(2), "bob", 0).is_ok());
    }

    #[test]
    fn who_is_right_waits_for_those_before_and_who_is_wrong_gains_nothing_by_it() {
        let tries = Tries::default();
        let begin = |name: &'static str| tries.begin(address(1), name, 0);
        let mut open: Vec<_> = (0..10).map(|_| begin("ann").now_or_never().unwrap().unwrap()).collect();
        let (mut next, mut other) = (Box::pin(begin("ann")), Box::pin(begin("bob")));
        assert!(next.as_mut().now_or_never().is_none() && other.as_mut().now_or_never().is_none());
        open.pop().unwrap().succeeded();
        let next = next.now_or_never().expect("there is room").unwrap();
        assert!(other.as_mut().now_or_never().is_none(), "for one alone");
        // All the others are wrong: none has come through besides the ten that may.
        drop(open);
        assert!(other.as_mut().now_or_never().is_none(), "one may be right still");
        drop(next);
        assert_eq!(
            other.now_or_never().map(|held| held.map(drop)),
            Some(Err(OF_ADDRESS.every))
        );
        assert_eq!(tries.tables().open, []);
        // What was right has left nothing behind, for the name neither.
        let of_name = (100..200).take_while(|from| wrong(&tries, address(*from), "ann", 0).is_ok());
        assert_eq!(of_name.count(), 11);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let tries = Tries::default();
        for n in 0..2 * MAX {
            let from = address(u32::try_from(n).unwrap());
            wrong(&tries, from, &n.to_string(), 0).unwrap_or_default();
        }
        let tables = tries.tables();
        assert_eq!((tables.addresses.len(), tables.names.len()), (MAX, MAX));
        drop(tables);
        assert!(
            wrong(&tries, address(1 << 30), "ann", 0).is_err(),
            "nobody is forgotten in a flood"
        );
        assert!(wrong(&tries, address(1 << 30), "ann", 60 * SECOND_NS).is_ok());
    }
}
