use std::{env, fs, path::PathBuf};

use proptest::prelude::*;
use serde::Deserialize;
use shadow::Channel;

use super::*;
use crate::{Target, config::Config, marks::Marks, window::Row};

/// What the reference implementation of the recipe gives.
#[derive(Deserialize)]
struct Reference {
    rows: Vec<usize>,
    /// By row, then by channel or target.
    scale: Vec<Vec<f64>>,
    /// By row, then by target.
    features: Vec<Vec<Vec<f64>>>,
    /// By row: LSTM inputs, one after another.
    #[serde(default)]
    window: Vec<Vec<Vec<f64>>>,
}

/// Six channels, all of them shares.
pub(crate) fn six(step_s: u32, targets: &[&str]) -> Config {
    Config {
        channels: Channel::ALL[..6].to_vec(),
        targets: targets.iter().map(|name| name.parse::<Target>().unwrap()).collect(),
        normalised: true,
        ..Config::for_step(step_s)
    }
}

fn columns(layout: &Layout, rows: &[Row]) -> Columns {
    Columns::new(layout, rows, &Marks::new(layout))
}

fn close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (f64::from(*found) - expected).abs();
        assert!(off < 1e-4, "{what} {index}: {found} for {expected}");
    }
}

fn agrees(config: &Config, rows: &[Row], reference: &Reference) {
    let layout = Layout::new(config);
    let columns = columns(&layout, rows);
    let width = count(&layout);
    for (index, &row) in reference.rows.iter().enumerate() {
        let levels = Levels::new(&layout, &columns, row / layout.hour * layout.hour);
        let moment = describe(&layout, &columns, row, &levels);
        for (target, expected) in reference.features[index].iter().enumerate() {
            let found = &moment.statistics[target * width..(target + 1) * width];
            close(found, expected, &format!("row {row}, target {target}, feature"));
        }
        let scales: Vec<f32> = if reference.scale[index].len() == layout.channels {
            moment.scales.clone()
        } else {
            moment.targets.iter().map(|standing| standing.scale).collect()
        };
        close(&scales, &reference.scale[index], "scale");
        if let Some(expected) = reference.window.get(index) {
            let mut window = Vec::new();
            sequence(&layout, &columns, row, &moment.scales, &mut window);
            close(&window, &expected.concat(), "window");
        }
    }
}

#[test]
fn statistics_are_those_of_the_reference_on_a_made_up_host() {
    let at = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/recipe.json");
    let reference = serde_json::from_slice(&fs::read(at).unwrap()).unwrap();
    let rows: Vec<Row> = (0..2_500_usize)
        .map(|i| {
            std::array::from_fn(|c| {
                let slow = (i / (5 + c) % 11) as f64 / 11.0 * 0.5;
                let fast = (i * (7 + 2 * c) % 97) as f64 / 97.0 * 0.2;
                let noise = ((i * 7_919 + c * 104_729) % 1_000) as f64 / 1_000.0 * 0.1;
                (((fast + slow + noise) * 4_096.0).round_ties_even() / 4_096.0) as f32
            })
        })
        .collect();
    agrees(&six(300, &["cpu", "net_tx"]), &rows, &reference);
}

#[test]
fn statistics_and_window_are_those_of_the_reference_on_a_real_host() {
    let Some(shared) = env::var_os("FORESHADOW_SHARED").map(PathBuf::from) else {
        println!("SKIPPED: set FORESHADOW_SHARED to the folder of reference data");
        return;
    };
    let check = fs::read(shared.join("bench/forecast/check/check.json")).unwrap();
    let reference = serde_json::from_slice(&check).unwrap();
    let trace = fs::File::open(shared.join("data/traces/smd/machine-1-2.csv.gz")).unwrap();
    let mut reader = csv::Reader::from_reader(flate2::read::GzDecoder::new(trace));
    let rows: Vec<Row> = reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            let value = |column: usize| record[column + 1].parse::<f32>().unwrap();
            std::array::from_fn(|column| if column < 6 { value(column) } else { f32::NAN })
        })
        .collect();
    agrees(&six(60, &["cpu", "mem", "net_rx", "disk_write"]), &rows, &reference);
}

fn layout() -> Layout {
    Layout::new(&Config::for_step(60))
}

#[test]
fn features_have_names_and_the_right_values() {
    let layout = layout();
    let rows: Vec<Row> = (0..100_u8)
        .map(|row| [f32::from(row) / 100.0, 0.5, 0.0, 0.0, 0.0, 0.0, f32::NAN])
        .collect();
    let moment = describe(&layout, &columns(&layout, &rows), 99, &Levels::default());
    let names = names(&layout);
    assert_eq!((names.len(), moment.statistics.len()), (94, 5 * 94));
    let of = |name: &str| moment.statistics[names.iter().position(|known| known == name).unwrap()];
    let scaled = |difference: f32| (difference / moment.targets[0].scale).asinh();
    for (name, expected) in [
        ("lag1", scaled(-0.01)),
        ("lag30", scaled(-0.30)),
        ("mean5", scaled(-0.02)),
        ("low60", scaled(-0.59)),
        ("high1440", scaled(0.0)),
        ("hour_10", scaled(-0.50)),
        ("days_mean_10", 0.0),
        ("value", 0.99),
        ("other1_value", 0.5),
    ] {
        assert!(
            (of(name) - expected).abs() < 1e-4,
            "{name}: {} for {expected}",
            of(name)
        );
    }
    assert!((moment.targets[1].scale - 0.003).abs() < 1e-7, "flat: {moment:?}");
    assert!(moment.targets[4].last.is_nan());
    let known: Vec<usize> = moment.targets.iter().map(|standing| standing.known).collect();
    assert_eq!(known, [100, 100, 100, 100, 0]);
}

#[test]
fn rates_have_no_unit() {
    let layout = layout();
    let statistics = |unit: f32| {
        let rows: Vec<Row> = (0..200_u16)
            .map(|row| [0.1, 0.2, unit * f32::from(row * 37 % 101), 0.0, 0.0, 0.0, f32::NAN])
            .collect();
        let mut marks = Marks::new(&layout);
        marks.push(&layout, &rows);
        let columns = Columns::new(&layout, &rows, &marks);
        describe(&layout, &columns, 199, &Levels::new(&layout, &columns, 180)).statistics
    };
    for (a, b) in statistics(1.0).iter().zip(statistics(1e6)) {
        assert!((a - b).abs() < 0.05, "{a} {b}");
    }
}

#[test]
fn the_scale_of_each_row_is_that_of_its_moment() {
    let layout = layout();
    let rows: Vec<Row> = (0..1_700_usize)
        .map(|i| {
            let value = if i % 9 == 4 {
                f32::NAN
            } else {
                (i * i % 37) as f32 / 37.0
            };
            [value, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
        })
        .collect();
    let columns = columns(&layout, &rows);
    let values: Vec<f32> = rows.iter().map(|row| row[0]).collect();
    let scales = scales(&layout, &values);
    for row in [0, 1, 2, 14, 59, 700, 1_699] {
        let moment = describe(&layout, &columns, row, &Levels::default());
        let off = (moment.targets[0].scale - scales[row]).abs();
        assert!(off < 1e-5, "row {row}: {} {}", moment.targets[0].scale, scales[row]);
    }
}

proptest! {
    #[test]
    fn nothing_poisons_the_features(
        rows in prop::collection::vec(prop::array::uniform7(prop_oneof![
            Just(f32::NAN), Just(0.0_f32), 0.0_f32..1e9
        ]), 1..300)
    ) {
        let layout = layout();
        let mut marks = Marks::new(&layout);
        marks.push(&layout, &rows);
        let columns = Columns::new(&layout, &rows, &marks);
        let levels = Levels::new(&layout, &columns, rows.len() - 1);
        let moment = describe(&layout, &columns, rows.len() - 1, &levels);
        let mut window = Vec::new();
        sequence(&layout, &columns, rows.len() - 1, &moment.scales, &mut window);
        prop_assert!(moment.statistics.iter().chain(&window).chain(&moment.scales).all(|v| v.is_finite()));
        prop_assert!(moment.targets.iter().all(|standing| standing.scale > 0.0 && standing.mark > 0.0));
    }
}
