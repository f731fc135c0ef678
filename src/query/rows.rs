//! Answers to rows of cells.

use std::sync::Arc;

use brain::{
    allocate::proposals::Proposal,
    history::{AnomalyView, CommandView, EventView, ForecastRow, HostRow, IncidentView, PlanView, Series, rfc3339},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use shadow::{Resource, UnixMs};

use super::sheet::Cell;

/// What a table or CSV is made of.
pub(crate) trait Row: Sized {
    /// Names of the columns, with units where all rows have the same.
    fn headers(rows: &[Self]) -> Vec<String>;

    /// The cells of one row or several.
    fn cells(&self) -> Vec<Vec<Cell>>;
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn time(time_ms: UnixMs) -> Cell {
    Cell::Text(rfc3339(time_ms))
}

fn optional(text: Option<&str>) -> Cell {
    text.map_or(Cell::Unknown, Cell::text)
}

impl Row for HostRow {
    fn headers(_: &[Self]) -> Vec<String> {
        names(&[
            "host",
            "first_seen",
            "last_sample",
            "agent_version",
            "cpu_cores",
            "memory_bytes",
            "cpu_model",
            "os",
        ])
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        vec![vec![
            Cell::text(&self.host),
            time(self.first_seen_ms),
            time(self.last_sample_ms),
            optional(self.agent_version.as_deref()),
            Cell::maybe(self.cpu_cores),
            Cell::maybe(self.memory_bytes),
            optional(self.cpu_model.as_deref()),
            optional(self.os.as_deref()),
        ]]
    }
}

impl Row for ForecastRow {
    fn headers(_: &[Self]) -> Vec<String> {
        names(&[
            "host",
            "made",
            "resource",
            "unit",
            "horizon_s",
            "p50",
            "p90",
            "p95",
            "p99",
            "rung",
            "skill",
            "coverage",
        ])
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        let forecast = &self.forecast;
        let mut cells = vec![
            Cell::text(&self.host),
            time(forecast.made_ms),
            Cell::text(&forecast.resource),
            Cell::text(forecast.resource.unit()),
            Cell::number(forecast.horizon_s),
        ];
        cells.extend(forecast.quantiles.to_array().map(Cell::number));
        cells.push(Cell::text(forecast.rung.as_str()));
        cells.extend([forecast.skill, forecast.coverage].map(Cell::maybe));
        vec![cells]
    }
}

impl Row for Proposal {
    fn headers(_: &[Self]) -> Vec<String> {
        names(&[
            "host",
            "made",
            "id",
            "workload",
            "resource",
            "unit",
            "before",
            "target",
            "fate",
            "decided",
            "by",
            "reason",
            "command",
            "state",
            "explanation",
        ])
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        let change = &self.change;
        vec![vec![
            Cell::text(&self.host),
            time(self.made_ms),
            Cell::text(&self.id),
            Cell::text(&change.workload),
            Cell::text(&change.resource),
            Cell::text(change.resource.unit()),
            Cell::maybe(change.before),
            Cell::number(change.target),
            Cell::text(self.fate.as_str()),
            self.decided_ms.map_or(Cell::Unknown, time),
            Cell::text(&self.by),
            Cell::text(&self.reason),
            optional(self.command_id.as_deref()),
            optional(self.outcome.as_ref().map(|outcome| outcome.state.as_str())),
            Cell::text(&change.explanation.text),
        ]]
    }
}

impl Row for PlanView {
    fn headers(_: &[Self]) -> Vec<String> {
        names(&[
            "time",
            "mode",
            "hosts",
            "raised",
            "lowered",
            "told",
            "changes_left",
            "queued",
            "throttled",
            "unmet",
            "wakes",
            "renewed",
            "words",
        ])
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        let counts = [
            self.hosts,
            self.raised,
            self.lowered,
            self.told,
            self.changes_left,
            self.queued,
            self.throttled,
            self.unmet,
            self.wakes,
            self.renewed,
        ];
        let mut cells = vec![time(self.time_ms), Cell::text(&self.mode)];
        cells.extend(counts.iter().map(Cell::text));
        cells.push(Cell::text(&self.words.replace('\n', "; ")));
        vec![cells]
    }
}

impl Row for AnomalyView {
    fn headers(_: &[Self]) -> Vec<String> {
        names(&["host", "since", "until", "resource", "score", "evidence"])
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        vec![vec![
            Cell::text(&self.host),
            time(self.since_ms),
            time(self.until_ms),
            Cell::text(&self.resource),
            Cell::number(self.score),
            Cell::text(&self.evidence),
        ]]
    }
}

impl Row for IncidentView {
    fn headers(_: &[Self]) -> Vec<String> {
        names(&[
            "host",
            "since",
            "until",
            "goes_on",
            "severity",
            "score",
            "signals",
            "acknowledged_by",
            "cause",
        ])
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        let signals: Vec<&str> = self.signals.iter().map(|signal| &*signal.subject).collect();
        vec![vec![
            Cell::text(&self.host),
            time(self.since_ms),
            time(self.until_ms),
            Cell::text(&self.goes_on),
            Cell::text(&self.severity),
            Cell::number(self.score),
            Cell::text(&signals.join(", ")),
            optional(self.acknowledged_by.as_deref()),
            Cell::text(&self.cause),
        ]]
    }
}

impl Row for CommandView {
    fn headers(_: &[Self]) -> Vec<String> {
        names(&[
            "host",
            "issued",
            "id",
            "ttl_ms",
            "dry_run",
            "workload",
            "resource",
            "unit",
            "before",
            "target",
            "state",
            "answered",
            "reason",
            "explanation",
        ])
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        let (command, outcome) = (&self.command, self.outcome.as_ref());
        let change = |change: &shadow::Change| {
            vec![
                Cell::text(&command.host),
                time(command.issued_ms),
                Cell::text(&command.id),
                Cell::text(&command.ttl_ms),
                Cell::text(&command.dry_run),
                Cell::text(&change.workload),
                Cell::text(&change.resource),
                Cell::text(reserved_in(change.resource)),
                Cell::maybe(change.before),
                Cell::number(change.target),
                optional(outcome.map(|outcome| outcome.state.as_str())),
                outcome.map_or(Cell::Unknown, |outcome| time(outcome.time_ms)),
                optional(outcome.map(|outcome| &*outcome.reason)),
                Cell::text(&change.explanation.text),
            ]
        };
        command.changes.iter().map(change).collect()
    }
}

/// The unit of reservations.
const fn reserved_in(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "cores",
        Resource::Memory => "B",
        Resource::Network | Resource::Disk | Resource::Power => resource.unit(),
    }
}

impl Row for EventView {
    fn headers(_: &[Self]) -> Vec<String> {
        names(&[
            "host", "time", "vantage", "severity", "source", "subject", "kind", "text", "details",
        ])
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        let details: Vec<String> = self
            .details
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        vec![vec![
            Cell::text(&self.host),
            time(self.time_ms),
            Cell::text(self.vantage),
            Cell::text(self.severity),
            Cell::text(&self.source),
            Cell::text(&self.subject),
            Cell::text(&self.kind),
            Cell::text(&self.text),
            Cell::Text(details.join(" ")),
        ]]
    }
}

/// One row of a series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeriesRow {
    host: Arc<str>,
    resolution: &'static str,
    begin_ms: UnixMs,
    coverage: f32,
    names: Arc<[String]>,
    /// By name; NaN where nothing is known.
    values: Vec<f32>,
}

impl SeriesRow {
    /// The rows of one host.
    pub(super) fn all(host: &str, series: &Series) -> Vec<Self> {
        let (host, rows) = (Arc::from(host), &series.rows);
        let names: Arc<[String]> = rows.columns.iter().map(|column| column.name()).collect();
        let times = rows.begin_ms.iter().zip(&rows.coverage).enumerate();
        let values = |at| {
            rows.values
                .iter()
                .map(move |values| values.get(at).copied().unwrap_or(f32::NAN))
        };
        let row = |(at, (&begin_ms, &coverage))| Self {
            host: Arc::clone(&host),
            resolution: series.resolution.as_str(),
            begin_ms,
            coverage,
            names: Arc::clone(&names),
            values: values(at).collect(),
        };
        times.map(row).collect()
    }

    /// Leaves out the columns of which nothing is known in any row.
    pub(super) fn drop_unknown(rows: &mut [Self]) {
        let Some(names) = rows.first().map(|row| Arc::clone(&row.names)) else {
            return;
        };
        let is_known = |column: usize| {
            rows.iter()
                .filter_map(|row| row.values.get(column))
                .any(|value| value.is_finite())
        };
        let known: Vec<bool> = (0..names.len()).map(is_known).collect();
        let kept = names.iter().zip(&known).filter(|&(_, &known)| known);
        let kept: Arc<[String]> = kept.map(|(name, _)| name.clone()).collect();
        for row in rows {
            let mut known = known.iter();
            row.values.retain(|_| known.next() == Some(&true));
            row.names = Arc::clone(&kept);
        }
    }
}

impl Row for SeriesRow {
    fn headers(rows: &[Self]) -> Vec<String> {
        let mut headers = names(&["host", "resolution", "time", "coverage"]);
        headers.extend(rows.iter().take(1).flat_map(|row| row.names.iter().cloned()));
        headers
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        let mut cells = vec![
            Cell::text(&self.host),
            Cell::text(self.resolution),
            time(self.begin_ms),
            Cell::number(self.coverage),
        ];
        cells.extend(self.values.iter().map(|value| Cell::number(*value)));
        vec![cells]
    }
}

impl Serialize for SeriesRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("host", &*self.host)?;
        map.serialize_entry("resolution", self.resolution)?;
        map.serialize_entry("time_ms", &self.begin_ms)?;
        map.serialize_entry("coverage", &self.coverage)?;
        let known = self
            .names
            .iter()
            .zip(&self.values)
            .filter(|(_, value)| value.is_finite());
        for (name, value) in known {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
