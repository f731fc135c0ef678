//! Reads all functions once. Runs in the worker: an access may take milliseconds, or hang.
//!
//! A function that sleeps is not touched: reading its configuration space would wake it up. Of one that is awake only
//! the registers that are asked for are read: each access stalls a core for about a microsecond, and for some ten where
//! a hypervisor has to answer.

use std::{cell::Cell, fs, fs::File, os::unix::fs::FileExt, path::Path};

use shadow::{
    PciDevice,
    birth::{Aer, MAX_PCI_DEVICES, MAX_PCI_ERRORS, MAX_PCI_REGISTERS},
};

use super::{aer::Counts, config_space::Space, express::Express, function};
use crate::probe::{
    Place,
    power::{entries, text},
};

/// Where the kernel shows all functions.
pub(super) const DEVICES: &str = "sys/bus/pci/devices";

/// The attributes in which the kernel counts errors.
const COUNTERS: [&str; 3] = ["aer_dev_correctable", "aer_dev_nonfatal", "aer_dev_fatal"];

/// What one round has found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Survey {
    /// In the order of addresses.
    pub(super) functions: Vec<Function>,
    /// Functions of which no more than the header may be read.
    pub(super) restricted: usize,
}

/// One function, and what is needed to compare it with what it was before.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Function {
    pub(super) device: PciDevice,
    /// The bridge above it, where the tree of devices shows one.
    pub(super) parent: Option<String>,
    /// `None` where its configuration space was not read.
    pub(super) express: Option<Express>,
    /// Whether it was asked and did not answer.
    pub(super) silent: bool,
    /// Whether it slept and was not asked.
    pub(super) asleep: bool,
    /// Correctable, nonfatal and fatal errors.
    pub(super) counts: [Option<Counts>; 3],
}

impl Survey {
    /// Reads everything that is there.
    pub(super) fn take(place: &Place) -> Self {
        let mut survey = Self::default();
        for dir in entries(&place.path(DEVICES)).iter().take(MAX_PCI_DEVICES) {
            if let Some((function, restricted)) = function(dir) {
                survey.functions.push(function);
                survey.restricted += usize::from(restricted);
            }
        }
        survey
    }

    /// The functions as a birth tells them, with no more details than it may have.
    pub(super) fn devices(&self) -> Vec<PciDevice> {
        let (mut errors, mut registers) = (MAX_PCI_ERRORS, MAX_PCI_REGISTERS);
        let bounded = |function: &Function| {
            let mut device = function.device.clone();
            device.errors.truncate(errors);
            device.registers.truncate(registers);
            errors -= device.errors.len();
            registers -= device.registers.len();
            device
        };
        self.functions.iter().map(bounded).collect()
    }
}

/// The function, and whether the rest of its configuration space is kept from this process.
fn function(dir: &Path) -> Option<(Function, bool)> {
    let mut function = Function {
        device: attributes(dir)?,
        parent: parent(dir),
        asleep: sleeps(dir),
        counts: COUNTERS.map(|name| Counts::parse(&fs::read(dir.join(name)).ok()?)),
        ..Function::default()
    };
    let mut whole = true;
    if !function.asleep {
        whole = ask(dir, &mut function);
    }
    power_attribute(dir, &mut function.device);
    total(&mut function);
    Some((function, !whole))
}

/// Reads the configuration space of one that is awake; returns whether all of it may be read.
fn ask(dir: &Path, function: &mut Function) -> bool {
    let Some(space) = ConfigFile::open(&dir.join("config")) else {
        link_attributes(dir, &mut function.device);
        return true;
    };
    let Some(found) = function::decode(&space, &mut function.device) else {
        function.silent = true;
        return true;
    };
    function.express = found.express;
    if !found.whole {
        link_attributes(dir, &mut function.device);
    }
    found.whole
}

/// What the kernel keeps in memory.
fn attributes(dir: &Path) -> Option<PciDevice> {
    let hex = |name: &str| u32::from_str_radix(text(&dir.join(name)).strip_prefix("0x")?, 16).ok();
    let id = |name: &str| u16::try_from(hex(name)?).ok();
    let driver = fs::read_link(dir.join("driver")).ok();
    let driver = driver
        .as_deref()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    let maker = id("subsystem_vendor").filter(|&vendor| vendor != 0);
    Some(PciDevice {
        address: dir.file_name()?.to_str()?.to_owned(),
        vendor: id("vendor")?,
        device: id("device")?,
        class: hex("class")? & 0x00ff_ffff,
        driver: driver.unwrap_or_default().to_owned(),
        subsystem: maker.zip(id("subsystem_device")),
        revision: hex("revision").and_then(|revision| u8::try_from(revision).ok()),
        ..PciDevice::default()
    })
}

/// `0000:00:02.1` of `../../../devices/pci0000:00/0000:00:02.1/0000:01:00.0`; `None` right below a host bridge.
fn parent(dir: &Path) -> Option<String> {
    let target = fs::read_link(dir).ok()?;
    let parent = target.parent()?.file_name()?.to_str()?;
    (!parent.starts_with("pci") && parent.contains(':')).then(|| parent.to_owned())
}

/// Whether it is, or may be, in another state than D0.
fn sleeps(dir: &Path) -> bool {
    let state = text(&dir.join("power_state"));
    let runtime = text(&dir.join("power/runtime_status"));
    matches!(&*state, "D1" | "D2" | "D3hot" | "D3cold") || matches!(&*runtime, "suspended" | "suspending" | "resuming")
}

/// The link as the kernel tells it, for those who may not read capabilities.
fn link_attributes(dir: &Path, device: &mut PciDevice) {
    let read = |name: &str| text(&dir.join(name));
    device.link_speed_gts = speed(&read("current_link_speed"));
    device.link_width = width(&read("current_link_width"));
    device.link_speed_max_gts = speed(&read("max_link_speed"));
    device.link_width_max = width(&read("max_link_width"));
}

/// 8 of `8.0 GT/s PCIe` and of `8 GT/s`; `None` of `Unknown`.
fn speed(text: &str) -> Option<f64> {
    let speed: f64 = text.split_whitespace().next()?.parse().ok()?;
    (speed.is_finite() && speed > 0.0).then_some(speed)
}

/// Lanes. 0 and 255 stand for a link that is down or not known.
fn width(text: &str) -> Option<u32> {
    let lanes = text.parse().ok()?;
    (lanes > 0 && lanes < 255).then_some(lanes)
}

/// The kernel knows D3cold, which no register can tell.
fn power_attribute(dir: &Path, device: &mut PciDevice) {
    let state = text(&dir.join("power_state"));
    if matches!(&*state, "D0" | "D1" | "D2" | "D3hot" | "D3cold") {
        device.power_state = state;
    }
}

/// Adds what the kernel has counted to the registers.
fn total(function: &mut Function) {
    let totals = function
        .counts
        .each_ref()
        .map(|counts| counts.as_ref().map(Counts::total));
    if let [None, None, None] = totals {
        return;
    }
    let aer = function.device.aer.get_or_insert_with(Aer::default);
    [aer.correctable, aer.nonfatal, aer.fatal] = totals;
}

/// Configuration space behind its attribute, of which without `CAP_SYS_ADMIN` the first 64 bytes can be read.
struct ConfigFile {
    file: File,
    /// What was read last: its neighbour is often asked for next.
    last: Cell<Option<(u16, u32)>>,
}

impl ConfigFile {
    fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let last = Cell::new(None);
        Some(Self { file, last })
    }
}

impl Space for ConfigFile {
    fn dword(&self, at: u16) -> Option<u32> {
        if let Some((_, value)) = self.last.get().filter(|(last, _)| *last == at) {
            return Some(value);
        }
        let mut bytes = [0; 4];
        self.file.read_exact_at(&mut bytes, at.into()).ok()?;
        let value = u32::from_le_bytes(bytes);
        self.last.set(Some((at, value)));
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{pci::fixture::Dump, tree::Tree};

    const DIR: &str = "sys/bus/pci/devices/0000:01:00.0";

    fn file(name: &str) -> String {
        format!("{DIR}/{name}")
    }

    fn card() -> Tree {
        let tree = Tree::new(&[
            (&file("vendor"), "0x8086\n"),
            (&file("device"), "0x1572\n"),
            (&file("class"), "0x020000\n"),
            (&file("current_link_speed"), "2.5 GT/s PCIe\n"),
            (&file("max_link_speed"), "8.0 GT/s PCIe\n"),
            (&file("current_link_width"), "4\n"),
            (&file("max_link_width"), "255\n"),
            ("sys/bus/pci/devices/0000:02:00.0/vendor", "gone\n"),
        ]);
        tree.link(&file("driver"), "../../../../bus/pci/drivers/i40e");
        tree
    }

    fn only(tree: &Tree) -> Function {
        let survey = Survey::take(&tree.place());
        assert_eq!(survey.functions.len(), 1);
        survey.functions.into_iter().next().unwrap()
    }

    #[test]
    fn attributes_serve_where_configuration_space_does_not() {
        let expected = PciDevice {
            address: "0000:01:00.0".to_owned(),
            vendor: 0x8086,
            device: 0x1572,
            class: 0x02_0000,
            driver: "i40e".to_owned(),
            link_speed_gts: Some(2.5),
            link_width: Some(4),
            link_speed_max_gts: Some(8.0),
            ..PciDevice::default()
        };
        assert_eq!(only(&card()).device, expected);
    }

    #[test]
    fn configuration_space_is_read_past_its_first_bytes() {
        let tree = card();
        let dump = Dump::endpoint()
            .standard(0x40, 0x10, 0)
            .extended(0x100, 0x0001, 0)
            .dword(0x114, 0x2000);
        tree.set_bytes(&file("config"), dump.bytes());
        tree.set(&file("aer_dev_correctable"), "RxErr 2\nTOTAL_ERR_COR 2\n");
        let aer = only(&tree).device.aer.unwrap();
        assert_eq!(
            (aer.correctable_mask, aer.correctable, aer.fatal),
            (Some(0x2000), Some(2), None)
        );
        tree.set_bytes(&file("config"), &dump.bytes()[..64]);
        assert_eq!(Survey::take(&tree.place()).restricted, 1);
        assert_eq!(only(&tree).device.link_width, Some(4), "as the kernel tells it");
        tree.set_bytes(&file("config"), &[0xff; 256]);
        assert!(only(&tree).silent);
    }

    #[test]
    fn what_sleeps_is_not_touched() {
        for (attribute, value) in [("power_state", "D3hot\n"), ("power/runtime_status", "suspended\n")] {
            let tree = card();
            tree.set(&file(attribute), value);
            tree.set_bytes(&file("config"), &[0xff; 256]);
            let function = only(&tree);
            assert!(function.asleep && !function.silent, "{attribute}");
            assert_eq!(function.device.link_width, None);
        }
    }

    #[test]
    fn the_bridge_above_is_found_in_the_tree() {
        let tree = Tree::new(&[]);
        for (address, above) in [
            ("0000:00:02.1", "pci0000:00"),
            ("0000:01:00.0", "pci0000:00/0000:00:02.1"),
        ] {
            let link = format!("sys/bus/pci/devices/{address}");
            tree.link(&link, &format!("../../../devices/{above}/{address}"));
            for (name, value) in [("vendor", "0x1\n"), ("device", "0x2\n"), ("class", "0x3\n")] {
                tree.set(&format!("sys/devices/{above}/{address}/{name}"), value);
            }
        }
        let survey = Survey::take(&tree.place());
        let parents: Vec<Option<&str>> = survey.functions.iter().map(|f| f.parent.as_deref()).collect();
        assert_eq!(parents, [None, Some("0000:00:02.1")]);
    }
}
