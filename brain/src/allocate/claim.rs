//! Claims: what each workload holds, asks for, and may do in this round.

use std::collections::BTreeMap;

use shadow::{HOST_WORKLOAD, Resource, UnixMs};

use crate::policy::{Class, Effect, HOST_CLASS, Window};

use super::{
    HostInput, Inputs, WorkloadInput,
    ask::{Ask, Booked, Ground, ask},
    bounds::{Stand, Step, clamp, step},
    consent,
    contention::NOTHING,
    draft::Draft,
    need::{self, Question, needs_of_workload},
    peaks,
    pool::capacity,
    state::{Damping, Key, Reservation},
    walk::Walk,
};

/// One workload's claim on one resource of its host.
#[derive(Debug, Clone)]
pub(super) struct Claim<'a> {
    pub(super) key: Key,
    pub(super) criticality: u8,
    pub(super) class: &'a Class,
    /// What the host has of it, above 0.
    pub(super) capacity: f64,
    /// What it holds before this plan.
    pub(super) before: Option<Reservation>,
    /// What it asks for; `None` when nothing is known of its need: then it keeps what it has.
    pub(super) ask: Option<Ask>,
    /// What it would do alone.
    pub(super) step: Step,
    /// How far it is held back from going to and fro.
    pub(super) damping: Damping,
    /// Why nothing of it may be taken; `None` when it may give.
    pub(super) held_by: Option<String>,
    /// It is changed by somebody's word alone, and reserves so much at most until then: what it holds, or what an open
    /// proposal would raise it to.
    pub(super) reserves: Option<f64>,
    /// Why it is left alone altogether: its agent did not do as asked lately, or a window says so.
    pub(super) rests: Option<String>,
    /// What feedback has put on top, in words.
    pub(super) learnt: Option<String>,
    /// The change that is decided on in this round.
    pub(super) draft: Option<Draft>,
    /// Whether a change of it has been counted against the budget.
    pub(super) is_counted: bool,
}

impl Claim<'_> {
    /// Its guaranteed floor, as an amount.
    pub(super) fn floor(&self) -> f64 {
        self.class.floor.of(self.key.resource) * self.capacity
    }

    /// What it holds as things stand in this round.
    pub(super) fn held(&self) -> f64 {
        let before = self.before.map_or(0.0, |held| held.amount);
        self.draft.as_ref().map_or(before, |draft| draft.amount)
    }

    /// Whether it holds less than it is to hold after this round.
    pub(super) fn lacks(&self) -> bool {
        self.goal()
            .is_some_and(|goal| goal - self.held() > NOTHING * self.capacity)
    }

    /// What it is to hold after this round: all that it asks for, or less where a slew slows it.
    /// `None` where its need is not known, and while it rests.
    pub(super) fn goal(&self) -> Option<f64> {
        let ask = self.ask.as_ref().filter(|_| self.rests.is_none())?;
        let before = self.before.map(|held| held.amount);
        let goal = match self.step {
            Step::Raise { to, .. } => to,
            Step::Keep | Step::Lower { .. } => before.map_or(ask.wanted, |held| held.min(ask.wanted)),
        };
        Some(self.reserves.map_or(goal, |most| goal.min(most)))
    }

    /// The name under which others speak of it.
    pub(super) fn label(&self) -> &str {
        if self.is_whole() {
            &self.key.host
        } else {
            &self.key.workload
        }
    }

    /// Whether it is of the host as a whole.
    pub(super) fn is_whole(&self) -> bool {
        self.key.workload == HOST_WORKLOAD
    }
}

/// Why nothing may be lowered on a host; `None` when it may.
pub(super) fn hold(inputs: &Inputs<'_>, host: &HostInput) -> Option<String> {
    let safety = &inputs.policy.safety;
    let running_ms = inputs.now_ms.saturating_sub(inputs.started_ms);
    let running_ms = u64::try_from(running_ms).unwrap_or(0);
    let age_ms = host.age_ms.unwrap_or(u64::MAX);
    if age_ms > safety.stale_after_ms {
        Some(format!("its newest sample is {} s old", age_ms / 1000))
    } else if running_ms < safety.settle_ms {
        Some(format!("the brain runs for {} s only", running_ms / 1000))
    } else if host.history_ms < safety.min_history_ms {
        Some(format!("it has {} s of history only", host.history_ms / 1000))
    } else {
        None
    }
}

/// Whether a host has been silent for so long that nothing of it is changed.
pub(super) fn is_silent(inputs: &Inputs<'_>, host: &HostInput) -> bool {
    host.age_ms
        .is_none_or(|age_ms| age_ms > inputs.policy.safety.silent_after_ms)
}

/// The claims of all hosts that are not silent, on all resources whose capacity is known.
pub(super) fn claims<'a>(inputs: &Inputs<'a>) -> BTreeMap<Key, Claim<'a>> {
    let mut claims = Vec::with_capacity(inputs.state.reservations.len());
    let mut held = Walk::new(&inputs.state.reservations);
    for (name, host) in inputs.hosts {
        if is_silent(inputs, host) {
            continue;
        }
        let hold = hold(inputs, host);
        let whole = whole(host);
        let subjects = subjects(host, &whole);
        let mut keys: Vec<(Key, &WorkloadInput)> = subjects
            .map(|(workload, resource, details)| (Key::new(name, workload, resource), details))
            .collect();
        keys.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (key, details) in keys {
            if let Some(capacity) = capacity(host, key.resource) {
                let place = Place {
                    host,
                    capacity,
                    before: held.find(&key).map(|held| **held),
                    hold: hold.as_deref(),
                };
                claims.push((key.clone(), claim(inputs, key, details, place)));
            }
        }
    }
    // In order, so that the map is made in one piece.
    claims.into_iter().collect()
}

/// A host as one workload, as critical as the most critical on it.
fn whole(host: &HostInput) -> WorkloadInput {
    WorkloadInput {
        criticality: host.workloads.values().map(|own| own.criticality).max().unwrap_or(0),
        class: HOST_CLASS.to_owned(),
        ..WorkloadInput::default()
    }
}

/// Everything that may hold something on `host`.
fn subjects<'h>(
    host: &'h HostInput,
    whole: &'h WorkloadInput,
) -> impl Iterator<Item = (&'h str, Resource, &'h WorkloadInput)> {
    let own = host.workloads.iter().flat_map(|(name, workload)| {
        [Resource::Cpu, Resource::Memory].map(|resource| (name.as_str(), resource, workload))
    });
    let as_a_whole = host.as_a_whole().iter();
    own.chain(as_a_whole.map(move |&resource| (HOST_WORKLOAD, resource, whole)))
}

/// Whether `key` names something that may hold a reservation on `host`.
pub(super) fn is_subject(host: &HostInput, key: &Key) -> bool {
    if host.as_a_whole().contains(&key.resource) {
        key.workload == HOST_WORKLOAD
    } else {
        host.workloads.contains_key(&key.workload)
    }
}

/// Where a claim stands.
#[derive(Clone, Copy)]
struct Place<'p> {
    host: &'p HostInput,
    capacity: f64,
    before: Option<Reservation>,
    hold: Option<&'p str>,
}

fn claim<'a>(inputs: &Inputs<'a>, key: Key, details: &WorkloadInput, place: Place<'_>) -> Claim<'a> {
    let Place { capacity, hold, .. } = place;
    let (name, class) = inputs.policy.class(&details.class);
    let window = inputs.policy.window(inputs.now_ms, &key.host, name);
    let before = place.before.filter(is_amount);
    let mut ask = ask_of(inputs, &key, place, class);
    let scar = inputs.feedback.least(&key, inputs.now_ms);
    if let (Some(ask), Some((least, _))) = (&mut ask, &scar) {
        spare(ask, clamp(*least, class, key.resource, capacity).0);
    }
    let damping = inputs
        .state
        .damping(&key, inputs.now_ms, (class.flap, class.lower.dwell_ms));
    let step = ask.as_ref().map_or(Step::Keep, |ask| {
        let stand = Stand {
            before,
            wanted: ask.wanted,
            class,
            resource: key.resource,
            capacity,
            now_ms: inputs.now_ms,
        };
        calmed(step(&stand), &stand, damping)
    });
    let still = window.filter(|window| window.effect == Effect::NoChange).map(told);
    let rests = still.or_else(|| inputs.feedback.rest(&key, inputs.now_ms));
    let held_by = match &ask {
        None => Some("its need is not known".to_owned()),
        Some(ask) => rests
            .clone()
            .or_else(|| window.map(told))
            .or_else(|| hold.map(str::to_owned))
            .or_else(|| ask.doubt.clone()),
    };
    let reserves = consent::reserves(inputs, &key, class, before);
    let held_by = held_by.or_else(|| reserves.map(|_| consent::AWAITED.to_owned()));
    let learnt = inputs
        .feedback
        .explain(&key)
        .into_iter()
        .chain(scar.map(|(_, said)| said));
    let learnt: Vec<String> = learnt.collect();
    let learnt = (!learnt.is_empty()).then(|| learnt.join("; "));
    Claim {
        key,
        criticality: details.criticality.min(100),
        class,
        capacity,
        before,
        ask,
        step,
        damping,
        held_by,
        reserves,
        rests,
        learnt,
        draft: None,
        is_counted: false,
    }
}

/// What hurt is not done again: no less than `least` is asked for.
fn spare(ask: &mut Ask, least: f64) {
    if ask.wanted < least {
        ask.wanted = least;
        ask.clamp = "hurt";
    }
}

/// Who goes to and fro waits longer before it falls, and at last does not.
fn calmed(step: Step, stand: &Stand<'_>, damping: Damping) -> Step {
    let stood_ms = stand
        .before
        .map_or(0, |held| stand.now_ms.saturating_sub(held.since_ms));
    let stood_ms = u64::try_from(stood_ms).unwrap_or(0);
    match step {
        Step::Lower { .. } if damping.is_used_up || stood_ms < damping.dwell_ms => Step::Keep,
        step => step,
    }
}

fn told(window: &Window) -> String {
    format!("the window {} allows {}", window.name, window.effect.as_str())
}

fn ask_of(inputs: &Inputs<'_>, key: &Key, place: Place<'_>, class: &Class) -> Option<Ask> {
    let measured = place.host.used(&key.workload, key.resource);
    let used = measured.filter(|used| used.is_finite() && *used >= 0.0)?;
    let own = key.workload != HOST_WORKLOAD;
    let oldest = i64::try_from(inputs.policy.safety.silent_after_ms).unwrap_or(i64::MAX);
    let question = Question {
        host: place.host,
        resource: key.resource,
        capacity: place.capacity,
        used: own.then_some(used),
        not_before_ms: inputs.now_ms.saturating_sub(oldest),
    };
    let workload = place.host.workloads.get(&key.workload).filter(|_| own);
    let needs = needs_of_workload(&question, workload.map_or(&[], |workload| &workload.forecasts));
    let decided = place.host.limits.get(key.resource.index()).copied().flatten();
    ask(
        &needs,
        &Ground {
            class,
            resource: key.resource,
            capacity: place.capacity,
            used: Some(used),
            booked: decided.map(|decision| {
                let peaks = workload.map_or(&[][..], |workload| &workload.peaks);
                let own = peaks::of_workload(&question, peaks, &decision, inputs.now_ms);
                Booked {
                    decision,
                    amount: own.unwrap_or_else(|| need::of_limit(&question, decision.limit)),
                    is_own: own.is_some(),
                }
            }),
            learnt: inputs.feedback.margin(key),
            min_coverage: inputs.policy.safety.min_coverage,
        },
    )
}

/// Whether `key`, which holds `held`, asks on what is known now for so much more that it would be raised. Not of what its agent
/// does not raise, or nobody may change.
pub(super) fn is_short(inputs: &Inputs<'_>, key: &Key, held: &Reservation) -> Option<bool> {
    let host = inputs.hosts.get(&key.host).filter(|host| !is_silent(inputs, host))?;
    let capacity = host.capacity.of(key.resource).filter(|capacity| *capacity > 0.0)?;
    let named = match host.workloads.get(&key.workload) {
        Some(workload) => workload.class.as_str(),
        None => HOST_CLASS,
    };
    let (name, class) = inputs.policy.class(named);
    let window = inputs.policy.window(inputs.now_ms, &key.host, name);
    if window.is_some_and(|window| window.effect == Effect::NoChange)
        || inputs.feedback.rest(key, inputs.now_ms).is_some()
    {
        return Some(false);
    }
    let place = Place {
        host,
        capacity,
        before: Some(*held),
        hold: None,
    };
    let ask = ask_of(inputs, key, place, class)?;
    Some(ask.wanted - held.amount > class.raise.hysteresis.of(key.resource) * capacity)
}

/// Whether a stored reservation can be believed.
pub(super) fn is_amount(held: &Reservation) -> bool {
    held.amount.is_finite() && held.amount >= 0.0
}

/// When a reservation that changes now has last changed.
pub(super) const fn changed_at(amount: f64, now_ms: UnixMs) -> Reservation {
    Reservation {
        amount,
        since_ms: now_ms,
    }
}
