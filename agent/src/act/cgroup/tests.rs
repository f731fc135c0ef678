//! Both versions of the cgroup file system, as trees of files.

use super::*;
use crate::probe::tree::Tree;

const ROOT: &str = "sys/fs/cgroup";

fn two() -> Tree {
    Tree::new(&[
        (&format!("{ROOT}/cgroup.controllers"), "cpu memory"),
        (&format!("{ROOT}/cpuset.cpus.effective"), "0-3\n"),
        (&format!("{ROOT}/web/cpu.max"), "max 100000\n"),
        (&format!("{ROOT}/web/cpu.weight"), "100\n"),
        (&format!("{ROOT}/web/cpuset.cpus"), "\n"),
        (&format!("{ROOT}/web/cpuset.cpus.effective"), "2-3\n"),
        (&format!("{ROOT}/web/memory.high"), "max\n"),
        (&format!("{ROOT}/web/memory.max"), "max\n"),
        (&format!("{ROOT}/web/memory.current"), "8192000\n"),
        (
            &format!("{ROOT}/web/io.max"),
            "8:0 rbps=max wbps=max riops=50 wiops=max\n",
        ),
        (&format!("{ROOT}/web/pids.max"), "max\n"),
        (&format!("{ROOT}/web/pids.current"), "7\n"),
    ])
}

fn aim(tree: &Tree, name: &str, amount: f64) -> Result<(Turn, Option<f64>), String> {
    let mut levers = levers(&tree.place(), "", vec!["8:0".to_owned()]);
    let lever = levers.iter_mut().find(|lever| lever.name() == name).unwrap();
    let turns = lever.aim(Ask {
        workload: "web",
        amount,
    })?;
    let turn = turns.into_iter().next().unwrap();
    let means = lever.amount(&turn.subject, &turn.text);
    Ok((turn, means))
}

fn check(tree: &Tree, name: &str, amount: f64, text: &str, means: f64, note: &str) {
    let (turn, told) = aim(tree, name, amount).unwrap();
    assert_eq!((&*turn.text, told, &*turn.note), (text, Some(means), note), "{name}");
}

#[test]
fn version_2_is_spoken_in_its_own_words() {
    let tree = two();
    check(&tree, "cpu.max", 1.5, "150000 100000", 1.5, "");
    check(
        &tree,
        "cpu.max",
        0.0,
        "1000 100000",
        0.01,
        "raised to the least that the kernel takes",
    );
    check(&tree, "cpu.weight", 2.5, "250", 2.5, "");
    check(
        &tree,
        "cpu.weight",
        900.0,
        "10000",
        100.0,
        "held within what the kernel takes",
    );
    check(&tree, "cpuset.cpus", 2.0, "2-3", 2.0, "");
    check(&tree, "cpuset.cpus", 0.1, "3", 1.0, "rounded to whole processors");
    check(&tree, "memory.high", 40_960_000.0, "40960000", 40_960_000.0, "");
    let raised = "raised to what is used, page cache included, and a margin";
    check(&tree, "memory.high", 100.0, "9011200", 9_011_200.0, raised);
    check(&tree, "memory.max", 0.0, "9011200", 9_011_200.0, raised);
    check(&tree, "pids.max", 20.0, "20", 20.0, "");
    check(&tree, "pids.max", 3.0, "8", 8.0, "raised to one more than there are");
    check(
        &tree,
        "io.max",
        1e6,
        "rbps=1000000 wbps=1000000 riops=50 wiops=max",
        1e6,
        "",
    );
    check(
        &tree,
        "io.max",
        5.0,
        "rbps=65536 wbps=65536 riops=50 wiops=max",
        65_536.0,
        "raised to 64 KiB/s",
    );
    tree.remove(&format!("{ROOT}/web/memory.current"));
    assert!(aim(&tree, "memory.max", 1e9).unwrap_err().contains("cannot be read"));
}

#[test]
fn version_1_has_quotas_for_the_period_that_is_there() {
    let tree = Tree::new(&[
        (&format!("{ROOT}/cpuacct/web/cpuacct.usage"), "1"),
        (&format!("{ROOT}/cpu/web/cpu.cfs_quota_us"), "-1"),
        (&format!("{ROOT}/cpu/web/cpu.cfs_period_us"), "50000"),
        (&format!("{ROOT}/cpu/web/cpu.shares"), "1024"),
        (
            &format!("{ROOT}/memory/web/memory.limit_in_bytes"),
            "9223372036854771712",
        ),
        (&format!("{ROOT}/memory/web/memory.usage_in_bytes"), "4096"),
    ]);
    check(&tree, "cpu.max", 2.0, "100000", 2.0, "");
    check(&tree, "cpu.weight", 2.0, "2048", 2.0, "");
    check(&tree, "memory.max", 8_192.0, "8192", 8_192.0, "");
    let mut levers = levers(&tree.place(), "", Vec::new());
    let names: Vec<&str> = levers.iter().map(|lever| lever.name()).collect();
    assert_eq!(
        names,
        [
            "cpu.max",
            "cpu.weight",
            "memory.high",
            "memory.max",
            "io.max",
            "pids.max"
        ]
    );
    let max = levers.iter_mut().find(|lever| lever.name() == "memory.max").unwrap();
    let text = max.read("web").unwrap();
    assert_eq!(max.amount("web", &text), None, "no limit");
}

#[test]
fn disks_have_a_line_each() {
    let tree = two();
    let disks = vec!["8:0".to_owned(), "8:16".to_owned()];
    let mut levers = levers(&tree.place(), "", disks);
    let lever = levers.iter_mut().find(|lever| lever.name() == "io.max").unwrap();
    let turns = lever.aim(Ask {
        workload: "web",
        amount: 1e6,
    });
    let subjects: Vec<String> = turns.unwrap().into_iter().map(|turn| turn.subject).collect();
    assert_eq!(subjects, ["8:0 web", "8:16 web"]);
    assert_eq!(lever.read("8:16 web").unwrap(), "rbps=max wbps=max riops=max wiops=max");
    lever.write("8:16 web", "rbps=1 wbps=2 riops=max wiops=max").unwrap();
    assert_eq!(lever.read("8:16 web").unwrap(), "rbps=1 wbps=2 riops=max wiops=max");
}

#[test]
fn version_1_has_a_file_for_reads_and_one_for_writes_of_all_disks() {
    let [reads, writes] = ["read", "write"].map(|what| format!("{ROOT}/blkio/web/blkio.throttle.{what}_bps_device"));
    let tree = Tree::new(&[
        (&format!("{ROOT}/cpuacct/web/cpuacct.usage"), "1"),
        (&reads, "8:16 500000\n"),
        (&writes, ""),
    ]);
    let mut levers = levers(&tree.place(), "", vec!["8:0".to_owned(), "8:16".to_owned()]);
    let lever = levers.iter_mut().find(|lever| lever.name() == "io.max").unwrap();
    let turns = lever.aim(Ask {
        workload: "web",
        amount: 1e6,
    });
    let told: Vec<(String, String)> = turns
        .unwrap()
        .into_iter()
        .map(|turn| (turn.subject, turn.text))
        .collect();
    let subjects: Vec<&str> = told.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(subjects, ["8:0r web", "8:0w web", "8:16r web", "8:16w web"]);
    assert!(told.iter().all(|(_, text)| text == "1000000"));
    let before = ["max", "max", "500000", "max"];
    for (subject, stands) in subjects.iter().zip(before) {
        assert_eq!(lever.read(subject).unwrap(), stands, "{subject}");
    }
    assert_eq!(
        [lever.amount("8:0r web", "max"), lever.amount("8:0r web", "5")],
        [None, Some(5.0)]
    );
    // A real one keeps the other lines; a file of this tree keeps the last that was written.
    lever.write("8:0w web", "1000000").unwrap();
    let file = |name: &str| std::fs::read_to_string(tree.place().path(name)).unwrap();
    assert_eq!(file(&writes), "8:0 1000000\n");
    lever.write("8:0w web", "max").unwrap();
    assert_eq!(file(&writes), "8:0 0\n");
}

#[test]
fn what_is_not_delegated_is_out_of_reach() {
    let tree = two();
    tree.set(&format!("{ROOT}/ours/db/cpu.max"), "max 100000\n");
    tree.link(&format!("{ROOT}/ours/linked"), "../web");
    let mut place = tree.place();
    place.config.workload.parents = vec![String::new(), "ours".to_owned()];
    let mut levers = levers(&place, "ours", Vec::new());
    let lever = levers.first_mut().unwrap();
    let mut aim = |workload| lever.aim(Ask { workload, amount: 1.0 });
    assert_eq!(aim("db").unwrap().first().unwrap().subject, "ours/db");
    assert_eq!(
        aim("web").unwrap_err(),
        "its cgroup web is not below the delegated ours"
    );
    assert!(aim("ours").is_err(), "what is delegated is not itself");
    assert!(aim("ghost").is_err());
    for subject in ["web", "ours/../web", "ours/linked", "/ours/db", "oursx/db"] {
        assert!(lever.read(subject).is_err(), "{subject}");
        assert!(lever.write(subject, "1 1").is_err(), "{subject}");
    }
    assert!(lever.read("ours/db").is_ok());
}
