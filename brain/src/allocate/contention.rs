//! Contention: what to do when the pool lacks what is asked for.

use std::cmp::Reverse;

use super::{bounds::Step, claim::Claim, draft::Cause, pool::Account, priority, round::Round, state::Key};

/// What counts as nothing, as a share of the host: rounding.
pub(super) const NOTHING: f64 = 1e-9;

/// Others are not troubled for less than this share of the host.
const WORTH_A_CHANGE: f64 = 0.001;

/// How much is asked of a donor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    /// What it holds and does not ask for.
    Unused,
    /// What it asks for too, down to its floor.
    Throttle,
}

/// Gives `key` what it lacks to hold `goal`: from what is free, then from what others hold and do not need, then, if
/// its class has `priority`, from what less critical ones need, down to their floors. What it gets may be less; what other
/// hosts of the cell give is got in a later round, once they have answered that it is theirs no more.
pub(super) fn acquire(round: &mut Round<'_>, key: &Key, goal: f64) {
    let Some(claim) = round.claims.get(key) else {
        return;
    };
    let nothing = NOTHING * claim.capacity;
    if round.is_beyond_budget(key) {
        return;
    }
    // Counted first, so that the donors do not use up the last change.
    round.count(key);
    let free = round.pool.free(key).min(goal - round.held(key));
    let mut from = Vec::new();
    // What hosts of the cell have given back already is on its way: it is waited for, and not asked for again.
    let mut on_its_way = lacks(round, key, goal).max(0.0).min(round.unclaimed(key.resource));
    round.wait_for(key, ("others", on_its_way));
    for taking in [Taking::Unused, Taking::Throttle] {
        // To look for donors is to look at all of the cell: not where nothing lacks.
        if lacks(round, key, goal) - on_its_way <= nothing {
            break;
        }
        for donor in donors(round, key, taking) {
            let lacks = lacks(round, key, goal) - on_its_way;
            if lacks <= nothing {
                break;
            }
            match take(round, key, &donor, taking, lacks) {
                // It comes when that host has answered, and until then this claim waits for it.
                Some((name, amount)) if donor.host != key.host => {
                    round.wait_for(key, (&name, amount));
                    on_its_way += amount;
                }
                gave => from.extend(gave),
            }
        }
    }
    let got = round.pool.free(key).min(goal - round.held(key));
    if got > nothing {
        let amount = round.held(key) + got;
        round.set(key, amount, Cause::Raised { free, from });
    } else {
        round.uncount(key);
    }
}

/// What `key` lacks to hold `goal` after all that is free.
fn lacks(round: &Round<'_>, key: &Key, goal: f64) -> f64 {
    goal - round.held(key) - round.pool.free(key)
}

/// Who could give to `key`, in the order in which they are asked: on its host, or in the cell where that is short.
fn donors(round: &Round<'_>, key: &Key, taking: Taking) -> Vec<Key> {
    let Some(taker) = round.claims.get(key) else {
        return Vec::new();
    };
    let lacks = taker.goal().unwrap_or(0.0) - taker.held();
    let host = (round.pool.free_on_host(key) < lacks).then_some(key.host.as_str());
    let mut donors: Vec<&Claim<'_>> = round
        .holders(host, key.resource)
        .filter(|donor| donor.key != *key)
        .filter(|donor| spare(taker, donor, taking) > WORTH_A_CHANGE * donor.capacity)
        .collect();
    donors.sort_by_key(|donor| priority::donor_rank(donor));
    donors.into_iter().map(|donor| donor.key.clone()).collect()
}

/// What `donor` can give to `taker`.
fn spare(taker: &Claim<'_>, donor: &Claim<'_>, taking: Taking) -> f64 {
    let (Some(ask), None) = (&donor.ask, &donor.held_by) else {
        return 0.0;
    };
    let held = donor.held();
    let less_critical = donor.criticality < taker.criticality;
    match (taking, donor.step) {
        (Taking::Throttle, _) if priority::may_throttle(taker, donor) => held - donor.floor(),
        // Dwell and slew are there to calm what nobody waits for; someone more critical waits.
        (Taking::Unused, _) if less_critical && !donor.damping.is_used_up => held - ask.wanted.max(donor.floor()),
        (Taking::Unused, Step::Lower { to, .. }) => held - to,
        (Taking::Throttle, _) | (Taking::Unused, Step::Keep | Step::Raise { .. }) => 0.0,
    }
}

/// Takes at most `lacks` from `donor`; tells from whom and how much.
fn take(round: &mut Round<'_>, key: &Key, donor: &Key, taking: Taking, lacks: f64) -> Option<(String, f64)> {
    if round.is_beyond_budget(donor) {
        return None;
    }
    let (taker, giver) = (round.claims.get(key)?, round.claims.get(donor)?);
    let amount = spare(taker, giver, taking).min(lacks);
    if amount <= 0.0 {
        return None;
    }
    let mut by = giver
        .draft
        .as_ref()
        .map_or(Vec::new(), |draft| draft.cause.takers().to_vec());
    by.push(taker.label().to_owned());
    let from = giver.label().to_owned();
    let cause = match taking {
        Taking::Unused => Cause::Reclaimed { by },
        Taking::Throttle => Cause::Throttled { by },
    };
    let left = giver.held() - amount;
    round.count(donor);
    round.set(donor, left, cause);
    Some((from, amount))
}

/// Where more is promised than there is (a host lost memory, a limit was tightened), takes it back: from the least
/// critical down to their floors, then from all alike. This is no decision of the policy, so no budget and no dwell
/// delays it.
///
/// It is done the other way round: floors are filled first, then the rest of the most critical, for as long as there
/// is something. So only amounts within the capacity are ever subtracted, however large a promise was.
pub(super) fn correct(round: &mut Round<'_>) {
    let over: Vec<Account> = round
        .pool
        .accounts()
        .filter(|account| account.excess() > NOTHING * account.capacity)
        .cloned()
        .collect();
    if over.is_empty() {
        return;
    }
    for account in over {
        let host = account.host.as_deref();
        let mut holders: Vec<&Claim<'_>> = round.holders(host, account.resource).collect();
        holders.sort_by_key(|claim| Reverse(priority::donor_rank(claim)));
        let promises: Vec<Promise> = holders.into_iter().map(promise).collect();
        let there_is = account.capacity - round.promised_elsewhere(host, account.resource);
        fill(round, &promises, there_is.max(0.0));
    }
    round.recount();
}

/// What a claim holds before a correction.
struct Promise {
    key: Key,
    held: f64,
    /// What of it its floor guarantees.
    floor: f64,
}

fn promise(claim: &Claim<'_>) -> Promise {
    let held = claim.held();
    Promise {
        key: claim.key.clone(),
        held,
        floor: claim.floor().min(held),
    }
}

/// Shares what `there_is` among `promises`, the most critical first.
fn fill(round: &mut Round<'_>, promises: &[Promise], there_is: f64) {
    let floors: f64 = promises.iter().map(|promise| promise.floor).sum();
    let share = if floors > there_is { there_is / floors } else { 1.0 };
    let mut left = (there_is - floors).max(0.0);
    for promise in promises {
        let more = (promise.held - promise.floor).min(left);
        left -= more;
        let amount = promise.floor * share + more;
        if amount < promise.held * (1.0 - NOTHING) {
            round.count(&promise.key);
            round.set(&promise.key, amount, Cause::Corrected);
        }
    }
}
