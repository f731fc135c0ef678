//! The threads in which actors work: files may keep one waiting for milliseconds, a BMC or a program for seconds, and no limit
//! of a file that is to be raised waits for those.

use std::{
    fmt,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, TrySendError},
    },
    thread,
};

use shadow::{Outcome, OutcomeState};
use tokio::sync::{mpsc as events, oneshot};

use super::{
    actor::{Actor, Told},
    answer::{Row, outcome},
    both::{Desk, Lane, is_asked, part},
};
use crate::guard::Ruling;

/// Jobs that wait for a thread. One more is refused.
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

/// Hands work to the threads of actors. When the last copy goes, what is ours is put back.
#[derive(Clone)]
pub(crate) struct Hands {
    quick: mpsc::SyncSender<Job>,
    slow: Option<mpsc::SyncSender<Job>>,
    /// The levers of the slow one.
    slow_levers: Arc<Vec<&'static str>>,
    desk: Arc<Desk>,
}

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hands")
    }
}

/// What actors do by themselves.
#[derive(Debug)]
pub(crate) struct News {
    told: events::UnboundedReceiver<(Lane, Told)>,
    desk: Arc<Desk>,
}

impl News {
    /// The next; `None` when the threads have ended.
    pub(crate) async fn recv(&mut self) -> Option<Told> {
        loop {
            let (lane, told) = self.told.recv().await?;
            if let Some(told) = merged(&self.desk, lane, told) {
                return Some(told);
            }
        }
    }
}

fn merged(desk: &Desk, lane: Lane, told: Told) -> Option<Told> {
    match told {
        Told::Outcome(outcome) => desk.told(lane, outcome).map(Told::Outcome),
        Told::Finding(_) => Some(told),
    }
}

impl Hands {
    /// Starts a thread for each actor, which puts back first what was left from before: `slow`, where there is one, has the
    /// levers of the names beside it. What they do by themselves comes out of [`News`].
    ///
    /// # Errors
    /// In words, when there is no thread to be had.
    pub(crate) fn start(quick: Actor, slow: Option<(Actor, Vec<&'static str>)>) -> Result<(Self, News), String> {
        let (tell, told) = events::unbounded_channel();
        let (slow, slow_levers) = slow.unzip();
        let quick = begin("levers", quick, Lane::Quick, tell.clone())?;
        let slow = slow.map(|actor| begin("slow levers", actor, Lane::Slow, tell));
        let desk = Arc::new(Desk::default());
        let hands = Self {
            quick,
            slow: slow.transpose()?,
            slow_levers: Arc::new(slow_levers.unwrap_or_default()),
            desk: Arc::clone(&desk),
        };
        Ok((hands, News { told, desk }))
    }

    /// Has actors carry out a command.
    ///
    /// # Errors
    /// In words, when a thread has ended or has too much to do.
    pub(crate) async fn obey(&self, id: &str, left_ms: u64, rulings: Vec<Ruling>) -> Result<Outcome, String> {
        let is_slow = |lever: &str| self.slow_levers.contains(&lever);
        let [quick, slow] = [Lane::Quick, Lane::Slow].map(|lane| part(&rulings, lane, is_slow));
        match &self.slow {
            Some(jobs) if is_asked(&slow) && is_asked(&quick) => {
                self.desk.begin(id, &rulings, is_slow);
                let [of_quick, of_slow] = [undone(&quick), undone(&slow)];
                let (quick, slow) = tokio::join!(ask(&self.quick, id, left_ms, quick), ask(jobs, id, left_ms, slow));
                // What one of them cannot take is no fault of the other's.
                let [quick, slow] = match (quick, slow) {
                    (Err(reason), Err(_)) => return Err(reason),
                    (Ok(quick), Err(reason)) => {
                        let slow = outcome(
                            id,
                            OutcomeState::Refused,
                            &reason,
                            quick.time_ms,
                            &because(&of_slow, &reason),
                        );
                        [quick, slow]
                    }
                    (Err(reason), Ok(slow)) => {
                        let quick = outcome(
                            id,
                            OutcomeState::Refused,
                            &reason,
                            slow.time_ms,
                            &because(&of_quick, &reason),
                        );
                        [quick, slow]
                    }
                    (Ok(quick), Ok(slow)) => [quick, slow],
                };
                Ok(self.desk.answer(quick, slow))
            }
            Some(jobs) if is_asked(&slow) => ask(jobs, id, left_ms, rulings).await,
            _ => ask(&self.quick, id, left_ms, rulings).await,
        }
    }

    /// Whether a command may take seconds.
    pub(crate) fn is_slow(&self, rulings: &[Ruling]) -> bool {
        let asked = rulings.iter().filter(|ruling| ruling.refused.is_none());
        asked
            .into_iter()
            .any(|ruling| self.slow_levers.contains(&ruling.lever.as_str()))
    }

    /// Has them put back what is ours, and end. Returns what is to be told of that.
    pub(crate) async fn stop(&self) -> Vec<Told> {
        let stop_slow = async {
            match &self.slow {
                Some(jobs) => stop(jobs).await,
                None => Vec::new(),
            }
        };
        let (quick, slow) = tokio::join!(stop(&self.quick), stop_slow);
        let quick = quick.into_iter().map(|told| (Lane::Quick, told));
        let all = quick.chain(slow.into_iter().map(|told| (Lane::Slow, told)));
        all.filter_map(|(lane, told)| merged(&self.desk, lane, told)).collect()
    }

    /// Ends the threads as a crash would: nothing is put back.
    pub(crate) fn abandon(&self) {
        for jobs in [Some(&self.quick), self.slow.as_ref()].into_iter().flatten() {
            if jobs.try_send(Job::Abandon).is_err() {
                tracing::debug!("a thread of the levers has ended already, or is busy");
            }
        }
    }
}

/// The rows of rulings that are not carried out.
fn undone(rulings: &[Ruling]) -> Vec<Row> {
    let row = |ruling: &Ruling| {
        let why = ruling.refused.clone().unwrap_or_default();
        Row::not_done(&ruling.workload, ruling.quantity, why)
    };
    rulings.iter().map(row).collect()
}

fn because(rows: &[Row], reason: &str) -> Vec<Row> {
    let because = |row: &Row| Row {
        note: reason.to_owned(),
        ..row.clone()
    };
    rows.iter().map(because).collect()
}

async fn ask(jobs: &mpsc::SyncSender<Job>, id: &str, left_ms: u64, rulings: Vec<Ruling>) -> Result<Outcome, String> {
    let (answer, answered) = oneshot::channel();
    let job = Job::Obey {
        id: id.to_owned(),
        left_ms,
        rulings,
        answer,
    };
    let gone = || "the thread of the levers has ended".to_owned();
    jobs.try_send(job).map_err(|fault| match fault {
        TrySendError::Full(_) => format!("{MAX_JOBS} commands wait for its levers already"),
        TrySendError::Disconnected(_) => gone(),
    })?;
    answered.await.map_err(|_| gone())
}

async fn stop(jobs: &mpsc::SyncSender<Job>) -> Vec<Told> {
    let (done, stopped) = oneshot::channel();
    if jobs.send(Job::Stop(done)).is_err() {
        return Vec::new();
    }
    stopped.await.unwrap_or_default()
}

fn begin(
    name: &str,
    actor: Actor,
    lane: Lane,
    tell: events::UnboundedSender<(Lane, Told)>,
) -> Result<mpsc::SyncSender<Job>, String> {
    let (jobs, work) = mpsc::sync_channel(MAX_JOBS);
    let thread = thread::Builder::new().name(name.to_owned());
    let run = move || run(actor, &work, |told| tell.send((lane, told)).is_ok());
    thread.spawn(run).map_err(|fault| fault.to_string())?;
    Ok(jobs)
}

fn run(mut actor: Actor, work: &mpsc::Receiver<Job>, tell: impl Fn(Told) -> bool) {
    let say = |news: Vec<Told>| {
        // Nobody listens any more while the agent ends.
        if !news.into_iter().all(&tell) {
            tracing::debug!("nobody listens to the levers");
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
