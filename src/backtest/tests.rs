use std::{io::Read as _, ops::ControlFlow};

use forecast::Forecaster;
use shadow::Channel;

use super::*;
use crate::{
    backtest::{
        data::{Host, Row},
        tally::{METHODS, Tally},
    },
    lab::Rates,
    trace::Trace,
};

/// Two hosts of 600 minutes: jobs every twenty, a drift, and noise that nobody can know before.
fn data() -> Data {
    let trace = |host: &str, shift: usize| {
        let row = |row: usize| {
            let mut values = [f64::NAN; Channel::COUNT];
            let busy = if (row + shift) % 20 < 7 { 0.8 } else { 0.1 };
            let noise = ((row + shift) * 7_919 % 1_000) as f64 / 5_000.0;
            values[0] = busy * 0.7 + noise;
            values[2] = 1e6 * (1.0 + busy) + 3e6 * noise;
            values
        };
        Trace {
            host: host.to_owned(),
            channels: vec![Channel::Cpu, Channel::NetworkRx],
            unknown: Vec::new(),
            times_ms: (0..600).map(|row| 60_000 * row + 1_000).collect(),
            rows: (0..600).map(row).collect(),
        }
    };
    data::gather(&[trace("a", 0), trace("b", 9)], 60, 0.7, Rates::Auto).unwrap()
}

fn small(data: &Data) -> Config {
    let mut config = Config::for_step(data.step_s);
    config.channels.clone_from(&data.channels);
    config.targets = vec!["cpu".parse().unwrap(), "net_rx".parse().unwrap()];
    config.horizons_s = vec![300, 600];
    config.training.held_out = 0.0;
    config.training.hidden = 8;
    config.training.dense = 16;
    config.training.max_steps = 40;
    config
}

/// All that is published, replayed with what `window` tells of each host.
fn replay<'a>(
    data: &'a Data,
    artifact: &forecast::Artifact,
    window: impl Fn(&'a Host, usize) -> &'a [Row],
) -> Vec<(usize, Vec<shadow::Forecast>)> {
    let mut forecaster = Forecaster::new(artifact.config().clone()).unwrap();
    forecaster.adopt(artifact).unwrap();
    let mut said = Vec::new();
    let mut take = |host: usize, made: &forecast::HostForecasts| said.push((host, made.forecasts.clone()));
    walk::walk(data, 0..2, &mut forecaster, window, &mut take);
    said
}

fn learnt(data: &Data) -> forecast::Artifact {
    walk::learn(data, &small(data), 0..0, &|_| ControlFlow::Continue(())).unwrap()
}

/// The first of what is published that hangs on rows after `known`, though it was said at it or before.
fn leak(data: &Data, known: usize, window: for<'a> fn(&'a Host, usize) -> &'a [Row]) -> Option<usize> {
    let mut other = self::data();
    for host in &mut other.hosts {
        for row in host.rows.iter_mut().skip(known + 1) {
            *row = row.map(|value| 0.9 - value / 2.0);
        }
    }
    let (artifact, same) = (learnt(data), learnt(&other));
    assert_eq!(
        artifact.version(),
        same.version(),
        "training saw what is not learnt from"
    );
    let (said, otherwise) = (replay(data, &artifact, window), replay(&other, &artifact, window));
    let until = (known + 1 - data.hosts[0].split) * data.hosts.len();
    (0..until).find(|index| said[*index] != otherwise[*index])
}

/// Ends a row too late.
fn leaky(host: &Host, row: usize) -> &[Row] {
    &host.rows[..(row + 2).min(host.rows.len())]
}

#[test]
fn what_comes_is_not_known_and_a_leak_would_be_found() {
    let data = data();
    let known = data.hosts[0].split + 60;
    assert_eq!(leak(&data, known, Host::until), None);
    let found = leak(&data, known, leaky);
    assert_eq!(
        found,
        Some(60 * data.hosts.len()),
        "the last row that may not know of it"
    );
}

#[test]
fn the_table_has_everybody_and_predictions_are_in_the_units_of_the_trace() {
    let data = data();
    let artifact = learnt(&data);
    let config = artifact.config();
    let mut forecaster = Forecaster::new(config.clone()).unwrap();
    forecaster.adopt(&artifact).unwrap();
    let mut tally = Tally::new(&data, config, 7);
    let mut take = |host: usize, made: &forecast::HostForecasts| tally.add(host, made);
    assert_eq!(
        walk::walk(&data, 0..2, &mut forecaster, Host::until, &mut take),
        2 * 180
    );
    let table = tally.table();
    assert_eq!(table.len(), 2 * 2 * METHODS.len());
    let scored = (180 - 10_u64).div_ceil(7) * 2;
    for line in &table {
        assert_eq!((line.hosts, line.moments), (2, scored), "{line:?}");
        assert!(line.figures.mae.is_finite() && line.figures.mae < 1.0, "{line:?}");
    }
    let shares: f64 = table[..METHODS.len()].iter().filter_map(|line| line.share).sum();
    assert!((shares - 1.0).abs() < 1e-3, "{shares}");
    assert!(report::render(&table).contains("net_rx"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.csv.gz");
    report::predictions(&file, &data, config, &tally).unwrap();
    let mut text = String::new();
    let packed = std::fs::File::open(&file).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * 2 * scored as usize);
    assert!(lines[1].starts_with("a,cpu,25201,300,0."), "{}", lines[1]);
    let rate = lines.iter().find(|line| line.contains("net_rx")).unwrap();
    let p50: f64 = rate.split(',').nth(4).unwrap().parse().unwrap();
    assert!((1e6..3e6).contains(&p50), "{rate}");
    plots::write(folder.path(), &data, config, &tally).unwrap();
    for name in [
        "skill.svg",
        "calibration.svg",
        "fan-cpu-best.svg",
        "fan-net_rx-worst.svg",
    ] {
        let chart = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(chart.ends_with("</svg>\n") && !chart.contains("NaN"), "{name}");
    }
}

#[test]
fn hosts_that_were_left_out_are_not_learnt_from_and_a_network_may_lack_its_lstm() {
    let data = data();
    let config = small(&data);
    let replay = Replay {
        data: &data,
        config: &config,
        stride: 7,
    };
    let (table, never_seen) = (
        replay.ordinary().unwrap().0.table(),
        replay.left_out(1).unwrap().table(),
    );
    let cells = |table: &[tally::Line]| table.iter().map(|line| (line.hosts, line.moments)).collect::<Vec<_>>();
    assert_eq!(cells(&table), cells(&never_seen), "the same moments of the same hosts");
    let learn = |without| walk::learn(&data, &config, without, &|_| ControlFlow::Continue(())).unwrap();
    assert_eq!((learn(0..0).data().hosts, learn(1..2).data().hosts), (2, 1));
    let without = replay.without_lstm().unwrap().table();
    let text = report::beside(&table, &without, "without LSTM");
    assert_eq!(text.lines().count(), 1 + 2 * 2 * 2, "{text}");
    let of = |table: &[tally::Line], method: &str| {
        let lines = table.iter().filter(|line| line.method == method);
        lines.map(|line| line.figures.mae).collect::<Vec<_>>()
    };
    assert_ne!(of(&table, "lstm"), of(&without, "lstm"));
    assert_eq!(
        of(&table, "day"),
        of(&without, "day"),
        "what has no network is the same"
    );
}
