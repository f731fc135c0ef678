//! How many are there: by address, by name, and those that have not said who they are.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Seats that are taken, by who has taken them.
#[derive(Debug)]
pub(crate) struct Seats<K: Eq + Hash> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// A seat, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat<K: Eq + Hash> {
    key: Option<K>,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K: Eq + Hash> Default for Seats<K> {
    fn default() -> Self {
        Self { taken: Arc::default() }
    }
}

impl<K: Eq + Hash + Clone> Seats<K> {
    /// A seat of `key`, if it has fewer than `max`.
    pub(crate) fn take(&self, key: K, max: usize) -> Option<Seat<K>> {
        let mut all = lock(&self.taken);
        let taken = all.entry(key.clone()).or_insert(0);
        let free = *taken < max;
        if free {
            *taken += 1;
        }
        if *taken == 0 {
            all.remove(&key);
        }
        drop(all);
        free.then(|| Seat {
            key: Some(key),
            taken: self.taken.clone(),
        })
    }
}

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut all = lock(&self.taken);
        if let Some(taken) = all.get_mut(&key) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&key);
            }
        }
    }
}

fn lock<K>(taken: &Mutex<HashMap<K, usize>>) -> MutexGuard<'_, HashMap<K, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counts as one address: of IPv6 the first 64 bits, for whoever has one of them has all.
pub(crate) fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let bits = v6.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(bits).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_once_it_is_left() {
        let seats = Seats::default();
        let first = seats.take("a", 2).unwrap();
        let second = seats.take("a", 2).unwrap();
        assert!(seats.take("a", 2).is_none() && seats.take("b", 2).is_some() && seats.take("c", 0).is_none());
        drop(first);
        drop(seats.take("a", 2).unwrap());
        drop(second);
        assert!(lock(&seats.taken).is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let same = |a: &str, b: &str| household(a.parse().unwrap()) == household(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1:2:3") && !same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1") && !same("192.0.2.1", "192.0.2.2"));
    }
}
