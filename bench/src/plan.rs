//! How long a plan of a large cell takes on one core: the books of all series, and the plan that rests on them.
//!
//! Each host is reserved for as a whole in five resources. Time is the processor's, spent by the one thread that plans. What
//! is timed is the dearest round there is: one in which an interval of five minutes ends, all books are written, every series
//! chooses its rule anew, and every host is planned for. In the case `recommend` every change waits for somebody's word, and a
//! round makes two plans: one of what is proposed, and one of what stays as it is until then.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use brain::{
    allocate::{self, HostInput, Inputs, Plan, State, proposals::Proposals},
    feedback::Feedback,
    policy::Policy,
};
use limits::{Asked, Decision, Fleet, Needs, Settings, Used};
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

/// Every change of every host waits for somebody's word.
const RECOMMEND: &str = r#"
[act]
"*" = ["cpu", "memory", "network", "disk", "power"]

[class.host]
mode = "recommend"
"#;

/// The built-in budget lets a cell of this size begin over an hour; here everything is reserved for before it is timed.
const BEGIN: &str = "[budget]\nhost_per_minute = 1000\ncell_per_minute = 10000000";

/// Runs the cases.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let mut report = Report::new("plan");
    let case = format!("{}x5", arguments.hosts);
    let times = rounds(arguments.hosts, &Policy::built_in())?;
    report.push(&case, MS, median(times.whole), LIMIT);
    report.push(&format!("{case}/books"), MS, median(times.books), LIMIT);
    let recommend = Policy::parse(RECOMMEND).context("a policy")?;
    let times = rounds(arguments.hosts, &recommend)?;
    report.push(&format!("{case}/recommend"), MS, median(times.whole), LIMIT);
    Ok(report)
}

/// Milliseconds of each round.
#[derive(Default)]
struct Times {
    whole: Vec<f64>,
    books: Vec<f64>,
}

/// Times rounds of a cell under `policy`.
fn rounds(count: usize, policy: &Policy) -> anyhow::Result<Times> {
    let mut random = StdRng::seed_from_u64(1);
    let begin = Policy::parse(BEGIN).context("a policy")?;
    let (mut state, mut proposals) = (State::default(), Proposals::default());
    let names: Vec<String> = (0..count).map(|host| format!("host-{host:05}")).collect();
    let mut levels: Vec<f64> = names.iter().map(|_| random.random()).collect();
    let fleet = || Fleet::new(Settings::default()).context("the settings of a fleet");
    let mut fleets = Resource::ALL
        .map(|_| fleet())
        .into_iter()
        .collect::<anyhow::Result<Vec<Fleet>>>()?;
    let mut times = Times::default();
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
        let watch = Stopwatch::start();
        let decisions = decide(&mut fleets, round as i64, (&names, &samples, &levels))?;
        let books = watch.ns();
        // The plan rests on what books have decided; names and hosts are in the same order.
        for (at, host) in hosts.values_mut().enumerate() {
            host.limits = std::array::from_fn(|resource| *decisions.get(resource)?.get(at)?);
        }
        let inputs = Inputs {
            now_ms,
            started_ms: 0,
            policy: if round < WARM { &begin } else { policy },
            feedback: &Feedback::default(),
            state: &state,
            hosts: &hosts,
            proposed: None,
        };
        let watch = Stopwatch::start();
        let plan = plan(&inputs, &mut proposals);
        let whole = books + watch.ns();
        ensure!(
            plan.state.reservations().count() == 5 * names.len(),
            "a resource without a plan"
        );
        state = plan.state;
        if round >= WARM {
            ensure!(
                policy.asks_any() == (proposals.open() > 0),
                "proposals are made where they are asked for"
            );
            times.whole.push(whole / 1e6);
            times.books.push(books / 1e6);
        }
    }
    Ok(times)
}

/// The plan of a round; where somebody's word is awaited it is the second one, after what is proposed by the first.
fn plan(inputs: &Inputs<'_>, proposals: &mut Proposals) -> Plan {
    if !inputs.policy.asks_any() {
        return allocate::plan(inputs);
    }
    proposals.expire(inputs.now_ms);
    proposals.round(&allocate::plan(inputs), inputs.policy.proposals, 1);
    allocate::plan(&Inputs {
        proposed: Some(&proposals.targets()),
        ..*inputs
    })
}

/// Books the interval that has ended, and decides the next one.
fn decide(
    fleets: &mut [Fleet],
    interval: i64,
    (names, samples, levels): (&[String], &[[f64; SAMPLES]], &[f64]),
) -> anyhow::Result<Vec<Vec<Option<Decision>>>> {
    let each = fleets.iter_mut().map(|fleet| {
        let used = names.iter().zip(samples).map(|(host, samples)| Used { host, samples });
        fleet.observe(interval - 1, &used.collect::<Vec<_>>());
        let asked = names.iter().zip(levels).map(|(host, level)| Asked {
            host,
            needs: needs(*level),
            lowest: 0.01,
            highest: 1.0,
            weight: 1.0,
        });
        let decided = fleet.decide(interval, &asked.collect::<Vec<_>>());
        ensure!(decided.iter().all(Option::is_some), "a series without a decision");
        Ok(decided)
    });
    each.collect()
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
