use shadow::Rung;

use super::*;
use crate::synthetic::{artifact, cycle, quick};

type Row = [f32; Channel::COUNT];

/// Steps through `rows`; returns what each step gave.
fn run(forecaster: &mut Forecaster, rows: &[Row], from: usize) -> Vec<HostForecasts> {
    let steps = (from..rows.len()).map(|row| {
        let window = HostWindow {
            host: "a",
            rows: &rows[..=row],
        };
        forecaster.step(row as i64 * 60_000, &[window]).remove(0)
    });
    steps.collect()
}

fn sound(forecast: &Forecast) -> bool {
    let quantiles = forecast.quantiles.to_array();
    quantiles.is_sorted() && quantiles.iter().all(|value| value.is_finite() && *value >= 0.0)
}

#[test]
fn the_first_row_has_an_answer_and_absent_resources_have_none() {
    let mut forecaster = Forecaster::new(quick()).unwrap();
    let made = run(&mut forecaster, &cycle("a", 1, 1).rows, 0);
    let of: Vec<Resource> = made[0].forecasts.iter().map(|forecast| forecast.resource).collect();
    let [cpu, memory, network, disk] = [Resource::Cpu, Resource::Memory, Resource::Network, Resource::Disk];
    assert_eq!(of, [cpu, cpu, memory, memory, network, network, disk, disk]);
    assert!(
        made[0]
            .forecasts
            .iter()
            .all(|forecast| sound(forecast) && forecast.rung == Rung::Last)
    );
    let spread = made[0].forecasts[0].quantiles;
    assert!(
        spread.p95 - spread.p50 > 0.02,
        "the fleet's spread, not the lone row's: {spread:?}"
    );
}

#[test]
fn of_some_resources_the_others_are_read_alone() {
    let mut all = Forecaster::new(quick()).unwrap();
    let mut some = Forecaster::of_parts(quick(), &[Resource::Cpu]).unwrap();
    let artifact = artifact();
    all.adopt(&artifact).unwrap();
    some.adopt(&artifact).unwrap();
    let rows = cycle("a", 60, 1).rows;
    let (of_all, of_cpu) = (run(&mut all, &rows, 40), run(&mut some, &rows, 40));
    for (of_all, of_cpu) in of_all.iter().zip(of_cpu) {
        let is_cpu = |forecast: &&Forecast| forecast.resource == Resource::Cpu;
        let said = |of: &[Forecast]| -> Vec<_> { of.iter().map(|of| (of.resource, of.horizon_s, of.rung)).collect() };
        let cpu: Vec<Forecast> = of_all.forecasts.iter().filter(is_cpu).cloned().collect();
        assert_eq!(
            said(&of_cpu.forecasts),
            said(&cpu),
            "with the other channels beside them"
        );
        assert!(!of_cpu.peaks.is_empty() && of_cpu.peaks.iter().all(|peak| peak.resource == Resource::Cpu));
    }
}

#[test]
fn of_a_part_of_a_host_little_is_expected_before_it_is_known() {
    let rows: Vec<[f32; 7]> = vec![[0.001; 7]; 3];
    let p95 = |mut forecaster: Forecaster| {
        let made = run(&mut forecaster, &rows, 2);
        made[0].forecasts[0].quantiles.p95
    };
    let host = p95(Forecaster::new(quick()).unwrap());
    let part = p95(Forecaster::of_parts(quick(), &[Resource::Cpu]).unwrap());
    assert!(host > 0.03 && part < 0.01, "{host} {part}");
}

#[test]
fn an_error_over_a_scale_that_was_a_guess_is_no_usual_one() {
    // Next to nothing goes over its link at first, then 50 MB/s, a little to and fro.
    let row = |minute: usize| {
        let busy = [2.4e7, 2.5e7, 2.6e7][minute % 3];
        let rate = if minute == 0 { 1e3 } else { busy };
        [0.03, 0.5, rate, rate, rate, rate, f32::NAN]
    };
    let rows: Vec<Row> = (0..50).map(row).collect();
    let highest = |made: &[HostForecasts]| {
        let all = made.iter().flat_map(|made| &made.forecasts);
        let network = all.filter(|forecast| forecast.resource == Resource::Network);
        network.map(|forecast| forecast.quantiles.p99).fold(0.0, f64::max)
    };
    // Minute by minute, and after a restart, which begins with all rows.
    for from in [0, 5, 20, 49] {
        let made = run(&mut Forecaster::new(quick()).unwrap(), &rows, from);
        let most = highest(&made);
        assert!((5e7..4e8).contains(&most), "from row {from}: {most:e} B/s");
    }
}

#[test]
fn truths_mature_after_their_horizon_with_what_was_published() {
    let mut forecaster = Forecaster::new(quick()).unwrap();
    let rows = cycle("a", 30, 1).rows;
    let made = run(&mut forecaster, &rows, 10);
    assert!(made[4].matured.is_empty());
    let ripe = &made[5].matured[0];
    assert_eq!(
        (ripe.resource, ripe.horizon_s, ripe.made_ms),
        (Resource::Cpu, 300, 600_000)
    );
    assert_eq!(ripe.value, f64::from(rows[15][0]));
    assert_eq!(ripe.forecast, made[0].forecasts[0]);
    assert!(ripe.scale > 0.0);
    let both = made[12]
        .matured
        .iter()
        .filter(|ripe| ripe.resource == Resource::Cpu)
        .count();
    assert_eq!(both, 2, "one of each horizon");
}

#[test]
fn skipped_and_repeated_steps_are_no_trouble() {
    let mut forecaster = Forecaster::new(quick()).unwrap();
    let rows = cycle("a", 150, 1).rows;
    run(&mut forecaster, &rows[..100], 0);
    let step = |forecaster: &mut Forecaster, row: usize| {
        let window = HostWindow {
            host: "a",
            rows: &rows[..=row],
        };
        forecaster.step(row as i64 * 60_000, &[window]).remove(0)
    };
    let after = step(&mut forecaster, 106);
    let due: Vec<i64> = after
        .matured
        .iter()
        .filter(|m| m.resource == Resource::Cpu)
        .map(|m| m.made_ms)
        .collect();
    assert_eq!(due.len(), 5 + 7, "5 min: rows 95 to 99; 10 min: rows 90 to 96: {due:?}");
    assert!(after.matured.iter().all(|ripe| {
        let row = (ripe.made_ms / 60_000) as usize + ripe.horizon_s as usize / 60;
        ripe.resource != Resource::Cpu || ripe.value == f64::from(rows[row][0])
    }));
    let again = step(&mut forecaster, 106);
    assert!(again.matured.is_empty() && again.forecasts == after.forecasts);
    let back = step(&mut forecaster, 90);
    assert!(back.matured.is_empty() && back.forecasts.iter().all(sound));
    assert_eq!(step(&mut forecaster, 107).matured.len() % 4, 0);
}

#[test]
fn gaps_never_poison_and_silence_keeps_the_last_level() {
    let mut forecaster = Forecaster::new(quick()).unwrap();
    forecaster.adopt(&artifact()).unwrap();
    let mut rows = cycle("a", 400, 1).rows;
    for (row, values) in rows.iter_mut().enumerate() {
        if row % 3 == 0 || (100..200).contains(&row) {
            values[row % 6] = f32::NAN;
            values[0] = f32::INFINITY;
        }
    }
    for made in run(&mut forecaster, &rows, 1) {
        assert!(made.forecasts.iter().all(sound), "{made:?}");
    }
    assert!(
        forecaster
            .scores()
            .rows
            .iter()
            .all(|row| row.all.served.pinball.is_finite())
    );
    let silent = vec![[f32::NAN; 7]; 2_000];
    let window = HostWindow {
        host: "a",
        rows: &silent,
    };
    let made = forecaster.step(3_000 * 60_000, &[window]).remove(0);
    assert_eq!(made.forecasts.len(), 8);
    assert!(made.forecasts.iter().all(sound));
}

#[test]
fn the_network_serves_at_once_where_it_wins_and_the_same_steps_give_the_same() {
    let artifact = artifact();
    let rows = cycle("a", 1_000, 4).rows;
    let once = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut forecaster = Forecaster::new(quick()).unwrap();
            forecaster.adopt(&artifact).unwrap();
            (run(&mut forecaster, &rows, 300), forecaster.scores())
        })
    };
    let (made, scores) = once(1);
    assert_eq!(once(2), (made.clone(), scores.clone()));
    assert_eq!(made[0].forecasts[0].rung, Rung::Lstm);
    let newest = &made.last().unwrap().forecasts[0];
    assert!(newest.rung == Rung::Lstm && newest.skill.unwrap() > 0.3, "{newest:?}");
    let cpu = &scores.rows[0];
    assert!(
        cpu.served_share[2] > 0.8 && (cpu.coverage[2] - 0.95).abs() < 0.05,
        "{cpu:?}"
    );
    let fair = cpu.with_lstm.unwrap();
    assert!(fair.served.pinball < 0.6 * fair.last.pinball, "{fair:?}");
}

#[test]
fn peaks_are_told_by_the_network_and_meet_the_highest_value_of_their_time() {
    let artifact = artifact();
    let rows = cycle("a", 700, 4).rows;
    let mut forecaster = Forecaster::new(quick()).unwrap();
    assert!(
        run(&mut forecaster, &rows[..310], 300)[9].peaks.is_empty(),
        "nobody knows"
    );
    forecaster.adopt(&artifact).unwrap();
    let made = run(&mut forecaster, &rows, 310);
    let peaks = &made[0].peaks;
    assert_eq!(peaks.len(), 4 * 3, "four targets over three times");
    assert_eq!((peaks[2].resource, peaks[2].hold_s), (Resource::Cpu, 3_600));
    assert!(
        peaks
            .iter()
            .all(|peak| peak.quantiles.is_sorted() && peak.quantiles[0] >= 0.0)
    );
    // Every hour has a job: its peak is known, while the next 5 min may have none.
    assert!((0.7..1.0).contains(&peaks[2].quantiles[0]), "{peaks:?}");
    let ripe = &made[60].matured_peaks;
    let hour = ripe
        .iter()
        .find(|ripe| ripe.target == 0 && ripe.hold_s == 3_600)
        .unwrap();
    assert_eq!((hour.made_ms, hour.quantiles), (310 * 60_000, peaks[2].quantiles));
    let highest = rows[311..=370].iter().map(|row| row[0]).fold(0.0, f32::max);
    assert_eq!(hour.value, f64::from(highest));
    let near: Vec<_> = made
        .iter()
        .flat_map(|made| &made.matured_peaks)
        .filter(|ripe| ripe.hold_s == 300)
        .collect();
    let covered = near.iter().filter(|ripe| ripe.value <= ripe.quantiles[3]).count() as f64 / near.len() as f64;
    assert!((0.85..=1.0).contains(&covered), "{covered}");
}

#[test]
fn one_channel_of_a_resource_is_forecast_by_itself() {
    let mut config = quick();
    config.targets = ["net_rx", "network"].map(|name| name.parse().unwrap()).to_vec();
    let mut forecaster = Forecaster::new(config).unwrap();
    let rows = vec![[0.5, 0.5, 3e6, 1e6, 0.0, 0.0, f32::NAN]; 200];
    let made = run(&mut forecaster, &rows, 190).remove(5);
    let medians: Vec<f64> = made.forecasts.iter().map(|forecast| forecast.quantiles.p50).collect();
    for (found, expected) in medians.iter().zip([3e6, 3e6, 4e6, 4e6]) {
        assert!((found / expected - 1.0).abs() < 0.01, "{medians:?}");
    }
    assert!(made.matured.iter().all(|ripe| ripe.resource == Resource::Network));
    let of: Vec<usize> = made.matured.iter().map(|ripe| ripe.target).collect();
    assert_eq!(of, [0, 1]);
}
