//! An audit log off the hot path: a thread writes, a bounded queue hands over.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use runtime::{
    Clock, LogLimit,
    trail::{self, Told},
};
use shadow::UnixMs;

use super::{Entry, Keep, Log, What};
use crate::TrustError;

/// Entries that wait for the disk. Past it an entry is not written, and the log tells how many were not.
const QUEUE: usize = 4_096;

/// Entries that are made durable together: what came while the batch before was written, at most so many.
const BATCH: usize = 256;

static FAILED: LogLimit = LogLimit::new(Duration::from_mins(1));

/// How long is waited for what was recorded to be durable.
const FLUSH: Duration = Duration::from_secs(1);

/// What the thread is given.
#[derive(Debug)]
enum Item {
    Entry(Entry),
    /// To be answered when all before is durable.
    Flush(SyncSender<()>),
}

/// An audit log that is written by a thread of its own. What was recorded is durable some milliseconds later, and all of
/// it when the last owner lets go.
#[derive(Debug)]
pub struct Audit {
    sender: Option<SyncSender<Item>>,
    lost: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Audit {
    /// Opens the log at `path`, or begins one.
    ///
    /// # Errors
    /// [`TrustError`] as [`Log::open`], or when there is no thread to be had.
    pub fn start(path: &Path, keep: Keep) -> Result<Self, TrustError> {
        let log = Log::keeping(path, keep)?;
        let (sender, receiver) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let thread = thread::Builder::new().name("audit".to_owned());
        let thread = thread
            .spawn(move || write_all(log, &receiver, &counted))
            .map_err(TrustError::file(path))?;
        Ok(Self {
            sender: Some(sender),
            lost,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands `entry` over. Never waits: where the queue is full the entry is counted as lost, and that is told.
    pub fn record(&self, entry: Entry) {
        let Some(sender) = &self.sender else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sender.try_send(Item::Entry(entry)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was recorded is durable, at most a second: for a process that ends.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        let asked = self
            .sender
            .as_ref()
            .is_some_and(|sender| sender.send(Item::Flush(done)).is_ok());
        if asked && written.recv_timeout(FLUSH).is_err() {
            tracing::error!("the audit log was not written to its end");
        }
    }
}

/// Keeps all events of the tracing target `audit` of this process in `audit`, for as long as it runs: logins of a broker and
/// the like. Whether nobody was kept for before.
pub fn keep_trail(audit: Arc<Audit>, clock: Clock) -> bool {
    trail::keep(move |told| audit.record(entry(told, clock.now_ms())))
}

/// An entry of the fields of an event: `event` says what has happened, `name` or else `user` or `client` to whom, and `kind` that
/// it is about a key (`key`) where it is about no login.
fn entry(told: Told, now_ms: UnixMs) -> Entry {
    let mut details: BTreeMap<String, String> =
        told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let what = details.remove("event").unwrap_or_default();
    let who = ["name", "user", "client"].iter().find_map(|name| details.remove(*name));
    let refused = details.get("accepted").is_some_and(|accepted| accepted == "false");
    let of_key = details.remove("kind").is_some_and(|kind| kind == "key");
    Entry {
        time_ms: now_ms,
        kind: match (of_key, refused) {
            (true, _) => What::Key,
            (false, true) => What::Refusal,
            (false, false) => What::Login,
        },
        what,
        who: who.unwrap_or_default(),
        details,
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.sender = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(_)) = thread.map(JoinHandle::join) {
            tracing::error!("the thread of the audit log has failed");
        }
    }
}

fn write_all(mut log: Log, receiver: &Receiver<Item>, lost: &AtomicU64) {
    while let Ok(first) = receiver.recv() {
        let mut asked = Vec::new();
        let entries = [first].into_iter().chain(receiver.try_iter().take(BATCH));
        let entries: Vec<Entry> = entries
            .filter_map(|item| match item {
                Item::Entry(entry) => Some(entry),
                Item::Flush(done) => {
                    asked.push(done);
                    None
                }
            })
            .collect();
        write(&mut log, entries, lost);
        for done in asked {
            if done.send(()).is_err() {
                tracing::debug!("nobody waits for the audit log any more");
            }
        }
    }
    let unwritten = lost.load(Ordering::Relaxed);
    if unwritten > 0 {
        tracing::error!(unwritten, "the audit log ends with lines that were not written");
    }
}

/// Writes entries that came together, and how many before them were lost.
fn write(log: &mut Log, entries: Vec<Entry>, lost: &AtomicU64) {
    let Some(time_ms) = entries.first().map(|entry| entry.time_ms) else {
        return;
    };
    let unwritten = lost.swap(0, Ordering::Relaxed);
    let gap = (unwritten > 0).then(|| Entry::new(time_ms, What::Lost, "lost", "").with("lines", unwritten));
    let (mut failed, mut fault) = (0, None);
    for entry in gap.into_iter().chain(entries) {
        if let Err(error) = log.append(&entry) {
            // What was lost before is not told then either, and stays lost.
            failed += if entry.kind == What::Lost { unwritten } else { 1 };
            fault = Some(error);
        }
    }
    lost.fetch_add(failed, Ordering::Relaxed);
    let fault = fault.or_else(|| log.sync().err());
    if let Some(error) = fault
        && let Some(suppressed) = FAILED.pass(time_ms.unsigned_abs().saturating_mul(1_000_000))
    {
        tracing::error!(%error, failed, suppressed, "the audit log cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_told_with_who_it_was() {
        let told = |fields: &[(&'static str, &str)]| {
            let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned()));
            entry(fields.collect(), 7)
        };
        let good = told(&[
            ("event", "login"),
            ("accepted", "true"),
            ("name", "web-1"),
            ("client", "c"),
        ]);
        let same = Entry::new(7, What::Login, "login", "web-1")
            .with("accepted", true)
            .with("client", "c");
        assert_eq!(good, same);
        let bad = told(&[
            ("event", "login"),
            ("accepted", "false"),
            ("user", "eve"),
            ("why", "a password"),
        ]);
        assert_eq!((bad.kind, bad.who.as_str()), (What::Refusal, "eve"));
        let key = told(&[
            ("event", "read anew"),
            ("kind", "key"),
            ("name", "broker"),
            ("faults", "0"),
        ]);
        assert_eq!(key, Entry::new(7, What::Key, "read anew", "broker").with("faults", 0));
    }
}
