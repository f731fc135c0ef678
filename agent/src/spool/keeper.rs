//! The task that moves entries to disk while nobody takes them, and back behind live data. All files on disk are its
//! own: nothing else of the agent ever waits for them.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use bytes::Bytes;
use runtime::Clock;
use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until},
};

use super::{folder::Folder, record::Record, shelf::Dead};
use crate::publish::{
    Shared,
    health::Place,
    outbox::{Chores, Outbox},
};

/// How often it looks.
const TICK: Duration = Duration::from_secs(1);

/// How long it leaves a disk alone that has failed.
const RETRY: Duration = Duration::from_secs(30);

/// The task's handle.
pub(crate) struct Keeper {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Must be called within a tokio runtime.
    pub(crate) fn start(folder: Folder, shared: Arc<Shared>, clock: Clock) -> Self {
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(run(folder, shared, clock, ended));
        Self { end, task }
    }

    /// Writes what is not durable at the brain to disk, and ends.
    pub(crate) async fn finish(self) {
        drop(self.end);
        drop(self.task.await);
    }

    /// Ends at once, as a crash would.
    pub(crate) fn abort(&self) {
        self.task.abort();
    }
}

async fn run(mut folder: Folder, shared: Arc<Shared>, clock: Clock, mut ended: oneshot::Receiver<()>) {
    let mut next = Instant::now();
    loop {
        tokio::select! {
            _ = &mut ended => break,
            () = sleep_until(next) => {}
        }
        next = Instant::now() + TICK;
        loop {
            let chores = shared.outbox().chores(clock.monotonic_ns());
            let spills = !chores.spill.is_empty();
            let Some((back, works)) = turn(folder, &shared, chores).await else {
                return;
            };
            folder = back;
            if !works {
                next = Instant::now() + RETRY;
            }
            if !(spills && works) {
                break;
            }
        }
    }
    loop {
        let chores = shared.outbox().last_chores();
        let done = chores.spill.is_empty();
        match turn(folder, &shared, chores).await {
            Some((back, true)) if !done => folder = back,
            _ => return,
        }
    }
}

/// What a turn on disk has brought.
#[derive(Default)]
pub(crate) struct Done {
    spill: Vec<Record>,
    /// The segment that has them, and how much it has grown.
    segment: Option<(u64, u64)>,
    births: Vec<(u64, u64)>,
    loaded: Option<(u64, io::Result<Vec<Record>>)>,
    found: BTreeMap<u64, Bytes>,
    /// What went wrong with writing; `None` where nothing was written.
    wrote: Option<io::Result<()>>,
}

/// Does `chores`, and tells the outbox. Returns the folder and whether it works; `None` when the runtime ends.
async fn turn(mut folder: Folder, shared: &Arc<Shared>, chores: Chores) -> Option<(Folder, bool)> {
    if chores.is_empty() {
        return Some((folder, true));
    }
    let known = shared.outbox().birth_epochs();
    let worked = spawn_blocking(move || {
        let done = work(&mut folder, chores, |epoch| known.contains(&epoch));
        (folder, done)
    });
    let (folder, done) = worked.await.ok()?;
    let works = tell(&mut shared.outbox(), done);
    shared.settle();
    shared.wake();
    Some((folder, works))
}

/// The part that may block.
pub(crate) fn work(folder: &mut Folder, chores: Chores, is_known: impl Fn(u64) -> bool) -> Done {
    let mut done = Done::default();
    let Chores {
        spill,
        births,
        dead: Dead {
            segments,
            births: dead_births,
        },
        load,
        wanted,
    } = chores;
    if !spill.is_empty() {
        done.wrote = Some(write(folder, &spill, births, &mut done.births).map(|segment| {
            done.segment = Some(segment);
        }));
    }
    done.spill = spill;
    // A hole must be there before what it tells of is gone; without it the brain asks and is told.
    for segment in segments {
        folder.remove(segment);
    }
    let anew = |epoch: &u64| done.births.iter().any(|(written, _)| written == epoch);
    for epoch in dead_births.into_iter().filter(|epoch| !anew(epoch)) {
        folder.remove_birth(epoch);
    }
    if let Some(segment) = load {
        let read = folder.read(segment).map(|contents| contents.records);
        let epochs = read.iter().flatten().map(|record| record.id.epoch);
        for epoch in epochs.filter(|epoch| !is_known(*epoch)) {
            if !done.found.contains_key(&epoch)
                && let Some(birth) = folder.birth(epoch)
            {
                done.found.insert(epoch, birth);
            }
        }
        done.loaded = Some((segment, read));
    }
    for epoch in wanted {
        done.found.extend(folder.birth(epoch).map(|birth| (epoch, birth)));
    }
    done
}

fn write(
    folder: &mut Folder,
    records: &[Record],
    births: Vec<(u64, Bytes)>,
    written: &mut Vec<(u64, u64)>,
) -> io::Result<(u64, u64)> {
    for (epoch, birth) in births {
        let bytes = folder.put_birth(epoch, birth)?;
        written.push((epoch, bytes));
    }
    folder.append(records)
}

/// Returns whether the disk works.
pub(crate) fn tell(outbox: &mut Outbox, done: Done) -> bool {
    for (epoch, bytes) in done.births {
        outbox.shelved_birth(epoch, bytes);
    }
    if let Some((segment, bytes)) = done.segment {
        outbox.shelved(segment, bytes, &done.spill);
    }
    let mut births: Vec<(u64, Bytes)> = done.found.into_iter().collect();
    if let Some((segment, read)) = done.loaded {
        // Of a segment that cannot be read nothing comes back: all of it is declared as lost.
        let records = read.unwrap_or_else(|error| {
            tracing::error!(segment, %error, "a segment of the spool cannot be read: lost");
            Vec::new()
        });
        outbox.loaded(segment, records, std::mem::take(&mut births));
    }
    for (epoch, birth) in births {
        outbox.found_birth(epoch, birth);
    }
    match done.wrote {
        None => true,
        Some(wrote) => {
            let works = wrote.is_ok();
            outbox.place(Place::Disk, wrote.err().map(|error| error.to_string()));
            works
        }
    }
}
