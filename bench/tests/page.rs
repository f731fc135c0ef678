//! The benchmark of the page runs, over a few hosts: so that it does not rot.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect is to fail there and then"
)]

use std::process::Command;

use serde_json::Value;

#[test]
fn a_small_cell_is_looked_at() {
    let bench = env!("CARGO_BIN_EXE_foreshadow-bench");
    let output = Command::new(bench)
        .args(["page", "--hosts", "20", "--loads", "2", "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let has_all = std::env::var_os("FORESHADOW_ALL").is_some();
    if !has_all && !output.status.success() && said.contains("there is no chromium to look with") {
        return eprintln!("SKIPPED: {said}");
    }
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let metrics: Vec<_> = rows.iter().map(|row| row["metric"].as_str().unwrap()).collect();
    assert_eq!(
        metrics,
        [
            "first_content_p50",
            "hosts_drawn_p50",
            "first_content_p95",
            "hosts_drawn_p95"
        ]
    );
    for row in rows {
        let times = ["ours", "rival"].map(|key| row[key].as_f64().unwrap());
        assert!(times.iter().all(|ms| *ms > 0.0), "{row}");
    }
}
