//! A recorded past is replayed through the forecaster: the same table for the same seed, and files that others read.

use std::{fmt::Write as _, fs, io::Read as _, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::write;

/// Two hosts, ten hours of minutes: a job every twenty minutes on top of noise.
fn traces() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (host, shift) in [("web-1", 0), ("web-2", 9)] {
        let mut text = String::from("time,cpu,net_rx,net_tx\n");
        for row in 0..600_u32 {
            let busy = if (row + shift) % 20 < 7 { 0.6 } else { 0.1 };
            let noise = f64::from((row + shift) * 7_919 % 101) / 1_000.0;
            let rate = 1e6 * (busy + noise);
            writeln!(text, "{},{},{rate},{}", 1_000 + row * 60, busy + noise, rate / 2.0).unwrap();
        }
        write(folder.path(), &format!("{host}.csv"), &text);
    }
    folder
}

fn backtest(arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    let ended = command.arg("backtest").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ended.status.success(), text(ended.stdout), text(ended.stderr))
}

#[test]
fn a_past_gives_the_same_table_again_and_files_for_others() {
    let (traces, out) = (traces(), TempDir::new().unwrap());
    let folder = traces.path().to_str().unwrap();
    let file = |name: &str| out.path().join(name).display().to_string();
    let (json, csv, plots) = (file("table.json"), file("said.csv.gz"), file("plots"));
    let usual = [
        "--traces",
        folder,
        "--steps",
        "30",
        "--origin-stride",
        "7",
        "--resources",
        "cpu,network",
    ];
    let files = ["--json", &json, "--predictions", &csv, "--plots", &plots];
    let (well, printed, said) = backtest(&[&usual[..], &files].concat());
    assert!(well, "{said}");
    let table = |printed: &str| printed.split_once("1e-4").unwrap().1.to_owned();
    assert!(
        printed.contains("2 hosts, 1200 rows of 60 s, 840 of them learnt from; cpu, network"),
        "{printed}"
    );
    assert_eq!(table(&printed).matches("published").count(), 2 * 3);
    let (_, again, _) = backtest(&usual);
    assert_eq!(table(&printed), table(&again));

    let tables: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let lines = tables["forecasts"].as_array().unwrap();
    assert_eq!(
        (lines.len(), tables["peaks"].as_array().unwrap().len()),
        (2 * 3 * 7, 2 * 3)
    );
    assert!(
        lines
            .iter()
            .all(|line| line["mae"].as_f64().is_some() && line["hosts"] == 2),
        "{lines:?}"
    );
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(&csv).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    assert!(
        text.starts_with("host,resource,origin,horizon_s,p50,p90,p95,p99\nweb-1,cpu,26200,300,0."),
        "{text}"
    );
    assert!(fs::read_dir(&plots).unwrap().count() >= 2 + 2 * 3);

    let (well, without, said) = backtest(&[&usual[..], &["--without-network"]].concat());
    assert!(well && !without.contains("lstm"), "{without}{said}");
}

#[test]
fn what_cannot_be_replayed_is_said() {
    let traces = traces();
    let folder = traces.path().to_str().unwrap();
    let check = |arguments: &[&str], expected: &str| {
        let (well, _, said) = backtest(arguments);
        assert!(!well && said.contains(expected), "{arguments:?}: {said}");
    };
    check(&[], "--traces <DIR>|--from-store <PLACE>");
    check(&["--traces", "/nowhere"], "/nowhere");
    check(&["--traces", folder, "--resources", "gpu"], "net_rx");
    check(&["--traces", folder, "--resources", "disk"], "channels of disk");
    check(&["--traces", folder, "--horizons", "90s"], "90 is not a multiple");
    check(&["--traces", folder, "--train-fraction", "1"], "--train-fraction 1");
}
