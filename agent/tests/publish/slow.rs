//! A program of the site that takes seconds keeps nobody waiting: other commands are obeyed, limits are raised, and the
//! answer of both comes as one.

use std::time::{Duration, Instant};

use shadow::{Change, Command, Effect, Explanation, Outcome, OutcomeState, Resource, wire};
use tokio::time::timeout;

use super::{
    HOST,
    acting::{Host, acting},
    harness::{Brain, broker},
};

/// How long the program takes to tell a value, and to set one.
const SLOW: Duration = Duration::from_secs(2);

const ALLOW: &str = r#"
[[act.allow]]
workload = "*"
resource = "network"
lever = "exec.slow"
[[act.exec]]
name = "slow"
resource = "network"
get = ["/bin/sh", "-c", "sleep 2; cat VALUE"]
set = ["/bin/sh", "-c", "sleep 2; echo {value} > VALUE"]
"#;

async fn outcome(brain: &mut Brain) -> Outcome {
    wire::decode_outcome(&brain.expect("outcome").await).unwrap()
}

fn network(sequence: u64) -> Command {
    acting(sequence, "app", Resource::Network, 700.0)
}

fn cpu(target: f64, ceiling: Option<f64>) -> Change {
    Change {
        workload: "app".to_owned(),
        resource: Resource::Cpu,
        before: None,
        target,
        explanation: Explanation::default(),
        ceiling,
    }
}

#[tokio::test]
async fn a_slow_lever_delays_no_other_and_no_reflex() {
    let Some(broker) = broker() else { return };
    let (host, mut brain) = (Host::new(), Brain::connect(&broker).await);
    let value = host.path("value");
    host.set("value", "5000");
    host.set("ours/app/cpu.stat", "throttled_usec 0");
    let allow = ALLOW.replace("VALUE", value.to_str().unwrap());
    let publisher = host.start_with(&broker, &allow);
    brain.expect("birth").await;
    let start = Instant::now();
    brain.say("command", wire::encode_command(&network(1))).await;
    // The broker hands it on twice.
    brain.say("command", wire::encode_command(&network(1))).await;
    let mut raising = acting(2, "app", Resource::Cpu, 1.0);
    raising.changes = vec![cpu(1.0, Some(2.0))];
    brain.say("command", wire::encode_command(&raising)).await;
    let first = outcome(&mut brain).await;
    assert_eq!(
        (&*first.command_id, first.state),
        (&*raising.id, OutcomeState::Applied),
        "{first:?}"
    );
    let obeyed = start.elapsed();
    host.set("ours/app/cpu.stat", "throttled_usec 900000");
    host.pass(1_000);
    let raised = outcome(&mut brain).await;
    assert_eq!(
        (raised.state, raised.changes[0].after),
        (OutcomeState::Raised, Some(1.5))
    );
    let took = start.elapsed();
    assert!(
        took < SLOW,
        "obeyed after {obeyed:?}, raised after {took:?}, while the other takes three times {SLOW:?}"
    );
    eprintln!("beside a program that takes {SLOW:?}: obeyed after {obeyed:?}, raised after {took:?}");
    let slow = outcome(&mut brain).await;
    assert_eq!(
        (&*slow.command_id, slow.state),
        (&*network(1).id, OutcomeState::Applied)
    );
    assert_eq!(slow.changes[0].after, Some(700.0), "{slow:?}");
    assert!(start.elapsed() >= 3 * SLOW, "read, set, and read back");
    assert_eq!(host.file("value"), "700");
    // Once more, it is answered at once, by what is remembered.
    brain.say("command", wire::encode_command(&network(1))).await;
    assert_eq!(outcome(&mut brain).await, slow);
    assert!(publisher.stop(Duration::from_secs(20)).await);
    assert_eq!(
        [host.file("value"), host.file("ours/app/cpu.max")],
        ["5000", "max 100000"]
    );
}

#[tokio::test]
async fn a_command_for_both_has_one_answer() {
    let Some(broker) = broker() else { return };
    let (host, mut brain) = (Host::new(), Brain::connect(&broker).await);
    let value = host.path("value");
    host.set("value", "5000");
    let _publisher = host.start_with(&broker, &ALLOW.replace("VALUE", value.to_str().unwrap()));
    brain.expect("birth").await;
    let mut both = network(1);
    both.changes.push(cpu(1.0, None));
    both.ttl_ms = 5_000;
    brain.say("command", wire::encode_command(&both)).await;
    let answer = outcome(&mut brain).await;
    assert_eq!(answer.state, OutcomeState::Applied);
    let after: Vec<_> = answer.changes.iter().map(|row| (row.resource, row.after)).collect();
    assert_eq!(after, [(Resource::Network, Some(700.0)), (Resource::Cpu, Some(1.0))]);
    assert!(
        answer
            .changes
            .iter()
            .all(|row| row.effect == Effect::None && row.note.is_empty()),
        "{answer:?}"
    );
    // Both leases end, the quick one first; each time all of it is told.
    host.pass(6_000);
    let mut told = Vec::new();
    while told.len() < 2 {
        told.push(outcome(&mut brain).await);
    }
    assert!(
        told.iter()
            .all(|told| told.state == OutcomeState::Expired && told.changes.len() == 2)
    );
    let back: Vec<_> = told[1].changes.iter().map(|row| row.after).collect();
    assert_eq!(back, [Some(5_000.0), None], "{told:?}");
    assert_eq!(
        [host.file("value"), host.file("ours/app/cpu.max")],
        ["5000", "max 100000"]
    );
    assert!(
        timeout(Duration::from_millis(300), brain.expect("outcome"))
            .await
            .is_err()
    );
    assert_eq!(HOST, both.host);
}

#[tokio::test]
async fn a_slow_lever_with_too_much_to_do_says_so_and_the_rest_is_done() {
    let Some(broker) = broker() else { return };
    let (host, mut brain) = (Host::new(), Brain::connect(&broker).await);
    let value = host.path("value");
    host.set("value", "5000");
    let _publisher = host.start_with(&broker, &ALLOW.replace("VALUE", value.to_str().unwrap()));
    brain.expect("birth").await;
    // One is at work, and eight wait.
    for sequence in 1..=9 {
        brain.say("command", wire::encode_command(&network(sequence))).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut both = network(10);
    both.changes.push(cpu(1.0, None));
    brain.say("command", wire::encode_command(&both)).await;
    let answer = outcome(&mut brain).await;
    assert_eq!((&*answer.command_id, answer.state), (&*both.id, OutcomeState::Applied));
    let [network, cpu] = &answer.changes[..] else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (network.effect, network.note.as_str()),
        (Effect::NotDone, "8 commands wait for its levers already")
    );
    assert_eq!((cpu.effect, cpu.after), (Effect::None, Some(1.0)));
    assert_eq!(host.file("ours/app/cpu.max"), "100000 100000");
}
