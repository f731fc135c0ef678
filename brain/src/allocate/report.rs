//! What a round comes to: the plan, with every change explained and every need that is not met.

use std::collections::{BTreeMap, BTreeSet};

use shadow::{Change, UnixMs};

use super::{
    Plan, Request, Throttled, Unmet, budget,
    claim::{Claim, changed_at},
    draft::{Cause, Draft},
    explain, priority,
    round::Round,
    state::{Key, Reservation, State, Turn},
    walk::shared,
};

impl Round<'_> {
    /// The plan, with every change explained.
    pub(super) fn close(mut self) -> Plan {
        self.recount();
        let queue = self.queue();
        for request in &queue {
            self.pool.enqueue(&request.key);
        }
        let spare = self.claims.values().filter_map(reclaimable);
        self.pool.each(spare, |account, amount| account.reclaimable += amount);
        let unmet = self.unmet();
        self.release();
        Plan {
            time_ms: self.inputs.now_ms,
            changes: self.changes(),
            only_told: self.only_told(),
            held_back: self.held_back(),
            asking: self.asking(),
            changes_left: self.budget.left_in_cell(),
            wakes: self.waking.wakes.clone(),
            throttled: self.throttled(),
            unmet,
            state: self.state(&queue),
            queue,
            pool: self.pool.into_accounts(),
        }
    }

    fn changes(&self) -> BTreeMap<String, Vec<Change>> {
        let mut changes: BTreeMap<String, Vec<Change>> = BTreeMap::new();
        for claim in self.claims.values() {
            if let Some(draft) = claim.draft.as_ref() {
                let own = changes.entry(claim.key.host.clone()).or_default();
                own.push(Change {
                    workload: claim.key.workload.clone(),
                    resource: claim.key.resource,
                    before: claim.before.map(|held| held.amount),
                    target: draft.amount,
                    explanation: explain::change(claim, draft),
                    ceiling: self.ceiling(claim, draft.amount),
                });
            }
        }
        changes
    }

    /// Up to where the agent of `claim` may raise by itself what it holds: its part of what is free on the host. What the
    /// cell shares is raised by the brain alone.
    fn ceiling(&self, claim: &Claim<'_>, held: f64) -> Option<f64> {
        let (host, resource) = (claim.key.host.as_str(), claim.key.resource);
        if self.pool.is_shared(resource) {
            return None;
        }
        let holders = self.holders(Some(host), resource).count().max(1);
        let most = claim.class.ceiling.of(resource) * claim.capacity;
        let ceiling = (held + self.pool.free_on_host(&claim.key) / holders as f64).min(most);
        (ceiling > held).then_some(ceiling)
    }

    /// What must not be put into force: an agent that holds nothing yet would take away what was not limited before, and
    /// something says that nothing may be taken.
    fn only_told(&self) -> BTreeSet<Key> {
        let drafts = self.claims.values().filter(|claim| claim.draft.is_some());
        let doubted = drafts.filter(|claim| claim.held_by.is_some());
        let doubted = doubted.filter(|claim| !self.inputs.state.is_leased(&claim.key));
        doubted.map(|claim| claim.key.clone()).collect()
    }

    /// What [`Round::adopt`] does not put into force, for there is doubt.
    fn held_back(&self) -> BTreeMap<Key, String> {
        let (state, act) = (self.inputs.state, &self.inputs.policy.act);
        let acts = |claim: &&Claim<'_>| act.is_on(&claim.key.host, claim.key.resource);
        let holds = |claim: &&Claim<'_>| claim.held() > 0.0 && !state.is_leased(&claim.key);
        let held = self.claims.values().filter(|claim| claim.held_by.is_some());
        held.filter(acts)
            .filter(holds)
            .filter_map(|claim| Some((claim.key.clone(), claim.held_by.clone()?)))
            .collect()
    }

    fn queue(&self) -> Vec<Request> {
        let inputs = self.inputs;
        let mut waiting: Vec<&Claim<'_>> = self.claims.values().filter(|claim| claim.lacks()).collect();
        waiting.sort_by_cached_key(|claim| priority::rank(claim, &inputs));
        let request = |claim: &Claim<'_>| {
            let since_ms = priority::waits_since(&claim.key, inputs.state, inputs.now_ms);
            Request {
                key: claim.key.clone(),
                criticality: claim.criticality,
                since_ms,
                deadline_ms: priority::deadline(claim, since_ms),
                wanted: claim.ask.as_ref().map_or(0.0, |ask| ask.wanted),
                held: claim.held(),
            }
        };
        waiting.into_iter().map(request).collect()
    }

    fn throttled(&self) -> Vec<Throttled> {
        let throttled = self.claims.values().filter_map(|claim| {
            let Draft { amount, cause } = claim.draft.as_ref()?;
            let Cause::Throttled { by } = cause else {
                return None;
            };
            Some(Throttled {
                key: claim.key.clone(),
                before: claim.before.map_or(0.0, |held| held.amount),
                after: *amount,
                wanted: claim.ask.as_ref()?.wanted,
                by: by.clone(),
            })
        });
        throttled.collect()
    }

    fn unmet(&self) -> Vec<Unmet> {
        let unmet = self.claims.values().filter_map(|claim| {
            let ask = claim.ask.as_ref()?;
            let held = claim.held();
            let text = if let Some(why) = &claim.rests {
                if ask.wanted <= held {
                    return None;
                }
                explain::resting(claim, ask, held, why)
            } else if claim.lacks() {
                explain::queued(claim, ask, held, self)
            } else if ask.needed > ask.wanted {
                explain::beyond(claim, ask)
            } else {
                return None;
            };
            Some(Unmet {
                key: claim.key.clone(),
                needed: ask.needed,
                held,
                text,
            })
        });
        unmet.chain(self.waking.unmet.iter().cloned()).collect()
    }

    fn state(&self, queue: &[Request]) -> State {
        let now_ms = self.inputs.now_ms;
        let mut changed = budget::recent(&self.inputs.state.changed, now_ms);
        for claim in self.claims.values().filter(|claim| claim.draft.is_some()) {
            changed.entry(claim.key.host.clone()).or_default().push(now_ms);
        }
        let held = self.claims.values().filter_map(|claim| {
            let draft = claim.draft.as_ref().map(|draft| changed_at(draft.amount, now_ms));
            Some((claim.key.clone(), draft.or(claim.before)?))
        });
        let reservations: BTreeMap<Key, Reservation> = held.chain(self.others.clone()).collect();
        let waiting: BTreeMap<Key, UnixMs> = queue.iter().map(|r| (r.key.clone(), r.since_ms)).collect();
        State {
            turns: self.turns(&reservations),
            pending: self.pending(&reservations),
            leases: shared(&self.inputs.state.leases, &reservations),
            waking: self.waking.under_way.clone(),
            reservations,
            waiting,
            changed,
        }
    }

    /// Which way reservations have gone. What there is too little of is no to and fro.
    fn turns(&self, reservations: &BTreeMap<Key, Reservation>) -> BTreeMap<Key, Turn> {
        let mut turns = shared(&self.inputs.state.turns, reservations);
        for claim in self.claims.values() {
            let (Some(draft), Some(before)) = (&claim.draft, claim.before) else {
                continue;
            };
            if draft.cause == Cause::Corrected {
                continue;
            }
            if draft.amount > before.amount {
                turns.entry(claim.key.clone()).or_default().rise();
            } else if draft.amount < before.amount {
                turns.entry(claim.key.clone()).or_default().fall(self.inputs.now_ms);
            }
        }
        turns
    }

    /// What agents may still hold of what the cell shares, until they answer. An agent that holds nothing is not waited
    /// for for ever.
    fn pending(&self, reservations: &BTreeMap<Key, Reservation>) -> BTreeMap<Key, Reservation> {
        let now_ms = self.inputs.now_ms;
        let mut pending = BTreeMap::new();
        for (key, held) in reservations.iter().filter(|(key, _)| self.pool.is_shared(key.resource)) {
            let known = self.inputs.state.pending.get(key);
            let is_old = known.is_some_and(|known| now_ms.saturating_sub(known.since_ms) > PENDING_MS);
            let may_hold = self.may_hold(key);
            // What is known stays though more is promised now: that may be refused.
            let is_news = known.is_some() || may_hold > held.amount;
            if !is_news || (is_old && !self.inputs.state.is_leased(key)) {
                continue;
            }
            let before = self
                .claims
                .get(key)
                .and_then(|claim| claim.before)
                .map_or(0.0, |held| held.amount);
            let may_hold = known.map_or(0.0, |known| known.amount).max(before);
            let since_ms = known.map_or(now_ms, |known| known.since_ms);
            pending.insert(
                key.clone(),
                Reservation {
                    amount: may_hold,
                    since_ms,
                },
            );
        }
        pending
    }
}

/// How long an agent that holds nothing is waited for.
const PENDING_MS: i64 = 600_000;

/// What `claim` holds, does not ask for, and may be taken back from it.
fn reclaimable<'c>(claim: &'c Claim<'_>) -> Option<(&'c Key, f64)> {
    let ask = claim.ask.as_ref().filter(|_| claim.held_by.is_none())?;
    let spare = claim.held() - ask.wanted.max(claim.floor());
    (spare > 0.0).then_some((&claim.key, spare))
}
