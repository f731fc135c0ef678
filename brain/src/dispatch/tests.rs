//! From plans to commands, and what answers come to.

use shadow::{Capacity, Forecast, Quantiles, Rung, Shares};

use super::*;
use crate::allocate::{WorkloadInput, proposals::Refusal};

fn dispatch() -> Dispatch {
    let timing = Timing {
        every_ms: 60_000,
        ttl_ms: 300_000,
    };
    Dispatch::new(Policy::built_in(), timing, 7, 0)
}

fn hosts() -> BTreeMap<String, HostInput> {
    let forecast = |horizon_s| Forecast {
        resource: Resource::Cpu,
        made_ms: 3_600_000,
        horizon_s,
        quantiles: Quantiles::from_array([0.5, 0.55, 0.6, 0.65]),
        rung: Rung::Ewma,
        shares: Shares::default(),
        skill: Some(0.2),
        coverage: Some(0.95),
    };
    let web = WorkloadInput {
        criticality: 50,
        class: "default".into(),
        cpu_cores: Some(1.0),
        memory_bytes: None,
        ..WorkloadInput::default()
    };
    let host = HostInput {
        capacity: Capacity {
            cpu_cores: Some(4.0),
            ..Capacity::default()
        },
        present: [Some(0.5), None, None, None, None],
        age_ms: Some(500),
        history_ms: 3_600_000,
        forecasts: [300, 600, 900].map(forecast).to_vec(),
        workloads: BTreeMap::from([("web".to_owned(), web)]),
        ..HostInput::default()
    };
    BTreeMap::from([("a".to_owned(), host)])
}

#[test]
fn a_plan_becomes_fenced_commands_and_answers_settle_it() {
    let mut dispatch = dispatch();
    assert!(dispatch.is_due(3_600_000));
    let commands = dispatch.round(3_600_000, &hosts());
    let [command] = commands.as_slice() else {
        panic!("{commands:?}")
    };
    assert_eq!(
        (command.id.as_str(), command.sequence, command.dry_run),
        ("7-a-1", 1, true)
    );
    let asked = dispatch.reserved("a", "web", Resource::Cpu);
    assert!(asked.is_some_and(|cores| cores > 1.0), "{asked:?}");
    assert!(!dispatch.is_due(3_659_999) && dispatch.is_due(3_660_000));

    let mut answer = Outcome {
        command_id: command.id.clone(),
        state: OutcomeState::Refused,
        reason: "floor".into(),
        time_ms: 3_600_100,
        changes: Vec::new(),
        actions: Vec::new(),
    };
    assert_eq!(dispatch.outcome("b", &answer), Answer::Unknown, "another host's answer");
    assert_eq!(dispatch.outcome("a", &answer), Answer::Taken);
    assert_eq!(dispatch.outcome("a", &answer), Answer::Repeated);
    assert_eq!(
        dispatch.reserved("a", "web", Resource::Cpu),
        None,
        "what was refused is not held"
    );
    answer.state = OutcomeState::DryRun;
    assert_eq!(
        dispatch.outcome("a", &answer),
        Answer::Repeated,
        "what was refused stays refused"
    );
    answer.command_id = "7-a-99".into();
    assert_eq!(dispatch.outcome("a", &answer), Answer::Unknown);
}

#[test]
fn answers_mean_the_same_in_whatever_order_a_broker_hands_them_on() {
    let mut dispatch = dispatch();
    let command = dispatch.round(3_600_000, &hosts()).remove(0);
    let mut answer = |state| {
        let outcome = Outcome {
            command_id: command.id.clone(),
            state,
            reason: String::new(),
            time_ms: 3_600_100,
            changes: Vec::new(),
            actions: Vec::new(),
        };
        dispatch.outcome("a", &outcome)
    };
    for (state, expected) in [
        (OutcomeState::DryRun, Answer::Taken),
        (OutcomeState::Refused, Answer::Repeated),
        (OutcomeState::Applied, Answer::Repeated),
        (OutcomeState::Expired, Answer::Taken),
        (OutcomeState::DryRun, Answer::Repeated),
        (OutcomeState::Failed, Answer::Repeated),
    ] {
        assert_eq!(answer(state), expected, "{state:?}");
    }
}

#[test]
fn issuer_epochs_rise_even_when_the_clock_does_not() {
    assert_eq!(next_issuer_epoch(5, None), 5_000);
    assert_eq!(next_issuer_epoch(5, Some(4_000)), 5_000);
    assert_eq!(next_issuer_epoch(5, Some(9_000)), 9_001);
    assert_eq!(next_issuer_epoch(-5, Some(0)), 1);
}

/// A dispatch that acts on cpu of all hosts, after it has settled.
fn acting() -> Dispatch {
    let policy = Policy::parse("[act]\n\"*\" = [\"cpu\"]").unwrap();
    let timing = Timing {
        every_ms: 60_000,
        ttl_ms: 300_000,
    };
    Dispatch::new(policy, timing, 7, 0)
}

fn answer(command: &Command, state: OutcomeState) -> Outcome {
    Outcome {
        command_id: command.id.clone(),
        state,
        reason: String::new(),
        time_ms: command.issued_ms + 50,
        changes: Vec::new(),
        actions: Vec::new(),
    }
}

const HOUR_MS: UnixMs = 3_600_000;

#[test]
fn a_command_acts_only_where_the_policy_does() {
    let mut hosts = hosts();
    let memory = hosts.get_mut("a").unwrap();
    memory.capacity.memory_bytes = Some(8e9);
    memory.present[1] = Some(0.25);
    memory.workloads.get_mut("web").unwrap().memory_bytes = Some(1e9);
    let mut told = memory.forecasts.clone();
    for forecast in &mut told {
        forecast.resource = Resource::Memory;
    }
    memory.forecasts.extend(told);
    let told = |commands: &[Command]| {
        let each = commands
            .iter()
            .map(|c| (c.dry_run, c.changes.iter().map(|c| c.resource).collect::<Vec<_>>()));
        each.collect::<Vec<_>>()
    };
    let commands = acting().round(HOUR_MS, &hosts);
    assert_eq!(
        told(&commands),
        [(false, vec![Resource::Cpu]), (true, vec![Resource::Memory])]
    );
    assert_eq!(commands[0].sequence + 1, commands[1].sequence);
    // The built-in policy recommends only.
    assert_eq!(
        told(&dispatch().round(HOUR_MS, &hosts)),
        [(true, vec![Resource::Cpu, Resource::Memory])]
    );
}

#[test]
fn what_nothing_limits_yet_is_not_limited_in_doubt() {
    let mut dispatch = acting();
    // The brain has just started: the first reservation is told, and not put into force.
    dispatch.started_ms = HOUR_MS;
    let first = dispatch.round(HOUR_MS, &hosts()).remove(0);
    assert!(first.dry_run);
    dispatch.outcome("a", &answer(&first, OutcomeState::DryRun));
    let held_back = |dispatch: &Dispatch, resource| dispatch.held_back("a", "web", resource).map(str::to_owned);
    let why = held_back(&dispatch, Resource::Cpu);
    assert_eq!(why.as_deref(), Some("the brain runs for 0 s only"));
    assert_eq!(held_back(&dispatch, Resource::Memory), None, "nothing acts there");
    assert_eq!(dispatch.round(HOUR_MS + 60_000, &hosts()), []);
    // Ten minutes later it is, without being a change of the promise.
    let later = dispatch.round(HOUR_MS + 600_000, &hosts()).remove(0);
    assert!(!later.dry_run);
    assert_eq!(later.changes[0].before, Some(later.changes[0].target));
    let text = &later.changes[0].explanation.text;
    assert!(text.contains("what was promised is put into force"), "{text}");
    assert_eq!(held_back(&dispatch, Resource::Cpu), None);
    assert_eq!(dispatch.round(HOUR_MS + 660_000, &hosts()), [], "once");
}

#[test]
fn a_frozen_cell_stays_as_it_is_and_is_told_so_before_leases_end() {
    let mut dispatch = acting();
    let first = dispatch.round(HOUR_MS, &hosts()).remove(0);
    dispatch.outcome("a", &answer(&first, OutcomeState::Applied));
    dispatch.set_freeze(Some(Freeze {
        by: "ann".into(),
        reason: "a release".into(),
        since_ms: HOUR_MS,
    }));
    let mut grown = hosts();
    grown.get_mut("a").unwrap().workloads.get_mut("web").unwrap().cpu_cores = Some(3.0);
    let held = dispatch.state.clone();
    assert_eq!(dispatch.round(HOUR_MS + 60_000, &grown), []);
    assert_eq!(dispatch.state, held, "nothing is promised either");
    assert!(!dispatch.pool().is_empty(), "and it is shown");
    let renewed = dispatch.renew(HOUR_MS + 230_000, |_| Some(500)).remove(0);
    assert_eq!(renewed.changes[0].target, first.changes[0].target);
    dispatch.set_freeze(None);
    assert_eq!(dispatch.round(HOUR_MS + 240_000, &grown).len(), 1, "thawed");
}

#[test]
fn a_lease_is_told_again_in_time_and_that_is_no_change() {
    let mut dispatch = acting();
    let first = dispatch.round(HOUR_MS, &hosts()).remove(0);
    dispatch.outcome("a", &answer(&first, OutcomeState::Applied));
    let mut told = Vec::new();
    for second in 1..1_200 {
        let now_ms = HOUR_MS + 1_000 * second;
        for command in dispatch.renew(now_ms, |_| Some(500)) {
            assert_eq!(
                dispatch.outcome("a", &answer(&command, OutcomeState::Applied)),
                Answer::Renewed
            );
            assert_eq!((command.dry_run, command.changes.len()), (false, 1));
            assert_eq!(command.changes[0].before, Some(command.changes[0].target));
            told.push(now_ms);
        }
        if second % 60 == 0 {
            assert_eq!(dispatch.round(now_ms, &hosts()), [], "no change is made of it");
        }
    }
    let gaps: Vec<i64> = told.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(told[0] < HOUR_MS + 225_000 + 6_000, "{told:?}");
    assert!(gaps.iter().all(|gap| (150_000..=230_000).contains(gap)), "{gaps:?}");
    // The first command has long been replaced: that it ends says nothing.
    dispatch.outcome("a", &answer(&first, OutcomeState::Expired));
    assert!(dispatch.state.is_leased(&Key::new("a", "web", Resource::Cpu)));
    assert_eq!(dispatch.shown().len(), 1, "the page lists changes");
    let counted: u64 = dispatch.plans.iter().map(|plan| plan.renewed).sum();
    assert_eq!(
        counted + dispatch.renewed,
        told.len() as u64,
        "the table of plans counts"
    );
}

#[test]
fn what_is_not_answered_is_asked_again_after_an_eighth() {
    let mut dispatch = acting();
    dispatch.round(HOUR_MS, &hosts());
    let mut told = Vec::new();
    for second in 1..100 {
        let now_ms = HOUR_MS + 1_000 * second;
        told.extend(dispatch.renew(now_ms, |_| Some(500)).iter().map(|_| second));
    }
    assert_eq!(told, [41, 81], "of 300 s, looked at every five");
}

#[test]
fn a_lease_that_ended_is_promised_on_and_asked_for_again() {
    let mut dispatch = acting();
    let first = dispatch.round(HOUR_MS, &hosts()).remove(0);
    dispatch.outcome("a", &answer(&first, OutcomeState::Applied));
    let held = dispatch.reserved("a", "web", Resource::Cpu);
    assert_eq!(
        dispatch.renew(HOUR_MS + 400_000, |_| Some(700_000)),
        [],
        "a silent host is left to its leases"
    );
    dispatch.outcome("a", &answer(&first, OutcomeState::Expired));
    assert_eq!(dispatch.reserved("a", "web", Resource::Cpu), held);
    let again = dispatch.round(HOUR_MS + 420_000, &hosts()).remove(0);
    assert_eq!((again.dry_run, Some(again.changes[0].target)), (false, held));
    // A lease by the word of a brain before this one.
    dispatch.outcome("a", &answer(&again, OutcomeState::Applied));
    dispatch.sent = Sent::default();
    assert_eq!(
        dispatch.outcome("a", &answer(&again, OutcomeState::Expired)),
        Answer::Renewed
    );
    assert!(!dispatch.state.is_leased(&Key::new("a", "web", Resource::Cpu)));
}

#[test]
fn where_the_policy_acts_no_more_leases_run_out() {
    let mut dispatch = acting();
    let first = dispatch.round(HOUR_MS, &hosts()).remove(0);
    dispatch.outcome("a", &answer(&first, OutcomeState::Applied));
    dispatch.policy = Policy::built_in();
    assert_eq!(dispatch.renew(HOUR_MS + 230_000, |_| Some(500)), []);
    assert_eq!(dispatch.round(HOUR_MS + 240_000, &hosts()), []);
    assert!(!dispatch.state.is_leased(&Key::new("a", "web", Resource::Cpu)));
}

#[test]
fn thousands_of_hosts_are_told_in_time_and_not_all_at_once() {
    const HOSTS: usize = 1_000;
    let mut dispatch = acting();
    let one = hosts().remove("a").unwrap();
    let hosts: BTreeMap<String, HostInput> = (0..HOSTS).map(|at| (format!("h{at}"), one.clone())).collect();
    dispatch.policy.budget.cell_per_minute = 10_000;
    let mut applied: BTreeMap<String, UnixMs> = BTreeMap::new();
    for command in dispatch.round(HOUR_MS, &hosts) {
        applied.insert(command.host.clone(), HOUR_MS);
        dispatch.outcome(&command.host, &answer(&command, OutcomeState::Applied));
    }
    assert_eq!(applied.len(), HOSTS);
    let (mut busiest, mut told) = (0, 0_usize);
    for step in 1..=120 {
        let now_ms = HOUR_MS + 5_000 * step;
        let commands = dispatch.renew(now_ms, |_| Some(500));
        busiest = busiest.max(commands.len());
        told += commands.len();
        for command in commands {
            let before = applied.insert(command.host.clone(), now_ms).unwrap();
            assert!(now_ms - before < 300_000, "{} ran out", command.host);
            dispatch.outcome(&command.host, &answer(&command, OutcomeState::Applied));
        }
    }
    // Each every 150 to 225 s for ten minutes, looked at every five: not all at once.
    assert!(busiest <= HOSTS / 4, "{busiest} at a time");
    assert!((2 * HOSTS..=4 * HOSTS).contains(&told), "{told}");
}

#[test]
fn another_brain_makes_this_one_wait_as_after_a_start() {
    let mut dispatch = dispatch();
    let mut hosts = hosts();
    let first = dispatch.round(HOUR_MS, &hosts).remove(0);
    let host = hosts.get_mut("a").unwrap();
    host.workloads.get_mut("web").unwrap().cpu_cores = Some(0.1);
    let mut lowers = |dispatch: &mut Dispatch, now_ms| {
        for forecast in &mut hosts.get_mut("a").unwrap().forecasts {
            forecast.made_ms = now_ms;
        }
        let commands = dispatch.round(now_ms, &hosts);
        commands
            .iter()
            .flat_map(|c| &c.changes)
            .any(|c| c.before.is_some_and(|before| c.target < before))
    };
    let later_ms = HOUR_MS + 1_200_000;
    let distrusted = answer(&first, OutcomeState::Distrusted);
    dispatch.distrusted("b", &distrusted, later_ms - 1);
    dispatch.distrusted(
        "a",
        &answer(
            &Command {
                id: "9-a-9".into(),
                ..first.clone()
            },
            OutcomeState::Distrusted,
        ),
        later_ms - 1,
    );
    assert_eq!(dispatch.doubted_ms, None, "of another host, or of no command of ours");
    dispatch.distrusted("a", &distrusted, later_ms - 1);
    assert!(!lowers(&mut dispatch, later_ms));
    assert!(!lowers(&mut dispatch, later_ms + 599_000));
    assert!(lowers(&mut dispatch, later_ms + 600_000));
    // A command that was obeyed is not doubted because somebody hands it on again.
    let command = dispatch.sent.newest().next().unwrap().command.clone();
    dispatch.outcome("a", &answer(&command, OutcomeState::DryRun));
    dispatch.doubted_ms = None;
    dispatch.distrusted("a", &answer(&command, OutcomeState::Distrusted), later_ms);
    assert_eq!(dispatch.doubted_ms, None);
}

#[test]
fn what_is_forecast_to_lack_is_planned_for_at_once_and_once() {
    let mut dispatch = acting();
    let command = dispatch.round(HOUR_MS, &hosts()).remove(0);
    dispatch.outcome("a", &answer(&command, OutcomeState::Applied));
    let soon = |dispatch: &mut Dispatch, after_ms: i64, times: f64| {
        let mut hosts = hosts();
        let web = hosts.get_mut("a").unwrap().workloads.get_mut("web").unwrap();
        web.cpu_cores = web.cpu_cores.map(|cores| cores * times);
        dispatch.hurry(HOUR_MS + after_ms, &hosts);
        let is_due = dispatch.is_due(HOUR_MS + after_ms);
        if is_due {
            dispatch.round(HOUR_MS + after_ms, &hosts);
        }
        is_due
    };
    assert!(!soon(&mut dispatch, 10_000, 1.0), "nothing has changed");
    assert!(soon(&mut dispatch, 20_000, 1.5), "it will need more than it holds");
    assert!(!soon(&mut dispatch, 30_000, 1.5), "it has it now");
    assert!(
        soon(&mut dispatch, 40_000, 9.0),
        "more than there is, of which it gets all"
    );
    assert!(!soon(&mut dispatch, 50_000, 9.0), "all is given");
    dispatch.set_freeze(Some(Freeze {
        by: "ann".into(),
        reason: String::new(),
        since_ms: HOUR_MS,
    }));
    assert!(
        !soon(&mut dispatch, 60_000, 1.0) && !soon(&mut dispatch, 70_000, 2.0),
        "frozen"
    );
}

#[test]
fn ten_thousand_commands_in_a_minute_find_their_answers_and_are_bounded() {
    let mut dispatch = dispatch();
    let text = "[act]\n\"*\" = [\"cpu\"]\n[budget]\nhost_per_minute = 1000\ncell_per_minute = 1000000\n[class.default]\n\
                raise.hysteresis = 0\n[safety]\nsettle = \"0s\"";
    dispatch.policy = Policy::parse(text).unwrap();
    let of_cell = |busy: f64| -> BTreeMap<String, HostInput> {
        let mut host = hosts().remove("a").unwrap();
        host.workloads.get_mut("web").unwrap().cpu_cores = Some(busy);
        (0..10_000).map(|at| (format!("host-{at:05}"), host.clone())).collect()
    };
    let mut first = Vec::new();
    for round in 0..3 {
        let now_ms = 3_600_000 + 60_000 * round;
        let commands = dispatch.round(now_ms, &of_cell(1.0 + 0.5 * round as f64));
        assert_eq!(commands.len(), 10_000, "round {round}");
        let started = std::time::Instant::now();
        for command in &commands {
            let answer = Outcome {
                command_id: command.id.clone(),
                state: OutcomeState::Applied,
                reason: String::new(),
                time_ms: now_ms + 100,
                changes: Vec::new(),
                actions: Vec::new(),
            };
            assert_eq!(dispatch.outcome(&command.host, &answer), Answer::Taken);
            assert_eq!(dispatch.outcome(&command.host, &answer), Answer::Repeated);
        }
        // Not one by one through all that were sent: that would be 10^8 looks.
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
        if round == 0 {
            first = commands;
        }
    }
    assert_eq!(dispatch.sent.newest().count(), MAX_SENT);
    let old = Outcome {
        command_id: first[0].id.clone(),
        state: OutcomeState::Refused,
        reason: String::new(),
        time_ms: 3_800_000,
        changes: Vec::new(),
        actions: Vec::new(),
    };
    assert_eq!(dispatch.outcome(&first[0].host, &old), Answer::Unknown, "forgotten");
    assert!(dispatch.shown().len() == MAX_SHOWN);
}

/// A dispatch whose changes of cpu wait for somebody's word.
fn asking() -> Dispatch {
    let policy = "[act]\n\"*\" = [\"cpu\"]\n[class.default]\nmode = \"recommend\"";
    let timing = Timing {
        every_ms: 60_000,
        ttl_ms: 300_000,
    };
    Dispatch::new(Policy::parse(policy).unwrap(), timing, 7, 0)
}

/// The hosts with forecasts of `now_ms`.
fn hosts_at(now_ms: UnixMs) -> BTreeMap<String, HostInput> {
    let mut hosts = hosts();
    for forecast in hosts.values_mut().flat_map(|host| &mut host.forecasts) {
        forecast.made_ms = now_ms;
    }
    hosts
}

#[test]
fn a_proposal_does_nothing_until_it_is_approved_and_then_is_the_command_that_was_shown() {
    let mut dispatch = asking();
    assert_eq!(dispatch.mode(), "recommend");
    assert_eq!(dispatch.round(HOUR_MS, &hosts()), []);
    assert_eq!(
        dispatch.reserved("a", "web", Resource::Cpu),
        None,
        "nothing is promised"
    );
    assert_eq!(dispatch.renew(HOUR_MS + 250_000, |_| Some(500)), [], "nor held");
    let shown = dispatch.shown_proposals();
    let proposal = &shown[0];
    let account = dispatch
        .pool()
        .iter()
        .find(|account| account.resource == Resource::Cpu)
        .unwrap();
    assert!((account.proposed - proposal.change.target).abs() < 1e-9, "{account:?}");

    let (approved, command) = dispatch
        .approve((&proposal.id, "ann"), HOUR_MS + 1_000, &hosts())
        .unwrap();
    let command = command.unwrap();
    assert_eq!(
        (command.dry_run, &command.changes),
        (false, &vec![proposal.change.clone()])
    );
    assert_eq!(approved.command_id.as_ref(), Some(&command.id));
    assert_eq!(
        dispatch.reserved("a", "web", Resource::Cpu),
        Some(proposal.change.target)
    );
    let again = dispatch.approve((&proposal.id, "bob"), HOUR_MS + 2_000, &hosts());
    assert_eq!(again, Ok((approved, None)), "once");
    assert_eq!(
        dispatch.outcome("a", &answer(&command, OutcomeState::Applied)),
        Answer::Taken
    );
    let told = dispatch.new_proposals().unwrap().shown().remove(0);
    assert_eq!(told.outcome.map(|outcome| outcome.state), Some(OutcomeState::Applied));
    // What was approved is held on like any other, and nothing is proposed while it suffices.
    assert_eq!(dispatch.round(HOUR_MS + 60_000, &hosts()), []);
    assert_eq!(dispatch.open_proposals(), 0);
    let renewed = dispatch.renew(HOUR_MS + 260_000, |_| Some(500)).remove(0);
    assert_eq!(renewed.changes[0].target, proposal.change.target);
}

#[test]
fn a_frozen_cell_proposes_nothing_and_lets_nothing_be_approved() {
    let mut dispatch = asking();
    dispatch.round(HOUR_MS, &hosts());
    let proposal = dispatch.shown_proposals()[0].clone();
    dispatch.set_freeze(Some(Freeze {
        by: "ann".into(),
        reason: "a release".into(),
        since_ms: HOUR_MS,
    }));
    let refused = dispatch.approve((&proposal.id, "bob"), HOUR_MS + 1_000, &hosts());
    assert_eq!(refused, Err(Refusal::Unfit("the cell is frozen by ann".to_owned())));
    dispatch.round(HOUR_MS + 60_000, &hosts());
    assert_eq!(dispatch.shown_proposals()[0], proposal, "it stays open for its time");
    dispatch.round(HOUR_MS + 900_000, &hosts());
    assert_eq!(dispatch.open_proposals(), 0);
    dispatch.set_freeze(None);
    let late = dispatch.approve((&proposal.id, "bob"), HOUR_MS + 900_000, &hosts());
    assert_eq!(late, Err(Refusal::Lapsed("nobody decided in time".to_owned())));
    assert_eq!(dispatch.round(HOUR_MS + 960_000, &hosts_at(HOUR_MS + 960_000)), []);
    assert_eq!(dispatch.open_proposals(), 1, "thawed");
}

#[test]
fn open_proposals_outlive_a_restart_and_declined_ones_are_remembered() {
    let mut dispatch = asking();
    dispatch.round(HOUR_MS, &hosts());
    let proposal = dispatch.shown_proposals()[0].clone();
    let stored = serde_json::to_string(dispatch.new_proposals().unwrap()).unwrap();
    let restarted = || {
        let mut again = Dispatch {
            issuer_epoch: 8,
            started_ms: HOUR_MS + 60_000,
            ..asking()
        };
        again.restore_proposals(serde_json::from_str(&stored).unwrap());
        again
    };
    // A brain that has just started lets nothing be limited, and keeps what was proposed.
    let mut again = restarted();
    assert_eq!(again.round(HOUR_MS + 120_000, &hosts()), []);
    assert_eq!(again.shown_proposals()[0], proposal);
    let early = again.approve((&proposal.id, "ann"), HOUR_MS + 120_000, &hosts());
    assert_eq!(early, Err(Refusal::Unfit("the brain runs for 60 s only".to_owned())));
    let (_, command) = again
        .approve((&proposal.id, "ann"), HOUR_MS + 700_000, &hosts_at(HOUR_MS + 700_000))
        .unwrap();
    assert_eq!(command.unwrap().id, "8-a-1");

    let mut again = restarted();
    again
        .decline(&proposal.id, ("ann", "not today"), HOUR_MS + 700_000)
        .unwrap();
    again.round(HOUR_MS + 760_000, &hosts_at(HOUR_MS + 760_000));
    assert_eq!(again.open_proposals(), 0);
    let account = again
        .pool()
        .iter()
        .find(|account| account.resource == Resource::Cpu)
        .unwrap();
    assert!(account.reserved.abs() < 1e-9, "and reserves nothing: {account:?}");
}
