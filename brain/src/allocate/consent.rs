//! What is changed by somebody's word alone: what a plan would propose, what open proposals reserve, and whether one that is
//! approved still fits.

use std::{cmp::Reverse, collections::BTreeSet};

use shadow::{Change, UnixMs};

use crate::policy::Class;

use super::{
    Inputs,
    claim::{Claim, changed_at},
    contention::NOTHING,
    draft::Cause,
    explain::amount,
    round::Round,
    state::{Key, Reservation, State, is_same},
};

/// Why a reservation is neither lowered nor given away by a plan.
pub(super) const AWAITED: &str = "it is changed by approval alone";

/// What of a plan waits for somebody's word.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Asking {
    /// Changes of the plan that could be made now, of the most critical first.
    pub wanted: Vec<Key>,
    /// Who may be changed now, and needs no change. Who is in neither is held back by something, or not heard of.
    pub content: BTreeSet<Key>,
}

/// What `key` reserves until somebody says so; `None` where it needs nobody's word in this plan.
pub(super) fn reserves(inputs: &Inputs<'_>, key: &Key, class: &Class, before: Option<Reservation>) -> Option<f64> {
    let open = inputs.proposed?;
    let held = before.map_or(0.0, |held| held.amount);
    let most = open.get(key).map_or(held, |target| target.max(held));
    inputs.policy.asks(&key.host, key.resource, class).then_some(most)
}

impl Round<'_> {
    /// What open proposals reserve is in the accounts by now, and it is promised to nobody: of those whose word is awaited
    /// only what there is no more is taken back.
    pub(super) fn release(&mut self) {
        for claim in self.claims.values_mut().filter(|claim| claim.reserves.is_some()) {
            let before = claim.before.map_or(0.0, |held| held.amount);
            if let Some(draft) = claim.draft.take_if(|draft| draft.cause != Cause::Corrected) {
                self.pool.propose(&claim.key, (draft.amount - before).max(0.0));
            }
        }
    }

    /// What is to be proposed, in a plan that takes everybody to agree.
    pub(super) fn asking(&self) -> Asking {
        let mut asking = Asking::default();
        if self.inputs.proposed.is_some() {
            return asking;
        }
        let policy = self.inputs.policy;
        let asks = |claim: &&Claim<'_>| policy.asks(&claim.key.host, claim.key.resource, claim.class);
        let mut wanted: Vec<&Claim<'_>> = Vec::new();
        for claim in self.claims.values().filter(asks) {
            let may_change = claim.held_by.is_none() || self.inputs.state.is_leased(&claim.key);
            match &claim.draft {
                // What there is no more is taken back without asking.
                Some(draft) if draft.cause == Cause::Corrected => {}
                Some(_) if may_change => wanted.push(claim),
                None if claim.held_by.is_none() => drop(asking.content.insert(claim.key.clone())),
                Some(_) | None => {}
            }
        }
        wanted.sort_by_key(|claim| Reverse(claim.criticality));
        asking.wanted = wanted.into_iter().map(|claim| claim.key.clone()).collect();
        asking
    }
}

/// What is promised once `change` of `host`, as it was proposed and approved, is made; or why it cannot be made now. Nothing
/// is taken from others for it.
///
/// # Errors
/// In words: what holds it back, or what is too little.
pub fn admit(inputs: &Inputs<'_>, host: &str, change: &Change) -> Result<State, String> {
    let key = Key::new(host, &change.workload, change.resource);
    let round = Round::open(&Inputs {
        proposed: None,
        ..*inputs
    });
    let claim = round.claims.get(&key);
    let claim = claim.ok_or("nothing is known of it now: its host is silent, or it is there no more")?;
    if !inputs.policy.asks(host, change.resource, claim.class) {
        return Err("the policy no longer has it changed by approval".to_owned());
    }
    fits(&round, claim, change)?;
    let is_shared = round.pool.is_shared(key.resource);
    let mut state = inputs.state.clone();
    state.approved(&key, change.target, (inputs.now_ms, is_shared));
    Ok(state)
}

fn fits(round: &Round<'_>, claim: &Claim<'_>, change: &Change) -> Result<(), String> {
    let resource = change.resource;
    let said = |value: f64| amount(resource, value);
    let held = claim.before.map(|held| held.amount);
    let begins = match (held, change.before) {
        (Some(held), Some(before)) => is_same(held, before),
        (held, before) => held.is_none() && before.is_none(),
    };
    if !begins {
        let held = held.map_or_else(|| "nothing".to_owned(), said);
        return Err(format!("it holds {held} by now, which is not what was to be changed"));
    }
    if let Some(why) = &claim.rests {
        return Err(why.clone());
    }
    // A first limit takes something away, as a lower one does.
    let takes = held.is_some_and(|held| change.target < held) || !round.inputs.state.is_leased(&claim.key);
    if let Some(why) = claim.held_by.as_ref().filter(|_| takes) {
        return Err(why.clone());
    }
    let rounding = NOTHING * claim.capacity;
    let most = claim.class.ceiling.of(resource) * claim.capacity;
    if change.target > most + rounding {
        return Err(format!("{} is the most that it may hold now", said(most)));
    }
    if takes && change.target < claim.floor().min(held.unwrap_or(f64::INFINITY)) - rounding {
        return Err(format!("{} is the floor of its class now", said(claim.floor())));
    }
    let (lacks, free) = (change.target - held.unwrap_or(0.0), round.pool.free(&claim.key));
    if lacks > free + rounding {
        return Err(format!(
            "{} are free and {} are needed: approve first what others are to give, or decline this",
            said(free),
            said(lacks)
        ));
    }
    if round.budget.left(&claim.key.host) == 0 {
        return Err("the changes of this minute are used up: ask again in a minute".to_owned());
    }
    Ok(())
}

impl State {
    /// `key` holds `target` from now on, because somebody has said so.
    fn approved(&mut self, key: &Key, target: f64, (now_ms, is_shared): (UnixMs, bool)) {
        let before = self.reservations.insert(key.clone(), changed_at(target, now_ms));
        self.changed.entry(key.host.clone()).or_default().push(now_ms);
        self.waiting.remove(key);
        let Some(before) = before else { return };
        let turn = self.turns.entry(key.clone()).or_default();
        if target > before.amount {
            turn.rise();
        } else if target < before.amount {
            turn.fall(now_ms);
        }
        // Until its agent has answered it may hold what it held.
        let known = self.pending.get(key).copied();
        if is_shared && (known.is_some() || target < before.amount) {
            let known = known.unwrap_or(changed_at(before.amount, now_ms));
            let amount = known.amount.max(before.amount);
            self.pending.insert(key.clone(), Reservation { amount, ..known });
        }
    }
}
