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
    pool::{Account, Pool},
    priority,
    spare::Waking,
    state::{Key, Reservation},
    walk::Walk,
};

/// A round of planning.
pub(super) struct Round<'a> {
    pub(super) inputs: Inputs<'a>,
    pub(super) claims: BTreeMap<Key, Claim<'a>>,
    pub(super) pool: Pool,
    pub(super) budget: Budget,
    /// What is reserved without a claim in this round: silent hosts, hosts that are not among the inputs.
    pub(super) others: BTreeMap<Key, Reservation>,
    /// What of the cell's resources is on its way back and is waited for by somebody in line.
    pub(super) spoken_for: [f64; 5],
    /// Who waits for what of it, and from whom.
    pub(super) awaited: BTreeMap<Key, Vec<(String, f64)>>,
    /// Spare hosts that are to wake, and why others are not.
    pub(super) waking: Waking,
}

impl<'a> Round<'a> {
    /// Gathers claims and fills the accounts with what is held.
    pub(super) fn open(inputs: &Inputs<'a>) -> Self {
        let claims = claims(inputs);
        let mut round = Self {
            inputs: *inputs,
            others: others(inputs, &claims),
            claims,
            pool: Pool::new(inputs.hosts, &inputs.policy.cell),
            budget: Budget::new(inputs.policy.budget, &inputs.state.changed, inputs.now_ms),
            spoken_for: [0.0; 5],
            awaited: BTreeMap::new(),
            waking: Waking::default(),
        };
        round.recount();
        round
    }

    /// Sums up the accounts anew, so that no rounding of earlier sums stays in them.
    pub(super) fn recount(&mut self) {
        let own = self.claims.iter().map(|(key, claim)| (key, claim.held()));
        let others = self.others.iter().map(|(key, held)| (key, held.amount));
        self.pool.clear();
        self.pool.each(own, Account::reserve);
        self.pool.each(others, Account::reserve);
        let shared = |key: &&Key| self.pool.is_shared(key.resource);
        let keys = self.claims.keys().chain(self.others.keys()).filter(shared);
        let coming: Vec<(Resource, f64)> = keys
            .map(|key| (key.resource, self.may_hold(key) - self.held(key)))
            .collect();
        for (resource, amount) in coming {
            self.pool.shift_coming(resource, amount);
        }
    }

    /// What the agent behind `key` may hold until it has answered to this round and those before: of what the cell shares,
    /// nothing is given a second time on the word of a command alone.
    pub(super) fn may_hold(&self, key: &Key) -> f64 {
        let pending = self.inputs.state.pending.get(key).map_or(0.0, |held| held.amount);
        let before = self
            .claims
            .get(key)
            .and_then(|claim| claim.before)
            .map_or(0.0, |held| held.amount);
        self.held(key).max(pending).max(before)
    }

    /// What is on its way back of the cell's `resource` and is waited for by nobody before in line.
    pub(super) fn unclaimed(&self, resource: Resource) -> f64 {
        let spoken_for = self.spoken_for.get(resource.index()).copied().unwrap_or(0.0);
        (self.pool.coming(resource) - spoken_for).max(0.0)
    }

    /// `key` waits for an amount of what is on its way back from somebody.
    pub(super) fn wait_for(&mut self, key: &Key, (from, amount): (&str, f64)) {
        if amount <= 0.0 {
            return;
        }
        if let Some(spoken_for) = self.spoken_for.get_mut(key.resource.index()) {
            *spoken_for += amount;
        }
        self.awaited
            .entry(key.clone())
            .or_default()
            .push((from.to_owned(), amount));
    }

    /// Where acting was switched on, or a lease has ended, what is promised is put into force, unless something holds it
    /// back: to limit what was not limited takes something away.
    pub(super) fn adopt(&mut self) {
        let (state, act) = (self.inputs.state, &self.inputs.policy.act);
        let is_idle = |claim: &&Claim<'_>| claim.draft.is_none() && claim.held_by.is_none();
        let not_in_force =
            |claim: &&Claim<'_>| act.is_on(&claim.key.host, claim.key.resource) && !state.is_leased(&claim.key);
        let claims = self.claims.values().filter(is_idle).filter(not_in_force);
        let promised: Vec<(Key, f64)> = claims
            .filter_map(|claim| Some((claim.key.clone(), claim.before?.amount)))
            .collect();
        for (key, amount) in promised {
            if self.budget.left(&key.host) > 0 {
                self.count(&key);
                self.set(&key, amount, Cause::Adopted);
            }
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
        let inputs = self.inputs;
        let mut lacking: Vec<&Claim<'_>> = self.claims.values().filter(|claim| claim.lacks()).collect();
        lacking.sort_by_cached_key(|claim| priority::rank(claim, &inputs));
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
        let elsewhere = || self.others.get(key).map_or(0.0, |held| held.amount);
        self.claims.get(key).map_or_else(elsewhere, Claim::held)
    }

    /// Whether a change of `key` would be one more, and there is none left.
    pub(super) fn is_beyond_budget(&self, key: &Key) -> bool {
        let is_free = |claim: &Claim<'_>| claim.is_counted || claim.reserves.is_some();
        !self.claims.get(key).is_some_and(is_free) && self.budget.left(&key.host) == 0
    }

    /// Counts a change of `key` against the budget, once a round. To reserve for a proposal is no change.
    pub(super) fn count(&mut self, key: &Key) {
        if let Some(claim) = self
            .claims
            .get_mut(key)
            .filter(|claim| !claim.is_counted && claim.reserves.is_none())
        {
            claim.is_counted = true;
            self.budget.spend(&key.host);
        }
    }

    /// Takes back a count that led to no change.
    pub(super) fn uncount(&mut self, key: &Key) {
        let counted = |claim: &&mut Claim<'_>| claim.draft.is_none() && claim.is_counted;
        if let Some(claim) = self.claims.get_mut(key).filter(counted) {
            claim.is_counted = false;
            self.budget.refund(&key.host);
        }
    }

    /// Sets what `key` holds; the accounts follow. Who has given more in this round than it now gets keeps the
    /// reason for that.
    pub(super) fn set(&mut self, key: &Key, amount: f64, cause: Cause) {
        let may_hold = self.may_hold(key);
        let Some(claim) = self.claims.get_mut(key) else {
            return;
        };
        let amount = amount.max(0.0);
        let shift = amount - claim.held();
        self.pool.shift(key, shift);
        let still_less = claim.before.is_some_and(|held| amount < held.amount);
        let cause = match claim.draft.take() {
            Some(draft) if still_less && cause.is_gain() => draft.cause,
            _ => cause,
        };
        claim.draft = Some(Draft { amount, cause });
        let more = self.may_hold(key) - may_hold;
        self.pool.shift_coming(key.resource, more - shift);
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
    let mut claims = Walk::new(claims);
    let held = inputs.state.reservations.iter();
    let unclaimed = held.filter(|(key, _)| claims.find(key).is_none());
    unclaimed
        .filter(|(key, held)| is_amount(held) && stays(key))
        .map(|(key, held)| (key.clone(), *held))
        .collect()
}
