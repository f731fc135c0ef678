//! How long a plan of a large cell takes on one core: the books of all series, and the plan that rests on them.
//!
//! Each host is reserved for as a whole in five resources. Time is the processor's, spent by the one thread that plans. What
//! is timed is the dearest round there is: one in which an interval of five minutes ends, all books are written, every series
//! chooses its rule anew, and every host is planned for.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use brain::{
    allocate::{self, HostInput, Inputs, State},
    feedback::Feedback,
    policy::Policy,
};
use limits::{Asked, Fleet, Needs, Settings, Used};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use shadow::{Capacity, Forecast, Quantiles, Resource, Rung, Shares};

use crate::{
    report::{Quantity, Report, Rival},
    timing::{Stopwatch, median},
};

/// Rounds that are timed, after some in which books are begun.
const ROUNDS: usize = 7;
const WARM: usize = 6;

/// Samples of an interval: one a minute.
const SAMPLES: usize = 5;

const MS: Quantity = Quantity {
    metric: "ms",
    unit: "ms",
};
const LIMIT: Rival = Rival {
    name: "limit",
    value: 500.0,
};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Hosts, with five resources each
    #[arg(long, default_value_t = 10_000)]
    hosts: usize,
}

/// Runs the case.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let mut random = StdRng::seed_from_u64(1);
    let policy = Policy::built_in();
    // The built-in budget lets a cell of this size begin over an hour; here everything is reserved for before it is timed.
    let begin = Policy::parse("[budget]\nhost_per_minute = 1000\ncell_per_minute = 10000000").context("a policy")?;
    let feedback = Feedback::default();
    let mut state = State::default();
    let names: Vec<String> = (0..arguments.hosts).map(|host| format!("host-{host:05}")).collect();
    let mut levels: Vec<f64> = names.iter().map(|_| random.random()).collect();
    let fleet = || Fleet::new(Settings::default()).context("the settings of a fleet");
    let mut fleets = Resource::ALL
        .map(|_| fleet())
        .into_iter()
        .collect::<anyhow::Result<Vec<Fleet>>>()?;
    let (mut whole, mut books) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS + WARM {
        for level in &mut levels {
            *level = (*level + 0.1 * (random.random::<f64>() - 0.5)).clamp(0.01, 0.9);
        }
        let now_ms = 3_600_000 + 300_000 * round as i64;
        let mut hosts: BTreeMap<String, HostInput> = names
            .iter()
            .zip(&levels)
            .map(|(name, level)| (name.clone(), host(*level, now_ms)))
            .collect();
        let samples: Vec<[f64; SAMPLES]> = levels
            .iter()
            .map(|level| [(); SAMPLES].map(|()| level * (0.9 + 0.2 * random.random::<f64>())))
            .collect();
        let needs: Vec<Needs> = levels.iter().map(|level| needs(*level)).collect();
        let watch = Stopwatch::start();
        let mut decisions = Vec::with_capacity(fleets.len());
        for fleet in &mut fleets {
            let used = names.iter().zip(&samples).map(|(host, samples)| Used { host, samples });
            fleet.observe(round as i64 - 1, &used.collect::<Vec<_>>());
            let asked = names.iter().zip(&needs).map(|(host, needs)| Asked {
                host,
                needs: *needs,
                lowest: 0.01,
                highest: 1.0,
                weight: 1.0,
            });
            let decided = fleet.decide(round as i64, &asked.collect::<Vec<_>>());
            ensure!(decided.iter().all(Option::is_some), "a series without a decision");
            decisions.push(decided);
        }
        let of_books = watch.ns();
        // The plan rests on what books have decided; names and hosts are in the same order.
        for (at, host) in hosts.values_mut().enumerate() {
            host.limits = std::array::from_fn(|resource| *decisions.get(resource)?.get(at)?);
        }
        let watch = Stopwatch::start();
        let plan = allocate::plan(&Inputs {
            now_ms,
            started_ms: 0,
            policy: if round < WARM { &begin } else { &policy },
            feedback: &feedback,
            state: &state,
            hosts: &hosts,
            proposed: None,
        });
        let all = of_books + watch.ns();
        ensure!(
            plan.state.reservations().count() == 5 * names.len(),
            "a resource without a plan"
        );
        state = plan.state;
        if round >= WARM {
            whole.push(all / 1e6);
            books.push(of_books / 1e6);
        }
    }
    let mut report = Report::new("plan");
    let case = format!("{}x5", arguments.hosts);
    report.push(&case, MS, median(whole), LIMIT);
    report.push(&format!("{case}/books"), MS, median(books), LIMIT);
    Ok(report)
}

fn needs(level: f64) -> Needs {
    let peak = |hold: usize, rank: usize| level * (1.0 + 0.03 * (hold as f64 + 1.0) * (rank as f64 + 1.0));
    Needs {
        peaks: std::array::from_fn(|hold| std::array::from_fn(|rank| peak(hold, rank))),
        last: level,
    }
}

fn host(level: f64, now_ms: i64) -> HostInput {
    let capacity = Capacity {
        cpu_cores: Some(16.0),
        memory_bytes: Some(64e9),
        network_bytes_per_s: Some(1e9),
        disk_bytes_per_s: Some(2e9),
        power_w: Some(400.0),
    };
    let unit = |resource: Resource| match resource {
        Resource::Cpu | Resource::Memory => 1.0,
        Resource::Network => 1e9,
        Resource::Disk => 2e9,
        Resource::Power => 400.0,
    };
    let forecast = |resource: Resource, horizon_s: u32| Forecast {
        resource,
        made_ms: now_ms,
        horizon_s,
        quantiles: Quantiles::from_array([1.0, 1.1, 1.15, 1.2].map(|times| times * level * unit(resource))),
        rung: Rung::ALL[0],
        shares: Shares::default(),
        skill: Some(0.2),
        coverage: Some(0.95),
    };
    let each = Resource::ALL
        .into_iter()
        .flat_map(|resource| [300, 600, 900].map(|horizon_s| forecast(resource, horizon_s)));
    HostInput {
        capacity,
        present: Resource::ALL.map(|resource| Some(level * unit(resource))),
        age_ms: Some(500),
        history_ms: 86_400_000,
        forecasts: each.collect(),
        ..HostInput::default()
    }
}
