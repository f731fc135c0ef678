//! How often somebody may come with what is no good token. Pure: the time is handed in.

use std::{collections::BTreeMap, net::IpAddr};

/// Failures that one address may have a minute: enough for a person who mistypes and for hosts behind one address.
const PER_MINUTE: u32 = 20;

/// Addresses that are remembered; past it the one that failed longest ago is forgotten.
const ADDRESSES: usize = 1_024;

const MINUTE_NS: u64 = 60_000_000_000;

/// The failures of each address in its present minute.
#[derive(Debug, Default)]
pub struct Tries(BTreeMap<IpAddr, (u64, u32)>);

impl Tries {
    /// Whether `address` may try at `now_ns` of a monotonic clock.
    pub fn may(&self, address: IpAddr, now_ns: u64) -> bool {
        let found = self.0.get(&address);
        found.is_none_or(|(since_ns, failed)| now_ns.saturating_sub(*since_ns) >= MINUTE_NS || *failed < PER_MINUTE)
    }

    /// `address` has failed.
    pub fn failed(&mut self, address: IpAddr, now_ns: u64) {
        if !self.0.contains_key(&address) && self.0.len() >= ADDRESSES {
            let oldest = self
                .0
                .iter()
                .min_by_key(|(_, (since_ns, _))| *since_ns)
                .map(|(address, _)| *address);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        let (since_ns, failed) = self.0.entry(address).or_insert((now_ns, 0));
        if now_ns.saturating_sub(*since_ns) >= MINUTE_NS {
            (*since_ns, *failed) = (now_ns, 0);
        }
        *failed += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn failures_are_bounded_by_the_minute_and_the_address() {
        let mut tries = Tries::default();
        for _ in 0..PER_MINUTE {
            assert!(tries.may(address(1), 0));
            tries.failed(address(1), 0);
        }
        assert!(!tries.may(address(1), MINUTE_NS - 1) && tries.may(address(2), 0));
        assert!(tries.may(address(1), MINUTE_NS));
        tries.failed(address(1), MINUTE_NS);
        assert!(tries.may(address(1), MINUTE_NS));
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let mut tries = Tries::default();
        (0..5_000).for_each(|n| tries.failed(address(n), u64::from(n)));
        assert_eq!(tries.0.len(), ADDRESSES);
        assert!(tries.0.contains_key(&address(4_999)));
    }
}
