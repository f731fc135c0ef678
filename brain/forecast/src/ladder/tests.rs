use rand::{RngExt, SeedableRng, rngs::StdRng};

use shadow::Rung;

use super::*;

/// Runs `rows` rows of `values` with an LSTM that says `lstm(row)` for the next row; returns the shares of
/// rungs over the last half, and the last forecast.
fn run(values: impl Fn(usize) -> f32, lstm: impl Fn(usize) -> Option<f32>, rows: usize) -> ([f32; 3], Forecast) {
    let mut series = Series::new(Resource::Network, &[10], 10);
    let (mut fleet, mut board) = (vec![FleetSpread::new()], Board::new(&[10]));
    let (mut shares, mut newest) = ([0.0; 3], None);
    for row in 0..rows {
        let time_ms = row as i64 * 10_000;
        let value = values(row);
        series.judge(time_ms - 10_000, time_ms, |_| Some(value), &mut fleet, &mut board);
        series.push(std::iter::once(value));
        let network = lstm(row).map(|point| [[point, point + 0.1, point + 0.2, point + 0.3]]);
        let lstm = network.as_ref().map(<[[f32; 4]; 1]>::as_slice);
        let made = series.forecast(
            &Now {
                time_ms,
                last: value,
                scale: 0.3,
                lstm,
            },
            &fleet,
            true,
        );
        if row >= rows / 2 {
            shares[made[0].rung.index()] += 2.0 / rows as f32;
        }
        newest = made.into_iter().next();
    }
    (shares, newest.unwrap())
}

fn noise(seed: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..4_001).map(|_| 1.0 + random.random::<f32>()).collect()
}

#[test]
fn the_lstm_serves_where_it_wins() {
    let noise = noise(1);
    let (shares, newest) = run(|row| noise[row], |row| Some(noise[row + 1] - 0.05), 3_000);
    assert!(shares[2] > 0.99, "{shares:?}");
    assert!(newest.skill.unwrap() > 0.5, "{newest:?}");
    assert!((newest.coverage.unwrap() - 0.95).abs() < 0.06, "{newest:?}");
}

#[test]
fn and_nowhere_else() {
    let noise = noise(2);
    let (shares, _) = run(|row| noise[row], |row| Some(3.0 - noise[row]), 3_000);
    assert!(
        shares[2] < 0.01 && shares[1] > 0.95,
        "noise is for the average: {shares:?}"
    );
    let (shares, _) = run(|row| noise[row], |_| None, 3_000);
    assert!(shares[2] == 0.0, "{shares:?}");
    let walk: Vec<f32> = noise
        .iter()
        .scan(50.0, |at, step| {
            *at += step - 1.5;
            Some(*at)
        })
        .collect();
    let (shares, _) = run(|row| walk[row], |row| Some(walk[row] - 2.0), 3_000);
    assert!(
        shares[2] < 0.01 && shares[0] > 0.5,
        "a walk is for the last value: {shares:?}"
    );
}

#[test]
fn a_network_that_stops_is_replaced_at_once() {
    let noise = noise(3);
    let (_, newest) = run(|row| noise[row], |row| (row < 2_999).then(|| noise[row + 1]), 3_000);
    assert_eq!(newest.rung, Rung::Ewma);
}

#[test]
fn a_past_makes_the_first_forecast_sharp() {
    let mut series = Series::new(Resource::Network, &[10], 10);
    let values: Vec<f32> = (0..400).map(|row| [1.0, 2.0, f32::NAN][row % 3]).collect();
    series.learn_past(&values, 0.5);
    let now = Now {
        time_ms: 0,
        last: 1.0,
        scale: 0.5,
        lstm: None,
    };
    let made = series.forecast(&now, &[FleetSpread::new()], true);
    let quantiles = made[0].quantiles;
    assert!((1.6..2.6).contains(&quantiles.p95), "{quantiles:?}");
}

#[test]
fn a_share_is_never_forecast_above_its_whole() {
    let forecast = |resource, past: &[f32]| {
        let mut series = Series::new(resource, &[10], 10);
        series.learn_past(past, 0.5);
        let now = Now {
            time_ms: 0,
            last: 0.9,
            scale: 0.5,
            lstm: None,
        };
        series.forecast(&now, &[FleetSpread::new()], true)[0].quantiles.p99
    };
    let past: Vec<f32> = (0..200_u8).map(|row| f32::from(row % 2)).collect();
    assert_eq!(forecast(Resource::Cpu, &past), 1.0);
    assert_eq!(forecast(Resource::Memory, &past), 1.0);
    assert!(forecast(Resource::Network, &past) > 1.0);
    let above: Vec<f32> = past.iter().map(|value| value * 1.25).collect();
    assert_eq!(forecast(Resource::Cpu, &above), 1.25, "what was seen is possible");
}
