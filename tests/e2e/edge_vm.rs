//! A host that this machine is not: a Linux guest with a BMC, PCI Express, cgroups and devices that fail when told to.
//!
//! Steps aside loudly without the parts of a guest (`guest.rs`).

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    database::{missing_frames, number, texts},
    guest::Parts,
    harness::until,
    stack::Stack,
};

/// An emulated guest boots in half a minute; on a busy machine in more.
const PATIENCE: Duration = Duration::from_secs(240);

/// In the guest, before the agent: a workload that spins, and a corrected error of the e1000e, again and again, for the
/// agent tells only of what happens while it looks.
const PREPARE: &str = r#"
mkdir /sys/fs/cgroup/batch
echo "20000 100000" > /sys/fs/cgroup/batch/cpu.max
sh -c 'echo 0 > /sys/fs/cgroup/batch/cgroup.procs; while :; do :; done' &
for d in /sys/bus/pci/devices/*; do
  [ -e "$d/aer_dev_correctable" ] && [ "$(cat "$d/class")" = 0x020000 ] && [ "$(cat "$d/vendor")" = 0x8086 ] && nic=$(basename "$d")
done
bus=$(echo "$nic" | cut -d: -f2)
(while sleep 5; do printf "\\x$bus\\0\\0\\0\\0\\0\\0\\0\\x40\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0" > /dev/aer_inject; done) &
"#;

const CONFIG: &str =
    "[bmc]\naddress = \"local\"\ninterval = \"5s\"\n[[workloads]]\nname = \"batch\"\ncriticality = 10\n";

#[test]
fn a_guest_is_seen_with_its_devices_and_their_errors() {
    let Some(parts) = Parts::find() else { return };
    let stack = Stack::new();
    let _broker = stack.broker();
    let brain = stack.brain();
    let monitor = stack.path().join("monitor");
    let mut guest = parts.boot(&stack, "sim", CONFIG, PREPARE, &monitor);
    let data = stack.data();
    let mut holds = |what: &str, query: &'static str| {
        let start = Instant::now();
        until(what, PATIENCE, || {
            assert!(guest.runs(), "the guest has ended: {}", guest.printed());
            data.join("brain.db").exists() && number(&data, query) > 0
        });
        eprintln!("{what}: after {:?}", start.elapsed());
    };
    holds(
        "its frames are durable",
        "SELECT count(*) FROM frames WHERE host = 'edge-1'",
    );
    holds(
        "its workload uses a fifth of a core",
        "SELECT count(*) FROM workload_1m WHERE workload = 'batch' AND cpu_cores BETWEEN 0.1 AND 0.3",
    );
    holds(
        "the error of its network card is an event",
        "SELECT count(*) FROM events WHERE source = 'pci' AND severity = 'warning'",
    );
    report_memory_error(&monitor);
    holds(
        "the corrected error that a bank of the processor holds is an event",
        "SELECT count(*) FROM events WHERE source = 'mce'",
    );
    let births = texts(&data, "SELECT hex(body) FROM births ORDER BY epoch DESC LIMIT 1");
    let birth = shadow::wire::decode_birth(&unhex(&births[0])).unwrap();
    assert!(birth.inventory.pci.len() > 8, "{:?}", birth.inventory.pci);
    let state = |name: &str| {
        birth
            .sources
            .iter()
            .find(|source| source.name == name)
            .map(|source| source.state)
    };
    // Most registers of a guest are zero: they are read all the same, and what cannot be is absent.
    for source in ["cpu", "memory", "pressure", "workload", "pci", "msr", "bmc"] {
        assert_eq!(
            state(source),
            Some(shadow::SourceState::Works),
            "{source}: {:?}",
            birth.sources
        );
    }
    assert_eq!(missing_frames(&data), 0);
    guest.stop();
    assert!(brain.stop().0.success());
}

/// A corrected error of memory in bank 2 of the first core, as the processor would leave it there (Intel SDM 16.3.2.2:
/// valid, with address and miscellaneous, one corrected).
fn report_memory_error(monitor: &Path) {
    let mut monitor = UnixStream::connect(monitor).unwrap();
    monitor.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    prompt(&mut monitor);
    monitor
        .write_all(b"mce 0 2 0x8c00004000010090 0x0 0x1000 0x8c\n")
        .unwrap();
    prompt(&mut monitor);
}

/// Reads up to where the monitor waits for a command.
fn prompt(monitor: &mut UnixStream) {
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(b"(qemu) ") {
        monitor.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}
