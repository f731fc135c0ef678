//! From a plan to commands, and from outcomes to what the next plan rests on.
//!
//! A command is fenced: its issuer epoch is larger than that of every brain before, kept in the store, and its
//! sequence rises by host. Answers are matched by id; one of another host, or the same one twice, is left out.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use limits::Decision;
use shadow::{Change, Command, Outcome, OutcomeState, Resource, UnixMs, wire::MAX_CHANGES};

use crate::{
    allocate::{self, HostInput, Inputs, State},
    feedback::Feedback,
    limits::Limits,
    policy::Policy,
    snapshot::{CommandView, PoolView},
};

/// The most commands that are remembered so that answers find them: those of some minutes of a large cell.
pub(crate) const MAX_SENT: usize = 5_000;
/// The most that are shown.
const MAX_SHOWN: usize = 100;

/// When plans are made, and how long their commands hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Between two rounds.
    pub(crate) every_ms: i64,
    /// How long a command holds.
    pub(crate) ttl_ms: u64,
}

/// The allocation loop's memory.
#[derive(Debug)]
pub(crate) struct Dispatch {
    policy: Policy,
    timing: Timing,
    issuer_epoch: u64,
    started_ms: UnixMs,
    last_ms: Option<UnixMs>,
    state: State,
    feedback: Feedback,
    limits: Limits,
    sequences: BTreeMap<String, u64>,
    /// Oldest first.
    sent: VecDeque<CommandView>,
    /// The newest of them, newest first; `None` since one has changed.
    shown: Option<Arc<Vec<CommandView>>>,
    pool: Vec<PoolView>,
    unmet: Vec<String>,
}

/// What an answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Of a command that is remembered, and new.
    Taken,
    /// It came before.
    Repeated,
    /// Of no command of this host that is remembered.
    Unknown,
}

impl Dispatch {
    /// Nothing is reserved and nothing was sent.
    pub(crate) fn new(policy: Policy, timing: Timing, issuer_epoch: u64, started_ms: UnixMs) -> Self {
        Self {
            policy,
            timing,
            issuer_epoch,
            started_ms,
            last_ms: None,
            state: State::default(),
            feedback: Feedback::default(),
            limits: Limits::new(),
            sequences: BTreeMap::new(),
            sent: VecDeque::new(),
            shown: None,
            pool: Vec::new(),
            unmet: Vec::new(),
        }
    }

    /// Puts back what was known before a restart.
    pub(crate) fn restore(&mut self, state: State, feedback: Feedback, sent: Vec<(Command, Option<Outcome>)>) {
        self.state = state;
        self.state.rewind(self.started_ms);
        self.feedback = feedback;
        self.sent = sent
            .into_iter()
            .map(|(command, outcome)| CommandView { command, outcome })
            .collect();
        self.forget_old();
    }

    /// The clock was set back to `now_ms`. The wait after a start begins anew: nothing is decided on a past that was
    /// told by another clock.
    pub(crate) fn rewind(&mut self, now_ms: UnixMs) {
        self.last_ms = None;
        self.started_ms = now_ms;
        self.state.rewind(now_ms);
        self.feedback.rewind();
        self.limits.rewind();
    }

    /// Whether it is time for a round.
    pub(crate) fn is_due(&self, now_ms: UnixMs) -> bool {
        self.last_ms
            .is_none_or(|last_ms| now_ms.saturating_sub(last_ms) >= self.timing.every_ms)
    }

    /// Makes a plan and the commands that carry it out.
    pub(crate) fn round(&mut self, now_ms: UnixMs, hosts: &BTreeMap<String, HostInput>) -> Vec<Command> {
        self.last_ms = Some(now_ms);
        let plan = allocate::plan(&Inputs {
            now_ms,
            started_ms: self.started_ms,
            policy: &self.policy,
            feedback: &self.feedback,
            state: &self.state,
            hosts,
        });
        self.state = plan.state;
        self.pool = plan.pool.iter().filter_map(pool_view).collect();
        self.unmet = plan.unmet.into_iter().map(|unmet| unmet.text).collect();
        let mut commands = Vec::new();
        for (host, changes) in plan.changes {
            // Power is limited by the BMC, where one is spoken for, and all else on the host.
            let (power, others): (Vec<_>, Vec<_>) = changes.into_iter().partition(|c| c.resource == Resource::Power);
            for changes in others.chunks(MAX_CHANGES).chain(power.chunks(MAX_CHANGES)) {
                commands.push(self.command(now_ms, &host, changes.to_vec()));
            }
        }
        for command in &commands {
            self.sent.push_back(CommandView {
                command: command.clone(),
                outcome: None,
            });
        }
        self.forget_old();
        commands
    }

    fn command(&mut self, now_ms: UnixMs, host: &str, changes: Vec<Change>) -> Command {
        let sequence = self.sequences.entry(host.to_owned()).or_insert(0);
        *sequence += 1;
        Command {
            id: format!("{}-{host}-{sequence}", self.issuer_epoch),
            host: host.to_owned(),
            issuer_epoch: self.issuer_epoch,
            sequence: *sequence,
            issued_ms: now_ms,
            ttl_ms: self.timing.ttl_ms,
            dry_run: true,
            changes,
        }
    }

    fn forget_old(&mut self) {
        self.shown = None;
        let old = self.sent.len().saturating_sub(MAX_SENT);
        self.sent.drain(..old);
    }

    /// Takes in what an agent of `host` answered.
    pub(crate) fn outcome(&mut self, host: &str, outcome: &Outcome) -> Answer {
        let mut sent = self.sent.iter_mut().rev();
        let Some(view) = sent.find(|view| view.command.id == outcome.command_id && view.command.host == host) else {
            return Answer::Unknown;
        };
        // A later state, such as expired after applied, is news; the same one again is not, nor one from before the end:
        // whatever order a broker hands them on in.
        if view
            .outcome
            .as_ref()
            .is_some_and(|known| !follows(known.state, outcome.state))
        {
            return Answer::Repeated;
        }
        view.outcome = Some(outcome.clone());
        self.shown = None;
        self.state.settle(&view.command, outcome);
        self.feedback.outcome(&view.command, outcome);
        Answer::Taken
    }

    /// Compares what is used with what is reserved, once a row of the grid.
    pub(crate) fn usage(&mut self, time_ms: UnixMs, hosts: &BTreeMap<String, HostInput>) {
        self.limits.row(time_ms, &self.policy, hosts);
        // What waits for the pool is known to be too small; that is no fault of its margin.
        for (key, reservation) in self.state.reservations().filter(|(key, _)| !self.state.waits(key)) {
            if let Some(used) = hosts
                .get(&key.host)
                .and_then(|host| host.used(&key.workload, key.resource))
            {
                self.feedback.usage(time_ms, key, used, reservation.amount);
            }
        }
    }

    /// What is decided for a host by the books of its rules.
    pub(crate) fn limits(&self, host: &str) -> [Option<Decision>; 5] {
        self.limits.standing(host)
    }

    /// What is reserved, in cores, bytes, bytes/s or watts.
    pub(crate) fn reserved(&self, host: &str, workload: &str, resource: Resource) -> Option<f64> {
        self.state
            .reservation(host, workload, resource)
            .map(|reservation| reservation.amount)
    }

    /// What outcomes and use have taught, and what is reserved: to be stored.
    pub(crate) const fn memory(&self) -> (&State, &Feedback) {
        (&self.state, &self.feedback)
    }

    /// The newest commands, newest first. Shared between pictures until one of them changes.
    pub(crate) fn shown(&mut self) -> Arc<Vec<CommandView>> {
        let sent = &self.sent;
        let shown = self
            .shown
            .get_or_insert_with(|| Arc::new(sent.iter().rev().take(MAX_SHOWN).cloned().collect()));
        Arc::clone(shown)
    }

    /// What hosts have, hold and lack.
    pub(crate) fn pool(&self) -> &[PoolView] {
        &self.pool
    }

    /// Needs that cannot be met, in words.
    pub(crate) fn unmet(&self) -> &[String] {
        &self.unmet
    }
}

/// Whether `later` may come after `known`: what was obeyed ends, and what has ended stays so, whoever tells the past
/// again. An agent that was told a command again after its restart refuses it; that was done what was done stays true.
fn follows(known: OutcomeState, later: OutcomeState) -> bool {
    let obeyed = matches!(known, OutcomeState::Applied | OutcomeState::DryRun);
    obeyed && matches!(later, OutcomeState::Expired | OutcomeState::Failed)
}

fn pool_view(account: &allocate::Account) -> Option<PoolView> {
    Some(PoolView {
        host: account.host.clone()?,
        resource: account.resource,
        capacity: account.capacity,
        reserved: account.reserved,
        free: account.free(),
        queued: account.queued,
    })
}

/// An issuer epoch that is larger than the last one: the unix clock in microseconds where it can be.
pub(crate) fn next_issuer_epoch(now_ms: UnixMs, last: Option<u64>) -> u64 {
    let now = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1_000);
    last.map_or(now, |last| now.max(last.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use shadow::{Capacity, Forecast, Quantiles, Rung, Shares};

    use super::*;
    use crate::allocate::WorkloadInput;

    fn dispatch() -> Dispatch {
        let timing = Timing {
            every_ms: 60_000,
            ttl_ms: 300_000,
        };
        Dispatch::new(Policy::built_in(), timing, 7, 0)
    }

    fn hosts() -> BTreeMap<String, HostInput> {
        let forecast = |horizon_s| Forecast {
            resource: Resource::Cpu,
            made_ms: 3_600_000,
            horizon_s,
            quantiles: Quantiles::from_array([0.5, 0.55, 0.6, 0.65]),
            rung: Rung::Ewma,
            shares: Shares::default(),
            skill: Some(0.2),
            coverage: Some(0.95),
        };
        let web = WorkloadInput {
            criticality: 50,
            class: "default".into(),
            cpu_cores: Some(1.0),
            memory_bytes: None,
        };
        let host = HostInput {
            capacity: Capacity {
                cpu_cores: Some(4.0),
                ..Capacity::default()
            },
            present: [Some(0.5), None, None, None, None],
            age_ms: Some(500),
            history_ms: 3_600_000,
            forecasts: [300, 600, 900].map(forecast).to_vec(),
            workloads: BTreeMap::from([("web".to_owned(), web)]),
        };
        BTreeMap::from([("a".to_owned(), host)])
    }

    #[test]
    fn a_plan_becomes_fenced_commands_and_answers_settle_it() {
        let mut dispatch = dispatch();
        assert!(dispatch.is_due(3_600_000));
        let commands = dispatch.round(3_600_000, &hosts());
        let [command] = commands.as_slice() else {
            panic!("{commands:?}")
        };
        assert_eq!(
            (command.id.as_str(), command.sequence, command.dry_run),
            ("7-a-1", 1, true)
        );
        let asked = dispatch.reserved("a", "web", Resource::Cpu);
        assert!(asked.is_some_and(|cores| cores > 1.0), "{asked:?}");
        assert!(!dispatch.is_due(3_659_999) && dispatch.is_due(3_660_000));

        let mut answer = Outcome {
            command_id: command.id.clone(),
            state: OutcomeState::Refused,
            reason: "floor".into(),
            time_ms: 3_600_100,
            changes: Vec::new(),
        };
        assert_eq!(dispatch.outcome("b", &answer), Answer::Unknown, "another host's answer");
        assert_eq!(dispatch.outcome("a", &answer), Answer::Taken);
        assert_eq!(dispatch.outcome("a", &answer), Answer::Repeated);
        assert_eq!(
            dispatch.reserved("a", "web", Resource::Cpu),
            None,
            "what was refused is not held"
        );
        answer.state = OutcomeState::DryRun;
        assert_eq!(
            dispatch.outcome("a", &answer),
            Answer::Repeated,
            "what was refused stays refused"
        );
        answer.command_id = "7-a-99".into();
        assert_eq!(dispatch.outcome("a", &answer), Answer::Unknown);
    }

    #[test]
    fn answers_mean_the_same_in_whatever_order_a_broker_hands_them_on() {
        let mut dispatch = dispatch();
        let command = dispatch.round(3_600_000, &hosts()).remove(0);
        let mut answer = |state| {
            let outcome = Outcome {
                command_id: command.id.clone(),
                state,
                reason: String::new(),
                time_ms: 3_600_100,
                changes: Vec::new(),
            };
            dispatch.outcome("a", &outcome)
        };
        for (state, expected) in [
            (OutcomeState::DryRun, Answer::Taken),
            (OutcomeState::Refused, Answer::Repeated),
            (OutcomeState::Applied, Answer::Repeated),
            (OutcomeState::Expired, Answer::Taken),
            (OutcomeState::DryRun, Answer::Repeated),
            (OutcomeState::Failed, Answer::Repeated),
        ] {
            assert_eq!(answer(state), expected, "{state:?}");
        }
    }

    #[test]
    fn issuer_epochs_rise_even_when_the_clock_does_not() {
        assert_eq!(next_issuer_epoch(5, None), 5_000);
        assert_eq!(next_issuer_epoch(5, Some(4_000)), 5_000);
        assert_eq!(next_issuer_epoch(5, Some(9_000)), 9_001);
        assert_eq!(next_issuer_epoch(-5, Some(0)), 1);
    }
}
