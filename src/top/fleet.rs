//! The fleet: a line a host.

use ratatui::{
    style::{Modifier, Style, Stylize},
    text::{Line, Span},
};
use shadow::Resource;

use super::{
    paint::{faint, heat, left, right, spark},
    state::{Top, share},
};
use crate::{
    client::{
        picture::{Fleet, Gauge, HostLine},
        words::{age, short},
    },
    status,
};

/// Columns of a state, of the last hour of cpu, and of each resource's value and forecast.
const STATE: usize = 8;
const SPARK: usize = 10;
const VALUES: [(Resource, &str, usize); 5] = [
    (Resource::Cpu, "CPU %", 7),
    (Resource::Memory, "MEM %", 7),
    (Resource::Network, "NET B/s", 9),
    (Resource::Disk, "DISK B/s", 9),
    (Resource::Power, "PWR W", 7),
];
/// All of them with a space before each.
const FIXED: usize = STATE + SPARK + 7 + 7 + 9 + 9 + 7 + 7;
const MIN_NAME: usize = 12;

/// The fleet view in `width` columns and `height` lines.
pub(super) fn lines(top: &Top, width: usize, height: usize) -> Vec<Line<'static>> {
    let Some(fleet) = &top.fleet else {
        return vec![Line::from("asking the brain ...")];
    };
    let hosts = top.hosts();
    let name = width.saturating_sub(FIXED).clamp(MIN_NAME, 40);
    let window = top.window(hosts.len(), height);
    let mut lines = vec![
        cell(fleet, width),
        Line::from(left(&status::model(&fleet.model), width)).style(faint()),
    ];
    lines.push(titles(name));
    let shown = hosts.iter().enumerate().skip(window.start).take(window.len());
    lines.extend(shown.map(|(index, host)| {
        let line = host_line(top, fleet, host, name);
        if index == top.selected {
            line.add_modifier(Modifier::REVERSED)
        } else {
            line
        }
    }));
    if hosts.is_empty() {
        lines.push(Line::from(if top.search.is_empty() {
            "no host yet"
        } else {
            "no host's name has that"
        }));
    }
    lines.resize(lines.len().max(height.saturating_sub(1)), Line::default());
    lines.push(below(top, hosts.len(), width));
    lines
}

fn cell(fleet: &Fleet, width: usize) -> Line<'static> {
    let online = fleet.hosts.iter().filter(|host| host.state == "online").count();
    let incidents = fleet.incidents.iter().filter(|incident| incident.goes_on).count();
    let text = format!(
        "{} · {} · {online}/{} hosts · {:.0} samples/s · {incidents} incidents · {} unmet",
        fleet.cell,
        fleet.mode,
        fleet.hosts.len(),
        fleet.totals.samples_per_s,
        fleet.unmet.len()
    );
    Line::from(left(&text, width)).add_modifier(Modifier::BOLD)
}

fn titles(name: usize) -> Line<'static> {
    let values = VALUES
        .map(|(_, title, width)| format!(" {}", right(title, width)))
        .concat();
    let text = format!(
        "{} {} {}{values}",
        left("HOST now›p95", name),
        left("STATE", STATE),
        left("CPU 1 h", SPARK)
    );
    Line::from(text).style(Style::new().add_modifier(Modifier::UNDERLINED))
}

fn host_line(top: &Top, fleet: &Fleet, host: &HostLine, name: usize) -> Line<'static> {
    let state = match host.state.as_str() {
        "online" if host.anomalies > 0 => Span::from(left("unusual", STATE)).style(heat(Some(0.8))),
        "online" => Span::from(left("online", STATE)),
        _ => Span::from(left(&format!("! {}", age(fleet.time_ms - host.last_sample_ms)), STATE)).style(heat(Some(1.0))),
    };
    let mut spans = vec![
        Span::from(left(&host.name, name) + " "),
        state,
        Span::from(format!(" {}", last_hour(top, &host.name))),
    ];
    spans.extend(VALUES.iter().map(|(resource, _, width)| {
        let gauge = host.resources.iter().find(|gauge| gauge.resource == *resource);
        let text = gauge.map_or("-".to_owned(), now_and_then);
        Span::from(format!(" {}", right(&text, *width))).style(heat(gauge.and_then(share)))
    }));
    Line::from(spans)
}

/// The value and, behind a mark, what it may become.
fn now_and_then(gauge: &Gauge) -> String {
    let text = |value: Option<f64>| value.map_or("-".to_owned(), |value| short(gauge.resource, value));
    match gauge.p95 {
        Some(_) => format!("{}›{}", text(gauge.value), text(gauge.p95)),
        None => text(gauge.value),
    }
}

fn last_hour(top: &Top, host: &str) -> String {
    let series = top.series.get(&(host.to_owned(), Resource::Cpu));
    series.map_or(" ".repeat(SPARK), |series| {
        spark(&series.points, (series.since_ms, series.until_ms), SPARK, 1.0)
    })
}

/// Where one is, what went wrong, and the keys.
fn below(top: &Top, hosts: usize, width: usize) -> Line<'static> {
    if let Some(fault) = &top.fault {
        return Line::from(left(fault, width)).style(heat(Some(1.0)));
    }
    if top.searching {
        return Line::from(left(&format!("/{}▏", top.search), width));
    }
    let filter = if top.search.is_empty() {
        String::new()
    } else {
        format!(", with {:?}", top.search)
    };
    let at = (top.selected + 1).min(hosts);
    let text = format!(
        "{at}/{hosts}{filter} by {} · enter host · s order · r reverse · / search · ? help · q quit",
        top.order.as_str()
    );
    Line::from(left(&text, width)).style(faint())
}
