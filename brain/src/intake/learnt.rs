//! What a brain has learnt of a fleet and said to it, as the next one finds it: for benchmarks of its start.

use std::{collections::BTreeMap, ops::ControlFlow, path::Path, sync::Arc};

use limits::{Asked, Fleet, Needs, Used};
use shadow::{Change, Channel, Command, Explanation, Outcome, OutcomeState, Resource, UnixMs};

use super::Durable;
use crate::{
    Config, Error,
    dispatch::MAX_SENT,
    learning::Served,
    store::{Batch, meta},
    watch::learnt,
};

/// A day of minutes, of intervals of five minutes, and rows that a network is trained on.
const MINUTES: u16 = 1_440;
const INTERVALS: i64 = 288;
const ROWS: u16 = 2_000;
/// Steps that a network is trained for, which makes it wrong and not faster.
const STEPS: usize = 10;

impl Durable {
    /// Writes what a brain knows besides rows until `saved_ms`: a detector of each of `hosts` that has learnt a day of minutes,
    /// each of them unlike the others, the books of its five resources after a day, as many commands with their answers as
    /// are read back, and a network, which goes into `data_dir`.
    ///
    /// # Errors
    /// [`Error`] when the database or the folder does not take it.
    pub async fn write_learnt(&mut self, hosts: &[Arc<str>], saved_ms: UnixMs, data_dir: &Path) -> Result<(), Error> {
        let detector = learnt((0..MINUTES).map(state));
        let of_host = |host: &Arc<str>| (Arc::clone(host), (saved_ms, detector.clone()));
        let (commands, outcomes) = commands(hosts, saved_ms).into_iter().unzip();
        let batch = Batch {
            detectors: hosts.iter().map(of_host).collect(),
            books: books(hosts, saved_ms),
            commands,
            outcomes,
            meta: [(meta::MODEL, network(saved_ms, data_dir)?)].into(),
            ..Batch::default()
        };
        Ok(self.batch(&batch).await?)
    }
}

/// All channels in a minute or row, none like another.
fn state(at: u16) -> [f32; Channel::COUNT] {
    std::array::from_fn(|channel| ((channel as f32 + 1.0) * f32::from(at) * 0.37).sin().abs())
}

fn books(hosts: &[Arc<str>], saved_ms: UnixMs) -> BTreeMap<(String, Resource), (UnixMs, Vec<u8>)> {
    let mut fleet = Fleet::default();
    for at in 0..INTERVALS {
        let used = (at as f64 * 0.37).sin().abs() / 2.0;
        let peak = |hold: usize, quantile: usize| 0.01f64.mul_add((hold + quantile) as f64, used);
        let needs = Needs {
            peaks: std::array::from_fn(|hold| std::array::from_fn(|quantile| peak(hold, quantile))),
            last: used,
        };
        let asked = Asked {
            host: "a",
            needs,
            lowest: 0.0,
            highest: 1.0,
            weight: 1.0,
        };
        fleet.decide(at, &[asked]);
        let samples = [used; 5];
        fleet.observe(
            at,
            &[Used {
                host: "a",
                samples: &samples,
            }],
        );
    }
    let body = fleet.stored("a").unwrap_or_default();
    let of_host =
        |host: &Arc<str>| Resource::ALL.map(|resource| ((host.to_string(), resource), (saved_ms, body.clone())));
    hosts.iter().flat_map(of_host).collect()
}

fn commands(hosts: &[Arc<str>], saved_ms: UnixMs) -> Vec<(Command, Outcome)> {
    let command = |(number, host): (usize, &Arc<str>)| {
        let id = format!("1-{host}-{number}");
        let explanation = Explanation {
            strategy: "preemptive".to_owned(),
            text: "the p95 of the next hour, 31.4 % of the host, lies above what is reserved; 10 % head-room go on top"
                .to_owned(),
            rung: "lstm".to_owned(),
            ..Explanation::default()
        };
        let change = Change {
            workload: "web".to_owned(),
            resource: Resource::Cpu,
            before: Some(1.0),
            target: 1.5,
            ceiling: None,
            explanation,
        };
        let issued_ms = saved_ms - 1_000 * i64::try_from(number / hosts.len().max(1)).unwrap_or(0);
        let outcome = Outcome {
            command_id: id.clone(),
            state: OutcomeState::DryRun,
            reason: String::new(),
            time_ms: issued_ms,
            changes: Vec::new(),
            actions: Vec::new(),
        };
        let command = Command {
            id,
            host: host.to_string(),
            issuer_epoch: 1,
            sequence: number as u64,
            issued_ms,
            ttl_ms: 300_000,
            dry_run: true,
            changes: vec![change],
            actions: Vec::new(),
        };
        (command, outcome)
    };
    let all = hosts.iter().cycle().take(MAX_SENT).enumerate();
    all.map(command).collect()
}

/// Trains a network as wide as a brain's, and tells what a brain notes of it.
fn network(trained_ms: UnixMs, data_dir: &Path) -> Result<String, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Forecast(error.to_string());
    let mut config = Config::default().forecaster();
    config.training.max_steps = STEPS;
    let history = forecast::History {
        host: "a".to_owned(),
        rows: (0..ROWS).map(state).collect(),
        ..forecast::History::default()
    };
    let trained = forecast::train(&[history], &config, None, &|_| ControlFlow::Continue(()));
    let artifact = trained.map_err(|error| failed(&error))?;
    let served = Served {
        version: format!("{}-{}", trained_ms.div_euclid(1_000), artifact.version()),
        trained_ms,
        rows: usize::from(ROWS),
    };
    let saved = artifact.save(&data_dir.join("models").join(&served.version));
    saved.map_err(|error| failed(&error))?;
    serde_json::to_string(&served).map_err(|error| failed(&error))
}
