//! A workload's part of the cores while all want more than there are: in proportion to its cores, where 1 core is the
//! kernel's default.

use super::{Aim, Folder, Quantity, Version, Words};

/// `cpu.weight` (1 to 10,000), or `cpu.shares` (2 to 262,144).
pub(super) struct CpuWeight;

/// What the kernel gives without being asked, its least and its most.
const fn scale(version: Version) -> (f64, f64, f64) {
    match version {
        Version::Two => (100.0, 1.0, 10_000.0),
        Version::One => (1_024.0, 2.0, 262_144.0),
    }
}

impl Words for CpuWeight {
    fn name(&self) -> &'static str {
        "cpu.weight"
    }

    fn quantity(&self) -> Quantity {
        Quantity::Cpu
    }

    fn file(&self, version: Version) -> Option<(&'static str, &'static str)> {
        Some(match version {
            Version::Two => ("", "cpu.weight"),
            Version::One => ("cpu", "cpu.shares"),
        })
    }

    fn aim(&self, folder: &Folder<'_>, cores: f64) -> Result<Vec<Aim>, String> {
        let (unit, least, most) = scale(folder.version);
        let wanted = (cores * unit).round();
        let weight = wanted.clamp(least, most);
        let note = if weight == wanted {
            ""
        } else {
            "held within what the kernel takes"
        };
        Ok(vec![Aim {
            text: format!("{weight:.0}"),
            note: note.to_owned(),
            ..Aim::default()
        }])
    }

    fn amount(&self, folder: &Folder<'_>, text: &str) -> Option<f64> {
        let (unit, ..) = scale(folder.version);
        text.parse::<f64>().ok().map(|weight| weight / unit)
    }
}
