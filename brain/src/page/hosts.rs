//! The fleet as rows: what a table of ten thousand hosts asks for, a window at a time.
//!
//! Sorting, searching and counting is done here, so that a page gets what it shows and no more. Hosts and their accounts in
//! the pool both come in the order of names, so one pass over both is enough.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use shadow::{Resource, UnixMs};
use utoipa::ToSchema;

use super::{Shared, problem::Problem};
use crate::snapshot::{HostView, IncidentView, PoolView, ResourceView, Snapshot};

/// The most rows of an answer, and what is answered without `limit`.
const MAX_ROWS: usize = 500;
const DEFAULT_ROWS: usize = 100;
/// The most characters of a search.
const MAX_SEARCH: usize = 200;
/// From this share of what is allocated on, a peak is told as short.
const SHORT: f64 = 1.0;

/// Which rows are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowsQuery {
    search: Option<String>,
    show: Option<String>,
    sort: Option<String>,
    order: Option<String>,
    offset: Option<String>,
    limit: Option<String>,
}

/// Hosts, a row each.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the fields are the API's names")]
pub(super) struct Rows {
    /// The snapshot's time.
    time_ms: UnixMs,
    /// How many hosts match search and `show`.
    matching: usize,
    /// Position of the first row among them.
    offset: usize,
    rows: Vec<Row>,
}

/// One host in a line.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Row {
    name: String,
    /// `online`, `bmc only`, `stale` or `offline`.
    state: String,
    last_sample_ms: UnixMs,
    /// Incidents that go on.
    incidents: usize,
    /// The gravest of them: `info`, `warning` or `critical`; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
    /// In the order cpu, memory, network, disk, power.
    resources: Vec<Cell>,
}

/// One resource of one host, in its unit; what is not known is absent. Four significant digits.
#[derive(Debug, Default, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Cell {
    /// The newest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// What the host has at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<f64>,
    /// What is reserved by workloads (recommended, in recommend-only mode).
    #[serde(skip_serializing_if = "Option::is_none")]
    allocated: Option<f64>,
    /// The highest p95 that is forecast for the next 15 min.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak: Option<f64>,
}

/// One row as it is sorted and chosen.
struct Line<'a> {
    host: &'a HostView,
    cells: [Cell; 5],
    incidents: usize,
    severity: Option<&'static str>,
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy)]
enum Sort {
    Name,
    State,
    Age,
    Incidents,
    Pressure,
    Value(Resource),
}

/// Rows of hosts.
pub(super) async fn rows(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<RowsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let asked = Asked::of(&query)?;
    Ok(Json(asked.rows(&shared.snapshot())).into_response())
}

/// A query that was checked.
struct Asked {
    words: Vec<String>,
    show: Show,
    sort: Sort,
    descends: bool,
    offset: usize,
    limit: usize,
}

/// Which hosts are shown at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    All,
    /// Not online.
    Silent,
    /// With an incident that goes on.
    Incidents,
    /// With a peak above what is allocated.
    Short,
}

impl Asked {
    fn of(query: &RowsQuery) -> Result<Self, Problem> {
        let search = query.search.as_deref().unwrap_or_default();
        if search.chars().count() > MAX_SEARCH {
            return Err(Problem::bad_request(format!("search: at most {MAX_SEARCH} characters")));
        }
        let sort = query.sort.as_deref().unwrap_or("name");
        let sort = match sort {
            "name" => Sort::Name,
            "state" => Sort::State,
            "age" => Sort::Age,
            "incidents" => Sort::Incidents,
            "pressure" => Sort::Pressure,
            _ => Sort::Value(sort.parse().map_err(|_| {
                Problem::bad_request(format!(
                    "sort: {sort:?} is none of name, state, age, incidents, pressure, cpu, memory, network, disk, power"
                ))
            })?),
        };
        Ok(Self {
            words: search.split_whitespace().map(str::to_lowercase).collect(),
            show: match query.show.as_deref().unwrap_or("all") {
                "all" => Show::All,
                "silent" => Show::Silent,
                "incidents" => Show::Incidents,
                "short" => Show::Short,
                other => {
                    let told = format!("show: {other:?} is none of all, silent, incidents, short");
                    return Err(Problem::bad_request(told));
                }
            },
            descends: match query.order.as_deref().unwrap_or("ascending") {
                "ascending" => false,
                "descending" => true,
                other => {
                    let told = format!("order: {other:?} is neither ascending nor descending");
                    return Err(Problem::bad_request(told));
                }
            },
            sort,
            offset: number("offset", query.offset.as_deref(), 0, usize::MAX)?.unwrap_or(0),
            limit: number("limit", query.limit.as_deref(), 1, MAX_ROWS)?.unwrap_or(DEFAULT_ROWS),
        })
    }

    fn rows(&self, snapshot: &Snapshot) -> Rows {
        let mut lines: Vec<Line<'_>> = lines(snapshot).filter(|line| self.shows(line)).collect();
        lines.sort_by(|one, other| {
            let by = self.sort.compare(one, other);
            let by = if self.descends { by.reverse() } else { by };
            by.then_with(|| natural(&one.host.name, &other.host.name))
        });
        let window = lines.iter().skip(self.offset).take(self.limit);
        Rows {
            time_ms: snapshot.time_ms,
            matching: lines.len(),
            offset: self.offset,
            rows: window.map(Line::row).collect(),
        }
    }

    fn shows(&self, line: &Line<'_>) -> bool {
        let wanted = match self.show {
            Show::All => true,
            Show::Silent => line.host.state != "online",
            Show::Incidents => line.incidents > 0,
            Show::Short => line.pressure() > SHORT,
        };
        wanted && self.words.iter().all(|word| line.has(word))
    }
}

fn number(name: &str, text: Option<&str>, least: usize, most: usize) -> Result<Option<usize>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    let told = || match most {
        usize::MAX => format!("{name}: {text:?} is no whole number from {least} on"),
        _ => format!("{name}: {text:?} is no whole number from {least} to {most}"),
    };
    number.map(Some).ok_or_else(|| Problem::bad_request(told()))
}

/// All hosts with what is allocated on them and what goes on there.
fn lines(snapshot: &Snapshot) -> impl Iterator<Item = Line<'_>> {
    let mut open = BTreeMap::<&str, (usize, &'static str)>::new();
    for incident in snapshot.incidents.iter().filter(|incident| incident.goes_on) {
        let (count, severity) = open.entry(&incident.host).or_insert((0, incident.severity));
        *count += 1;
        *severity = graver(severity, incident);
    }
    let mut pool = snapshot.pool.as_slice();
    snapshot.hosts.iter().map(move |host| {
        let own = accounts(&mut pool, &host.name);
        let of = open.get(host.name.as_str());
        Line {
            cells: Resource::ALL.map(|resource| {
                let view = host.resources.iter().find(|view| view.resource == resource);
                let account = own.iter().find(|account| account.resource == resource);
                view.map(|view| Cell::of(view, account)).unwrap_or_default()
            }),
            host,
            incidents: of.map_or(0, |(count, _)| *count),
            severity: of.map(|(_, severity)| *severity),
        }
    })
}

fn graver(known: &'static str, incident: &IncidentView) -> &'static str {
    let rank = |severity: &str| {
        ["info", "warning", "critical"]
            .iter()
            .position(|word| *word == severity)
    };
    if rank(incident.severity) > rank(known) {
        incident.severity
    } else {
        known
    }
}

/// Takes the accounts of `host` off the front of `pool`, and what is of hosts before it, which are no longer known.
fn accounts<'a>(pool: &mut &'a [PoolView], host: &str) -> &'a [PoolView] {
    let is_before = |account: &&PoolView| account.host.as_deref().is_some_and(|of| of < host);
    let before = pool.iter().take_while(is_before);
    let rest = pool.get(before.count()..).unwrap_or_default();
    let own = rest
        .iter()
        .take_while(|account| account.host.as_deref() == Some(host))
        .count();
    let (own, rest) = rest.split_at(own);
    *pool = rest;
    own
}

impl Cell {
    fn of(view: &ResourceView, account: Option<&PoolView>) -> Self {
        Self {
            value: view.value.map(rounded),
            capacity: view.capacity.map(rounded),
            allocated: account.and_then(|account| allocated(view, account)).map(rounded),
            peak: view.peak().map(rounded),
        }
    }

    /// The peak as a share of what is allocated, or of what there is where nothing is; 0 where neither is known.
    fn pressure(&self) -> f64 {
        let most = self.allocated.or(self.capacity).filter(|most| *most > 0.0);
        let peak = self.peak.unwrap_or(0.0).max(self.value.unwrap_or(0.0));
        most.map_or(0.0, |most| peak / most)
    }

    /// The value as a share of the capacity, where that is known.
    fn fill(&self) -> Option<f64> {
        let value = self.value?;
        Some(
            self.capacity
                .filter(|capacity| *capacity > 0.0)
                .map_or(value, |capacity| value / capacity),
        )
    }
}

/// What is reserved in the unit of the resource's values: the pool counts cores and bytes where values are shares.
pub(super) fn allocated(view: &ResourceView, account: &PoolView) -> Option<f64> {
    let share = match view.resource {
        Resource::Cpu | Resource::Memory => account.reserved / account.capacity,
        Resource::Network | Resource::Disk | Resource::Power => account.reserved,
    };
    (share.is_finite() && account.reserved > 0.0).then_some(share)
}

impl Line<'_> {
    /// Of its worst resource.
    fn pressure(&self) -> f64 {
        self.cells.iter().map(Cell::pressure).fold(0.0, f64::max)
    }

    /// Whether a word is in what people call it.
    fn has(&self, word: &str) -> bool {
        let host = self.host;
        let told = [&host.name, &host.state, &host.inventory, &host.agent_version];
        let workloads = host.workloads.iter().map(|workload| &workload.name);
        told.into_iter()
            .chain(workloads)
            .any(|text| text.to_lowercase().contains(word))
    }

    fn row(&self) -> Row {
        Row {
            name: self.host.name.clone(),
            state: self.host.state.clone(),
            last_sample_ms: self.host.last_sample_ms,
            incidents: self.incidents,
            severity: self.severity,
            resources: self.cells.to_vec(),
        }
    }
}

impl Sort {
    fn compare(self, one: &Line<'_>, other: &Line<'_>) -> Ordering {
        match self {
            Self::Name => natural(&one.host.name, &other.host.name),
            Self::State => one.host.state.cmp(&other.host.state),
            // The one that was heard last is the youngest.
            Self::Age => other.host.last_sample_ms.cmp(&one.host.last_sample_ms),
            Self::Incidents => one.incidents.cmp(&other.incidents),
            Self::Pressure => one.pressure().total_cmp(&other.pressure()),
            Self::Value(resource) => {
                let fill = |line: &Line<'_>| line.cells.get(resource.index()).and_then(Cell::fill).unwrap_or(-1.0);
                fill(one).total_cmp(&fill(other))
            }
        }
    }
}

/// Names as people count: `web-2` before `web-10`.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one, other);
    loop {
        let (a, b) = (chunk(&mut left), chunk(&mut right));
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len()).then_with(|| one.cmp(other));
        }
        let number = |text: &str| text.parse::<u64>().ok();
        let by = match (number(a), number(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.cmp(b),
        };
        if by != Ordering::Equal {
            return by;
        }
    }
}

/// Takes digits, or what are none, off the front of `text`.
fn chunk<'a>(text: &mut &'a str) -> &'a str {
    let is_digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text
        .find(|c: char| c.is_ascii_digit() != is_digit)
        .unwrap_or(text.len());
    let (chunk, rest) = text.split_at(end);
    *text = rest;
    chunk
}

/// Four significant digits: more than a bar or a number on a page has.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    // By way of decimals, so that the JSON has no more digits either.
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests;
