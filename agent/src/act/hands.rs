//! The thread in which an actor works: files and a BMC may keep it waiting, and nothing else waits for them.

use std::{
    fmt,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
};

use shadow::Outcome;
use tokio::sync::{mpsc as events, oneshot};

use super::actor::{Actor, Told};
use crate::guard::Ruling;

/// Jobs that wait; the receiver waits for the answer of each, so that more than one is rare.
const MAX_JOBS: usize = 8;

enum Job {
    Obey {
        id: String,
        left_ms: u64,
        rulings: Vec<Ruling>,
        answer: oneshot::Sender<Outcome>,
    },
    Stop(oneshot::Sender<Vec<Told>>),
    Abandon,
}

/// Hands work to an actor's thread. When the last copy goes, what is ours is put back.
#[derive(Clone)]
pub(crate) struct Hands {
    jobs: mpsc::SyncSender<Job>,
}

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hands")
    }
}

/// What the actor does by itself.
pub(crate) type News = events::UnboundedReceiver<Told>;

impl Hands {
    /// Starts the thread, which puts back first what was left from before. What it does by itself comes out of [`News`].
    ///
    /// # Errors
    /// In words, when there is no thread to be had.
    pub(crate) fn start(actor: Actor) -> Result<(Self, News), String> {
        let (jobs, work) = mpsc::sync_channel(MAX_JOBS);
        let (tell, news) = events::unbounded_channel();
        let thread = thread::Builder::new().name("levers".to_owned());
        let run = move || run(actor, &work, &tell);
        thread.spawn(run).map_err(|fault| fault.to_string())?;
        Ok((Self { jobs }, news))
    }

    /// Has the actor carry out a command.
    ///
    /// # Errors
    /// In words, when its thread has ended.
    pub(crate) async fn obey(&self, id: &str, left_ms: u64, rulings: Vec<Ruling>) -> Result<Outcome, String> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Obey {
            id: id.to_owned(),
            left_ms,
            rulings,
            answer,
        };
        let gone = || "the thread of the levers has ended".to_owned();
        self.jobs.send(job).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }

    /// Has it put back what is ours, and end. Returns what is to be told of that.
    pub(crate) async fn stop(&self) -> Vec<Told> {
        let (done, stopped) = oneshot::channel();
        if self.jobs.send(Job::Stop(done)).is_err() {
            return Vec::new();
        }
        stopped.await.unwrap_or_default()
    }

    /// Ends its thread as a crash would: nothing is put back.
    pub(crate) fn abandon(&self) {
        if self.jobs.send(Job::Abandon).is_err() {
            tracing::debug!("the thread of the levers has ended already");
        }
    }
}

fn run(mut actor: Actor, work: &mpsc::Receiver<Job>, tell: &events::UnboundedSender<Told>) {
    let say = |news: Vec<Told>| {
        for told in news {
            // Nobody listens any more while the agent ends.
            if tell.send(told).is_err() {
                tracing::debug!("nobody listens to the levers");
            }
        }
    };
    say(actor.reconcile());
    loop {
        let job = match actor.rest() {
            Some(rest) => work.recv_timeout(rest),
            None => work.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match job {
            Ok(Job::Obey {
                id,
                left_ms,
                rulings,
                answer,
            }) => {
                if answer.send(actor.obey(&id, left_ms, &rulings)).is_err() {
                    tracing::debug!(id, "nobody waits for the answer");
                }
            }
            Ok(Job::Stop(done)) => {
                if done.send(actor.stop()).is_err() {
                    tracing::debug!("nobody waits for the end of the levers");
                }
                return;
            }
            Ok(Job::Abandon) => return,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                actor.stop();
                return;
            }
        }
        say(actor.tick());
    }
}
