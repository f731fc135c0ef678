//! Training on the first part, then row by row through the rest.

use std::ops::Range;

use forecast::{Artifact, Config, Forecaster, History, HostForecasts, HostWindow, TrainError, Watch, train};
use shadow::UnixMs;

use super::data::{Data, Host, Row};

/// Trains on what is learnt from, of all hosts but those in the places `without`.
pub(super) fn learn(
    data: &Data,
    config: &Config,
    without: Range<usize>,
    watch: Watch<'_>,
) -> Result<Artifact, TrainError> {
    let history = |(_, host): (usize, &Host)| History {
        host: host.name.clone(),
        first_ms: 0,
        rows: host.rows.get(..host.split).unwrap_or_default().to_vec(),
        weights: Vec::new(),
    };
    let others = data
        .hosts
        .iter()
        .enumerate()
        .filter(|(place, _)| !without.contains(place));
    let histories: Vec<History> = others.map(history).collect();
    train(&histories, config, None, watch)
}

/// The time of a row in the replay: every host begins at 0.
pub(super) fn time_ms(data: &Data, row: usize) -> UnixMs {
    row as i64 * i64::from(data.step_s) * 1_000
}

/// Steps through the rows behind the learnt ones, of the hosts in the places `hosts`. `window` tells what is known of a host at a row, and `take` is given, host
/// by host, what the forecaster made of it. Returns how many rows there were.
pub(super) fn walk<'a>(
    data: &'a Data,
    hosts: Range<usize>,
    forecaster: &mut Forecaster,
    window: impl Fn(&'a Host, usize) -> &'a [Row],
    take: &mut impl FnMut(usize, &HostForecasts),
) -> usize {
    let first = data.hosts.iter().map(|host| host.split).min().unwrap_or(0);
    let end = data.hosts.iter().map(|host| host.rows.len()).max().unwrap_or(0);
    let mut rows = 0;
    for row in first..end {
        let there =
            |(place, host): &(usize, &Host)| hosts.contains(place) && (host.split..host.rows.len()).contains(&row);
        let hosts: Vec<(usize, &Host)> = data.hosts.iter().enumerate().filter(there).collect();
        let windows = hosts.iter().map(|(_, host)| HostWindow {
            host: &host.name,
            rows: window(host, row),
        });
        let made = forecaster.step(time_ms(data, row), &windows.collect::<Vec<_>>());
        for ((host, _), made) in hosts.iter().zip(&made) {
            take(*host, made);
        }
        rows += made.len();
    }
    rows
}
