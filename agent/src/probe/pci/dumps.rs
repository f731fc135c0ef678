//! Dumps of real functions, decoded here and by `lspci`.
//!
//! They are not part of the project: `FORESHADOW_SHARED` names a folder that has them below `data/hardware/lspci`, such as
//! the files of `pciutils/tests`.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use shadow::PciDevice;

use super::{
    aer::{CORRECTABLE, UNCORRECTABLE},
    express::set_bits,
    function,
    survey::Survey,
};
use crate::probe::tree::Tree;

/// Facts from past 256 bytes, which some dumps lack.
const EXTENDED: [&str; 6] = ["UESta", "UEMsk", "UESvrt", "CESta", "CEMsk", "virtual functions"];

/// What a text that `lspci -vvv` wrote says of one function, and our words for the same.
type Facts = BTreeMap<String, String>;

fn files() -> Option<Vec<PathBuf>> {
    let Ok(shared) = std::env::var("FORESHADOW_SHARED") else {
        eprintln!("stepped aside: FORESHADOW_SHARED does not name a folder with data/hardware/lspci");
        return None;
    };
    let dir = PathBuf::from(shared).join("data/hardware/lspci");
    Some(fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect())
}

/// Blocks of lines, one a function; each begins with an address.
fn blocks(text: &str) -> Vec<Vec<&str>> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let begins = line.split_once(' ').is_some_and(|(address, _)| address.contains('.'));
        if begins && !line.starts_with(char::is_whitespace) {
            blocks.push(Vec::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(line);
        }
    }
    blocks
}

/// `10: 00 01 ...`, up to 4,096 bytes.
fn bytes(block: &[&str]) -> Vec<u8> {
    let hex = |line: &&str| {
        let (at, row) = line.split_once(": ")?;
        usize::from_str_radix(at, 16).ok()?;
        row.split(' ')
            .map(|byte| u8::from_str_radix(byte, 16).ok())
            .collect::<Option<Vec<u8>>>()
    };
    block.iter().filter_map(hex).flatten().collect()
}

/// What `lspci` says, in its words; only what is compared.
fn theirs(block: &[&str]) -> Facts {
    let mut facts = Facts::new();
    let mut put = |name: &str, value: String| {
        facts.entry(name.to_owned()).or_insert(value);
    };
    for line in block.iter().map(|line| line.trim()) {
        if let Some(flags) = line.strip_prefix("Status: Cap") {
            put(
                "status",
                raised(flags, &[">TAbort", "<TAbort", "<MAbort", ">SERR", "<PERR"]),
            );
        } else if let Some(state) = line.strip_prefix("Status: D") {
            put("state", format!("D{}", &state[..1]));
        } else if let Some(flags) = line.strip_prefix("DevSta:") {
            put(
                "device",
                raised(
                    flags,
                    &[
                        "CorrErr",
                        "NonFatalErr",
                        "UncorrErr",
                        "FatalErr",
                        "UnsupReq",
                        "UnsuppReq",
                    ],
                ),
            );
        } else if let Some(link) = line.strip_prefix("LnkCap:") {
            put("link at most", link_words(link));
        } else if let Some(link) = line.strip_prefix("LnkSta:") {
            put("link", link_words(link));
        } else if let Some((name, flags)) = line.split_once(':') {
            match name {
                "UESta" | "UEMsk" | "UESvrt" => put(name, raised(flags, &UNCORRECTABLE.map(|(_, name)| name))),
                "CESta" | "CEMsk" => put(name, raised(&flags.replace("Adv", ""), &CORRECTABLE.map(|(_, n)| n))),
                "Initial VFs" => put("virtual functions", line.to_owned()),
                _ => {}
            }
        }
    }
    facts
}

/// Of our words for a register of error bits, those that this version of `lspci` knows: it shows each with + or -.
fn known_to(told: &[&str], name: &str, words: &str) -> String {
    let Some(line) = told.iter().find(|line| line.trim().starts_with(&format!("{name}:"))) else {
        return words.to_owned();
    };
    if !EXTENDED.contains(&name) {
        return words.to_owned();
    }
    let shown = |word: &&str| line.contains(&format!("{word}+")) || line.contains(&format!("{word}-"));
    words.split(' ').filter(shown).collect::<Vec<_>>().join(" ")
}

/// Those of `names` that have a plus, in the words that are common to all versions.
fn raised(flags: &str, names: &[&str]) -> String {
    let words = flags.split_whitespace().filter_map(|word| word.strip_suffix('+'));
    let known = words.filter(|word| names.contains(word)).map(|word| match word {
        "UncorrErr" => "NonFatalErr",
        "UnsuppReq" => "UnsupReq",
        word => word,
    });
    known.collect::<Vec<_>>().join(" ")
}

/// `8GT/s x4` of `Speed 8GT/s (ok), Width x4 (ok)`.
fn link_words(text: &str) -> String {
    let after = |key: &str| {
        let (_, rest) = text.split_once(key)?;
        rest.split([' ', ',']).next()
    };
    format!("{} {}", after("Speed ").unwrap(), after("Width ").unwrap())
}

/// The same facts from our own decoding.
fn ours(device: &PciDevice) -> Facts {
    let has = |name: &str| device.errors.iter().any(|known| known == name);
    let pick = |names: &[(&str, &str)]| {
        let raised = names.iter().filter(|(ours, _)| has(ours)).map(|(_, theirs)| *theirs);
        raised.collect::<Vec<_>>().join(" ")
    };
    let mut facts = Facts::from([(
        "status".to_owned(),
        pick(&[
            ("SignaledTargetAbort", ">TAbort"),
            ("ReceivedTargetAbort", "<TAbort"),
            ("ReceivedMasterAbort", "<MAbort"),
            ("SignaledSystemErr", ">SERR"),
            ("DetectedParityErr", "<PERR"),
        ]),
    )]);
    let mut put = |name: &str, value: String| {
        facts.insert(name.to_owned(), value);
    };
    if !device.power_state.is_empty() {
        put("state", device.power_state[..2].to_owned());
    }
    let link = |speed: Option<f64>, width: Option<u32>| format!("{}GT/s x{}", speed.unwrap(), width.unwrap_or(0));
    if device.link_speed_max_gts.is_some() {
        put("link at most", link(device.link_speed_max_gts, device.link_width_max));
    }
    if device.link_speed_gts.is_some() {
        put("link", link(device.link_speed_gts, device.link_width));
    }
    if let Some(sriov) = device.sriov {
        put("virtual functions", format!("{sriov:?}"));
    }
    if let Some(aer) = device.aer {
        let names = |register: Option<u32>, names| set_bits(register.unwrap(), names).collect::<Vec<_>>().join(" ");
        put("UESta", names(aer.uncorrectable_status, &UNCORRECTABLE));
        put("UEMsk", names(aer.uncorrectable_mask, &UNCORRECTABLE));
        put("UESvrt", names(aer.uncorrectable_severity, &UNCORRECTABLE));
        put("CESta", names(aer.correctable_status, &CORRECTABLE));
        put("CEMsk", names(aer.correctable_mask, &CORRECTABLE));
    }
    facts
}

/// Compares every function of `text` with the decoding of its bytes in `dump`; returns how many facts were equal.
fn compare(text: &str, dump: &str, origin: &str) -> usize {
    let mut equal = 0;
    let (told, dumped) = (blocks(text), blocks(dump));
    assert_eq!(told.len(), dumped.len(), "{origin}");
    for (told, dumped) in told.iter().zip(&dumped) {
        let mut device = PciDevice::default();
        let bytes = bytes(dumped);
        let found = function::decode(&*bytes, &mut device).unwrap();
        let mut ours = ours(&device);
        if let Some(express) = found.express {
            ours.insert("device".to_owned(), express.errors().collect::<Vec<_>>().join(" "));
        }
        let in_dump = |name: &str| bytes.len() > 256 || !EXTENDED.contains(&name);
        for (name, theirs) in theirs(told).into_iter().filter(|(name, _)| in_dump(name)) {
            let words = known_to(told, &name, ours.get(&name).map_or("nothing", String::as_str));
            // A link that is down has a speed for lspci, and none for us.
            let down = name == "link"
                && told
                    .iter()
                    .any(|line| line.contains("DLActive-") || line.contains("Width x0"));
            assert!(
                words == theirs || down,
                "{origin} {} {name}: {words:?}, not {theirs:?}",
                dumped[0]
            );
            equal += 1;
        }
    }
    equal
}

#[test]
fn real_functions_are_read_as_their_dumps_say() {
    let Some(files) = files() else { return };
    let mut equal = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let origin = file.file_name().unwrap().to_string_lossy().into_owned();
        equal += compare(&text, &text, &origin);
    }
    eprintln!("{equal} facts are as the dumps say");
    assert!(equal > 100);
}

#[test]
fn real_functions_are_read_as_lspci_reads_them() {
    let Some(files) = files() else { return };
    let mut equal = 0;
    for file in files {
        let lspci = Command::new("lspci").args(["-n", "-vvv", "-F"]).arg(&file).output();
        let Ok(output) = lspci else {
            eprintln!("stepped aside: lspci (package pciutils) is not installed");
            return;
        };
        let origin = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        equal += compare(
            &text,
            &fs::read_to_string(&file).unwrap(),
            &format!("lspci of {origin}"),
        );
    }
    eprintln!("{equal} facts are as lspci says");
    assert!(equal > 100);
}

/// Trees of real servers, in which links of `/sys/bus/pci/devices` may have become files that hold their target.
#[test]
fn trees_of_real_servers_tell_links_and_counts() {
    let Ok(trees) = std::env::var("FORESHADOW_SYSFS_TREES") else {
        eprintln!("stepped aside: FORESHADOW_SYSFS_TREES does not name a folder of sysfs trees");
        return;
    };
    let mut functions = Vec::new();
    for root in fs::read_dir(trees).unwrap().map(|entry| entry.unwrap().path()) {
        let dir = root.join("sys/bus/pci/devices");
        let tree = Tree::new(&[]);
        for entry in dir.read_dir().into_iter().flatten().map(Result::unwrap) {
            let target = fs::read_link(entry.path()).map(|link| link.to_string_lossy().into_owned());
            let target = target.unwrap_or_else(|_| fs::read_to_string(entry.path()).unwrap());
            let address = entry.file_name().to_string_lossy().into_owned();
            let target = dir.join(target.trim());
            tree.link(&format!("sys/bus/pci/devices/{address}"), &target.to_string_lossy());
        }
        functions.extend(Survey::take(&tree.place()).functions);
    }
    let card = functions
        .iter()
        .find(|function| function.device.address == "0000:01:00.0");
    let card = card.expect("one of the trees has it");
    assert_eq!(card.parent.as_deref(), Some("0000:00:02.1"));
    assert_eq!(card.device.link_speed_max_gts, Some(8.0));
    assert_eq!(card.device.aer.unwrap().correctable, Some(0));
    assert!(
        card.device.subsystem.is_some() && card.device.power_state == "D0",
        "{card:?}"
    );
    eprintln!("{} functions in trees", functions.len());
}
