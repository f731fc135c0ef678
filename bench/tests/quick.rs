//! The benchmarks run as docs/benchmarks.md has them, on less: so that they do not rot, not how fast anything is.

#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::pedantic,
    reason = "a test that meets what it does not expect is to fail there and then; of documents it needs the lines alone"
)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

#[path = "../../tests/e2e/docs/lines.rs"]
mod lines;
#[path = "../../tests/e2e/docs/pages.rs"]
mod pages;
#[path = "../../tests/e2e/docs/words.rs"]
mod words;

/// A trace of our own, in the place of the recordings, which are too large to be here.
const RECORDING: &str = "testdata/traces/build-1.csv.gz";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The arguments of a bench as the first block of its chapter has them. What may be left out and is not here is.
fn documented(bench: &str) -> Vec<String> {
    let ours = |line: lines::Line| {
        let (_, arguments) = words::of_package(&line.words, "foreshadow-bench")?;
        (line.place.starts_with("docs/benchmarks.md:") && arguments[0] == bench).then_some(arguments)
    };
    let mut arguments = lines::lines().into_iter().find_map(ours).unwrap();
    if let Some(at) = arguments.iter().position(|word| word == "FILE.py") {
        drop(arguments.drain(at - 1..=at));
    }
    let placed = |word: String| word.replace("RECORDING.csv.gz", RECORDING);
    arguments.into_iter().map(placed).collect()
}

/// Runs it in the project's folder; the cases that it tells of, each with a figure.
fn cases(arguments: &[String]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_foreshadow-bench"))
        .args(arguments)
        .arg("--json")
        .current_dir(root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["name"], arguments[0]);
    let rows = report["rows"].as_array().unwrap();
    let case = |row: &Value| {
        assert!(row["ours"].is_f64() && row["rival"].is_f64(), "no figure: {row}");
        row["case"].as_str().unwrap().to_owned()
    };
    rows.iter().map(case).collect()
}

fn check(bench: &str, less: &[&str], expected: &[&str]) {
    let less = less.iter().map(|word| (*word).to_owned());
    let arguments: Vec<String> = documented(bench).into_iter().chain(less).collect();
    let found = cases(&arguments);
    assert_eq!(
        found,
        expected.iter().map(|case| (*case).to_owned()).collect(),
        "{arguments:?}"
    );
}

#[test]
fn codec_runs() {
    let lengths = ["1s", "5s", "60s"];
    let kinds = ["H", "H-dense", "lossless"];
    let expected: Vec<String> = kinds
        .iter()
        .flat_map(|kind| lengths.map(|length| format!("{kind}/{length}")))
        .collect();
    check("codec", &[], &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn ingest_runs() {
    check("ingest", &[], &["decode-append", "mqtt-to-hot-store"]);
}

#[test]
fn hot_runs() {
    check("hot", &[], &["with-reader"]);
}

#[test]
fn detect_runs() {
    check(
        "detect",
        &[],
        &["calm", "calm/days", "host", "wandering", "wandering/days"],
    );
}

#[test]
fn plan_runs() {
    check("plan", &["--hosts", "50"], &["50x5", "50x5/books", "50x5/recommend"]);
}

#[test]
fn serve_runs() {
    check("serve", &["--hosts", "10", "--rows", "200"], &["10x5"]);
}

/// With an agent of this build, where there is one: `cargo nextest run --workspace` makes it.
#[test]
fn agent_runs() {
    let agent = Path::new(env!("CARGO_BIN_EXE_foreshadow-bench")).with_file_name("foreshadow-agent");
    if !agent.is_file() {
        eprintln!("SKIPPED: {} is not built", agent.display());
        return;
    }
    let mut arguments = documented("agent");
    for word in &mut arguments {
        *word = word.replace("target/dist/foreshadow-agent", agent.to_str().unwrap());
    }
    assert!(arguments.contains(&agent.display().to_string()), "{arguments:?}");
    arguments.extend(["--rounds", "1", "--seconds", "1"].map(str::to_owned));
    assert!(cases(&arguments).contains("tick-100ms"));
}

#[test]
fn store_runs_on_a_server() {
    let Ok(server) = std::env::var("FORESHADOW_TEST_DATABASE_URL") else {
        eprintln!("SKIPPED: FORESHADOW_TEST_DATABASE_URL names no TimescaleDB");
        return;
    };
    let mut arguments = documented("store");
    for word in &mut arguments {
        if word.starts_with("postgres://") {
            word.clone_from(&server);
        }
    }
    arguments.extend(["--case", "read-24h", "--case", "read-24h/sqlite"].map(str::to_owned));
    assert_eq!(
        cases(&arguments),
        BTreeSet::from(["read-24h", "read-24h/sqlite"].map(str::to_owned))
    );
}

#[test]
fn tables_of_the_codec_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("priors.bin");
    let mut arguments = documented("codec-priors");
    for word in &mut arguments {
        *word = word
            .replace("A.csv.gz", RECORDING)
            .replace("B.csv.gz", RECORDING)
            .replace("shadow/src/codec/entropy/priors.bin", made.to_str().unwrap());
    }
    let status = Command::new(env!("CARGO_BIN_EXE_foreshadow-bench"))
        .args(&arguments)
        .current_dir(root())
        .status()
        .unwrap();
    assert!(status.success(), "{arguments:?}");
    let there = root().join("shadow/src/codec/entropy/priors.bin").metadata().unwrap();
    assert_eq!(
        made.metadata().unwrap().len(),
        there.len(),
        "as long as those that are built in"
    );
}
