//! From TOML to a [`Policy`]: every key is looked at, and every fault is told.

use std::collections::BTreeMap;

use limits::Settings;
use shadow::Resource;
use toml::{Table, Value};

use super::{
    BudgetPolicy, CellLimits, Class, Confident, DEFAULT_CLASS, Flap, Lower, Policy, PolicyError, Queue, Raise, Safety,
    act, mode,
    section::{Faults, MARGIN, Range, SHARE, SKILL, STEP, Section},
    spare, window,
};

/// The largest file that is read, in bytes.
const MAX_FILE: usize = 1 << 20;

/// A share of violations that an hour can show, up to a limit that half of all samples lie above.
const VIOLATIONS: Range = Range { low: 1e-4, high: 0.5 };
/// Changes a day: from one in ten days to one in each interval.
const CHANGES: Range = Range { low: 0.1, high: 288.0 };
const EXCESS: Range = Range { low: 0.0, high: 1e3 };

pub(super) fn policy(text: &str) -> Result<Policy, PolicyError> {
    let mut faults = Faults(Vec::new());
    let read = match text.len() {
        0..=MAX_FILE => text.parse::<Table>().map_err(|fault| not_toml(text, &fault)),
        bytes => Err(format!("it has {bytes} bytes; at most {MAX_FILE} are allowed")),
    };
    let policy = match read {
        Ok(table) => whole(Section::new(String::new(), table), &mut faults),
        Err(fault) => {
            faults.add(String::new(), fault);
            Policy::default()
        }
    };
    if faults.0.is_empty() {
        Ok(policy)
    } else {
        Err(PolicyError { faults: faults.0 })
    }
}

fn not_toml(text: &str, fault: &toml::de::Error) -> String {
    let before = fault.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("line {line} is no TOML: {}", fault.message())
}

fn whole(mut root: Section, faults: &mut Faults) -> Policy {
    let base = Policy::default();
    let budget = budget(root.section("budget", faults), base.budget, faults);
    let safety = safety(root.section("safety", faults), base.safety, faults);
    let cell = cell(root.section("cell", faults), faults);
    let limits = limits(root.section("limits", faults), base.limits, faults);
    let mut classes = root.section("class", faults);
    let fallback = class(classes.section(DEFAULT_CLASS, faults), &base.fallback, faults);
    let names: Vec<String> = classes.table.keys().cloned().collect();
    let classes: BTreeMap<String, Class> = names
        .into_iter()
        .map(|name| {
            let read = class(classes.section(&name, faults), &fallback, faults);
            (name, read)
        })
        .collect();
    let known: Vec<String> = classes.keys().cloned().chain([DEFAULT_CLASS.to_owned()]).collect();
    let windows = root.list("window", faults).into_iter();
    let windows = windows.map(|section| window::read(section, &known, faults)).collect();
    let spares = root.list("spare", faults).into_iter();
    let spares: Vec<_> = spares.map(|section| spare::read(section, faults)).collect();
    for (at, spare) in spares.iter().enumerate() {
        if spares.iter().take(at).any(|earlier| earlier.host == spare.host) {
            faults.add(format!("spare[{at}].host"), format!("{} is named twice", spare.host));
        }
    }
    let proposals = mode::rules(root.section("proposals", faults), base.proposals, faults);
    let act = act::read(root.section("act", faults), faults);
    let queue = queue(root.section("queue", faults), base.queue, faults);
    let wake = spare::wake(root.section("wake", faults), faults);
    root.end(faults);
    Policy {
        act,
        budget,
        safety,
        cell,
        proposals,
        limits,
        queue,
        windows,
        spares,
        wake,
        classes,
        fallback,
    }
}

fn budget(mut section: Section, base: BudgetPolicy, faults: &mut Faults) -> BudgetPolicy {
    let read = BudgetPolicy {
        host_per_minute: section.count("host_per_minute", base.host_per_minute, faults),
        cell_per_minute: section.count("cell_per_minute", base.cell_per_minute, faults),
    };
    section.end(faults);
    read
}

fn safety(mut section: Section, base: Safety, faults: &mut Faults) -> Safety {
    let read = Safety {
        stale_after_ms: section.duration("stale_after", base.stale_after_ms, faults),
        silent_after_ms: section.duration("silent_after", base.silent_after_ms, faults),
        settle_ms: section.duration("settle", base.settle_ms, faults),
        min_history_ms: section.duration("min_history", base.min_history_ms, faults),
        min_coverage: section.number("min_coverage", base.min_coverage, SHARE, faults),
    };
    if read.silent_after_ms < read.stale_after_ms {
        faults.add(section.at("silent_after"), "is shorter than stale_after");
    }
    section.end(faults);
    read
}

fn queue(mut section: Section, base: Queue, faults: &mut Faults) -> Queue {
    let points = Range { low: 0.0, high: 100.0 };
    let read = Queue {
        ageing_per_hour: section.number("ageing_per_hour", base.ageing_per_hour, points, faults),
        ageing_most: section.number("ageing_most", base.ageing_most, points, faults),
    };
    section.end(faults);
    read
}

fn limits(mut section: Section, base: Settings, faults: &mut Faults) -> Settings {
    let read = Settings {
        violations: section.number("violations", base.violations, VIOLATIONS, faults),
        changes_a_day: section.read("changes_a_day", base.changes_a_day, faults, changes),
        own: section.number("own", base.own, SHARE, faults),
        excess: section.number("excess", base.excess, EXCESS, faults),
        ..base
    };
    section.end(faults);
    read
}

/// A number of changes a day, or any.
fn changes(value: &Value) -> Result<Option<f64>, String> {
    let number = value.as_float().or_else(|| Some(value.as_integer()? as f64));
    match (number, value.as_str()) {
        (_, Some("free")) => Ok(None),
        (Some(number), _) if (CHANGES.low..=CHANGES.high).contains(&number) => Ok(Some(number)),
        _ => Err(format!(
            "is {value}; a number from {} to {}, or \"free\", is expected",
            CHANGES.low, CHANGES.high
        )),
    }
}

fn cell(mut section: Section, faults: &mut Faults) -> CellLimits {
    let read = CellLimits {
        network_bytes_per_s: section.limit("network_bytes_per_s", faults),
        power_w: section.limit("power_w", faults),
    };
    section.end(faults);
    read
}

fn class(mut section: Section, base: &Class, faults: &mut Faults) -> Class {
    let read = Class {
        mode: section.read("mode", base.mode, faults, mode::mode),
        strategies: section.strategies("strategies", &base.strategies, faults),
        quantile: section.quantile("quantile", base.quantile, faults),
        horizon_s: section.seconds("horizon", base.horizon_s, faults),
        margin: section.each("margin", base.margin, MARGIN, faults),
        floor: section.each("floor", base.floor, SHARE, faults),
        ceiling: section.each("ceiling", base.ceiling, SHARE, faults),
        raise: raise(section.section("raise", faults), base.raise, faults),
        lower: lower(section.section("lower", faults), base.lower, faults),
        confident: confident(section.section("confident", faults), base.confident, faults),
        flap: flap(section.section("flap", faults), base.flap, faults),
        deadline_ms: section.duration("deadline", base.deadline_ms, faults),
    };
    for resource in Resource::ALL {
        let (floor, ceiling) = (read.floor.of(resource), read.ceiling.of(resource));
        if floor > ceiling {
            faults.add(
                section.at("floor"),
                format!("{floor} of {resource} is above the ceiling {ceiling}"),
            );
        }
    }
    section.end(faults);
    read
}

fn raise(mut section: Section, base: Raise, faults: &mut Faults) -> Raise {
    let read = Raise {
        hysteresis: section.each("hysteresis", base.hysteresis, SHARE, faults),
        slew: section.each("slew", base.slew, STEP, faults),
    };
    section.end(faults);
    read
}

fn lower(mut section: Section, base: Lower, faults: &mut Faults) -> Lower {
    let read = Lower {
        hysteresis: section.each("hysteresis", base.hysteresis, SHARE, faults),
        slew: section.each("slew", base.slew, STEP, faults),
        dwell_ms: section.duration("dwell", base.dwell_ms, faults),
    };
    section.end(faults);
    read
}

fn flap(mut section: Section, base: Flap, faults: &mut Faults) -> Flap {
    let read = Flap {
        most: section.count("most", base.most, faults).min(Flap::MOST),
        within_ms: section.duration("within", base.within_ms, faults),
    };
    section.end(faults);
    read
}

fn confident(mut section: Section, base: Confident, faults: &mut Faults) -> Confident {
    let read = Confident {
        width: section.number("width", base.width, SHARE, faults),
        skill: section.number("skill", base.skill, SKILL, faults),
    };
    section.end(faults);
    read
}
