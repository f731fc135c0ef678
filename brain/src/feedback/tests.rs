use shadow::{Change, ChangeOutcome, Command, Effect, Explanation, Outcome, OutcomeState, Resource, UnixMs};

use super::{Feedback, LONGEST_REST_MS, MOST_MARGIN, Strain};
use crate::allocate::Key;

const MINUTE_MS: i64 = 60_000;

fn key() -> Key {
    Key::new("a", "web", Resource::Cpu)
}

fn command(target: f64) -> Command {
    Command {
        id: "1-a-1".to_owned(),
        host: "a".to_owned(),
        issuer_epoch: 1,
        sequence: 1,
        issued_ms: 0,
        ttl_ms: 1,
        dry_run: true,
        changes: vec![Change {
            workload: "web".to_owned(),
            resource: Resource::Cpu,
            before: Some(1.0),
            target,
            explanation: Explanation::default(),
            ceiling: None,
        }],
        actions: Vec::new(),
    }
}

fn outcome(state: OutcomeState, time_ms: UnixMs, after: Option<f64>) -> Outcome {
    Outcome {
        command_id: "1-a-1".to_owned(),
        state,
        reason: "no such lever".to_owned(),
        time_ms,
        changes: after.map_or(Vec::new(), |after| {
            vec![ChangeOutcome {
                workload: "web".to_owned(),
                resource: Resource::Cpu,
                before: Some(1.0),
                after: Some(after),
                lever: "cpu.max".to_owned(),
                note: "ceiling of the host".to_owned(),
                effect: shadow::Effect::None,
            }]
        }),
        actions: Vec::new(),
    }
}

#[test]
fn the_margin_grows_fast_shrinks_slowly_and_is_bounded() {
    let mut feedback = Feedback::default();
    let mut time_ms = 0;
    let mut watch = |feedback: &mut Feedback, minutes: i64, used: f64| {
        for _ in 0..minutes {
            time_ms += MINUTE_MS;
            feedback.usage(time_ms, &key(), used, 2.0);
        }
        feedback.margin(&key())
    };
    assert_eq!(watch(&mut feedback, 10, 1.0), 0.0);
    let grown = watch(&mut feedback, 5, 3.0);
    assert!((grown - 5.0 * 0.02 * 0.99).abs() < 1e-9, "{grown}");
    assert_eq!(
        feedback.explain(&key()).unwrap(),
        "10 % learnt: 5 of 14 min were over the reservation"
    );
    let shrunk = watch(&mut feedback, 100, 1.0);
    assert!((grown - shrunk - 0.02).abs() < 1e-9, "{shrunk}");
    assert_eq!(watch(&mut feedback, 1000, 3.0), MOST_MARGIN);
    assert_eq!(watch(&mut feedback, 10_000, 1.0), 0.0);
    assert_eq!(feedback.explain(&key()), None);
}

/// A workload whose use is wilder than its forecast says ends up over its reservation one minute in a hundred.
#[test]
fn in_the_long_run_one_minute_in_a_hundred_is_over() {
    let mut feedback = Feedback::default();
    let mut over = 0;
    let (warm, minutes) = (20_000, 200_000);
    for minute in 0..warm + minutes {
        // The golden ratio spreads the values evenly over 1 to 1.4; the forecast says 1.
        let used = 1.0 + 0.4 * (f64::from(minute) * 0.618_033_988_749_895).fract();
        let reserved = 1.0 + feedback.margin(&key());
        feedback.usage(i64::from(minute) * MINUTE_MS, &key(), used, reserved);
        over += u32::from(minute >= warm && used > reserved);
    }
    let share = f64::from(over) / f64::from(minutes);
    assert!((0.008..0.012).contains(&share), "{share}");
}

#[test]
fn how_often_use_is_told_does_not_matter() {
    let margin = |step_ms: i64| {
        let mut feedback = Feedback::default();
        for at in 0..=(600_000 / step_ms) {
            feedback.usage(at * step_ms, &key(), 3.0, 2.0);
        }
        feedback.margin(&key())
    };
    assert!((margin(1_000) - margin(60_000)).abs() < 1e-9);
}

#[test]
fn broken_use_teaches_nothing() {
    let mut feedback = Feedback::default();
    for (used, reserved) in [
        (f64::NAN, 1.0),
        (1.0, f64::NAN),
        (f64::INFINITY, 1.0),
        (1.0, 0.0),
        (-1.0, 1.0),
    ] {
        feedback.usage(0, &key(), used, reserved);
        feedback.usage(MINUTE_MS, &key(), used, reserved);
    }
    assert_eq!(feedback, Feedback::default());
    // A clock that is set back or jumps ahead counts for nothing, or for five minutes at most.
    feedback.usage(0, &key(), 3.0, 2.0);
    feedback.usage(-1_000_000, &key(), 3.0, 2.0);
    assert_eq!(feedback.margin(&key()), 0.0);
    feedback.usage(i64::MAX, &key(), 3.0, 2.0);
    assert!((feedback.margin(&key()) - 5.0 * 0.02 * 0.99).abs() < 1e-9);
}

#[test]
fn refusals_are_followed_by_longer_and_longer_rests() {
    let mut feedback = Feedback::default();
    let mut rests = Vec::new();
    for _ in 0..8 {
        feedback.outcome(&command(2.0), &outcome(OutcomeState::Refused, 0, None));
        let rest = (1..=61).find(|minute| feedback.rest(&key(), minute * MINUTE_MS).is_none());
        rests.push(rest.unwrap());
    }
    assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(
        feedback.rest(&key(), 1).unwrap(),
        "its agent did not do as asked 8 time(s), last: no such lever"
    );
    // Not even a clock that was set back makes it rest longer.
    assert_eq!(feedback.rest(&key(), -LONGEST_REST_MS), None);
    feedback.outcome(&command(2.0), &outcome(OutcomeState::DryRun, 0, Some(2.0)));
    assert_eq!(feedback.rest(&key(), 1), None);
}

#[test]
fn a_change_that_was_cut_down_is_a_refusal_and_a_rounded_one_is_not() {
    let check = |state: OutcomeState, after: f64, rests: bool| {
        let mut feedback = Feedback::default();
        feedback.outcome(&command(2.0), &outcome(state, 0, Some(after)));
        assert_eq!(feedback.rest(&key(), 1).is_some(), rests, "{state:?} {after}");
    };
    check(OutcomeState::Applied, 2.0, false);
    check(OutcomeState::Applied, 1.99, false);
    check(OutcomeState::DryRun, 1.5, true);
    check(OutcomeState::Failed, 2.0, true);
    check(OutcomeState::Expired, 1.0, false);
}

#[test]
fn it_can_be_stored_and_what_was_tampered_with_is_bounded() {
    let mut feedback = Feedback::default();
    feedback.usage(0, &key(), 3.0, 2.0);
    feedback.outcome(&command(2.0), &outcome(OutcomeState::Failed, 0, None));
    let text = serde_json::to_string(&feedback).unwrap();
    assert_eq!(serde_json::from_str::<Feedback>(&text).unwrap(), feedback);
    let text = text.replace("\"margin\":0.0", "\"margin\":1e9");
    assert_eq!(
        serde_json::from_str::<Feedback>(&text).unwrap().margin(&key()),
        MOST_MARGIN
    );
}

/// The answer of an agent that has really lowered from 3 to `target`.
fn lowered(feedback: &mut Feedback, target: f64) {
    let mut sent = command(target);
    sent.dry_run = false;
    sent.changes[0].before = Some(3.0);
    feedback.outcome(&sent, &outcome(OutcomeState::Applied, 0, Some(target)));
}

const fn strain(pressure: f64, throttled: f64, kills: f64) -> Strain {
    Strain {
        pressure: Some(pressure),
        throttled: Some(throttled),
        kills: Some(kills),
        refaults: None,
    }
}

#[test]
fn what_became_worse_is_said() {
    let calm = strain(0.2, 0.01, 0.0);
    let check = |now: Strain, before: Strain, expected: Option<&str>| {
        assert_eq!(now.worse(&before).as_deref(), expected);
    };
    check(strain(0.29, 0.05, 0.4), calm, None);
    check(
        strain(0.31, 0.0, 0.0),
        calm,
        Some("pressure 31 % of the time, 20 % before"),
    );
    check(
        strain(0.31, 0.07, 0.0),
        calm,
        Some("throttled 7 % of the time, 1 % before"),
    );
    check(
        strain(0.0, 0.0, 2.0),
        calm,
        Some("2 process(es) were killed for want of memory"),
    );
    check(strain(0.9, 0.0, 0.0), strain(0.85, 0.0, 0.0), None);
    check(Strain::default(), calm, None);
    check(
        strain(0.2, 0.0, 0.0),
        Strain::default(),
        Some("pressure 20 % of the time, 0 % before"),
    );
    // Refaults are of the whole host: many more, and several times as many.
    let refaults = |per_s: f64| Strain {
        refaults: Some(per_s),
        ..calm
    };
    let said = "1600 pages a second were needed again on its host, 500 before";
    check(refaults(1_600.0), refaults(500.0), Some(said));
    check(refaults(990.0), refaults(0.0), None);
    check(refaults(9_000.0), refaults(5_000.0), None);
    check(refaults(9_000.0), calm, None);
    let [.., of_memory] = super::scar::metrics("web", shadow::Resource::Memory);
    assert_eq!(of_memory.as_deref(), Some("memory.refaults"));
}

#[test]
fn a_lowering_that_hurt_is_undone_and_remembered_for_longer_each_time() {
    let mut feedback = Feedback::default();
    let mut minutes = Vec::new();
    for _ in 0..10 {
        lowered(&mut feedback, 2.0);
        let look = feedback.looks(MINUTE_MS, 5).remove(0);
        assert_eq!((look.key.clone(), look.since_ms, look.needs_base), (key(), 0, true));
        let now = strain(0.5, 0.0, 0.0);
        assert!(
            feedback
                .strained(&key(), MINUTE_MS, (Some(Strain::default()), now))
                .is_some()
        );
        assert_eq!(feedback.looks(MINUTE_MS, 5), [], "it is not looked at on");
        assert_eq!(feedback.least(&key(), MINUTE_MS).unwrap().0, 3.0);
        let mut all = 1..;
        minutes.push(
            all.find(|m| feedback.least(&key(), MINUTE_MS + m * MINUTE_MS).is_none())
                .unwrap(),
        );
    }
    assert_eq!(minutes, [60, 120, 240, 480, 960, 1_920, 3_840, 7_680, 10_080, 10_080]);
    assert!((feedback.margin(&key()) - MOST_MARGIN).abs() < 1e-9);
    let (_, said) = feedback.least(&key(), MINUTE_MS).unwrap();
    assert!(
        said.starts_with("a lowering hurt 10 time(s), last: pressure 50 %"),
        "{said}"
    );
    let text = serde_json::to_string(&feedback).unwrap();
    assert_eq!(serde_json::from_str::<Feedback>(&text).unwrap(), feedback);
}

#[test]
fn what_an_agent_took_back_itself_has_hurt() {
    let mut feedback = Feedback::default();
    lowered(&mut feedback, 2.0);
    let mut sent = command(2.0);
    sent.dry_run = false;
    sent.changes[0].before = Some(3.0);
    let mut hurt = outcome(OutcomeState::Hurt, MINUTE_MS, Some(2.5));
    hurt.changes[0].effect = Effect::Hurt;
    hurt.changes[0].note = "oom_kill".to_owned();
    feedback.outcome(&sent, &hurt);
    let (least, said) = feedback.least(&key(), 2 * MINUTE_MS).unwrap();
    assert_eq!(least, 2.5, "what stands now");
    assert!(said.contains("oom_kill"), "{said}");
    assert_eq!(
        feedback.rest(&key(), 2 * MINUTE_MS),
        None,
        "and it may be raised at once"
    );
}

#[test]
fn only_what_was_really_lowered_is_watched_and_not_for_ever() {
    let mut feedback = Feedback::default();
    feedback.outcome(&command(2.0), &outcome(OutcomeState::DryRun, 0, Some(2.0)));
    assert_eq!(feedback.looks(1, 5), []);
    lowered(&mut feedback, 4.0);
    assert_eq!(feedback.looks(1, 5), [], "a raise takes nothing");
    lowered(&mut feedback, 2.0);
    assert_eq!(feedback.looks(600_000, 5).len(), 1);
    assert_eq!(
        feedback.strained(&key(), 1, (Some(strain(0.5, 0.0, 0.0)), strain(0.55, 0.0, 0.0))),
        None
    );
    assert!(!feedback.looks(600_000, 5)[0].needs_base);
    assert_eq!(feedback.looks(600_001, 5), []);
    lowered(&mut feedback, 2.0);
    lowered(&mut feedback, 4.0);
    assert_eq!(feedback.looks(1, 5), [], "it was raised since");
}
