//! States that changed, as findings.
//!
//! What held already at the first look is told only where it is bad: an agent that starts does not tell that power
//! supplies are present, but that one has failed.

use shadow::{Finding, Severity};

use super::{
    SOURCE,
    device::Chassis,
    reading::{Threshold, Thresholds},
    sdr::Sensor,
    severity, words,
};

/// A value and the thresholds that it is compared with.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Numbers {
    /// In the sensor's unit.
    pub(super) value: Option<f64>,
    /// Asked for when a threshold is crossed.
    pub(super) thresholds: Thresholds,
}

/// Whether the thresholds that hold are others than before.
pub(super) fn crossed(before: Option<u16>, now: u16) -> bool {
    Threshold::worst(before.unwrap_or(0)) != Threshold::worst(now)
}

/// A threshold sensor whose worst threshold changed ([`crossed`]).
pub(super) fn threshold(sensor: &Sensor, now: u16, numbers: Numbers) -> Finding {
    let unit = &sensor.unit;
    let value = numbers
        .value
        .map_or_else(String::new, |value| format!(" {value} {unit}"));
    let what = words::kind(sensor.kind);
    let (kind, severity, says) = Threshold::worst(now).map_or(
        ("threshold_cleared", Severity::Info, "within its thresholds again"),
        |worst| ("threshold_crossed", severity(worst), worst.as_str()),
    );
    let mut finding = finding(&sensor.name, kind, severity, format!("{what}{value}: {says}"));
    let limits = Threshold::ALL.into_iter().filter_map(|threshold| {
        let limit = numbers.thresholds.value(threshold, sensor.factors.as_ref()?)?;
        Some((threshold.as_str().replace([' ', '-'], "_"), format!("{limit} {unit}")))
    });
    finding.details.extend(limits);
    finding
}

/// What changed in the states of a sensor that has no thresholds.
pub(super) fn states(sensor: &Sensor, before: Option<u16>, now: u16) -> Vec<Finding> {
    let told = |offset: u8| {
        let (known, bit) = (before.unwrap_or(0) >> offset & 1, now >> offset & 1);
        let (name, bad) = words::state(sensor.kind, sensor.event_type, offset)?;
        let what = words::kind(sensor.kind);
        match (known, bit) {
            (0, 1) if before.is_some() || bad > Severity::Info => {
                let text = format!("{what}: {name}");
                Some(finding(&sensor.name, "state_asserted", bad, text))
            }
            (1, 0) if bad > Severity::Info => {
                let text = format!("{what}: {name} no longer");
                Some(finding(&sensor.name, "state_deasserted", Severity::Info, text))
            }
            _ => None,
        }
    };
    (0..15).filter_map(told).collect()
}

/// What changed in the state of the chassis.
pub(super) fn chassis(before: Option<Chassis>, now: Chassis) -> Vec<Finding> {
    let known = |name: &str| {
        let before = before?;
        before
            .states()
            .find(|(other, ..)| *other == name)
            .map(|(_, _, holds)| holds)
    };
    let told = |(name, fault, holds): (&'static str, bool, bool)| {
        let changed = match known(name) {
            Some(held) => held != holds,
            None => fault && holds,
        };
        let bad = if fault && holds {
            Severity::Warning
        } else {
            Severity::Info
        };
        let text = if holds {
            name.to_owned()
        } else {
            format!("{name} no longer")
        };
        changed.then(|| finding("chassis", "chassis_changed", bad, text))
    };
    now.states().filter_map(told).collect()
}

/// A finding without details.
pub(super) fn finding(subject: &str, kind: &str, severity: Severity, text: String) -> Finding {
    Finding {
        source: SOURCE.to_owned(),
        subject: subject.to_owned(),
        kind: kind.to_owned(),
        severity,
        text,
        details: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bmc::sdr::{Record, tests::full_record};

    fn sensor(kind: u8, event_type: u8) -> Sensor {
        let record = full_record("X", 1, [0, 1, 0], 0, [2, 0, 0, 0, 0, 0]);
        let Record::Sensors(mut sensors) = Record::parse(&record).unwrap() else {
            panic!("no sensor")
        };
        let sensor = sensors.remove(0);
        Sensor {
            kind,
            event_type,
            ..sensor
        }
    }

    fn texts(findings: &[Finding]) -> Vec<(&str, Severity)> {
        findings
            .iter()
            .map(|finding| (&*finding.text, finding.severity))
            .collect()
    }

    #[test]
    fn thresholds_are_told_with_value_and_limits() {
        let numbers = Numbers {
            value: Some(190.0),
            thresholds: Thresholds([None, None, None, Some(90), Some(100), None]),
        };
        assert!(crossed(None, 0b00_1000) && !crossed(None, 0) && !crossed(Some(0b00_1000), 0xc8));
        let rise = threshold(&sensor(1, 1), 0b00_1000, numbers);
        assert_eq!(
            texts(std::slice::from_ref(&rise)),
            [("temperature 190 Cel: upper non-critical", Severity::Warning)]
        );
        let limits = [("upper_non_critical", "180 Cel"), ("upper_critical", "200 Cel")];
        assert_eq!(rise.details, limits.map(|(a, b)| (a.to_owned(), b.to_owned())));
        let worse = threshold(&sensor(1, 1), 0b01_1000, Numbers::default());
        assert_eq!(texts(&[worse]), [("temperature: upper critical", Severity::Critical)]);
        let fall = threshold(&sensor(1, 1), 0xc0, Numbers::default());
        assert_eq!((&*fall.kind, fall.severity), ("threshold_cleared", Severity::Info));
    }

    #[test]
    fn a_first_look_tells_only_what_is_bad() {
        let supply = sensor(8, words::SENSOR_SPECIFIC);
        let check = |before, now, expected: &[(&str, Severity)]| {
            assert_eq!(texts(&states(&supply, before, now)), expected);
        };
        check(None, 0b01, &[]);
        check(None, 0b11, &[("power supply: failure", Severity::Critical)]);
        check(Some(0b01), 0b11, &[("power supply: failure", Severity::Critical)]);
        check(Some(0b11), 0b01, &[("power supply: failure no longer", Severity::Info)]);
        check(Some(0b00), 0b01, &[("power supply: present", Severity::Info)]);
        check(Some(0b01), 0x8001, &[]);
        assert!(
            states(&sensor(8, 0x70), Some(0), 1).is_empty(),
            "the manufacturer's own"
        );
    }

    #[test]
    fn a_chassis_tells_faults_and_its_power() {
        let (off, on, bad) = (
            Chassis { power: 0, misc: 0 },
            Chassis { power: 1, misc: 0 },
            Chassis { power: 9, misc: 4 },
        );
        assert_eq!(texts(&chassis(None, on)), []);
        assert_eq!(texts(&chassis(Some(on), off)), [("power on no longer", Severity::Info)]);
        let faults = [
            ("main power fault", Severity::Warning),
            ("drive fault", Severity::Warning),
        ];
        assert_eq!(texts(&chassis(Some(on), bad)), faults);
        assert_eq!(texts(&chassis(None, bad)), faults);
        assert_eq!(texts(&chassis(Some(bad), on)).len(), 2);
    }
}
