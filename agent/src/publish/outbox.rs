//! What an agent has to say, in the order in which it is said. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use shadow::{Finding, Watermark};

use super::health::{Health, Place};
use crate::spool::{Bounds, Due, Kind, Serial, Spool, record::Record};
pub(crate) use disk::Chores;

mod disk;

/// Outcomes that wait for a connection; of more, the oldest go, and their commands time out at the brain.
const MAX_OUTCOMES: usize = 256;

/// The connection must have been gone for so long before the disk is used: most outages are shorter.
const SPILL_AFTER_NS: u64 = 5_000_000_000;

/// A broker that takes frames which no brain answers for so long is as good as none.
const SILENT_NS: u64 = 60_000_000_000;

/// How much goes to disk at once, in bytes: a system call's worth.
const SPILL_BYTES: usize = 256 << 10;

/// A segment is read back when fewer frames than this wait to be sent again: they last for a second.
const LOW: usize = 2 * super::RESEND_PER_S as usize;

/// Counts since the agent started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Samples pushed.
    pub samples: u64,
    /// Samples refused: not later than the one before, or of no known catalogue.
    pub refused: u64,
    /// Frames cut.
    pub frames: u64,
    /// Bytes of their envelopes and bodies.
    pub bytes: u64,
    /// Events told.
    pub events: u64,
    /// Frames and events handed to the broker for the first time.
    pub sent: u64,
    /// Frames and events handed to the broker again.
    pub resent: u64,
    /// Frames and events that the spool had no room for any more: they are lost.
    pub dropped: u64,
    /// Commands answered.
    pub commands: u64,
    /// Commands refused: not for this host, not now, of no brain, or not to be read.
    pub commands_refused: u64,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Letter {
    Birth { epoch: u64, payload: Bytes, newest: bool },
    Status(Bytes),
    Outcome(Bytes),
    Numbered(Due),
}

/// Everything that is to be said, and what has been said and is not durable yet.
#[derive(Debug)]
pub(crate) struct Outbox {
    connected: bool,
    /// When the connection came or went, or the brain was heard last.
    heard_ns: u64,
    /// Of the running epoch and of all that still have frames in the spool.
    births: BTreeMap<u64, Bytes>,
    /// Epochs whose birth is to be told.
    untold: VecDeque<u64>,
    status: Option<Bytes>,
    /// The status told last: at a new connection it is told again, for the last will may stand in its place.
    told_status: Option<Bytes>,
    /// The last word: a status that is told when nothing else is left to say.
    farewell: Option<Bytes>,
    outcomes: VecDeque<Bytes>,
    spool: Spool,
    /// Births that the brain wants and that lie on disk.
    wanted: BTreeSet<u64>,
    health: Health,
    pub(crate) counters: Counters,
}

impl Outbox {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            connected: false,
            heard_ns: 0,
            births: BTreeMap::new(),
            untold: VecDeque::new(),
            status: None,
            told_status: None,
            farewell: None,
            outcomes: VecDeque::new(),
            spool: Spool::new(bounds),
            wanted: BTreeSet::new(),
            health: Health::default(),
            counters: Counters::default(),
        }
    }

    /// A new epoch: its birth is told before anything else.
    pub(crate) fn begin(&mut self, epoch: u64, birth: Bytes) {
        self.births.insert(epoch, birth);
        self.forget_births();
        self.tell_birth(epoch);
    }

    /// A frame, read against the one `reference` sequences before it, or by itself where that is 0.
    pub(crate) fn frame(&mut self, id: Serial, reference: u64, payload: Bytes) {
        self.counters.frames += 1;
        self.counters.bytes += payload.len() as u64;
        self.counters.dropped += self.spool.push(id, Kind::Frame { reference }, payload);
    }

    /// Bears a serial as a frame does, and is as sure to arrive.
    pub(crate) fn event(&mut self, id: Serial, payload: Bytes) {
        self.counters.events += 1;
        self.counters.dropped += self.spool.push(id, Kind::Event, payload);
    }

    /// Only the newest status is told.
    pub(crate) fn status(&mut self, status: Bytes) {
        self.status = Some(status);
    }

    /// The status to end with: whoever hears it has been sent everything before.
    pub(crate) fn farewell(&mut self, status: Bytes) {
        self.status = None;
        self.farewell = Some(status);
    }

    pub(crate) fn outcome(&mut self, outcome: Bytes) {
        if self.outcomes.len() >= MAX_OUTCOMES {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(outcome);
    }

    /// The broker is there (again). It may have forgotten the birth that it kept, and frames under way.
    pub(crate) fn connected(&mut self, now_ns: u64) {
        self.connected = true;
        self.heard_ns = now_ns;
        self.spool.send_again();
        self.status = self.status.take().or_else(|| self.told_status.clone());
        self.retell_birth();
    }

    pub(crate) fn disconnected(&mut self, now_ns: u64) {
        self.connected = false;
        self.heard_ns = now_ns;
    }

    /// Whether what is cut now may have to wait for long.
    fn is_alone(&self, now_ns: u64) -> bool {
        let silent_ns = now_ns.saturating_sub(self.heard_ns);
        if self.connected {
            silent_ns >= SILENT_NS && self.spool.has_waited(SILENT_NS, now_ns)
        } else {
            silent_ns >= SPILL_AFTER_NS
        }
    }

    /// What the brain knows. Births that it lacks are told again, where they are still there.
    pub(crate) fn watermark(&mut self, watermark: &Watermark, now_ns: u64) {
        self.heard_ns = now_ns;
        for mark in &watermark.epochs {
            self.spool.mark(mark, now_ns);
            if mark.birth_wanted {
                self.want_birth(mark.epoch);
            }
        }
        self.spool.send_overdue(now_ns);
        self.forget_births();
    }

    /// Tells a birth that the brain asks for, where it is. Where it is nowhere nobody can read its frames.
    fn want_birth(&mut self, epoch: u64) {
        if self.births.contains_key(&epoch) {
            self.tell_birth(epoch);
        } else if self.spool.has_birth(epoch) {
            self.wanted.insert(epoch);
        } else {
            let dropped = self.spool.give_up_epoch(epoch);
            if dropped > 0 {
                tracing::error!(epoch, dropped, "lost: the birth that they are read with is nowhere");
            }
            self.counters.dropped += dropped;
        }
    }

    /// What to say now: nothing while there is nobody to hear it. Births first, for frames are read with them; what is
    /// sent again last, and only where the link has room for a `backlog`.
    pub(crate) fn next(&mut self, now_ns: u64, backlog: bool) -> Option<Letter> {
        if !self.connected {
            return None;
        }
        if let Some(epoch) = self.untold.pop_front() {
            let newest = self.births.keys().next_back() == Some(&epoch);
            let payload = self.births.get(&epoch)?.clone();
            return Some(Letter::Birth { epoch, payload, newest });
        }
        if let Some(status) = self.status.take() {
            self.told_status = Some(status.clone());
            return Some(Letter::Status(status));
        }
        if let Some(outcome) = self.outcomes.pop_front() {
            return Some(Letter::Outcome(outcome));
        }
        if let Some(due) = self.spool.next(now_ns, backlog) {
            *self.sent_counter(due.again) += 1;
            return Some(Letter::Numbered(due));
        }
        if self.has_backlog() {
            return None;
        }
        let farewell = self.farewell.take()?;
        self.told_status = Some(farewell.clone());
        Some(Letter::Status(farewell))
    }

    /// A letter that could not be handed over.
    pub(crate) fn put_back(&mut self, letter: Letter) {
        match letter {
            Letter::Birth { epoch, .. } => self.tell_birth(epoch),
            Letter::Status(status) => self.status = self.status.take().or(Some(status)),
            Letter::Outcome(outcome) => self.outcomes.push_front(outcome),
            Letter::Numbered(Due { id, again, .. }) => {
                let counter = self.sent_counter(again);
                *counter = counter.saturating_sub(1);
                self.spool.put_back(id, again);
            }
        }
    }

    /// Whether something would be said that is said before, if the link had room for it.
    pub(crate) fn has_backlog(&self) -> bool {
        self.connected && self.spool.has_backlog()
    }

    /// A letter that can never be sent.
    pub(crate) fn give_up(&mut self, letter: &Letter) {
        if let Letter::Numbered(due) = letter {
            self.counters.dropped += self.spool.give_up(due.id);
        }
    }

    /// What came since the last call, for the copy that outlives the process.
    pub(crate) fn take_unsaved(&mut self) -> Vec<Record> {
        self.spool.take_unsaved()
    }

    /// The ring.
    pub(crate) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// How a place of the spool does: `None` when it works.
    pub(crate) fn place(&mut self, place: Place, fault: Option<String>) {
        self.health.set(place, fault);
    }

    /// Places of the spool that do not work now.
    pub(crate) fn failing(&self) -> usize {
        self.health.failing()
    }

    /// Something that is to be told as an event.
    pub(crate) fn found(&mut self, finding: Finding) {
        self.health.found(finding);
    }

    /// The newest birth is told again: its seal may not hold for much longer. Whether there is one.
    pub(crate) fn retell_birth(&mut self) -> bool {
        let newest = self.births.keys().next_back().copied();
        newest.inspect(|&newest| self.tell_birth(newest)).is_some()
    }

    /// What has happened to the places of the spool, and else.
    pub(crate) fn take_findings(&mut self) -> Vec<Finding> {
        self.health.take_findings()
    }

    /// How many frames are not known to be durable.
    pub(crate) fn spooled(&self) -> usize {
        self.spool.len()
    }

    /// The bytes that they take.
    pub(crate) fn spooled_bytes(&self) -> usize {
        self.spool.bytes()
    }

    /// The bytes on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.spool.disk_bytes()
    }

    fn sent_counter(&mut self, again: bool) -> &mut u64 {
        if again {
            &mut self.counters.resent
        } else {
            &mut self.counters.sent
        }
    }

    fn tell_birth(&mut self, epoch: u64) {
        if self.births.contains_key(&epoch) && !self.untold.contains(&epoch) {
            self.untold.push_back(epoch);
        }
    }

    fn forget_births(&mut self) {
        let newest = self.births.keys().next_back().copied();
        let spool = &self.spool;
        self.births
            .retain(|&epoch, _| Some(epoch) == newest || spool.holds(epoch));
        let births = &self.births;
        self.untold.retain(|epoch| births.contains_key(epoch));
    }
}

#[cfg(test)]
mod tests {
    use shadow::EpochMark;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        memory: 1 << 20,
        disk: 1 << 20,
        mirrored: false,
    };

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn frame(outbox: &mut Outbox, epoch: u64, sequence: u64) {
        outbox.frame(Serial { epoch, sequence }, 0, bytes("frame"));
    }

    /// Everything that is said now, in short: `B7*` is the newest birth, `F7.0+` a frame sent again.
    fn said(outbox: &mut Outbox) -> Vec<String> {
        let short = |letter| match letter {
            Letter::Birth { epoch, newest, .. } => format!("B{epoch}{}", if newest { "*" } else { "" }),
            Letter::Status(_) => "S".to_owned(),
            Letter::Outcome(outcome) => format!("O{}", String::from_utf8_lossy(&outcome)),
            Letter::Numbered(Due { id, again, .. }) => {
                format!("F{}.{}{}", id.epoch, id.sequence, if again { "+" } else { "" })
            }
        };
        std::iter::from_fn(|| outbox.next(0, true)).map(short).collect()
    }

    fn wanted(epoch: u64, durable_below: u64) -> Watermark {
        Watermark {
            epochs: vec![EpochMark {
                epoch,
                durable_below,
                birth_wanted: true,
                ..EpochMark::default()
            }],
        }
    }

    #[test]
    fn nothing_is_said_without_a_connection_and_births_go_first() {
        let mut outbox = Outbox::new(BOUNDS);
        outbox.begin(7, bytes("birth"));
        frame(&mut outbox, 7, 0);
        outbox.status(bytes("old"));
        outbox.status(bytes("new"));
        outbox.outcome(bytes("1"));
        assert_eq!(said(&mut outbox), [""; 0]);
        outbox.connected(0);
        assert_eq!(said(&mut outbox), ["B7*", "S", "O1", "F7.0"]);
        frame(&mut outbox, 7, 1);
        outbox.disconnected(0);
        assert_eq!(said(&mut outbox), [""; 0]);
        outbox.connected(0);
        assert_eq!(
            said(&mut outbox),
            ["B7*", "S", "F7.1", "F7.0+"],
            "a will may stand in place of the status"
        );
        assert_eq!((outbox.counters.sent, outbox.counters.resent), (2, 1));
    }

    #[test]
    fn births_live_as_long_as_their_frames() {
        let mut outbox = Outbox::new(BOUNDS);
        outbox.connected(0);
        outbox.begin(7, bytes("birth"));
        frame(&mut outbox, 7, 0);
        outbox.begin(8, bytes("birth"));
        assert_eq!(said(&mut outbox), ["B7", "B8*", "F7.0"]);
        outbox.watermark(&wanted(7, 0), 0);
        assert_eq!(said(&mut outbox), ["B7"], "kept for its frame, and not as the newest");
        outbox.watermark(&wanted(7, 1), 0);
        assert_eq!(said(&mut outbox), [""; 0], "all of it is durable");
        outbox.watermark(&wanted(8, 0), 0);
        outbox.watermark(&wanted(8, 0), 0);
        assert_eq!(said(&mut outbox), ["B8*"], "told once, however often it is wanted");
    }

    #[test]
    fn letters_that_were_not_taken_are_said_later() {
        let mut outbox = Outbox::new(BOUNDS);
        outbox.connected(0);
        outbox.begin(7, bytes("birth"));
        outbox.status(bytes("old"));
        outbox.outcome(bytes("1"));
        frame(&mut outbox, 7, 0);
        let letters: Vec<Letter> = std::iter::from_fn(|| outbox.next(0, true)).collect();
        outbox.outcome(bytes("2"));
        for letter in letters {
            outbox.put_back(letter);
        }
        assert_eq!(outbox.counters.sent, 0);
        assert_eq!(said(&mut outbox), ["B7*", "S", "O1", "O2", "F7.0"]);
        assert_eq!(outbox.counters.sent, 1);
    }

    #[test]
    fn the_last_word_comes_after_all_frames() {
        let mut outbox = Outbox::new(BOUNDS);
        outbox.connected(0);
        outbox.begin(7, bytes("birth"));
        frame(&mut outbox, 7, 0);
        outbox.status(bytes("online"));
        outbox.farewell(bytes("offline"));
        outbox.outcome(bytes("1"));
        assert_eq!(said(&mut outbox), ["B7*", "O1", "F7.0", "S"]);
        outbox.connected(0);
        assert_eq!(outbox.status, Some(bytes("offline")), "at a new connection as well");
    }

    #[test]
    fn outcomes_that_wait_are_bounded() {
        let mut outbox = Outbox::new(BOUNDS);
        for n in 0..MAX_OUTCOMES + 2 {
            outbox.outcome(bytes(&n.to_string()));
        }
        outbox.connected(0);
        let said = said(&mut outbox);
        assert_eq!((said.len(), said[0].as_str()), (MAX_OUTCOMES, "O2"));
    }
}
