use std::collections::BTreeMap;

use super::*;
use crate::store::{Batch, Rollup, Sqlite, Store};

/// A row of a host of which only the processor's mean is known.
fn row(host: &str, begin_ms: UnixMs, cpu: f32) -> ((Arc<str>, UnixMs), Rollup) {
    let mut mean = [f32::NAN; 7];
    mean[0] = cpu;
    let rollup = Rollup {
        step_ms: 10_000,
        coverage: 1.0,
        mean,
        max: mean,
        min: mean,
        last: mean,
        p95: mean,
    };
    ((host.into(), begin_ms), rollup)
}

fn batch(rows: impl IntoIterator<Item = (&'static str, UnixMs, f32)>) -> Batch {
    let rollups: BTreeMap<_, _> = rows.into_iter().map(|(host, ms, cpu)| row(host, ms, cpu)).collect();
    Batch {
        hosts: rollups.keys().cloned().collect(),
        rollups,
        ..Batch::default()
    }
}

#[test]
fn the_durable_past_is_read_beside_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let mut store = runtime.block_on(Sqlite::open(folder.path())).unwrap();
    let rows = (0..12).map(|i| ("a", i * 10_000, i as f32)).chain([("b", 50_000, 1.0)]);
    runtime.block_on(store.write(&batch(rows))).unwrap();

    let mut history = SqliteHistory::open(folder.path()).unwrap();
    let cpu = |rows: Vec<StoredRow>| rows.iter().map(|row| (row.begin_ms, row.mean[0])).collect::<Vec<_>>();
    assert_eq!(history.hosts().unwrap(), ["a".into(), "b".into()]);
    let read = history.rows("a", 30_000..60_000).unwrap();
    assert!(
        read.iter().all(|row| row.coverage == 1.0 && row.mean[1].is_nan()),
        "{read:?}"
    );
    assert_eq!(cpu(read), [(30_000, 3.0), (40_000, 4.0), (50_000, 5.0)]);
    assert_eq!(
        cpu(history.minutes("a", 0..i64::MAX).unwrap()),
        [(0, 2.5), (60_000, 8.5)]
    );
    assert_eq!(history.rows("nobody", 0..i64::MAX).unwrap(), []);

    // The writer goes on, and what it writes is seen.
    runtime.block_on(store.write(&batch([("b", 60_000, 2.0)]))).unwrap();
    assert_eq!(
        cpu(history.rows("b", 0..i64::MAX).unwrap()),
        [(50_000, 1.0), (60_000, 2.0)]
    );
    let refused = runtime_of(&mut history, "DELETE FROM rollup_10s");
    assert!(refused.is_err_and(|error| error.contains("readonly")), "it only reads");
}

fn runtime_of(history: &mut SqliteHistory, statement: &'static str) -> Result<(), String> {
    let SqliteHistory {
        runtime, connection, ..
    } = history;
    let done = runtime.block_on(query(statement).execute(connection));
    done.map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_database_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = SqliteHistory::open(folder.path()).unwrap_err().to_string();
    assert!(told.contains("brain.db"), "{told}");
}
