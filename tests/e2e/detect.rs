//! `foreshadow detect` as a command: files, streams, faults.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Output, Stdio},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    command.arg("detect").args(arguments);
    command
}

fn run(input: &str, output: &str) -> Output {
    let arguments = ["--input", input, "--output", output, "--raw"];
    command(&arguments).stdin(Stdio::null()).output().unwrap()
}

/// Two thousand rows that repeat themselves, and a step at the end.
fn table() -> String {
    let value = |row: u32| if row < 1_900 { row % 5 } else { 100 };
    let rows = (0..2_000).map(|row| format!("{row},{}\n", value(row)));
    format!("timestamp,value\n{}", rows.collect::<String>())
}

fn alarms(scored: &str) -> Vec<usize> {
    let scores = scored
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(2).unwrap().parse::<f64>().unwrap());
    let rows = scores.enumerate().filter(|(_, score)| *score >= 0.24);
    rows.map(|(row, _)| row).collect()
}

#[test]
fn files_packed_or_not_and_streams_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (plain, packed) = (path("in.csv"), path("in.gz"));
    fs::write(&plain, table()).unwrap();
    let mut encoder = GzEncoder::new(fs::File::create(&packed).unwrap(), Compression::fast());
    encoder.write_all(table().as_bytes()).unwrap();
    encoder.finish().unwrap();

    let printed = run(&plain, "-");
    assert!(printed.status.success(), "{printed:?}");
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(printed.lines().count(), 2_001);
    assert!(printed.starts_with("timestamp,value,anomaly_score,raw_score\n0,0,0.0,0.0000\n"));
    let alarms = alarms(&printed);
    assert!(
        !alarms.is_empty() && alarms.iter().all(|row| *row >= 1_900),
        "{alarms:?}"
    );

    let (output, output_packed) = (path("out.csv"), path("out.csv.gz"));
    let told = run(&packed, &output);
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("(2000 rows, "),
        "{told:?}"
    );
    assert_eq!(fs::read_to_string(&output).unwrap(), printed);
    assert!(run(&plain, &output_packed).status.success());
    let unpacked = GzDecoder::new(fs::File::open(&output_packed).unwrap());
    assert_eq!(std::io::read_to_string(unpacked).unwrap(), printed);
}

#[test]
fn a_fault_names_file_and_line_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.csv");
    let output = folder.path().join("out.csv");
    fs::write(&output, "of before").unwrap();
    for (text, expected) in [
        ("", "in.csv: it is empty"),
        (
            "time,value\n1,2\n",
            "in.csv: line 1: there is no column called timestamp",
        ),
        ("timestamp,value\n1,2\n2,x\n", "in.csv: line 3, column value: \"x\""),
    ] {
        fs::write(&input, text).unwrap();
        let ended = run(input.to_str().unwrap(), output.to_str().unwrap());
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let said = String::from_utf8_lossy(&ended.stderr).replace("\\\"", "\"");
        assert!(said.contains(expected), "{said}");
        assert_eq!(fs::read_to_string(&output).unwrap(), "of before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
    let absent = run("not-there.csv", "-");
    assert!(
        String::from_utf8_lossy(&absent.stderr).contains("not-there.csv"),
        "{absent:?}"
    );
    for usage in [
        &["--input", "-"][..],
        &["--output", "-"],
        &["--input", "a", "--traces", "b", "--output", "c"],
    ] {
        assert_eq!(command(usage).output().unwrap().status.code(), Some(64), "{usage:?}");
    }
}

#[test]
fn hosts_are_scored_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let rows: String = (0..50).map(|row| format!("{row},{},0.5,1\n", row % 2)).collect();
    for host in ["a-1", "b-2"] {
        fs::write(path(&format!("{host}.csv")), format!("time,cpu,load1,label\n{rows}")).unwrap();
    }
    let ended = command(&["--traces", folder.path().to_str().unwrap(), "--output", "-"])
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let printed = String::from_utf8(ended.stdout).unwrap();
    assert!(
        printed.starts_with("host,time,score\na-1,0,0.0000\na-1,1,"),
        "{printed}"
    );
    assert_eq!(printed.lines().filter(|line| line.starts_with("b-2,")).count(), 50);
    fs::write(path("c.csv"), "time,cpu\n1,x\n").unwrap();
    let ended = command(&["--traces", folder.path().to_str().unwrap(), "--output", &path("scores")])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&ended.stderr).contains("c.csv: line 2, column cpu"),
        "{ended:?}"
    );
    assert!(!folder.path().join("scores").exists());
}

#[test]
fn a_series_is_followed_while_it_is_made() {
    let mut child = command(&["--input", "-", "--output", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map(Result::unwrap);
    input.write_all(b"timestamp,value\n1,5\n").unwrap();
    assert_eq!(next().as_deref(), Some("timestamp,value,anomaly_score"));
    assert_eq!(next().as_deref(), Some("1,5,0.0"));
    input.write_all(b"2,6\n3").unwrap();
    assert_eq!(next().as_deref(), Some("2,6,0.0"));
    input.write_all(b",7\n").unwrap();
    assert_eq!(next().as_deref(), Some("3,7,0.0"));
    drop(input);
    assert_eq!(next(), None);
    assert!(child.wait().unwrap().success());
}
