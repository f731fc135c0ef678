//! Temperatures of thermal zones and of the platform controller hub: `/sys/class/thermal` and hwmon chips `pch_*`
//! (kernel documentation, `driver-api/thermal/sysfs-api`, `hwmon/sysfs-interface`). Both in thousandths of a degree.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use shadow::{Bound, Metric, Reading};

use super::{
    Place, Probe, Tier,
    parse::metric_part,
    power::{entries, text},
    worker::{Report, Worker},
};
use crate::error::ProbeError;

const ZONES: &str = "sys/class/thermal";
const HWMON: &str = "sys/class/hwmon";

/// The most zones that are read.
const MAX_ZONES: usize = 128;

/// Starts the worker: firmware may take long to ask its controller.
///
/// # Errors
/// [`ProbeError::Absent`] without any zone.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let zones = zones(place);
    if zones.is_empty() {
        let absent = format!("/{ZONES}: no thermal zone, and no hwmon chip of a platform controller hub");
        return Err(ProbeError::Absent(absent));
    }
    let metric = |(name, _): &(String, PathBuf)| Metric::new(name, "Cel", Bound::Absolute { step: 0.5 });
    let metrics = zones.iter().map(metric).collect();
    let files: Vec<PathBuf> = zones.iter().map(|(_, file)| file.clone()).collect();
    let worker = Worker::start(place, "thermal", place.config.slow.duration(), move |_| Report {
        readings: files.iter().map(|file| temperature(file)).collect(),
        ..Report::default()
    })?;
    Ok(Box::new(Thermal {
        place: place.clone(),
        zones,
        metrics,
        worker,
    }))
}

/// Names of metrics and the files behind them.
fn zones(place: &Place) -> Vec<(String, PathBuf)> {
    let zones = entries(&place.path(ZONES)).into_iter();
    let zones = zones.filter_map(|dir| named(&dir.join("type"), dir.join("temp")));
    let chips = entries(&place.path(HWMON)).into_iter();
    let chips = chips.filter_map(|dir| named(&dir.join("name"), dir.join("temp1_input")));
    let mut found: Vec<(String, PathBuf)> = zones.collect();
    // A hub is a chip as well as a zone where its driver shows both.
    let hubs = chips.filter(|(name, _)| name.starts_with("pch_"));
    let hubs: Vec<_> = hubs
        .filter(|(name, _)| found.iter().all(|(known, _)| known != name))
        .collect();
    found.extend(hubs);
    found.truncate(MAX_ZONES);
    numbered(found)
}

fn named(kind: &Path, file: PathBuf) -> Option<(String, PathBuf)> {
    let kind = text(kind);
    (!kind.is_empty() && file.exists()).then(|| (metric_part(&kind), file))
}

/// Of zones of one name, all but the first have their number at the end.
fn numbered(zones: Vec<(String, PathBuf)>) -> Vec<(String, PathBuf)> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let name = |(name, file): (String, PathBuf)| {
        let count = seen.entry(name.clone()).and_modify(|count| *count += 1).or_insert(0);
        let metric = match count {
            0 => format!("thermal.{name}"),
            count => format!("thermal.{name}.{count}"),
        };
        (metric, file)
    };
    zones.into_iter().map(name).collect()
}

/// What the file tells; absolute zero and below stand for a zone that has no reading.
fn temperature(file: &Path) -> Reading {
    const ABSOLUTE_ZERO: f64 = -273.2;
    let Ok(text) = fs::read_to_string(file) else {
        return Reading::FAILED;
    };
    let degrees = text.trim().parse::<i64>().map(|thousandths| thousandths as f64 / 1e3);
    match degrees {
        Ok(degrees) if degrees > ABSOLUTE_ZERO => Reading::new(degrees),
        Ok(_) => Reading::ABSENT,
        Err(_) => Reading::FAILED,
    }
}

struct Thermal {
    place: Place,
    zones: Vec<(String, PathBuf)>,
    metrics: Vec<Metric>,
    worker: Worker,
}

impl Probe for Thermal {
    fn tier(&self) -> Tier {
        Tier::Middle
    }

    fn location(&self) -> String {
        self.place.path(ZONES).display().to_string()
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, _now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        self.worker.take(&self.place, out, &mut Vec::new())?;
        Ok(())
    }

    fn outdated(&mut self) -> bool {
        zones(&self.place) != self.zones
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read, read_fresh};

    #[test]
    fn zones_and_hubs_are_read_once_each() {
        let tree = Tree::new(&[
            ("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n"),
            ("sys/class/thermal/thermal_zone0/temp", "49925\n"),
            ("sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n"),
            ("sys/class/thermal/thermal_zone1/temp", "-44000\n"),
            ("sys/class/thermal/thermal_zone2/type", "pch_skylake\n"),
            ("sys/class/thermal/thermal_zone2/temp", "-274000\n"),
            ("sys/class/thermal/thermal_zone3/type", "bad\n"),
            ("sys/class/thermal/thermal_zone3/temp", "x\n"),
            ("sys/class/thermal/cooling_device0/type", "Processor\n"),
            ("sys/class/hwmon/hwmon0/name", "pch_skylake\n"),
            ("sys/class/hwmon/hwmon0/temp1_input", "50000\n"),
            ("sys/class/hwmon/hwmon1/name", "pch_cannonlake\n"),
            ("sys/class/hwmon/hwmon1/temp1_input", "51000\n"),
        ]);
        let mut probe = open(&tree.place()).unwrap();
        let found = read_fresh(probe.as_mut());
        check(
            &found,
            &[
                ("thermal.x86_pkg_temp", 49.925),
                ("thermal.x86_pkg_temp.1", -44.0),
                ("thermal.pch_cannonlake", 51.0),
            ],
        );
        assert_eq!(found["thermal.pch_skylake"], Reading::ABSENT);
        assert_eq!(found["thermal.bad"], Reading::FAILED);
        assert_eq!(found.len(), 5);
        assert_eq!(read(probe.as_mut(), 1.0).unwrap()["thermal.bad"], Reading::STALE);
        assert!(!probe.outdated());
        tree.remove("sys/class/hwmon/hwmon1");
        assert!(probe.outdated());
    }

    #[test]
    fn a_machine_without_zones_says_so() {
        let absent = open(&Tree::new(&[]).place()).err().unwrap();
        assert_eq!(absent.state(), shadow::SourceState::Absent);
    }
}
