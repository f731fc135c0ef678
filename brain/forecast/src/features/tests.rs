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
            sequence(&layout, &layout.looks[0], &columns, row, &moment.scales, &mut window);
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

/// A look at the newest of `rows`, channel 0: by input, then by bin, then by mean and highest value where it tells both. Channels
/// beside it are silent.
fn look(look: &Look, rows: usize, value: impl Fn(usize) -> f32) -> Vec<Vec<f32>> {
    let rows: Vec<Row> = (0..rows)
        .map(|row| [value(row), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        .collect();
    let (layout, mut window) = (layout(), Vec::new());
    let columns = columns(&layout, &rows);
    sequence(&layout, look, &columns, rows.len() - 1, &[1.0; 7], &mut window);
    let of_bin = if look.highs { 2 } else { 1 };
    let inputs = window.chunks(look.width(7));
    let mine = |input: &[f32]| input.chunks(of_bin).step_by(7).flatten().copied().collect();
    inputs.map(mine).collect()
}

#[test]
fn earlier_days_and_hours_are_read_from_before_the_time_that_it_is_to_what_came_after() {
    let cycles = &layout().looks[1];
    // A spike 7 min from now on each of three earlier days, and 12 min from now three hours ago.
    let rows = 4 * 1_440;
    let spikes = [1, 2, 3].map(|day| rows - 1 - day * 1_440 + 7);
    let spiked = move |row: usize| spikes.contains(&row) || row == rows - 1 - 180 + 12;
    let read = look(cycles, rows, |row| if spiked(row) { 0.5 } else { 0.0 });
    assert_eq!((read.len(), read[0].len()), (12, 25));
    for (input, bins) in read.iter().enumerate() {
        // The last bin is 20 min from now; days 6 to 1, then hours 6 to 1.
        let expected = match input {
            3..6 => Some(24 - (20 - 7)),
            9 => Some(24 - (20 - 12)),
            _ => None,
        };
        for (bin, value) in bins.iter().enumerate() {
            let spike = if expected == Some(bin) { 0.5_f32.asinh() } else { 0.0 };
            assert!((value - spike).abs() < 1e-6, "input {input}, bin {bin}: {value}");
        }
    }
}

#[test]
fn the_far_look_tells_means_and_highest_values() {
    let far = &layout().looks[2];
    // Five rows a bin: 1, 2, 3, 4 and 5, less the newest 5. Of the first hours there is nothing.
    let read = look(far, 200, |row| (row % 5 + 1) as f32);
    assert_eq!((read.len(), read[0].len()), (12, 6 * 2));
    for (bin, pair) in read.concat().chunks(2).enumerate() {
        let mean = if bin < 72 - 40 { 0.0 } else { (-2.0_f32).asinh() };
        assert!((pair[0] - mean).abs() < 1e-6 && pair[1] == 0.0, "bin {bin}: {pair:?}");
    }
}

#[test]
fn what_lies_beyond_the_lookback_is_no_input() {
    let of = |lookback_s: u32| {
        let config = Config {
            lookback_s: Some(lookback_s),
            ..Config::for_step(60)
        };
        let looks = Layout::new(&config).looks.into_iter();
        looks.map(|look| look.ends.len()).collect::<Vec<_>>()
    };
    assert_eq!(of(7 * 86_400), [15, 6 + 6, 12]);
    assert_eq!(of(2 * 86_400), [15, 1 + 6, 12]);
    assert_eq!(of(2 * 3_600), [15, 1, 4]);
    assert_eq!(of(3_600), [15, 2], "no hour before has all of its minutes");
}

proptest! {
    #[test]
    fn the_swift_sine_is_the_other_one(value in prop_oneof![-3.0_f32..3.0, -1e6_f32..1e6]) {
        let (swift, exact) = (swift_asinh(value), asinh(f64::from(value)));
        prop_assert!((swift - exact).abs() <= 3e-7 * exact.abs().max(1.0), "{} for {}", swift, exact);
    }

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
        for look in &layout.looks {
            sequence(&layout, look, &columns, rows.len() - 1, &moment.scales, &mut window);
        }
        prop_assert!(moment.statistics.iter().chain(&window).chain(&moment.scales).all(|v| v.is_finite()));
        prop_assert!(moment.targets.iter().all(|standing| standing.scale > 0.0 && standing.mark > 0.0));
    }
}
