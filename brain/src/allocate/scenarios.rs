//! Small plans that a person can check.

use std::collections::BTreeMap;

use shadow::{Capacity, Command, Explanation, Forecast, Outcome, OutcomeState, Quantiles, Resource, Rung, Shares};

use super::{Account, Asking, HostInput, Inputs, Key, Plan, Reservation, State, WorkloadInput, plan};
use crate::{feedback::Feedback, policy::Policy};

mod consent;
mod supply;

const HOUR_MS: i64 = 3_600_000;

/// One host of four cores at half load, whose brain and history are old enough for anything.
struct Scene {
    policy: Policy,
    feedback: Feedback,
    state: State,
    hosts: BTreeMap<String, HostInput>,
    started_ms: i64,
    now_ms: i64,
}

/// What is spoilt, and how.
type Spoil<T> = (&'static str, fn(&mut T));

fn forecast(resource: Resource, horizon_s: u32, p50: f64, p95: f64) -> Forecast {
    Forecast {
        resource,
        made_ms: HOUR_MS,
        horizon_s,
        quantiles: Quantiles::from_array([p50, p50, p95, p95]),
        rung: Rung::Lstm,
        shares: Shares::default(),
        skill: Some(0.2),
        coverage: Some(0.95),
    }
}

impl Scene {
    fn new(policy: &str) -> Self {
        let host = HostInput {
            capacity: Capacity {
                cpu_cores: Some(4.0),
                power_w: Some(200.0),
                ..Capacity::default()
            },
            present: [Some(0.5), None, None, None, None],
            age_ms: Some(1_000),
            history_ms: 7_200_000,
            forecasts: vec![forecast(Resource::Cpu, 300, 0.5, 0.5)],
            ..HostInput::default()
        };
        Self {
            policy: Policy::parse(policy).unwrap(),
            feedback: Feedback::default(),
            state: State::default(),
            hosts: BTreeMap::from([("a".to_owned(), host)]),
            started_ms: 0,
            now_ms: HOUR_MS,
        }
    }

    fn host(&mut self) -> &mut HostInput {
        self.hosts.get_mut("a").unwrap()
    }

    /// Adds a workload that uses `used` cores and holds `held` since the beginning.
    fn workload(mut self, name: &str, criticality: u8, used: f64, held: Option<f64>) -> Self {
        let workload = WorkloadInput {
            criticality,
            class: name.to_owned(),
            cpu_cores: Some(used),
            memory_bytes: None,
            ..WorkloadInput::default()
        };
        self.host().workloads.insert(name.to_owned(), workload);
        if let Some(amount) = held {
            let key = Key::new("a", name, Resource::Cpu);
            self.state.reservations.insert(key, Reservation { amount, since_ms: 0 });
        }
        self
    }

    fn plan(&self) -> Plan {
        plan(&Inputs {
            now_ms: self.now_ms,
            started_ms: self.started_ms,
            policy: &self.policy,
            feedback: &self.feedback,
            state: &self.state,
            hosts: &self.hosts,
            proposed: None,
        })
    }
}

/// Workload and target of each change on host `a`.
fn targets(plan: &Plan) -> Vec<(&str, f64)> {
    let changes = plan.changes.get("a").into_iter().flatten();
    changes
        .map(|change| (change.workload.as_str(), (change.target * 1e6).round() / 1e6))
        .collect()
}

fn explanation<'p>(plan: &'p Plan, workload: &str) -> &'p Explanation {
    let mut changes = plan.changes.values().flatten();
    &changes.find(|change| change.workload == workload).unwrap().explanation
}

fn account(plan: &Plan, resource: Resource) -> &Account {
    plan.pool.iter().find(|account| account.resource == resource).unwrap()
}

#[test]
fn a_first_reservation_is_the_forecast_with_its_margin() {
    let plan = Scene::new("").workload("web", 50, 2.0, None).plan();
    assert_eq!(targets(&plan), [("web", 2.2)]);
    let told = explanation(&plan, "web");
    assert_eq!(
        told.text,
        "cpu of web on a, first reservation of 2.2 cores: p95 for 5 min ahead is 2 cores (lstm), with 10 % on top"
    );
    assert_eq!((told.quantile, told.forecast, told.horizon_s), (0.95, 2.0, 300));
    assert!((account(&plan, Resource::Cpu).free() - 1.8).abs() < 1e-9);
}

#[test]
fn preemptive_reserves_before_the_need_only_while_it_is_confident() {
    let mut scene = Scene::new("").workload("web", 50, 2.0, Some(2.2));
    scene.host().forecasts.push(forecast(Resource::Cpu, 900, 0.7, 0.8));
    let plan = scene.plan();
    assert_eq!(targets(&plan), [("web", 3.52)]);
    let told = explanation(&plan, "web");
    assert_eq!((told.strategy.as_str(), told.horizon_s), ("preemptive", 900));
    assert_eq!(told.rejected, "dynamic: p95 for 5 min ahead is 2 cores (lstm)");

    // Too wide, not scored, or no better than the last value: the nearest forecast counts.
    let doubts: [Spoil<Forecast>; 3] = [
        ("p95 lies 30 % of the host above the median", |f| f.quantiles.p50 = 0.5),
        ("has not been scored", |f| f.skill = None),
        ("skill is 0.00", |f| f.skill = Some(0.0)),
    ];
    for (doubt, spoil) in doubts {
        let mut scene = Scene::new("").workload("web", 50, 2.0, None);
        let mut far = forecast(Resource::Cpu, 900, 0.7, 0.8);
        spoil(&mut far);
        scene.host().forecasts = vec![far, forecast(Resource::Cpu, 300, 0.2, 0.55)];
        let plan = scene.plan();
        let told = explanation(&plan, "web");
        assert_eq!((told.strategy.as_str(), told.horizon_s), ("dynamic", 300), "{doubt}");
        assert!(told.rejected.contains(doubt), "{}", told.rejected);
    }
}

#[test]
fn a_reservation_falls_slowly_and_never_below_the_present_use() {
    let mut scene = Scene::new("").workload("web", 50, 1.0, Some(3.0));
    assert_eq!(targets(&scene.plan()), [("web", 2.25)]);
    assert_eq!(explanation(&scene.plan(), "web").clamp, "slew");
    scene.host().forecasts = vec![forecast(Resource::Cpu, 300, 0.1, 0.1)];
    scene.policy = Policy::parse("[class.default.lower]\nslew = 1.0").unwrap();
    let plan = scene.plan();
    assert_eq!(targets(&plan), [("web", 1.0)]);
    let text = &explanation(&plan, "web").text;
    assert!(text.contains("0.2 cores (lstm), but it uses 1 cores now"), "{text}");
}

#[test]
fn nothing_is_lowered_on_weak_ground_but_raised_all_the_same() {
    let spoils: [Spoil<Scene>; 5] = [
        ("stale", |scene| scene.host().age_ms = Some(61_000)),
        ("restarted", |scene| scene.started_ms = HOUR_MS - 1),
        ("young", |scene| scene.host().history_ms = 0),
        ("coverage", |scene| scene.host().forecasts[0].coverage = Some(0.5)),
        ("unscored", |scene| scene.host().forecasts[0].coverage = None),
    ];
    for (name, spoil) in spoils {
        let base = || {
            Scene::new("")
                .workload("high", 50, 0.5, Some(2.0))
                .workload("low", 50, 1.0, Some(0.2))
        };
        assert_eq!(targets(&base().plan()), [("high", 1.5), ("low", 1.1)], "{name}");
        let mut scene = base();
        spoil(&mut scene);
        assert_eq!(targets(&scene.plan()), [("low", 1.1)], "{name}");
    }
    for age_ms in [Some(600_001), None] {
        let mut scene = Scene::new("").workload("low", 50, 1.0, Some(0.2));
        scene.host().age_ms = age_ms;
        let plan = scene.plan();
        assert_eq!(targets(&plan), []);
        assert_eq!(plan.state, scene.state);
        assert_eq!(account(&plan, Resource::Cpu).reserved, 0.2);
    }
}

#[test]
fn what_is_free_goes_first_then_what_others_do_not_need() {
    let plan = Scene::new("")
        .workload("web", 90, 2.0, Some(1.0))
        .workload("idle", 10, 0.5, Some(2.0))
        .workload("spare", 20, 0.5, Some(0.9))
        .plan();
    // Web asks for 2.2, of which 0.1 is free; idle asks for 0.55 and gives the missing 1.1; what spare does not need is
    // not asked for, and falls by its own step.
    assert_eq!(targets(&plan), [("idle", 0.9), ("spare", 0.675), ("web", 2.2)]);
    let text = &explanation(&plan, "web").text;
    assert!(text.ends_with("0.1 cores were free, 1.1 cores from idle"), "{text}");
    let text = &explanation(&plan, "idle").text;
    assert!(text.ends_with("the rest is spare, and web needs it"), "{text}");
    assert_eq!((plan.queue.len(), plan.throttled.len(), plan.unmet.len()), (0, 0, 0));
}

#[test]
fn the_less_critical_is_throttled_to_its_floor_and_the_rest_waits() {
    let floors = "[class.low]\nfloor = 0.25\n[class.same]\nfloor = 0.25";
    let mut scene = Scene::new(floors)
        .workload("web", 90, 2.0, Some(0.5))
        .workload("low", 10, 1.9, Some(1.9))
        .workload("same", 90, 1.6, Some(1.6));
    let plan = scene.plan();
    assert_eq!(targets(&plan), [("low", 1.0), ("same", 1.76), ("web", 1.24)]);
    assert_eq!(plan.throttled.len(), 1);
    assert_eq!(
        (plan.throttled[0].by.join("+"), plan.throttled[0].after),
        ("same+web".to_owned(), 1.0)
    );
    assert_eq!(explanation(&plan, "low").clamp, "floor");
    assert_eq!(explanation(&plan, "web").clamp, "pool");
    let waiting: Vec<&str> = plan.queue.iter().map(|request| request.key.workload.as_str()).collect();
    assert_eq!(waiting, ["web", "low"]);
    assert_eq!(plan.unmet.len(), 2);
    let text = &plan.unmet[1].text;
    assert!(
        text.starts_with("cpu of web on a asks for 2.2 cores and holds 1.24 cores; 0 cores are free"),
        "{text}"
    );
    assert_eq!(account(&plan, Resource::Cpu).queued, 2);

    // Who waits longest is first in the next round.
    scene.state = plan.state;
    scene.now_ms += 60_000;
    scene.host().workloads.get_mut("same").unwrap().cpu_cores = Some(1.8);
    let next = scene.plan();
    let waiting: Vec<&str> = next.queue.iter().map(|request| request.key.workload.as_str()).collect();
    assert_eq!(waiting, ["web", "same", "low"]);
    assert_eq!(next.queue[0].since_ms, HOUR_MS);
}

#[test]
fn without_priority_a_request_waits() {
    let policy = "[class.batch]\nstrategies = [\"dynamic\"]\nmargin = 0";
    let plan = Scene::new(policy)
        .workload("batch", 90, 2.0, Some(1.0))
        .workload("low", 10, 3.0, Some(3.0))
        .plan();
    assert_eq!(targets(&plan), []);
    assert_eq!(plan.queue.len(), 1);
}

#[test]
fn a_need_beyond_the_host_is_said() {
    let mut scene = Scene::new("[class.small]\nceiling = 0.25").workload("small", 50, 2.0, None);
    let plan = scene.plan();
    assert_eq!(targets(&plan), [("small", 1.0)]);
    assert_eq!(explanation(&plan, "small").clamp, "ceiling");
    assert_eq!(
        plan.unmet[0].text,
        "cpu of small on a needs 2 cores; the ceiling of its class is 1 cores: raise it, or move the workload"
    );
    scene.host().present[4] = Some(190.0);
    scene.host().forecasts = vec![forecast(Resource::Power, 300, 230.0, 240.0)];
    let plan = scene.plan();
    assert_eq!(
        plan.unmet[0].text,
        "power of a needs 240 W; the host has 200 W: move a workload away, or add capacity"
    );
}

#[test]
fn the_budget_bounds_changes_and_the_critical_come_first() {
    let mut scene = Scene::new("[budget]\nhost_per_minute = 2")
        .workload("one", 10, 0.5, None)
        .workload("two", 20, 0.5, None)
        .workload("three", 30, 0.5, None);
    let plan = scene.plan();
    assert_eq!(targets(&plan), [("three", 0.55), ("two", 0.55)]);
    assert!(
        plan.unmet[0].text.contains("changes of this minute are used up"),
        "{}",
        plan.unmet[0].text
    );
    scene.state = plan.state;
    scene.now_ms += 59_999;
    assert_eq!(targets(&scene.plan()), []);
    scene.now_ms += 1;
    assert_eq!(targets(&scene.plan()), [("one", 0.55)]);
}

#[test]
fn a_host_that_shrank_takes_back_what_it_has_not() {
    let floors = "[class.low]\nfloor = 0.1\n[class.high]\nfloor = 0.1";
    let mut scene = Scene::new(floors)
        .workload("low", 10, 1.5, Some(1.65))
        .workload("high", 90, 2.0, Some(2.2));
    scene.host().capacity.cpu_cores = Some(2.0);
    scene.started_ms = HOUR_MS;
    let plan = scene.plan();
    assert_eq!(targets(&plan), [("high", 1.8), ("low", 0.2)]);
    assert_eq!(explanation(&plan, "low").clamp, "capacity");
    assert_eq!(account(&plan, Resource::Cpu).excess(), 0.0);
}

#[test]
fn what_is_gone_gives_back_and_what_is_away_keeps() {
    let scene = Scene::new("").workload("gone", 50, 1.0, Some(1.1));
    let mut scene = scene.workload("not measured", 50, f64::NAN, None);
    scene.host().workloads.remove("gone");
    let away = Key::new("away", "web", Resource::Cpu);
    scene.state.reservations.insert(
        away.clone(),
        Reservation {
            amount: 7.0,
            since_ms: 0,
        },
    );
    let plan = scene.plan();
    assert_eq!(account(&plan, Resource::Cpu).reserved, 0.0);
    let kept: Vec<&Key> = plan.state.reservations().map(|(key, _)| key).collect();
    assert_eq!(kept, [&away]);
}

#[test]
fn what_is_not_measured_keeps_what_it_has() {
    let mut scene = Scene::new("")
        .workload("web", 50, 1.0, Some(3.0))
        .workload("low", 1, 9.0, Some(0.5));
    scene.host().workloads.get_mut("web").unwrap().cpu_cores = None;
    let plan = scene.plan();
    assert_eq!(targets(&plan), [("low", 1.0)]);
    assert_eq!(plan.state.reservation("a", "web", Resource::Cpu).unwrap().amount, 3.0);
}

#[test]
fn what_was_learnt_is_put_on_top_and_said() {
    let mut scene = Scene::new("").workload("web", 50, 2.0, None);
    let key = Key::new("a", "web", Resource::Cpu);
    for minute in 0..=10 {
        scene.feedback.usage(minute * 60_000, &key, 3.0, 2.0);
    }
    let plan = scene.plan();
    assert_eq!(targets(&plan), [("web", 2.596)]);
    let text = &explanation(&plan, "web").text;
    assert!(
        text.ends_with("with 30 % on top (20 % learnt: 10 of 10 min were over the reservation)"),
        "{text}"
    );
}

#[test]
fn what_an_agent_refused_is_left_alone_for_a_while() {
    let mut scene = Scene::new("").workload("web", 50, 2.0, Some(1.0));
    let change = scene.plan().changes.remove("a").unwrap();
    let command = Command {
        id: "1-a-1".to_owned(),
        host: "a".to_owned(),
        issuer_epoch: 1,
        sequence: 1,
        issued_ms: scene.now_ms,
        ttl_ms: 900_000,
        dry_run: true,
        changes: change,
        actions: Vec::new(),
    };
    let refused = Outcome {
        command_id: command.id.clone(),
        state: OutcomeState::Refused,
        reason: "clock skew".to_owned(),
        time_ms: scene.now_ms,
        changes: Vec::new(),
        actions: Vec::new(),
    };
    scene.state = scene.plan().state;
    scene.state.settle(&command, &refused);
    scene.feedback.outcome(&command, &refused);
    let plan = scene.plan();
    assert_eq!(targets(&plan), []);
    assert!(
        plan.unmet[0]
            .text
            .ends_with("did not do as asked 1 time(s), last: clock skew")
    );
    scene.now_ms += 60_000;
    assert_eq!(targets(&scene.plan()), [("web", 2.2)]);
}

#[test]
fn a_host_without_workloads_is_reserved_for_as_a_whole() {
    let scene = Scene::new("");
    let plan = scene.plan();
    let change = plan.changes["a"]
        .iter()
        .find(|change| change.resource == Resource::Cpu)
        .unwrap();
    assert_eq!(change.workload, shadow::HOST_WORKLOAD);
    // Half of four cores, and what the class puts on top.
    assert!((2.0..2.5).contains(&change.target), "{change:?}");
    assert!(
        change.explanation.text.contains("cpu of a"),
        "{}",
        change.explanation.text
    );
}

/// What the books say, at so much of the host.
pub(super) fn decided(limit: f64) -> limits::Decision {
    let standing = |place: usize, limit: f64, cost: f64| limits::Standing {
        rule: limits::Rule::at(place).unwrap(),
        limit,
        cost,
        book: limits::Book {
            slack: 0.11,
            violations: 0.0081,
            excess: 0.001,
            changes: 0.1,
        },
    };
    limits::Decision {
        at: 12,
        limit,
        averaged: 1,
        chosen: standing(20, limit, 0.142),
        runner_up: standing(100, 0.75, 0.147),
        price_of_violation: 9.3,
        price_of_change: 0.2,
    }
}

#[test]
fn a_workload_is_sized_by_the_peaks_that_are_forecast_of_itself() {
    let scene = Scene::new("").workload("web", 50, 0.5, None);
    let mut scene = scene.workload("batch", 50, 0.5, None);
    scene.host().limits[0] = Some(decided(0.75));
    let own = |minutes: u32| shadow::Peak {
        resource: Resource::Cpu,
        made_ms: HOUR_MS,
        hold_s: 60 * minutes,
        quantiles: [1.5; 6],
    };
    let web = scene.host().workloads.get_mut("web").unwrap();
    web.peaks = limits::HOLDS_MIN.map(own).into();
    let plan = scene.plan();
    let of = |name: &str| {
        let mut changes = plan.changes["a"].iter();
        changes
            .find(|change| change.workload == name && change.resource == Resource::Cpu)
            .unwrap()
    };
    let (web, batch) = (of("web"), of("batch"));
    assert!((web.target - 1.5).abs() < 1e-9, "its own peak: {web:?}");
    assert!((batch.target - 1.5).abs() > 0.1, "its part of the limit: {batch:?}");
    let own = "1.5 cores are enough for the peak that is forecast of itself, as its host's rule has it, by its books";
    assert!(web.explanation.text.contains(own), "{:?}", web.explanation.text);
    assert!(
        !batch.explanation.text.contains("of itself"),
        "{:?}",
        batch.explanation.text
    );
}

#[test]
fn where_books_have_decided_they_rule_and_tell_their_prices() {
    let mut scene = Scene::new("[class.host]\nmargin = 0.5\n[class.last]\nstrategies = [\"priority\"]");
    scene.host().limits[0] = Some(decided(0.5));
    let plan = scene.plan();
    let change = &plan.changes["a"][0];
    assert!((change.target - 2.0).abs() < 1e-9, "no margin on top: {change:?}");
    let why = &change.explanation;
    assert_eq!((why.strategy.as_str(), why.horizon_s), ("preemptive", 300));
    for part in [
        "2 cores are enough by its books",
        "peak over 5 min",
        "0.81 % of the time too little",
        "priced at 9.30 hosts",
    ] {
        assert!(why.text.contains(part), "{part:?} is not in {:?}", why.text);
    }
    assert!(
        why.rejected.contains("3 cores") && why.rejected.contains("0.1470"),
        "{:?}",
        why.rejected
    );
    assert_eq!(why.rung, "books");
    let mean = limits::Decision {
        averaged: 7,
        limit: 0.6,
        ..decided(0.5)
    };
    scene.host().limits[0] = Some(mean);
    let why = &scene.plan().changes["a"][0].explanation;
    for part in [
        "2.4 cores are enough by its books (the mean of 7 rules that cost nearly as little as peak over 5 min",
        "which alone had lately 11.0 % of the host spare",
    ] {
        assert!(why.text.contains(part), "{part:?} is not in {:?}", why.text);
    }
    // Never below the present use; and who does not look ahead takes no notice.
    scene.host().limits[0] = Some(decided(0.2));
    scene.host().present[0] = Some(0.9);
    let raised = scene.plan();
    assert!(raised.changes["a"][0].target >= 3.6 - 1e-9, "{:?}", raised.changes);
}
