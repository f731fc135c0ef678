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
mod proxy;

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use agent::bmc::{
    Watch, client,
    reading::Threshold,
    sdr::Sensor,
    session::{self, Address, Transport},
    watch::Settings,
};
use lab::{Lab, SENSORS, SUPPLY, THRESHOLDS};
use proxy::{Fate, Proxy};
use shadow::{Finding, Reading, Severity};

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

/// What a watch has told.
struct Told {
    watch: Watch,
    names: Vec<String>,
    seen: u64,
    values: BTreeMap<String, Vec<f64>>,
    findings: Vec<Finding>,
    /// The longest that taking readings over has taken.
    longest: Duration,
}

impl Told {
    fn start(address: Address) -> Self {
        let interval = Duration::from_millis(50);
        let watch = Watch::start(Settings {
            address,
            interval,
            deadline: DEADLINE,
        });
        let begun = Instant::now();
        let names = loop {
            match watch.metrics() {
                Ok((_, metrics)) => break metrics.into_iter().map(|metric| metric.name).collect(),
                Err(fault) => assert!(begun.elapsed() < Duration::from_secs(30), "{fault}"),
            }
            thread::sleep(Duration::from_millis(20));
        };
        Self {
            watch,
            names,
            seen: 0,
            values: BTreeMap::new(),
            findings: Vec::new(),
            longest: Duration::ZERO,
        }
    }

    /// Takes over what comes for `time`, as a sampler does.
    fn follow(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.take();
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn take(&mut self) {
        let mut row = vec![Reading::STALE; self.names.len()];
        let begun = Instant::now();
        self.watch.take(&mut self.seen, &mut row);
        let findings = self.watch.take_findings();
        self.longest = self.longest.max(begun.elapsed());
        self.findings.extend(findings);
        for (name, value) in self
            .names
            .iter()
            .zip(row)
            .filter_map(|(name, reading)| Some((name, reading.value()?)))
        {
            self.values.entry(name.clone()).or_default().push(value);
        }
    }

    /// The values of sensors and power that have come since the last call, each once.
    fn distinct(&mut self) -> BTreeMap<String, BTreeSet<u64>> {
        let measured = |name: &String| !["bmc.age", "bmc.scan_time", "bmc.resting", "bmc.on"].contains(&&**name);
        let told = std::mem::take(&mut self.values)
            .into_iter()
            .filter(|(name, _)| measured(name));
        told.map(|(name, values)| (name, values.into_iter().map(f64::to_bits).collect()))
            .collect()
    }
}

/// The rule that each reply, one in five, has a fate of `fates`.
fn one_in_five(fates: Vec<Fate>) -> impl Fn(u64) -> Fate + Send {
    move |n| {
        // Numbers that look random and are the same each time.
        let dice = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let fate = usize::try_from(dice / 5).unwrap() % fates.len();
        if dice % 5 == 0 { fates[fate] } else { Fate::Passed }
    }
}

#[test]
fn a_bad_network_costs_its_own_readings_and_nothing_else() {
    let Some(lab) = Lab::start() else { return };
    let late = Fate::Late(DEADLINE + Duration::from_millis(100));
    let slow = Fate::Late(Duration::from_millis(100));
    let cases: [(&str, Vec<Fate>); 8] = [
        ("slow", vec![slow]),
        ("dropped", vec![Fate::Dropped]),
        ("late", vec![late]),
        ("twice", vec![Fate::Twice]),
        ("cut", vec![Fate::Cut(4), Fate::Cut(20), Fate::Cut(40), Fate::Cut(0)]),
        ("garbled", vec![Fate::Garbled]),
        ("overtaken", vec![Fate::Overtaken]),
        (
            "all",
            vec![
                slow,
                late,
                Fate::Dropped,
                Fate::Twice,
                Fate::Cut(30),
                Fate::Garbled,
                Fate::Overtaken,
            ],
        ),
    ];
    thread::scope(|scope| {
        for (name, fates) in cases {
            let lab = &lab;
            scope.spawn(move || suffers(lab, name, fates));
        }
    });
}

fn suffers(lab: &Lab, name: &str, fates: Vec<Fate>) {
    let proxy = Proxy::start(lab.port());
    let mut told = Told::start(lab.address(proxy.port()));
    told.follow(Duration::from_secs(2));
    let healthy = told.distinct();
    let measured = SENSORS.iter().filter(|spec| spec.there).count();
    assert_eq!(healthy.len(), measured, "{name}: {:?}", healthy.keys());
    assert!(healthy.values().all(|values| values.len() == 1), "{name}: {healthy:?}");

    let before = proxy.replies();
    proxy.set(one_in_five(fates));
    told.follow(Duration::from_secs(15));
    let replies = proxy.replies() - before;
    let measured_here = told.values.iter().filter(|(sensor, _)| healthy.contains_key(*sensor));
    let readings: usize = measured_here.map(|(_, values)| values.len()).sum();
    for (sensor, values) in told.distinct() {
        assert_eq!(values, healthy[&sensor], "{name}: {sensor} told what is another's");
    }

    proxy.set(|_| Fate::Passed);
    let begun = Instant::now();
    // Those that are not left alone for their failures are read again.
    while told.values.keys().filter(|key| healthy.contains_key(*key)).count() < measured / 3 {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{name}: does not recover: {:?}",
            told.watch.metrics()
        );
        told.follow(Duration::from_millis(100));
    }
    eprintln!(
        "{name}: {replies} replies, {readings} readings, none shifted; back after {:?}; longest take {:?}",
        begun.elapsed(),
        told.longest
    );
    assert!(told.longest < Duration::from_millis(50), "{name}: {:?}", told.longest);
}

#[test]
fn a_silent_bmc_is_told_and_so_is_its_return() {
    let Some(lab) = Lab::start() else { return };
    let proxy = Proxy::start(lab.port());
    let mut told = Told::start(lab.address(proxy.port()));
    told.follow(Duration::from_secs(1));
    proxy.set(|_| Fate::Dropped);
    told.follow(Duration::from_secs(4));
    told.values.clear();
    told.follow(Duration::from_secs(1));
    assert!(
        told.values.keys().all(|name| name == "bmc.age"),
        "{:?}",
        told.values.keys()
    );
    let age = told.values["bmc.age"].last().copied().unwrap();
    assert!((4.0..30.0).contains(&age), "{age}");
    proxy.set(|_| Fate::Passed);
    let begun = Instant::now();
    while told.findings.len() < 2 && begun.elapsed() < Duration::from_secs(30) {
        told.follow(Duration::from_millis(100));
    }
    let kinds: Vec<&str> = told.findings.iter().map(|finding| &*finding.kind).collect();
    assert_eq!(kinds, ["bmc_silent", "bmc_answers"]);
}

#[test]
fn what_happens_on_the_host_is_told_once() {
    let Some(lab) = Lab::start() else { return };
    let mut told = Told::start(lab.address(lab.port()));
    told.follow(Duration::from_secs(1));
    assert!(told.findings.is_empty(), "{:?}", told.findings);
    // Add SEL Entry: an uncorrectable memory error of sensor 40h.
    let entry = ["0x20", "0", "4", "0x0c", "0x40", "0x6f", "0x01", "0xff", "0xff"];
    lab.tool(
        &[
            &["raw", "0x0a", "0x44", "0", "0", "2", "0", "0", "0", "0"][..],
            &entry[..],
        ]
        .concat(),
    );
    told.follow(Duration::from_secs(2));
    let texts: Vec<String> = told
        .findings
        .iter()
        .map(|f| format!("{}: {}", f.subject, f.text))
        .collect();
    assert_eq!(texts, ["memory 40h: memory: uncorrectable ECC error"]);
    lab.tool(&["sel", "clear"]);
    told.follow(Duration::from_secs(2));
    assert_eq!(told.findings.last().map(|finding| &*finding.kind), Some("sel_cleared"));
    lab.set_power(345);
    told.follow(Duration::from_secs(1));
    assert_eq!(told.watch.power(&mut 0).unwrap().value(), Some(345.0));
}
