//! A short version of the proof: half a minute, few hosts, everything fails.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect is to fail there and then"
)]

use std::process::Command;

fn run(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_foreshadow-chaos"))
        .arg("run")
        .args(arguments)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{told}");
    eprintln!("{printed}");
    printed
}

fn count(printed: &str, what: &str) -> u64 {
    let line = printed
        .lines()
        .find(|line| line.trim_end().ends_with(&format!("  {what}")));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap()
}

#[test]
fn nothing_is_lost_whatever_dies() {
    let printed = run(&["--hosts", "24", "--fleets", "3", "--for", "30s", "--seed", "7"]);
    assert!(count(&printed, "taken") > 24 * 10, "{printed}");
    assert_eq!(count(&printed, "in declared holes"), 0, "{printed}");
}

#[test]
fn what_a_full_spool_drops_is_declared_and_nothing_else_is_missing() {
    let arguments = ["--hosts", "8", "--fleets", "2", "--for", "45s", "--seed", "3"];
    let small = ["--memory", "8192", "--disk", "4096", "--drought"];
    let printed = run(&[&arguments[..], &small].concat());
    assert!(count(&printed, "in declared holes") > 0, "{printed}");
    assert!(count(&printed, "stored") > 0, "{printed}");
}

/// The database is a server here, and dies like the rest.
#[test]
fn nothing_is_lost_whatever_dies_with_a_database_server() {
    let Ok(server) = std::env::var("FORESHADOW_TIMESCALEDB") else {
        eprintln!("SKIPPED: FORESHADOW_TIMESCALEDB names no program that starts a TimescaleDB");
        return;
    };
    let arguments = [
        "--hosts", "24", "--fleets", "3", "--for", "45s", "--seed", "5", "--server", &server,
    ];
    let printed = run(&arguments);
    assert!(!printed.contains(" 0 x database"), "{printed}");
    assert!(count(&printed, "taken") > 24 * 10, "{printed}");
    assert_eq!(count(&printed, "in declared holes"), 0, "{printed}");
}
