//! What a round comes to: the plan, with every change explained and every need that is not met.

use std::collections::BTreeMap;

use shadow::{Change, UnixMs};

use super::{
    Plan, Request, Throttled, Unmet, budget,
    claim::{Claim, changed_at},
    draft::{Cause, Draft},
    explain, priority,
    round::Round,
    state::{Key, State},
};

impl Round<'_> {
    /// The plan, with every change explained.
    pub(super) fn close(mut self) -> Plan {
        self.recount();
        let queue = self.queue();
        for request in &queue {
            self.pool.enqueue(&request.key);
        }
        Plan {
            time_ms: self.inputs.now_ms,
            changes: self.changes(),
            throttled: self.throttled(),
            unmet: self.unmet(),
            pool: self.pool.accounts().cloned().collect(),
            state: self.state(&queue),
            queue,
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
                    ceiling: None,
                });
            }
        }
        changes
    }

    fn queue(&self) -> Vec<Request> {
        let (state, now_ms) = (self.inputs.state, self.inputs.now_ms);
        let mut waiting: Vec<&Claim<'_>> = self.claims.values().filter(|claim| claim.lacks()).collect();
        waiting.sort_by_cached_key(|claim| priority::rank(claim, state, now_ms));
        let request = |claim: &Claim<'_>| Request {
            key: claim.key.clone(),
            criticality: claim.criticality,
            since_ms: state
                .waiting
                .get(&claim.key)
                .map_or(now_ms, |since| *since.min(&now_ms)),
            wanted: claim.ask.as_ref().map_or(0.0, |ask| ask.wanted),
            held: claim.held(),
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
        unmet.collect()
    }

    fn state(&self, queue: &[Request]) -> State {
        let now_ms = self.inputs.now_ms;
        let mut changed = budget::recent(&self.inputs.state.changed, now_ms);
        let mut reservations = self.others.clone();
        for claim in self.claims.values() {
            let draft = claim.draft.as_ref().map(|draft| changed_at(draft.amount, now_ms));
            if draft.is_some() {
                changed.entry(claim.key.host.clone()).or_default().push(now_ms);
            }
            reservations.extend(draft.or(claim.before).map(|held| (claim.key.clone(), held)));
        }
        let waiting: BTreeMap<Key, UnixMs> = queue.iter().map(|r| (r.key.clone(), r.since_ms)).collect();
        State {
            reservations,
            waiting,
            changed,
        }
    }
}
