//! One host: its resources with their past and forecasts, who uses them, and what was told and done.

use brain::allocate::{amount, proposals::Proposal};
use ratatui::{
    style::{Modifier, Style, Stylize},
    text::{Line, Span},
};
use shadow::{Resource, UnixMs};

use super::{
    fleet::headline,
    paint::{bar, faint, heat, left, spark},
    state::Top,
};
use crate::{
    client::{
        picture::{HostDetail, Incident, ResourceView, Series, Workload},
        words::{age, short, unit},
    },
    status,
};

/// How many lines each list takes at least: its title and two of its own.
const LIST: usize = 3;

/// The view of a host in `width` columns and `height` lines.
pub(super) fn lines(top: &Top, width: usize, height: usize) -> Vec<Line<'static>> {
    let Some(detail) = &top.detail else {
        let name = top.host.as_deref().unwrap_or_default();
        let waits = Line::from(format!("asking the brain for {name} ..."));
        return vec![waits, keys(top, width)];
    };
    let mut lines = head(detail, width);
    for view in &detail.host.resources {
        lines.extend(resource(top, detail, view, width));
    }
    let left_over = height.saturating_sub(lines.len() + 1);
    let told = told(top, detail, width);
    let for_told = told.len().min(left_over / 2).max(LIST.min(left_over));
    lines.extend(workloads(
        &detail.host.workloads,
        width,
        left_over.saturating_sub(for_told),
    ));
    lines.extend(told.into_iter().take(for_told));
    lines.resize(height.saturating_sub(1), Line::default());
    lines.push(keys(top, width));
    lines
}

fn head(detail: &HostDetail, width: usize) -> Vec<Line<'static>> {
    let host = &detail.host;
    let silence = age(detail.time_ms - host.last_sample_ms);
    let text = format!(
        "{} · {} · a sample every {} ms, the newest {silence} ago",
        host.name, host.state, host.interval_ms
    );
    vec![
        headline(&text, detail.age_ms, width),
        Line::from(left(&host.inventory, width)).style(faint()),
    ]
}

/// Two lines: numbers, and the last hour with what may come behind it.
fn resource(top: &Top, detail: &HostDetail, view: &ResourceView, width: usize) -> Vec<Line<'static>> {
    let name = left(view.resource.as_str(), 8);
    let Some(value) = view.value else {
        let why = if view.absent.is_empty() {
            "not measured"
        } else {
            &view.absent
        };
        return vec![Line::from(left(&format!("{name} {why}"), width)).style(faint())];
    };
    let of = |value: f64| {
        heat(
            view.capacity
                .filter(|capacity| *capacity > 0.0)
                .map(|capacity| value / capacity),
        )
    };
    let number = |value| short(view.resource, value);
    let mut spans = vec![
        Span::from(name).add_modifier(Modifier::BOLD),
        Span::from(format!(" {:>5} {:<3}", number(value), unit(view.resource))).style(of(value)),
    ];
    for forecast in &view.forecasts {
        let quantiles = &forecast.quantiles;
        let text = format!(
            "  {} min {}‥{}",
            forecast.horizon_s / 60,
            number(quantiles.p50),
            number(quantiles.p95)
        );
        spans.push(Span::from(text).style(of(quantiles.p95)));
    }
    if let Some(nearest) = view.forecasts.first() {
        let skill = nearest
            .skill
            .map_or(String::new(), |skill| format!(", skill {:.0} %", skill * 100.0));
        let (used, rung) = (spans.iter().map(Span::width).sum::<usize>(), nearest.rung.as_str());
        // Half a word tells nothing: what has no room is left out.
        let told = [format!("  {rung}{skill}"), format!("  {rung}")];
        let told = told.into_iter().find(|text| used + text.chars().count() <= width);
        spans.extend(told.map(|text| Span::from(text).style(faint())));
    }
    let series = top.series.get(&(detail.host.name.clone(), view.resource));
    let mut lines = vec![Line::from(spans)];
    lines.extend(series.map(|series| fan(series, view, width)));
    lines
}

/// The last hour, a mark, and the p50 and p95 of each horizon.
fn fan(series: &Series, view: &ResourceView, width: usize) -> Line<'static> {
    let known = series.points.iter().map(|(_, value)| *value);
    let expected = view.forecasts.iter().map(|forecast| forecast.quantiles.p95);
    let highest = known.chain(expected).fold(0.0, f64::max);
    let full = view
        .capacity
        .filter(|_| matches!(view.resource, Resource::Cpu | Resource::Memory))
        .unwrap_or(highest);
    let ahead: String = view
        .forecasts
        .iter()
        .flat_map(|forecast| {
            [
                ' ',
                bar(forecast.quantiles.p50, full),
                bar(forecast.quantiles.p95, full),
            ]
        })
        .collect();
    let past = width.saturating_sub(9 + 2 + ahead.chars().count());
    let within = (series.since_ms, series.until_ms);
    Line::from(vec![
        Span::from(" ".repeat(9)),
        Span::from(spark(&series.points, within, past, full)),
        Span::from("┊").style(faint()),
        Span::from(ahead).style(Style::new().add_modifier(Modifier::BOLD)),
    ])
}

/// At most `height` lines, the largest reservations first.
fn workloads(workloads: &[Workload], width: usize, height: usize) -> Vec<Line<'static>> {
    if height < 2 {
        return Vec::new();
    }
    let title = format!(
        "{:<30} {:>4} {:<11} {:>15} {:>15}",
        "WORKLOAD", "CRIT", "CLASS", "CORES used/of", "MEMORY used/of"
    );
    let mut lines = vec![Line::from(left(&title, width)).add_modifier(Modifier::UNDERLINED)];
    if workloads.is_empty() {
        lines.push(Line::from("none is known").style(faint()));
    }
    let mut order: Vec<&Workload> = workloads.iter().collect();
    order.sort_by(|a, b| {
        (b.criticality, b.memory_bytes.unwrap_or(0.0))
            .partial_cmp(&(a.criticality, a.memory_bytes.unwrap_or(0.0)))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    lines.extend(
        order
            .into_iter()
            .take(height - 1)
            .map(|workload| workload_line(workload, width)),
    );
    lines
}

fn workload_line(workload: &Workload, width: usize) -> Line<'static> {
    let pair = |resource, used: Option<f64>, reserved: Option<f64>| {
        let text = |value: Option<f64>| value.map_or("-".to_owned(), |value| plain(resource, value));
        format!("{}/{}", text(used), text(reserved))
    };
    let text = format!(
        "{} {:>4} {} {:>15} {:>15}",
        left(&workload.name, 30),
        workload.criticality,
        left(&workload.class, 11),
        pair(Resource::Cpu, workload.cpu_cores, workload.cpu_reserved),
        pair(Resource::Memory, workload.memory_bytes, workload.memory_reserved),
    );
    Line::from(left(&text, width))
}

/// An amount without its spaces and without what a column's title says.
fn plain(resource: Resource, value: f64) -> String {
    amount(resource, value)
        .replace(" cores", "")
        .replace(' ', "")
        .replace("iB", "")
}

/// What waits for somebody's word, incidents that go on, then the newest commands.
fn told(top: &Top, detail: &HostDetail, width: usize) -> Vec<Line<'static>> {
    let waiting = |proposal: &Proposal| {
        let change = &proposal.change;
        let said = |value| amount(change.resource, value);
        let text = format!(
            "proposal {}: {} of {} from {} to {}",
            proposal.id,
            change.resource,
            change.workload,
            change.before.map_or_else(|| "none".to_owned(), said),
            said(change.target)
        );
        Line::from(left(&text, width)).style(heat(Some(0.8)))
    };
    let title = if top.proposals.is_empty() {
        "INCIDENTS AND COMMANDS"
    } else {
        "PROPOSALS, INCIDENTS AND COMMANDS: foreshadow approve ID, decline ID"
    };
    let mut lines = vec![Line::from(left(title, width)).add_modifier(Modifier::UNDERLINED)];
    lines.extend(top.proposals.iter().map(waiting));
    lines.extend(
        detail
            .incidents
            .iter()
            .filter(|incident| incident.goes_on)
            .map(|incident| told_incident(incident, detail.time_ms, width)),
    );
    lines.extend(
        detail
            .commands
            .iter()
            .map(|issued| Line::from(left(&status::command(Some(issued), detail.time_ms), width))),
    );
    if lines.len() == 1 {
        lines.push(Line::from("none").style(faint()));
    }
    lines
}

fn told_incident(incident: &Incident, now_ms: UnixMs, width: usize) -> Line<'static> {
    let share = match incident.severity.as_str() {
        "critical" => 1.0,
        "warning" => 0.8,
        _ => 0.0,
    };
    let text = format!(
        "{} for {}: {}",
        incident.severity,
        age(now_ms - incident.since_ms),
        incident.cause
    );
    Line::from(left(&text, width)).style(heat(Some(share)))
}

fn keys(top: &Top, width: usize) -> Line<'static> {
    match &top.fault {
        Some(fault) => Line::from(left(fault, width)).style(heat(Some(1.0))),
        None => Line::from(left("esc fleet · up and down other hosts · ? help · q quit", width)).style(faint()),
    }
}
