//! One round of planning while it is made: claims, accounts, and what has been changed so far.

use std::collections::BTreeMap;

use shadow::Resource;

use super::{
    Inputs,
    bounds::Step,
    budget::Budget,
    claim::{self, Claim, claims, is_amount, is_silent},
    contention::{self, NOTHING, acquire},
    pool::Pool,
    priority,
    state::{Key, Reservation},
};

/// Why a reservation is changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cause {
    /// It asked for more.
    Raised {
        /// What of it was free.
        free: f64,
        /// Who gave the rest, and how much.
        from: Vec<(String, f64)>,
    },
    /// It has more than it asks for.
    Lowered,
    /// It has more than it asks for, and someone needs it now.
    Reclaimed {
        /// Who, in the order in which they took.
        by: Vec<String>,
    },
    /// Someone more critical needs it.
    Throttled {
        /// Who, in the order in which they took.
        by: Vec<String>,
    },
    /// More was promised than there is.
    Corrected,
}

impl Cause {
    const fn is_gain(&self) -> bool {
        matches!(self, Self::Raised { .. })
    }

    /// Who got what was given.
    pub(super) fn takers(&self) -> &[String] {
        match self {
            Self::Reclaimed { by } | Self::Throttled { by } => by,
            Self::Raised { .. } | Self::Lowered | Self::Corrected => &[],
        }
    }
}

/// A change that is decided on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    pub(super) amount: f64,
    pub(super) cause: Cause,
}

/// A round of planning.
pub(super) struct Round<'a> {
    pub(super) inputs: Inputs<'a>,
    pub(super) claims: BTreeMap<Key, Claim<'a>>,
    pub(super) pool: Pool,
    pub(super) budget: Budget,
    /// What is reserved without a claim in this round: silent hosts, hosts that are not among the inputs.
    pub(super) others: BTreeMap<Key, Reservation>,
    /// What has been counted against the budget, changed or about to be.
    drafts: BTreeMap<Key, Option<Draft>>,
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
            drafts: BTreeMap::new(),
        };
        round.recount();
        round
    }

    /// Sums up the accounts anew, so that no rounding of earlier sums stays in them.
    pub(super) fn recount(&mut self) {
        self.pool.clear();
        let own = self.claims.keys().map(|key| (key, self.held(key)));
        let others = self.others.iter().map(|(key, held)| (key, held.amount));
        let all: Vec<(Key, f64)> = own.chain(others).map(|(key, held)| (key.clone(), held)).collect();
        for (key, held) in all {
            self.pool.shift(&key, held);
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
        let mut lacking: Vec<&Claim<'_>> = self.claims.values().filter(|claim| self.lacks(claim)).collect();
        lacking.sort_by_key(|claim| priority::rank(claim, state, now_ms));
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
        let mut spare: Vec<&Claim<'_>> = self.claims.values().filter(|claim| claim.held_by.is_none()).collect();
        spare.sort_by_key(|claim| priority::donor_rank(claim));
        let steps: Vec<(Key, Step)> = spare.iter().map(|claim| (claim.key.clone(), claim.step)).collect();
        for (key, step) in steps {
            if let Step::Lower { to, .. } = step
                && to < self.held(&key)
                && !self.is_touched(&key)
                && self.budget.left(&key.host) > 0
            {
                self.touch(&key);
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
        let before = || self.claims.get(key).and_then(|claim| claim.before);
        match self.draft(key) {
            Some(draft) => draft.amount,
            None => before().map_or(0.0, |held| held.amount),
        }
    }

    /// The change that is decided on for `key`.
    pub(super) fn draft(&self, key: &Key) -> Option<&Draft> {
        self.drafts.get(key)?.as_ref()
    }

    /// Whether a change of `key` has been counted in this round.
    pub(super) fn is_touched(&self, key: &Key) -> bool {
        self.drafts.contains_key(key)
    }

    /// Counts a change of `key` against the budget, once a round.
    pub(super) fn touch(&mut self, key: &Key) {
        if !self.is_touched(key) {
            self.budget.spend(&key.host);
            self.drafts.insert(key.clone(), None);
        }
    }

    /// Takes back a count that led to no change.
    pub(super) fn untouch(&mut self, key: &Key) {
        if self.drafts.get(key) == Some(&None) {
            self.drafts.remove(key);
            self.budget.refund(&key.host);
        }
    }

    /// Sets what `key` holds; the accounts follow. Who has given more in this round than it now gets keeps the
    /// reason for that.
    pub(super) fn set(&mut self, key: &Key, amount: f64, cause: Cause) {
        let amount = amount.max(0.0);
        let before = self.claims.get(key).and_then(|claim| claim.before);
        let cause = match self.draft(key) {
            Some(draft) if before.is_some_and(|held| amount < held.amount) && cause.is_gain() => draft.cause.clone(),
            _ => cause,
        };
        self.pool.shift(key, amount - self.held(key));
        self.drafts.insert(key.clone(), Some(Draft { amount, cause }));
    }

    /// Whether `claim` holds less than it is to hold after this round.
    pub(super) fn lacks(&self, claim: &Claim<'_>) -> bool {
        let nothing = NOTHING * claim.capacity;
        claim.goal().is_some_and(|goal| goal - self.held(&claim.key) > nothing)
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
