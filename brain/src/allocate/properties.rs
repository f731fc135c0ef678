//! What holds for every plan, whatever comes in.

use std::collections::BTreeMap;

use limits::{Book, Decision, Rule, Standing};
use proptest::{collection::vec, option, prelude::*, sample::select};
use shadow::{Capacity, Forecast, Quantiles, Resource, Rung, Shares};

use super::{HostInput, Inputs, Key, Plan, Reservation, State, WorkloadInput, plan};
use crate::{feedback::Feedback, policy::Policy};

mod consent;

/// Room for rounding, as a share of the capacity.
const ROUNDING: f64 = 1e-9;

const POLICY: &str = r#"
[budget]
host_per_minute = 6
cell_per_minute = 20
[cell]
power_w = 500
network_bytes_per_s = 2e9
[class.default]
floor = 0.05
[class.batch]
strategies = ["dynamic"]
floor = 0
[class.last]
strategies = ["priority"]
floor = 0.02
ceiling = 0.5
[class.eager]
strategies = ["preemptive"]
floor = 0.02
"#;

/// A number as broken input may have it: mostly sensible up to `most`, sometimes anything.
fn number(most: f64) -> impl Strategy<Value = f64> {
    prop_oneof![
        12 => 0.0..most,
        1 => select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.0, 0.0, 1e300, f64::MIN_POSITIVE]),
    ]
}

fn forecasts(present: f64) -> impl Strategy<Value = Vec<Forecast>> {
    let one = (
        select(Resource::ALL.to_vec()),
        select(vec![300_u32, 600, 900]),
        [number(present), number(present), number(present), number(present)],
        select(Rung::ALL.to_vec()),
        option::of(number(1.0)),
        option::of(number(1.0)),
        // Few moments, so that forecasts of one moment compete.
        select(vec![0_i64, 900_000, 1_500_000, 1_900_000, 2_500_000]),
    );
    let one = one.prop_map(|(resource, horizon_s, values, rung, skill, coverage, made_ms)| {
        let unit = match resource {
            Resource::Cpu | Resource::Memory => 1.0,
            Resource::Network | Resource::Disk => 1e9,
            Resource::Power => 300.0,
        };
        let [p50, p90, p95, p99] = values.map(|value| value * unit);
        Forecast {
            resource,
            made_ms,
            horizon_s,
            quantiles: Quantiles { p50, p90, p95, p99 },
            rung,
            shares: Shares::default(),
            skill,
            coverage,
        }
    });
    vec(one, 0..14)
}

/// What the books of a host's rules may have decided.
fn decided() -> impl Strategy<Value = Option<Decision>> {
    let decision = (number(1.2), 0..limits::RULES).prop_map(|(limit, place)| {
        let standing = Standing {
            rule: Rule::at(place).unwrap(),
            limit,
            cost: 0.1,
            book: Book::default(),
        };
        Decision {
            at: 0,
            limit,
            averaged: 1,
            chosen: standing,
            runner_up: standing,
            price_of_violation: 8.0,
            price_of_change: 0.3,
        }
    });
    option::weighted(0.3, decision)
}

fn workload() -> impl Strategy<Value = WorkloadInput> {
    let class = select(vec!["default", "batch", "last", "eager", "unheard of"]);
    let parts = (any::<u8>(), class, option::of(number(6.0)), option::of(number(8e9)));
    parts.prop_map(|(criticality, class, cpu_cores, memory_bytes)| WorkloadInput {
        criticality,
        class: class.to_owned(),
        cpu_cores,
        memory_bytes,
        ..WorkloadInput::default()
    })
}

fn host() -> impl Strategy<Value = HostInput> {
    let capacity = (
        option::weighted(0.9, number(8.0)),
        option::weighted(0.9, number(16e9)),
        option::of(number(1e9)),
        option::of(number(1e9)),
        option::of(number(300.0)),
    );
    let capacity = capacity.prop_map(|(cpu, memory, network, disk, power)| Capacity {
        cpu_cores: cpu,
        memory_bytes: memory,
        network_bytes_per_s: network,
        disk_bytes_per_s: disk,
        power_w: power,
    });
    let present = [
        option::of(number(1.0)),
        option::of(number(1.0)),
        option::of(number(1e9)),
        option::of(number(1e9)),
        option::of(number(300.0)),
    ];
    let age_ms = option::weighted(0.95, prop_oneof![9 => 0_u64..60_000, 1 => 0_u64..1_000_000]);
    let workloads = vec(workload(), 0..6);
    let told = (forecasts(1.2), [decided(), decided(), decided(), decided(), decided()]);
    let parts = (capacity, present, age_ms, 0_u64..20_000_000, told, workloads);
    parts.prop_map(
        |(capacity, present, age_ms, history_ms, (forecasts, limits), workloads)| {
            let named = workloads.into_iter().enumerate();
            HostInput {
                capacity,
                present,
                age_ms,
                history_ms,
                forecasts,
                limits,
                peaks: Vec::new(),
                workloads: named.map(|(at, workload)| (format!("w{at}"), workload)).collect(),
            }
        },
    )
}

/// Rounds of hosts that come, change and go, planned one after the other.
fn rounds() -> impl Strategy<Value = Vec<BTreeMap<String, HostInput>>> {
    let hosts = vec(host(), 1..4);
    let named = hosts.prop_map(|hosts| {
        hosts
            .into_iter()
            .enumerate()
            .map(|(at, host)| (format!("h{at}"), host))
            .collect()
    });
    vec(named, 1..5)
}

/// Reservations that no plan has made.
fn foreign_state() -> impl Strategy<Value = State> {
    let key = (0..3_usize, 0..7_usize, select(Resource::ALL.to_vec()));
    let one = (key, number(10.0), -1_000_000_i64..3_000_000);
    vec(one, 0..12).prop_map(|all| {
        let entries = all.into_iter().map(|((host, workload, resource), amount, since_ms)| {
            let workload = if workload == 6 {
                "host".to_owned()
            } else {
                format!("w{workload}")
            };
            let key = Key::new(&format!("h{host}"), &workload, resource);
            (key, Reservation { amount, since_ms })
        });
        State {
            reservations: entries.collect(),
            ..State::default()
        }
    })
}

struct World {
    policy: Policy,
    feedback: Feedback,
}

impl World {
    fn new() -> Self {
        Self {
            policy: Policy::parse(POLICY).unwrap(),
            feedback: Feedback::default(),
        }
    }

    fn plan(&self, now_ms: i64, state: &State, hosts: &BTreeMap<String, HostInput>) -> Plan {
        plan(&Inputs {
            now_ms,
            started_ms: 0,
            policy: &self.policy,
            feedback: &self.feedback,
            state,
            hosts,
            proposed: None,
        })
    }
}

/// Hosts that are planned for: neither silent nor without samples.
fn is_heard(world: &World, host: &HostInput) -> bool {
    host.age_ms
        .is_some_and(|age| age <= world.policy.safety.silent_after_ms)
}

/// Reserved and free make up the capacity; the account is the sum of the reservations behind it; nobody gets more
/// than there is.
fn accounts_add_up(world: &World, plan: &Plan, hosts: &BTreeMap<String, HostInput>) -> Result<(), TestCaseError> {
    for account in &plan.pool {
        let behind = plan
            .state
            .reservations()
            .filter(|(key, _)| key.resource == account.resource);
        let behind = behind.filter(|(key, _)| account.host.as_ref().is_none_or(|host| key.host == *host));
        let held: f64 = behind.map(|(_, held)| held.amount).sum();
        let rounding = ROUNDING * account.capacity.max(held);
        prop_assert!((account.reserved - held).abs() <= rounding, "{account:?} but {held}");
        let whole = account.reserved + account.free() - account.excess();
        prop_assert!(whole - account.capacity <= rounding, "{account:?}");
        // What is on its way back can be given to nobody yet.
        let left = (account.capacity - account.reserved - account.coming).max(0.0);
        prop_assert!(
            (account.free() - left).abs() <= rounding && account.coming >= 0.0,
            "{account:?}"
        );
        prop_assert!(account.host.is_none() || account.coming == 0.0, "{account:?}");
        prop_assert!(
            (-rounding..=held + rounding).contains(&account.reclaimable),
            "{account:?}"
        );
        // What has no account of its own (a silent host, a capacity that is not known) is counted, not corrected.
        let resource = account.resource;
        let planned = |name: &String| {
            let known = |host: &HostInput| host.capacity.of(resource).is_some_and(|c| c.is_finite() && c > 0.0);
            hosts.get(name).is_some_and(|host| is_heard(world, host) && known(host))
        };
        let mut held = plan.state.reservations().filter(|(key, _)| key.resource == resource);
        let all_planned = held.all(|(key, _)| planned(&key.host));
        if account.host.as_ref().map_or(all_planned, planned) {
            prop_assert!(account.reserved <= account.capacity + rounding, "{account:?}");
        }
    }
    Ok(())
}

/// What is raised or throttled by the plan keeps at least the floor of its class, unless floors exceed the host.
fn floors_are_kept(world: &World, plan: &Plan, hosts: &BTreeMap<String, HostInput>) -> Result<(), TestCaseError> {
    for (host, changes) in &plan.changes {
        for change in changes.iter().filter(|change| change.explanation.clamp != "capacity") {
            let before = change.before.unwrap_or(0.0);
            let workloads = &hosts[host].workloads;
            let class = workloads
                .get(&change.workload)
                .map_or("host", |workload| workload.class.as_str());
            let (_, class) = world.policy.class(class);
            let capacity = hosts[host].capacity.of(change.resource).unwrap();
            let floor = class.floor.of(change.resource) * capacity;
            let least = floor.min(before) - ROUNDING * capacity;
            prop_assert!(change.target >= least, "{host}: {change:?}, floor {floor}");
        }
    }
    Ok(())
}

fn changes_are_sane(world: &World, plan: &Plan, hosts: &BTreeMap<String, HostInput>) -> Result<(), TestCaseError> {
    for (host, changes) in &plan.changes {
        prop_assert!(is_heard(world, &hosts[host]), "{host} is silent");
        for change in changes {
            let capacity = hosts[host].capacity.of(change.resource).unwrap();
            prop_assert!(change.target.is_finite() && change.target >= 0.0, "{change:?}");
            prop_assert!(change.target <= capacity * (1.0 + ROUNDING), "{change:?} of {capacity}");
            let told = &change.explanation;
            prop_assert!(
                !told.text.contains("NaN") && !told.text.contains("inf"),
                "{}",
                told.text
            );
            prop_assert!(!told.strategy.is_empty());
            let lowered = change.before.is_some_and(|before| change.target < before);
            let corrected = told.clamp == "capacity" || told.text.contains("more was promised");
            let stale = hosts[host]
                .age_ms
                .is_none_or(|age| age > world.policy.safety.stale_after_ms);
            prop_assert!(!lowered || corrected || !stale, "lowered on a stale shadow: {change:?}");
            // Whoever is more critical may push it below what it uses, and nobody else.
            let throttled = told.text.contains("is more critical than");
            let workloads = &hosts[host].workloads;
            let class = workloads.get(&change.workload).map_or("host", |own| own.class.as_str());
            let most = world.policy.class(class).1.ceiling.of(change.resource) * capacity;
            let bounded = change.target >= told.used.unwrap_or(0.0).min(most) * (1.0 - ROUNDING);
            prop_assert!(
                !lowered || corrected || throttled || bounded,
                "lowered below its use: {change:?}"
            );
        }
        let corrections = changes
            .iter()
            .filter(|change| change.explanation.text.contains("more was promised"));
        let most = world.policy.budget.host_per_minute as usize + corrections.count();
        prop_assert!(changes.len() <= most, "{} changes on {host}", changes.len());
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_plan_adds_up(state in foreign_state(), rounds in rounds()) {
        let world = World::new();
        let mut state = state;
        for (at, hosts) in rounds.iter().enumerate() {
            let now_ms = 1_000_000 + 700_000 * i64::try_from(at).unwrap();
            let plan = world.plan(now_ms, &state, hosts);
            accounts_add_up(&world, &plan, hosts)?;
            floors_are_kept(&world, &plan, hosts)?;
            changes_are_sane(&world, &plan, hosts)?;
            prop_assert_eq!(&plan, &world.plan(now_ms, &state, hosts));
            state = plan.state;
        }
    }

    #[test]
    fn the_order_of_forecasts_does_not_matter(hosts in rounds(), seed in vec(any::<u32>(), 14)) {
        let world = World::new();
        let hosts = &hosts[0];
        let mut shuffled = hosts.clone();
        for host in shuffled.values_mut() {
            let mut keyed: Vec<_> = host.forecasts.drain(..).zip(&seed).collect();
            keyed.sort_by_key(|(_, key)| **key);
            host.forecasts = keyed.into_iter().map(|(forecast, _)| forecast).collect();
        }
        let state = State::default();
        prop_assert_eq!(world.plan(2_000_000, &state, hosts), world.plan(2_000_000, &state, &shuffled));
    }

    #[test]
    fn hosts_do_not_disturb_each_other(state in foreign_state(), rounds in rounds()) {
        let world = World { policy: Policy::built_in(), ..World::new() };
        let hosts = &rounds[0];
        let whole = world.plan(2_000_000, &state, hosts);
        for (name, host) in hosts {
            let alone = BTreeMap::from([(name.clone(), host.clone())]);
            let plan = world.plan(2_000_000, &state, &alone);
            prop_assert_eq!(plan.changes.get(name), whole.changes.get(name));
        }
    }

    #[test]
    fn a_calm_cell_comes_to_rest(rounds in rounds()) {
        let world = World::new();
        let mut hosts = rounds[0].clone();
        let mut state = State::default();
        let mut moving = Vec::new();
        for hour in 1..60 {
            let now_ms = hour * 3_600_000;
            for forecast in hosts.values_mut().flat_map(|host| &mut host.forecasts) {
                forecast.made_ms = now_ms;
            }
            let plan = world.plan(now_ms, &state, &hosts);
            moving = plan.changes.into_values().flatten().collect();
            state = plan.state;
            if moving.is_empty() {
                break;
            }
        }
        prop_assert!(moving.is_empty(), "still moving after 60 hours: {moving:#?}");
    }

    #[test]
    fn nobody_goes_to_and_fro_beyond_its_budget(needs in vec(vec(0.0..4.0_f64, 3), 20..80)) {
        let world = World { policy: Policy::parse(FLAPPY).unwrap(), ..World::new() };
        let mut hosts = BTreeMap::from([("h".to_owned(), calm_host(3))]);
        let mut state = State::default();
        let mut rose: BTreeMap<String, bool> = BTreeMap::new();
        let mut falls: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (round, needs) in needs.iter().enumerate() {
            let now_ms = 3_600_000 + 240_000 * i64::try_from(round).unwrap();
            let host = hosts.get_mut("h").unwrap();
            for (workload, cores) in host.workloads.values_mut().zip(needs) {
                workload.cpu_cores = Some(*cores);
            }
            host.forecasts.iter_mut().for_each(|forecast| forecast.made_ms = now_ms);
            let plan = world.plan(now_ms, &state, &hosts);
            for change in plan.changes.values().flatten() {
                let Some(before) = change.before else { continue };
                let rises = change.target > before;
                let turned = !rises && rose.insert(change.workload.clone(), rises) == Some(true);
                if rises {
                    rose.insert(change.workload.clone(), true);
                }
                // Whoever is more critical and lacks may take all the same.
                if turned && !change.explanation.text.contains("is more critical than") {
                    falls.entry(change.workload.clone()).or_default().push(now_ms);
                }
            }
            state = plan.state;
        }
        for (workload, falls) in falls {
            for pair in falls.windows(3) {
                prop_assert!(pair[2] - pair[0] >= 3_600_000, "{workload} fell after a rise at {falls:?}");
            }
        }
    }

    #[test]
    fn what_hosts_really_may_draw_is_never_more_than_the_cell_has(rounds in vec(vec(draw(), 3), 1..30)) {
        let policy = Policy::parse("[cell]\npower_w = 500\n[class.host]\nmargin = 0\n[class.host.lower]\ndwell = \"0s\"\nslew = 1").unwrap();
        let world = World { policy, ..World::new() };
        let mut state = State::default();
        let mut limits = [0.0; 3];
        for (round, draws) in rounds.iter().enumerate() {
            let now_ms = 3_600_000 + 60_000 * i64::try_from(round).unwrap();
            let hosts = draws.iter().enumerate().map(|(at, draw)| (format!("h{at}"), draw.host(now_ms)));
            let hosts: BTreeMap<String, HostInput> = hosts.collect();
            let plan = world.plan(now_ms, &state, &hosts);
            state = plan.state;
            for (at, draw) in draws.iter().enumerate() {
                let Some(changes) = plan.changes.get(&format!("h{at}")) else { continue };
                let command = command(&format!("h{at}"), now_ms, changes);
                state.sent(&command);
                if draw.obeys {
                    limits[at] = changes[0].target;
                }
                let sum: f64 = limits.iter().sum();
                prop_assert!(sum <= 500.0 * (1.0 + ROUNDING), "{limits:?} after {command:?}");
                if draw.answers {
                    state.settle(&command, &outcome(&command, draw.obeys));
                }
            }
        }
    }
}

/// Nothing but the budget of turns holds anything back.
const FLAPPY: &str = r#"
[class.default]
floor = 0.01
[class.default.lower]
hysteresis = 0
slew = 1
dwell = "0s"
[class.default.flap]
most = 2
within = "1h"
"#;

/// What one host draws in a round, and what its agent does with its command.
#[derive(Debug, Clone)]
struct Draw {
    watts: f64,
    criticality: u8,
    is_silent: bool,
    obeys: bool,
    answers: bool,
}

fn draw() -> impl Strategy<Value = Draw> {
    let parts = (
        0.0..300.0_f64,
        any::<u8>(),
        option::weighted(0.1, Just(())),
        any::<bool>(),
        any::<bool>(),
    );
    parts.prop_map(|(watts, criticality, silent, obeys, answers)| Draw {
        watts,
        criticality,
        is_silent: silent.is_some(),
        obeys,
        answers,
    })
}

impl Draw {
    fn host(&self, now_ms: i64) -> HostInput {
        let forecast = Forecast {
            resource: Resource::Power,
            made_ms: now_ms,
            horizon_s: 300,
            quantiles: Quantiles::from_array([self.watts; 4]),
            rung: Rung::Ewma,
            shares: Shares::default(),
            skill: Some(0.5),
            coverage: Some(0.95),
        };
        let web = WorkloadInput {
            criticality: self.criticality,
            class: "default".to_owned(),
            ..WorkloadInput::default()
        };
        HostInput {
            capacity: Capacity {
                power_w: Some(300.0),
                ..Capacity::default()
            },
            present: [None, None, None, None, Some(self.watts)],
            age_ms: (!self.is_silent).then_some(1_000),
            history_ms: 20_000_000,
            forecasts: vec![forecast],
            workloads: BTreeMap::from([("web".to_owned(), web)]),
            ..HostInput::default()
        }
    }
}

fn command(host: &str, now_ms: i64, changes: &[shadow::Change]) -> shadow::Command {
    shadow::Command {
        id: format!("1-{host}-{now_ms}"),
        host: host.to_owned(),
        issuer_epoch: 1,
        sequence: now_ms.unsigned_abs(),
        issued_ms: now_ms,
        ttl_ms: 300_000,
        dry_run: false,
        changes: changes.to_vec(),
        actions: Vec::new(),
    }
}

fn outcome(command: &shadow::Command, obeyed: bool) -> shadow::Outcome {
    shadow::Outcome {
        command_id: command.id.clone(),
        state: if obeyed {
            shadow::OutcomeState::Applied
        } else {
            shadow::OutcomeState::Refused
        },
        reason: String::new(),
        time_ms: command.issued_ms,
        changes: Vec::new(),
        actions: Vec::new(),
    }
}

/// A host of four cores with workloads of different criticality, whose forecast says that all stays.
fn calm_host(workloads: usize) -> HostInput {
    let workload = |at: usize| WorkloadInput {
        criticality: u8::try_from(at * 40).unwrap(),
        class: "default".to_owned(),
        ..WorkloadInput::default()
    };
    let forecast = Forecast {
        resource: Resource::Cpu,
        made_ms: 0,
        horizon_s: 300,
        quantiles: Quantiles::from_array([0.5; 4]),
        rung: Rung::Ewma,
        shares: Shares::default(),
        skill: Some(0.5),
        coverage: Some(0.95),
    };
    HostInput {
        capacity: Capacity {
            cpu_cores: Some(4.0),
            ..Capacity::default()
        },
        present: [Some(0.5), None, None, None, None],
        age_ms: Some(1_000),
        history_ms: 20_000_000,
        forecasts: vec![forecast],
        workloads: (0..workloads).map(|at| (format!("w{at}"), workload(at))).collect(),
        ..HostInput::default()
    }
}
