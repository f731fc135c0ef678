//! One guest with three workloads, and the brain's side of the bus.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use runtime::Clock;
use shadow::{Action, ActionKind, Change, Command, Explanation, Outcome, OutcomeState, Resource, wire};

use crate::{
    guest::Parts,
    harness::{Process, until, write},
    observer::Observer,
    stack::Stack,
};

/// An emulated guest boots in half a minute; on a busy machine in more.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);
/// What a step in a guest that is up may take.
pub(super) const STEP: Duration = Duration::from_secs(60);

pub(super) const CONFIG: &str = r#"
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

/// Three workloads, and the files whose values are told.
pub(super) const PREPARE: &str = r#"
cd /sys/fs/cgroup
mkdir -p batch web fast
sh -c 'echo 0 > /sys/fs/cgroup/batch/cgroup.procs; while :; do :; done' &
sh -c 'echo 0 > /sys/fs/cgroup/fast/cgroup.procs; kill -STOP $$; while :; do :; done' &
echo $! > /tmp/fast
FILES="batch/cpu.max web/cpu.weight fast/cpu.max batch/memory.high batch/io.max batch/pids.max"
"#;

/// An agent that is started again whenever it dies, what is in the files, and a way to say more.
const SERVE: &str = r#"
cat /proc/sys/kernel/random/boot_id > /share/boot
(while :; do FORESHADOW_LOG=info STATE_DIRECTORY=/share/state /edge/bin run --act --config /share/agent.toml >> /share/agent.log 2>&1 & echo $! > /tmp/agent; wait $!; sleep 1; done) &
(while :; do
  for f in $FILES; do
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
pub(super) struct Bench {
    pub(super) share: PathBuf,
    pub(super) guest: Process,
    pub(super) observer: Observer,
    pub(super) epoch: u64,
    pub(super) sequence: u64,
}

impl Bench {
    pub(super) fn start(parts: &Parts, stack: &Stack, bmc: &str) -> Self {
        Self::boot(parts, stack, bmc, (CONFIG, PREPARE), &["batch", "web", "fast"])
    }

    /// With a configuration and a script of its own, until these workloads are known.
    pub(super) fn boot(
        parts: &Parts,
        stack: &Stack,
        bmc: &str,
        (config, prepare): (&str, &str),
        workloads: &[&str],
    ) -> Self {
        let monitor = stack.path().join("monitor");
        let rest = ["record", "--for", "1h", "--every", "30s", "--output", "/tmp/trace.csv"];
        let prepare = format!("{prepare}{SERVE}");
        let guest = parts.boot_with(stack, bmc, config, &prepare, &monitor, &rest);
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
                workloads
                    .iter()
                    .all(|name| birth.workloads.iter().any(|known| known.name == *name))
            })
        });
        bench
    }

    pub(super) fn wait(&mut self, what: &str, patience: Duration, mut condition: impl FnMut(&mut Self) -> bool) {
        until(what, patience, || {
            assert!(self.guest.runs(), "the guest has ended: {}", self.guest.printed());
            condition(self)
        });
    }

    /// A command that lives `ttl_ms`; its id.
    pub(super) fn say(&mut self, ttl_ms: u64, changes: &[Change], actions: &[Action]) -> String {
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

    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let all = self.observer.seen(|topic| topic.ends_with("/outcome"));
        all.into_values()
            .flatten()
            .map(|outcome| wire::decode_outcome(&outcome).unwrap())
            .collect()
    }

    pub(super) fn outcome(&mut self, id: &str, state: OutcomeState) -> Outcome {
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
    pub(super) fn value(&self, file: &str) -> String {
        let values = fs::read_to_string(self.share.join("values")).unwrap_or_default();
        let line = values
            .lines()
            .find_map(|line| line.strip_prefix(file)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_default().trim().to_owned()
    }

    pub(super) fn stands(&mut self, expected: &[(&str, &str)], patience: Duration) {
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
    pub(super) fn run(&mut self, script: &str) -> String {
        let said = self.share.join("said");
        fs::remove_file(&said).ok();
        write(&self.share, "say.new", script);
        fs::rename(self.share.join("say.new"), self.share.join("say")).unwrap();
        self.wait("the script has run", STEP, |_| said.exists());
        fs::read_to_string(said).unwrap()
    }

    /// Until all that was limited stands as it did in the beginning.
    pub(super) fn is_as_before(&mut self, patience: Duration) -> Duration {
        let start = Instant::now();
        self.stands(BEFORE, patience);
        start.elapsed()
    }

    pub(super) fn limits(&mut self, ttl_ms: u64) -> String {
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

pub(super) const BEFORE: &[(&str, &str)] = &[
    ("batch/cpu.max", "max 100000"),
    ("web/cpu.weight", "100"),
    ("batch/memory.high", "max"),
    ("batch/io.max", ""),
    ("batch/pids.max", "max"),
];

pub(super) const LIMITED: &[(&str, &str)] = &[
    ("batch/cpu.max", "20000 100000"),
    ("web/cpu.weight", "200"),
    ("batch/memory.high", "8388608"),
    ("batch/pids.max", "5"),
];

pub(super) fn change(workload: &str, resource: Resource, target: f64, ceiling: Option<f64>) -> Change {
    Change {
        workload: workload.to_owned(),
        resource,
        before: None,
        target,
        ceiling,
        explanation: Explanation::default(),
    }
}

pub(super) fn now_ms() -> i64 {
    Clock::system().now_ms()
}

pub(super) fn number(text: &str, key: &str) -> f64 {
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no {key} in {text:?}"))
}
