//! Batches for tests of stores.

use std::sync::Arc;

use anomaly::{Acknowledged, Incident, Kind, Signal};
use shadow::{
    Change, Command, Explanation, Forecast, Frame, Hole, Outcome, OutcomeState, Quantiles, Resource, Rung, Severity,
    Shares, Vantage,
};

use super::{AnomalyRow, Batch, ModelRow, PlanRow, Rollup, SavingRow, Since, Stream, WorkloadMinute, meta};
use crate::{
    allocate::proposals::{Fate, Proposal},
    ingest::RangeSet,
    testing,
};

pub(super) const SINCE: Since = Since {
    rollups_ms: 0,
    rows: i64::MAX,
    step_ms: 10_000,
    events_ms: 0,
};

pub(super) fn stream() -> Stream {
    Stream {
        host: "web-1".into(),
        vantage: Vantage::Inband,
    }
}

pub(super) fn frame(sequence: u64, start_ms: i64) -> Frame {
    Frame {
        epoch: 7,
        sequence,
        start_ms,
        samples: 1,
        codec: 1,
        reference: 0,
        body: vec![1, 2, 3].into(),
    }
}

/// Something of everything.
pub(crate) fn full_batch() -> Batch {
    full_batch_of("web-1", 0)
}

/// The same of another host, so much later.
pub(super) fn full_batch_of(host: &str, by_ms: i64) -> Batch {
    let host: Arc<str> = host.into();
    let stream = || Stream {
        host: Arc::clone(&host),
        vantage: Vantage::Inband,
    };
    let epoch = 7 + 1_000 * by_ms.unsigned_abs();
    let frame = |sequence: u64, start_ms: i64| Frame {
        epoch,
        ..frame(sequence, by_ms + start_ms)
    };
    let mut mean = [f32::NAN; 7];
    mean[0] = 0.25;
    let rollup = |bucket_ms: i64| {
        (
            (host.clone(), by_ms + bucket_ms),
            Rollup {
                step_ms: 10_000,
                coverage: 0.5,
                mean,
                max: mean,
                min: mean,
                last: mean,
                p95: mean,
            },
        )
    };
    let command = command(&host, by_ms);
    let outcome = outcome(&command.id, by_ms);
    let forecast = forecast(by_ms);
    let anomaly = AnomalyRow {
        until_ms: by_ms + 70_000,
        score: 4.5,
        evidence: "cpu 0.9".into(),
    };
    Batch {
        hosts: [(host.clone(), by_ms + 69_000)].into(),
        births: vec![(stream(), testing::birth(epoch).into())],
        frames: vec![(stream(), frame(0, 60_000)), (stream(), frame(2, 65_000))],
        events: vec![
            (stream(), testing::event(epoch, 3, by_ms + 60_000)),
            (stream(), testing::event(epoch, 4, by_ms + 61_000)),
        ],
        holes: vec![(
            stream(),
            Hole {
                epoch,
                first: 1,
                end: 2,
            },
            by_ms + 60_000,
        )],
        watermarks: [((stream(), epoch), RangeSet::from_ranges([0..1, 2..3]))].into(),
        rollups: (0..7).map(|i| rollup(i * 10_000)).collect(),
        minutes: [rollup(0), rollup(60_000)].into(),
        workloads: [((host.clone(), "web".into(), by_ms), uses(1.0, 1.5))].into(),
        workload_forecasts: vec![(host.clone(), "web".into(), forecast.clone())],
        forecasts: vec![(host.clone(), forecast)],
        anomalies: [((host.clone(), Resource::Cpu, by_ms + 60_000), anomaly)].into(),
        incidents: [((host.clone(), by_ms + 60_000), (incident_of(by_ms), true))].into(),
        detectors: [(host.clone(), (by_ms + 60_000, vec![1, 2, 3]))].into(),
        books: [((host.to_string(), Resource::Disk), (by_ms + 60_000, vec![4, 5]))].into(),
        proposals: [proposal(&command)].into(),
        commands: vec![command],
        outcomes: vec![outcome],
        plans: vec![plan(by_ms)],
        savings: [((host.to_string(), by_ms, Resource::Cpu), saving())].into(),
        models: vec![ModelRow {
            version: format!("{}-a", by_ms + 1),
            trained_ms: by_ms + 5,
            rows: 9,
            took_ms: 3,
            note: "n".into(),
        }],
        meta: [
            (meta::CLOSED_MS, "70000".to_owned()),
            (meta::STEP_MS, "10000".to_owned()),
        ]
        .into(),
    }
}

fn outcome(id: &str, by_ms: i64) -> Outcome {
    Outcome {
        command_id: id.into(),
        state: OutcomeState::DryRun,
        reason: String::new(),
        time_ms: by_ms + 61_000,
        changes: Vec::new(),
        actions: Vec::new(),
    }
}

/// That of which `command` was made.
fn proposal(command: &Command) -> (String, Proposal) {
    let proposal = Proposal {
        id: format!("{}-p1", command.id),
        host: command.host.clone(),
        made_ms: command.issued_ms - 5_000,
        expires_ms: command.issued_ms + 895_000,
        change: command.changes[0].clone(),
        fate: Fate::Approved,
        decided_ms: Some(command.issued_ms),
        by: "ann".to_owned(),
        reason: String::new(),
        command_id: Some(command.id.clone()),
        outcome: None,
    };
    (proposal.id.clone(), proposal)
}

fn forecast(by_ms: i64) -> Forecast {
    Forecast {
        resource: Resource::Cpu,
        made_ms: by_ms + 60_000,
        horizon_s: 300,
        quantiles: Quantiles::from_array([0.1, 0.2, 0.3, 0.4]),
        rung: Rung::Ewma,
        shares: Shares::default(),
        skill: None,
        coverage: Some(0.95),
    }
}

fn plan(by_ms: i64) -> PlanRow {
    PlanRow {
        time_ms: by_ms + 60_000,
        mode: "acting".into(),
        raised: 2,
        renewed: 3,
        pool: "[]".into(),
        queue: "[]".into(),
        words: "cpu of web on web-1 asks for more".into(),
        ..PlanRow::default()
    }
}

/// A minute of a reservation of two cores, of which half was used.
pub(super) fn saving() -> SavingRow {
    SavingRow {
        issuer_epoch: 1,
        held: 120.0,
        used: 60.0,
        given_back: 30.0,
        watched_s: 60.0,
        over_s: 0.0,
        acted_s: 60.0,
        changes: 3,
        hurts: 0,
    }
}

fn command(host: &str, by_ms: i64) -> Command {
    Command {
        id: format!("1-{host}-{}", by_ms + 1),
        host: host.into(),
        issuer_epoch: 1,
        sequence: 1,
        issued_ms: by_ms + 60_000,
        ttl_ms: 300_000,
        dry_run: true,
        changes: vec![Change {
            workload: "web".into(),
            resource: Resource::Cpu,
            before: None,
            target: 1.5,
            explanation: Explanation {
                text: "because".into(),
                ..Explanation::default()
            },
            ceiling: None,
        }],
        actions: Vec::new(),
    }
}

/// An incident of a minute that somebody has taken notice of.
pub(super) fn incident() -> Incident {
    incident_of(0)
}

fn incident_of(by_ms: i64) -> Incident {
    Incident {
        since_ms: by_ms + 60_000,
        until_ms: by_ms + 70_000,
        signals: vec![Signal {
            kind: Kind::Event,
            subject: "mc0".into(),
            severity: Severity::Critical,
            score: 9.0,
            evidence: "uncorrected error".into(),
        }],
        acknowledged: Some(Acknowledged {
            time_ms: 65_000,
            by: "ann".into(),
        }),
    }
}

/// A minute of a workload of which so much is known, and cores alone.
pub(crate) fn uses(coverage: f32, cores: f32) -> WorkloadMinute {
    WorkloadMinute {
        coverage,
        uses: [cores, f32::NAN],
    }
}
