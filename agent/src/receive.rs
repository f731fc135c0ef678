//! What comes from the brain: watermarks into the outbox, commands through guard and lever.

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use bus::{Event, Kind, Topics};
use runtime::{Clock, LogLimit};
use shadow::{Command, Finding, Outcome, OutcomeState, Severity, UnixMs, wire};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use crate::{
    act::{
        Levers,
        actor::Told,
        answer::{Row, outcome},
    },
    fence::Fence,
    guard::{Guard, Ruling, Verdict, left_ms},
    publish::{Settings, Shared, sealer::Sealer},
    refusals::Refusals,
};

/// Commands that change something, in ten seconds, at most. Each is made durable before it is obeyed, which takes some
/// milliseconds; a brain says one in seconds.
const MAX_ACTS: u32 = 100;

static REFUSED: LogLimit = LogLimit::new(Duration::from_secs(10));

/// The task that listens to the brain.
pub(crate) struct Receiver {
    host: String,
    topics: Topics,
    shared: Arc<Shared>,
    levers: Levers,
    fence: Fence,
    sealer: Sealer,
    /// What nobody vouches for, and what the brain has said but somebody hands on again.
    refusals: Refusals,
    repeats: Refusals,
    /// Commands that change something.
    acts: Refusals,
    /// Commands that slow levers are at work with: whoever hands them on again is not answered, and others do not wait.
    at_work: JoinSet<Outcome>,
    ids_at_work: BTreeSet<String>,
    clock: Clock,
    link_clock: Clock,
}

impl Receiver {
    pub(crate) fn new(
        settings: &Settings,
        shared: Arc<Shared>,
        levers: Levers,
        fence: Fence,
        clock: Clock,
        link_clock: Clock,
    ) -> Self {
        Self {
            host: settings.host.clone(),
            topics: settings.topics.clone(),
            shared,
            levers,
            fence,
            sealer: Sealer::new(settings.trust.clone(), &settings.host, settings.vantage),
            refusals: Refusals::default(),
            repeats: Refusals::default(),
            acts: Refusals::answering(MAX_ACTS),
            at_work: JoinSet::new(),
            ids_at_work: BTreeSet::new(),
            clock,
            link_clock,
        }
    }

    /// Runs until the bus is closed.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.take(event).await,
                    None => return,
                },
                told = self.levers.news() => self.tell(told),
                Some(done) = self.at_work.join_next() => self.done(done),
            }
            self.shared.wake();
        }
    }

    /// Slow levers are done with a command.
    fn done(&mut self, done: Result<Outcome, JoinError>) {
        match done {
            Ok(outcome) => {
                self.ids_at_work.remove(&outcome.command_id);
                self.guard().answered(outcome.clone());
                self.answer(&outcome);
            }
            Err(fault) => tracing::error!(%fault, "a command that slow levers were at work with has no answer"),
        }
    }

    /// What the levers have done by themselves.
    fn tell(&self, told: Told) {
        match told {
            Told::Outcome(outcome) => {
                self.guard().answered_since(&outcome);
                self.answer(&outcome);
            }
            Told::Finding(finding) => self.shared.outbox().found(finding),
        }
    }

    fn answer(&self, outcome: &Outcome) {
        let (id, state) = (outcome.command_id.as_str(), outcome.state.as_str());
        tracing::debug!(host = self.host, id, state, "command answered");
        let mut outbox = self.shared.outbox();
        outbox.counters.commands += 1;
        outbox.outcome(wire::encode_outcome(outcome).into());
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Connected => self.shared.outbox().connected(self.link_clock.monotonic_ns()),
            Event::Disconnected { .. } => self.shared.outbox().disconnected(self.link_clock.monotonic_ns()),
            Event::Message {
                topic,
                payload,
                retained,
            } => {
                if let Err(fault) = self.message(&topic, &payload, retained).await
                    && let Some(suppressed) = REFUSED.pass(self.link_clock.monotonic_ns())
                {
                    tracing::warn!(host = self.host, topic, suppressed, %fault, "message refused");
                }
            }
        }
    }

    async fn message(&mut self, topic: &str, payload: &[u8], retained: bool) -> Result<(), String> {
        let address = self.topics.parse(topic).map_err(|fault| fault.to_string())?;
        match address.kind {
            Kind::Watermark(_) => {
                let watermark = wire::decode_watermark(payload).map_err(|fault| fault.to_string())?;
                // What it says is durable is forgotten here: nobody but the brain may say so. An old one does no harm,
                // for what was durable stays so.
                let now_ms = self.clock.now_ms();
                let sealed = self.sealer.check(trust::Kind::Watermark, payload, now_ms);
                sealed.map_err(|fault| fault.to_string())?;
                let now_ns = self.link_clock.monotonic_ns();
                self.shared.outbox().watermark(&watermark, now_ns);
                self.shared.settle();
                Ok(())
            }
            Kind::Command(_) => self.command(payload, retained).await,
            other => Err(format!("an agent does not take {other:?}")),
        }
    }

    /// Obeys a command or refuses it, and answers it either way where it can be read.
    async fn command(&mut self, payload: &[u8], retained: bool) -> Result<(), String> {
        let doubt = self.doubt(payload, retained);
        let command = match wire::decode_command(payload) {
            Ok(command) => command,
            Err(fault) => return Err(self.unreadable(payload, doubt.is_none(), fault.to_string())),
        };
        if doubt.is_none() && self.ids_at_work.contains(&command.id) {
            return Ok(());
        }
        if let Some(reason) = doubt {
            let answers = self.refusals.answers(self.link_clock.monotonic_ns());
            return Err(self.distrusted(&command.id, reason, answers));
        }
        let now_ns = self.link_clock.monotonic_ns();
        if !command.dry_run && !self.acts.answers(now_ns) {
            let reason = format!("{MAX_ACTS} commands that change something have come within 10 s");
            let answers = self.answers_again();
            return Err(self.distrusted(&command.id, reason, answers));
        }
        let now_ms = self.clock.now_ms();
        let outcome = match self.judge(&command, now_ms) {
            // Whoever hands these on decides how often.
            Verdict::Doubt(reason) => {
                let answers = self.answers_again();
                return Err(self.distrusted(&command.id, reason, answers));
            }
            Verdict::Repeat(_) if !self.answers_again() => return Ok(()),
            Verdict::Repeat(outcome) => outcome,
            Verdict::Refuse(reason) => {
                // It must not be obeyed after a restart either: that is what the answer says.
                if let Err(fault) = self.fence.pass(&command).await {
                    return Err(self.distrusted(&command.id, format!("{reason}; {fault}"), true));
                }
                self.shared.outbox().counters.commands_refused += 1;
                refused(&command.id, reason, now_ms)
            }
            Verdict::Act(rulings) => {
                let Some(outcome) = self.obey(&command, rulings, now_ms).await else {
                    return Ok(());
                };
                self.guard().answered(outcome.clone());
                outcome
            }
        };
        self.answer(&outcome);
        Ok(())
    }

    /// What the guard says, unless it is not even known what was obeyed before.
    fn judge(&self, command: &Command, now_ms: UnixMs) -> Verdict {
        let objection = self.sealer.is_strict().then(|| self.fence.objection(command)).flatten();
        objection.map_or_else(|| self.guard().check(command, now_ms), Verdict::Doubt)
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
        self.shared.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what the brain may have said before is answered once more.
    fn answers_again(&mut self) -> bool {
        self.repeats.answers(self.link_clock.monotonic_ns())
    }

    /// Nothing is done. The answer is not remembered, and no refusal: the command of this id that the brain does send, or
    /// has sent, must not get it, nor the brain take it for one.
    fn distrusted(&mut self, id: &str, reason: String, answers: bool) -> String {
        self.distrust(&reason);
        if answers {
            self.answer(&Outcome {
                state: OutcomeState::Distrusted,
                ..refused(id, reason.clone(), self.clock.now_ms())
            });
        }
        reason
    }

    /// A command that is too long, or says what is not understood here. One that the brain has sent is answered.
    fn unreadable(&mut self, payload: &[u8], believed: bool, fault: String) -> String {
        self.distrust(&fault);
        if believed
            && let Some(id) = wire::command_id(payload)
            && self.answers_again()
        {
            self.answer(&refused(&id, fault.clone(), self.clock.now_ms()));
        }
        fault
    }

    /// Why it is not known that the brain has sent this.
    fn doubt(&self, payload: &[u8], retained: bool) -> Option<String> {
        if retained {
            return Some("a command that the broker kept is not obeyed".to_owned());
        }
        let sealed = self.sealer.check(trust::Kind::Command, payload, self.clock.now_ms());
        sealed.err().map(|fault| fault.to_string())
    }

    /// Somebody sends what the brain did not: that is counted, and told as an event now and then.
    fn distrust(&mut self, reason: &str) {
        let told = self.refusals.tells(self.link_clock.monotonic_ns());
        let mut outbox = self.shared.outbox();
        outbox.counters.commands_refused += 1;
        if let Some(count) = told {
            outbox.found(Finding {
                source: "agent".to_owned(),
                subject: "command".to_owned(),
                kind: "command_refused".to_owned(),
                severity: Severity::Warning,
                text: format!("{count} command(s) refused, the last because {reason}"),
                details: Vec::new(),
            });
        }
    }

    /// What might be obeyed again after a restart is not obeyed. Nothing, while slow levers are at work with it.
    async fn obey(&mut self, command: &Command, rulings: Vec<Ruling>, now_ms: UnixMs) -> Option<Outcome> {
        match self.fence.pass(command).await {
            Err(fault) => Some(Outcome {
                state: OutcomeState::Failed,
                ..refused(&command.id, fault, now_ms)
            }),
            Ok(()) => self.act(command, rulings, now_ms).await,
        }
    }

    async fn act(&mut self, command: &Command, rulings: Vec<Ruling>, now_ms: UnixMs) -> Option<Outcome> {
        let id = command.id.clone();
        if rulings.iter().all(|ruling| ruling.refused.is_some()) || command.dry_run {
            let rows: Vec<Row> = rulings.iter().map(|ruling| self.levers.rehearse(ruling)).collect();
            let (state, reason) = if rulings.iter().all(|ruling| ruling.refused.is_some()) {
                (OutcomeState::Refused, "no change was allowed")
            } else {
                (OutcomeState::DryRun, "")
            };
            return Some(outcome(&id, state, reason, now_ms, &rows));
        }
        let is_slow = self.levers.is_slow(&rulings);
        let obeyed = self.levers.obey(&id, left_ms(command, now_ms), rulings);
        if !is_slow {
            return Some(obeyed.await.unwrap_or_else(|reason| refused(&id, reason, now_ms)));
        }
        self.ids_at_work.insert(id.clone());
        self.at_work
            .spawn(async move { obeyed.await.unwrap_or_else(|reason| refused(&id, reason, now_ms)) });
        None
    }
}

fn refused(id: &str, reason: String, time_ms: UnixMs) -> Outcome {
    Outcome {
        command_id: id.to_owned(),
        state: OutcomeState::Refused,
        reason,
        time_ms,
        changes: Vec::new(),
        actions: Vec::new(),
    }
}
