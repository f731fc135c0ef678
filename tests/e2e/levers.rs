//! Levers in a guest, on a real kernel: limits take effect, and what stood there before comes back whoever dies.
//!
//! The test is the brain: it says commands over the stack's broker, again and again while they are to hold.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use runtime::Clock;
use shadow::{Action, ActionKind, Change, Command, Effect, Explanation, Outcome, OutcomeState, Resource, wire};

use crate::{
    bmc_lab::Lab,
    guest::Parts,
    harness::{Process, until, write},
    observer::Observer,
    stack::Stack,
};

/// An emulated guest boots in half a minute; on a busy machine in more.
const PATIENCE: Duration = Duration::from_secs(240);
/// What a step in a guest that is up may take.
const STEP: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
[bmc]
address = "local"
[[act.allow]]
workload = "host"
resource = "power"
[pace]
min = "500ms"
max = "1s"
[probes]
refresh = "1s"
[act]
dwell = "1s"
[[act.allow]]
workload = "web"
resource = "cpu"
lever = "cpu.weight"
[[act.allow]]
workload = "*"
resource = "cpu"
[[act.allow]]
workload = "batch"
resource = "memory"
[[act.allow]]
workload = "batch"
resource = "disk"
[[act.allow]]
workload = "batch"
resource = "tasks"
"#;

/// Three workloads, an agent that is started again whenever it dies, what is in the files, and a way to say more.
const PREPARE: &str = r#"
cd /sys/fs/cgroup
mkdir -p batch web fast
sh -c 'echo 0 > /sys/fs/cgroup/batch/cgroup.procs; while :; do :; done' &
sh -c 'echo 0 > /sys/fs/cgroup/fast/cgroup.procs; kill -STOP $$; while :; do :; done' &
echo $! > /tmp/fast
cat /proc/sys/kernel/random/boot_id > /share/boot
(while :; do FORESHADOW_LOG=info STATE_DIRECTORY=/share/state /edge/bin run --act --config /share/agent.toml >> /share/agent.log 2>&1 & echo $! > /tmp/agent; wait $!; sleep 1; done) &
(while :; do
  for f in batch/cpu.max web/cpu.weight fast/cpu.max batch/memory.high batch/io.max batch/pids.max; do
    read -r line < $f || line=
    echo "$f $line"
  done > /share/values.new
  mv /share/values.new /share/values
  [ -e /share/say ] && mv /share/say /tmp/say && sh /tmp/say > /share/said.new 2>&1; [ -e /share/said.new ] && mv /share/said.new /share/said
  usleep 100000
done) &
cd /
"#;

/// One guest, its files, and the brain's side of the bus.
struct Bench {
    share: PathBuf,
    guest: Process,
    observer: Observer,
    epoch: u64,
    sequence: u64,
}

impl Bench {
    fn start(parts: &Parts, stack: &Stack, bmc: &str) -> Self {
        let monitor = stack.path().join("monitor");
        let guest = parts.boot_with(
            stack,
            bmc,
            CONFIG,
            PREPARE,
            &monitor,
            &["record", "--for", "1h", "--every", "30s", "--output", "/tmp/trace.csv"],
        );
        let epoch = u64::try_from(now_ms()).unwrap() * 1_000;
        let mut bench = Self {
            share: stack.path().join("share"),
            guest,
            observer: Observer::new(stack.port),
            epoch,
            sequence: 0,
        };
        bench.wait("its workloads are known", PATIENCE, |bench| {
            let births = bench.observer.seen(|topic| topic.ends_with("/birth"));
            births.into_values().flatten().any(|birth| {
                let birth = wire::decode_birth(&birth).unwrap();
                ["batch", "web", "fast"]
                    .iter()
                    .all(|name| birth.workloads.iter().any(|known| known.name == *name))
            })
        });
        bench
    }

    fn wait(&mut self, what: &str, patience: Duration, mut condition: impl FnMut(&mut Self) -> bool) {
        until(what, patience, || {
            assert!(self.guest.runs(), "the guest has ended: {}", self.guest.printed());
            condition(self)
        });
    }

    /// A command that lives `ttl_ms`; its id.
    fn say(&mut self, ttl_ms: u64, changes: &[Change], actions: &[Action]) -> String {
        self.sequence += 1;
        let id = format!("{}-edge-1-{}", self.epoch, self.sequence);
        let command = Command {
            id: id.clone(),
            host: "edge-1".to_owned(),
            issuer_epoch: self.epoch,
            sequence: self.sequence,
            issued_ms: now_ms(),
            ttl_ms,
            dry_run: false,
            changes: changes.to_vec(),
            actions: actions.to_vec(),
        };
        let topics = bus::Topics::new("foreshadow", "main").unwrap();
        let topic = topics.command("edge-1", shadow::Vantage::Inband);
        self.observer.publish(&topic, &wire::encode_command(&command));
        id
    }

    fn outcomes(&self) -> Vec<Outcome> {
        let all = self.observer.seen(|topic| topic.ends_with("/outcome"));
        all.into_values()
            .flatten()
            .map(|outcome| wire::decode_outcome(&outcome).unwrap())
            .collect()
    }

    fn outcome(&mut self, id: &str, state: OutcomeState) -> Outcome {
        let mut found = None;
        self.wait(&format!("{id} is {state:?}"), STEP, |bench| {
            found = bench
                .outcomes()
                .into_iter()
                .find(|outcome| outcome.command_id == id && outcome.state == state);
            found.is_some()
        });
        found.unwrap()
    }

    /// What stands in a file of the cgroups.
    fn value(&self, file: &str) -> String {
        let values = fs::read_to_string(self.share.join("values")).unwrap_or_default();
        let line = values
            .lines()
            .find_map(|line| line.strip_prefix(file)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_default().trim().to_owned()
    }

    fn stands(&mut self, expected: &[(&str, &str)], patience: Duration) {
        let what = format!("{expected:?}");
        let mut seen = Vec::new();
        let start = Instant::now();
        while !expected.iter().all(|(file, text)| self.value(file) == *text) {
            seen = expected.iter().map(|(file, _)| self.value(file)).collect();
            assert!(
                start.elapsed() < patience,
                "{what} is {seen:?}: {}",
                fs::read_to_string(self.share.join("agent.log")).unwrap_or_default()
            );
            assert!(self.guest.runs(), "the guest has ended: {}", self.guest.printed());
            std::thread::sleep(Duration::from_millis(25));
        }
        drop(seen);
    }

    /// Runs a script in the guest, and gives what it prints.
    fn run(&mut self, script: &str) -> String {
        let said = self.share.join("said");
        fs::remove_file(&said).ok();
        write(&self.share, "say.new", script);
        fs::rename(self.share.join("say.new"), self.share.join("say")).unwrap();
        self.wait("the script has run", STEP, |_| said.exists());
        fs::read_to_string(said).unwrap()
    }

    /// Until all that was limited stands as it did in the beginning.
    fn is_as_before(&mut self, patience: Duration) -> Duration {
        let start = Instant::now();
        self.stands(BEFORE, patience);
        start.elapsed()
    }

    fn limits(&mut self, ttl_ms: u64) -> String {
        let changes = [
            change("batch", Resource::Cpu, 0.2, None),
            change("web", Resource::Cpu, 2.0, None),
            change("batch", Resource::Memory, 8.0 * 1024.0 * 1024.0, None),
            change("batch", Resource::Disk, 1024.0 * 1024.0, None),
        ];
        let action = Action {
            kind: ActionKind::LimitTasks,
            workload: "batch".to_owned(),
            amount: Some(5.0),
            explanation: Explanation::default(),
        };
        self.say(ttl_ms, &changes, &[action])
    }
}

const BEFORE: &[(&str, &str)] = &[
    ("batch/cpu.max", "max 100000"),
    ("web/cpu.weight", "100"),
    ("batch/memory.high", "max"),
    ("batch/io.max", ""),
    ("batch/pids.max", "max"),
];

const LIMITED: &[(&str, &str)] = &[
    ("batch/cpu.max", "20000 100000"),
    ("web/cpu.weight", "200"),
    ("batch/memory.high", "8388608"),
    ("batch/pids.max", "5"),
];

fn change(workload: &str, resource: Resource, target: f64, ceiling: Option<f64>) -> Change {
    Change {
        workload: workload.to_owned(),
        resource,
        before: None,
        target,
        ceiling,
        explanation: Explanation::default(),
    }
}

fn now_ms() -> i64 {
    Clock::system().now_ms()
}

fn number(text: &str, key: &str) -> f64 {
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no {key} in {text:?}"))
}

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

    // A sender that falls silent: a brain that was killed.
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

    // The broker is killed: nothing comes any more, and what holds runs out.
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

    // The agent is killed, and comes back.
    let id = bench.limits(600_000);
    bench.outcome(&id, OutcomeState::Applied);
    bench.stands(LIMITED, STEP);
    bench.run("kill -9 $(cat /tmp/agent)");
    eprintln!(
        "agent killed: as before after {:?}, started again after 1 s",
        bench.is_as_before(STEP)
    );

    // The agent is stopped in order.
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

    // Pressure raises a limit.
    bench.wait("the reflex is armed", STEP, |bench| {
        let id = bench.say(120_000, &[change("fast", Resource::Cpu, 0.1, Some(1.0))], &[]);
        std::thread::sleep(Duration::from_secs(1));
        bench
            .outcomes()
            .iter()
            .any(|outcome| outcome.command_id == id && outcome.state == OutcomeState::Applied)
    });
    let steps = bench.run(REFLEX);
    let first = steps
        .lines()
        .find_map(|line| line.strip_prefix("step "))
        .unwrap_or_else(|| panic!("{steps:?}"));
    let times: Vec<f64> = first.split(' ').take(2).map(|time| time.parse().unwrap()).collect();
    let took_ms = 1e3 * (times[1] - times[0]);
    eprintln!("from the first spin under 0.1 cores to a raised limit: {took_ms:.0} ms; {steps:?}");
    assert!(took_ms <= 300.0, "{steps}");
    bench.wait("it is told", STEP, |bench| {
        bench
            .outcomes()
            .iter()
            .any(|outcome| outcome.state == OutcomeState::Raised && outcome.changes[0].effect == Effect::Raised)
    });

    // The BMC limits the host's power, and no more when the lease is over.
    let power = |bench: &mut Bench, ttl_ms| {
        let id = bench.say(ttl_ms, &[change("host", Resource::Power, 250.0, None)], &[]);
        let outcome = bench.outcome(&id, OutcomeState::Applied);
        assert_eq!(outcome.changes[0].after, Some(250.0), "{outcome:?}");
        let told = limit_of_power(&lab);
        assert!(told.contains("250") && is_enforced(&told), "{told}");
        id
    };
    let id = power(&mut bench, 4_000);
    bench.outcome(&id, OutcomeState::Expired);
    let told = limit_of_power(&lab);
    assert!(!is_enforced(&told), "{told}");

    // The whole machine crashes, and is started anew.
    power(&mut bench, 600_000);
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
    let told = limit_of_power(&lab);
    assert!(is_enforced(&told), "it outlives the crash: {told}");
    crashed(&parts, &stack, &bmc, &boot, &lab);
    broker.kill();
}

fn limit_of_power(lab: &Lab) -> String {
    lab.tool(&["dcmi", "power", "get_limit"])
}

fn is_enforced(told: &str) -> bool {
    told.contains("Power Limit Active")
}

fn crashed(parts: &Parts, stack: &Stack, bmc: &str, boot: &str, lab: &Lab) {
    let mut bench = Bench::start(parts, stack, bmc);
    assert_ne!(fs::read_to_string(bench.share.join("boot")).unwrap(), boot);
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
