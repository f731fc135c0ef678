//! Plans in plain words, with their numbers.

use limits::Decision;
use shadow::{Explanation, Resource};

use super::{
    ask::{Ask, Pick},
    bounds::Step,
    claim::Claim,
    draft::{Cause, Draft},
    priority,
    round::Round,
    state::Key,
};

/// The amount of `resource` as people write it: `1.8 cores`, `1.2 GiB`, `3.4 MB/s`, `45 W`.
pub fn amount(resource: Resource, value: f64) -> String {
    match resource {
        Resource::Cpu => format!("{} cores", short(value)),
        Resource::Memory => scaled(value, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB"]),
        Resource::Network | Resource::Disk => scaled(value, 1000.0, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]),
        Resource::Power => format!("{} W", short(value)),
    }
}

fn scaled(value: f64, base: f64, units: [&str; 5]) -> String {
    let mut value = value;
    let mut text = String::new();
    for unit in units {
        text = format!("{} {unit}", short(value));
        if value.abs() < base {
            break;
        }
        value /= base;
    }
    text
}

/// Three digits that mean something, no trailing zeros.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A pick that was not taken.
pub(super) fn alternative(pick: &Pick, resource: Resource) -> String {
    let strategy = pick.strategy.as_str();
    format!("{strategy}: {}", source(pick, resource))
}

/// The cheapest rule that was not taken, with what it would set and cost.
fn next_best(decision: &Decision, resource: Resource, capacity: f64) -> String {
    let Decision { chosen, runner_up, .. } = decision;
    format!(
        "{}: {} of the host, {:.4} of it an interval in all instead of {:.4}",
        runner_up.rule,
        amount(resource, runner_up.limit * capacity),
        runner_up.cost,
        chosen.cost
    )
}

/// Which rule the books have chosen, what it has cost lately, and at which prices; of a mean of several, that of the one in use.
fn by_books(decision: &Decision) -> String {
    let book = decision.chosen.book;
    let (mean, alone) = if decision.averaged > 1 {
        let mean = format!("the mean of {} rules that cost nearly as little as ", decision.averaged);
        (mean, ", which alone had ")
    } else {
        (String::new(), "; ")
    };
    format!(
        "by its books ({mean}{}{alone}lately {:.1} % of the host spare, {:.2} % of the time too little, {:.1} changes a day; a violated \
         interval is priced at {:.2} hosts, a change at {:.3})",
        decision.chosen.rule,
        book.slack * 100.0,
        book.violations * 100.0,
        book.changes * 288.0,
        decision.price_of_violation,
        decision.price_of_change
    )
}

/// Why `claim` is changed as `draft` says.
pub(super) fn change(claim: &Claim<'_>, draft: &Draft) -> Explanation {
    let clamp = clamp(claim, draft);
    let rejected = rejected(claim, draft);
    let text = format!("{}{}", moved(claim, draft), because(claim, draft, clamp));
    let Some(ask) = &claim.ask else {
        return Explanation {
            strategy: "priority".to_owned(),
            text,
            clamp: clamp.to_owned(),
            ..Explanation::default()
        };
    };
    let strategy = match draft.cause {
        Cause::Raised { .. } | Cause::Lowered | Cause::Adopted => ask.pick.strategy.as_str(),
        Cause::Reclaimed { .. } | Cause::Throttled { .. } | Cause::Corrected => "priority",
    };
    let rung = match &ask.pick.booked {
        Some(_) => "books",
        None => ask.pick.rung.map_or("present", shadow::Rung::as_str),
    };
    Explanation {
        strategy: strategy.to_owned(),
        text,
        quantile: ask.pick.quantile,
        forecast: ask.pick.forecast,
        margin: ask.margin,
        horizon_s: ask.pick.horizon_s,
        rung: rung.to_owned(),
        clamp: clamp.to_owned(),
        rejected,
        coverage: ask.pick.coverage.filter(|coverage| coverage.is_finite()),
        used: ask.used,
        wanted: Some(ask.wanted),
        learnt: ask.margin - claim.class.margin.of(claim.key.resource),
        turns: claim.damping.falls,
    }
}

/// Which need waits, and why.
pub(super) fn queued(claim: &Claim<'_>, ask: &Ask, held: f64, round: &Round<'_>) -> String {
    let resource = claim.key.resource;
    let head = format!(
        "{} asks for {} and holds {}",
        subject(claim),
        amount(resource, ask.wanted),
        amount(resource, held)
    );
    if round.budget.left(&claim.key.host) == 0 {
        return format!("{head}; the changes of this minute are used up, it waits for the next");
    }
    if let Some(from) = round.awaited.get(&claim.key) {
        let each = from
            .iter()
            .map(|(name, awaited)| format!("{} from {name}", amount(resource, *awaited)));
        let each: Vec<String> = each.collect();
        return format!(
            "{head}; on the way, until their agents have answered: {}",
            each.join(", ")
        );
    }
    let free = amount(resource, round.pool.free(&claim.key));
    let since_ms = priority::waits_since(&claim.key, round.inputs.state, round.inputs.now_ms);
    let over_ms = round.inputs.now_ms.saturating_sub(priority::deadline(claim, since_ms));
    let overdue = if over_ms > 0 {
        format!(", {} min past its deadline", short(over_ms as f64 / 60_000.0))
    } else {
        String::new()
    };
    format!(
        "{head}; {free} are free and nothing more may be taken from others: it waits at criticality {}{overdue}. \
         Move a workload away, or add capacity",
        claim.criticality
    )
}

/// A need that is left alone, because its agent does not meet it.
pub(super) fn resting(claim: &Claim<'_>, ask: &Ask, held: f64, why: &str) -> String {
    let resource = claim.key.resource;
    let (wanted, held) = (amount(resource, ask.wanted), amount(resource, held));
    format!(
        "{} asks for {wanted} and holds {held}; it is left alone for a while: {why}",
        subject(claim)
    )
}

/// A need that its bounds do not let be met.
pub(super) fn beyond(claim: &Claim<'_>, ask: &Ask) -> String {
    let resource = claim.key.resource;
    let (needed, most) = (amount(resource, ask.needed), amount(resource, ask.wanted));
    let subject = subject(claim);
    match ask.clamp {
        "ceiling" => {
            format!("{subject} needs {needed}; the ceiling of its class is {most}: raise it, or move the workload")
        }
        _ => format!("{subject} needs {needed}; the host has {most}: move a workload away, or add capacity"),
    }
}

fn subject(claim: &Claim<'_>) -> String {
    let resource = claim.key.resource;
    let Key { host, workload, .. } = &claim.key;
    if claim.is_whole() {
        format!("{resource} of {host}")
    } else {
        format!("{resource} of {workload} on {host}")
    }
}

/// `cpu of web on edge-1 from 1.2 to 1.8 cores`.
fn moved(claim: &Claim<'_>, draft: &Draft) -> String {
    let resource = claim.key.resource;
    let to = amount(resource, draft.amount);
    let subject = subject(claim);
    match claim.before {
        Some(held) => format!("{subject} from {} to {to}: ", amount(resource, held.amount)),
        None => format!("{subject}, first reservation of {to}: "),
    }
}

fn because(claim: &Claim<'_>, draft: &Draft, clamp: &str) -> String {
    let Some(ask) = &claim.ask else {
        return format!("more was promised than {} has", claim.key.host);
    };
    let resource = claim.key.resource;
    let asked = asked(claim, ask);
    match &draft.cause {
        Cause::Raised { free, from } => {
            let given = given(*free, from, resource);
            format!("{asked}{}{given}", bound(clamp))
        }
        Cause::Lowered => format!("{asked}; the rest is spare{}", bound(clamp)),
        Cause::Reclaimed { by } => format!("{asked}; the rest is spare, and {} needs it", by.join(", ")),
        Cause::Throttled { by } => format!(
            "{} is more critical than {} and the pool is empty; {asked}; its floor is {}",
            by.join(", "),
            claim.criticality,
            amount(resource, claim.floor())
        ),
        Cause::Corrected => format!("more was promised than there is; {asked}"),
        Cause::Adopted => format!("what was promised is put into force; {asked}"),
    }
}

/// `its p95 for 15 min ahead is 1.6 cores (lstm), with 10 % on top`.
fn asked(claim: &Claim<'_>, ask: &Ask) -> String {
    let resource = claim.key.resource;
    let learnt = claim
        .learnt
        .as_ref()
        .map_or(String::new(), |learnt| format!(" ({learnt})"));
    let source = source(&ask.pick, resource);
    let used = match ask.used {
        Some(used) if used > ask.pick.forecast => format!(", but it uses {} now", amount(resource, used)),
        _ => String::new(),
    };
    format!("{source}{used}, with {:.0} % on top{learnt}", ask.margin * 100.0)
}

fn source(pick: &Pick, resource: Resource) -> String {
    let forecast = amount(resource, pick.forecast);
    if let Some(booked) = &pick.booked {
        let whose = if booked.is_own {
            "for the peak that is forecast of itself, as its host's rule has it, "
        } else {
            ""
        };
        return format!("{forecast} are enough {whose}{}", by_books(&booked.decision));
    }
    match pick.rung {
        None => format!("it uses {forecast} now"),
        Some(rung) => format!(
            "p{:.0} for {} min ahead is {forecast} ({})",
            pick.quantile * 100.0,
            short(f64::from(pick.horizon_s) / 60.0),
            rung.as_str()
        ),
    }
}

fn bound(clamp: &str) -> String {
    match clamp {
        "" => String::new(),
        "slew" => ", in one step of those allowed".to_owned(),
        "hurt" => ", held where it was before a lowering hurt".to_owned(),
        "pool" => ", as far as the pool reaches".to_owned(),
        bound => format!(", held by the {bound}"),
    }
}

fn given(free: f64, from: &[(String, f64)], resource: Resource) -> String {
    if from.is_empty() {
        return String::new();
    }
    let others = from
        .iter()
        .map(|(name, given)| format!("{} from {name}", amount(resource, *given)));
    let others: Vec<String> = others.collect();
    format!("; {} were free, {}", amount(resource, free.max(0.0)), others.join(", "))
}

/// The bound that holds the new amount, or empty.
fn clamp(claim: &Claim<'_>, draft: &Draft) -> &'static str {
    let asked = claim.ask.as_ref().map_or("", |ask| ask.clamp);
    match (&draft.cause, claim.step) {
        (Cause::Raised { .. }, Step::Raise { to, .. }) if draft.amount < to * (1.0 - 1e-9) => "pool",
        (Cause::Raised { .. }, Step::Raise { clamp, .. }) | (Cause::Lowered, Step::Lower { clamp, .. }) => {
            if clamp.is_empty() { asked } else { clamp }
        }
        (Cause::Throttled { .. }, _) if draft.amount <= claim.floor() * (1.0 + 1e-9) => "floor",
        (Cause::Throttled { .. }, _) => "pool",
        (Cause::Corrected, _) => "capacity",
        _ => asked,
    }
}

fn rejected(claim: &Claim<'_>, draft: &Draft) -> String {
    let Some(ask) = &claim.ask else {
        return String::new();
    };
    let resource = claim.key.resource;
    let before = claim.before.map_or(0.0, |held| held.amount);
    let spare = amount(resource, (before - draft.amount).max(0.0));
    match (&draft.cause, claim.step) {
        (Cause::Lowered, Step::Lower { clamp: "slew", .. }) => {
            format!("lowering to {} at once", amount(resource, ask.wanted))
        }
        (Cause::Lowered | Cause::Reclaimed { .. }, _) => format!("keeping {spare} that are not needed"),
        (Cause::Throttled { by }, _) => format!("letting {} wait", by.join(", ")),
        _ => ask.pick.booked.map_or_else(
            || ask.rejected.clone(),
            |booked| next_best(&booked.decision, claim.key.resource, claim.capacity),
        ),
    }
}
