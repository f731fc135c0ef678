//! The units of systemd: read by systemd itself, and no more rights than each set of sources needs.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed; clippy knows tests by their functions only, not their helpers"
)]

use std::{fs, path::Path, process::Command};

const UNIT: &str = "foreshadow-agent.service";

/// The worst exposure, of 10, that `systemd-analyze security` may find.
const WORST: f64 = 2.6;

/// Sources beyond what every user may read, and the capabilities left to a service that has their drop-in, in
/// `systemd-analyze`'s groups.
const SOURCES: [(&str, &[&str]); 4] = [
    ("power", &["CAP_(DAC_*|FOWNER|IPC_OWNER)"]),
    ("msr", &["CAP_(DAC_*|FOWNER|IPC_OWNER)", "CAP_SYS_RAWIO"]),
    ("pci", &["CAP_SYS_ADMIN"]),
    ("bmc", &["CAP_(DAC_*|FOWNER|IPC_OWNER)"]),
];

/// Runs `systemd-analyze` on the unit in `folder`; whether it was content, and what it said.
fn analyze(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(folder.join(UNIT));
    // The folder, and behind it where the system's own units are.
    let output = command.env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display()));
    let output = output.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// The unit with these drop-ins, for a program that is there.
fn installed(drop_ins: &[&str]) -> tempfile::TempDir {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd");
    let folder = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(units.join(UNIT)).unwrap();
    let unit = unit.replace("/usr/bin/foreshadow-agent", env!("CARGO_BIN_EXE_foreshadow-agent"));
    fs::write(folder.path().join(UNIT), unit).unwrap();
    let beside = folder.path().join(format!("{UNIT}.d"));
    fs::create_dir(&beside).unwrap();
    for name in drop_ins {
        let name = format!("{name}.conf");
        fs::copy(units.join(&name), beside.join(&name)).unwrap();
    }
    folder
}

fn check(drop_ins: &[&str], capabilities: &[&str]) {
    let folder = installed(drop_ins);
    let (content, said) = analyze(folder.path(), &["verify", "--man=no"]);
    assert!(content && !said.contains("foreshadow"), "{drop_ins:?}: {said}");
    let (_, said) = analyze(folder.path(), &["security", "--offline=true", "--no-pager"]);
    let left = said
        .lines()
        .filter_map(|line| line.strip_prefix("✗ CapabilityBoundingSet=~"));
    let mut left: Vec<&str> = left.filter_map(|rest| rest.split_whitespace().next()).collect();
    left.sort_unstable();
    assert_eq!(left, capabilities, "{drop_ins:?}: {said}");
    let exposure = said
        .rsplit_once(&format!("{UNIT}: "))
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    assert!(
        exposure.is_some_and(|exposure: f64| exposure <= WORST),
        "{drop_ins:?}: {said}"
    );
}

#[test]
fn each_set_of_sources_has_the_least_capabilities() {
    let offline = Command::new("systemd-analyze").arg("--help").output();
    if !offline.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--offline")) {
        return eprintln!("stepped aside: systemd-analyze (of systemd 250 or later) is not installed");
    }
    check(&[], &[]);
    for (source, capabilities) in SOURCES {
        check(&[source], capabilities);
    }
    let all = SOURCES.map(|(source, _)| source);
    check(
        &all,
        &["CAP_(DAC_*|FOWNER|IPC_OWNER)", "CAP_SYS_ADMIN", "CAP_SYS_RAWIO"],
    );
}
