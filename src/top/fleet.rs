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
        picture::{Fleet, Gauge, Row},
        words::{age, overdue, short},
    },
    status,
};

/// Columns of a state, of the last hour of cpu, and of each resource's value and peak, in the order of `Resource::ALL`.
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
    let rows = &top.rows;
    let name = width.saturating_sub(FIXED).clamp(MIN_NAME, 40);
    let mut lines = vec![cell(fleet, width), standing(fleet, width), titles(name)];
    lines.extend(rows.rows.iter().enumerate().map(|(index, row)| {
        let line = host_line(top, row, name);
        if rows.offset + index == top.selected {
            line.add_modifier(Modifier::REVERSED)
        } else {
            line
        }
    }));
    if rows.matching == 0 {
        lines.push(Line::from(if top.search.is_empty() {
            "no host yet"
        } else {
            "no host has that in its name, inventory or workloads"
        }));
    }
    lines.resize(lines.len().max(height.saturating_sub(1)), Line::default());
    lines.truncate(height.saturating_sub(1).max(1));
    lines.push(below(top, rows.matching, width));
    lines
}

fn cell(fleet: &Fleet, width: usize) -> Line<'static> {
    let text = format!(
        "{} · {} · {}/{} hosts · {:.0} samples/s · {} incidents · {} unmet",
        fleet.cell,
        fleet.mode,
        fleet.hosts.online,
        fleet.hosts.all,
        fleet.totals.samples_per_s,
        fleet.incidents.open,
        fleet.unmet.len()
    );
    headline(&text, fleet.age_ms, width)
}

/// A view's first line, which says before all else when what is below it is old.
pub(super) fn headline(text: &str, age_ms: u64, width: usize) -> Line<'static> {
    match overdue(age_ms) {
        Some(since) => Line::from(left(&format!("{since} · {text}"), width)).style(heat(Some(1.0))),
        None => Line::from(left(text, width)).add_modifier(Modifier::BOLD),
    }
}

/// What waits for somebody's word, where anything does, and how the model stands.
fn standing(fleet: &Fleet, width: usize) -> Line<'static> {
    let waiting = match fleet.proposals {
        0 => String::new(),
        1 => "1 proposal waits: foreshadow proposals · ".to_owned(),
        many => format!("{many} proposals wait: foreshadow proposals · "),
    };
    let waiting: String = waiting.chars().take(width).collect();
    let rest = width - waiting.chars().count();
    let model = if rest == 0 {
        String::new()
    } else {
        left(&status::model(&fleet.model), rest)
    };
    Line::from(vec![
        Span::from(waiting).style(heat(Some(0.8))),
        Span::from(model).style(faint()),
    ])
}

fn titles(name: usize) -> Line<'static> {
    let values = VALUES
        .map(|(_, title, width)| format!(" {}", right(title, width)))
        .concat();
    let text = format!(
        "{} {} {}{values}",
        left("HOST now›peak", name),
        left("STATE", STATE),
        left("CPU 1 h", SPARK)
    );
    Line::from(text).style(Style::new().add_modifier(Modifier::UNDERLINED))
}

fn host_line(top: &Top, row: &Row, name: usize) -> Line<'static> {
    let state = match row.state.as_str() {
        "online" if row.incidents > 0 => Span::from(left("unusual", STATE)).style(heat(Some(0.8))),
        "online" => Span::from(left("online", STATE)),
        _ => {
            let silence = age(top.rows.time_ms - row.last_sample_ms);
            Span::from(left(&format!("! {silence}"), STATE)).style(heat(Some(1.0)))
        }
    };
    let mut spans = vec![
        Span::from(left(&row.name, name) + " "),
        state,
        Span::from(format!(" {}", last_hour(top, &row.name))),
    ];
    spans.extend(VALUES.iter().zip(&row.resources).map(|((resource, _, width), gauge)| {
        let text = format!(" {}", right(&now_and_then(*resource, gauge), *width));
        Span::from(text).style(heat(share(gauge)))
    }));
    Line::from(spans)
}

/// The value and, behind a mark, what it may become.
fn now_and_then(resource: Resource, gauge: &Gauge) -> String {
    let text = |value: Option<f64>| value.map_or("-".to_owned(), |value| short(resource, value));
    match gauge.peak {
        Some(_) => format!("{}›{}", text(gauge.value), text(gauge.peak)),
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
