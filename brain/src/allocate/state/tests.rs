use std::collections::BTreeMap;

use shadow::{Change, ChangeOutcome, Command, Explanation, Outcome, OutcomeState, Resource};

use super::{Key, Reservation, State, settled};

fn key() -> Key {
    Key::new("a", "web", Resource::Cpu)
}

fn state(amount: f64) -> State {
    State {
        reservations: BTreeMap::from([(key(), Reservation { amount, since_ms: 5 })]),
        waiting: BTreeMap::from([(key(), 3)]),
        changed: BTreeMap::from([("a".to_owned(), vec![5])]),
        ..State::default()
    }
}

fn settle(held: f64, before: Option<f64>, outcome: OutcomeState, after: Option<f64>) -> Option<f64> {
    let change = Change {
        workload: "web".to_owned(),
        resource: Resource::Cpu,
        before,
        target: 2.0,
        explanation: Explanation::default(),
        ceiling: None,
    };
    let command = Command {
        id: "1-a-1".to_owned(),
        host: "a".to_owned(),
        issuer_epoch: 1,
        sequence: 1,
        issued_ms: 0,
        ttl_ms: 1,
        dry_run: false,
        changes: vec![change],
        actions: Vec::new(),
    };
    let told = ChangeOutcome {
        workload: "web".to_owned(),
        resource: Resource::Cpu,
        before: None,
        after,
        lever: "cpu.max".to_owned(),
        note: String::new(),
        effect: shadow::Effect::None,
    };
    let outcome = Outcome {
        command_id: command.id.clone(),
        state: outcome,
        reason: String::new(),
        time_ms: 9,
        changes: after.map_or(Vec::new(), |_| vec![told]),
        actions: Vec::new(),
    };
    let mut state = state(held);
    state.settle(&command, &outcome);
    state.reservation("a", "web", Resource::Cpu).map(|held| held.amount)
}

#[test]
fn what_was_not_done_is_undone() {
    use OutcomeState::{Applied, DryRun, Expired, Failed, Refused};
    assert_eq!(settle(2.0, Some(1.0), Applied, Some(2.0)), Some(2.0));
    assert_eq!(settle(2.0, Some(1.0), DryRun, Some(1.5)), Some(1.5));
    assert_eq!(settle(2.0, Some(1.0), DryRun, None), Some(2.0));
    assert_eq!(settle(2.0, Some(1.0), Applied, Some(f64::NAN)), Some(2.0));
    assert_eq!(settle(2.0, Some(1.0), Expired, None), Some(2.0), "it is promised on");
    for state in [Refused, Failed] {
        assert_eq!(settle(2.0, Some(1.0), state, None), Some(1.0));
        assert_eq!(settle(2.0, None, state, None), None);
    }
    // A later plan has moved on.
    assert_eq!(settle(3.0, Some(1.0), Refused, None), Some(3.0));
}

#[test]
fn a_limit_that_was_rounded_to_pages_is_booked_as_it_was_asked_for() {
    let change = |resource| Change {
        workload: "web".to_owned(),
        resource,
        before: None,
        target: 252_765_020.16,
        explanation: Explanation::default(),
        ceiling: None,
    };
    let told = |after| ChangeOutcome {
        workload: "web".to_owned(),
        resource: Resource::Memory,
        before: None,
        after: Some(after),
        lever: "memory.high".to_owned(),
        note: String::new(),
        effect: shadow::Effect::None,
    };
    let held = |resource, after| settled(OutcomeState::DryRun, &change(resource), Some(&told(after)));
    for rounded in [252_764_160.0, 252_768_256.0, 252_772_352.0] {
        assert_eq!(held(Resource::Memory, rounded), Some(252_765_020.16));
    }
    assert_eq!(
        held(Resource::Memory, 252_900_000.0),
        Some(252_900_000.0),
        "the agent's own guard"
    );
    assert_eq!(held(Resource::Network, 252_768_256.0), Some(252_768_256.0));
}

#[test]
fn it_can_be_stored() {
    let text = serde_json::to_string(&state(2.5)).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state(2.5));
}
