//! From a plan to commands, and from outcomes to what the next plan rests on.
//!
//! A command is fenced: its issuer epoch is larger than that of every brain before, kept in the store, and its
//! sequence rises by host. Answers are matched by id; one of another host, or the same one twice, is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use limits::Prices;
use shadow::{Command, Outcome, OutcomeState, Resource, UnixMs, wire::MAX_CHANGES};

mod answer;
mod consent;
mod freeze;
mod held;
mod issue;
mod record;
mod renew;
mod savings;
mod sent;

use self::{
    answer::follows,
    savings::{Savings, Use},
    sent::Sent,
};
pub use self::{
    consent::Verdict,
    freeze::{Freeze, FreezeSwitch},
};
pub(crate) use self::{issue::next_issuer_epoch, sent::MAX_SENT};

use crate::{
    allocate::{
        self, HostInput, Inputs, Key, Plan, State,
        proposals::{Proposal, Proposals},
    },
    feedback::{Feedback, Look, Strain},
    limits::{Limits, Waiting},
    policy::Policy,
    snapshot::{CommandView, HeldStep, PlanView, PoolView},
    store::{PlanRow, StoredBook},
};

/// From this share of a limit on it is reached.
const NEARLY: f64 = 0.98;
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
    sent: Sent,
    /// The newest of them, newest first; `None` since one has changed.
    shown: Option<Arc<Vec<CommandView>>>,
    pool: Vec<PoolView>,
    unmet: Vec<String>,
    held_back: BTreeMap<Key, String>,
    /// The newest plan, to be shown.
    plan: Option<Arc<PlanView>>,
    held: held::Held,
    freeze: Option<Freeze>,
    /// When agents last said that our commands are none: another brain may rule.
    doubted_ms: Option<UnixMs>,
    renewals: renew::Renewals,
    renewed_ms: UnixMs,
    /// Renewals since the last round.
    renewed: u64,
    savings: Savings,
    /// Who had too little when it was looked last.
    short: BTreeSet<Key>,
    /// Plans that are not stored yet.
    plans: Vec<PlanRow>,
    /// What waits for somebody's word, and what did.
    proposals: Proposals,
    /// As they are shown; `None` since one has changed.
    shown_proposals: Option<Arc<Vec<Proposal>>>,
}

/// What an answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Of a command that is remembered, and new.
    Taken,
    /// Of a command that told again what stays.
    Renewed,
    /// It came before.
    Repeated,
    /// Of no command of this host that is remembered.
    Unknown,
}

impl Dispatch {
    /// Nothing is reserved and nothing was sent.
    pub(crate) fn new(policy: Policy, timing: Timing, issuer_epoch: u64, started_ms: UnixMs) -> Self {
        Self {
            limits: Limits::new(policy.limits),
            policy,
            timing,
            issuer_epoch,
            started_ms,
            last_ms: None,
            state: State::default(),
            feedback: Feedback::default(),
            sequences: BTreeMap::new(),
            sent: Sent::default(),
            shown: None,
            pool: Vec::new(),
            unmet: Vec::new(),
            held_back: BTreeMap::new(),
            plan: None,
            held: held::Held::default(),
            freeze: None,
            doubted_ms: None,
            renewals: renew::Renewals::new(),
            renewed_ms: UnixMs::MIN,
            renewed: 0,
            savings: Savings::new(issuer_epoch),
            short: BTreeSet::new(),
            plans: Vec::new(),
            proposals: Proposals::default(),
            shown_proposals: None,
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
        self.shown = None;
    }

    /// The clock was set back to `now_ms`. The wait after a start begins anew: nothing is decided on a past that was
    /// told by another clock.
    pub(crate) fn rewind(&mut self, now_ms: UnixMs) {
        self.last_ms = None;
        self.held.rewind(now_ms);
        self.renewed_ms = UnixMs::MIN;
        self.doubted_ms = None;
        self.started_ms = now_ms;
        self.state.rewind(now_ms);
        self.feedback.rewind();
        self.proposals.rewind(now_ms);
        self.limits.rewind();
    }

    /// Goes on with books and prices that were stored; tells how many are none.
    pub(crate) fn restore_books(&mut self, books: Vec<StoredBook>, prices: &BTreeMap<String, Prices>) -> usize {
        self.limits.restore(books, prices)
    }

    /// Books that are to be stored, and the prices, where an interval has ended.
    pub(crate) fn store_books(&mut self, waiting: &mut Waiting) -> Option<BTreeMap<&'static str, Prices>> {
        self.limits.store(waiting)
    }

    /// Whether it is time for a round.
    pub(crate) fn is_due(&self, now_ms: UnixMs) -> bool {
        self.last_ms
            .is_none_or(|last_ms| now_ms.saturating_sub(last_ms) >= self.timing.every_ms)
    }

    /// Makes a plan and the commands that carry it out. Of a frozen cell the plan is shown, and nothing comes of it.
    pub(crate) fn round(&mut self, now_ms: UnixMs, hosts: &BTreeMap<String, HostInput>) -> Vec<Command> {
        self.last_ms = Some(now_ms);
        let proposed = self.propose(now_ms, hosts);
        let mut plan = allocate::plan(&self.inputs((now_ms, hosts), Some(&proposed)));
        self.show(&plan);
        if self.freeze.is_some() {
            self.record(&plan, hosts.len(), 0);
            return Vec::new();
        }
        self.state = std::mem::take(&mut plan.state);
        let mut commands = Vec::new();
        for (host, changes) in &plan.changes {
            for part in self.parts(host, changes, &plan.only_told) {
                for changes in part.changes.chunks(MAX_CHANGES) {
                    commands.push(self.command(now_ms, host, changes.to_vec(), part.dry_run));
                }
            }
        }
        for wake in &plan.wakes {
            tracing::info!(host = wake.host, "{}", wake.text);
            commands.push(self.wake(now_ms, wake));
        }
        let told = commands
            .iter()
            .filter(|command| command.dry_run)
            .map(|command| command.changes.len());
        let told = told.sum();
        self.record(&plan, hosts.len(), told);
        for command in &commands {
            if !command.dry_run {
                self.state.sent(command);
            }
            self.sent.push(CommandView {
                command: command.clone(),
                outcome: None,
            });
        }
        self.shown = None;
        commands
    }

    fn inputs<'a>(
        &'a self,
        (now_ms, hosts): (UnixMs, &'a BTreeMap<String, HostInput>),
        proposed: Option<&'a BTreeMap<Key, f64>>,
    ) -> Inputs<'a> {
        Inputs {
            now_ms,
            // Where another brain may rule the wait after a start begins anew.
            started_ms: self.doubted_ms.map_or(self.started_ms, |ms| ms.max(self.started_ms)),
            policy: &self.policy,
            feedback: &self.feedback,
            state: &self.state,
            hosts,
            proposed,
        }
    }

    /// New forecasts are there at `now_ms`: where they say that somebody whose limits are in force will soon have too little, the
    /// next round is now. Who lacks for long makes it so once.
    pub(crate) fn hurry(&mut self, now_ms: UnixMs, hosts: &BTreeMap<String, HostInput>) {
        if self.freeze.is_some() || !self.policy.act.is_any() {
            return;
        }
        let acts = |key: &&Key| self.policy.act.is_on(&key.host, key.resource);
        let short: BTreeSet<Key> = allocate::short(&self.inputs((now_ms, hosts), None))
            .filter(acts)
            .cloned()
            .collect();
        if short.iter().any(|key| !self.short.contains(key)) {
            self.last_ms = None;
        }
        self.short = short;
    }

    fn show(&mut self, plan: &Plan) {
        self.held_back.clone_from(&plan.held_back);
        self.held.note(plan.time_ms, &plan.pool);
        self.pool = plan.pool.iter().map(pool_view).collect();
        self.unmet = plan.unmet.iter().map(|unmet| unmet.text.clone()).collect();
    }

    /// Freezes the cell, or lets it move again.
    pub(crate) fn set_freeze(&mut self, freeze: Option<Freeze>) {
        self.freeze = freeze;
    }

    /// Who has frozen the cell.
    pub(crate) const fn freeze(&self) -> Option<&Freeze> {
        self.freeze.as_ref()
    }

    /// An agent of `host` says at `now_ms` that `outcome` is of no command that it may obey. Where that is all it has ever
    /// said of a command of ours, another brain may rule: nothing is lowered for as long as after a start.
    pub(crate) fn distrusted(&mut self, host: &str, outcome: &Outcome, now_ms: UnixMs) {
        let ours = self.sent.get(host, &outcome.command_id);
        let unanswered = ours.is_some_and(|view| view.outcome.is_none());
        if unanswered || self.renewal(host, &outcome.command_id).is_some() {
            self.doubted_ms = Some(now_ms);
        }
    }

    /// Takes in what an agent of `host` answered.
    pub(crate) fn outcome(&mut self, host: &str, outcome: &Outcome) -> Answer {
        if let Some(answer) = self.renewal_answered(host, outcome) {
            return answer;
        }
        let Some(view) = self.sent.get_mut(host, &outcome.command_id) else {
            // By the word of a brain before this one, or of a renewal that is long past.
            let ended = outcome.state == OutcomeState::Expired && self.state.lease_ended(host, &outcome.command_id);
            return if ended { Answer::Renewed } else { Answer::Unknown };
        };
        // A later state, such as expired after applied, is news; the same one again is not, nor one from before the end:
        // whatever order a broker hands them on in.
        if view.outcome.as_ref().is_some_and(|known| !follows(known, outcome)) {
            return Answer::Repeated;
        }
        view.outcome = Some(outcome.clone());
        self.shown = None;
        self.state.settle(&view.command, outcome);
        self.feedback.outcome(&view.command, outcome);
        self.proposals.answered(outcome);
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
                // Beyond a limit that is in force nothing can be used: one that is reached is too small.
                let reached = self.state.is_leased(key) && used >= NEARLY * reservation.amount;
                let used = if reached {
                    used.max(1.001 * reservation.amount)
                } else {
                    used
                };
                self.feedback.usage(time_ms, key, used, reservation.amount);
            }
        }
        let uses = self.state.reservations().filter_map(|(key, reservation)| {
            let used = hosts.get(&key.host)?.used(&key.workload, key.resource)?;
            let is_acted = self.state.is_leased(key);
            let held = reservation.amount;
            Some((key, Use { held, used, is_acted }))
        });
        self.savings.row(time_ms, uses);
    }

    /// Lowerings to look at at `now_ms`, at most `most`.
    pub(crate) fn looks(&mut self, now_ms: UnixMs, most: usize) -> Vec<Look> {
        self.feedback.looks(now_ms, most)
    }

    /// What somebody went through before its lowering, where that was asked for, and lately. What hurt is told, and
    /// planned anew at once.
    pub(crate) fn strained(&mut self, key: &Key, now_ms: UnixMs, strain: (Option<Strain>, Strain)) -> Option<String> {
        let hurt = self.feedback.strained(key, now_ms, strain);
        if hurt.is_some() {
            self.last_ms = None;
            self.savings.hurt(key, now_ms);
        }
        hurt
    }

    /// What is decided for a host by the books of its rules.
    pub(crate) fn limits(&self, host: &str) -> [Option<limits::Decision>; 5] {
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
            .get_or_insert_with(|| Arc::new(sent.newest().take(MAX_SHOWN).cloned().collect()));
        Arc::clone(shown)
    }

    /// What hosts have, hold and lack.
    pub(crate) fn pool(&self) -> &[PoolView] {
        &self.pool
    }

    /// What is reserved on a host over time, oldest first.
    pub(crate) fn held(&self, host: &str) -> Arc<Vec<HeldStep>> {
        self.held.of(host)
    }

    /// Why what is reserved is not in force where the policy acts; `None` where nothing holds it back.
    pub(crate) fn held_back(&self, host: &str, workload: &str, resource: Resource) -> Option<&str> {
        self.held_back
            .get(&Key::new(host, workload, resource))
            .map(String::as_str)
    }

    /// Needs that cannot be met, in words.
    pub(crate) fn unmet(&self) -> &[String] {
        &self.unmet
    }
}

fn pool_view(account: &allocate::Account) -> PoolView {
    PoolView {
        host: account.host.clone(),
        resource: account.resource,
        capacity: account.capacity,
        reserved: account.reserved,
        reclaimable: account.reclaimable,
        coming: account.coming,
        proposed: account.proposed,
        free: account.free(),
        queued: account.queued,
    }
}

#[cfg(test)]
mod tests;
