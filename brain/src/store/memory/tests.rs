use shadow::Reading;

use super::*;
use crate::testing::{birth, frame};

mod windows;

fn store() -> HotStore {
    HotStore::new(Shape {
        step_ms: 10_000,
        rows: 60,
        minutes: 60,
        recent: Bounds {
            span_ms: 900_000,
            bytes: 256 << 10,
        },
    })
}

fn readings(time_ms: UnixMs, cpu: f64) -> Readings {
    let mut channels = [f64::NAN; 7];
    channels[0] = cpu;
    channels[2] = 100.0;
    Readings {
        times: vec![(time_ms, 10_000)],
        channels: vec![channels],
        workloads: vec![("web".into(), vec![[cpu * 4.0, f64::NAN]])],
    }
}

fn add(store: &HotStore, time_ms: UnixMs, cpu: f64, open: i64) -> Added {
    store.add(&"a".into(), &readings(time_ms, cpu), UnixMs::MIN, open)
}

fn cpu(store: &HotStore, since_ms: UnixMs) -> Vec<(UnixMs, f64)> {
    store.points("a", Resource::Cpu, since_ms).unwrap().points
}

#[test]
fn what_is_told_comes_back_as_points_windows_and_uses() {
    let store = store();
    let host: Arc<str> = "a".into();
    for i in 1..=12 {
        add(&store, i * 10_000, 0.5, 0);
    }
    let changed = store.close(12);
    assert_eq!((changed.rollups.len(), changed.workloads.len()), (12, 2));
    let minute = changed.workloads[&(Arc::clone(&host), "web".to_owned(), 60_000)];
    assert!(minute.coverage == 1.0 && minute.uses[0] == 2.0 && minute.uses[1].is_nan());
    assert_eq!(store.uses("a")["web"][0], 2.0);
    assert!(store.close(12).rollups.is_empty());

    assert_eq!(cpu(&store, 100_000), [(110_000, 0.5), (120_000, 0.5)]);
    let network = store.points("a", Resource::Network, 0).unwrap();
    assert_eq!(network.points, [], "half a resource is not known");
    assert_eq!(store.points("b", Resource::Cpu, 0), None);
    let told = store.read_windows(11, 4, |windows| {
        windows
            .iter()
            .map(|w| (w.host.to_owned(), w.rows.len()))
            .collect::<Vec<_>>()
    });
    assert_eq!(told, [("a".to_owned(), 4)]);
    assert_eq!(
        store.rows("a", 8, 11).map(|(first, rows)| (first, rows.len())),
        Some((8, 3))
    );
}

#[test]
fn a_workload_has_rows_of_an_hour_and_minutes_before_with_its_host_beside_it() {
    let store = HotStore::new(Shape {
        rows: 2_160,
        ..*store().shape()
    });
    let open = 1_000;
    for i in 1..=open {
        add(&store, i * 10_000, if i % 6 == 0 { 0.9 } else { 0.3 }, i - 1);
        store.close(i);
    }
    let rows = |from_end: i64| store.workload_rows("a", &["web", "unknown"], open, from_end);
    let told = rows(2_000);
    assert_eq!((told.len(), told[0].0), (1, "web"));
    let web = &told[0].1;
    assert_eq!(web.len(), 1_000);
    let near = |row: usize, cores: f32| assert!((web[row][0] - cores).abs() < 1e-5, "{row}: {:?}", web[row]);
    // Each sixth is high; an hour before, rows are means of their minutes.
    near(999, 1.2);
    near(995, 3.6);
    (0..1_000 - 360).for_each(|row| near(row, 1.6));
    assert!(web[999][1].is_nan() && web[999][2] == 100.0, "{:?}", web[999]);
    assert_eq!(rows(4)[0].1.len(), 4);
    // It comes back from its minutes, and is forgotten when nothing comes of it.
    let other = HotStore::new(*store.shape());
    other.add(&"a".into(), &Readings::default(), UnixMs::MIN, open);
    other.restore_workload(&"a".into(), "web", &[(9_840_000, [2.0, 5e8]), (9_900_000, [3.0, 5e8])]);
    other.close(open);
    let back = other.workload_rows("a", &["web"], open, 100);
    assert_eq!(
        back[0]
            .1
            .iter()
            .map(|row| row[0])
            .filter(|cores| cores.is_finite())
            .count(),
        12
    );
    other.close(open + 340);
    assert!(!other.workload_rows("a", &["web"], open + 340, 400).is_empty());
    other.close(open + 370);
    assert!(other.workload_rows("a", &["web"], open + 370, 400).is_empty());
}

#[test]
fn minutes_are_handed_over_with_their_own_p95_once_they_are_over() {
    let store = store();
    // One row in twelve is high: a tenth of the first minute is not, a sixth of it is.
    for i in 1..=12 {
        add(&store, i * 10_000, if i == 3 { 0.9 } else { i as f64 / 100.0 }, 0);
        let minutes = store.close(i).minutes;
        assert_eq!(minutes.len(), usize::from(i % 6 == 0), "after {i} rows");
        for ((host, begin_ms), minute) in minutes {
            assert_eq!((&*host, begin_ms, minute.step_ms), ("a", i * 10_000 - 60_000, 60_000));
            let [mean, max, min, last, p95] =
                [minute.mean, minute.max, minute.min, minute.last, minute.p95].map(|of| of[0]);
            if i == 6 {
                assert_eq!((max, min, last, p95), (0.9, 0.01, 0.06, 0.9));
                assert!((mean - 0.18).abs() < 1e-6 && minute.coverage == 1.0, "{minute:?}");
            } else {
                assert_eq!((max, min, last, p95), (0.12, 0.07, 0.12, 0.12));
            }
        }
    }
    // A late sample changes its row and its minute.
    add(&store, 10_000, 0.07, 12);
    let changed = store.close(12);
    assert_eq!((changed.rollups.len(), changed.minutes.len()), (1, 1));
    assert!(changed.minutes[&("a".into(), 0)].mean[0] < 0.179);
}

#[test]
fn points_are_rows_where_there_are_and_minutes_before() {
    let store = store();
    for i in 1..=180 {
        add(&store, i * 10_000, 0.5, i - 1);
        store.close(i);
    }
    let points = cpu(&store, 0);
    let distances: Vec<_> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert_eq!(points.first(), Some(&(60_000, 0.5)));
    assert_eq!(points.last(), Some(&(1_800_000, 0.5)));
    assert_eq!(distances.iter().filter(|&&ms| ms == 60_000).count(), 19);
    assert_eq!(distances.iter().filter(|&&ms| ms == 10_000).count(), 60);
    assert_eq!(store.history_ms("a"), 1_800_000);
}

#[test]
fn after_a_restart_minutes_that_are_durable_stay_as_they_are() {
    let store = store();
    let row = |begin_ms| StoredRow {
        begin_ms,
        coverage: 1.0,
        mean: [0.5; 7],
    };
    // Closed up to 140 s; the second minute is over, the third is open.
    let rows: Vec<_> = (0..14).map(|i| row(i * 10_000)).collect();
    store.restore(&"a".into(), &rows, 140_000);
    // The tail of its frames tells of the row under way and of what the open minute had before.
    for i in 10..=15 {
        store.add(&"a".into(), &readings(i * 10_000, i as f64 / 20.0), 140_000, 15);
    }
    let changed = store.close(18);
    let rows: Vec<_> = changed.rollups.keys().map(|(_, begin_ms)| *begin_ms).collect();
    assert_eq!(rows, [140_000]);
    let minutes: Vec<_> = changed
        .minutes
        .iter()
        .map(|((_, ms), minute)| (*ms, minute.coverage))
        .collect();
    assert_eq!(minutes, [(120_000, 0.5)], "30 s of it are known");
    let uses: Vec<_> = changed
        .workloads
        .iter()
        .map(|((_, _, ms), minute)| (*ms, (minute.uses[0] * 10.0).round(), minute.coverage))
        .collect();
    assert_eq!(uses, [(120_000, 28.0, 0.5)], "of all of these 30 s");
    let late = store.add(&"a".into(), &readings(70_000, 0.9), UnixMs::MIN, 18);
    assert!(late.late);
    let changed = store.close(18);
    assert_eq!(changed.rollups.len(), 1);
    let known: Vec<f32> = changed.minutes.values().map(|minute| minute.coverage).collect();
    assert_eq!(known.len(), 1, "the store keeps what it has, for this knows little");
    assert!(known[0] < 0.2, "{known:?}");
}

#[test]
fn what_an_agent_has_kept_for_days_becomes_minutes() {
    let store = store();
    let day = 86_400_000;
    add(&store, day, 0.5, 8_640);
    store.close(8_641);
    // Five minutes of a day before, a closing each fifty seconds.
    let mut told = (BTreeMap::new(), BTreeMap::new());
    for i in 1..=30 {
        let added = add(&store, i * 10_000, i as f64 / 40.0, 8_641);
        assert!(added.dropped, "no row of the grid reaches back so far");
        if i % 5 == 0 {
            let changed = store.close(8_641);
            assert!(changed.rollups.is_empty());
            told.0.extend(changed.minutes);
            told.1.extend(changed.workloads);
        }
    }
    let minutes: Vec<_> = told
        .0
        .into_iter()
        .map(|((_, ms), of)| (ms, of.coverage, of.mean[0], of.max[0]))
        .collect();
    let workloads: Vec<_> = told
        .1
        .into_iter()
        .map(|((_, _, ms), of)| (ms, of.coverage, of.uses[0]))
        .collect();
    assert_eq!((minutes.len(), workloads.len()), (5, 5));
    for (at, (minute, workload)) in minutes.iter().zip(&workloads).enumerate() {
        let newest = (at * 6 + 6) as f32 / 40.0;
        let mean = newest - 2.5 / 40.0;
        assert_eq!((minute.0, minute.1, minute.3), (at as i64 * 60_000, 1.0, newest));
        assert!(
            (minute.2 - mean).abs() < 1e-6 && (workload.2 - mean * 4.0).abs() < 1e-5,
            "{minute:?} {workload:?}"
        );
        assert_eq!((workload.0, workload.1), (minute.0, 1.0));
    }
    assert!(
        store.points("a", Resource::Cpu, 0).unwrap().points.len() == 1,
        "memory has the newest alone"
    );
}

#[test]
fn of_a_workload_memory_tells_minutes_of_which_it_holds_all_rows() {
    let store = store();
    for i in 1..=365 {
        add(&store, i * 10_000, 0.5, i - 1);
    }
    store.close(365);
    // The first minute of which all six rows are held begins at 60 s; what is older is a minute of its own.
    let known = [55_000, 65_000].map(|at_ms| {
        add(&store, at_ms, 0.9, 365);
        let changed = store.close(365);
        assert_eq!(changed.workloads.len(), 1, "{at_ms}");
        changed.workloads.values().map(|minute| minute.coverage).sum::<f32>()
    });
    assert!(known[0] < 0.2 && known[1] == 1.0, "{known:?}");
}

#[test]
fn a_workload_that_is_gone_is_forgotten_after_an_hour() {
    let store = store();
    add(&store, 10_000, 0.5, 0);
    store.close(10);
    assert_eq!(store.uses("a").len(), 1);
    store.close(400);
    assert!(store.uses("a").is_empty());
}

#[test]
fn a_silent_host_gives_its_memory_back_and_may_return() {
    let store = store();
    let told = frame(1_000_000, 0, &[1_000], 0.5);
    let stream = Stream {
        host: "a".into(),
        vantage: Vantage::Inband,
    };
    let keep = |time_ms| store.keep(&stream, &Arc::new(birth(1_000_000)), &told, time_ms);
    keep(10_000);
    add(&store, 10_000, 0.5, 0);
    let frames = |store: &HotStore| store.recent("a", Vantage::Inband, 0).map(|chains| chains.len());
    let rows = |store: &HotStore| store.rows("a", 0, i64::MAX).map(|(_, rows)| rows.len());
    let minutes = |store: &HotStore| store.points("a", Resource::Cpu, 0).map(|points| points.points.len());
    // Rows reach ten minutes back, frames fifteen, minutes an hour.
    for (at_s, told) in [
        (60, (Some(1), Some(6), Some(1))),
        (620, (Some(1), Some(0), Some(1))),
        (920, (Some(0), Some(0), Some(1))),
        (3_600, (Some(0), Some(0), Some(1))),
        (3_670, (None, None, None)),
    ] {
        store.close(at_s / 10);
        assert_eq!((frames(&store), rows(&store), minutes(&store)), told, "{at_s} s");
    }
    assert!(store.names().is_empty());
    keep(3_680_000);
    assert!(!add(&store, 3_680_000, 0.75, 367).dropped);
    store.close(368);
    assert_eq!(cpu(&store, 0), [(3_680_000, 0.75)]);
    assert_eq!(frames(&store), Some(1));
}

#[test]
fn older_rows_join_those_that_a_start_has_read() {
    let store = store();
    let host: Arc<str> = "a".into();
    let stored = |rows: std::ops::Range<i64>| -> Vec<StoredRow> {
        let row = |row: i64| StoredRow {
            begin_ms: row * 10_000,
            coverage: 1.0,
            mean: [row as f32; 7],
        };
        rows.map(row).collect()
    };
    store.restore(&host, &stored(50..60), 600_000);
    store.fill("a", &stored(30..55));
    store.fill("b", &stored(30..55));
    let (first, rows) = store.rows("a", 0, 60).unwrap();
    assert_eq!((first, rows.len()), (30, 30));
    assert!(
        rows.iter().zip(30..).all(|(row, number)| row[0] == number as f32),
        "{rows:?}"
    );
    assert!(store.rows("b", 0, 60).is_none());
}
