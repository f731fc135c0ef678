//! Power drawn, from whatever the machine has.
//!
//! | meter | file | what it covers |
//! |---|---|---|
//! | `psys` | RAPL zone of that name, `energy_uj` | the whole platform |
//! | `acpi` | hwmon chip `power_meter`, `power*_average` or `_input` | the whole machine, at its supply |
//! | `package` | RAPL zones `package-*`, or registers of the processor | processors |
//! | `dram` | RAPL zones `dram`, or registers of the processor | memory |
//! | `battery` | `power_now`, or `current_now` x `voltage_now` | the whole machine, while it discharges |
//! | `hwmon` | `power*_input` or `_average` of other chips | one device each |
//! | `bmc` | DCMI power reading of the host's BMC | the whole machine, at its supply |
//!
//! Registers serve only where the kernel shows no zone, for both are the same counters.
//!
//! The host's power is the first of: bmc, psys, acpi, package + dram, battery, hwmon. Where the BMC and the
//! machine are measured, `power.residual` is what the former sees more. Sources: kernel documentation
//! `power/powercap`, `hwmon/sysfs-interface`, `ABI/testing/sysfs-class-power`; DCMI 1.5, 6.6.1.

use std::{fs, path::Path, path::PathBuf};

use shadow::{Bound, Channel, Metric, Reading, SourceState, metric::channel_metric, rate::RateMeter};

use super::{
    Place, Probe, Tier,
    disk::scaled,
    file::KeptFile,
    msr::rapl::{self, Domain, EnergyCounter},
    network::total,
    parse::number,
};
use crate::error::ProbeError;
use bmc::BmcMeter;

mod bmc;

/// Kinds of meters, the most telling first; `Package` and `Dram` are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Psys,
    Acpi,
    Package,
    Dram,
    Battery,
    Hwmon,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Psys => "psys",
            Self::Acpi => "acpi",
            Self::Package => "package",
            Self::Dram => "dram",
            Self::Battery => "battery",
            Self::Hwmon => "hwmon",
        }
    }

    /// Whether meters of this kind make up the host's power when `best` is the best kind there is.
    fn serves(self, best: Self) -> bool {
        self == best || (best == Self::Package && self == Self::Dram)
    }
}

/// Opens every power meter of the machine.
///
/// # Errors
/// [`ProbeError::Absent`] without any; the fault of the first that is there but cannot be read
/// (`energy_uj` wants root since CVE-2020-8694).
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let (mut meters, mut fault) = (Vec::new(), None);
    // Out of band, the files here are those of another machine.
    let local = if place.is_inband() { found(place) } else { Vec::new() };
    for (kind, source) in local {
        match Meter::open(kind, source) {
            Ok(meter) => meters.push(meter),
            Err(why) => fault = fault.or(Some(why)),
        }
    }
    match registers(place) {
        Ok(counters) => meters.extend(counters),
        Err(why) => fault = fault.or(Some(why).filter(|why| why.state() != SourceState::Absent)),
    }
    meters.sort_by_key(|meter: &Meter| meter.kind);
    let best = meters.first().map(|meter| meter.kind);
    let bmc = place.bmc.clone().map(|watch| BmcMeter::new(watch, best.is_some()));
    if best.is_none() && !bmc.as_ref().is_some_and(BmcMeter::measures) {
        let absent = "no RAPL zone, no power meter in hwmon, no battery that tells its power, no BMC that measures it";
        return Err(fault.unwrap_or_else(|| ProbeError::Absent(absent.to_owned())));
    }
    let mut metrics = vec![channel_metric(Channel::Power)];
    for (i, meter) in meters.iter().enumerate() {
        let same = meters.iter().take(i).filter(|m| m.kind == meter.kind).count();
        let name = format!("power.{}.{same}", meter.kind.as_str());
        metrics.push(Metric::new(name, "W", Bound::Absolute { step: 0.1 }));
    }
    metrics.extend(bmc.iter().flat_map(BmcMeter::metrics));
    Ok(Box::new(Power {
        meters,
        best,
        bmc,
        metrics,
    }))
}

struct Power {
    meters: Vec<Meter>,
    /// `None` where there is the BMC alone.
    best: Option<Kind>,
    bmc: Option<BmcMeter>,
    metrics: Vec<Metric>,
}

impl Probe for Power {
    fn tier(&self) -> Tier {
        Tier::Middle
    }

    fn location(&self) -> String {
        let mut places: Vec<String> = self.meters.iter().map(Meter::location).collect();
        if self.bmc.as_ref().is_some_and(BmcMeter::measures) {
            places.push("DCMI power reading of the BMC".to_owned());
        }
        places.join(", ")
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let Some((sum, rest)) = out.split_first_mut() else {
            return Ok(());
        };
        let (parts, of_bmc) = rest.split_at_mut(self.meters.len().min(rest.len()));
        for (meter, place) in self.meters.iter_mut().zip(parts.iter_mut()) {
            *place = meter.read(now_ns).unwrap_or(Reading::FAILED);
        }
        let meters = self.meters.iter().zip(parts.iter());
        let serving = meters
            .filter(|(m, _)| self.best.is_some_and(|best| m.kind.serves(best)))
            .map(|(_, reading)| reading);
        *sum = total(serving);
        if let Some(bmc) = self.bmc.as_mut().filter(|bmc| bmc.measures()) {
            bmc.read(now_ns, sum, of_bmc);
        }
        Ok(())
    }

    fn outdated(&mut self) -> bool {
        self.bmc.as_ref().is_some_and(BmcMeter::is_outdated)
    }
}

/// How one meter is read.
enum Source {
    /// Microjoules, counted up to a maximum, then from 0 again.
    Energy { counter: PathBuf, range: PathBuf },
    /// Microwatts.
    Power(PathBuf),
    /// Microamperes and microvolts.
    CurrentVoltage(PathBuf, PathBuf),
}

struct Meter {
    kind: Kind,
    state: State,
}

enum State {
    Energy(KeptFile, EnergyMeter),
    Power(KeptFile),
    Current { current: KeptFile, voltage: KeptFile },
    Register(EnergyCounter, EnergyMeter),
}

impl Meter {
    fn open(kind: Kind, source: Source) -> Result<Self, ProbeError> {
        let open = |path: PathBuf| {
            let file = KeptFile::open(path)?;
            file.number()?;
            Ok(file)
        };
        let state = match source {
            Source::Energy { counter, range } => {
                let range = KeptFile::open(range).and_then(|file| file.number()).unwrap_or(u64::MAX);
                State::Energy(open(counter)?, EnergyMeter::new(range, 1e-6))
            }
            Source::Power(path) => State::Power(open(path)?),
            Source::CurrentVoltage(current, voltage) => State::Current {
                current: open(current)?,
                voltage: KeptFile::open(voltage)?,
            },
        };
        Ok(Self { kind, state })
    }

    fn of(counter: EnergyCounter) -> Self {
        let kind = match counter.domain {
            Domain::Package => Kind::Package,
            Domain::Dram => Kind::Dram,
        };
        let meter = EnergyMeter::new(1 << 32, counter.joules);
        let state = State::Register(counter, meter);
        Self { kind, state }
    }

    fn location(&self) -> String {
        match &self.state {
            State::Energy(file, _) | State::Power(file) | State::Current { current: file, .. } => {
                file.path().display().to_string()
            }
            State::Register(counter, _) => counter.location.clone(),
        }
    }

    fn read(&mut self, now_ns: u64) -> Result<Reading, ProbeError> {
        Ok(match &mut self.state {
            State::Energy(file, meter) => meter.update(file.number()?, now_ns),
            State::Power(file) => Reading::new(file.number()? as f64 / 1e6),
            State::Current { current, voltage } => {
                Reading::new(current.number()? as f64 / 1e6 * (voltage.number()? as f64 / 1e6))
            }
            State::Register(counter, meter) => match counter.count() {
                Some(count) => meter.update(count.into(), now_ns),
                None => Reading::FAILED,
            },
        })
    }
}

/// Energy to power, over the end of the counter's range.
struct EnergyMeter {
    range: u64,
    /// What one count stands for.
    joules: f64,
    last: u64,
    counted: u64,
    meter: RateMeter,
}

impl EnergyMeter {
    fn new(range: u64, joules: f64) -> Self {
        Self {
            range,
            joules,
            last: 0,
            counted: 0,
            meter: RateMeter::default(),
        }
    }

    fn update(&mut self, count: u64, now_ns: u64) -> Reading {
        let last = std::mem::replace(&mut self.last, count);
        let more = match count.checked_sub(last) {
            Some(more) => more,
            None => self.range.saturating_sub(last).saturating_add(count),
        };
        self.counted = self.counted.wrapping_add(more);
        scaled(self.meter.update(self.counted, now_ns), self.joules)
    }
}

/// Every meter that shows itself under `sys/class`.
fn found(place: &Place) -> Vec<(Kind, Source)> {
    let mut found = Vec::new();
    found.extend(
        entries(&place.path("sys/class/powercap"))
            .iter()
            .filter_map(|dir| zone(dir)),
    );
    found.extend(
        entries(&place.path("sys/class/hwmon"))
            .iter()
            .flat_map(|dir| hwmon(dir)),
    );
    found.extend(
        entries(&place.path("sys/class/power_supply"))
            .iter()
            .filter_map(|dir| battery(dir)),
    );
    found
}

/// The counters of the processors' registers, where the kernel shows no zone of them. Out of band they are another's.
fn registers(place: &Place) -> Result<Vec<Meter>, ProbeError> {
    let zones = entries(&place.path("sys/class/powercap"));
    let is_rapl = |dir: &PathBuf| dir.file_name().and_then(|name| name.to_str()).is_some_and(is_rapl_zone);
    if !place.is_inband() || zones.iter().any(is_rapl) {
        return Ok(Vec::new());
    }
    Ok(rapl::counters(place)?.into_iter().map(Meter::of).collect())
}

/// Zones called `intel-rapl-mmio` show the same packages once more.
fn is_rapl_zone(name: &str) -> bool {
    name.starts_with("intel-rapl:")
}

/// The paths in a directory, sorted; none where there is no directory.
pub(super) fn entries(dir: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The text of a small file without its end of line, or empty.
pub(crate) fn text(path: &Path) -> String {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

fn zone(dir: &Path) -> Option<(Kind, Source)> {
    if !is_rapl_zone(dir.file_name()?.to_str()?) {
        return None;
    }
    let kind = match text(&dir.join("name")).as_str() {
        "psys" => Kind::Psys,
        "dram" => Kind::Dram,
        name if name.starts_with("package") => Kind::Package,
        _ => return None,
    };
    let energy = Source::Energy {
        counter: dir.join("energy_uj"),
        range: dir.join("max_energy_range_uj"),
    };
    Some((kind, energy))
}

fn hwmon(dir: &Path) -> Vec<(Kind, Source)> {
    let kind = if text(&dir.join("name")) == "power_meter" {
        Kind::Acpi
    } else {
        Kind::Hwmon
    };
    let mut channels: Vec<(u64, PathBuf)> = Vec::new();
    for path in entries(dir) {
        let Some(channel) = path.file_name().and_then(|n| n.to_str()).and_then(power_channel) else {
            continue;
        };
        // "average" sorts before "input": where a chip has both, the average of its interval is kept.
        if channels.iter().all(|(known, _)| *known != channel) {
            channels.push((channel, path));
        }
    }
    channels
        .into_iter()
        .map(|(_, path)| (kind, Source::Power(path)))
        .collect()
}

/// 1 of `power1_input` and of `power1_average`.
fn power_channel(file: &str) -> Option<u64> {
    let (channel, what) = file.strip_prefix("power")?.split_once('_')?;
    if matches!(what, "input" | "average") {
        number(channel.as_bytes())
    } else {
        None
    }
}

fn battery(dir: &Path) -> Option<(Kind, Source)> {
    if text(&dir.join("type")) != "Battery" {
        return None;
    }
    let power = dir.join("power_now");
    if power.exists() {
        return Some((Kind::Battery, Source::Power(power)));
    }
    let (current, voltage) = (dir.join("current_now"), dir.join("voltage_now"));
    let both = current.exists() && voltage.exists();
    both.then_some((Kind::Battery, Source::CurrentVoltage(current, voltage)))
}

#[cfg(test)]
mod tests;
