use super::*;
use crate::probe::tree::{Tree, check, read};

const RAPL: &str = "sys/class/powercap/intel-rapl:0";

fn server() -> Tree {
    let tree = Tree::new(&[]);
    for (zone, name) in [("", "package-0"), (":0", "core"), (":1", "dram")] {
        tree.set(&format!("{RAPL}{zone}/name"), name);
        tree.set(&format!("{RAPL}{zone}/energy_uj"), "900000\n");
        tree.set(&format!("{RAPL}{zone}/max_energy_range_uj"), "1000000\n");
    }
    tree.set("sys/class/hwmon/hwmon0/name", "amdgpu");
    tree.set("sys/class/hwmon/hwmon0/power1_average", "25000000\n");
    tree.set("sys/class/hwmon/hwmon0/power1_input", "99000000\n");
    tree
}

#[test]
fn packages_and_memory_are_added_and_counters_wrap() {
    let tree = server();
    let mut probe = open(&tree.place()).unwrap();
    check(
        &read(probe.as_mut(), 0.0).unwrap(),
        &[("host.power", f64::NAN), ("power.hwmon.0", 25.0)],
    );
    tree.set(&format!("{RAPL}/energy_uj"), "400000\n");
    tree.set(&format!("{RAPL}:1/energy_uj"), "950000\n");
    check(
        &read(probe.as_mut(), 0.1).unwrap(),
        &[("power.package.0", 5.0), ("power.dram.0", 0.5), ("host.power", 5.5)],
    );
}

#[test]
fn a_meter_at_the_supply_is_believed_first() {
    let tree = server();
    tree.set("sys/class/hwmon/hwmon1/name", "power_meter");
    tree.set("sys/class/hwmon/hwmon1/power1_average", "180000000");
    check(
        &read(open(&tree.place()).unwrap().as_mut(), 0.0).unwrap(),
        &[("host.power", 180.0)],
    );
}

#[test]
fn a_battery_tells_power_or_current_and_voltage() {
    let tree = Tree::new(&[
        ("sys/class/power_supply/AC/type", "Mains"),
        ("sys/class/power_supply/BAT0/type", "Battery"),
        ("sys/class/power_supply/BAT0/current_now", "1500000"),
        ("sys/class/power_supply/BAT0/voltage_now", "12000000"),
    ]);
    check(
        &read(open(&tree.place()).unwrap().as_mut(), 0.0).unwrap(),
        &[("host.power", 18.0)],
    );
    tree.set("sys/class/power_supply/BAT0/power_now", "9500000");
    check(
        &read(open(&tree.place()).unwrap().as_mut(), 0.0).unwrap(),
        &[("host.power", 9.5)],
    );
}

#[test]
fn a_machine_without_any_says_so_and_a_broken_meter_is_a_fault() {
    let state = |tree: &Tree| open(&tree.place()).err().map(|fault| fault.state());
    assert_eq!(state(&Tree::new(&[])), Some(shadow::SourceState::Absent));
    let broken = Tree::new(&[
        (&format!("{RAPL}/name"), "package-0"),
        (&format!("{RAPL}/energy_uj"), "x"),
    ]);
    assert_eq!(state(&broken), Some(shadow::SourceState::Failed));
}

#[test]
fn registers_serve_where_there_is_no_zone() {
    let tree = Tree::new(&[(
        "proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t: 85\n",
    )]);
    let count = |package: u32| {
        let mut bytes = vec![0; 0x606];
        bytes.extend(0x000a_0e03_u64.to_le_bytes());
        bytes.resize(0x611, 0);
        bytes.extend(package.to_le_bytes());
        // The next register's bytes: a file has them in between, as hardware does not.
        bytes.extend([0; 16]);
        tree.set_bytes("dev/cpu/0/msr", &bytes);
    };
    count(u32::MAX - 16_383);
    let mut probe = open(&tree.place()).unwrap();
    read(probe.as_mut(), 0.0).unwrap();
    count(0);
    check(
        &read(probe.as_mut(), 0.5).unwrap(),
        &[("power.package.0", 2.0), ("host.power", 2.0)],
    );
    tree.set(&format!("{RAPL}/name"), "package-0");
    assert_eq!(registers(&tree.place()).unwrap().len(), 0, "the same counters");
}
