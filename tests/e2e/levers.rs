//! Levers in a guest, on a real kernel: limits take effect, and what stood there before comes back whoever dies.
//!
//! The test is the brain: it says commands over the stack's broker, again and again while they are to hold.

use std::{
    fs,
    time::{Duration, Instant},
};

use shadow::{Effect, Outcome, OutcomeState, Resource};

use self::bench::{Bench, LIMITED, PATIENCE, STEP, change, number};
use crate::{bmc_lab::Lab, guest::Parts, harness::Process, stack::Stack};

mod bench;
mod cell;
mod edge;
mod network;
mod ramp;
mod real_brain;
mod version_one;

/// Three seconds of the spinning workload, 16 MiB read from the disk through it, and more tasks than it may have.
const MEASURE: &str = r#"
cd /sys/fs/cgroup/batch
usage() { grep usage_usec cpu.stat | cut -d' ' -f2; }
up() { cut -d' ' -f1 /proc/uptime | tr -d .; }
a=$(usage); s=$(up); sleep 3; b=$(usage); e=$(up)
echo "cores $(( (b - a) / (e - s) / 100 ))"
echo 3 > /proc/sys/vm/drop_caches
s=$(up)
sh -c 'echo 0 > /sys/fs/cgroup/batch/cgroup.procs; dd if=/dev/vda of=/dev/null bs=64k count=64 2> /dev/null'
e=$(up)
echo "read_cs $((e - s))"
sh -c 'echo 0 > /sys/fs/cgroup/batch/cgroup.procs; for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait' 2> /dev/null
echo "tasks_refused $(grep max pids.events | cut -d' ' -f2)"
"#;

/// How long from a workload's first spin under a limit to a raised limit, in hundredths of a second of the guest.
const REFLEX: &str = r#"
read -r first < /sys/fs/cgroup/fast/cpu.max
set -- $(busybox adjtimex | grep time.tv)
echo "begin $2 $4"
kill -CONT $(cat /tmp/fast)
read -r start rest < /proc/uptime
last=$first
for i in $(seq 20000); do
  read -r now < /sys/fs/cgroup/fast/cpu.max
  [ "$now" != "$last" ] && { read -r at rest < /proc/uptime; echo "step $start $at $now"; last=$now; }
  case $now in "100000 "*) break;; esac
done
kill -STOP $(cat /tmp/fast)
"#;

#[test]
fn limits_take_effect_and_come_back_whoever_dies() {
    let Some(parts) = Parts::find() else { return };
    let Some(lab) = Lab::start() else {
        return eprintln!("SKIPPED: there is no simulated BMC");
    };
    let bmc = format!("extern:{}", lab.kcs_port());
    let stack = Stack::new();
    let broker = stack.broker();
    let mut bench = Bench::start(&parts, &stack, &bmc);
    bench.is_as_before(STEP);
    limits_take_effect(&mut bench);
    a_sender_falls_silent(&mut bench);
    let broker = a_broker_is_killed(&mut bench, &stack, broker);
    an_agent_is_killed(&mut bench);
    an_agent_is_stopped(&mut bench);
    pressure_raises_a_limit(&mut bench);
    // The BMC limits the host's power, and no more when the lease is over.
    let id = power(&mut bench, &lab, 4_000);
    bench.outcome(&id, OutcomeState::Expired);
    let told = limit_of_power(&lab);
    assert!(!is_enforced(&told), "{told}");
    the_machine_crashes(bench, (&parts, &stack, &bmc), &lab);
    broker.kill();
}

fn limits_take_effect(bench: &mut Bench) {
    let free = bench.run(MEASURE);
    let id = bench.limits(60_000);
    let outcome = bench.outcome(&id, OutcomeState::Applied);
    assert!(
        outcome
            .changes
            .iter()
            .all(|change| change.effect == Effect::None && change.note.is_empty()),
        "{outcome:?}"
    );
    assert_eq!(outcome.actions[0].after, Some(5.0), "{outcome:?}");
    bench.stands(LIMITED, STEP);
    assert!(
        bench
            .run("cat /sys/fs/cgroup/batch/io.max")
            .contains("rbps=1048576 wbps=1048576")
    );
    let limited = bench.run(MEASURE);
    eprintln!("free: {free:?}; limited: {limited:?}");
    let [before, after] = [&free, &limited].map(|text| number(text, "cores "));
    assert!(
        before >= 70.0 && (10.0..=30.0).contains(&after),
        "hundredths of a core: {before}, then {after}"
    );
    assert!(number(&limited, "read_cs ") > 250.0, "4 MiB at 1 MiB/s: {limited}");
    assert!(
        number(&limited, "read_cs ") > 3.0 * number(&free, "read_cs "),
        "{free}; {limited}"
    );
    assert!(number(&limited, "tasks_refused ") > number(&free, "tasks_refused "));
    let used = bench.run("sh -c 'echo 0 > /sys/fs/cgroup/batch/cgroup.procs; dd if=/dev/nvme0n1 of=/dev/null bs=64k 2> /dev/null'; cat /sys/fs/cgroup/batch/memory.current; grep high /sys/fs/cgroup/batch/memory.events");
    assert!(number(&used, "high ") > 0.0, "{used}");
    assert!(
        used.lines().next().unwrap().parse::<f64>().unwrap() < 10e6,
        "of 16 MB read, 8 stay: {used}"
    );
}

/// As a brain that was killed.
fn a_sender_falls_silent(bench: &mut Bench) {
    let start = Instant::now();
    let mut last = String::new();
    while start.elapsed() < Duration::from_secs(6) {
        last = bench.limits(3_000);
        std::thread::sleep(Duration::from_millis(700));
        bench.stands(LIMITED, Duration::from_secs(5));
    }
    let silent = Instant::now();
    bench.is_as_before(Duration::from_secs(20));
    eprintln!(
        "the sender falls silent: as before after {:?}, leases of 3 s",
        silent.elapsed()
    );
    let expired = bench.outcome(&last, OutcomeState::Expired);
    assert_eq!(expired.changes[0].after, None, "no limit");
    let early = bench
        .outcomes()
        .iter()
        .filter(|outcome| outcome.state == OutcomeState::Expired)
        .count();
    assert_eq!(early, 1, "those that were taken over by the next say nothing");
}

/// Nothing comes any more, and what holds runs out.
fn a_broker_is_killed(bench: &mut Bench, stack: &Stack, broker: Process) -> Process {
    let id = bench.limits(6_000);
    bench.outcome(&id, OutcomeState::Applied);
    bench.stands(LIMITED, STEP);
    broker.kill();
    eprintln!(
        "broker killed: as before after {:?}, a lease of 6 s",
        bench.is_as_before(Duration::from_secs(30))
    );
    let broker = stack.broker();
    bench.outcome(&id, OutcomeState::Expired);
    broker
}

/// And comes back.
fn an_agent_is_killed(bench: &mut Bench) {
    let id = bench.limits(600_000);
    bench.outcome(&id, OutcomeState::Applied);
    bench.stands(LIMITED, STEP);
    bench.run("kill -9 $(cat /tmp/agent)");
    eprintln!(
        "agent killed: as before after {:?}, started again after 1 s",
        bench.is_as_before(STEP)
    );
}

fn an_agent_is_stopped(bench: &mut Bench) {
    let applied = bench
        .outcomes()
        .iter()
        .filter(|outcome| outcome.state == OutcomeState::Applied)
        .count();
    let mut id = String::new();
    bench.wait("it takes commands again", STEP, |bench| {
        id = bench.limits(600_000);
        std::thread::sleep(Duration::from_secs(1));
        bench
            .outcomes()
            .iter()
            .filter(|outcome| outcome.state == OutcomeState::Applied)
            .count()
            > applied
    });
    bench.stands(LIMITED, STEP);
    bench.run("kill -TERM $(cat /tmp/agent)");
    eprintln!("agent stopped: as before after {:?}", bench.is_as_before(STEP));
    let told = |bench: &Bench| {
        bench
            .outcomes()
            .iter()
            .any(|outcome| outcome.reason == "the agent ends")
    };
    bench.wait("it says so", STEP, |bench| told(bench));
}

fn pressure_raises_a_limit(bench: &mut Bench) {
    bench.wait("the reflex is armed", STEP, |bench| {
        let id = bench.say(120_000, &[change("fast", Resource::Cpu, 0.1, Some(1.0))], &[]);
        std::thread::sleep(Duration::from_secs(1));
        bench
            .outcomes()
            .iter()
            .any(|outcome| outcome.command_id == id && outcome.state == OutcomeState::Applied)
    });
    let steps = bench.run(REFLEX);
    let begin = steps.lines().find_map(|line| line.strip_prefix("begin "));
    let begin_ms = begin.and_then(|begin| {
        let (seconds, micros) = begin.split_once(' ')?;
        Some(seconds.parse::<i64>().ok()? * 1_000 + micros.parse::<i64>().ok()? / 1_000)
    });
    let begin_ms = begin_ms.unwrap_or_else(|| panic!("{steps:?}"));
    assert!(
        steps.contains("\nstep "),
        "the raised limit stands in the file: {steps:?}"
    );
    // By the clock of the guest, which both ends are told by: who watches the file may have to wait for a processor.
    let raised = |bench: &Bench| {
        let raised =
            |outcome: &&Outcome| outcome.state == OutcomeState::Raised && outcome.changes[0].effect == Effect::Raised;
        let outcomes = bench.outcomes();
        outcomes.iter().filter(raised).map(|outcome| outcome.time_ms).min()
    };
    bench.wait("it is told", STEP, |bench| raised(bench).is_some());
    let took_ms = raised(bench).unwrap() - begin_ms;
    eprintln!("from the first spin under 0.1 cores to a raised limit: {took_ms} ms; {steps:?}");
    assert!((0..=300).contains(&took_ms), "{took_ms} ms");
}

/// The BMC is to limit the host's power, and does; the command's id.
fn power(bench: &mut Bench, lab: &Lab, ttl_ms: u64) -> String {
    let id = bench.say(ttl_ms, &[change("host", Resource::Power, 250.0, None)], &[]);
    let outcome = bench.outcome(&id, OutcomeState::Applied);
    assert_eq!(outcome.changes[0].after, Some(250.0), "{outcome:?}");
    let told = limit_of_power(lab);
    assert!(told.contains("250") && is_enforced(&told), "{told}");
    id
}

/// With limits that hold; and is started anew.
fn the_machine_crashes(mut bench: Bench, (parts, stack, bmc): (&Parts, &Stack, &str), lab: &Lab) {
    power(&mut bench, lab, 600_000);
    let id = bench.limits(600_000);
    bench.outcome(&id, OutcomeState::Applied);
    bench.stands(LIMITED, STEP);
    let boot = fs::read_to_string(bench.share.join("boot")).unwrap();
    let Bench {
        guest, share, observer, ..
    } = bench;
    // The machine is gone at once: QEMU is told to end, and tells its guest nothing.
    guest.stop();
    drop(observer);
    fs::remove_file(share.join("values")).ok();
    let told = limit_of_power(lab);
    assert!(is_enforced(&told), "it outlives the crash: {told}");
    started_anew(parts, stack, bmc, &boot, lab);
}

fn limit_of_power(lab: &Lab) -> String {
    lab.tool(&["dcmi", "power", "get_limit"])
}

fn is_enforced(told: &str) -> bool {
    told.contains("Power Limit Active")
}

fn started_anew(parts: &Parts, stack: &Stack, bmc: &str, boot: &str, lab: &Lab) {
    let mut bench = Bench::start(parts, stack, bmc);
    // The birth that the broker kept is that of the start before.
    bench.wait("it has started", PATIENCE, |bench| {
        let now = fs::read_to_string(bench.share.join("boot")).unwrap_or_default();
        now.ends_with('\n') && now != boot
    });
    bench.is_as_before(STEP);
    let log = bench.share.join("agent.log");
    bench.wait("what the start has reset is seen as such", STEP, |_| {
        fs::read_to_string(&log)
            .unwrap_or_default()
            .contains("a start of the machine has reset it")
    });
    bench.wait("what outlives a start is put back", STEP, |_| {
        !is_enforced(&limit_of_power(lab))
    });
    bench.guest.stop();
}
