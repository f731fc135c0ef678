use shadow::{Quantiles, Rung, Shares};

use super::*;
use crate::snapshot::{IncidentView, ModelView, Totals};

fn snapshot() -> Snapshot {
    let forecast = |resource, horizon_s| Forecast {
        resource,
        made_ms: 1_764_000_000_000,
        horizon_s,
        quantiles: Quantiles::from_array([123_456_789.123, 223_456_789.123, 323_456_789.123, 423_456_789.123]),
        rung: Rung::Lstm,
        shares: Shares::default(),
        skill: Some(-0.123_456_789),
        coverage: Some(0.951_234_567),
    };
    let resources = Resource::ALL.map(|resource| ResourceView {
        resource,
        unit: resource.unit(),
        value: (resource != Resource::Power).then_some(0.123_456_789),
        absent: "no RAPL, no hwmon power sensor, no battery".repeat(9),
        capacity: Some(1.0),
        forecasts: [300, 900].map(|horizon_s| forecast(resource, horizon_s)).to_vec(),
        peaks: Vec::new(),
    });
    let host = HostView {
        name: "a".into(),
        state: "online".into(),
        last_sample_ms: 1_764_000_000_123,
        interval_ms: 100,
        agent_version: "0.1.0".into(),
        resources: resources.to_vec(),
        ..HostView::default()
    };
    let anomaly = AnomalyView {
        host: "a".into(),
        resource: Resource::Cpu,
        since_ms: 1_763_999_000_000,
        until_ms: 1_764_000_000_500,
        score: 4.25,
        evidence: "cpu 0.93, expected \"0.31\" (p99 0.44) 5 min before; 1 in 12,000\n".repeat(5),
    };
    let incident = IncidentView {
        host: "a".into(),
        since_ms: 1_763_999_000_000,
        until_ms: 1_764_000_000_500,
        goes_on: true,
        severity: "critical",
        score: 9.0,
        cause: "edac mc0: uncorrected error ".repeat(20),
        signals: Vec::new(),
        acknowledged_ms: Some(1_763_999_500_000),
        acknowledged_by: Some("\u{1f600}".repeat(254)),
    };
    Snapshot {
        time_ms: 1_764_000_000_500,
        cell: "main".into(),
        hosts: vec![host],
        anomalies: vec![anomaly],
        incidents: vec![incident],
        model: ModelView {
            version: "v".repeat(300),
            ..ModelView::default()
        },
        totals: Totals {
            samples_per_s: 12_345.678,
            ..Totals::default()
        },
        ..Snapshot::default()
    }
}

#[test]
fn every_view_is_short_flat_json() {
    let snapshot = snapshot();
    let mut views = of_host(&snapshot, &snapshot.hosts[0]);
    views.extend(of_cell(&snapshot).map(|(path, view)| (path.to_owned(), view)));
    let paths: Vec<&str> = views.iter().map(|(path, _)| path.as_str()).collect();
    for path in [
        "status",
        "cpu",
        "power",
        "forecast/network/15m",
        "anomaly",
        "incident",
        "allocation",
        "fleet",
        "pool",
        "models",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
    for (path, view) in &views {
        assert!(view.len() <= MAX_BYTES, "{path}: {} bytes", view.len());
        let parsed: BTreeMap<String, serde_json::Value> = serde_json::from_str(view).unwrap();
        assert!(
            parsed.values().all(|value| value.is_number() || value.is_string()),
            "{path}: {view}"
        );
    }
}

/// What waits is counted, what was decided is not, whatever else there is to say of a plan.
#[test]
fn the_plan_tells_how_many_proposals_wait() {
    let proposal = |fate| Proposal {
        id: "7-a-p1".into(),
        host: "a".into(),
        made_ms: 0,
        expires_ms: 900_000,
        change: shadow::Change {
            workload: "web".into(),
            resource: Resource::Cpu,
            before: None,
            target: 1.0,
            ceiling: None,
            explanation: shadow::Explanation::default(),
        },
        fate,
        decided_ms: None,
        by: String::new(),
        reason: String::new(),
        command_id: None,
        outcome: None,
    };
    let fates = [Fate::Open, Fate::Open, Fate::Approved, Fate::Declined, Fate::Lapsed];
    let snapshot = Snapshot {
        mode: "recommend-only".into(),
        proposals: fates.map(proposal).to_vec().into(),
        freeze: Some(crate::dispatch::Freeze {
            by: "x".repeat(254),
            reason: "y".repeat(200),
            since_ms: 1_764_000_000_000,
        }),
        ..snapshot()
    };
    let view = plan(&snapshot);
    assert!(
        view.starts_with(r#"{"mode":"recommend-only","unmet":0,"proposals":2,"cpu_reclaimable":0,"#),
        "{view}"
    );
    assert!(
        view.len() <= MAX_BYTES && view.contains("\"frozen\":1764000000"),
        "{view}"
    );
}

#[test]
fn values_are_bare_numbers_and_absence_has_a_reason() {
    let snapshot = snapshot();
    let views: BTreeMap<String, String> = of_host(&snapshot, &snapshot.hosts[0]).into_iter().collect();
    assert!(views["cpu"].starts_with(r#"{"value":0.1235,"unit":"1","capacity":1,"horizon_s":900,"p50":123456789,"#));
    assert!(
        views["power"].starts_with(r#"{"absent":"no RAPL"#),
        "{}",
        views["power"]
    );
    assert!(views["incident"].starts_with(r#"{"severity":"critical","since":1763999000,"score":9,"signals":0,"#));
    assert!(
        views["anomaly"]
            .starts_with(r#"{"active":1,"resource":"cpu","score":4.25,"since":1763999000,"evidence":"cpu 0.93"#)
    );
}

#[test]
fn only_changes_are_published() {
    let view = |json: &str| vec![("t".to_owned(), json.to_owned())];
    let mut views = Views::default();
    assert_eq!(views.changes(view("1")).len(), 1);
    assert_eq!(views.changes(view("1")).len(), 0);
    assert_eq!(views.changes(view("2")).len(), 1);
    views.failed("t");
    assert_eq!(views.changes(view("2")).len(), 1);
    views.forget();
    assert_eq!(views.changes(view("2")).len(), 1);
}

#[test]
fn horizons_have_short_names() {
    for (seconds, name) in [(300, "5m"), (900, "15m"), (5_400, "1h30m"), (45, "45s")] {
        assert_eq!(horizon(seconds), name);
    }
}
