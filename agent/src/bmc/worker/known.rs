//! What a BMC is and has: read when it answers for the first time, and when its sensors change.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use shadow::{Bound, Metric};

use super::{BmcError, Transport, Worker};
use crate::{
    bmc::{
        client::{self, Progress},
        device::{DeviceId, manufacturer},
        fru::Fru,
        quarantine::Quarantine,
        sdr::Sensor,
        watch::TAKEN,
    },
    probe::metric_part,
};

/// The most sensors that are watched.
const MAX_SENSORS: usize = 1_024;

/// The address of the BMC on its own bus: sensors of others would have to be asked through a bridge.
const BMC: u8 = 0x20;

/// How many faults end a turn, one after the other while no record was read.
const MAX_IDLE: u32 = 3;

/// How long a repository is taken for the same whatever its time stamps say: of some BMCs they never rest.
const SETTLED: Duration = Duration::from_mins(5);

/// What is known of the BMC.
pub(super) struct Known {
    read_at: Instant,
    /// When the repository was changed.
    stamp: Stamp,
    /// Whether everything was told; else it is asked for again.
    pub(super) complete: bool,
    pub(super) sensors: Vec<Watched>,
    /// Whether it has DCMI, even if it does not measure power now.
    pub(super) has_dcmi: bool,
}

/// A repository that is being read, and when it was changed.
#[derive(Default)]
pub(super) struct Discovery {
    stamp: Stamp,
    progress: Progress,
}

type Stamp = [u8; 8];

/// A sensor, and what was last heard of it.
pub(super) struct Watched {
    pub(super) sensor: Sensor,
    /// Its place among the metrics; `None` where it tells states alone.
    pub(super) column: Option<usize>,
    pub(super) states: Option<u16>,
    pub(super) quarantine: Quarantine,
}

impl Known {
    /// Whether it need not be asked for again.
    fn holds(&self, stamp: Stamp) -> bool {
        (self.stamp == stamp && self.complete) || self.read_at.elapsed() < SETTLED
    }

    /// The sensors that are to be asked.
    pub(super) fn due(&self, now: Instant) -> Vec<usize> {
        let asked = self.sensors.iter().enumerate();
        asked
            .filter(|(_, watched)| watched.quarantine.is_over(now))
            .map(|(i, _)| i)
            .collect()
    }

    /// How many are left alone.
    pub(super) fn resting(&self, now: Instant) -> usize {
        self.sensors
            .iter()
            .filter(|watched| !watched.quarantine.is_over(now))
            .count()
    }
}

impl Worker {
    /// Asks who the BMC is and which sensors it has, unless that is known and its repository has not changed.
    pub(super) fn know(&mut self) -> Result<(), BmcError> {
        let stamp = self.ask_for(client::repository_stamp)?.unwrap_or_default();
        if self.known.as_ref().is_some_and(|known| known.holds(stamp)) {
            return Ok(());
        }
        let device = self.ask(client::device_id)?;
        let named = match self.ask_for(client::fru) {
            Ok(fru) => Some(fru.flatten()),
            // Names can wait.
            Err(fault) if fault.is_lost() => None,
            Err(fault) => return Err(fault),
        };
        let has_dcmi = self.ask_once(client::power)?.is_some();
        let (sensors, complete) = self.repository(stamp)?;
        let complete = complete && named.is_some();
        self.state().inventory = Some(inventory(&device, named.flatten().unwrap_or_default()));
        let sensors = self.watch(sensors);
        self.known = Some(Known {
            read_at: Instant::now(),
            stamp,
            complete,
            sensors,
            has_dcmi,
        });
        Ok(())
    }

    /// The sensors of the repository, and whether those are all. A fault costs the record that was asked for: reading
    /// goes on there, at once while that leads on, else in the next turn.
    fn repository(&mut self, stamp: Stamp) -> Result<(Vec<Sensor>, bool), BmcError> {
        let begun = self.discovery.take().filter(|discovery| discovery.stamp == stamp);
        let mut progress = begun.map(|discovery| discovery.progress).unwrap_or_default();
        let mut idle = 0;
        loop {
            let before = progress.records();
            let done = self.ask(|transport| client::read_on(transport, &mut progress));
            idle = if progress.records() > before { 0 } else { idle + 1 };
            match done {
                Ok(()) => return Ok((progress.sensors, true)),
                Err(fault) if fault.is_lost() && idle < MAX_IDLE => {}
                Err(fault) if fault.wants_new_session() || fault.is_passing() => {
                    self.discovery = Some(Discovery { stamp, progress });
                    return Err(fault);
                }
                Err(fault) => {
                    tracing::info!(%fault, sensors = progress.sensors.len(), "the BMC tells no more sensors");
                    return Ok((progress.sensors, client::is_absent(&fault)));
                }
            }
        }
    }

    /// A new layout, unless the sensors are those that are known: then nothing is forgotten of them.
    fn watch(&mut self, mut sensors: Vec<Sensor>) -> Vec<Watched> {
        let found = sensors.len();
        // A number is unique with its owner alone: asked of the BMC it would be another sensor.
        sensors.retain(|sensor| sensor.owner == BMC);
        let bridged = found - sensors.len();
        sensors.truncate(MAX_SENSORS);
        if sensors.len() < found {
            let left_out = found - sensors.len();
            tracing::info!(left_out, bridged, "sensors of other controllers, or too many");
        }
        self.state().bridged = bridged;
        let known = self.known.take().map(|known| known.sensors).unwrap_or_default();
        if known.iter().map(|watched| &watched.sensor).eq(&sensors) && self.state().has_layout() {
            return known;
        }
        let (metrics, watched) = watched(sensors);
        tracing::info!(sensors = watched.len(), metrics = metrics.len(), "the BMC answers");
        self.state().lay_out(metrics);
        watched
    }

    /// Asks for what is not asked for again for long: that the BMC is busy is no answer.
    fn ask_once<T>(
        &mut self,
        what: impl FnOnce(&mut dyn Transport) -> Result<T, BmcError>,
    ) -> Result<Option<T>, BmcError> {
        let mut passing = None;
        let answer = self.ask_for(|transport| {
            what(transport).inspect_err(|fault| passing = Some(fault.clone()).filter(BmcError::is_passing))
        })?;
        passing.map_or(Ok(answer), Err)
    }
}

fn inventory(device: &DeviceId, fru: Fru) -> shadow::Bmc {
    let maker = match manufacturer(device.manufacturer) {
        "" => format!("enterprise {}", device.manufacturer),
        name => name.to_owned(),
    };
    shadow::Bmc {
        manufacturer: maker,
        product_id: device.product,
        firmware: device.firmware.clone(),
        ipmi: device.ipmi.clone(),
        board_manufacturer: fru.board_manufacturer,
        board_product: fru.board_product,
        board_serial: fru.board_serial,
        system_manufacturer: fru.manufacturer,
        system_product: fru.product,
        system_serial: fru.serial,
    }
}

/// A metric for each sensor that returns numbers.
fn watched(sensors: Vec<Sensor>) -> (Vec<Metric>, Vec<Watched>) {
    let names = names(&sensors);
    let mut metrics = Vec::new();
    let watch = |(sensor, name): (Sensor, String)| {
        let column = sensor.factors.map(|factors| {
            // Neighbouring values stay apart, wherever their grid begins.
            let bound = factors.step().map_or(
                Bound::Relative {
                    ratio: 0.002,
                    floor: 1e-3,
                },
                |step| Bound::Absolute { step: step / 4.0 },
            );
            metrics.push(Metric::new(format!("bmc.{name}"), &sensor.unit, bound));
            metrics.len() - 1
        });
        Watched {
            sensor,
            column,
            states: None,
            quarantine: Quarantine::default(),
        }
    };
    let watched = sensors.into_iter().zip(names).map(watch).collect();
    (metrics, watched)
}

/// Names for metrics: of sensors that share one, each gets its logical unit and number behind it.
fn names(sensors: &[Sensor]) -> Vec<String> {
    let plain: Vec<String> = sensors.iter().map(|sensor| metric_part(&sensor.name)).collect();
    let mut count: HashMap<&str, u32> = TAKEN.map(|name| (name, 1)).into();
    for name in &plain {
        *count.entry(name).or_default() += 1;
    }
    let named = |(name, sensor): (&String, &Sensor)| match count.get(&**name) {
        Some(1) if !name.is_empty() => name.clone(),
        _ => format!("{name}.{}{:02x}", sensor.lun, sensor.number),
    };
    plain.iter().zip(sensors).map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bmc::sdr::{Record, tests::full_record};

    fn sensor(name: &str, number: u8) -> Sensor {
        match Record::parse(&full_record(name, number, [0, 1, 0], 0, [4, 0, 0, 0, 0, 0])).unwrap() {
            Record::Sensors(mut sensors) => sensors.remove(0),
            Record::Other { .. } => panic!("no sensor"),
        }
    }

    #[test]
    fn names_are_unique_and_take_no_other_metrics_place() {
        let sensors = [("CPU Temp", 1), ("Temp", 2), ("Temp", 10), ("power", 3), ("", 4)].map(|(n, i)| sensor(n, i));
        assert_eq!(
            names(&sensors),
            ["CPU_Temp", "Temp.002", "Temp.00a", "power.003", ".004"]
        );
    }

    #[test]
    fn sensors_without_numbers_have_no_metric() {
        let states = Sensor {
            factors: None,
            ..sensor("Status", 7)
        };
        let (metrics, watched) = watched(vec![sensor("A", 1), states, sensor("B", 2)]);
        let columns: Vec<_> = watched.iter().map(|watched| watched.column).collect();
        assert_eq!(columns, [Some(0), None, Some(1)]);
        assert_eq!((&*metrics[1].name, &*metrics[1].unit), ("bmc.B", "Cel"));
        assert_eq!(metrics[1].bound, Bound::Absolute { step: 1.0 });
    }
}
