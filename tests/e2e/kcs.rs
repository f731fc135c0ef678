//! A guest whose BMC, behind its KCS port, is slow, silent, late, short or mistaken: values are what `ipmitool` prints
//! of the same BMC, and faults cost their own readings and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use crate::{
    bmc_lab::{Lab, SENSORS},
    database::{Decoded, decoded, missing_frames},
    guest::Parts,
    harness::{Process, until},
    kcs_proxy::{Fate, KcsProxy},
    stack::Stack,
};

/// An emulated guest boots in half a minute; on a busy machine in more.
const PATIENCE: Duration = Duration::from_secs(240);

/// Something to do, so that the agent samples at its full pace.
const PREPARE: &str = "(while :; do :; done) &\n";
const CONFIG: &str =
    "[bmc]\naddress = \"local\"\ninterval = \"5s\"\ndeadline = \"1s\"\n[pace]\nmin = \"100ms\"\nmax = \"100ms\"\n";

/// Replies in the healthy phase: some ten scans.
const HEALTHY: u64 = 250;
/// Replies in the other: a BMC that fails is asked less and less often, and QEMU waits four seconds for each that is
/// lost.
const ILL: u64 = 80;

#[test]
fn a_bmc_that_is_not_well_costs_its_own_readings() {
    let Some(parts) = Parts::find() else { return };
    let Some(lab) = Lab::start() else {
        return eprintln!("SKIPPED: there is no simulated BMC");
    };
    let proxy = KcsProxy::start(lab.kcs_port());
    let stack = Stack::new();
    let _broker = stack.broker();
    let brain = stack.brain();
    let monitor = stack.path().join("monitor");
    let bmc = format!("extern:{}", proxy.port());
    let mut guest = parts.boot(&stack, &bmc, CONFIG, PREPARE, &monitor);
    let measured = SENSORS.iter().filter(|spec| spec.there).count();
    let data = stack.data();
    watch("all its sensors are durable", &mut guest, || {
        data.join("brain.db").exists() && sensors(&seen(&data, 0)).len() == measured
    });

    let healthy = phase(&data, &mut guest, &proxy, &[], HEALTHY);
    compare(&lab, &healthy.values);
    let late = Fate::Late(Duration::from_millis(1_500));
    let fates = [
        Fate::Late(Duration::from_millis(300)),
        Fate::Dropped,
        Fate::Twice,
        Fate::Cut(0),
        Fate::Mistaken,
        late,
        Fate::Cut(3),
        Fate::Garbled,
        Fate::Overtaken,
        Fate::Cut(1),
    ];
    let ill = phase(&data, &mut guest, &proxy, &fates, ILL);
    for (sensor, values) in &ill.values {
        assert_eq!(values, &healthy.values[sensor], "{sensor} told what is another's");
    }
    eprintln!(
        "healthy: {} samples, longest gap {} ms; ill: {} sensors told, {} samples, longest gap {} ms",
        healthy.samples,
        healthy.longest_gap_ms,
        ill.values.len(),
        ill.samples,
        ill.longest_gap_ms
    );
    // An emulated machine stutters by itself; a sampler that waits for the BMC would stand for seconds each time.
    assert!(
        ill.longest_gap_ms < 1_000,
        "the sampling waited for the BMC: {} ms",
        ill.longest_gap_ms
    );

    proxy.set(&[]);
    let from = end(&data);
    watch("its sensors are read again", &mut guest, || {
        sensors(&seen(&data, from)).len() > measured / 3
    });
    assert_eq!(missing_frames(&data), 0);
    guest.stop();
    assert!(brain.stop().0.success());
}

fn watch(what: &str, guest: &mut Process, mut condition: impl FnMut() -> bool) {
    until(what, PATIENCE, || {
        assert!(guest.runs(), "the guest has ended: {}", guest.printed());
        condition()
    });
}

/// What was told while the BMC gave some replies, with these fates.
struct Phase {
    values: BTreeMap<String, BTreeSet<u64>>,
    samples: usize,
    longest_gap_ms: i64,
}

fn phase(data: &Path, guest: &mut Process, proxy: &KcsProxy, fates: &[Fate], replies: u64) -> Phase {
    let from = end(data);
    proxy.set(fates);
    let until_replies = proxy.replies() + replies;
    watch("the BMC is asked", guest, || proxy.replies() >= until_replies);
    let told = seen(data, from);
    let gaps = told.times_ms.windows(2).map(|pair| pair[1] - pair[0]);
    Phase {
        values: sensors(&told),
        samples: told.times_ms.len(),
        longest_gap_ms: gaps.max().unwrap(),
    }
}

/// When the newest sample that is durable was taken.
fn end(data: &Path) -> i64 {
    *seen(data, 0).times_ms.last().unwrap()
}

/// All that is durable and newer than `from_ms`.
fn seen(data: &Path, from_ms: i64) -> Decoded {
    decoded(data, "edge-1").after(from_ms)
}

/// The values that each sensor of the BMC has told, by bits.
fn sensors(told: &Decoded) -> BTreeMap<String, BTreeSet<u64>> {
    let own = [
        "bmc.age",
        "bmc.scan_time",
        "bmc.resting",
        "bmc.on",
        "bmc.power",
        "bmc.power_limit",
    ];
    let measured = |name: &&String| name.starts_with("bmc.") && !own.contains(&&***name);
    let values = told.columns.iter().filter(|(name, _)| measured(name));
    let values = values.map(|(name, readings)| {
        let bits = readings.iter().filter_map(|reading| Some(reading.value()?.to_bits()));
        (name.clone(), bits.collect::<BTreeSet<u64>>())
    });
    values.filter(|(_, bits)| !bits.is_empty()).collect()
}

/// Each sensor has one value, within the step of its metric of what `ipmitool` prints.
fn compare(lab: &Lab, told: &BTreeMap<String, BTreeSet<u64>>) {
    let printed = lab.tool(&["sensor", "list"]);
    let mut theirs: Vec<f64> = printed
        .lines()
        .filter_map(|line| line.split('|').nth(1)?.trim().parse().ok())
        .collect();
    let mut ours: Vec<f64> = Vec::new();
    for (name, bits) in told {
        assert_eq!(bits.len(), 1, "{name}: {bits:?}");
        ours.extend(bits.iter().map(|bits| f64::from_bits(*bits)));
    }
    ours.sort_by(f64::total_cmp);
    theirs.sort_by(f64::total_cmp);
    assert_eq!(ours.len(), theirs.len(), "{printed}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let off = (ours - theirs).abs();
        assert!(off <= 1e-3 + 0.011 * theirs.abs(), "{ours} is not {theirs}: {printed}");
    }
}
