//! A simulated BMC (`ipmi_sim`) with sensors that are hard to read, and `ipmitool` to compare with.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use agent::bmc::{credentials::PasswordSource, session::Address};
use tempfile::TempDir;

use crate::ports::free_port;

const USER: &str = "lab";
const PASSWORD: &str = "lab-secret";

/// A sensor of the lab: its record says how `raw` is to be read.
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) number: u8,
    /// 1 temperature, 2 voltage, ...
    pub(crate) kind: u8,
    /// The format of the raw byte (bits 7:6) and whether it is a percentage (bit 0), then the unit.
    pub(crate) units: [u8; 2],
    pub(crate) linearisation: u8,
    /// M, B, the exponent of B, the exponent of the result.
    pub(crate) factors: [i16; 4],
    pub(crate) raw: u8,
    /// Whether the BMC has it, or only a record of it.
    pub(crate) there: bool,
}

const fn spec(name: &'static str, number: u8, kind: u8, units: [u8; 2], factors: [i16; 4], raw: u8) -> Spec {
    let (linearisation, there) = (0, true);
    Spec {
        name,
        number,
        kind,
        units,
        linearisation,
        factors,
        raw,
        there,
    }
}

/// Every way in which a raw byte becomes a value. Values are all different.
pub(crate) const SENSORS: [Spec; 19] = [
    spec("CPU0 Temp", 1, 1, [0, 1], [1, 0, 0, 0], 45),
    spec("FAN1", 2, 4, [0, 18], [60, 0, 0, 0], 90),
    spec("P12V", 3, 2, [0, 4], [60, 0, 0, -3], 201),
    spec("PSU1 Power", 4, 11, [0, 6], [4, 0, 0, 0], 58),
    spec("Offset", 5, 1, [0, 1], [1, -128, 0, 0], 0x99),
    spec("Negative M", 6, 1, [0, 1], [-1, 100, 0, 0], 30),
    spec("Negative M K", 7, 2, [0, 4], [-512, 511, 3, -4], 200),
    spec("B exponent", 8, 2, [0, 4], [25, 13, 2, -2], 77),
    spec("Twos", 9, 1, [0x80, 1], [1, 0, 0, 0], 0xf6),
    spec("Twos negative M", 10, 1, [0x80, 1], [-3, 7, 0, 0], 0x90),
    spec("Ones", 11, 1, [0x40, 1], [2, 0, 0, 0], 0xf0),
    spec("Percent", 12, 11, [1, 0], [1, 0, 0, 0], 37),
    spec("Temp", 13, 1, [0, 1], [1, 0, 0, 0], 33),
    spec("Temp", 14, 1, [0, 1], [1, 0, 0, 0], 34),
    Spec {
        linearisation: 7,
        ..spec("Inverse", 15, 2, [0, 4], [1, 0, 0, -2], 8)
    },
    Spec {
        linearisation: 8,
        ..spec("Square", 16, 2, [0, 4], [5, 0, 0, -1], 31)
    },
    Spec {
        linearisation: 10,
        ..spec("Root", 17, 2, [0, 4], [3, 1, 0, 0], 50)
    },
    Spec {
        linearisation: 1,
        ..spec("Logarithm", 18, 2, [0, 4], [2, 0, 0, 0], 60)
    },
    Spec {
        there: false,
        ..spec("Absent", 19, 1, [0, 1], [1, 0, 0, 0], 0)
    },
];

/// The number of the sensor that tells states alone: a power supply.
pub(crate) const SUPPLY: u8 = 32;

/// Raw thresholds of each sensor, lower and upper, non-critical first.
pub(crate) const THRESHOLDS: [u8; 6] = [5, 2, 0, 252, 253, 254];

/// Where the lab's sources are; `None`, with the reason printed, where it cannot run.
fn sources() -> Option<PathBuf> {
    let Some(lab) = env::var_os("FORESHADOW_IPMI_LAB").map(PathBuf::from) else {
        eprintln!(
            "stepped aside: FORESHADOW_IPMI_LAB does not name a folder with the DCMI module of the simulated BMC"
        );
        return None;
    };
    for (tool, flag) in [("ipmi_sim", "-v"), ("ipmitool", "-V"), ("gcc", "--version")] {
        let started = Command::new(tool)
            .arg(flag)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if started.is_err() {
            eprintln!("stepped aside: {tool} is not installed");
            return None;
        }
    }
    Some(if lab.is_file() { lab.parent()?.to_owned() } else { lab })
}

/// A running BMC.
pub(crate) struct Lab {
    dir: TempDir,
    port: u16,
    kcs_port: u16,
    simulator: Child,
}

impl Lab {
    /// A BMC on a free port, as soon as it answers; `None` where there is no lab.
    pub(crate) fn start() -> Option<Self> {
        let sources = sources()?;
        let dir = tempfile::tempdir().unwrap();
        let (port, kcs_port) = (free_port(), free_port());
        compile(&sources, dir.path());
        fs::create_dir(dir.path().join("state")).unwrap();
        fs::write(dir.path().join("power"), "232 180 410 225").unwrap();
        fs::write(dir.path().join("lan.conf"), configuration(dir.path(), port, kcs_port)).unwrap();
        fs::write(dir.path().join("lab.emu"), emulation()).unwrap();
        fs::write(dir.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        fs::set_permissions(dir.path().join("password"), fs::Permissions::from_mode(0o600)).unwrap();
        let simulator = Command::new("ipmi_sim")
            .args(["-c", "lan.conf", "-f", "lab.emu", "-s", "state", "-n"])
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lab = Self {
            dir,
            port,
            kcs_port,
            simulator,
        };
        let begun = Instant::now();
        while lab.try_tool(&["mc", "info"]).is_none() {
            assert!(begun.elapsed() < Duration::from_secs(30), "ipmi_sim does not answer");
            thread::sleep(Duration::from_millis(100));
        }
        Some(lab)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Where an emulator connects the KCS port of its machine to.
    #[allow(dead_code, reason = "for tests with a guest")]
    pub(crate) const fn kcs_port(&self) -> u16 {
        self.kcs_port
    }

    /// How the agent reaches it, at `port`: its own, or a proxy's.
    pub(crate) fn address(&self, port: u16) -> Address {
        Address::Lan {
            host: ("127.0.0.1".to_owned(), port),
            user: USER.to_owned(),
            password: PasswordSource::File(self.password_file()),
        }
    }

    /// Where the password is.
    pub(crate) fn password_file(&self) -> PathBuf {
        self.dir.path().join("password")
    }

    /// What `ipmitool` prints.
    pub(crate) fn tool(&self, arguments: &[&str]) -> String {
        self.try_tool(arguments)
            .unwrap_or_else(|| panic!("ipmitool {arguments:?} failed"))
    }

    fn try_tool(&self, arguments: &[&str]) -> Option<String> {
        let port = self.port.to_string();
        let output = Command::new("ipmitool")
            .args([
                "-I",
                "lanplus",
                "-C",
                "3",
                "-H",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                USER,
                "-P",
                PASSWORD,
            ])
            .args(arguments)
            .output()
            .unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The power that it measures from now on.
    pub(crate) fn set_power(&self, watts: u16) {
        fs::write(self.dir.path().join("power"), format!("{watts} 180 410 225")).unwrap();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.simulator.kill().unwrap();
        self.simulator.wait().unwrap();
    }
}

fn compile(sources: &Path, into: &Path) {
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-fPIC", "-shared", "-w"]);
    if let Ok(headers) = env::var("OPENIPMI_INCLUDE") {
        gcc.arg(format!("-I{headers}"));
    }
    let done = gcc
        .arg("-o")
        .arg(into.join("dcmi.so"))
        .arg(sources.join("dcmi.c"))
        .status()
        .unwrap();
    assert!(done.success(), "the DCMI module wants the headers of OpenIPMI");
}

fn configuration(dir: &Path, port: u16, kcs_port: u16) -> String {
    let dir = dir.display();
    format!(
        "name \"lab\"\n\
         loadlib \"{dir}/dcmi.so\" \"{dir}/power\"\n\
         set_working_mc 0x20\n\
         startlan 1\n\
         addr 127.0.0.1 {port}\n\
         priv_limit admin\n\
         allowed_auths_admin md5\n\
         guid a123456789abcdefa123456789abcdef\n\
         endlan\n\
         serial 15 127.0.0.1 {kcs_port} codec VM\n\
         user 2 true \"{USER}\" \"{PASSWORD}\" admin 10 md5\n"
    )
}

fn emulation() -> String {
    let mut lines = vec![
        "mc_setbmc 0x20".to_owned(),
        "mc_add 0x20 0x23 no-device-sdrs 0x01 2 0x19 0x9f 0x001291 0x0f02".to_owned(),
        "sel_enable 0x20 1000 0x0a".to_owned(),
    ];
    for spec in &SENSORS {
        lines.extend(sensor(spec));
    }
    lines.extend(supply());
    let fru = inventory();
    lines.push(format!("mc_add_fru_data 0x20 0 {} data {}", fru.len(), hex(&fru)));
    let entries: [[u8; 9]; 5] = [
        [0x20, 0, 4, 0x01, 1, 0x01, 0x57, 95, 90],
        [0x20, 0, 4, 0x0c, 0x40, 0x6f, 0x00, 0xff, 0x01],
        [0x20, 0, 4, 0x13, 0x41, 0x6f, 0xa7, 0x00, 0x18],
        [0x20, 0, 4, 0x08, SUPPLY, 0x6f, 0x01, 0xff, 0xff],
        [0x20, 0, 4, 0x01, 6, 0x81, 0x52, 60, 70],
    ];
    for (seconds, entry) in (1_700_000_000_u32..).step_by(60).zip(entries) {
        lines.push(format!(
            "sel_add 0x20 2 {} {}",
            hex(&seconds.to_le_bytes()),
            hex(&entry)
        ));
    }
    lines.push("mc_enable 0x20\n".to_owned());
    lines.join("\n")
}

fn sensor(spec: &Spec) -> Vec<String> {
    let Spec {
        name,
        number,
        kind,
        units: [format, unit],
        linearisation,
        factors,
        raw,
        there,
    } = *spec;
    let [m, b, b_exponent, exponent] = factors;
    let (low, high) = (|v: i16| v.to_le_bytes()[0], |v: i16| (v.to_le_bytes()[1] & 3) << 6);
    let exponents = low(exponent) << 4 | low(b_exponent) & 0x0f;
    let [lnc, lcr, lnr, unc, ucr, unr] = THRESHOLDS;
    let mut body = vec![
        0x20, 0, number, 3, 1, 0x7f, 0xe8, kind, 1, 0x95, 0x7a, 0x95, 0x7a, 0x3f, 0x3f,
    ];
    body.extend([
        format,
        unit,
        0,
        linearisation,
        low(m),
        high(m),
        low(b),
        high(b),
        0,
        exponents,
    ]);
    body.extend([0, 0, 0, 0, 0xff, 0, unr, ucr, unc, lnr, lcr, lnc, 2, 2, 0, 0, 0]);
    let mut lines = vec![record(1, body, name)];
    if there {
        let bits = "000111111111111";
        lines.extend([
            format!("sensor_add 0x20 0 {number} {kind:#x} 0x01"),
            format!("sensor_set_value 0x20 0 {number} {raw} 0"),
            format!("sensor_set_threshold 0x20 0 {number} settable 111111 {unr} {ucr} {unc} {lnr} {lcr} {lnc}"),
            format!("sensor_set_event_support 0x20 0 {number} enable scanning per-state {bits} {bits} {bits} {bits}"),
        ]);
    }
    lines
}

fn supply() -> Vec<String> {
    let mut body = vec![
        0x20, 0, SUPPLY, 10, 1, 0x67, 0x40, 0x08, 0x6f, 0x0f, 0, 0x0f, 0, 0x0f, 0, 0xc0, 0, 0, 1,
    ];
    body.extend([0; 7]);
    vec![
        record(2, body, "PSU1 Status"),
        format!("sensor_add 0x20 0 {SUPPLY} 0x08 0x6f"),
        format!("sensor_set_bit 0x20 0 {SUPPLY} 0 1 0"),
    ]
}

fn record(kind: u8, mut body: Vec<u8>, name: &str) -> String {
    body.push(0xc0 | u8::try_from(name.len()).unwrap());
    body.extend(name.bytes());
    let length = u8::try_from(body.len()).unwrap();
    format!("main_sdr_add 0x20 {} {}", hex(&[0, 0, 0x51, kind, length]), hex(&body))
}

/// A board and a product, padded and summed up as they have to be.
fn inventory() -> Vec<u8> {
    let area = |head: &[u8], names: &[&str]| {
        let mut area = [&[1, 0], head].concat();
        for name in names {
            area.push(0xc0 | u8::try_from(name.len()).unwrap());
            area.extend(name.bytes());
        }
        area.push(0xc1);
        area.resize((area.len() + 1).next_multiple_of(8), 0);
        area[1] = u8::try_from(area.len() / 8).unwrap();
        sealed(area)
    };
    let board = area(&[25, 1, 2, 3], &["Acme Boards", "Board X", "B-123", "P-1"]);
    let product = area(&[25], &["Acme Corp", "Server 1", "PN-9", "v2", "S-777"]);
    let header = sealed(vec![1, 0, 0, 1, 1 + u8::try_from(board.len() / 8).unwrap(), 0, 0, 0]);
    [header, board, product].concat()
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    *bytes.last_mut().unwrap() = sum.wrapping_neg();
    bytes
}

fn hex(bytes: &[u8]) -> String {
    let words: Vec<String> = bytes.iter().map(|byte| format!("{byte:#04x}")).collect();
    words.join(" ")
}
