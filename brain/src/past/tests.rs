use std::{collections::BTreeMap, path::Path};

use super::*;
use crate::{
    Config,
    store::{Batch, Rollup, Sqlite, Store as _, memory::Readings},
};

const STEP_MS: i64 = 10_000;

/// What is durable: rows and minutes of the processor by host and begin.
fn store(folder: &Path, rows: &[(&str, i64, f32)], minutes: &[(&str, i64, f32)]) {
    let told = |of: &[(&str, i64, f32)]| -> BTreeMap<_, _> {
        let row = |&(host, begin_ms, cpu): &(&str, i64, f32)| {
            let mut mean = [f32::NAN; Channel::COUNT];
            mean[0] = cpu;
            let rollup = Rollup {
                step_ms: STEP_MS,
                coverage: 1.0,
                mean,
                max: mean,
                min: mean,
                last: mean,
                p95: mean,
            };
            ((Arc::from(host), begin_ms), rollup)
        };
        of.iter().map(row).collect()
    };
    let all = rows.iter().chain(minutes);
    let batch = Batch {
        hosts: all.map(|(host, begin_ms, _)| (Arc::from(*host), *begin_ms)).collect(),
        rollups: told(rows),
        minutes: told(minutes),
        ..Batch::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(async {
        let mut store = Sqlite::open(folder).await.unwrap();
        store.write(&batch).await.unwrap();
        store.close().await.unwrap();
    });
}

/// A memory of ten rows and ten minutes, and what is durable in a folder.
fn past() -> (Arc<HotStore>, tempfile::TempDir, Past) {
    let mut shape = Config::default().shape();
    (shape.rows, shape.minutes) = (10, 10);
    let (hot, folder) = (Arc::new(HotStore::new(shape)), tempfile::tempdir().unwrap());
    let database = Database::file(&folder.path().join("brain.db"));
    let past = Past::new(Arc::clone(&hot), Some(database));
    (hot, folder, past)
}

/// Rows `rows` of a host in memory, each with its number as the processor's value.
fn tell(hot: &HotStore, host: &str, rows: std::ops::Range<i64>) {
    for row in rows {
        let mut channels = [f64::NAN; Channel::COUNT];
        channels[0] = row as f64;
        let readings = Readings {
            times: vec![((row + 1) * STEP_MS, STEP_MS)],
            channels: vec![channels],
            workloads: Vec::new(),
        };
        hot.add(&host.into(), &readings, UnixMs::MIN, row);
        hot.close(row + 1);
    }
}

/// Host, number of the first row, and the processor's values of each.
fn told(histories: &[forecast::History]) -> Vec<(&str, i64, Vec<f32>)> {
    let line = |history: &'_ forecast::History| {
        (
            history.first_ms / STEP_MS,
            history.rows.iter().map(|row| row[0]).collect(),
        )
    };
    let lines = histories.iter().map(line);
    let names = histories.iter().map(|history| history.host.as_str());
    names
        .zip(lines)
        .map(|(name, (first, values))| (name, first, values))
        .collect()
}

#[test]
fn a_training_is_given_what_is_durable_and_behind_it_what_is_in_memory() {
    let (hot, folder, past) = past();
    tell(&hot, "a", 100..120);
    // Of what memory has, the database is not asked.
    let rows: Vec<_> = [102, 103, 105, 109]
        .map(|row| ("a", row * STEP_MS, row as f32))
        .into_iter()
        .chain([("a", 110 * STEP_MS, 0.0), ("a", 111 * STEP_MS, 0.0)])
        .chain([("gone", 104 * STEP_MS, 4.0)])
        .collect();
    store(folder.path(), &rows, &[]);
    let never = AtomicBool::new(false);
    let histories = past.histories(103 * STEP_MS, 120, &never);
    let [a, gone] = told(&histories).try_into().unwrap();
    // Rows 104 and 106 to 108 are not durable; memory holds those from 110 on.
    let rows: Vec<f32> = (103..120).map(|row| row as f32).collect();
    assert_eq!((a.0, a.1, a.2.len()), ("a", 103, 17));
    for (told, row) in a.2.iter().zip(rows) {
        let missing = [104.0, 106.0, 107.0, 108.0].contains(&row);
        assert!(*told == row || (missing && told.is_nan()), "{told} {row}");
    }
    assert_eq!(
        gone,
        ("gone", 104, vec![4.0]),
        "also of a host that memory has forgotten"
    );
    assert!(
        past.histories(0, 120, &AtomicBool::new(true)).is_empty(),
        "told to stop"
    );
}

#[test]
fn what_is_all_in_memory_is_not_looked_for_in_the_database() {
    let (hot, folder, past) = past();
    tell(&hot, "a", 100..120);
    // Whoever asked it would hear of this one.
    store(folder.path(), &[("elsewhere", 115 * STEP_MS, 0.0)], &[]);
    let histories = past.histories(110 * STEP_MS, 120, &AtomicBool::new(false));
    let all = (110..120).map(|row| row as f32).collect::<Vec<_>>();
    assert_eq!(told(&histories), [("a", 110, all)]);
}

#[test]
fn a_database_that_cannot_be_read_costs_what_only_it_has() {
    // Nobody has made its file.
    let (hot, folder, past) = past();
    tell(&hot, "a", 100..120);
    let database = past.durable.as_ref().unwrap();
    let error = Durable::open(database).err().unwrap().to_string();
    assert!(error.contains("brain.db") && error.contains("no such file"), "{error}");
    let histories = past.histories(0, 120, &AtomicBool::new(false));
    assert_eq!(told(&histories)[0].1, 110);
    assert!(past.series("a", Resource::Cpu, 0).is_some());
    assert_eq!(past.series("b", Resource::Cpu, 0), None);
    assert!(!folder.path().join("brain.db").exists(), "readers make no database");
}

#[test]
fn a_series_older_than_memory_comes_from_the_database() {
    let (hot, folder, past) = past();
    // Rows 100 to 119 begin at 1,000 s; memory holds them as minutes and, the newest, as rows. Of its minutes the database
    // is not asked.
    let minutes = [
        ("a", 0, 0.5),
        ("a", 600_000, 0.75),
        ("a", 960_000, 7.0),
        ("a", 1_140_000, 7.0),
        ("gone", 0, 0.25),
    ];
    store(folder.path(), &[], &minutes);
    tell(&hot, "a", 100..120);
    let series = past.series("a", Resource::Cpu, 0).unwrap();
    assert_eq!(series[..2], [(60_000, 0.5), (660_000, 0.75)]);
    assert_eq!(series[2].0, 1_020_000, "a minute of memory");
    assert_eq!(series.last(), Some(&(1_200_000, 119.0)));
    assert!(series.is_sorted_by(|a, b| a.0 < b.0), "{series:?}");
    let newest = past.series("a", Resource::Cpu, 1_100_000).unwrap();
    assert!(newest.iter().all(|(_, value)| *value != 7.0), "{newest:?}");
    assert_eq!(past.series("gone", Resource::Cpu, 0), Some(vec![(60_000, 0.25)]));
}

#[test]
fn a_reader_goes_on_where_a_page_has_ended() {
    let (_, folder, past) = past();
    let rows: Vec<_> = (0..3).map(|row| ("a", row * STEP_MS, row as f32)).collect();
    store(folder.path(), &rows, &[]);
    let mut durable = past.open().unwrap();
    let read = |durable: &mut Durable, page: usize| {
        let within = STEP_MS..i64::MAX;
        let rows = durable.paged("a", (Resolution::TenSeconds, page), within).unwrap();
        rows.iter().map(|row| (row.begin_ms, row.mean[0])).collect::<Vec<_>>()
    };
    let all = [(10_000, 1.0), (20_000, 2.0)];
    for page in 1..4 {
        assert_eq!(read(&mut durable, page), all, "{page} at a time");
    }
    assert_eq!(durable.hosts().unwrap(), ["a"]);
}
