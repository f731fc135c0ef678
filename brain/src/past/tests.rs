use std::sync::Mutex;

use super::*;
use crate::{
    Config,
    store::{StoredRow, memory::Readings},
};

const STEP_MS: i64 = 10_000;

type Rows = Vec<(Arc<str>, StoredRow)>;

/// Rows by host, as a database has them; what is asked for is noted.
#[derive(Clone, Default)]
struct Stored {
    rows: Arc<Mutex<Rows>>,
    asked: Arc<Mutex<Vec<Span>>>,
}

impl Stored {
    fn put(&self, host: &str, begin_ms: UnixMs, cpu: f32) {
        let mut mean = [f32::NAN; Channel::COUNT];
        mean[0] = cpu;
        let row = StoredRow {
            begin_ms,
            coverage: 1.0,
            mean,
        };
        self.rows.lock().unwrap().push((host.into(), row));
    }

    fn read(&self, host: &str, span: Span) -> Vec<StoredRow> {
        self.asked.lock().unwrap().push(span.clone());
        let rows = self.rows.lock().unwrap();
        let of_host = rows
            .iter()
            .filter(|(of, row)| **of == *host && span.contains(&row.begin_ms));
        of_host.map(|(_, row)| *row).collect()
    }
}

impl History for Stored {
    fn hosts(&mut self) -> Result<Vec<Arc<str>>, StoreError> {
        let hosts: BTreeSet<_> = self
            .rows
            .lock()
            .unwrap()
            .iter()
            .map(|(host, _)| Arc::clone(host))
            .collect();
        Ok(hosts.into_iter().collect())
    }

    fn rows(&mut self, host: &str, span: Span) -> Result<Vec<StoredRow>, StoreError> {
        Ok(self.read(host, span))
    }

    fn minutes(&mut self, host: &str, span: Span) -> Result<Vec<StoredRow>, StoreError> {
        Ok(self.read(host, span))
    }
}

/// A memory of ten rows and ten minutes, and what is durable.
fn past() -> (Arc<HotStore>, Stored, Past) {
    let mut shape = Config::default().shape();
    (shape.rows, shape.minutes) = (10, 10);
    let (hot, stored) = (Arc::new(HotStore::new(shape)), Stored::default());
    let reader = stored.clone();
    let open: Open = Arc::new(move || Ok(Box::new(reader.clone()) as _));
    let past = Past::new(Arc::clone(&hot), Some(open));
    (hot, stored, past)
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
    let (hot, stored, past) = past();
    tell(&hot, "a", 100..120);
    for row in [102, 103, 105, 109, 110, 111] {
        stored.put("a", row * STEP_MS, row as f32);
    }
    stored.put("gone", 104 * STEP_MS, 4.0);
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
    assert_eq!(stored.asked.lock().unwrap()[0], 103 * STEP_MS..110 * STEP_MS);
    assert!(
        past.histories(0, 120, &AtomicBool::new(true)).is_empty(),
        "told to stop"
    );
}

#[test]
fn what_is_all_in_memory_is_not_looked_for_in_the_database() {
    let (hot, stored, past) = past();
    tell(&hot, "a", 100..120);
    stored.put("a", 105 * STEP_MS, 0.0);
    let histories = past.histories(110 * STEP_MS, 120, &AtomicBool::new(false));
    assert_eq!(
        told(&histories)[0].2,
        (110..120).map(|row| row as f32).collect::<Vec<_>>()
    );
    assert!(stored.asked.lock().unwrap().is_empty());
}

#[test]
fn a_database_that_cannot_be_read_costs_what_only_it_has() {
    let (hot, _, _) = past();
    tell(&hot, "a", 100..120);
    let broken: Open = Arc::new(|| {
        Err(StoreError::Busy {
            database: "brain.db".into(),
            reason: "locked".into(),
        })
    });
    let past = Past::new(hot, Some(broken));
    let histories = past.histories(0, 120, &AtomicBool::new(false));
    assert_eq!(told(&histories)[0].1, 110);
    assert!(past.series("a", Resource::Cpu, 0).is_some());
    assert_eq!(past.series("b", Resource::Cpu, 0), None);
}

#[test]
fn a_series_older_than_memory_comes_from_the_database() {
    let (hot, stored, past) = past();
    stored.put("a", 0, 0.5);
    stored.put("a", 600_000, 0.75);
    stored.put("gone", 0, 0.25);
    // Rows 100 to 119 begin at 1,000 s; memory holds them as minutes and, the newest, as rows.
    tell(&hot, "a", 100..120);
    let series = past.series("a", Resource::Cpu, 0).unwrap();
    assert_eq!(series[..2], [(60_000, 0.5), (660_000, 0.75)]);
    assert_eq!(series[2].0, 1_020_000, "a minute of memory");
    assert_eq!(series.last(), Some(&(1_200_000, 119.0)));
    assert!(series.is_sorted_by(|a, b| a.0 < b.0), "{series:?}");
    assert_eq!(stored.asked.lock().unwrap().pop(), Some(0..960_000));
    // What memory reaches back to is not looked for.
    past.series("a", Resource::Cpu, 1_100_000).unwrap();
    assert!(stored.asked.lock().unwrap().is_empty());
    assert_eq!(past.series("gone", Resource::Cpu, 0), Some(vec![(60_000, 0.25)]));
}
