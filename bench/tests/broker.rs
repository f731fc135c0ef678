//! The benchmark of brokers runs: its quick form, so that it does not rot.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect is to fail there and then"
)]

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

#[test]
fn all_cases_run_and_nothing_is_lost() {
    let bench = env!("CARGO_BIN_EXE_foreshadow-bench");
    let output = Command::new(bench)
        .args(["broker", "--quick", "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let words = |key: &str| -> BTreeSet<&str> { rows.iter().map(|row| row[key].as_str().unwrap()).collect() };
    assert_eq!(words("case"), BTreeSet::from(["idle-1000", "saturated", "steady-640"]));
    // mosquitto may be missing, and says so.
    assert!(words("rival_name").contains("rumqttd"), "{said}");
    assert!(words("rival_name").contains("mosquitto") || said.contains("left out"));
    for row in rows {
        assert!(row["ours"].is_f64(), "no figure: {row}");
        assert!(row["metric"] != "lost" || row["ours"] == 0.0, "{row}");
    }
}
