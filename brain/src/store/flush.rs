//! Batches into the store, in a task of its own: one at a time, tried until the store has taken it.
//!
//! The engine goes on collecting while a batch is written. Of a batch that cannot be written nothing is
//! acknowledged, so the agents still hold its frames.

use std::{pin::pin, sync::Arc, time::Duration};

use rand::RngExt as _;
use shadow::Frame;
use tokio::{
    sync::mpsc::{self, error::TryRecvError},
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{Batch, Cutoffs, FrameId, Store, StoreError, Stream};
use crate::Error;

/// First and longest pause before a busy store is asked again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How often is told that a batch is still under way.
const SLOW: Duration = Duration::from_secs(5);

/// What the flusher is asked.
#[derive(Debug)]
enum Job {
    Write(Arc<Batch>),
    Prune(Cutoffs),
    Find(Vec<FrameId>),
}

/// What the flusher tells.
#[derive(Debug)]
pub(crate) enum Flushed {
    /// The batch is durable.
    Written(Arc<Batch>),
    /// The store is busy or full; the batch is tried again.
    Retrying(String),
    /// The store has had the batch for this long and has not answered.
    Slow(Duration),
    /// Frames were looked for: what was wanted, and those that are there with what they are read against.
    Found {
        /// All that was looked for.
        wanted: Vec<FrameId>,
        /// Each after its reference; `None` when the store is too busy to look now.
        frames: Option<Vec<(Stream, Frame)>>,
    },
}

/// The engine's end of the flusher.
#[derive(Debug)]
pub(crate) struct Flusher {
    /// A batch and two deletions may wait beside the job at work: deletions leave room for a batch, so a batch that was
    /// just handed over keeps none of them out, however their timers fall together.
    jobs: mpsc::Sender<Job>,
    flushed: mpsc::Receiver<Flushed>,
    task: JoinHandle<Result<(), StoreError>>,
    writing: bool,
}

impl Flusher {
    /// Starts the task that owns `store`.
    pub(crate) fn start(store: impl Store) -> Self {
        let (jobs, jobs_in) = mpsc::channel(3);
        let (tell, flushed) = mpsc::channel(4);
        Self {
            jobs,
            flushed,
            task: tokio::spawn(run(store, jobs_in, tell)),
            writing: false,
        }
    }

    /// Whether a batch is under way; another one must wait until it is told as written.
    pub(crate) const fn is_writing(&self) -> bool {
        self.writing
    }

    /// Hands over a batch; only for when none [is under way](Self::is_writing), so that there is room.
    /// Of a task that has ended, [`next`](Self::next) tells.
    pub(crate) fn write(&mut self, batch: Batch) {
        self.writing = self.jobs.try_send(Job::Write(Arc::new(batch))).is_ok();
    }

    /// Asks for a deletion of what is old; left out when others wait already, for they do as well.
    pub(crate) fn prune(&self, cutoffs: Cutoffs) {
        if self.jobs.capacity() > 1 {
            drop(self.jobs.try_send(Job::Prune(cutoffs)));
        }
    }

    /// Asks for stored frames; tells whether there was room to.
    pub(crate) fn find(&self, wanted: Vec<FrameId>) -> bool {
        self.jobs.capacity() > 1 && self.jobs.try_send(Job::Find(wanted)).is_ok()
    }

    /// Waits for what the task tells next; `None` when it has ended. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Flushed> {
        let flushed = self.flushed.recv().await;
        if matches!(flushed, Some(Flushed::Written(_)) | None) {
            self.writing = false;
        }
        flushed
    }

    /// Ends the task after the jobs that it was given, and closes the store; tells what was written.
    pub(crate) async fn finish(mut self) -> Result<Vec<Arc<Batch>>, Error> {
        let (idle, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.jobs, idle));
        let mut written = Vec::new();
        while let Some(flushed) = self.next().await {
            if let Flushed::Written(batch) = flushed {
                written.push(batch);
            }
        }
        match self.task.await {
            Ok(Ok(())) => Ok(written),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Error::Panicked("the flusher")),
        }
    }
}

async fn run(
    mut store: impl Store,
    mut jobs: mpsc::Receiver<Job>,
    tell: mpsc::Sender<Flushed>,
) -> Result<(), StoreError> {
    // What is old and still there. Of it some goes after each job, and all while none waits.
    let mut old: Option<Cutoffs> = None;
    loop {
        if let Some(cutoffs) = &old
            && !prune(&mut store, cutoffs).await?
        {
            old = None;
        }
        let job = match jobs.try_recv() {
            Ok(job) => job,
            Err(TryRecvError::Empty) if old.is_some() => continue,
            Err(_) => match jobs.recv().await {
                Some(job) => job,
                None => break,
            },
        };
        match job {
            Job::Write(batch) => {
                write(&mut store, &batch, &tell).await?;
                // Nobody listens any more after the engine's end; the batch is durable all the same.
                drop(tell.send(Flushed::Written(batch)).await);
            }
            Job::Prune(cutoffs) => old = Some(cutoffs),
            Job::Find(wanted) => {
                let frames = find(&mut store, &wanted).await?;
                drop(tell.send(Flushed::Found { wanted, frames }).await);
            }
        }
    }
    store.close().await
}

async fn write(store: &mut impl Store, batch: &Batch, tell: &mpsc::Sender<Flushed>) -> Result<(), StoreError> {
    let mut pause = BACKOFF.0;
    loop {
        match patiently(store.write(batch), tell).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_transient() => {
                // A full channel has told it before.
                drop(tell.try_send(Flushed::Retrying(error.to_string())));
            }
            Err(error) => return Err(error),
        }
        let jitter = rand::rng().random_range(0.5..1.0);
        sleep(pause.mul_f64(jitter)).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

/// Waits for an answer, and tells now and then that it does.
async fn patiently<T>(answer: impl Future<Output = T>, tell: &mpsc::Sender<Flushed>) -> T {
    let (mut answer, begun) = (pin!(answer), Instant::now());
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = sleep(SLOW) => drop(tell.try_send(Flushed::Slow(begun.elapsed()))),
        }
    }
}

async fn find(store: &mut impl Store, wanted: &[FrameId]) -> Result<Option<Vec<(Stream, Frame)>>, StoreError> {
    match store.find(wanted).await {
        Err(error) if error.is_transient() => {
            tracing::warn!(%error, "stored frames are looked for later");
            Ok(None)
        }
        found => found.map(Some),
    }
}

/// Deletes some of what is old; tells whether to go on.
async fn prune(store: &mut impl Store, cutoffs: &Cutoffs) -> Result<bool, StoreError> {
    match store.prune(cutoffs).await {
        Err(error) if error.is_transient() => {
            tracing::warn!(%error, "old rows are deleted later");
            Ok(false)
        }
        pruned => pruned,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use super::{
        super::{Recovered, Since},
        *,
    };

    /// Busy for the first `busy` writes, then broken if `broken`.
    #[derive(Default, Clone)]
    struct Fake {
        busy: Arc<AtomicU32>,
        broken: bool,
        takes: Duration,
        written: Arc<Mutex<Vec<usize>>>,
        pruned: Arc<AtomicU32>,
    }

    impl Store for Fake {
        async fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
            let busy = self
                .busy
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            let (database, reason) = ("fake".into(), "no".into());
            sleep(self.takes).await;
            match busy {
                Ok(_) => Err(StoreError::Busy { database, reason }),
                Err(_) if self.broken => Err(StoreError::Database { database, reason }),
                Err(_) => {
                    self.written.lock().unwrap().push(batch.meta.len());
                    Ok(())
                }
            }
        }

        async fn prune(&mut self, _: &Cutoffs) -> Result<bool, StoreError> {
            self.pruned.fetch_add(1, Ordering::SeqCst);
            Ok(false)
        }

        async fn recover(&mut self, _: Since) -> Result<Recovered, StoreError> {
            Ok(Recovered::default())
        }

        async fn find(&mut self, _: &[FrameId]) -> Result<Vec<(Stream, Frame)>, StoreError> {
            Ok(Vec::new())
        }

        async fn close(self) -> Result<(), StoreError> {
            Ok(())
        }
    }

    fn batch(values: usize) -> Batch {
        let keys = ["a", "b", "c"];
        let meta = keys.into_iter().take(values).map(|key| (key, String::new())).collect();
        Batch {
            meta,
            ..Batch::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_store_is_tried_until_it_has_the_batch() {
        let fake = Fake::default();
        fake.busy.store(3, Ordering::SeqCst);
        let mut flusher = Flusher::start(fake.clone());
        flusher.write(batch(2));
        let mut retries = 0;
        while let Some(Flushed::Retrying(_)) = flusher.next().await {
            assert!(fake.written.lock().unwrap().is_empty(), "told as written too early");
            retries += 1;
        }
        assert_eq!((retries, flusher.is_writing()), (3, false));
        fake.busy.store(2, Ordering::SeqCst);
        flusher.write(batch(1));
        assert_eq!(
            flusher.finish().await.unwrap().len(),
            1,
            "the last batch is tried as long"
        );
        assert_eq!(*fake.written.lock().unwrap(), [2, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn that_a_batch_takes_long_is_told_while_it_does() {
        let fake = Fake {
            takes: Duration::from_secs(12),
            ..Fake::default()
        };
        let mut flusher = Flusher::start(fake.clone());
        flusher.write(batch(1));
        for seconds in [5, 10] {
            let told = flusher.next().await;
            assert!(
                matches!(told, Some(Flushed::Slow(span)) if span.as_secs() == seconds),
                "{told:?}"
            );
            assert!(flusher.is_writing());
        }
        assert!(matches!(flusher.next().await, Some(Flushed::Written(_))));
        assert_eq!(*fake.written.lock().unwrap(), [1], "once");
    }

    #[tokio::test(start_paused = true)]
    async fn deletions_and_batches_do_not_keep_each_other_out() {
        let cutoffs = Cutoffs::default();
        for deletions in 0..5 {
            let fake = Fake::default();
            let mut flusher = Flusher::start(fake.clone());
            // The task has no turn until something is awaited: all of this waits.
            (0..deletions).for_each(|_| flusher.prune(cutoffs));
            flusher.write(batch(1));
            assert!(flusher.is_writing(), "no room for a batch behind {deletions} deletions");
            flusher.prune(cutoffs);
            assert_eq!(flusher.finish().await.unwrap().len(), 1);
            let pruned = fake.pruned.load(Ordering::SeqCst);
            assert!(
                (1..=2).contains(&pruned),
                "{pruned} of {deletions} before and one after"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_store_ends_the_task() {
        let fake = Fake {
            broken: true,
            ..Fake::default()
        };
        let mut flusher = Flusher::start(fake);
        flusher.write(batch(1));
        assert!(flusher.next().await.is_none());
        let ended = flusher.finish().await;
        assert!(
            matches!(ended, Err(Error::Store(StoreError::Database { .. }))),
            "{ended:?}"
        );
    }
}
