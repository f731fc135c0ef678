//! The API as an `OpenAPI` 3.1 document: `/api/v1/openapi.json`.
//!
//! Schemas are derived beside `Serialize`, so they tell of the fields that are answered. Which routes there are stands in one
//! table here, which a test holds against the router, and against what the page asks for.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    body::Bytes,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa::openapi::{
    Components, ComponentsBuilder, InfoBuilder, License, ObjectBuilder, OpenApi, OpenApiBuilder, PathsBuilder, RefOr,
    Schema, SchemaFormat, Type, schema::KnownFormat,
};

use self::route::{JSON, Route, all, get, needed, newest, of_path, optional, other, post, told};
use super::{
    api, fleet, freeze, health, history, hosts, incidents, inventory,
    login::{self, form},
    proposals, recent, records,
};
use crate::{
    allocate::proposals::Proposal,
    history::{AnomalyView, CommandView, EventView, ForecastRow, HostRow, IncidentView, PlanView},
    snapshot::Snapshot,
};

mod route;
mod security;

/// How utoipa calls the type of unix milliseconds, and how the document does.
const MILLISECONDS: [&str; 2] = ["i64", "UnixMs"];

/// The document, made at its first use.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let [plain, named] = MILLISECONDS.map(|name| format!("\"#/components/schemas/{name}\""));
    openapi().to_json().unwrap_or_default().replace(&plain, &named).into()
});

/// The API for machines.
pub(super) async fn document() -> Response {
    let kind = HeaderValue::from_static(JSON);
    ([(header::CONTENT_TYPE, kind)], DOCUMENT.clone()).into_response()
}

/// All routes under `/api/v1` and the two beside it.
fn routes() -> Vec<Route> {
    live().into_iter().chain(stored()).chain(written()).collect()
}

/// What is told from memory.
fn live() -> Vec<Route> {
    let host = || vec![of_path("host", "name of the host")];
    let of = || optional(&[("host", "of this host alone")]);
    let resource = || needed("resource", "cpu, memory, network, disk or power");
    let choose = [
        ("search", "words that are all in name, state, inventory or workloads"),
        (
            "show",
            "all, silent, incidents or short (a peak above what is allocated)",
        ),
        (
            "sort",
            "name, state, age, incidents, pressure, or a resource by its use",
        ),
        ("order", "ascending or descending"),
        ("offset", "rows to leave out"),
        ("limit", "1 to 500, 100 unless it is said"),
    ];
    let full_rate = [
        ("seconds", "1 to 3600, 60 unless it is said"),
        ("vantage", "inband or oob"),
    ];
    vec![
        get::<Snapshot>("/api/v1/snapshot", "Everything as it stands now", Vec::new()),
        get::<fleet::Fleet<'_>>("/api/v1/fleet", "Counts, model and totals of the cell", Vec::new()),
        get::<hosts::Rows>("/api/v1/hosts", "One row a host", optional(&choose)),
        get::<fleet::HostDetail<'_>>("/api/v1/hosts/{host}", "One host with all that belongs to it", host()),
        get::<inventory::InventoryAnswer<'_>>("/api/v1/hosts/{host}/inventory", "What a host is made of", host()),
        get::<inventory::Readings>(
            "/api/v1/hosts/{host}/readings",
            "What everything on a host reads now",
            host(),
        ),
        get::<api::Series>(
            "/api/v1/hosts/{host}/series",
            "Recent values of one resource",
            all([
                host(),
                vec![resource()],
                optional(&[("minutes", "1 to 1440, 60 unless it is said")]),
            ]),
        ),
        get::<recent::Recent>(
            "/api/v1/hosts/{host}/recent",
            "Metrics at full rate",
            all([
                host(),
                vec![needed("metrics", "1 to 64 names with commas between")],
                optional(&full_rate),
            ]),
        ),
        newest::<IncidentView>("/api/v1/incidents", "The newest incidents", of()),
        newest::<CommandView>("/api/v1/commands", "The newest commands with their outcomes", of()),
        newest::<EventView>("/api/v1/events", "The newest events", of()),
        newest::<Proposal>(
            "/api/v1/proposals",
            "Proposals that are open, and the newest before",
            of(),
        ),
        get::<records::PlanAnswer<'_>>(
            "/api/v1/plan",
            "What the newest round of allocation came to",
            Vec::new(),
        ),
        get::<records::ScoresAnswer<'_>>("/api/v1/scores", "How good forecasts are and were", Vec::new()),
        get::<freeze::Stands>("/api/v1/freeze", "How the freeze switch stands", Vec::new()),
        get::<login::Me>("/api/v1/me", "Who asks", Vec::new()),
        get::<health::Health>("/healthz", "200 while snapshots keep coming, else 503", Vec::new())
            .or::<health::Health>(StatusCode::SERVICE_UNAVAILABLE, "`stale` or `stopped`"),
        other(
            "/api/v1/stream",
            "Server-sent events tick, quiet and progress",
            "text/event-stream",
        ),
        other("/api/v1/openapi.json", "This document", JSON),
        other(
            "/metrics",
            "The brain's own metrics for Prometheus",
            "application/openmetrics-text",
        ),
    ]
}

/// What is read from the store.
fn stored() -> Vec<Route> {
    let within = [
        (
            "since",
            "a span back (2h), RFC 3339, or seconds of the unix clock; 1h unless it is said",
        ),
        ("until", "likewise; now unless it is said"),
        ("limit", "rows at most: the newest, oldest first"),
    ];
    let (host, resource) = (("host", "of this host alone"), ("resource", "of this resource alone"));
    let by_host = || all([optional(&[host]), optional(&within)]);
    let by_both = || all([optional(&[host, resource]), optional(&within)]);
    let series = all([
        vec![needed("host", "name of the host")],
        optional(&[resource, ("resolution", "auto, 10s, 1m or 1h")]),
        optional(&within),
    ]);
    vec![
        told::<HostRow>("/api/v1/history/hosts", "All hosts that the store knows", Vec::new()),
        get::<history::SeriesAnswer<'_>>("/api/v1/history/series", "Rows of one host in columns", series),
        told::<ForecastRow>(
            "/api/v1/history/forecasts",
            "Forecasts by when they were made",
            by_both(),
        ),
        told::<AnomalyView>("/api/v1/history/anomalies", "Anomalies by any of their time", by_both()),
        told::<IncidentView>("/api/v1/history/incidents", "Incidents by any of their time", by_host()),
        told::<CommandView>(
            "/api/v1/history/commands",
            "Commands by when they were issued",
            by_both(),
        ),
        told::<Proposal>(
            "/api/v1/history/proposals",
            "Proposals by when they were made, and what became of them",
            by_both(),
        ),
        told::<EventView>("/api/v1/history/events", "Events by when they happened", by_host()),
        told::<PlanView>(
            "/api/v1/history/plans",
            "Plans by when they were made",
            optional(&within),
        ),
    ]
}

/// What is changed, by operators; and the way out.
fn written() -> Vec<Route> {
    let incident = vec![
        of_path("host", "name of the host"),
        of_path("since_ms", "when the incident began"),
    ];
    let proposal = || vec![of_path("id", "name of the proposal")];
    vec![
        post::<incidents::By, incidents::Done>(
            "/api/v1/hosts/{host}/incidents/{since_ms}/acknowledge",
            "Somebody takes notice of an incident",
            incident,
        ),
        post::<proposals::Yes, Proposal>(
            "/api/v1/proposals/{id}/approve",
            "What was proposed is noted, then commanded; 409 where it does not fit now, 503 where the store does not take it",
            proposal(),
        ),
        post::<proposals::No, Proposal>("/api/v1/proposals/{id}/decline", "Somebody says no", proposal()),
        post::<freeze::Turn, freeze::Stands>("/api/v1/freeze", "Nothing is changed any more", Vec::new()),
        post::<freeze::Turn, freeze::Stands>("/api/v1/thaw", "Changes are made again", Vec::new()),
        post::<form::Leave, login::Me>("/logout", "Ends the session of the cookie", Vec::new()),
    ]
}

fn openapi() -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut schemas = Vec::new();
    for route in routes() {
        route.schemas(&mut schemas);
        let (path, item) = (route.path, route.item());
        paths = paths.path(path, item);
    }
    let info = InfoBuilder::new()
        .title("foreshadow brain")
        .description(Some(
            "What a brain sees, and the little that can be changed there. Times are unix milliseconds.",
        ))
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(License::new("Apache-2.0")));
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build())
        .components(Some(components(schemas)))
        .build()
}

/// Every schema once, unix milliseconds under a name that says so.
fn components(schemas: Vec<(String, RefOr<Schema>)>) -> Components {
    let mut known: BTreeMap<String, RefOr<Schema>> = schemas.into_iter().collect();
    let [plain, named] = MILLISECONDS;
    let milliseconds = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some("Unix time in milliseconds"));
    if known.remove(plain).is_some() {
        known.insert(named.to_owned(), milliseconds.into());
    }
    let components = ComponentsBuilder::new().schemas_from_iter(known);
    let with = |components: ComponentsBuilder, (name, scheme)| components.security_scheme(name, scheme);
    security::schemes().into_iter().fold(components, with).build()
}

#[cfg(test)]
mod tests;
