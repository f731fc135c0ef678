//! A guest whose kernel has the older cgroups: quotas, limits of memory, disks and tasks take effect there as well, and what
//! stood there before comes back.

use shadow::{Action, ActionKind, Effect, Explanation, OutcomeState, Resource};

use super::bench::{Bench, STEP, change, number};
use crate::{guest::Parts, stack::Stack};

const CONFIG: &str = r#"
[pace]
min = "500ms"
max = "1s"
[probes]
refresh = "1s"
[act]
dwell = "1s"
disks = ["vda"]
[[act.allow]]
workload = "batch"
resource = "cpu"
[[act.allow]]
workload = "batch"
resource = "memory"
lever = "memory.max"
[[act.allow]]
workload = "batch"
resource = "disk"
[[act.allow]]
workload = "batch"
resource = "tasks"
"#;

/// Controllers go from the one tree to a tree each.
const PREPARE: &str = r#"
for c in cpu memory io pids cpuset; do echo -$c > /sys/fs/cgroup/cgroup.subtree_control; done
umount /sys/fs/cgroup; mount -t tmpfs tmpfs /sys/fs/cgroup
cd /sys/fs/cgroup
for c in cpu cpuacct memory blkio pids; do
  mkdir $c; mount -t cgroup -o $c $c $c || echo "no $c"
  mkdir $c/batch
done
cat > /tmp/in <<'END'
for c in cpu cpuacct memory blkio pids; do echo 0 > /sys/fs/cgroup/$c/batch/cgroup.procs; done
END
sh -c '. /tmp/in; while :; do :; done' &
FILES="cpu/batch/cpu.cfs_quota_us memory/batch/memory.limit_in_bytes blkio/batch/blkio.throttle.read_bps_device blkio/batch/blkio.throttle.write_bps_device pids/batch/pids.max"
"#;

const BEFORE: &[(&str, &str)] = &[
    ("cpu/batch/cpu.cfs_quota_us", "-1"),
    ("memory/batch/memory.limit_in_bytes", "9223372036854771712"),
    ("blkio/batch/blkio.throttle.read_bps_device", ""),
    ("blkio/batch/blkio.throttle.write_bps_device", ""),
    ("pids/batch/pids.max", "max"),
];

/// A core's share in three seconds, and a second's worth of a disk's limit, read past the page cache.
const MEASURE: &str = r#"
usage() { cat /sys/fs/cgroup/cpuacct/batch/cpuacct.usage; }
up() { cut -d' ' -f1 /proc/uptime | tr -d .; }
a=$(usage); s=$(up); sleep 3; b=$(usage); e=$(up)
echo "cores $(( (b - a) / (e - s) / 100000 ))"
echo 3 > /proc/sys/vm/drop_caches
s=$(up)
sh -c '. /tmp/in; dd if=/dev/vda of=/dev/null bs=64k count=64 2> /dev/null'
e=$(up)
echo "read_cs $((e - s))"
"#;

#[test]
fn the_older_cgroups_have_limits_that_take_effect_and_come_back() {
    let Some(parts) = Parts::find() else { return };
    let stack = Stack::new();
    let _broker = stack.broker();
    let mut bench = Bench::boot(&parts, &stack, "none", (CONFIG, PREPARE), &["batch"]);
    bench.stands(BEFORE, STEP);
    let free = bench.run(MEASURE);
    let changes = [
        change("batch", Resource::Cpu, 0.2, None),
        change("batch", Resource::Memory, 8.0 * 1024.0 * 1024.0, None),
        change("batch", Resource::Disk, 1024.0 * 1024.0, None),
    ];
    let action = Action {
        kind: ActionKind::LimitTasks,
        workload: "batch".to_owned(),
        amount: Some(5.0),
        explanation: Explanation::default(),
    };
    let id = bench.say(40_000, &changes, &[action]);
    let outcome = bench.outcome(&id, OutcomeState::Applied);
    let done = outcome
        .changes
        .iter()
        .all(|row| row.effect == Effect::None && row.note.is_empty());
    assert!(done, "{outcome:?}");
    assert_eq!(outcome.actions[0].after, Some(5.0), "{outcome:?}");
    let disk = bench.run("cat /sys/class/block/vda/dev");
    let limit = format!("{} 1048576", disk.trim());
    bench.stands(
        &[
            ("cpu/batch/cpu.cfs_quota_us", "20000"),
            ("memory/batch/memory.limit_in_bytes", "8388608"),
            ("blkio/batch/blkio.throttle.read_bps_device", &limit),
            ("blkio/batch/blkio.throttle.write_bps_device", &limit),
            ("pids/batch/pids.max", "5"),
        ],
        STEP,
    );
    let limited = bench.run(MEASURE);
    eprintln!("free: {free:?}; limited: {limited:?}");
    let [before, after] = [&free, &limited].map(|text| number(text, "cores "));
    assert!(
        before >= 60.0 && (10.0..=30.0).contains(&after),
        "hundredths of a core: {before}, then {after}"
    );
    assert!(number(&limited, "read_cs ") > 250.0, "4 MiB at 1 MiB/s: {limited}");
    let expired = bench.outcome(&id, OutcomeState::Expired);
    assert_eq!(expired.changes[0].after, None, "no limit");
    bench.stands(BEFORE, STEP);
    // And by the next start of an agent that was killed.
    let id = bench.say(600_000, &changes[..1], &[]);
    bench.outcome(&id, OutcomeState::Applied);
    bench.run("kill -9 $(cat /tmp/agent)");
    bench.stands(BEFORE, STEP);
    bench.guest.stop();
}
