//! A policy in words, as `foreshadow policy check` prints it.

use shadow::Resource;

use super::{Class, Mode, PerResource, Policy, Strategy, window};

/// A line for each rule and class.
pub(super) fn of(policy: &Policy) -> String {
    let mut lines = acting(policy);
    lines.push(safety(policy));
    lines.push(limits(policy));
    if let Some(watts) = policy.cell.power_w {
        lines.push(format!("All hosts together may draw {watts} W."));
    }
    if let Some(rate) = policy.cell.network_bytes_per_s {
        lines.push(format!("All hosts together may send and receive {rate} bytes/s."));
    }
    lines.extend(policy.windows.iter().map(|window| {
        let hosts = some(&window.hosts, "all hosts");
        let classes = some(&window.classes, "all classes");
        let (effect, when) = (window.effect.as_str(), window::words(window.when));
        format!("Window {}: {effect}, {when}, {hosts}, {classes}.", window.name)
    }));
    lines.extend(policy.spares.iter().map(|spare| {
        let (boot, above) = (span(spare.boot_ms), percent(policy.wake.above));
        let quantile = policy.wake.quantile * 100.0;
        format!(
            "Spare {}: woken {boot} before p{quantile:.0} of the need is more than {above} of what the awake hosts have.",
            spare.host
        )
    }));
    lines.extend(policy.class_names().map(|name| class(name, policy.class(name).1)));
    lines.join("\n") + "\n"
}

fn acting(policy: &Policy) -> Vec<String> {
    if !policy.act.is_any() {
        return vec!["Recommend-only: no command changes anything.".to_owned()];
    }
    let rule = |(pattern, resources): &(String, Vec<Resource>)| {
        let names: Vec<String> = resources.iter().map(Resource::to_string).collect();
        format!("Acts on hosts {pattern}: {}.", some(&names, "nothing"))
    };
    let rules = policy.act.rules().iter().map(rule);
    let consent = policy.asks_any().then(|| {
        let (open, declined) = (span(policy.proposals.open_for_ms), span(policy.proposals.declined_for_ms));
        format!(
            "What is proposed is changed when somebody approves it within {open}; what is declined is not proposed again for {declined}."
        )
    });
    rules
        .chain(consent)
        .chain(["All else is recommended only.".to_owned()])
        .collect()
}

fn safety(policy: &Policy) -> String {
    let (budget, safety) = (&policy.budget, &policy.safety);
    format!(
        "At most {} changes a minute on a host and {} in the cell. Nothing is lowered while a sample is older than {}, \
         the brain runs for less than {}, a host has less than {} of history, or the p95 held less than {} of the \
         values; nothing is changed on a host that is silent for {}.",
        budget.host_per_minute,
        budget.cell_per_minute,
        span(safety.stale_after_ms),
        span(safety.settle_ms),
        span(safety.min_history_ms),
        percent(safety.min_coverage),
        span(safety.silent_after_ms),
    )
}

fn limits(policy: &Policy) -> String {
    let limits = &policy.limits;
    let changes = limits
        .changes_a_day
        .map_or("any number of".to_owned(), |changes| format!("{changes}"));
    let excess = if limits.excess > 0.0 {
        format!(
            "; an excess of a whole capacity counts for {} violations",
            limits.excess
        )
    } else {
        String::new()
    };
    format!(
        "Limits of hosts that the network knows: {} of the minutes above them, {changes} changes a day and host; a host's price of a \
         violation follows its own by {}{excess}.",
        percent(limits.violations),
        percent(limits.own)
    )
}

fn class(name: &str, class: &Class) -> String {
    let (margin, floor, ceiling) = (each(class.margin), each(class.floor), each(class.ceiling));
    let takes = if class.uses(Strategy::Priority) {
        "takes from the less critical, down to their floors"
    } else {
        "takes from nobody and waits"
    };
    let proposed = match class.mode {
        Mode::Act => "",
        Mode::Recommend => "each change is proposed and waits for approval; ",
    };
    format!(
        "Class {name}: {proposed}{}, with {margin} on top; floor {floor}; ceiling {ceiling}; lowered by at most {} at a time, {} \
         after its last change, at most {} times in {} after a rise; {takes}; overdue after {} in the queue.",
        reserves(class),
        each(class.lower.slew),
        span(class.lower.dwell_ms),
        class.flap.most,
        span(class.flap.within_ms),
        span(class.deadline_ms)
    )
}

fn reserves(class: &Class) -> String {
    let quantile = class.quantile * 100.0;
    if class.uses(Strategy::Preemptive) {
        let horizon = span(u64::from(class.horizon_s) * 1_000);
        let else_near = if class.uses(Strategy::Dynamic) {
            ", or of the nearest forecast while that is not confident"
        } else {
            ""
        };
        format!("reserves p{quantile:.0} of the next {horizon} before the need{else_near}")
    } else if class.uses(Strategy::Dynamic) {
        format!("follows p{quantile:.0} of the nearest forecast")
    } else {
        "reserves what is used now".to_owned()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_line_by_line() {
        let text = r#"
            [act]
            "edge-*" = ["cpu", "memory"]
            [cell]
            power_w = 4000
            [limits]
            changes_a_day = "free"
            excess = 8
            [[window]]
            name = "backup"
            from = "22:00"
            until = "04:00"
            classes = ["batch"]
            [[spare]]
            host = "spare-1"
            [class.batch]
            strategies = ["dynamic"]
            floor = { cpu = 0.05 }
            "#;
        let told = of(&Policy::parse(text).unwrap());
        for line in [
            "Acts on hosts edge-*: cpu, memory.",
            "All else is recommended only.",
            "All hosts together may draw 4000 W.",
            "Limits of hosts that the network knows: 1 % of the minutes above them, any number of changes a day and host; a \
             host's price of a violation follows its own by 10 %; an excess of a whole capacity counts for 8 violations.",
            "Window backup: no lowering, every day 22:00 to 04:00 UTC, all hosts, batch.",
            "Spare spare-1: woken 5m before p95 of the need is more than 85 % of what the awake hosts have.",
            "Class batch: follows p95 of the nearest forecast, with 10 % on top; floor cpu 5 %, memory 1 %, network 1 %, \
             disk 1 %, power 1 %; ceiling 100 %; lowered by at most 25 % at a time, 10m after its last change, at most 6 \
             times in 6h after a rise; takes from nobody and waits; overdue after 15m in the queue.",
        ] {
            assert!(told.lines().any(|own| own == line), "{line:?} is not in\n{told}");
        }
        assert!(of(&Policy::built_in()).starts_with("Recommend-only"));
    }
}
