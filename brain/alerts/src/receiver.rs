//! One task a receiver: looks each second, delivers what is due, tries again what failed.

use std::{path::Path, sync::Arc, time::Duration};

use runtime::Shutdown;
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{self, Instant, MissedTickBehavior},
};

use crate::{
    config::{Config, Kind, Receiver},
    deliver::deliver,
    desk::Desk,
    incident::Source,
    memory::Memory,
    message::Message,
};

/// How often a receiver looks whether it is owed anything.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a failure it is tried again after so long, then after twice as long and so on, at most the second.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
const AGAIN_AT_MOST: Duration = Duration::from_mins(5);

/// What came of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// A message was taken.
    Delivered,
    /// It was not, and is tried again.
    Failed,
}

/// Takes counts of deliveries, by the receiver's kind.
pub type Counted = Arc<dyn Fn(Kind, Count) + Send + Sync>;

/// Who tells whom of what.
struct Post {
    receiver: Receiver,
    cell: String,
    page: String,
    source: Arc<dyn Source>,
    counted: Counted,
    memory: Memory,
}

/// Starts a task for each receiver of `config`, until `shutdown`. `page` is the address that people reach the page by where
/// the configuration names none; what was told is kept in `folder`.
pub fn start(
    config: &Config,
    (cell, page): (&str, &str),
    folder: &Path,
    source: &Arc<dyn Source>,
    counted: &Counted,
    shutdown: &Shutdown,
) -> JoinSet<()> {
    let page = config.page.as_deref().unwrap_or(page).trim_end_matches('/');
    let mut tasks = JoinSet::new();
    for receiver in &config.receivers {
        let memory = Memory::new(folder, &receiver.name);
        let (now_ms, _) = source.incidents();
        let desk = Desk::new(receiver.rules(&config.silences), memory.read(), now_ms);
        let post = Post {
            receiver: receiver.clone(),
            cell: cell.to_owned(),
            page: page.to_owned(),
            source: Arc::clone(source),
            counted: Arc::clone(counted),
            memory,
        };
        tasks.spawn(post.run(desk, shutdown.clone()));
    }
    tasks
}

impl Post {
    async fn run(self, mut desk: Desk, shutdown: Shutdown) {
        // The desk begins now, whatever comes: what ended before is none of this receiver's, after a restart either.
        self.keep(&desk);
        let mut looks = time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut pause, mut not_before) = (AGAIN_AFTER, Instant::now());
        loop {
            tokio::select! {
                () = shutdown.wait() => return,
                _ = looks.tick() => {}
            }
            if Instant::now() < not_before {
                continue;
            }
            match self.turn(&mut desk).await {
                Ok(()) => pause = AGAIN_AFTER,
                Err(fault) => {
                    (self.counted)(self.receiver.kind, Count::Failed);
                    let (name, seconds) = (&self.receiver.name, pause.as_secs());
                    tracing::warn!("alerts cannot be told to {name}, tried again in {seconds} s: {fault}");
                    not_before = Instant::now() + pause;
                    pause = (2 * pause).min(AGAIN_AT_MOST);
                }
            }
        }
    }

    async fn turn(&self, desk: &mut Desk) -> Result<(), String> {
        let (now_ms, incidents) = self.source.incidents();
        let notices = desk.due(now_ms, &incidents);
        if notices.is_empty() {
            return Ok(());
        }
        let (cell, page) = (self.cell.clone(), self.page.clone());
        let message = Message {
            cell,
            page,
            now_ms,
            notices: notices.clone(),
        };
        let receiver = self.receiver.clone();
        let sent = spawn_blocking(move || deliver(&receiver, &message)).await;
        sent.map_err(|_| "the delivery has failed; the log says why".to_owned())??;
        desk.deliver(now_ms, &notices);
        (self.counted)(self.receiver.kind, Count::Delivered);
        self.keep(desk);
        Ok(())
    }

    fn keep(&self, desk: &Desk) {
        if let Err(fault) = self.memory.write(&desk.kept()) {
            let name = &self.receiver.name;
            tracing::warn!("what {name} was told cannot be kept, and may be told again after a restart: {fault}");
        }
    }
}
