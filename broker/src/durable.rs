//! What survives a restart, and a kill: retained messages and sessions, in a journal that a thread of its own writes.
//!
//! All that holds is in memory; the journal is read at a start alone. Changes are handed over under the locks that they
//! are made under, so they stand in the order in which they were made, and are written in batches. An acknowledgement
//! that speaks of changes goes the same way and is sent when its batch has been written: what a client was told of
//! survives the end of this process, and with [`Fsync::Always`] a loss of power as well.
//!
//! | module | what it does |
//! |---|---|
//! | `record` | changes as bytes and back |
//! | `folder` | the files |
//! | `restored` | what holds after all changes |
//!
//! Where the disk fails, the broker goes on in memory and says so; each ten seconds it tries to write all that holds. With
//! [`Fsync::Always`] nothing is acknowledged meanwhile: publishers wait, as they have asked for.

mod folder;
mod record;
mod restored;

use std::{
    fmt, io, mem,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rumqttd::protocol::Packet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::sync::watch;

use self::folder::Folder;
pub(crate) use self::{
    record::{Change, Saved, Step},
    restored::Restored,
};
use crate::{BrokerError, outbox::Outbox};

/// Bytes of changes that may wait; past it, messages wait in the router, and so do their publishers.
const MAX_WAITING: usize = 32 * 1024 * 1024;

/// Acknowledgements that may wait for a disk that fails or hangs; past it, messages wait in the router, and so does what
/// else is to be acknowledged.
const MAX_OWED: usize = 100_000;

/// What a change without a message counts for.
const CHANGE_COST: usize = 64;

/// A file is rewritten when it is twice as long as what it began with, and this much more.
const SLACK: u64 = 16 * 1024 * 1024;

/// When what was written is made to survive a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Before it is acknowledged; many messages together.
    Always,
    /// This long after it was written: as much may be lost, acknowledged or not.
    Every(runtime::Span),
}

impl<'de> Deserialize<'de> for Fsync {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "always" {
            return Ok(Self::Always);
        }
        text.parse().map(Self::Every).map_err(de::Error::custom)
    }
}

impl Serialize for Fsync {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Always => serializer.serialize_str("always"),
            Self::Every(span) => span.serialize(serializer),
        }
    }
}

/// The way into the journal. Without a folder nothing is written, and acknowledgements go out at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Option<Arc<Inner>>);

struct Inner {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Whether there is room for more.
    room: watch::Sender<bool>,
    /// Whether all that holds is to be written anew.
    wants_all: AtomicBool,
    faults: AtomicU64,
    bytes: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Waiting {
    changes: Vec<Change>,
    answers: Vec<(Arc<Outbox>, Packet)>,
    bytes: usize,
    /// Changes that belong together are being handed over.
    held: usize,
    closing: bool,
}

/// Keeps changes together: they are written in one go.
pub(crate) struct Together<'a>(Option<&'a Inner>);

impl Journal {
    /// Takes the folder and reads what survived in it. [`Change::Begin`] and all that holds are to be the first that is
    /// appended.
    pub(crate) fn open(path: &Path, fsync: Fsync) -> Result<(Self, Restored), BrokerError> {
        let failed = |source: io::Error| BrokerError::Data {
            path: path.to_owned(),
            source,
        };
        let mut folder = Folder::open(path).map_err(failed)?;
        let restored = folder.recover().map_err(failed)?;
        let inner = Arc::new(Inner {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            room: watch::Sender::new(true),
            wants_all: AtomicBool::new(false),
            faults: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            thread: Mutex::new(None),
        });
        let for_thread = inner.clone();
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || for_thread.write_all(folder, fsync))
            .map_err(failed)?;
        *lock(&inner.thread) = Some(thread);
        Ok((Self(Some(inner)), restored))
    }

    /// Hands over a change.
    pub(crate) fn append(&self, change: Change) {
        let Some(inner) = &self.0 else { return };
        let mut waiting = lock(&inner.waiting);
        waiting.bytes += cost(&change);
        waiting.changes.push(change);
        if waiting.bytes > MAX_WAITING {
            inner.room.send_replace(false);
        }
        inner.wake.notify_one();
    }

    /// Sends `packet` once all that was appended before has been written.
    pub(crate) fn answer(&self, outbox: &Arc<Outbox>, packet: Packet) {
        match &self.0 {
            Some(inner) => {
                let mut waiting = lock(&inner.waiting);
                waiting.answers.push((outbox.clone(), packet));
                if waiting.answers.len() > MAX_OWED {
                    inner.room.send_replace(false);
                }
                inner.wake.notify_one();
            }
            None => outbox.push_packet(packet),
        }
    }

    /// What is appended until the guard goes is written in one go.
    pub(crate) fn together(&self) -> Together<'_> {
        if let Some(inner) = &self.0 {
            lock(&inner.waiting).held += 1;
        }
        Together(self.0.as_deref())
    }

    /// Whether anything is written at all.
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until there is room.
    pub(crate) async fn room(&self) {
        if let Some(inner) = &self.0 {
            // The sender lives as long as this journal.
            drop(inner.room.subscribe().wait_for(|room| *room).await);
        }
    }

    /// Whether all that holds is to be appended anew, behind [`Change::Begin`].
    pub(crate) fn wants_all(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.wants_all.load(Relaxed))
    }

    /// Bytes on disk, and how often writing has failed.
    pub(crate) fn figures(&self) -> (u64, u64) {
        self.0
            .as_ref()
            .map_or((0, 0), |inner| (inner.bytes.load(Relaxed), inner.faults.load(Relaxed)))
    }

    /// Writes what waits, and ends. Blocks until all is on disk.
    pub(crate) fn close(&self) {
        let Some(inner) = &self.0 else { return };
        lock(&inner.waiting).closing = true;
        inner.wake.notify_one();
        let thread = lock(&inner.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's thread has failed: what came last may be lost");
        }
    }
}

impl Drop for Together<'_> {
    fn drop(&mut self) {
        if let Some(inner) = self.0 {
            lock(&inner.waiting).held -= 1;
            inner.wake.notify_one();
        }
    }
}

impl Inner {
    /// The thread: batch after batch, until it is closed.
    fn write_all(&self, mut folder: Folder, fsync: Fsync) {
        let mut unsynced: Option<Instant> = None;
        // What may not be said before the disk works again.
        let mut owed: Vec<(Arc<Outbox>, Packet)> = Vec::new();
        loop {
            let due = match fsync {
                Fsync::Always => None,
                Fsync::Every(span) => unsynced.map(|since| span.duration().saturating_sub(since.elapsed())),
            };
            let (batch, closing) = self.next(due, owed.len());
            let mut written = Ok(());
            if !batch.changes.is_empty() {
                let begins = batch.changes.contains(&Change::Begin);
                if begins {
                    self.wants_all.store(false, Relaxed);
                }
                let works = begins || folder.works();
                if works {
                    written = folder.append(&batch.changes);
                    unsynced = unsynced.or_else(|| Some(Instant::now()));
                }
            }
            let late = |span: runtime::Span| unsynced.is_some_and(|since| since.elapsed() >= span.duration());
            let sync = closing
                || match fsync {
                    Fsync::Always => unsynced.is_some(),
                    Fsync::Every(span) => late(span),
                };
            if sync {
                written = written.and_then(|()| folder.sync());
                unsynced = None;
            }
            if let Err(error) = written {
                self.faults.fetch_add(1, Relaxed);
                tracing::error!(%error, "journal cannot be written: what comes now does not survive a restart");
            }
            let (bytes, complete) = folder.bytes();
            self.bytes.store(bytes, Relaxed);
            if !folder.works() || bytes > 2 * complete + SLACK {
                self.wants_all.store(true, Relaxed);
            }
            owed.extend(batch.answers);
            if fsync == Fsync::Always && !folder.works() {
                owed.retain(|(outbox, _)| !outbox.is_gone());
                if owed.len() > MAX_OWED {
                    self.room.send_replace(false);
                }
            } else {
                for (outbox, packet) in owed.drain(..) {
                    outbox.push_answer(packet);
                }
                self.room.send_if_modified(|room| !mem::replace(room, true));
            }
            if closing {
                return;
            }
        }
    }

    /// Waits for a batch, at most for `due`; tells whether it is the last one. `owed`: answers that still wait.
    fn next(&self, due: Option<Duration>, owed: usize) -> (Waiting, bool) {
        let mut waiting = lock(&self.waiting);
        let before = Instant::now();
        loop {
            let ready = !waiting.changes.is_empty() || !waiting.answers.is_empty() || waiting.closing;
            let left = due.map(|due| due.saturating_sub(before.elapsed()));
            if waiting.held == 0 && (ready || left.is_some_and(|left| left.is_zero())) {
                break;
            }
            waiting = match left.filter(|left| !left.is_zero()) {
                Some(left) => self
                    .wake
                    .wait_timeout(waiting, left)
                    .map_or_else(|e| e.into_inner().0, |(w, _)| w),
                None => self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let closing = waiting.closing;
        let batch = Waiting {
            changes: mem::take(&mut waiting.changes),
            answers: mem::take(&mut waiting.answers),
            ..Waiting::default()
        };
        waiting.bytes = 0;
        if owed <= MAX_OWED {
            self.room.send_if_modified(|room| !mem::replace(room, true));
        }
        (batch, closing)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

fn cost(change: &Change) -> usize {
    match change {
        Change::Retained(message) => message.cost(),
        Change::Queued { delivery, .. } => delivery.message.cost(),
        _ => CHANGE_COST,
    }
}

/// What is half done here is a push to a list, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rumqttd::protocol::PingResp;
    use runtime::Clock;

    use super::*;
    use crate::{access::Permit, outbox::Capacity, packet::Version, waiting::Account};

    /// Until all that holds has been written nothing is acknowledged, as on a disk that fails.
    #[tokio::test]
    async fn so_many_answers_wait_for_a_disk_that_fails_and_then_nobody_is_read_who_asks_for_more() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(folder.path(), Fsync::Always).unwrap();
        let capacity = Capacity {
            version: Version::V4,
            max_bytes: 1 << 30,
            window: 1,
            max_packet: 1 << 20,
        };
        let everything = Arc::new(Permit::Everything);
        let outbox = Arc::new(Outbox::new(capacity, everything, Clock::manual(0), Account::default()));
        let answer = || outbox.answer(&journal, Packet::PingResp(PingResp), true);
        let has_room = || *journal.0.as_ref().unwrap().room.borrow();
        for _ in 0..MAX_OWED {
            answer();
        }
        // All of them have gone over to the thread, which may still say so.
        while !lock(&journal.0.as_ref().unwrap().waiting).answers.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(has_room());
        while has_room() {
            answer();
            tokio::task::yield_now().await;
        }
        let waiting = outbox.waiting();
        assert!(waiting > 400 * MAX_OWED, "none has gone out: {waiting}");
        let waits = tokio::time::timeout(Duration::from_millis(50), journal.room()).await;
        assert!(waits.is_err(), "who asks for more is not read");

        // The disk works again.
        journal.append(Change::Begin);
        journal.append(Change::Complete);
        journal.room().await;
        journal.close();
        assert_eq!(
            outbox.waiting(),
            waiting,
            "all of them are to be written to the client now"
        );
        let mut buffer = bytes::BytesMut::new();
        outbox.next(&mut buffer).await;
        assert!(!buffer.is_empty());
    }
}
