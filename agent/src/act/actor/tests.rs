//! Commands on a tree of files that looks like cgroups, by a clock that is set by hand.

use std::{fs, path::Path};

use super::*;
use crate::{act::cgroup, probe::tree::Tree};

const ROOT: &str = "sys/fs/cgroup";
const NOW_MS: i64 = 1_000_000;

struct Host {
    tree: Tree,
    clock: Clock,
    state: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let tree = Tree::new(&[
            (&format!("{ROOT}/cgroup.controllers"), "cpu memory"),
            (&format!("{ROOT}/web/cpu.max"), "max 100000\n"),
            (&format!("{ROOT}/web/cpu.stat"), "throttled_usec 0\n"),
            (&format!("{ROOT}/web/memory.high"), "max\n"),
            (&format!("{ROOT}/web/memory.max"), "50000000\n"),
            (&format!("{ROOT}/web/memory.current"), "8192000\n"),
            (&format!("{ROOT}/web/memory.events"), "oom_kill 0\n"),
            (&format!("{ROOT}/db/cpu.max"), "300000 100000\n"),
        ]);
        Self {
            tree,
            clock: Clock::manual(NOW_MS),
            state: tempfile::tempdir().unwrap(),
        }
    }

    fn ledger(&self) -> std::path::PathBuf {
        self.state.path().join("ledger/web-1")
    }

    fn start(&self, boot: &str) -> Actor {
        let levers = cgroup::levers(&self.tree.place(), "", Vec::new());
        Actor::new(
            levers,
            Ledger::open(self.ledger(), boot).unwrap(),
            10_000,
            self.clock.clone(),
        )
    }

    fn file(&self, name: &str) -> String {
        let path = self.tree.place().path(ROOT).join(name);
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    fn set(&self, name: &str, text: &str) {
        self.tree.set(&format!("{ROOT}/{name}"), text);
    }

    fn pass(&self, ms: i64) {
        self.clock.set(self.clock.now_ms() + ms);
    }
}

fn ask(workload: &str, lever: &str, amount: f64) -> Ruling {
    let quantity = if lever.starts_with("memory") {
        Quantity::Memory
    } else {
        Quantity::Cpu
    };
    Ruling {
        workload: workload.to_owned(),
        quantity,
        amount,
        ceiling: None,
        is_protected: false,
        lever: lever.to_owned(),
        refused: None,
        note: String::new(),
    }
}

fn up_to(ceiling: f64, ruling: Ruling) -> Ruling {
    Ruling {
        ceiling: Some(ceiling),
        is_protected: true,
        ..ruling
    }
}

fn outcomes(told: Vec<Told>) -> Vec<Outcome> {
    let outcome = |told| match told {
        Told::Outcome(outcome) => Some(outcome),
        Told::Finding(_) => None,
    };
    told.into_iter().filter_map(outcome).collect()
}

fn kinds(told: &[Told]) -> Vec<&str> {
    let kind = |told| match told {
        &Told::Finding(Finding { ref kind, .. }) => Some(kind.as_str()),
        Told::Outcome(_) => None,
    };
    told.iter().filter_map(kind).collect()
}

#[test]
fn a_limit_is_written_read_back_and_put_back_when_its_time_is_over() {
    let host = Host::new();
    let mut actor = host.start("boot-1");
    assert!(actor.reconcile().is_empty() && actor.rest().is_none());
    let outcome = actor.obey("c1", 5_000, &[ask("web", "cpu.max", 1.5), ask("db", "cpu.max", 2.0)]);
    assert_eq!((outcome.state, outcome.changes.len()), (OutcomeState::Applied, 2));
    let [web, db] = [&outcome.changes[0], &outcome.changes[1]];
    assert_eq!(
        (web.before, web.after, web.lever.as_str()),
        (None, Some(1.5), "cpu.max = 150000 100000")
    );
    assert_eq!((db.before, db.after), (Some(3.0), Some(2.0)));
    assert_eq!(
        [host.file("web/cpu.max"), host.file("db/cpu.max")],
        ["150000 100000", "200000 100000"]
    );
    host.pass(4_999);
    assert!(actor.tick().is_empty());
    host.pass(1);
    let told = outcomes(actor.tick());
    assert_eq!(
        (told.len(), told[0].state, &*told[0].command_id),
        (1, OutcomeState::Expired, "c1")
    );
    assert_eq!(told[0].changes[1].after, Some(3.0));
    assert_eq!(
        [host.file("web/cpu.max"), host.file("db/cpu.max")],
        ["max 100000", "300000 100000"]
    );
    assert!(actor.rest().is_none());
    assert!(Ledger::open(host.ledger(), "boot-1").unwrap().knobs().is_empty());
}

#[test]
fn a_newer_command_takes_over_and_the_first_old_value_comes_back() {
    let host = Host::new();
    let mut actor = host.start("boot-1");
    actor.obey("c1", 5_000, &[ask("web", "cpu.max", 1.5), ask("db", "cpu.max", 2.0)]);
    host.pass(4_000);
    actor.obey("c2", 5_000, &[ask("web", "cpu.max", 2.5)]);
    host.pass(1_000);
    let told = outcomes(actor.tick());
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].changes[0].after,
        Some(1.5),
        "what it was told before: a newer one holds it"
    );
    assert_eq!(
        [host.file("web/cpu.max"), host.file("db/cpu.max")],
        ["250000 100000", "300000 100000"]
    );
    host.pass(4_000);
    assert_eq!(outcomes(actor.tick())[0].command_id, "c2");
    assert_eq!(host.file("web/cpu.max"), "max 100000");
    host.pass(10_000);
    actor.tick();
    actor.obey("c3", 5_000, &[ask("web", "cpu.max", 1.5)]);
    actor.obey("c4", 9_000, &[ask("web", "cpu.max", 1.5)]);
    host.pass(6_000);
    assert!(actor.tick().is_empty(), "a command with nothing left says nothing more");
    assert_eq!(host.file("web/cpu.max"), "150000 100000", "and nothing flickers");
}

#[test]
fn what_is_not_ours_any_more_is_left_alone_and_told() {
    let host = Host::new();
    let mut actor = host.start("boot-1");
    actor.obey("c1", 5_000, &[ask("web", "cpu.max", 1.5), ask("db", "cpu.max", 2.0)]);
    host.set("web/cpu.max", "777000 100000\n");
    host.tree.remove(&format!("{ROOT}/db"));
    host.pass(5_000);
    let told = actor.tick();
    assert_eq!(kinds(&told), ["limit_left_alone", "limit_left_alone"]);
    let told = outcomes(told);
    assert!(told[0].changes[0].note.contains("somebody else"), "{told:?}");
    assert!(told[0].changes[1].note.contains("not there any more"), "{told:?}");
    assert_eq!(host.file("web/cpu.max"), "777000 100000");
    assert!(Ledger::open(host.ledger(), "boot-1").unwrap().knobs().is_empty());
}

#[test]
fn a_crash_is_put_right_at_the_next_start_and_the_end_puts_right_by_itself() {
    let host = Host::new();
    host.start("boot-1").obey("c1", 5_000, &[ask("web", "cpu.max", 1.5)]);
    assert_eq!(host.file("web/cpu.max"), "150000 100000");
    let mut actor = host.start("boot-1");
    assert_eq!(kinds(&actor.reconcile()), ["limit_restored"]);
    assert_eq!(host.file("web/cpu.max"), "max 100000");
    actor.obey("c2", 5_000, &[ask("web", "cpu.max", 1.5)]);
    let told = outcomes(actor.stop());
    assert_eq!(
        (told[0].state, &*told[0].reason),
        (OutcomeState::Expired, "the agent ends")
    );
    assert_eq!(host.file("web/cpu.max"), "max 100000");
    assert!(host.start("boot-1").reconcile().is_empty());
}

#[test]
fn a_start_of_the_machine_has_reset_what_does_not_outlive_it() {
    let host = Host::new();
    host.start("boot-1").obey("c1", 5_000, &[ask("web", "cpu.max", 1.5)]);
    // Somebody has set the same again since.
    let mut actor = host.start("boot-2");
    assert_eq!(kinds(&actor.reconcile()), ["limit_reset"]);
    assert_eq!(host.file("web/cpu.max"), "150000 100000");
    assert!(Ledger::open(host.ledger(), "boot-2").unwrap().knobs().is_empty());
}

#[test]
fn one_change_that_cannot_be_made_costs_itself_alone() {
    let host = Host::new();
    let mut actor = host.start("boot-1");
    let refused = Ruling {
        refused: Some("refused: because".to_owned()),
        ..ask("db", "cpu.max", 1.0)
    };
    let twice = ask("web", "cpu.max", 1.0);
    let asked = [
        ask("web", "cpu.max", 1.5),
        ask("ghost", "cpu.max", 1.0),
        refused,
        ask("web", "io.max", 1.0),
        twice,
    ];
    let outcome = actor.obey("c1", 5_000, &asked);
    assert_eq!(outcome.state, OutcomeState::Applied);
    let notes: Vec<&str> = outcome.changes.iter().map(|change| change.note.as_str()).collect();
    let expected = [
        "",
        "it has no cgroup here",
        "refused: because",
        "there is no disk to limit",
        "the command has another change of the same",
    ];
    assert_eq!(notes, expected);
    let effects: Vec<Effect> = outcome.changes.iter().map(|change| change.effect).collect();
    assert_eq!(effects.iter().filter(|effect| **effect == Effect::NotDone).count(), 4);
    let outcome = actor.obey("c2", 5_000, &[ask("ghost", "cpu.max", 1.0)]);
    assert_eq!(outcome.state, OutcomeState::Refused);
}

#[test]
fn without_a_durable_ledger_nothing_is_written() {
    let host = Host::new();
    let levers = cgroup::levers(&host.tree.place(), "", Vec::new());
    let ledger = Ledger::open(Path::new("/proc/none/ledger").to_owned(), "boot-1").unwrap();
    let mut actor = Actor::new(levers, ledger, 0, host.clock.clone());
    let outcome = actor.obey("c1", 5_000, &[ask("web", "cpu.max", 1.5)]);
    assert_eq!(outcome.state, OutcomeState::Failed);
    assert_eq!(host.file("web/cpu.max"), "max 100000");
}

#[test]
fn a_limit_of_memory_is_put_back_only_when_there_is_room() {
    let host = Host::new();
    let mut actor = host.start("boot-1");
    actor.obey("c1", 5_000, &[ask("web", "memory.max", 80_000_000.0)]);
    assert_eq!(host.file("web/memory.max"), "80003072");
    host.set("web/memory.current", "60000000\n");
    host.pass(5_000);
    let told = outcomes(actor.tick());
    assert!(told[0].changes[0].note.contains("tried again"), "{told:?}");
    assert_eq!(host.file("web/memory.max"), "80003072", "the old one would kill it");
    host.set("web/memory.current", "20000000\n");
    assert!(actor.rest().is_some());
    host.pass(10_000);
    actor.tick();
    assert_eq!(host.file("web/memory.max"), "50000000");
    assert!(actor.rest().is_none());
}

#[test]
fn limits_are_lowered_now_and_then_and_raised_at_any_time() {
    let host = Host::new();
    let mut actor = host.start("boot-1");
    actor.obey("c1", 60_000, &[ask("web", "cpu.max", 2.0)]);
    host.pass(9_000);
    let outcome = actor.obey("c2", 60_000, &[ask("web", "cpu.max", 1.0)]);
    assert!(outcome.changes[0].note.contains("not again for 1 s"), "{outcome:?}");
    assert_eq!(host.file("web/cpu.max"), "200000 100000");
    assert_eq!(
        actor.obey("c3", 60_000, &[ask("web", "cpu.max", 3.0)]).state,
        OutcomeState::Applied
    );
    host.pass(1_001);
    actor.tick();
    assert_eq!(
        actor.obey("c4", 60_000, &[ask("web", "cpu.max", 1.0)]).state,
        OutcomeState::Applied
    );
}

#[test]
fn pressure_raises_up_to_the_ceiling_and_no_further() {
    let host = Host::new();
    let mut actor = host.start("boot-1");
    actor.obey("c1", 60_000, &[up_to(2.0, ask("web", "cpu.max", 1.0))]);
    let mut raises = Vec::new();
    for i in 1..=5_u32 {
        host.pass(100);
        host.set("web/cpu.stat", &format!("throttled_usec {}\n", i * 50_000));
        let told = actor.tick();
        assert_eq!(told.len() % 2, 0);
        raises.extend(outcomes(told));
    }
    let states: Vec<_> = raises
        .iter()
        .map(|outcome| (outcome.state, outcome.changes[0].after, outcome.changes[0].effect))
        .collect();
    assert_eq!(
        states,
        [
            (OutcomeState::Raised, Some(1.5), Effect::Raised),
            (OutcomeState::Raised, Some(2.0), Effect::Raised)
        ]
    );
    assert_eq!(host.file("web/cpu.max"), "200000 100000");
    host.pass(60_000);
    let told = outcomes(actor.tick());
    assert_eq!(told[0].state, OutcomeState::Expired);
    assert_eq!(host.file("web/cpu.max"), "max 100000", "the first old value");
}

#[test]
fn what_is_meant_to_wait_is_not_raised() {
    let host = Host::new();
    let mut actor = host.start("boot-1");
    actor.obey("c1", 60_000, &[ask("web", "cpu.max", 1.0)]);
    for i in 1..=50_u32 {
        host.pass(100);
        host.set("web/cpu.stat", &format!("throttled_usec {}\n", i * 90_000));
        assert!(actor.tick().is_empty());
    }
    assert_eq!(host.file("web/cpu.max"), "100000 100000");
}

#[test]
fn a_limit_that_somebody_else_has_set_since_is_not_raised() {
    let host = Host::new();
    let mut actor = host.start("boot-1");
    actor.obey("c1", 60_000, &[up_to(2.0, ask("web", "cpu.max", 1.0))]);
    host.set("web/cpu.max", "50000 100000\n");
    host.set("web/cpu.stat", "throttled_usec 90000\n");
    host.pass(100);
    assert!(actor.tick().is_empty());
    assert_eq!(host.file("web/cpu.max"), "50000 100000");
}

#[test]
fn what_hurts_is_taken_back_told_and_not_lowered_again_soon() {
    let host = Host::new();
    let mut actor = host.start("boot-1");
    let changes = [ask("web", "memory.high", 10_000_000.0), ask("db", "cpu.max", 2.0)];
    assert_eq!(actor.obey("c1", 600_000, &changes).state, OutcomeState::Applied);
    host.pass(100);
    host.set("web/memory.events", "oom_kill 1\n");
    let told = actor.tick();
    assert_eq!(kinds(&told), ["limit_hurt"]);
    let told = outcomes(told);
    assert_eq!(
        (told[0].state, told[0].changes[0].effect, told[0].changes[0].after),
        (OutcomeState::Hurt, Effect::Hurt, None)
    );
    assert_eq!(told[0].changes[1].effect, Effect::None, "the rest holds");
    assert_eq!(
        [host.file("web/memory.high"), host.file("db/cpu.max")],
        ["max", "200000 100000"]
    );
    host.pass(11_000);
    let outcome = actor.obey("c2", 600_000, &changes[..1]);
    assert!(outcome.changes[0].note.contains("that has hurt"), "{outcome:?}");
    // Throttled all the time, at its ceiling.
    let mut actor = host.start("boot-1");
    actor.reconcile();
    actor.obey("c3", 600_000, &[up_to(1.0, ask("web", "cpu.max", 1.0))]);
    let mut told = Vec::new();
    for i in 1..=21_u32 {
        host.pass(100);
        host.set("web/cpu.stat", &format!("throttled_usec {}\n", i * 90_000));
        told.extend(actor.tick());
    }
    let told = outcomes(told);
    assert_eq!((told.len(), told[0].state), (1, OutcomeState::Hurt));
    assert_eq!(host.file("web/cpu.max"), "max 100000");
}
