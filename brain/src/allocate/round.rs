//! One round of planning while it is made: claims, accounts, and what has been changed so far.

use std::collections::BTreeMap;

use shadow::Resource;

use super::{
    Inputs,
    bounds::Step,
    budget::Budget,
    claim::{self, Claim, claims, is_amount, is_silent},
    contention::{self, acquire},
    draft::{Cause, Draft},
    pool::Pool,
    priority,
    state::{Key, Reservation},
};

/// A round of planning.
pub(super) struct Round<'a> {
    pub(super) inputs: Inputs<'a>,
    pub(super) claims: BTreeMap<Key, Claim<'a>>,
    pub(super) pool: Pool,
    pub(super) budget: Budget,
    /// What is reserved without a claim in this round: silent hosts, hosts that are not among the inputs.
    pub(super) others: BTreeMap<Key, Reservation>,
}

impl<'a> Round<'a> {
    /// Gathers claims and fills the accounts with what is held.
    pub(super) fn open(inputs: &Inputs<'a>) -> Self {
        let pool = Pool::new(inputs.hosts, &inputs.policy.cell);
        let claims = claims(inputs, &pool);
        let mut round = Self {
            inputs: *inputs,
            others: others(inputs, &claims),
            claims,
            pool,
            budget: Budget::new(inputs.policy.budget, &inputs.state.changed, inputs.now_ms),
        };
        round.recount();
        round
    }

    /// Sums up the accounts anew, so that no rounding of earlier sums stays in them.
    pub(super) fn recount(&mut self) {
        self.pool.clear();
        let own = self.claims.iter().map(|(key, claim)| (key, claim.held()));
        let others = self.others.iter().map(|(key, held)| (key, held.amount));
        for (key, held) in own.chain(others) {
            self.pool.shift(key, held);
        }
    }

    /// What is reserved of an account without a claim in this round.
    pub(super) fn promised_elsewhere(&self, host: Option<&str>, resource: Resource) -> f64 {
        let behind = self.others.iter().filter(|(key, _)| key.resource == resource);
        let behind = behind.filter(|(key, _)| host.is_none_or(|host| key.host == host));
        behind.map(|(_, held)| held.amount).sum()
    }

    /// Takes back what is promised beyond what there is.
    pub(super) fn correct(&mut self) {
        contention::correct(self);
    }

    /// Gives what is lacking, the most critical first, then who waits longest.
    pub(super) fn raise(&mut self) {
        let (state, now_ms) = (self.inputs.state, self.inputs.now_ms);
        let mut lacking: Vec<&Claim<'_>> = self.claims.values().filter(|claim| claim.lacks()).collect();
        lacking.sort_by_cached_key(|claim| priority::rank(claim, state, now_ms));
        let goals: Vec<(Key, f64)> = lacking
            .into_iter()
            .filter_map(|claim| Some((claim.key.clone(), claim.goal()?)))
            .collect();
        for (key, goal) in goals {
            acquire(self, &key, goal);
        }
    }

    /// Takes back what is spare, where that is allowed and the budget is not used up; the least critical first.
    pub(super) fn lower(&mut self) {
        let mut spare: Vec<(&Claim<'_>, f64)> = self
            .claims
            .values()
            .filter(|claim| claim.held_by.is_none() && !claim.is_counted)
            .filter_map(|claim| match claim.step {
                Step::Lower { to, .. } => Some((claim, to)),
                Step::Keep | Step::Raise { .. } => None,
            })
            .collect();
        spare.sort_by_key(|(claim, _)| priority::donor_rank(claim));
        let steps: Vec<(Key, f64)> = spare.iter().map(|(claim, to)| (claim.key.clone(), *to)).collect();
        for (key, to) in steps {
            if self.budget.left(&key.host) > 0 {
                self.count(&key);
                self.set(&key, to, Cause::Lowered);
            }
        }
    }

    /// The claims on `resource` of `host`, or of all hosts.
    pub(super) fn holders<'r>(
        &'r self,
        host: Option<&'r str>,
        resource: Resource,
    ) -> impl Iterator<Item = &'r Claim<'a>> {
        // Names are not empty, so this sorts before every key of the host.
        let first = Key::new(host.unwrap_or_default(), "", Resource::Cpu);
        self.claims
            .range(first..)
            .map(|(_, claim)| claim)
            .take_while(move |claim| host.is_none_or(|host| claim.key.host == host))
            .filter(move |claim| claim.key.resource == resource)
    }

    /// What `key` holds as things stand in this round.
    pub(super) fn held(&self, key: &Key) -> f64 {
        self.claims.get(key).map_or(0.0, Claim::held)
    }

    /// Whether a change of `key` would be one more, and there is none left.
    pub(super) fn is_beyond_budget(&self, key: &Key) -> bool {
        let is_counted = self.claims.get(key).is_some_and(|claim| claim.is_counted);
        !is_counted && self.budget.left(&key.host) == 0
    }

    /// Counts a change of `key` against the budget, once a round.
    pub(super) fn count(&mut self, key: &Key) {
        if let Some(claim) = self.claims.get_mut(key).filter(|claim| !claim.is_counted) {
            claim.is_counted = true;
            self.budget.spend(&key.host);
        }
    }

    /// Takes back a count that led to no change.
    pub(super) fn uncount(&mut self, key: &Key) {
        if let Some(claim) = self.claims.get_mut(key).filter(|claim| claim.draft.is_none()) {
            claim.is_counted = false;
            self.budget.refund(&key.host);
        }
    }

    /// Sets what `key` holds; the accounts follow. Who has given more in this round than it now gets keeps the
    /// reason for that.
    pub(super) fn set(&mut self, key: &Key, amount: f64, cause: Cause) {
        let Some(claim) = self.claims.get_mut(key) else {
            return;
        };
        let amount = amount.max(0.0);
        self.pool.shift(key, amount - claim.held());
        let still_less = claim.before.is_some_and(|held| amount < held.amount);
        let cause = match claim.draft.take() {
            Some(draft) if still_less && cause.is_gain() => draft.cause,
            _ => cause,
        };
        claim.draft = Some(Draft { amount, cause });
    }
}

/// Reservations that have no claim and stay all the same: of hosts that are silent or not among the inputs, and of
/// resources whose capacity is not known at the moment. Those of workloads that are gone end here.
fn others(inputs: &Inputs<'_>, claims: &BTreeMap<Key, Claim<'_>>) -> BTreeMap<Key, Reservation> {
    let stays = |key: &Key| match inputs.hosts.get(&key.host) {
        None => true,
        Some(host) if is_silent(inputs, host) => true,
        Some(host) => claim::is_subject(host, key),
    };
    let unclaimed = inputs
        .state
        .reservations
        .iter()
        .filter(|(key, _)| !claims.contains_key(key));
    unclaimed
        .filter(|(key, held)| is_amount(held) && stays(key))
        .map(|(key, held)| (key.clone(), *held))
        .collect()
}
