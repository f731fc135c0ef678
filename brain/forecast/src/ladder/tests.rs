use rand::{RngExt, SeedableRng, rngs::StdRng};
use shadow::Rung;

use super::*;

/// Steps a series at 10 s with one horizon of one row. `network` tells the network's p50 for the next row, if it says
/// anything. Returns the mean share of the network in the second half, and the newest forecast.
fn run(value: impl Fn(usize) -> f32, network: impl Fn(usize) -> Option<f32>, rows: usize) -> (f64, Forecast) {
    let mut series = Series::new(&Target::whole(Resource::Network), &[10], &[10], 10);
    let mut fleet = [FleetSpread::new()];
    let mut board = Board::new(&[Target::whole(Resource::Network)], &[10]);
    let (mut share, mut newest) = (0.0, None);
    for row in 0..rows {
        let (time_ms, value_now) = (row as i64 * 10_000, value(row));
        let truth = |_: UnixMs| Some(value_now);
        series.judge(time_ms - 10_000, time_ms, truth, &mut fleet, &mut board, 0);
        series.push([value_now].into_iter());
        let lstm = network(row).map(|point| [[point, point + 0.1, point + 0.2, point + 0.3]]);
        let now = Now {
            time_ms,
            last: value_now,
            scale: 0.3,
            known: row + 1,
            lstm: lstm.as_ref().map(<[[f32; 4]; 1]>::as_slice),
            recent: Some([[1.5, 1.9, 1.95, 1.99]; 3]),
        };
        let made = series.forecast(&now, &fleet, true);
        if row >= rows / 2 {
            share += made[0].shares.lstm * 2.0 / rows as f64;
        }
        newest = made.into_iter().next();
    }
    (share, newest.unwrap())
}

fn noise(seed: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..4_001).map(|_| 1.0 + random.random::<f32>()).collect()
}

#[test]
fn the_lstm_counts_where_it_wins() {
    let noise = noise(1);
    let (share, newest) = run(|row| noise[row], |row| Some(noise[row + 1] - 0.05), 3_000);
    assert!(share > 0.9 && newest.rung == Rung::Lstm, "{share} {newest:?}");
    assert!(newest.skill.unwrap() > 0.5, "{newest:?}");
    assert!((newest.coverage.unwrap() - 0.95).abs() < 0.06, "{newest:?}");
}

#[test]
fn and_nowhere_else() {
    let noise = noise(2);
    let (share, newest) = run(|row| noise[row], |row| Some(3.0 - noise[row]), 3_000);
    assert!(share < 0.05 && newest.rung == Rung::Ewma, "{share} {newest:?}");
    let (share, newest) = run(|row| noise[row], |_| None, 3_000);
    assert!(share == 0.0 && newest.rung == Rung::Ewma, "{share} {newest:?}");
}

#[test]
fn a_network_that_stops_is_replaced_at_once() {
    let noise = noise(3);
    let (_, newest) = run(|row| noise[row], |row| (row < 2_999).then(|| noise[row + 1]), 3_000);
    assert_eq!((newest.rung, newest.shares.lstm), (Rung::Ewma, 0.0));
    let sum: f64 = newest.shares.to_array().iter().sum();
    assert!((sum - 1.0).abs() < 1e-5, "{newest:?}");
}

#[test]
fn a_series_of_which_little_is_known_stays_at_its_last_value() {
    let (_, newest) = run(|_| 1.0, |_| Some(5.0), 20);
    assert_eq!((newest.rung, newest.shares), (Rung::Last, shadow::Shares::default()));
    assert_eq!(newest.quantiles.p50, 1.0);
}

fn first(resource: Resource, past: &[f32], last: f32) -> Forecast {
    let mut series = Series::new(&Target::whole(resource), &[10], &[10], 10);
    series.learn_past(past, &vec![0.5; past.len()]);
    let now = Now {
        time_ms: 0,
        last,
        scale: 0.5,
        known: past.len(),
        lstm: None,
        recent: None,
    };
    series.forecast(&now, &[FleetSpread::new()], true).remove(0)
}

#[test]
fn a_past_makes_the_first_forecast_sharp() {
    let values: Vec<f32> = (0..400).map(|row| [1.0, 2.0, f32::NAN][row % 3]).collect();
    let made = first(Resource::Network, &values, 1.0);
    assert!((1.6..2.6).contains(&made.quantiles.p95), "{made:?}");
    assert_eq!(made.rung, Rung::Ewma);
}

#[test]
fn a_share_is_never_forecast_above_its_whole() {
    let highest = |resource, past: &[f32]| first(resource, past, 0.9).quantiles.p99;
    let past: Vec<f32> = (0..200_u8).map(|row| f32::from(row % 2)).collect();
    assert_eq!(highest(Resource::Cpu, &past), 1.0);
    assert_eq!(highest(Resource::Memory, &past), 1.0);
    assert!(highest(Resource::Network, &past) > 1.0);
    let above: Vec<f32> = past.iter().map(|value| value * 1.25).collect();
    assert_eq!(highest(Resource::Cpu, &above), 1.25, "what was seen is possible");
}
