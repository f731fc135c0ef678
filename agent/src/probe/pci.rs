//! Functions on the PCI buses: `/sys/bus/pci/devices` (kernel documentation, `ABI/testing/sysfs-bus-pci`).
//!
//! Only what the kernel keeps in attributes is read. The configuration space itself is not touched: reading
//! it wakes up a suspended device.

use std::path::Path;

use shadow::PciDevice;

use super::{
    Place,
    power::{entries, text},
};

/// The most functions that are told.
const MAX_DEVICES: usize = 4_096;

/// Every PCI function in the order of addresses; empty on a machine without PCI.
pub fn devices(place: &Place) -> Vec<PciDevice> {
    let paths = entries(&place.path("sys/bus/pci/devices"));
    paths.iter().take(MAX_DEVICES).filter_map(|path| device(path)).collect()
}

fn device(dir: &Path) -> Option<PciDevice> {
    let address = dir.file_name()?.to_str()?.to_owned();
    let hex = |name: &str| u32::from_str_radix(text(&dir.join(name)).strip_prefix("0x")?, 16).ok();
    let driver = std::fs::read_link(dir.join("driver")).ok();
    let driver = driver
        .as_deref()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    Some(PciDevice {
        address,
        vendor: u16::try_from(hex("vendor")?).ok()?,
        device: u16::try_from(hex("device")?).ok()?,
        class: hex("class")? & 0x00ff_ffff,
        driver: driver.unwrap_or_default().to_owned(),
        link_speed_gts: speed(&text(&dir.join("current_link_speed"))),
        link_width: width(&text(&dir.join("current_link_width"))),
        link_speed_max_gts: speed(&text(&dir.join("max_link_speed"))),
        link_width_max: width(&text(&dir.join("max_link_width"))),
        ..PciDevice::default()
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::Tree;

    #[test]
    fn functions_are_told_with_their_links() {
        let dir = "sys/bus/pci/devices/0000:01:00.0";
        let file = |name: &str| format!("{dir}/{name}");
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
        assert_eq!(devices(&tree.place()), [expected]);
    }
}
