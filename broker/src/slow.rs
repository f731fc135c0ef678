//! Which clients do not keep up, or try what they may not.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

/// Clients that are remembered. Past it, the one that missed least makes place.
const REMEMBERED: usize = 100;

/// What became of a client, over all connections under its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub(crate) struct Missed {
    /// Messages that were dropped for it.
    pub(crate) dropped: u64,
    /// Connections that were ended because of it.
    pub(crate) ended: u64,
    /// Messages that came while so much waited for it that publishers were slowed down.
    pub(crate) slowed: u64,
    /// Messages and filters that it was not allowed.
    pub(crate) refused: u64,
}

/// The clients that missed most.
#[derive(Debug, Default)]
pub(crate) struct Slow {
    clients: HashMap<Arc<str>, Missed>,
}

impl Slow {
    /// What is known of `client`, to be counted up.
    pub(crate) fn of(&mut self, client: &Arc<str>) -> &mut Missed {
        if !self.clients.contains_key(client) && self.clients.len() >= REMEMBERED {
            self.forget_least();
        }
        self.clients.entry(client.clone()).or_default()
    }

    /// The `n` that missed most, the worst first.
    pub(crate) fn worst(&self, n: usize) -> Vec<(Arc<str>, Missed)> {
        let mut all: Vec<_> = self.clients.iter().map(|(id, missed)| (id.clone(), *missed)).collect();
        all.sort_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
        all.truncate(n);
        all
    }

    fn forget_least(&mut self) {
        let least = self.clients.iter().min_by_key(|(_, missed)| **missed);
        if let Some(id) = least.map(|(id, _)| id.clone()) {
            self.clients.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_are_remembered_however_many_there_are() {
        let mut slow = Slow::default();
        let worst: Arc<str> = "worst".into();
        for n in 0..1_000 {
            slow.of(&format!("client-{n}").into()).dropped += 1;
            slow.of(&worst).dropped += 1;
            slow.of(&worst).ended += u64::from(n % 100 == 0);
        }
        assert_eq!(slow.clients.len(), REMEMBERED);
        let missed = Missed {
            dropped: 1_000,
            ended: 10,
            ..Missed::default()
        };
        assert_eq!(slow.worst(2)[0], (worst, missed));
        assert_eq!(slow.worst(2)[1].1.dropped, 1);
    }
}
