use proptest::prelude::*;
use shadow::Bound;

use super::*;
use crate::{config::BoundRule, probe::tree::Tree};

const STAT: &str = "cpu  1 0 1 7 0 0 0 0\ncpu0 1 0 1 7 0 0 0 0\nintr 0\n";
const MEMINFO: &str = "MemTotal: 1000 kB\nMemAvailable: 400 kB\n";
const DISKS: &str = " 8 0 sda 10 0 100 5 20 0 200 9 3 1000 14\n";

fn tree() -> Tree {
    Tree::new(&[
        ("proc/stat", STAT),
        ("proc/meminfo", MEMINFO),
        ("proc/diskstats", DISKS),
    ])
}

fn names(set: &ProbeSet) -> Vec<&str> {
    set.catalogue()
        .metrics()
        .iter()
        .map(|metric| metric.name.as_str())
        .collect()
}

fn reading(set: &mut ProbeSet, name: &str, seconds: u64) -> Reading {
    let column = set.catalogue().column(name).unwrap();
    set.sample(seconds * 1_000_000_000)[column]
}

fn state(set: &ProbeSet, name: &str) -> SourceState {
    set.sources().iter().find(|source| source.name == name).unwrap().state
}

#[test]
fn channels_come_first_and_readings_follow_their_metrics() {
    let mut set = ProbeSet::open(tree().place());
    let names = names(&set);
    assert_eq!(
        names[..4],
        ["host.cpu", "host.memory", "host.disk.read", "host.disk.write"]
    );
    assert_eq!(names[4..6], ["cpu.0.user", "cpu.0.system"]);
    assert_eq!(reading(&mut set, "host.memory", 0).value(), Some(0.6));
    assert_eq!(reading(&mut set, "disk.sda.inflight", 1).value(), Some(3.0));
    assert_eq!(reading(&mut set, "memory.available", 2).value(), Some(409_600.0));
}

#[test]
fn what_is_not_there_is_absent_with_a_reason() {
    let set = ProbeSet::open(tree().place());
    assert_eq!(state(&set, "cpu"), SourceState::Works);
    for absent in ["network", "pressure", "power", "workload"] {
        assert_eq!(state(&set, absent), SourceState::Absent, "{absent}");
    }
    assert!(
        set.sources().iter().all(|source| !source.reason.is_empty()),
        "{:?}",
        set.sources()
    );
}

#[test]
fn a_probe_that_is_switched_off_says_so() {
    let mut tree = tree();
    tree.config.off = vec!["disk".to_owned()];
    let mut set = ProbeSet::open(tree.place());
    let source = set.sources().into_iter().find(|source| source.name == "disk").unwrap();
    assert_eq!(source.state, SourceState::Absent);
    assert!(source.reason.contains("probes.off"), "{source:?}");
    assert!(set.catalogue().column("disk.sda.busy").is_none());
    assert!(!set.refresh(), "and stays so");
}

#[test]
fn metrics_are_told_as_exactly_as_is_wanted() {
    let tree = tree();
    let mut place = tree.place();
    place.config.bounds = vec![BoundRule {
        metric: "host.cpu".to_owned(),
        step: Some(0.004),
        ..BoundRule::default()
    }];
    let set = ProbeSet::open(place);
    let bounds: Vec<_> = set.catalogue().metrics().iter().map(|metric| metric.bound).collect();
    assert_eq!(bounds[0], Bound::Absolute { step: 0.004 });
    assert!(!bounds[1..].contains(&bounds[0]), "only what is named");
}

#[test]
fn a_failing_probe_costs_itself_alone_and_is_opened_anew() {
    let tree = tree();
    let mut set = ProbeSet::open(tree.place());
    tree.set("proc/stat", "garbage\n");
    for second in 0..5 {
        assert_eq!(reading(&mut set, "host.cpu", second), Reading::FAILED);
        assert_eq!(reading(&mut set, "host.memory", second).value(), Some(0.6));
    }
    assert_eq!(state(&set, "cpu"), SourceState::Failed);
    assert!(!set.refresh(), "still broken: nothing has changed");
    tree.set("proc/stat", STAT);
    assert!(set.refresh(), "its state has changed");
    assert_eq!(state(&set, "cpu"), SourceState::Works);
    assert_eq!(reading(&mut set, "host.cpu", 9), Reading::STALE);
}

#[test]
fn what_comes_and_goes_changes_the_catalogue() {
    let tree = tree();
    let mut set = ProbeSet::open(tree.place());
    assert!(!set.refresh());
    tree.set("proc/loadavg", "0.50 0.00 0.00 1/2 3\n");
    assert!(set.refresh());
    assert_eq!(reading(&mut set, "load.1m", 1).value(), Some(0.5));
    tree.set("proc/diskstats", &format!("{DISKS} 8 16 sdb 1 0 1 5 2 0 2 9 3 1 1\n"));
    assert!(set.refresh());
    assert!(set.catalogue().column("disk.sdb.busy").is_some());
    assert_eq!(reading(&mut set, "load.1m", 2).value(), Some(0.5));
}

#[test]
fn of_two_metrics_with_one_name_the_first_is_told() {
    let tree = tree();
    let line = |name: &str, bytes: u64| format!("{name}: {bytes} 1 0 0 0 0 0 0 {bytes} 1 0 0 0 0 0 0\n");
    tree.set("proc/net/dev", &(line("eth0!1", 0) + &line("eth0?1", 0)));
    let mut set = ProbeSet::open(tree.place());
    let names = names(&set);
    assert_eq!(
        names.iter().filter(|name| **name == "network.eth0_1.rx_bytes").count(),
        1,
        "{names:?}"
    );
    set.sample(0);
    tree.set("proc/net/dev", &(line("eth0!1", 100) + &line("eth0?1", 900)));
    assert_eq!(reading(&mut set, "network.eth0_1.rx_bytes", 1).value(), Some(100.0));
    assert_eq!(reading(&mut set, "host.network.rx", 2).value(), Some(0.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the kernel says, a probe fails or reads, and never panics.
    #[test]
    fn any_content_is_survived(first in content(), second in content()) {
        const FILES: [&str; 9] = [
            "proc/stat", "proc/meminfo", "proc/net/dev", "proc/diskstats", "proc/loadavg", "proc/pressure/cpu",
            "proc/pressure/memory", "proc/pressure/io", "sys/fs/cgroup/memory/a/memory.usage_in_bytes",
        ];
        let tree = tree();
        for path in FILES {
            tree.set(path, &first);
        }
        let mut set = ProbeSet::open(tree.place());
        set.sample(0);
        for path in FILES {
            tree.set(path, &second);
        }
        set.sample(1_000_000_000);
        set.refresh();
        set.sample(2_000_000_000);
    }
}

/// Bits of the kernel's tables in any order, and any characters.
fn content() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "cpu ",
        "cpu0 ",
        "18446744073709551615 ",
        "0 ",
        "7 ",
        "-1 ",
        ": ",
        "eth0:",
        " 8 0 sda ",
        "\n",
        "some ",
        "total=",
        "MemTotal: ",
        "MemAvailable: ",
        "kB",
        "1/2 ",
        "0.5 ",
        "\u{0}",
        "\u{fffd}",
    ]);
    let bits = prop::collection::vec(words, 0..80).prop_map(|words| words.concat());
    prop_oneof![bits, any::<String>()]
}

#[test]
fn middle_probes_are_stale_between_their_readings() {
    let tree = tree();
    tree.set("sys/class/hwmon/hwmon0/power1_input", "25000000");
    let mut set = ProbeSet::open(tree.place());
    let column = set.catalogue().column("host.power").unwrap();
    let read = |set: &mut ProbeSet, ms: u64| set.sample(ms * 1_000_000)[column].value();
    let found: Vec<_> = [0, 100, 800, 1_000, 1_100, 2_000].map(|ms| read(&mut set, ms)).into();
    assert_eq!(found, [Some(25.0), None, None, Some(25.0), None, Some(25.0)]);
}

/// Trees of real servers, such as the unpacked test archives of `prometheus/procfs` and `node_exporter`.
#[test]
fn what_was_put_on_tape_is_read_as_it_was() {
    const SECOND: u64 = 1_000_000_000;
    let tree = tree();
    let mut sets = [(); 2].map(|()| ProbeSet::open(tree.place()));
    let [live, late] = &mut sets;
    let mut rows = Vec::new();
    for round in 0..3 {
        for number in 0..5_usize {
            let time = round * 5 + number as u64;
            tree.set("proc/stat", &STAT.replace("intr 0", &format!("intr {}", time * time)));
            tree.set("proc/diskstats", &DISKS.replace("3 1000", &format!("{time} 1000")));
            if time == 7 {
                // Neither understands it, and it costs the disk alone.
                tree.set("proc/diskstats", "nonsense\n");
            }
            rows.push(live.sample(time * SECOND / 10).to_vec());
            assert!(late.record(number, time * SECOND / 10));
        }
        for number in 0..5_usize {
            let time = round * 5 + number as u64;
            let row = late.play(number, time * SECOND / 10);
            assert_eq!(row, rows[usize::try_from(time).unwrap()], "{time}");
        }
    }
    assert_ne!(rows[3], rows[4]);
}

#[test]
fn what_is_due_at_once_is_not_put_on_tape() {
    let tree = tree();
    tree.set("sys/class/hwmon/hwmon0/power1_input", "25000000");
    let mut set = ProbeSet::open(tree.place());
    assert!(!set.record(0, 0));
    let column = set.catalogue().column("host.power").unwrap();
    assert_eq!(set.sample(0)[column].value(), Some(25.0));
    assert!(set.record(0, 200_000_000), "its turn comes in a second");
    assert_eq!(set.play(0, 200_000_000)[column], Reading::STALE);
    assert!(!set.record(1, 1_000_000_000));
    let long = format!("{STAT}{}", "intr 0\n".repeat(MAX_TAPE_BYTES / 7));
    tree.set("proc/stat", &long);
    assert!(!set.record(0, 400_000_000), "longer than a tape may be");
}

#[test]
fn trees_of_real_servers_are_read() {
    let Ok(trees) = std::env::var("FORESHADOW_SYSFS_TREES") else {
        eprintln!("stepped aside: FORESHADOW_SYSFS_TREES does not name a folder of sysfs and procfs trees");
        return;
    };
    let mut read = 0;
    let roots = std::fs::read_dir(trees).unwrap().map(|entry| entry.unwrap().path());
    for root in roots.filter(|root| root.is_dir()) {
        let config = crate::config::Probes::default();
        let place = Place::new(root, config);
        let mut set = ProbeSet::open(place.clone());
        set.sample(0);
        let row = set.sample(1_000_000_000).to_vec();
        read += row.iter().filter(|reading| reading.value().is_some()).count();
        for source in set.sources() {
            assert_ne!(
                source.state,
                SourceState::Failed,
                "{}: {source:?}",
                place.root.display()
            );
            eprintln!("{} {source:?}", place.root.display());
        }
        let mut inventory = Inventory::default();
        set.describe(&mut inventory);
        eprintln!("{inventory:?}");
    }
    assert!(read > 50, "{read} readings");
}
