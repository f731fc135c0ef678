//! Our limits at one setting: the fleet of one resource, interval by interval.

use std::{fs, path::Path};

use anyhow::Context;
use brain::policy::{HOST_CLASS, Policy};
use limits::{Asked, Fleet, Needs, Prices, Settings, Used};

use super::{
    SimulateArgs,
    past::{Host, Past},
};

/// Limits of one target at one setting.
pub(super) struct Run {
    /// By host: a limit a row, from the row behind the first decision on.
    pub(super) limits: Vec<Vec<f64>>,
    /// The prices at the end.
    pub(super) prices: Prices,
}

/// Shares of violations and changes a day that are tried where neither a policy nor an argument names any.
const VIOLATIONS: [f64; 6] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
const CHANGES: [Option<f64>; 2] = [Some(40.0), None];

/// Reads a policy file.
pub(super) fn policy(file: &Path) -> anyhow::Result<Policy> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Policy::parse(&text).with_context(|| file.display().to_string())
}

/// Every setting that is asked for: what is no argument is the policy's, where there is one.
pub(super) fn settings(arguments: &SimulateArgs, policy: Option<&Policy>) -> anyhow::Result<Vec<Settings>> {
    let base = policy.map_or_else(Settings::default, |policy| policy.limits);
    let violations = match (arguments.violations.as_slice(), policy) {
        ([], Some(_)) => vec![base.violations],
        ([], None) => VIOLATIONS.to_vec(),
        (named, _) => named.to_vec(),
    };
    let changes: Vec<Option<f64>> = match (arguments.changes.as_slice(), policy) {
        ([], Some(_)) => vec![base.changes_a_day],
        ([], None) => CHANGES.to_vec(),
        (named, _) => named.iter().map(|changes| changes.0).collect(),
    };
    let mut settings = Vec::new();
    for changes_a_day in changes {
        for violations in &violations {
            let asked = Settings {
                violations: *violations,
                changes_a_day,
                own: arguments.own.unwrap_or(base.own),
                excess: arguments.excess.unwrap_or(base.excess),
                reacts: arguments.react,
            };
            settings.push(asked.checked()?);
        }
    }
    Ok(settings)
}

/// What a setting is called.
pub(super) fn name(settings: &Settings) -> String {
    let changes = settings
        .changes_a_day
        .map_or("free".to_owned(), |changes| changes.to_string());
    format!("violations {} changes {changes}", settings.violations)
}

/// Sets limits over the whole past.
pub(super) fn run(
    past: &Past,
    needs: &[Vec<Needs>],
    target: usize,
    settings: &Settings,
    policy: Option<&Policy>,
) -> anyhow::Result<Run> {
    let reacts = settings.reacts && past.rows > 1;
    let mut fleet = Fleet::new(Settings { reacts, ..*settings })?;
    let bounds = bounds(policy, past, target);
    let mut limits: Vec<Vec<f64>> = vec![Vec::new(); past.hosts.len()];
    let highest: Vec<Vec<f64>> = past.hosts.iter().map(|host| highest(host, target)).collect();
    let intervals = past.hosts.iter().map(|host| host.len / past.rows).max().unwrap_or(0);
    for interval in 0..intervals {
        let row = (interval + 1) * past.rows - 1;
        let moment = |(index, host)| moment(past, needs, target, (index, host), row);
        let present: Vec<Moment<'_>> = past.hosts.iter().enumerate().filter_map(moment).collect();
        let asked = present.iter().map(|moment| {
            let seen = highest.get(moment.index).and_then(|highest| highest.get(row));
            Asked {
                host: moment.name,
                needs: moment.needs,
                lowest: bounds.0,
                // A share beyond 1 was seen: there is more than the trace's owner says.
                highest: if bounds.1 < 1.0 {
                    bounds.1
                } else {
                    seen.copied().unwrap_or(1.0).max(1.0)
                },
                weight: 1.0,
            }
        });
        let decided = fleet.decide(interval as i64, &asked.collect::<Vec<_>>());
        for (moment, decision) in present.iter().zip(decided) {
            if let (Some(decision), Some(limits)) = (decision, limits.get_mut(moment.index)) {
                limits.extend(limits::path(decision.limit, moment.samples, reacts).0);
            }
        }
        let used = present.iter().map(|moment| Used {
            host: moment.name,
            samples: moment.samples,
        });
        fleet.observe(interval as i64, &used.collect::<Vec<_>>());
    }
    Ok(Run {
        limits,
        prices: fleet.prices(),
    })
}

/// One host at one decision.
struct Moment<'a> {
    index: usize,
    name: &'a str,
    needs: Needs,
    /// What comes.
    samples: &'a [f64],
}

/// `None` where no limit is set at `row`.
fn moment<'a>(
    past: &'a Past,
    needs: &[Vec<Needs>],
    target: usize,
    (index, host): (usize, &'a Host),
    row: usize,
) -> Option<Moment<'a>> {
    let values = host.values.get(target)?;
    let samples = values
        .get(row + 1..host.len.min(row + 1 + past.rows))
        .filter(|samples| !samples.is_empty())?;
    let at = row.checked_sub(host.first)? / past.rows;
    Some(Moment {
        index,
        name: &host.name,
        needs: *needs.get(index)?.get(at)?,
        samples,
    })
}

/// The highest value up to each row.
fn highest(host: &Host, target: usize) -> Vec<f64> {
    let mut high = 0.0_f64;
    let raise = |value: &f64| {
        high = high.max(*value);
        high
    };
    host.values
        .get(target)
        .map(|values| values.iter().map(raise).collect())
        .unwrap_or_default()
}

/// Floor and ceiling of the policy's class for hosts; none without a policy.
fn bounds(policy: Option<&Policy>, past: &Past, target: usize) -> (f64, f64) {
    let Some((policy, target)) = policy.zip(past.targets.get(target)) else {
        return (0.0, 1.0);
    };
    let (_, class) = policy.class(HOST_CLASS);
    (class.floor.of(target.resource), class.ceiling.of(target.resource))
}
