//! The lab: the same table for the same seed, whatever the speed.

use std::fmt::Write as _;

use tempfile::TempDir;

use crate::harness::{Process, write};

/// Two hosts, two and a half hours at 10 s: a job every twelve minutes on one, a saw tooth on the other.
pub(crate) fn traces() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (host, shift) in [("web-1", 0), ("web-2", 31)] {
        let mut text = String::from("time,cpu,mem,net_rx,net_tx,disk_read,disk_write\n");
        for row in 0..900_u32 {
            let phase = (row + shift) % 72;
            let busy = if phase < 20 { 0.8 } else { 0.1 };
            let noise = f64::from(row * 7_919 % 101) / 1_000.0;
            let (memory, rate) = (0.3 + f64::from(phase) / 200.0, f64::from(phase) * 1e5);
            writeln!(
                text,
                "{},{},{memory},{rate},{},{},{}",
                row * 10,
                busy + noise,
                rate / 2.0,
                rate / 4.0,
                rate * 3.0
            )
            .unwrap();
        }
        write(folder.path(), &format!("{host}.csv"), &text);
    }
    folder
}

fn table(arguments: &[&str]) -> String {
    let mut lab = Process::foreshadow(arguments);
    assert!(lab.wait().success(), "{}", lab.printed());
    let printed = lab.printed();
    let rows = printed.lines().filter(|line| {
        ["cpu", "memory", "network", "disk", "power"]
            .iter()
            .any(|r| line.starts_with(r))
    });
    rows.map(|row| format!("{row}\n")).collect()
}

#[test]
fn the_table_hangs_on_traces_and_seed_alone() {
    let traces = traces();
    let folder = traces.path().to_str().unwrap();
    let run = |speed: &str| table(&["lab", "--traces", folder, "--speed", speed]);
    let fast = run("100000");
    assert_eq!(fast.lines().count(), 12, "four resources at three horizons:\n{fast}");
    assert!(
        !fast.lines().any(|row| row.contains(" - ")),
        "the LSTM was trained:\n{fast}"
    );
    assert_eq!(fast, run("3000"));
}

#[test]
fn more_hosts_than_a_process_may_have_connections_are_refused_with_what_helps() {
    let mut lab = Process::foreshadow_within("-n 500", &["lab", "--hosts", "1000"]);
    assert!(!lab.wait().success());
    let text = "--hosts 1000: they need 2200 open files, and this process may have 500: `ulimit -n 2200` beforehand, or fewer hosts";
    lab.wait_for_text(text);
}
