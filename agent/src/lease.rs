//! How long applied commands hold: on the monotonic clock, from receipt. Pure.

use std::collections::BTreeSet;

/// The commands that hold.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    /// The moment at which each ends, and its id.
    ends: BTreeSet<(u64, String)>,
}

impl Leases {
    /// A command was applied: it holds for `ttl_ms`.
    pub(crate) fn grant(&mut self, id: &str, ttl_ms: u64, now_ns: u64) {
        let end_ns = now_ns.saturating_add(ttl_ms.saturating_mul(1_000_000));
        self.ends.insert((end_ns, id.to_owned()));
    }

    /// Takes out the next command whose time is over.
    pub(crate) fn expired(&mut self, now_ns: u64) -> Option<String> {
        let over = self.ends.first().is_some_and(|(end_ns, _)| *end_ns <= now_ns);
        if !over {
            return None;
        }
        self.ends.pop_first().map(|(_, id)| id)
    }

    /// Whether nothing holds.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_end_in_the_order_of_their_ends() {
        const MS: u64 = 1_000_000;
        let mut leases = Leases::default();
        leases.grant("long", 100, 0);
        leases.grant("short", 10, 5 * MS);
        leases.grant("endless", u64::MAX, 7);
        let mut at = |ms: u64| std::iter::from_fn(|| leases.expired(ms * MS)).collect::<Vec<_>>();
        assert_eq!(at(14), [""; 0]);
        assert_eq!(at(15), ["short"]);
        assert_eq!(at(15), [""; 0]);
        assert_eq!(at(1_000), ["long"]);
        assert!(!leases.is_empty());
    }
}
