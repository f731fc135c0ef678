//! What a host is made of, and what everything on it reads now: its births, and the newest frames against them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shadow::{Birth, Bmc, Capacity, Inventory, Missing, Processor, Reading, Source, UnixMs, Vantage};
use utoipa::ToSchema;

use super::{Shared, api, problem::Problem};
use crate::snapshot::Snapshot;

/// How far back a newest reading is looked for: what is read each ten seconds has come, and little is decoded.
const LOOKED_BACK_MS: i64 = 30_000;

/// What a host is made of, by who tells it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InventoryAnswer<'a> {
    host: &'a str,
    /// In band first.
    told: Vec<ToldBy<'a>>,
}

/// What one agent told of a host at the begin of its epoch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ToldBy<'a> {
    /// `inband` or `oob`.
    vantage: &'static str,
    time_ms: UnixMs,
    agent_version: &'a str,
    capacity: &'a Capacity,
    kernel: &'a str,
    os: &'a str,
    cpu_model: &'a str,
    processor: Option<&'a Processor>,
    bmc: Option<&'a Bmc>,
    interfaces: &'a [String],
    disks: &'a [String],
    pci: &'a [shadow::PciDevice],
    sources: &'a [Source],
    /// How many metrics are sampled.
    metrics: usize,
}

impl<'a> ToldBy<'a> {
    fn of(vantage: Vantage, birth: &'a Birth) -> Self {
        let Inventory {
            kernel,
            os,
            cpu_model,
            pci,
            interfaces,
            disks,
            processor,
            bmc,
        } = &birth.inventory;
        Self {
            vantage: vantage.as_str(),
            time_ms: birth.time_ms,
            agent_version: &birth.agent_version,
            capacity: &birth.capacity,
            kernel,
            os,
            cpu_model,
            processor: processor.as_ref(),
            bmc: bmc.as_ref(),
            interfaces,
            disks,
            pci,
            sources: &birth.sources,
            metrics: birth.catalogue.len(),
        }
    }
}

/// What a host is made of.
pub(super) async fn inventory(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(host) = path?;
    let snapshot = shared.snapshot();
    let births = births(&snapshot, &host)?;
    let told = births.iter().map(|(vantage, birth)| ToldBy::of(*vantage, birth));
    Ok(Json(InventoryAnswer {
        host: &host,
        told: told.collect(),
    })
    .into_response())
}

/// The newest reading of everything that is sampled on a host.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the fields are the API's names")]
pub(super) struct Readings {
    host: String,
    /// The snapshot's time.
    time_ms: UnixMs,
    /// In band first, each in the order of its catalogue.
    readings: Vec<MetricReading>,
}

/// One metric and what it read last.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MetricReading {
    /// `cpu.0.user`, `bmc.Inlet Temp`.
    metric: String,
    /// `1` (a share), `By`, `By/s`, `1/s`, `W`, `Cel`, ...
    unit: String,
    /// `inband` or `oob`.
    vantage: &'static str,
    /// When it was sampled; `None` where nothing has come within 30 s.
    time_ms: Option<UnixMs>,
    /// `None` where there is none.
    value: Option<f64>,
    /// Why there is none: `absent`, `failed`, `stale` or `silent`; empty where there is one.
    missing: &'static str,
}

/// Everything that is sampled, as it was read last.
pub(super) async fn readings(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(host) = path?;
    let snapshot = shared.snapshot();
    let births = births(&snapshot, &host)?.to_vec();
    let (of, time_ms) = (host.clone(), snapshot.time_ms);
    let readings = api::history(&shared, move |source| {
        let mut all = Vec::new();
        for (vantage, birth) in &births {
            let metrics = birth.catalogue.metrics();
            let names: Vec<&str> = metrics.iter().map(|metric| &*metric.name).collect();
            let told = source.recent(&of, *vantage, &names, time_ms.saturating_sub(LOOKED_BACK_MS));
            let told = told.unwrap_or_default();
            for (place, metric) in metrics.iter().enumerate() {
                let column = told.columns.get(place).map_or(&[][..], Vec::as_slice);
                let newest = newest(&told.times_ms, column);
                all.push(MetricReading {
                    metric: metric.name.clone(),
                    unit: metric.unit.clone(),
                    vantage: vantage.as_str(),
                    time_ms: newest.map(|(time_ms, _)| time_ms),
                    value: newest.and_then(|(_, reading)| reading.value()),
                    missing: newest.map_or("silent", |(_, reading)| reading.missing().map_or("", Missing::as_str)),
                });
            }
        }
        all
    });
    Ok(Json(Readings {
        host,
        time_ms,
        readings: readings.await?,
    })
    .into_response())
}

/// The newest reading that has a value, else the newest of all.
fn newest(times_ms: &[UnixMs], column: &[Reading]) -> Option<(UnixMs, Reading)> {
    let mut from_the_end = times_ms.iter().copied().zip(column.iter().copied()).rev();
    let last = from_the_end.clone().next();
    from_the_end.find(|(_, reading)| reading.value().is_some()).or(last)
}

/// What a host's agents told.
fn births<'a>(snapshot: &'a Snapshot, host: &str) -> Result<&'a [(Vantage, Arc<Birth>)], Problem> {
    let known = snapshot.hosts.iter().find(|known| known.name == host);
    known
        .map(|known| known.births.as_slice())
        .ok_or_else(|| api::unknown_host(host))
}
