use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::*;

/// What the reference says of the eight series; `testdata/README.md` tells how it was made.
const REFERENCE: &str = include_str!("../../testdata/nab.csv");

/// The reference's points of some rows, and the rows that it tells.
struct Expected {
    series: String,
    rows: usize,
    /// Row and points.
    sampled: Vec<(usize, f64)>,
    told: Vec<(usize, f64)>,
    sum: f64,
}

fn expected() -> Vec<Expected> {
    let pairs = |field: &str| {
        let pairs = field.split_whitespace().map(|pair| pair.split_once(':').unwrap());
        pairs
            .map(|(row, points)| (row.parse().unwrap(), points.parse().unwrap()))
            .collect()
    };
    let records = csv::Reader::from_reader(REFERENCE.as_bytes()).into_records();
    let expected = |record: csv::StringRecord| Expected {
        series: record[0].to_owned(),
        rows: record[1].parse().unwrap(),
        sum: record[2].parse().unwrap(),
        told: pairs(&record[3]),
        sampled: pairs(&record[4]),
    };
    records.map(|record| expected(record.unwrap())).collect()
}

/// The folder of series, where there is one.
fn series() -> Option<PathBuf> {
    let shared = std::env::var_os("FORESHADOW_SHARED")?;
    Some(Path::new(&shared).join("data/traces/nab/data"))
}

fn values(path: &Path) -> Vec<f64> {
    let mut text = String::new();
    let mut file = GzDecoder::new(File::open(path).unwrap());
    file.read_to_string(&mut text).unwrap();
    let records = csv::Reader::from_reader(text.as_bytes()).into_records();
    records.map(|record| record.unwrap()[1].parse().unwrap()).collect()
}

#[test]
fn the_eight_series_are_judged_as_by_the_reference() {
    let Some(folder) = series() else {
        return println!("SKIPPED: FORESHADOW_SHARED names no folder of series");
    };
    for expected in expected() {
        let series = &expected.series;
        let mut detector = SeriesDetector::default();
        let judged: Vec<Judged> = values(&folder.join(format!("{series}.csv.gz")))
            .into_iter()
            .map(|value| detector.update(value))
            .collect();
        assert_eq!(judged.len(), expected.rows, "{series}");
        let rows_told = (0..judged.len()).filter(|&row| judged[row].told);
        let told: Vec<usize> = rows_told.collect();
        let told_by_reference: Vec<usize> = expected.told.iter().map(|(row, _)| *row).collect();
        assert_eq!(told, told_by_reference, "{series}");
        for (row, points) in expected.told.iter().chain(&expected.sampled) {
            let ours = judged[*row].points;
            assert!((ours - points).abs() < 1e-6, "{series}, row {row}: {ours} for {points}");
        }
        let sum: f64 = judged.iter().map(|row| row.points).sum();
        assert!(
            (sum - expected.sum).abs() < 1e-6 * expected.rows as f64,
            "{series}: {sum}"
        );
    }
}

/// Values that a day of sines and a little noise could have, one in five minutes.
fn day(row: usize) -> f64 {
    let angle = row as f64 * std::f64::consts::TAU / 288.0;
    let noise = (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    50.0 + 20.0 * angle.sin() + noise as f64 / f64::from(1 << 24)
}

#[test]
fn a_step_alarms_once_and_what_came_before_did_not() {
    let mut detector = SeriesDetector::default();
    let alarms: Vec<usize> = (0..6000)
        .filter(|&row| {
            detector
                .update(day(row) + if row >= 5000 { 60.0 } else { 0.0 })
                .is_alarm()
        })
        .collect();
    assert!(!alarms.is_empty() && alarms.len() <= 4, "{alarms:?}");
    assert!(alarms.iter().all(|row| (5000..5150).contains(row)), "{alarms:?}");
}

#[test]
fn a_missing_reading_repeats_the_last() {
    let mut with_gaps = SeriesDetector::default();
    let mut repeated = SeriesDetector::default();
    for row in 0..500 {
        let (gap, value) = if row % 7 == 3 {
            let gap = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][row % 3];
            (gap, day(row - 1))
        } else {
            (day(row), day(row))
        };
        assert_eq!(with_gaps.update(gap), repeated.update(value));
    }
}

#[test]
fn a_constant_series_never_alarms() {
    for constant in [0.0, 0.1, -7.3, 1e300, 1e-300] {
        let mut detector = SeriesDetector::default();
        assert!(
            (0..20_000).all(|_| detector.update(constant).points < 2.0),
            "{constant}"
        );
    }
}

/// A peak of an hour each morning, with noise; on `missing` days it fails to happen.
fn mornings(missing: impl Fn(usize) -> bool) -> impl Iterator<Item = (f64, f64)> {
    (0..288 * 28).map(move |row| {
        let is_morning = (108..120).contains(&(row % 288));
        let peak = if is_morning && !missing(row / 288) { 60.0 } else { 0.0 };
        (300.0 * row as f64, day(row) + peak)
    })
}

#[test]
fn a_regular_event_that_fails_to_happen_is_seen_by_the_hour_alone() {
    let alarms = |mut detector: SeriesDetector, missing: &[usize]| -> Vec<usize> {
        let missing = missing.to_vec();
        let rows = mornings(move |day| missing.contains(&day)).enumerate();
        let alarms = rows.filter(|(_, (time_s, value))| detector.update_at(Some(*time_s), *value).is_alarm());
        let days: std::collections::BTreeSet<usize> = alarms.map(|(row, _)| row / 288).collect();
        days.into_iter().filter(|day| *day >= 14).collect()
    };
    let missing = [16, 21, 25];
    assert_eq!(alarms(SeriesDetector::default(), &missing), [0; 0]);
    assert_eq!(alarms(SeriesDetector::with_season(), &missing), missing);
    assert_eq!(alarms(SeriesDetector::with_season(), &[]), [0; 0]);
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1.0..1.0,
        2 => prop_oneof![Just(0.0), Just(1.0), Just(0.1)],
        1 => prop::num::f64::ANY,
        1 => prop_oneof![Just(f64::NAN), Just(f64::MAX), Just(f64::MIN), Just(f64::MIN_POSITIVE), Just(1e150)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_series_is_judged_in_numbers(runs in prop::collection::vec((any_value(), 1_usize..40), 1..60)) {
        let mut detector = SeriesDetector::with_season();
        let values = runs.iter().flat_map(|(value, length)| std::iter::repeat_n(*value, *length));
        for (row, value) in values.enumerate() {
            let judged = detector.update_at(Some(7_200.0 * row as f64), value);
            prop_assert!(judged.points.is_finite() && judged.points >= 0.0, "{judged:?}");
            prop_assert!(judged.novelty.is_finite() && judged.rarity >= 0.0, "{judged:?}");
            prop_assert!((0.0..=1.0).contains(&judged.score()));
        }
    }

    /// Neither the unit of a series nor what follows a row changes what is told of it.
    #[test]
    fn powers_of_two_change_nothing(values in prop::collection::vec(-1.0..1.0_f64, 300..900), power in -20..20) {
        let mut detector = SeriesDetector::default();
        let mut scaled = SeriesDetector::default();
        for value in values {
            let (ours, theirs) = (detector.update(value), scaled.update(value * f64::powi(2.0, power)));
            prop_assert_eq!(ours, theirs);
        }
    }
}
