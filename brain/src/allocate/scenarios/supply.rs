//! What the pool gives: windows, to and fro, waiting, what the cell shares, and spare hosts.

use super::*;

/// A host with nothing but power, of which it uses `watts` and will use as much.
fn powered(watts: f64, criticality: Option<u8>) -> HostInput {
    let mut host = Scene::new("").host().clone();
    host.capacity.cpu_cores = None;
    host.present = [None, None, None, None, Some(watts)];
    host.forecasts = vec![forecast(Resource::Power, 300, watts, watts)];
    if let Some(criticality) = criticality {
        let web = WorkloadInput {
            criticality,
            class: "default".to_owned(),
            ..WorkloadInput::default()
        };
        host.workloads.insert("web".to_owned(), web);
    }
    host
}

fn held(plan: &Plan, host: &str) -> f64 {
    let power = Key::new(host, shadow::HOST_WORKLOAD, Resource::Power);
    plan.state.reservations[&power].amount
}

fn answer(state: &mut State, plan: &Plan, host: &str, outcome: OutcomeState) {
    let command = Command {
        id: "1".to_owned(),
        host: host.to_owned(),
        issuer_epoch: 1,
        sequence: 1,
        issued_ms: plan.time_ms,
        ttl_ms: 300_000,
        dry_run: true,
        changes: plan.changes[host].clone(),
        actions: Vec::new(),
    };
    let outcome = Outcome {
        command_id: command.id.clone(),
        state: outcome,
        reason: String::new(),
        time_ms: plan.time_ms,
        changes: Vec::new(),
        actions: Vec::new(),
    };
    state.settle(&command, &outcome);
}

#[test]
fn power_goes_from_host_to_host_once_the_giver_has_answered() {
    let mut scene = Scene::new("[cell]\npower_w = 250\n[class.host]\nmargin = 0\nfloor = 0.25");
    scene.hosts.insert("a".to_owned(), powered(150.0, Some(90)));
    scene.hosts.insert("b".to_owned(), powered(150.0, None));
    let plan = scene.plan();
    assert_eq!((held(&plan, "a"), held(&plan, "b")), (150.0, 100.0));
    let cell = plan.pool.iter().find(|account| account.host.is_none()).unwrap();
    assert_eq!((cell.reserved, cell.free(), cell.queued), (250.0, 0.0, 1));
    // The critical host grows: the other gives down to its floor, and nothing is given before it has.
    scene.state = plan.state;
    scene.now_ms += 60_000;
    scene.hosts.insert("a".to_owned(), powered(195.0, Some(90)));
    let plan = scene.plan();
    assert_eq!((held(&plan, "a"), held(&plan, "b")), (150.0, 55.0));
    assert_eq!(
        plan.unmet[0].text,
        "power of a asks for 195 W and holds 150 W; on the way, until their agents have answered: 45 W from b"
    );
    assert_eq!(plan.throttled[0].by, ["a"]);
    // No answer yet: nothing is taken a second time.
    scene.state = plan.state.clone();
    scene.now_ms += 60_000;
    let waiting = scene.plan();
    assert_eq!((held(&waiting, "a"), held(&waiting, "b")), (150.0, 55.0));
    assert!(
        waiting.unmet[0].text.contains("45 W from others"),
        "{}",
        waiting.unmet[0].text
    );
    let cell = waiting.pool.iter().find(|account| account.host.is_none()).unwrap();
    assert_eq!((cell.reserved, cell.coming, cell.free()), (205.0, 45.0, 0.0));
    // It refuses: it holds what it held, and is asked again only after its rest.
    let mut refused = scene.state.clone();
    answer(&mut refused, &plan, "b", OutcomeState::Refused);
    assert_eq!(
        refused
            .reservation("b", shadow::HOST_WORKLOAD, Resource::Power)
            .unwrap()
            .amount,
        100.0
    );
    // It has given: now there is something to take.
    answer(&mut scene.state, &plan, "b", OutcomeState::DryRun);
    let plan = scene.plan();
    assert_eq!((held(&plan, "a"), held(&plan, "b")), (195.0, 55.0));
}

#[test]
fn what_could_be_taken_back_is_told_by_account() {
    let plan = Scene::new("")
        .workload("web", 50, 1.0, Some(3.0))
        .workload("new", 50, 0.2, Some(0.22))
        .plan();
    let cpu = account(&plan, Resource::Cpu);
    // Of the three cores a quarter is lowered now; 1.1 of the 2.25 that are left are asked for.
    assert!((cpu.reclaimable - 1.15).abs() < 1e-9, "{cpu:?}");
    assert!((cpu.free() - 1.53).abs() < 1e-9, "{cpu:?}");
    let mut stale = Scene::new("").workload("web", 50, 1.0, Some(3.0));
    stale.host().age_ms = Some(61_000);
    assert_eq!(
        account(&stale.plan(), Resource::Cpu).reclaimable,
        0.0,
        "not on the word of a stale shadow"
    );
}

#[test]
fn in_a_window_nothing_is_lowered_or_nothing_changed() {
    let window = |effect: &str, more: &str| {
        let text = format!(
            "[[window]]\nname = \"release\"\neffect = \"{effect}\"\nfrom = \"00:30\"\nuntil = \"02:00\"\n{more}"
        );
        Scene::new(&text)
            .workload("high", 50, 0.5, Some(2.0))
            .workload("low", 50, 1.0, Some(0.2))
    };
    assert_eq!(targets(&window("no lowering", "").plan()), [("low", 1.1)]);
    let still = window("no change", "").plan();
    assert_eq!(targets(&still), []);
    assert_eq!(
        still.unmet[0].text,
        "cpu of low on a asks for 1.1 cores and holds 0.2 cores; it is left alone for a while: \
         the window release allows no change"
    );
    let of_low = window("no change", "classes = [\"low\"]\n[class.low]");
    assert_eq!(targets(&of_low.plan()), [("high", 1.5)]);
    assert_eq!(
        targets(&window("no change", "hosts = [\"b*\"]").plan()),
        [("high", 1.5), ("low", 1.1)]
    );
    let mut after = window("no change", "");
    after.now_ms = 2 * HOUR_MS;
    after.host().forecasts[0].made_ms = after.now_ms;
    assert_eq!(targets(&after.plan()), [("high", 1.5), ("low", 1.1)]);
}

#[test]
fn who_goes_to_and_fro_falls_later_each_time_and_at_last_not() {
    let mut scene =
        Scene::new("[class.web.flap]\nmost = 3\nwithin = \"6h\"\n[class.web.lower]\ndwell = \"5m\"\nslew = 1")
            .workload("web", 50, 2.0, Some(2.2));
    let mut falls = Vec::new();
    // Each minute the need is the other: high when it is low, and low when it is high.
    for minute in 0..360 {
        let high = scene.state.reservations.values().next().unwrap().amount > 1.5;
        scene.host().workloads.get_mut("web").unwrap().cpu_cores = Some(if high { 1.0 } else { 2.0 });
        scene.host().forecasts[0].made_ms = scene.now_ms;
        let plan = scene.plan();
        if targets(&plan).first().is_some_and(|(_, target)| *target < 1.5) {
            falls.push(minute);
        }
        scene.state = plan.state;
        scene.now_ms += 60_000;
    }
    // After the first fall it rises within a minute, stands for ten, then twenty, and falls no more for six hours.
    assert_eq!(falls, [0, 6, 17, 38]);
}

#[test]
fn who_waits_gains_points_and_is_told_when_it_is_overdue() {
    let text = "[queue]\nageing_per_hour = 60\nageing_most = 15\n[class.old]\nstrategies = [\"dynamic\"]\nmargin = 0\n\
                deadline = \"10m\"\n[class.new]\nstrategies = [\"dynamic\"]\nmargin = 0";
    let mut scene = Scene::new(text)
        .workload("full", 99, 4.0, Some(4.0))
        .workload("old", 40, 1.0, None);
    let plan = scene.plan();
    assert_eq!((plan.queue.len(), plan.queue[0].deadline_ms), (1, HOUR_MS + 600_000));
    scene.state = plan.state;
    scene.now_ms += 660_000;
    scene.host().forecasts[0].made_ms = scene.now_ms;
    scene = scene.workload("new", 50, 1.0, None);
    let plan = scene.plan();
    let waiting: Vec<&str> = plan.queue.iter().map(|request| request.key.workload.as_str()).collect();
    assert_eq!(waiting, ["old", "new"], "40 and eleven points for eleven minutes");
    let text = &plan
        .unmet
        .iter()
        .find(|unmet| unmet.key.workload == "old")
        .unwrap()
        .text;
    assert!(text.contains("at criticality 40, 1 min past its deadline"), "{text}");
    // Waiting gives no right to throttle.
    assert_eq!(plan.throttled, []);
}

/// A cell of one host that will need `p95` of its cpu, with a spare one.
fn with_spare(p95: f64, more: &str) -> Scene {
    let mut scene = Scene::new(&format!(
        "[[spare]]\nhost = \"spare\"\nboot = \"10m\"\npower_w = 100\n{more}"
    ));
    scene.host().forecasts = vec![
        forecast(Resource::Cpu, 300, 0.5, 0.6),
        forecast(Resource::Cpu, 900, 0.5, p95),
    ];
    scene
}

#[test]
fn a_spare_host_is_woken_before_the_need_one_at_a_time() {
    assert_eq!(with_spare(0.8, "").plan().wakes, []);
    let mut scene = with_spare(0.9, "[[spare]]\nhost = \"second\"\n");
    let plan = scene.plan();
    assert_eq!(plan.wakes.len(), 1);
    assert_eq!(
        plan.wakes[0].text,
        "wake spare: cpu of the cell: p95 in 10m is 3.6 cores, more than 85 % of the 4 cores that the awake hosts have"
    );
    // It is on its way: nobody else is woken, and it is asked again when it does not come.
    scene.state = plan.state;
    let later = |scene: &mut Scene, minutes: i64| {
        scene.now_ms = HOUR_MS + minutes * 60_000;
        for host in scene.hosts.values_mut() {
            host.forecasts
                .iter_mut()
                .for_each(|forecast| forecast.made_ms = HOUR_MS + minutes * 60_000);
        }
        let plan = scene.plan();
        scene.state = plan.state;
        plan.wakes
    };
    assert_eq!(later(&mut scene, 19), []);
    let again = later(&mut scene, 20);
    assert!(
        again[0].text.ends_with("it was asked 1 time(s) before"),
        "{}",
        again[0].text
    );
    assert_eq!(scene.state.waking["spare"].times, 2);
    // It is up: the next need wakes the second, and its own capacity counts.
    let mut up = scene.hosts["a"].clone();
    up.present[0] = Some(0.1);
    up.forecasts = vec![forecast(Resource::Cpu, 900, 0.1, 0.1)];
    scene.hosts.insert("spare".to_owned(), up);
    assert_eq!(later(&mut scene, 21), []);
    assert!(scene.state.waking.is_empty());
    for host in scene.hosts.values_mut() {
        host.forecasts = vec![forecast(Resource::Cpu, 900, 0.9, 0.9)];
    }
    assert_eq!(later(&mut scene, 22)[0].host, "second");
}

#[test]
fn a_spare_host_is_not_woken_beyond_the_power_of_the_cell() {
    let mut scene = with_spare(0.9, "[cell]\npower_w = 250\n[class.host]\nmargin = 0\n");
    scene.host().present[4] = Some(180.0);
    scene
        .host()
        .forecasts
        .push(forecast(Resource::Power, 300, 180.0, 180.0));
    let plan = scene.plan();
    assert_eq!(plan.wakes, []);
    assert!(
        plan.unmet.last().unwrap().text.ends_with(
            "the spare host spare would be woken, but it may draw 100 W and 70 W of the cell's power are free"
        ),
        "{:?}",
        plan.unmet
    );
    scene.policy.cell.power_w = Some(300.0);
    let plan = scene.plan();
    assert_eq!(plan.wakes.len(), 1);
    assert_eq!(held(&plan, "spare"), 100.0, "what it may draw is promised to it");
    let cell = plan.pool.iter().find(|account| account.host.is_none()).unwrap();
    assert_eq!(cell.reserved, 280.0);
}

#[test]
fn what_hurt_is_raised_again_and_not_lowered_below_that() {
    let mut scene = Scene::new("").workload("web", 50, 1.0, Some(2.0));
    let key = Key::new("a", "web", Resource::Cpu);
    let mut change = scene.plan().changes.remove("a").unwrap().remove(0);
    change.before = Some(2.5);
    let command = Command {
        id: "1".to_owned(),
        host: "a".to_owned(),
        issuer_epoch: 1,
        sequence: 1,
        issued_ms: HOUR_MS,
        ttl_ms: 300_000,
        dry_run: false,
        changes: vec![change],
        actions: Vec::new(),
    };
    let outcome = Outcome {
        command_id: "1".to_owned(),
        state: OutcomeState::Applied,
        reason: String::new(),
        time_ms: HOUR_MS,
        changes: Vec::new(),
        actions: Vec::new(),
    };
    scene.feedback.outcome(&command, &outcome);
    assert_eq!(scene.feedback.looks(HOUR_MS, 1).len(), 1);
    let killed = crate::feedback::Strain {
        kills: Some(1.0),
        ..crate::feedback::Strain::default()
    };
    scene.feedback.strained(&key, HOUR_MS, (None, killed));
    let plan = scene.plan();
    assert_eq!(targets(&plan), [("web", 2.5)]);
    let told = explanation(&plan, "web");
    assert_eq!(told.clamp, "hurt");
    assert!(
        told.text
            .contains("a lowering hurt 1 time(s), last: 1 process(es) were killed"),
        "{}",
        told.text
    );
    assert!(
        told.text.ends_with("held where it was before a lowering hurt"),
        "{}",
        told.text
    );
    scene.state = plan.state;
    scene.now_ms += 3_500_000;
    scene.host().forecasts[0].made_ms = scene.now_ms;
    assert_eq!(targets(&scene.plan()), [], "an hour");
    scene.now_ms += 200_000;
    assert_eq!(targets(&scene.plan()).len(), 1);
}
