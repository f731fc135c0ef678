//! What a watch tells of a BMC while the network, the BMC or the host does what it likes.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use agent::bmc::{Watch, session::Address, watch::Settings};
use shadow::{Finding, Reading};

use crate::{
    DEADLINE,
    lab::{Lab, SENSORS},
    proxy::{Fate, Proxy},
};

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
            cursor: None,
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
