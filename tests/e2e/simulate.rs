//! What limits would have been, by what a brain has kept and by a policy file: the command on a real machine's past.

use std::{
    env,
    fs::{self, File},
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    harness::{PATIENCE, step_aside, until, write},
    stack::Stack,
};

/// Minutes of each machine: two days.
const ROWS: usize = 2_880;

/// Machines of the set, and the columns that a brain keeps and this asks for.
const MACHINES: [&str; 2] = ["machine-1-2", "machine-1-5"];

/// The first minutes of a machine: cpu and memory, each a share.
fn machine(file: &Path) -> Vec<[f64; 2]> {
    let mut text = String::new();
    let mut csv = flate2::read::GzDecoder::new(File::open(file).unwrap());
    csv.read_to_string(&mut text).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = ["cpu", "mem"].map(|name| names.iter().position(|other| *other == name).unwrap());
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        at.map(|at| cells[at].parse().unwrap())
    };
    lines.take(ROWS).map(row).collect()
}

/// Puts minutes into a brain's database as if it had told them itself, the last of them now.
fn keep(folder: &Path, host: &str, rows: &[[f64; 2]], first_ms: i64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(folder.join("brain.db"));
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        let mut all = database.begin().await.unwrap();
        sqlx::query("INSERT INTO hosts (host, first_seen, last_sample) VALUES ($1, $2, $3)")
            .bind(host)
            .bind(first_ms)
            .bind(first_ms + 60_000 * rows.len() as i64)
            .execute(&mut *all)
            .await
            .unwrap();
        for (at, [cpu, memory]) in rows.iter().enumerate() {
            sqlx::query("INSERT INTO rollup_1m (host, bucket, coverage, cpu, memory) VALUES ($1, $2, 1.0, $3, $4)")
                .bind(host)
                .bind(first_ms + 60_000 * at as i64)
                .bind(cpu)
                .bind(memory)
                .execute(&mut *all)
                .await
                .unwrap();
        }
        all.commit().await.unwrap();
        database.close().await.unwrap();
    });
}

/// Runs it to its end and gives what was printed and the lines of ours.
fn simulate(json: &Path, arguments: &[&str]) -> (String, Vec<Value>) {
    let usual = [
        "simulate",
        "--resources",
        "cpu,mem",
        "--steps",
        "20",
        "--retrain",
        "0.6",
        "--json",
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    command.args(usual).arg(json).args(arguments).stdin(Stdio::null());
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{arguments:?}: {said}");
    let all: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let ours = all["lines"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["policy"] == "ours");
    (String::from_utf8(ended.stdout).unwrap(), ours.cloned().collect())
}

/// The kept minutes as traces.
fn export(data: &str, to: &Path) {
    let usual = [
        "export",
        "--format",
        "csv",
        "--resolution",
        "1m",
        "--since",
        "5d",
        "--data-dir",
        data,
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    let ended = command.args(usual).arg("--output").arg(to).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// One table for a past, wherever it is read.
fn same(stored: &[Value], traced: &[Value]) {
    assert_eq!((stored.len(), traced.len()), (4, 4));
    for (stored, traced) in stored.iter().zip(traced) {
        assert_eq!(
            (&stored["resource"], &stored["setting"]),
            (&traced["resource"], &traced["setting"])
        );
        for figure in ["slack", "violation_rate", "changes_a_day"] {
            let [stored, traced] = [stored, traced].map(|line| line[figure].as_f64().unwrap());
            assert!(
                (stored - traced).abs() <= 0.02 * traced.abs().max(0.01),
                "{figure}: {stored} is not {traced}"
            );
        }
    }
}

#[test]
fn the_kept_past_of_real_machines_gives_what_their_traces_give_and_a_policy_rules_it() {
    let Some(shared) = env::var_os("FORESHADOW_SHARED") else {
        return step_aside("FORESHADOW_SHARED names no folder of recorded machines");
    };
    let stack = Stack::new();
    let broker = stack.broker();
    let brain = stack.brain();
    until("the database is there", PATIENCE, || {
        stack.data().join("brain.db").exists()
    });
    brain.stop();
    broker.stop();
    let now_ms = runtime::Clock::system().now_ms();
    let first_ms = (now_ms / 300_000 - 1) * 300_000 - 60_000 * ROWS as i64;
    let traces = stack.path().join("traces");
    fs::create_dir(&traces).unwrap();
    for name in MACHINES {
        let file = Path::new(&shared).join(format!("data/traces/smd/{name}.csv.gz"));
        let rows = machine(&file);
        keep(&stack.data(), name, &rows, first_ms);
        let line =
            |(at, [cpu, memory]): (usize, &[f64; 2])| format!("{},{cpu},{memory}\n", first_ms / 1_000 + 60 * at as i64);
        let text: String = rows.iter().enumerate().map(line).collect();
        write(&traces, &format!("{name}.csv"), &format!("time,cpu,mem\n{text}"));
    }
    // One that has just come, as there is in every store.
    keep(&stack.data(), "new", &[[0.5; 2]; 30], now_ms - 1_800_000);

    let json = stack.path().join("table.json");
    let data = stack.data().display().to_string();
    let free = ["--violations", "0.01", "--changes", "40,free"];
    let (printed, stored) = simulate(&json, &[&["--from-store", &data, "--since", "5d"][..], &free].concat());
    assert!(
        printed.contains("2 hosts, rows of 60 s") && printed.contains("left out new:"),
        "{printed}"
    );
    let exported = stack.path().join("exported");
    export(&data, &exported);
    for folder in [&traces, &exported] {
        let (_, traced) = simulate(
            &json,
            &[&["--traces", &folder.display().to_string()][..], &free].concat(),
        );
        same(&stored, &traced);
    }

    // A policy's targets hold where no argument names others, and so do its floors.
    let policy = "[limits]\nviolations = 0.05\nchanges_a_day = \"free\"\n[class.host]\nfloor = { memory = 0.9 }\n";
    let policy = write(stack.path(), "policy.toml", policy);
    let limits = stack.path().join("limits.csv.gz").display().to_string();
    let kept = [
        "--from-store",
        &data,
        "--since",
        "5d",
        "--policy",
        &policy,
        "--limits",
        &limits,
    ];
    let (_, ruled) = simulate(&json, &kept);
    let settings: Vec<&str> = ruled.iter().map(|line| line["setting"].as_str().unwrap()).collect();
    assert_eq!(settings, ["violations 0.05 changes free"; 2]);
    assert!(
        ruled[0]["slack"].as_f64().unwrap() < stored[1]["slack"].as_f64().unwrap(),
        "{ruled:?}"
    );
    let mut text = String::new();
    let mut csv = flate2::read::GzDecoder::new(File::open(&limits).unwrap());
    csv.read_to_string(&mut text).unwrap();
    let of_memory = text
        .lines()
        .filter(|line| line.contains(",memory,") || line.contains(",mem,"));
    let lowest = of_memory.map(|line| line.split(',').nth(3).unwrap().parse::<f64>().unwrap());
    let lowest = lowest.fold(f64::INFINITY, f64::min);
    assert!((0.9 - 1e-4..=1.0).contains(&lowest), "{lowest}");
}
