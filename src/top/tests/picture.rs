//! `docs/images/top.svg`: a terminal as it looks. `FORESHADOW_WRITE_DOCS=1` and this test make it anew.

use std::{fmt::Write as _, path::Path};

use ratatui::{
    style::{Color, Modifier, Style},
    text::Line,
};
use serde_json::{Value, json};
use shadow::Resource;

use super::{fleet, lines};
use crate::{
    client::picture::Rows,
    top::{feed::News, state::Top, take},
};

const SIZE: (usize, usize) = (96, 16);
/// Of one character, in pixels, at the font's size.
const CELL: (f64, f64) = (8.4, 18.0);

/// Name, state, cpu now and its peak, memory, network, disk and power, incidents.
type Host = (&'static str, &'static str, [f64; 7], usize);

const HOSTS: [Host; 9] = [
    ("edge-2", "online", [0.71, 0.94, 0.42, 1.2e6, 8e4, 231.0, 250.0], 0),
    ("edge-1", "online", [0.52, 0.78, 0.61, 9.4e5, 1.2e5, 214.0, 226.0], 0),
    ("db-1", "online", [0.31, 0.44, 0.83, 3.1e6, 4.2e7, 287.0, 291.0], 1),
    ("db-2", "online", [0.24, 0.33, 0.64, 2.2e6, 1.9e7, 262.0, 270.0], 0),
    ("web-1", "online", [0.17, 0.29, 0.38, 8.8e6, 2.1e4, 143.0, 158.0], 0),
    ("web-2", "online", [0.15, 0.26, 0.36, 8.1e6, 1.8e4, 139.0, 151.0], 0),
    ("batch-1", "stale", [0.09, 0.12, 0.22, 1.1e4, 3.3e5, 121.0, 128.0], 0),
    ("gateway", "online", [0.06, 0.09, 0.12, 2.4e5, 0.0, 38.0, 41.0], 0),
    ("spare-1", "online", [0.01, 0.01, 0.04, 2e3, 0.0, 24.0, 25.0], 0),
];

fn row((name, state, [cpu, peak, memory, network, disk, power, power_peak], incidents): Host) -> Value {
    let gauge =
        |value: f64, capacity: Option<f64>, peak: f64| json!({"value": value, "capacity": capacity, "peak": peak});
    let last_sample_ms = if state == "stale" { 120_000 } else { 239_900 };
    json!({
        "name": name, "state": state, "last_sample_ms": last_sample_ms, "incidents": incidents,
        "resources": [
            gauge(cpu, Some(1.0), peak), gauge(memory, Some(1.0), memory * 1.03), gauge(network, Some(1.25e8), network * 1.6),
            gauge(disk, None, disk * 1.2), gauge(power, Some(350.0), power_peak),
        ],
    })
}

fn top() -> Top {
    let mut top = Top::new(None);
    let rows = json!({"time_ms": 240_000, "matching": HOSTS.len(), "offset": 0, "rows": HOSTS.map(row)});
    let rows: Rows = serde_json::from_value(rows).unwrap();
    top.rows.matching = HOSTS.len();
    let mut cell = fleet();
    cell.cell = "main".to_owned();
    (cell.hosts.all, cell.hosts.online, cell.hosts.stale) = (9, 8, 1);
    (cell.incidents.open, cell.totals.samples_per_s) = (1, 54.0);
    cell.model.state = "serving".to_owned();
    cell.model.version = "1795970741792".to_owned();
    (cell.model.served, cell.model.progress) = ([0.0, 0.4, 0.6], None);
    take(&mut top, News::Fleet(Box::new(cell), rows));
    for (at, (name, _, [cpu, ..], _)) in HOSTS.into_iter().enumerate() {
        let value = |minute: usize| cpu * (0.7 + 0.3 * ((minute + 11 * at) as f64 / (4.0 + at as f64)).sin()).max(0.05);
        let points: Vec<(i64, f64)> = (0..60).map(|minute| (minute as i64 * 60_000, value(minute))).collect();
        let series = json!({"since_ms": 0, "until_ms": 3_600_000, "points": points});
        top.series.insert(
            (name.to_owned(), Resource::Cpu),
            serde_json::from_value(series).unwrap(),
        );
    }
    top
}

/// A colour of an ordinary dark terminal.
fn colour(colour: Option<Color>) -> &'static str {
    match colour {
        Some(Color::Red) => "#ff7b72",
        Some(Color::Yellow) => "#e3b341",
        _ => "#d8dee9",
    }
}

fn picture(lines: &[Line<'_>]) -> String {
    let (width, height) = (
        (SIZE.0 as f64).mul_add(CELL.0, 24.0),
        (SIZE.1 as f64).mul_add(CELL.1, 20.0),
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         role=\"img\" aria-label=\"foreshadow top: nine hosts of a cell\">\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#1d2128\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\" xml:space=\"preserve\">\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let (mut column, y) = (0, (row as f64).mul_add(CELL.1, 24.0));
        for span in &line.spans {
            let style: Style = line.style.patch(span.style);
            let (x, count) = ((column as f64).mul_add(CELL.0, 12.0), span.content.chars().count());
            let wide = count as f64 * CELL.0;
            column += count;
            let has = |modifier| style.add_modifier.contains(modifier);
            let (mut ink, mut more) = (colour(style.fg), String::new());
            if has(Modifier::REVERSED) {
                let paper = colour(style.fg);
                writeln!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"{:.0}\" fill=\"{paper}\"/>",
                    y - 14.0,
                    CELL.1
                )
                .unwrap();
                ink = "#1d2128";
            }
            for (modifier, attribute) in [
                (Modifier::BOLD, " font-weight=\"bold\""),
                (Modifier::DIM, " opacity=\"0.6\""),
                (Modifier::UNDERLINED, " text-decoration=\"underline\""),
            ] {
                more.push_str(if has(modifier) { attribute } else { "" });
            }
            if !span.content.trim().is_empty() {
                // Plain spaces at the begin and the end would be left out.
                let text = span
                    .content
                    .replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace(' ', "\u{a0}");
                writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{wide:.1}\" fill=\"{ink}\"{more}>{text}</text>"
                )
                .unwrap();
            }
        }
    }
    svg + "</g>\n</svg>\n"
}

#[test]
fn the_picture_of_the_documents_is_what_is_drawn() {
    let top = top();
    let drawn = lines(&top, SIZE.0, SIZE.1);
    assert_eq!(drawn.len(), SIZE.1);
    let svg = picture(&drawn);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images/top.svg");
    if std::env::var_os("FORESHADOW_WRITE_DOCS").is_some() {
        std::fs::write(&file, &svg).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        there == svg,
        "docs/images/top.svg: make it anew with FORESHADOW_WRITE_DOCS=1 and this test"
    );
}
