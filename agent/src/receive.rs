//! What comes from the brain: watermarks into the outbox, commands through guard and lever.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use bus::{Event, Kind, Topics};
use runtime::{Clock, LogLimit};
use shadow::{Command, Outcome, OutcomeState, wire};
use tokio::{sync::mpsc, time::sleep};

use crate::{
    act::Lever,
    guard::{Ruling, Verdict},
    lease::Leases,
    publish::{Settings, Shared},
};

/// How often is looked for leases that have run out, where any hold.
const LEASE_CHECK: Duration = Duration::from_secs(1);

static REFUSED: LogLimit = LogLimit::new(Duration::from_secs(10));

/// The task that listens to the brain.
pub(crate) struct Receiver {
    host: String,
    topics: Topics,
    shared: Arc<Shared>,
    lever: Box<dyn Lever>,
    leases: Leases,
    clock: Clock,
    link_clock: Clock,
}

impl Receiver {
    pub(crate) fn new(
        settings: &Settings,
        shared: Arc<Shared>,
        lever: Box<dyn Lever>,
        clock: Clock,
        link_clock: Clock,
    ) -> Self {
        Self {
            host: settings.host.clone(),
            topics: settings.topics.clone(),
            shared,
            lever,
            leases: Leases::default(),
            clock,
            link_clock,
        }
    }

    /// Runs until the bus is closed.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                () = sleep(LEASE_CHECK), if !self.leases.is_empty() => {}
            }
            self.expire();
            self.shared.wake();
        }
    }

    /// Takes back what has run out, and says so.
    fn expire(&mut self) {
        while let Some(id) = self.leases.expired(self.clock.monotonic_ns()) {
            let changes = self.lever.release(&id);
            self.answer(&Outcome {
                command_id: id,
                state: OutcomeState::Expired,
                reason: "its time to live is over".to_owned(),
                time_ms: self.clock.now_ms(),
                changes,
            });
        }
    }

    fn answer(&self, outcome: &Outcome) {
        let (id, state) = (outcome.command_id.as_str(), outcome.state.as_str());
        tracing::debug!(host = self.host, id, state, "command answered");
        let mut outbox = self.shared.outbox();
        outbox.counters.commands += 1;
        outbox.outcome(wire::encode_outcome(outcome).into());
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Connected => self.shared.outbox().connected(self.link_clock.monotonic_ns()),
            Event::Disconnected { .. } => self.shared.outbox().disconnected(self.link_clock.monotonic_ns()),
            Event::Message {
                topic,
                payload,
                retained,
            } => {
                if let Err(fault) = self.message(&topic, &payload, retained)
                    && let Some(suppressed) = REFUSED.pass(self.link_clock.monotonic_ns())
                {
                    tracing::warn!(host = self.host, topic, suppressed, %fault, "message refused");
                }
            }
        }
    }

    fn message(&mut self, topic: &str, payload: &[u8], retained: bool) -> Result<(), String> {
        let address = self.topics.parse(topic).map_err(|fault| fault.to_string())?;
        match address.kind {
            Kind::Watermark(_) => {
                let watermark = wire::decode_watermark(payload).map_err(|fault| fault.to_string())?;
                let now_ns = self.link_clock.monotonic_ns();
                self.shared.outbox().watermark(&watermark, now_ns);
                self.shared.settle();
            }
            Kind::Command(_) if retained => return Err("a command that the broker kept is not obeyed".to_owned()),
            Kind::Command(_) => {
                let command = wire::decode_command(payload).map_err(|fault| fault.to_string())?;
                let outcome = self.command(&command);
                if outcome.state == OutcomeState::Applied {
                    self.leases
                        .grant(&command.id, command.ttl_ms, self.clock.monotonic_ns());
                }
                self.answer(&outcome);
            }
            other => return Err(format!("an agent does not take {other:?}")),
        }
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Outcome {
        let mut guard = self.shared.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.clock.now_ms();
        let outcome = match guard.check(command, now_ms) {
            Verdict::Repeat(outcome) => return outcome,
            Verdict::Refuse(reason) => Outcome {
                command_id: command.id.clone(),
                state: OutcomeState::Refused,
                reason,
                time_ms: now_ms,
                changes: Vec::new(),
            },
            Verdict::Act(rulings) => {
                let lever = self.lever.as_mut();
                let changes = rulings.iter().map(|ruling| obey(lever, ruling)).collect();
                let none = rulings.iter().all(|ruling| ruling.refused.is_some());
                Outcome {
                    command_id: command.id.clone(),
                    state: if none {
                        OutcomeState::Refused
                    } else {
                        OutcomeState::DryRun
                    },
                    reason: if none {
                        "no change was allowed".to_owned()
                    } else {
                        String::new()
                    },
                    time_ms: now_ms,
                    changes,
                }
            }
        };
        guard.answered(outcome.clone());
        outcome
    }
}

fn obey(lever: &mut dyn Lever, ruling: &Ruling) -> shadow::ChangeOutcome {
    let Some(reason) = &ruling.refused else {
        return lever.pull(ruling);
    };
    shadow::ChangeOutcome {
        workload: ruling.change.workload.clone(),
        resource: ruling.change.resource,
        before: None,
        after: None,
        lever: String::new(),
        note: reason.clone(),
    }
}
