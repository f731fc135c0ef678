//! From samples to the broker: block, frame, spool, MQTT.
//!
//! A [`Publisher`] speaks for one host from one vantage. It needs no probes, so that a lab can push the
//! samples of a trace through it. The samples are the caller's business; connection, resending, watermarks
//! and commands are handled by two tasks of its own:
//!
//! - the pump takes the next letter of the outbox and hands it to the bus, resending at most
//!   [`RESEND_PER_S`] frames a second;
//! - the receiver (see `receive.rs`) takes watermarks and commands.
//!
//! What is not durable yet is kept in memory, in a RAM-backed folder and on disk, as far as [`Places`] says.
//!
//! Nothing waits for the network but the pump: pushing a sample takes some microseconds, whatever happens.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use runtime::Clock;
use shadow::{Birth, Finding, Reading, UnixMs, wire};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    act::{Levers, actor::Told, dry_run::DryRun, hands::Hands},
    error::PublishError,
    fence::{Fence, Start},
    guard::Guard,
    receive::Receiver,
    spool::{Serial, keeper::Keeper, mirror::Mirror},
    status::{Cost, State, status},
};

pub use crate::spool::folder::Fsync;
use health::Place;
pub use outbox::Counters;
use outbox::Outbox;
pub use places::{Kept, Places};
use running::Running;
use sealer::Sealer;
pub use settings::Settings;
use settings::bus_config;

pub(crate) mod health;
pub(crate) mod outbox;
mod places;
mod pump;
mod running;
pub(crate) mod sealer;
mod settings;

/// Frames that are sent again in a second, at most: after an outage they are many, of many hosts.
pub const RESEND_PER_S: u32 = 200;

/// How long it may take to put back what commands have changed, before the last frames are told. Where it takes longer, the
/// next start does it.
const PUT_BACK: Duration = Duration::from_secs(5);

/// Publishes one host.
pub struct Publisher {
    shared: Arc<Shared>,
    settings: Settings,
    clock: Clock,
    client: bus::Client,
    pump: JoinHandle<()>,
    receiver: JoinHandle<()>,
    keeper: Option<Keeper>,
    hands: Option<Hands>,
    running: Option<Running>,
    /// Samples that were taken and refused and that the outbox has not counted yet: it is asked once a frame, for its lock
    /// is cold at each sample.
    pushed: Pushed,
    /// Whether a frame was cut since it was asked for findings.
    has_cut: bool,
    last_epoch: u64,
    sealer: Sealer,
}

/// Samples since a frame was cut.
#[derive(Debug, Default)]
struct Pushed {
    samples: u64,
    refused: u64,
}

/// What the tasks of a publisher share. The lock is held for microseconds and never across an await.
pub(crate) struct Shared {
    outbox: Mutex<Outbox>,
    /// Locked after the outbox, where both are.
    mirror: Mutex<Option<Mirror>>,
    pub(crate) guard: Mutex<Guard>,
    wake: Notify,
    closing: std::sync::atomic::AtomicBool,
}

impl Shared {
    /// A panic of another task cannot leave tables that are worse than the loss of a letter.
    pub(crate) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies what is new to the RAM-backed folder, and deletes there what memory no longer holds. Some microseconds.
    pub(crate) fn settle(&self) {
        let mut outbox = self.outbox();
        let mut mirror = self.mirror.lock().unwrap_or_else(PoisonError::into_inner);
        let records = outbox.take_unsaved();
        let Some(mirror) = mirror.as_mut() else { return };
        if !records.is_empty() {
            let saved = mirror.save(&records, outbox.spool());
            outbox.place(Place::Ram, saved.err().map(|error| error.to_string()));
        }
        mirror.sweep(outbox.spool(), &outbox.birth_epochs());
    }

    /// Begins an epoch in both at once: a birth that one of them knows alone would be swept away.
    fn begin(&self, epoch: u64, birth: Bytes) {
        let mut outbox = self.outbox();
        let mut mirror = self.mirror.lock().unwrap_or_else(PoisonError::into_inner);
        outbox.begin(epoch, birth.clone());
        let saved = mirror.as_mut().map(|mirror| mirror.save_birth(epoch, birth));
        if let Some(Err(error)) = saved {
            outbox.place(Place::Ram, Some(error.to_string()));
        }
    }

    /// Has the pump look into the outbox.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }
}

impl Publisher {
    /// Connects, and goes on connecting, in tasks of its own. `dry_run` tells what the guard lets through; nothing is
    /// changed.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`PublishError::Host`] when the host's name cannot be a topic level.
    pub fn start(settings: Settings, dry_run: DryRun, clock: Clock) -> Result<Self, PublishError> {
        let kept = Kept::in_memory(settings.spool_bytes);
        Self::resume(settings, kept, Levers::dry(dry_run), clock)
    }

    /// As [`Publisher::start`], with what the process before has left, and with `levers` that may act.
    ///
    /// # Errors
    /// [`PublishError::Host`].
    pub fn resume(settings: Settings, kept: Kept, levers: Levers, clock: Clock) -> Result<Self, PublishError> {
        shadow::check_name(&settings.host)?;
        let (client, events) = bus::connect(bus_config(&settings));
        let last_epoch = kept
            .outbox
            .birth_epochs()
            .last()
            .copied()
            .unwrap_or(0)
            .max(kept.newest_epoch);
        let fence = Fence::open(settings.fence.clone(), clock.now_ms());
        let mut guard = Guard::new(&settings.host, settings.limits.clone(), settings.act.clone());
        if let Start::After(issuer_epoch, sequence) = *fence.start() {
            guard = guard.after(issuer_epoch, sequence);
        }
        let shared = Arc::new(Shared {
            outbox: Mutex::new(kept.outbox),
            mirror: Mutex::new(kept.mirror),
            guard: Mutex::new(guard),
            wake: Notify::new(),
            closing: false.into(),
        });
        let link_clock = settings.link_clock.clone().unwrap_or_else(|| clock.clone());
        let keeper = kept
            .disk
            .map(|disk| Keeper::start(disk, Arc::clone(&shared), link_clock.clone()));
        let pump = pump::Pump::new(&settings, Arc::clone(&shared), client.clone(), link_clock.clone());
        let hands = levers.hands();
        let receiver = Receiver::new(&settings, Arc::clone(&shared), levers, fence, clock.clone(), link_clock);
        Ok(Self {
            sealer: Sealer::new(settings.trust.clone(), &settings.host, settings.vantage),
            shared,
            settings,
            clock,
            client,
            pump: tokio::spawn(pump.run()),
            receiver: tokio::spawn(receiver.run(events)),
            keeper,
            hands,
            running: None,
            pushed: Pushed::default(),
            has_cut: false,
            last_epoch,
        })
    }

    /// Begins an epoch: cuts the running frame, and tells `birth` with an epoch and time of its own. Returns
    /// the epoch, in microseconds of the unix clock; it is always greater than the one before.
    pub fn begin(&mut self, birth: Birth) -> u64 {
        self.cut();
        let time_ms = self.clock.now_ms();
        let epoch = u64::try_from(time_ms.saturating_mul(1_000))
            .unwrap_or(0)
            .max(self.last_epoch + 1);
        self.last_epoch = epoch;
        let birth = Birth {
            epoch,
            time_ms,
            ..birth
        };
        let guard = &mut self.shared.guard.lock().unwrap_or_else(PoisonError::into_inner);
        guard.host_is(&birth);
        let payload = Bytes::from(wire::encode_birth(&birth));
        self.shared.begin(epoch, payload);
        self.shared.wake();
        self.running = Some(Running::new(epoch, &birth.catalogue, self.settings.codec));
        epoch
    }

    /// Takes a sample whose rates are over an unknown time: see [`Publisher::push_rated`].
    ///
    /// # Errors
    /// As [`Publisher::push_rated`].
    pub fn push(&mut self, time_ms: UnixMs, readings: &[Reading]) -> Result<(), PublishError> {
        self.push_rated(time_ms, 0, readings)
    }

    /// Takes a sample, in the column order of the birth's catalogue, and cuts a frame when one is full. Its rates are
    /// over `gap_us` microseconds ([`shadow::rate::gap_us`]); 0 where that is not known.
    ///
    /// # Errors
    /// [`PublishError::NoBirth`] before [`Publisher::begin`], [`PublishError::TimeNotRising`] when it is not
    /// later than the one before in its epoch; the sample is dropped and counted.
    pub fn push_rated(&mut self, time_ms: UnixMs, gap_us: u32, readings: &[Reading]) -> Result<(), PublishError> {
        let frame_ms = self.settings.frame_ms;
        if self
            .running
            .as_ref()
            .is_some_and(|running| running.is_over(time_ms, frame_ms))
        {
            self.cut();
        }
        let accepted = match self.running.as_mut() {
            None => Err(PublishError::NoBirth),
            Some(running) => running.push(time_ms, gap_us, readings, frame_ms),
        };
        match accepted {
            Ok(_) => self.pushed.samples += 1,
            Err(_) => self.pushed.refused += 1,
        }
        if accepted? {
            self.cut();
        }
        Ok(())
    }

    /// Whether a sample at `time_ms`, `step_ms` after the one before, would be the last of its frame.
    pub(crate) fn fills(&self, time_ms: UnixMs, step_ms: i64) -> bool {
        let frame_ms = self.settings.frame_ms;
        self.running
            .as_ref()
            .is_none_or(|running| running.fills(time_ms, step_ms, frame_ms))
    }

    /// Cuts the running frame now, if it holds a sample. Returns how many frames were cut so far.
    pub fn cut(&mut self) -> u64 {
        let frame = self.running.as_mut().and_then(Running::cut);
        if let Some(frame) = frame {
            let id = Serial {
                epoch: frame.epoch,
                sequence: frame.sequence,
            };
            let payload = wire::encode_frame(&frame).into();
            self.shared.outbox().frame(id, frame.reference, payload);
            self.shared.settle();
            self.shared.wake();
            self.has_cut = true;
        }
        self.count_pushed().frames
    }

    /// Adds what was pushed to the counts that the status tells, and returns them.
    fn count_pushed(&mut self) -> Counters {
        let Pushed { samples, refused } = std::mem::take(&mut self.pushed);
        let counters = &mut self.shared.outbox().counters;
        counters.samples += samples;
        counters.refused += refused;
        *counters
    }

    /// Tells an event that the agent sees at `time_ms`. The frame that runs is cut first, so that all is told in order.
    ///
    /// # Errors
    /// [`PublishError::NoBirth`] before [`Publisher::begin`].
    pub fn event(&mut self, time_ms: UnixMs, finding: Finding) -> Result<(), PublishError> {
        self.cut();
        let running = self.running.as_mut().ok_or(PublishError::NoBirth)?;
        let event = running.event(time_ms, finding);
        let id = Serial {
            epoch: event.epoch,
            sequence: event.sequence,
        };
        self.shared.outbox().event(id, wire::encode_event(&event).into());
        self.shared.settle();
        self.shared.wake();
        Ok(())
    }

    /// Tells that the agent lives, and what it costs.
    ///
    /// Looks, too, whether certificates were renewed.
    pub fn report(&mut self, cost: Cost) {
        if self.sealer.renew(self.clock.now_ms(), self.clock.monotonic_ns()) {
            self.shared.outbox().retell_birth();
        }
        self.count_pushed();
        let online = self.status(State::Online, cost);
        self.shared.outbox().status(online);
        self.shared.wake();
    }

    /// Whether [`Publisher::take_findings`] is worth a call: it is looked once a frame.
    pub(crate) const fn may_have_found(&self) -> bool {
        self.has_cut
    }

    /// What has happened to the places of the spool since the last call.
    pub(crate) fn take_findings(&mut self) -> Vec<Finding> {
        self.has_cut = false;
        self.shared.outbox().take_findings()
    }

    /// Counts since the start.
    pub fn counters(&self) -> Counters {
        let counters = self.shared.outbox().counters;
        Counters {
            samples: counters.samples + self.pushed.samples,
            refused: counters.refused + self.pushed.refused,
            ..counters
        }
    }

    /// Frames handed to the broker for the first time.
    pub fn sent(&self) -> u64 {
        self.counters().sent
    }

    /// Frames that are not known to be durable at the brain.
    pub fn spooled(&self) -> usize {
        self.shared.outbox().spooled()
    }

    /// Whether a task has ended that should not.
    pub(crate) fn has_failed(&self) -> bool {
        self.pump.is_finished() || self.receiver.is_finished()
    }

    /// Returns when a task has ended that should not, with the reason.
    pub async fn failed(&mut self) -> PublishError {
        let ended = tokio::select! {
            ended = &mut self.pump => ended,
            ended = &mut self.receiver => ended,
        };
        PublishError::Ended(
            ended
                .err()
                .map_or_else(|| "it returned".to_owned(), |why| why.to_string()),
        )
    }

    /// Puts back what commands have changed, cuts the running frame, sends what is unsent, says last of all that the agent is offline, and leaves when
    /// everything is out or at the `deadline`. Returns whether the broker has taken everything.
    pub async fn stop(mut self, deadline: Duration) -> bool {
        if let Some(hands) = &self.hands {
            let stopped = timeout(PUT_BACK, hands.stop()).await;
            if stopped.is_err() {
                tracing::warn!("the levers take too long; what is ours is put back after the next start");
            }
            for told in stopped.unwrap_or_default() {
                if let Told::Outcome(outcome) = told {
                    self.shared.outbox().outcome(wire::encode_outcome(&outcome).into());
                }
            }
        }
        self.cut();
        let offline = self.status(State::Offline, Cost::default());
        self.shared.outbox().farewell(offline);
        self.shared.closing.store(true, std::sync::atomic::Ordering::Release);
        self.shared.wake();
        let begin = Instant::now();
        let pumped = timeout(deadline, &mut self.pump).await.is_ok();
        self.pump.abort();
        let flushed = self.client.disconnect(deadline.saturating_sub(begin.elapsed())).await;
        self.receiver.abort();
        if let Some(keeper) = self.keeper.take() {
            keeper.finish().await;
        }
        pumped && flushed
    }

    fn status(&self, state: State, cost: Cost) -> Bytes {
        status(state, self.clock.now_ms(), &self.shared.outbox(), cost).into()
    }

    /// Ends at once and without a goodbye, as a crash would: the broker tells the last will.
    pub fn abort(self) {
        if let Some(hands) = &self.hands {
            hands.abandon();
        }
        self.pump.abort();
        self.receiver.abort();
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}
