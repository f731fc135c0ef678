//! The BMC's side against a simulated BMC over RMCP+: values are what `ipmitool` prints, and a bad network costs
//! its own readings and nothing else.
//!
//! Wants Debian's `openipmi`, `libopenipmi-dev` and `ipmitool`, and `FORESHADOW_IPMI_LAB`, a folder with `dcmi.c`, a
//! module for `ipmi_sim` that answers DCMI commands.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed; clippy knows tests by their functions only, not their helpers"
)]

mod lab;
#[path = "../../../tests/e2e/ports.rs"]
mod ports;
mod proxy;
mod watch;

use std::time::{Duration, Instant};

use agent::bmc::{
    client,
    reading::Threshold,
    sdr::Sensor,
    session::{self, Address, Transport},
};
use lab::{Lab, SENSORS, SUPPLY, THRESHOLDS};
use shadow::{Finding, Severity};

const DEADLINE: Duration = Duration::from_millis(400);

fn open(address: &Address) -> Box<dyn Transport> {
    session::open(address, Duration::from_secs(5)).unwrap()
}

/// What stands behind `name :` in what `ipmitool` prints.
fn said(text: &str, name: &str) -> String {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.trim() == name);
    found
        .unwrap_or_else(|| panic!("no {name:?} in {text}"))
        .1
        .trim()
        .to_owned()
}

/// Within what `ipmitool` prints of a number: three digits behind the point.
fn same(ours: Option<f64>, theirs: &str) -> bool {
    match (ours, theirs.parse::<f64>()) {
        (Some(ours), Ok(theirs)) => (ours - theirs).abs() <= 5.1e-4 + 1e-9 * theirs.abs(),
        (None, Err(_)) => true,
        _ => false,
    }
}

#[test]
fn every_sensor_reads_as_with_ipmitool() {
    let Some(lab) = Lab::start() else { return };
    let mut bmc = open(&lab.address(lab.port()));
    let sensors = client::sensors(bmc.as_mut()).unwrap();
    assert_eq!(sensors.len(), SENSORS.len() + 1);
    let printed = lab.tool(&["sensor", "list"]);
    let rows: Vec<Vec<&str>> = printed
        .lines()
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), sensors.len(), "{printed}");
    let mut compared = 0;
    for (sensor, row) in sensors.iter().zip(&rows) {
        assert_eq!(sensor.name, row[0]);
        if sensor.number == SUPPLY {
            let states = client::reading(bmc.as_mut(), sensor).unwrap().states;
            assert_eq!((states, row[3]), (1, "0x0100"), "present, in the notation of ipmitool");
            continue;
        }
        assert!(
            same(value(bmc.as_mut(), sensor), row[1]),
            "{row:?}: {:?}",
            value(bmc.as_mut(), sensor)
        );
        if row[1] != "na" {
            compare_thresholds(bmc.as_mut(), sensor, row);
        }
        compared += 1;
    }
    eprintln!("{compared} sensors and their thresholds read as with ipmitool");
}

fn value(bmc: &mut dyn Transport, sensor: &Sensor) -> Option<f64> {
    match client::reading(bmc, sensor) {
        Ok(reading) => client::value(bmc, sensor, reading.raw?).unwrap(),
        Err(fault) if client::is_absent(&fault) => None,
        Err(fault) => panic!("{}: {fault}", sensor.name),
    }
}

fn compare_thresholds(bmc: &mut dyn Transport, sensor: &Sensor, row: &[&str]) {
    let thresholds = client::thresholds(bmc, sensor).unwrap();
    assert_eq!(thresholds.0, THRESHOLDS.map(Some));
    let columns = [
        (4, Threshold::LowerNonRecoverable),
        (5, Threshold::LowerCritical),
        (6, Threshold::LowerNonCritical),
        (7, Threshold::UpperNonCritical),
        (8, Threshold::UpperCritical),
        (9, Threshold::UpperNonRecoverable),
    ];
    for (column, threshold) in columns {
        let ours = thresholds.value(threshold, &sensor.factors.unwrap());
        // ipmitool prints what is not finite, too.
        let theirs = if row[column].contains("inf") {
            "none"
        } else {
            row[column]
        };
        assert!(same(ours, theirs), "{threshold:?} of {row:?}: {ours:?}");
    }
}

#[test]
fn power_identity_names_and_chassis_are_as_with_ipmitool() {
    let Some(lab) = Lab::start() else { return };
    let mut bmc = open(&lab.address(lab.port()));
    let watts =
        |text: &str, name: &str| -> u16 { said(text, name).split_whitespace().next().unwrap().parse().unwrap() };
    for power in [232, 65_535, 0] {
        lab.set_power(power);
        let ours = client::power(bmc.as_mut()).unwrap();
        let theirs = lab.tool(&["dcmi", "power", "reading"]);
        assert_eq!(ours.watts, watts(&theirs, "Instantaneous power reading"));
        assert_eq!(ours.min_w, watts(&theirs, "Minimum during sampling period"));
        assert_eq!(ours.max_w, watts(&theirs, "Maximum during sampling period"));
        assert_eq!(
            ours.average_w,
            watts(&theirs, "Average power reading over sample period")
        );
        assert!(ours.active);
    }
    assert!(!client::power_limit(bmc.as_mut()).unwrap().active);
    lab.tool(&["dcmi", "power", "set_limit", "limit", "300"]);
    lab.tool(&["dcmi", "power", "activate"]);
    let (ours, theirs) = (
        client::power_limit(bmc.as_mut()).unwrap(),
        lab.tool(&["dcmi", "power", "get_limit"]),
    );
    assert_eq!((ours.active, ours.watts), (true, watts(&theirs, "Power Limit")));
    assert_eq!(ours.correction_ms, u32::from(watts(&theirs, "Correction time")));

    let (device, info) = (client::device_id(bmc.as_mut()).unwrap(), lab.tool(&["mc", "info"]));
    assert_eq!(device.manufacturer.to_string(), said(&info, "Manufacturer ID"));
    assert_eq!(device.firmware, said(&info, "Firmware Revision"));
    assert_eq!(device.ipmi, said(&info, "IPMI Version"));
    assert!(said(&info, "Product ID").starts_with(&device.product.to_string()));

    let (fru, printed) = (
        client::fru(bmc.as_mut()).unwrap().unwrap(),
        lab.tool(&["fru", "print", "0"]),
    );
    let names = [
        (&fru.board_manufacturer, "Board Mfg"),
        (&fru.board_product, "Board Product"),
        (&fru.board_serial, "Board Serial"),
        (&fru.manufacturer, "Product Manufacturer"),
        (&fru.product, "Product Name"),
        (&fru.serial, "Product Serial"),
    ];
    for (ours, name) in names {
        assert_eq!(*ours, said(&printed, name));
    }
    let on = said(&lab.tool(&["chassis", "status"]), "System Power") == "on";
    assert_eq!(client::chassis(bmc.as_mut()).unwrap().is_on(), on);
}

#[test]
fn the_event_log_is_as_with_ipmitool() {
    let Some(lab) = Lab::start() else { return };
    let mut bmc = open(&lab.address(lab.port()));
    let sensors = client::sensors(bmc.as_mut()).unwrap();
    let (mut id, mut ours) = (0, Vec::new());
    while id != client::LAST {
        let (next, entry) = client::sel_entry(bmc.as_mut(), id).unwrap();
        ours.push(entry.unwrap());
        id = next;
    }
    let printed = lab.tool(&["sel", "elist"]);
    assert_eq!(ours.len(), printed.lines().count());
    assert_eq!(client::sel_info(bmc.as_mut()).unwrap().entries, 5);
    for (entry, line) in ours.iter().zip(printed.lines()) {
        let theirs: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(format!("{:x}", entry.id), theirs[0]);
        let finding = entry.finding(&sensors);
        eprintln!(
            "{} ({:?}): {}   <- {line}",
            finding.subject, finding.severity, finding.text
        );
        let asserted = !finding.text.contains("no longer");
        assert!(
            theirs.contains(&if asserted { "Asserted" } else { "Deasserted" }),
            "{line}"
        );
    }
    let told = |i: usize| {
        let Finding {
            subject,
            severity,
            text,
            ..
        } = ours[i].finding(&sensors);
        (subject, severity, text)
    };
    // ipmitool: "Upper Non-critical going high | Asserted | Reading 95 > Threshold 90 degrees C".
    let (subject, severity, text) = told(0);
    assert_eq!((&*subject, severity), ("CPU0 Temp", Severity::Warning));
    assert_eq!(text, "temperature: upper non-critical going high: 95 against 90 Cel");
    assert_eq!(
        told(3),
        (
            "PSU1 Status".to_owned(),
            Severity::Critical,
            "power supply: failure".to_owned()
        )
    );
    // The sensor with negative M: raw 60 and 70 are 40 and 30.
    assert_eq!(
        told(4).2,
        "temperature: lower critical going low no longer: 40 against 30 Cel"
    );
}

#[test]
fn sessions_are_ended() {
    let Some(lab) = Lab::start() else { return };
    // Get Session Info: handle, possible sessions, active sessions, that of ipmitool among them.
    let active = || {
        let info = lab.tool(&["raw", "0x06", "0x3d", "0"]);
        u8::from_str_radix(info.split_whitespace().nth(2).unwrap(), 16).unwrap()
    };
    let before = active();
    for _ in 0..20 {
        let mut bmc = open(&lab.address(lab.port()));
        client::device_id(bmc.as_mut()).unwrap();
    }
    // The end of the last one may still be on its way.
    let begun = Instant::now();
    while active() > before {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{} sessions, {before} before",
            active()
        );
    }
}

#[test]
fn a_wrong_password_is_told_as_such_and_not_shown() {
    let Some(lab) = Lab::start() else { return };
    let Address::Lan { host, user, password } = lab.address(lab.port()) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    std::fs::write(&path, "not-the-secret").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let wrong = agent::bmc::credentials::PasswordSource::File(path);
    let fault = |user: &str, password| {
        let (host, user) = (host.clone(), user.to_owned());
        let opened = session::open(&Address::Lan { host, user, password }, DEADLINE);
        opened.err().unwrap().to_string()
    };
    let wrong = fault(&user, wrong);
    assert!(
        wrong.contains("the user or the password is wrong") && !wrong.contains("not-the-secret"),
        "{wrong}"
    );
    let stranger = fault("nobody", password);
    assert!(stranger.contains("the user or the password is wrong"), "{stranger}");
}
