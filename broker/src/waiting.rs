//! Bytes that wait in memory for a client, or of which a packet is not complete yet: counted for all connections together and
//! for each name, so that many connections of one client take no more than one may.
//!
//! Each side of a connection has an [`Account`]. It is counted in steps, and the first of them not at all: what is handed on
//! as it comes never touches what all share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crate::Limits;

/// Bytes that are not counted, of each account.
const FREE: usize = 16 * 1024;

/// Bytes that are counted together.
const STEP: usize = 16 * 1024;

/// What waits, all together and by names that have a client.
#[derive(Debug)]
pub(crate) struct Waiting {
    all: Arc<Tally>,
    names: Mutex<HashMap<Box<str>, Weak<Tally>>>,
    most_of_name: usize,
}

#[derive(Debug)]
struct Tally {
    bytes: AtomicUsize,
    most: usize,
}

/// What one side of a connection has of it, given back when it is dropped. The default one is nobody's, and counts nothing.
#[derive(Debug, Default)]
pub(crate) struct Account {
    all: Option<Arc<Tally>>,
    own: Option<Arc<Tally>>,
    held: usize,
}

impl Waiting {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Tally::new(limits.max_waiting_bytes)),
            names: Mutex::default(),
            most_of_name: limits.max_waiting_bytes_per_name,
        }
    }

    /// An account of a client of `name`; who has none counts among all alone.
    pub(crate) fn of(&self, name: Option<&str>) -> Account {
        Account {
            all: Some(self.all.clone()),
            own: name.map(|name| self.tally(name)),
            held: 0,
        }
    }

    /// Bytes that wait now, in whole steps.
    pub(crate) fn bytes(&self) -> usize {
        self.all.bytes.load(Relaxed)
    }

    fn tally(&self, name: &str) -> Arc<Tally> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tally) = names.get(name).and_then(Weak::upgrade) {
            return tally;
        }
        // Those that nobody has any more go before the table grows.
        if names.len() == names.capacity() {
            names.retain(|_, tally| tally.strong_count() > 0);
        }
        let tally = Arc::new(Tally::new(self.most_of_name));
        names.insert(name.into(), Arc::downgrade(&tally));
        tally
    }
}

impl Tally {
    const fn new(most: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            most,
        }
    }

    fn sub(&self, less: usize) {
        self.bytes.fetch_sub(less, Relaxed);
    }

    /// Adds `more` if there is room for it.
    fn add(&self, more: usize) -> bool {
        let room = self.bytes.fetch_add(more, Relaxed) + more <= self.most;
        if !room {
            self.bytes.fetch_sub(more, Relaxed);
        }
        room
    }
}

impl Account {
    /// Counts `bytes` in the place of what was counted before. `false` where there is no room for so many: then all is as it
    /// was.
    pub(crate) fn cover(&mut self, bytes: usize) -> bool {
        let counted = counted(bytes);
        if counted <= self.held {
            self.give_back(counted);
            return true;
        }
        let more = counted - self.held;
        if self.all.as_ref().is_some_and(|all| !all.add(more)) {
            return false;
        }
        if self.own.as_ref().is_some_and(|own| !own.add(more)) {
            self.all.iter().for_each(|all| all.sub(more));
            return false;
        }
        self.held = counted;
        true
    }

    /// The same for what is there already: it counts whether there is room or not.
    pub(crate) fn note(&mut self, bytes: usize) {
        let counted = counted(bytes);
        if counted <= self.held {
            return self.give_back(counted);
        }
        let more = counted - self.held;
        self.tallies().for_each(|tally| {
            tally.bytes.fetch_add(more, Relaxed);
        });
        self.held = counted;
    }

    /// Little less is not worth telling; nothing is.
    fn give_back(&mut self, counted: usize) {
        let less = self.held - counted;
        if less > STEP || counted == 0 && less > 0 {
            self.tallies().for_each(|tally| tally.sub(less));
            self.held = counted;
        }
    }

    fn tallies(&self) -> impl Iterator<Item = &Tally> {
        self.all.iter().chain(&self.own).map(Arc::as_ref)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let held = self.held;
        self.tallies().for_each(|tally| tally.sub(held));
    }
}

/// What is counted of so many bytes.
const fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(FREE).next_multiple_of(STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn waiting() -> Waiting {
        Waiting::new(&Limits {
            max_waiting_bytes: 3 * MIB,
            max_waiting_bytes_per_name: 2 * MIB,
            ..Limits::default()
        })
    }

    #[test]
    fn neither_a_name_nor_all_together_have_more_than_they_may() {
        let waiting = waiting();
        let (mut one, mut two) = (waiting.of(Some("a")), waiting.of(Some("a")));
        assert!(one.cover(MIB) && two.cover(MIB) && two.cover(MIB));
        assert!(!two.cover(MIB + MIB / 2), "of one name 2 MiB");
        assert!(!one.cover(usize::MAX / 2));
        let mut other = waiting.of(Some("b"));
        assert!(other.cover(MIB) && !other.cover(2 * MIB), "3 MiB together");
        let mut nobody = waiting.of(None);
        assert!(nobody.cover(FREE), "a little is always there");
        assert!(!nobody.cover(MIB));
        drop(two);
        assert!(nobody.cover(MIB) && one.cover(1) && one.cover(2 * MIB / 3));
        assert!(Account::default().cover(usize::MAX / 2), "nobody's counts nowhere");
        drop((one, other, nobody));
        assert_eq!(waiting.bytes(), 0, "all of it was given back");
    }

    #[test]
    fn what_is_there_already_counts_whether_there_is_room_or_not() {
        let waiting = waiting();
        let mut large = waiting.of(Some("a"));
        large.note(10 * MIB);
        assert!(waiting.bytes() > 9 * MIB);
        let mut other = waiting.of(Some("b"));
        assert!(!other.cover(MIB));
        large.note(0);
        assert_eq!(waiting.bytes(), 0);
        assert!(other.cover(MIB));
    }

    #[test]
    fn what_goes_up_and_down_a_little_is_not_counted_each_time() {
        let waiting = waiting();
        let mut account = waiting.of(None);
        account.note(FREE);
        assert_eq!(waiting.bytes(), 0);
        account.note(FREE + 10 * STEP);
        let held = waiting.bytes();
        for bytes in [FREE + 9 * STEP, FREE + 10 * STEP - 1, FREE + 9 * STEP + 1] {
            account.note(bytes);
            assert_eq!(waiting.bytes(), held);
        }
        account.note(FREE + STEP);
        assert_eq!(waiting.bytes(), STEP);
        account.note(0);
        assert_eq!(waiting.bytes(), 0);
    }

    #[test]
    fn names_whose_clients_have_left_are_forgotten() {
        let waiting = waiting();
        for n in 0..1_000 {
            assert!(waiting.of(Some(&n.to_string())).cover(MIB));
        }
        assert!(waiting.names.lock().unwrap().len() < 100);
    }
}
