//! Real hosts whose troubles are labelled, through all that raises alarms in a brain: readings by the forecaster's own
//! residuals, states, and states that are expected. How often does an incident begin for nothing?

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anomaly::residual::{Detector, Observation, Phase as Told};
use flate2::read::GzDecoder;
use forecast::{Forecaster, HostWindow};

use super::*;
use crate::config::Anomaly;

/// Rows around an event that belong to it.
const SLACK: usize = 5;
const WEEK: f64 = 10_080.0;

struct Recorded {
    rows: Vec<[f32; Channel::COUNT]>,
    labels: Vec<f32>,
}

fn read(path: &Path) -> Recorded {
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines();
    for line in lines.skip(1) {
        let numbers: Vec<f32> = line.unwrap().split(',').map(|field| field.parse().unwrap()).collect();
        // cpu, memory, and the four rates; no power is read.
        let mut row = [f32::NAN; Channel::COUNT];
        row[..6].copy_from_slice(&numbers[1..=6]);
        rows.push(row);
        labels.push(*numbers.last().unwrap());
    }
    Recorded { rows, labels }
}

impl Recorded {
    /// Whether a labelled row is of no event.
    fn is_normal(&self, row: usize) -> bool {
        let around = row.saturating_sub(SLACK)..(row + SLACK + 1).min(self.labels.len());
        self.labels[row] == 0.0 && self.labels[around].iter().all(|label| *label <= 0.0)
    }
}

/// Incidents that begin in rows labelled normal, and how many rows are.
fn false_alarms(recorded: &Recorded, anomaly: &Anomaly) -> (usize, usize) {
    let config = forecast::Config {
        normalised: true,
        // As far as a brain looks back by default.
        lookback_s: Some(4 * 3_600),
        ..forecast::Config::for_step(60)
    };
    let look = config.lookback_rows();
    let judged_s = config.horizons_s[0];
    let mut forecaster = Forecaster::new(config).unwrap();
    let mut watch = Watch::new(anomaly.budget());
    let mut detectors: BTreeMap<Resource, Detector> = BTreeMap::new();
    let (mut begun, mut normal) = (0, 0);
    for row in 0..recorded.rows.len() {
        let now_ms = (row as i64 + 1) * MINUTE_MS;
        let rows = &recorded.rows[(row + 1).saturating_sub(look)..=row];
        let made = forecaster.step(now_ms, &[HostWindow { host: "web-1", rows }]).remove(0);
        for ripe in made.matured.iter().filter(|ripe| ripe.horizon_s == judged_s) {
            let detector = detectors.entry(ripe.resource);
            let told = detector
                .or_insert_with(|| Detector::new(anomaly.residuals()))
                .observe(&Observation {
                    time_ms: now_ms,
                    value: ripe.value,
                    forecast: &ripe.forecast,
                    scale: ripe.scale,
                });
            if let Some(told) = told.filter(|told| told.phase != Told::Ended && told.until_ms + MINUTE_MS >= now_ms) {
                watch.reading(&host(), ripe.resource, told.until_ms, (told.score, &told.evidence));
            }
        }
        watch.minute(&host(), now_ms, &recorded.rows[row], Attention::Tell);
        watch.forecast(&host(), now_ms, &made.forecasts, Attention::Tell);
        watch.pass(now_ms);
        let changed = watch.take_changed();
        if recorded.is_normal(row) {
            normal += 1;
            let begins = |((_, since_ms), _): &(&(Arc<str>, UnixMs), &(Incident, bool))| *since_ms == now_ms;
            begun += changed.iter().filter(begins).count();
        }
    }
    (begun, normal)
}

#[test]
fn all_kinds_together_raise_no_more_false_alarms_than_were_chosen() {
    let Some(shared) = std::env::var_os("FORESHADOW_SHARED") else {
        return println!("SKIPPED: FORESHADOW_SHARED names no folder of labelled hosts");
    };
    let folder = Path::new(&shared).join("data/traces/smd");
    let anomaly = Anomaly::default();
    let hosts = ["1-2", "1-5", "2-1", "2-4", "3-3"].map(|name| format!("machine-{name}.csv.gz"));
    let each: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let threads = hosts.map(|name| {
            let (path, anomaly) = (folder.join(name), &anomaly);
            scope.spawn(move || false_alarms(&read(&path), anomaly))
        });
        threads.map(|thread| thread.join().unwrap()).into()
    });
    let (begun, normal) = each
        .iter()
        .fold((0, 0), |(a, b), (begun, normal)| (a + begun, b + normal));
    let a_week = begun as f64 / (normal as f64 / WEEK);
    println!("incidents and labelled normal rows by host: {each:?}; {a_week:.2} false alarms a host and week");
    assert!(a_week <= anomaly.false_alarms_per_week, "{a_week:.2}: {each:?}");
}
