//! A policy in words, as `foreshadow policy check` prints it.

use std::fmt::Write as _;

use shadow::Resource;

use super::{Class, PerResource, Policy, Strategy, window};

/// A line for each rule and class.
pub(super) fn of(policy: &Policy) -> String {
    let mut text = acting(policy);
    let (budget, safety) = (&policy.budget, &policy.safety);
    text += &format!(
        "At most {} changes a minute on a host and {} in the cell. Nothing is lowered while a sample is older than {}, \
         the brain runs for less than {}, a host has less than {} of history, or the p95 held less than {} of the \
         values; nothing is changed on a host that is silent for {}.\n",
        budget.host_per_minute,
        budget.cell_per_minute,
        span(safety.stale_after_ms),
        span(safety.settle_ms),
        span(safety.min_history_ms),
        percent(safety.min_coverage),
        span(safety.silent_after_ms),
    );
    if let Some(watts) = policy.cell.power_w {
        text += &format!("All hosts together may draw {watts} W.\n");
    }
    if let Some(rate) = policy.cell.network_bytes_per_s {
        text += &format!("All hosts together may send and receive {rate} bytes/s.\n");
    }
    for window in &policy.windows {
        let hosts = some(&window.hosts, "all hosts");
        let classes = some(&window.classes, "all classes");
        let (effect, when) = (window.effect.as_str(), window::words(window.when));
        text += &format!("Window {}: {effect}, {when}, {hosts}, {classes}.\n", window.name);
    }
    for spare in &policy.spares {
        let (boot, above) = (span(spare.boot_ms), percent(policy.wake.above));
        text += &format!(
            "Spare {}: woken {boot} before the need when p{:.0} of it is more than {above} of what the awake hosts have.\n",
            spare.host,
            policy.wake.quantile * 100.0
        );
    }
    for name in policy.class_names() {
        text += &class(name, policy.class(name).1);
    }
    text
}

fn acting(policy: &Policy) -> String {
    if !policy.act.is_any() {
        return "Recommend-only: no command changes anything.\n".to_owned();
    }
    let mut text = String::new();
    for (pattern, resources) in policy.act.rules() {
        let names: Vec<&str> = resources.iter().map(|resource| resource.as_str()).collect();
        text += &format!("Acts on hosts {pattern}: {}.\n", some_of(&names, "nothing"));
    }
    text + "All else is recommended only.\n"
}

fn class(name: &str, class: &Class) -> String {
    let mut text = format!("Class {name}: ");
    let looks_ahead = class.uses(Strategy::Preemptive) || class.uses(Strategy::Dynamic);
    let quantile = class.quantile * 100.0;
    if class.uses(Strategy::Preemptive) {
        let horizon = span(u64::from(class.horizon_s) * 1_000);
        text += &format!("reserves p{quantile:.0} of the next {horizon} before the need");
        if class.uses(Strategy::Dynamic) {
            text += ", or of the nearest forecast while that is not confident";
        }
    } else if looks_ahead {
        text += &format!("follows p{quantile:.0} of the nearest forecast");
    } else {
        text += "reserves what is used now";
    }
    let bounds = [("floor", class.floor), ("ceiling", class.ceiling)];
    write!(text, ", with {} on top", each(class.margin)).unwrap_or_default();
    for (what, share) in bounds {
        write!(text, "; {what} {}", each(share)).unwrap_or_default();
    }
    text += &format!(
        "; lowered by at most {} at a time, {} after its last change, at most {} times in {} after a rise",
        each(class.lower.slew),
        span(class.lower.dwell_ms),
        class.flap.most,
        span(class.flap.within_ms),
    );
    text += if class.uses(Strategy::Priority) {
        "; takes from the less critical, down to their floors"
    } else {
        "; takes from nobody and waits"
    };
    text + &format!("; overdue after {} in the queue.\n", span(class.deadline_ms))
}

/// `5 %`, or by resource where they differ.
fn each(shares: PerResource) -> String {
    let all = Resource::ALL.map(|resource| shares.of(resource));
    match all {
        [first, rest @ ..] if rest.iter().all(|share| share.to_bits() == first.to_bits()) => percent(first),
        _ => {
            let named = Resource::ALL.map(|resource| format!("{resource} {}", percent(shares.of(resource))));
            named.join(", ")
        }
    }
}

fn percent(share: f64) -> String {
    format!("{} %", (share * 1e4).round() / 100.0)
}

fn span(ms: u64) -> String {
    runtime::Span::from_secs(ms.div_ceil(1_000)).to_string()
}

fn some(names: &[String], all: &str) -> String {
    if names.is_empty() {
        all.to_owned()
    } else {
        names.join(", ")
    }
}

fn some_of(names: &[&str], nothing: &str) -> String {
    if names.is_empty() {
        nothing.to_owned()
    } else {
        names.join(", ")
    }
}
