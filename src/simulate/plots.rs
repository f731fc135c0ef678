//! Charts as SVG: slack against violations of every policy, and limits over what was used.

use std::{fs, path::Path};

use limits::Settings;

use super::{past::Past, report::Line};
use crate::backtest::plots::{COLOURS, Frame};

/// Days of a limit that are shown, at the end.
const SHOWN_S: usize = 2 * 86_400;

/// Violation rates that are shown, as powers of ten.
const RATES: (f64, f64) = (-4.0, -0.7);

/// Our limits at a setting, by host, and what they scored.
pub(super) type Ours<'a> = (&'a Settings, Vec<Vec<f64>>, Option<Line>);

/// Writes the charts of one target.
pub(super) fn write(
    folder: &Path,
    past: &Past,
    target: usize,
    lines: &[Line],
    ours: &[Ours<'_>],
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let Some(of) = past.targets.get(target) else {
        return Ok(());
    };
    let lines: Vec<&Line> = lines.iter().filter(|line| line.target == target).collect();
    fs::write(folder.join(format!("slack-{of}.svg")), curve(of.name(), &lines))?;
    // The one that is nearest to one violation in a hundred, with a budget where there is one.
    let off = |(settings, ..): &&Ours<'_>| ((settings.violations / 0.01).ln().abs() * 1e6) as u64;
    let Some((_, limits, Some(line))) = ours.iter().min_by_key(off) else {
        return Ok(());
    };
    let mut ranked: Vec<usize> = (0..line.by_host.len()).collect();
    let slack = |host: &usize| line.by_host.get(*host).map_or(0.0, |figures| figures.slack);
    ranked.sort_by(|a, b| slack(a).total_cmp(&slack(b)));
    let places = [
        ("best", 0),
        ("median", ranked.len() / 2),
        ("worst", ranked.len().saturating_sub(1)),
    ];
    for (word, place) in places {
        let host = ranked.get(place).copied().unwrap_or(0);
        let chart = over_usage(past, target, host, limits, line, word);
        fs::write(folder.join(format!("limit-{of}-{word}.svg")), chart.unwrap_or_default())?;
    }
    Ok(())
}

/// A point: the logarithm of the violation rate, and the slack.
fn point(line: &Line) -> (f64, f64) {
    (
        line.figures.violation_rate.max(1e-9).log10().clamp(RATES.0, RATES.1),
        line.figures.slack,
    )
}

fn curve(name: &str, lines: &[&Line]) -> String {
    let title = format!(
        "{name}: slack by the violation rate (power of ten); the best settings of each policy, as known afterwards"
    );
    let high = lines
        .iter()
        .filter(|line| line.policy == "ours")
        .map(|line| line.figures.slack)
        .fold(0.05, f64::max);
    let high = 2.5 * high;
    let mut frame = Frame::new(&title, RATES, (0.0, high));
    let mut names: Vec<&str> = lines.iter().map(|line| line.policy.as_str()).collect();
    names.dedup();
    for (place, (policy, colour)) in names.into_iter().zip(COLOURS.into_iter().cycle()).enumerate() {
        let of_policy = lines.iter().filter(|line| line.policy == policy);
        let mut points: Vec<(f64, f64)> = of_policy
            .map(|line| point(line))
            .filter(|(_, slack)| *slack <= high)
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut least = f64::INFINITY;
        points.retain(|(_, slack)| {
            let better = *slack < least;
            least = least.min(*slack);
            better
        });
        frame.line(&points, colour, policy != "ours");
        for point in &points {
            frame.dot(*point, colour);
        }
        frame.legend(place, colour, policy);
    }
    frame.finish()
}

fn over_usage(past: &Past, target: usize, host: usize, limits: &[Vec<f64>], line: &Line, word: &str) -> Option<String> {
    let (of, limits, figures) = (past.hosts.get(host)?, limits.get(host)?, line.by_host.get(host)?);
    let values = of.values.get(target)?;
    let from = values
        .len()
        .saturating_sub(SHOWN_S / past.step_s as usize)
        .max(of.scored);
    let used: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .skip(from)
        .map(|(row, value)| (row as f64, *value))
        .collect();
    let limits = limits
        .iter()
        .enumerate()
        .map(|(at, limit)| ((of.first + 1 + at) as f64, *limit));
    let limits: Vec<(f64, f64)> = limits.filter(|(row, _)| *row >= from as f64).collect();
    let high = used.iter().chain(&limits).map(|(_, value)| *value).fold(0.01, f64::max);
    let title = format!(
        "{} of {}, {word} slack ({:.3}, {:.2} % violated, {:.0} changes a day), {}, by row",
        line.resource,
        of.name,
        figures.slack,
        figures.violation_rate * 100.0,
        figures.changes_a_day,
        line.setting
    );
    let mut frame = Frame::new(&title, (from as f64, values.len() as f64), (0.0, high));
    frame.line(&used, "black", false);
    frame.line(&stairs(&limits), COLOURS[1], false);
    frame.legend(0, "black", "used");
    frame.legend(1, COLOURS[1], "limit");
    Some(frame.finish())
}

/// Points with a corner wherever the value moves.
fn stairs(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut found: Vec<(f64, f64)> = Vec::with_capacity(points.len());
    let mut before = None;
    for (x, y) in points {
        if let Some(before) = before.filter(|before| before != y) {
            found.push((*x, before));
        }
        found.push((*x, *y));
        before = Some(*y);
    }
    found
}
