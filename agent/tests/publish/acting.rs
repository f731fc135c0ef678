//! Commands that change a tree of files that looks like cgroups, over a broker: what is obeyed, and what is not.

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    time::{Duration, Instant},
};

use agent::{
    Config,
    act::Levers,
    guard::Limit,
    probe::Place,
    publish::{Kept, Publisher, Settings},
};
use runtime::Clock;
use shadow::{Action, ActionKind, Birth, Command, Effect, Explanation, OutcomeState, Resource, Workload, wire};
use tempfile::TempDir;
use tokio::time::timeout;

use super::{
    HOST, ask, command,
    harness::{self, Brain, Mosquitto, broker},
};

const NOW_MS: i64 = 1_000_000;

const ALLOW: &str = "
[act]
enabled = true
root = 'ours'
dwell = '0s'
[[act.allow]]
workload = '*'
resource = 'cpu'
[[act.allow]]
workload = '*'
resource = 'memory'
lever = 'memory.max'
[[act.allow]]
workload = '*'
resource = 'tasks'
[probes.workload]
parents = ['', 'ours']
";

/// A host made of files, and its agent's publisher.
pub(crate) struct Host {
    folder: TempDir,
    clock: Clock,
}

impl Host {
    pub(crate) fn new() -> Self {
        let host = Self {
            folder: TempDir::new().unwrap(),
            clock: Clock::manual(NOW_MS),
        };
        host.set("cgroup.controllers", "cpu memory");
        for name in ["ours/app", "foreign"] {
            host.set(&format!("{name}/cpu.max"), "max 100000");
            host.set(&format!("{name}/memory.max"), "max");
            host.set(&format!("{name}/memory.current"), "81920000");
            host.set(&format!("{name}/pids.max"), "max");
            host.set(&format!("{name}/pids.current"), "3");
        }
        symlink("../foreign", host.path("ours/linked")).unwrap();
        host
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("sys/fs/cgroup").join(file)
    }

    pub(crate) fn set(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn file(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap().trim().to_owned()
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("state/ledger")
    }

    pub(crate) fn pass(&self, ms: i64) {
        self.clock.set(self.clock.now_ms() + ms);
    }

    fn start(&self, broker: &Mosquitto) -> Publisher {
        self.start_with(broker, "")
    }

    /// With more configuration.
    pub(crate) fn start_with(&self, broker: &Mosquitto, more: &str) -> Publisher {
        let (front, back) = ALLOW.split_at(ALLOW.find("[probes").unwrap());
        let text = format!("{front}{more}{back}");
        let config: Config = runtime::config::parse(&text, "agent.toml").unwrap();
        let place = Place::new(self.folder.path().to_owned(), config.probes.clone());
        let settings = Settings {
            act: config.act.clone(),
            limits: vec![Limit {
                workload: "app".to_owned(),
                resource: Resource::Cpu,
                floor: Some(0.5),
                ceiling: Some(3.0),
            }],
            fence: Some(self.folder.path().join("state/fence")),
            link_clock: Some(Clock::system()),
            ..Settings::new(harness::topics(), HOST, bus::Broker::new("127.0.0.1", broker.port()))
        };
        let levers = Levers::of(&config, &place, Some(self.ledger()), &self.clock);
        let kept = Kept::in_memory(settings.spool_bytes);
        let mut publisher = Publisher::resume(settings, kept, levers, self.clock.clone()).unwrap();
        let workload = |name: &str| Workload {
            name: name.to_owned(),
            criticality: 50,
            class: "default".to_owned(),
        };
        publisher.begin(Birth {
            workloads: ["app", "foreign", "linked"].map(workload).into(),
            ..super::birth()
        });
        publisher
    }
}

pub(crate) fn acting(sequence: u64, workload: &str, resource: Resource, target: f64) -> Command {
    let mut command = command(sequence, workload, false);
    command.changes[0].resource = resource;
    command.changes[0].target = target;
    command
}

#[tokio::test]
async fn what_is_allowed_is_done_and_put_back_at_the_end_with_a_last_word() {
    let Some(broker) = broker() else { return };
    let (host, mut brain) = (Host::new(), Brain::connect(&broker).await);
    let publisher = host.start(&broker);
    brain.expect("birth").await;
    let outcome = ask(&mut brain, acting(1, "app", Resource::Cpu, 1.5)).await;
    assert_eq!(outcome.state, OutcomeState::Applied, "{outcome:?}");
    assert_eq!(host.file("ours/app/cpu.max"), "150000 100000");
    assert_eq!(
        ask(&mut brain, acting(1, "app", Resource::Cpu, 1.5)).await,
        outcome,
        "doubled: the same answer"
    );
    let mut tasks = acting(2, "app", Resource::Cpu, 9.0);
    tasks.actions.push(Action {
        kind: ActionKind::LimitTasks,
        workload: "app".to_owned(),
        amount: Some(20.0),
        explanation: Explanation::default(),
    });
    let outcome = ask(&mut brain, tasks).await;
    assert_eq!(
        (outcome.changes[0].after, outcome.actions[0].after),
        (Some(3.0), Some(20.0)),
        "{outcome:?}"
    );
    assert!(publisher.stop(Duration::from_secs(5)).await);
    let last = wire::decode_outcome(&brain.expect("outcome").await).unwrap();
    assert_eq!((last.state, &*last.reason), (OutcomeState::Expired, "the agent ends"));
    assert_eq!(
        [host.file("ours/app/cpu.max"), host.file("ours/app/pids.max")],
        ["max 100000", "max"]
    );
}

#[tokio::test]
async fn memory_is_never_limited_below_what_is_used() {
    let Some(broker) = broker() else { return };
    let (host, mut brain) = (Host::new(), Brain::connect(&broker).await);
    let _publisher = host.start(&broker);
    brain.expect("birth").await;
    for (sequence, target) in [(1, 100.0), (2, 0.0), (3, 81_919_999.0)] {
        let outcome = ask(&mut brain, acting(sequence, "app", Resource::Memory, target)).await;
        assert_eq!(
            outcome.changes[0].note,
            "raised to what is used, page cache included, and a margin"
        );
        assert_eq!(host.file("ours/app/memory.max"), "90112000");
    }
}

#[tokio::test]
async fn foreign_cgroups_and_links_to_them_are_out_of_reach() {
    let Some(broker) = broker() else { return };
    let (host, mut brain) = (Host::new(), Brain::connect(&broker).await);
    let _publisher = host.start(&broker);
    brain.expect("birth").await;
    for (sequence, workload) in (1..).zip([
        "foreign",
        "linked",
        "../foreign",
        "..",
        "ours/../foreign",
        "/foreign",
        "host",
        "ghost",
    ]) {
        let outcome = ask(&mut brain, acting(sequence, workload, Resource::Cpu, 1.0)).await;
        assert_eq!(outcome.state, OutcomeState::Refused, "{workload}: {outcome:?}");
        assert_eq!(outcome.changes[0].effect, Effect::NotDone);
    }
    assert_eq!(host.file("foreign/cpu.max"), "max 100000");
}

#[tokio::test]
async fn old_reordered_and_expired_commands_and_an_older_brain_change_nothing() {
    let Some(broker) = broker() else { return };
    let (host, mut brain) = (Host::new(), Brain::connect(&broker).await);
    let _publisher = host.start(&broker);
    brain.expect("birth").await;
    let of = |issuer_epoch: u64, sequence: u64, cores: f64| Command {
        id: format!("{issuer_epoch}.{sequence}"),
        issuer_epoch,
        ..acting(sequence, "app", Resource::Cpu, cores)
    };
    assert_eq!(ask(&mut brain, of(9, 5, 2.0)).await.state, OutcomeState::Applied);
    let stands = "200000 100000";
    // Two brains at once: the newer one wins, whatever the older says and however far it has counted.
    assert_eq!(ask(&mut brain, of(10, 1, 2.0)).await.state, OutcomeState::Applied);
    for (epoch, sequence) in [(9, 4), (9, 6), (10, 1), (9, 1_000_000), (8, 7)] {
        let command = Command {
            id: format!("again.{epoch}.{sequence}"),
            ..of(epoch, sequence, 1.0)
        };
        assert_eq!(
            ask(&mut brain, command).await.state,
            OutcomeState::Distrusted,
            "{epoch}.{sequence}"
        );
        assert_eq!(host.file("ours/app/cpu.max"), stands);
    }
    let expired = Command {
        issued_ms: NOW_MS - 200_000,
        ..of(10, 2, 1.0)
    };
    assert_eq!(ask(&mut brain, expired).await.state, OutcomeState::Refused);
    assert_eq!(host.file("ours/app/cpu.max"), stands);
    assert_eq!(ask(&mut brain, of(10, 3, 1.0)).await.state, OutcomeState::Applied);
    assert_eq!(host.file("ours/app/cpu.max"), "100000 100000");
}

#[tokio::test]
async fn a_ledger_that_is_damaged_stops_all_acting() {
    let Some(broker) = broker() else { return };
    let (host, mut brain) = (Host::new(), Brain::connect(&broker).await);
    fs::create_dir_all(host.ledger().parent().unwrap()).unwrap();
    fs::write(host.ledger(), "foreshadow-ledger 1 00000000\n[]\n").unwrap();
    let _publisher = host.start(&broker);
    brain.expect("birth").await;
    let outcome = ask(&mut brain, acting(1, "app", Resource::Cpu, 1.5)).await;
    assert_eq!(outcome.state, OutcomeState::Refused);
    assert!(outcome.reason.contains("is damaged"), "{outcome:?}");
    assert_eq!(host.file("ours/app/cpu.max"), "max 100000");
    let dry = Command {
        dry_run: true,
        ..acting(2, "app", Resource::Cpu, 1.5)
    };
    assert_eq!(ask(&mut brain, dry).await.state, OutcomeState::DryRun);
}

/// Some are obeyed, and then no more until it is over; what was obeyed last stands, and comes back.
#[tokio::test]
async fn ten_thousand_commands_in_a_minute_cost_little_and_leave_nothing_behind() {
    let Some(broker) = broker() else { return };
    let (host, mut brain) = (Host::new(), Brain::connect(&broker).await);
    let publisher = host.start(&broker);
    brain.expect("birth").await;
    let count = 10_000_u64;
    let start = Instant::now();
    for sequence in 1..=count {
        let cores = if sequence % 2 == 0 { 1.0 } else { 2.0 };
        brain
            .say(
                "command",
                wire::encode_command(&acting(sequence, "app", Resource::Cpu, cores)),
            )
            .await;
    }
    let mut sequence = count;
    let (mut applied, mut distrusted) = (0, 0);
    let mut again = Instant::now();
    loop {
        if again.elapsed() > Duration::from_secs(2) {
            again = Instant::now();
            sequence += 1;
            let command = acting(sequence, "app", Resource::Cpu, 2.5);
            brain.say("command", wire::encode_command(&command)).await;
        }
        let Ok(answer) = timeout(Duration::from_millis(500), brain.expect("outcome")).await else {
            continue;
        };
        let outcome = wire::decode_outcome(&answer).unwrap();
        match outcome.state {
            OutcomeState::Applied if sequence > count && outcome.command_id == format!("9.{HOST}.{sequence}") => break,
            OutcomeState::Applied => applied += 1,
            OutcomeState::Distrusted => distrusted += 1,
            other => panic!("{other:?}: {outcome:?}"),
        }
    }
    let took = start.elapsed();
    eprintln!("of {count} commands {applied} obeyed, {distrusted} answered otherwise; it listens again after {took:?}");
    assert!(took < Duration::from_mins(1) && applied <= 200, "{applied} in {took:?}");
    assert_eq!(host.file("ours/app/cpu.max"), "250000 100000", "the last one");
    assert!(publisher.stop(Duration::from_secs(5)).await);
    assert_eq!(host.file("ours/app/cpu.max"), "max 100000");
    assert!(fs::metadata(host.ledger()).unwrap().len() < 100);
}
