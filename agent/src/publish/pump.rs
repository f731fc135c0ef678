//! The task that hands letters to the bus.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bus::{BusError, Client, Qos, Topics};
use bytes::Bytes;
use runtime::{Clock, LogLimit};
use shadow::Vantage;
use tokio::time::sleep;

use super::{RESEND_PER_S, Settings, Shared, outbox::Letter, sealer::Sealer};
use crate::spool::{Due, Kind};

static NOT_TAKEN: LogLimit = LogLimit::new(Duration::from_secs(10));

/// How long to wait before the bus is tried again when it took nothing.
const RETRY: Duration = Duration::from_millis(500);

/// Messages that may be under way before anything is sent again: live data would have to wait behind them.
const UNDER_WAY: usize = 32;

/// How often the link is looked at while it has more under way.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Pump {
    shared: Arc<Shared>,
    client: Client,
    clock: Clock,
    addresses: Addresses,
    sealer: Sealer,
    /// The key under which the newest birth was told: whose signature is on what follows.
    born_by: Option<u64>,
}

/// Where each kind of letter goes.
struct Addresses {
    birth: String,
    delta: String,
    event: String,
    hole: String,
    outcome: String,
    status: String,
}

impl Addresses {
    fn new(topics: &Topics, host: &str, vantage: Vantage) -> Self {
        Self {
            birth: topics.birth(host, vantage),
            delta: topics.delta(host, vantage),
            event: topics.event(host, vantage),
            hole: topics.hole(host, vantage),
            outcome: topics.outcome(host, vantage),
            status: topics.status(host, vantage),
        }
    }

    /// Topic, payload, and whether the broker keeps it: only the newest birth, and the status.
    fn of(&self, letter: &Letter) -> (String, Bytes, bool) {
        let (topic, payload, retain) = match letter {
            Letter::Birth { payload, newest, .. } => (&self.birth, payload, *newest),
            Letter::Status(payload) => (&self.status, payload, true),
            Letter::Outcome(payload) => (&self.outcome, payload, false),
            Letter::Numbered(Due { kind, payload, .. }) => match kind {
                Kind::Frame { .. } => (&self.delta, payload, false),
                Kind::Event => (&self.event, payload, false),
                Kind::Hole { .. } => (&self.hole, payload, false),
            },
        };
        (topic.clone(), payload.clone(), retain)
    }
}

impl Pump {
    pub(super) fn new(settings: &Settings, shared: Arc<Shared>, client: Client, clock: Clock) -> Self {
        Self {
            addresses: Addresses::new(&settings.topics, &settings.host, settings.vantage),
            sealer: Sealer::new(settings.trust.clone(), &settings.host, settings.vantage),
            shared,
            client,
            clock,
            born_by: None,
        }
    }

    /// Runs until the publisher stops and nothing is left to say, or there is nobody to say it to.
    pub(super) async fn run(mut self) {
        loop {
            let has_room = self.client.outstanding() < UNDER_WAY;
            let (next, waits) = {
                let mut outbox = self.shared.outbox();
                let next = outbox.next(self.clock.monotonic_ns(), has_room);
                (next, !has_room && outbox.has_backlog())
            };
            match next {
                Some(letter) => {
                    if self.hand_over(letter).await.is_err() {
                        return;
                    }
                }
                None if waits => {
                    tracing::debug!(
                        topic = self.addresses.delta,
                        outstanding = self.client.outstanding(),
                        "backlog waits"
                    );
                    sleep(LOOK).await;
                }
                None if self.shared.closing.load(Ordering::Acquire) => return,
                None => self.shared.wake.notified().await,
            }
        }
    }

    /// Errs when the bus is closed for good.
    async fn hand_over(&mut self, letter: Letter) -> Result<(), BusError> {
        let (topic, payload, retain) = self.addresses.of(&letter);
        let now_ms = self.clock.now_ms();
        let payload = match &letter {
            Letter::Birth { .. } => {
                self.born_by = self.sealer.signs_by(now_ms);
                self.sealer.seal(trust::Kind::Birth, payload, now_ms)
            }
            Letter::Outcome(_) => self.sealer.seal(trust::Kind::Outcome, payload, now_ms),
            Letter::Status(_) => payload,
            Letter::Numbered(due) => {
                if self.sealer.signs() && self.sealer.signs_by(now_ms) != self.born_by {
                    // With another key since: whose it is must be known first.
                    let mut outbox = self.shared.outbox();
                    if outbox.retell_birth() {
                        outbox.put_back(letter);
                        return Ok(());
                    }
                }
                let kind = match due.kind {
                    Kind::Frame { .. } => trust::Kind::Delta,
                    Kind::Event => trust::Kind::Event,
                    Kind::Hole { .. } => trust::Kind::Hole,
                };
                self.sealer.sign(kind, payload, now_ms)
            }
        };
        let taken = self.client.publish(topic, payload, Qos::AtLeastOnce, retain).await;
        match taken {
            Ok(()) => {
                if matches!(letter, Letter::Numbered(Due { again: true, .. })) {
                    sleep(Duration::from_secs(1) / RESEND_PER_S).await;
                }
            }
            Err(BusError::Closed) => return Err(BusError::Closed),
            Err(fault @ (BusError::TooLarge { .. } | BusError::Topic(_))) => {
                tracing::error!(%fault, "message lost: it can never be sent");
                self.shared.outbox().give_up(&letter);
            }
            Err(fault) => {
                if let Some(suppressed) = NOT_TAKEN.pass(self.clock.monotonic_ns()) {
                    tracing::warn!(%fault, suppressed, "broker is slow: message kept for later");
                }
                self.shared.outbox().put_back(letter);
                sleep(RETRY).await;
            }
        }
        Ok(())
    }
}
