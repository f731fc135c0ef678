//! The limit of power of the processor packages: RAPL, by way of the kernel's powercap.
//!
//! The host's watts are shared out evenly between its packages. What else the host takes (memory, disks, fans) is not
//! under it: where a BMC limits the whole host, that is the better lever.

use std::fs;

use shadow::HOST_WORKLOAD;

use super::{Ask, Lever, LeverError, Quantity, Turn, beneath::Beneath};
use crate::probe::{Place, power::text};

/// Constraints of a zone that are looked at.
const MAX_CONSTRAINTS: u32 = 8;

/// The long-term constraint of one package.
#[derive(Debug, Clone, PartialEq)]
struct Zone {
    /// `intel-rapl:0/constraint_0_power_limit_uw`.
    subject: String,
    /// The most that the kernel says it may be, in microwatts.
    max_uw: Option<f64>,
}

/// `constraint_N_power_limit_uw` of each package.
pub(crate) struct Rapl {
    place: Place,
}

impl Rapl {
    /// `None` where the machine has no such limit.
    pub(crate) fn find(place: &Place) -> Option<Self> {
        let rapl = Self { place: place.clone() };
        (!rapl.zones().is_empty()).then_some(rapl)
    }

    fn zones(&self) -> Vec<Zone> {
        let root = self.place.path("sys/class/powercap");
        let entries = fs::read_dir(&root).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names.iter().filter_map(|name| self.zone(name)).collect()
    }

    fn zone(&self, name: &str) -> Option<Zone> {
        let is_package = name.matches(':').count() == 1 && !name.contains("mmio");
        let value = |file: &str| text(&self.place.path(format!("sys/class/powercap/{name}/{file}")));
        if !is_package || !value("name").starts_with("package") {
            return None;
        }
        let is_long = |n: &u32| value(&format!("constraint_{n}_name")) == "long_term";
        let constraint = (0..MAX_CONSTRAINTS).find(is_long)?;
        Some(Zone {
            subject: format!("{name}/constraint_{constraint}_power_limit_uw"),
            max_uw: value(&format!("constraint_{constraint}_max_power_uw")).parse().ok(),
        })
    }

    /// The zone is a link of the kernel's own; below it none is followed.
    fn file(&self, subject: &str) -> Result<(Beneath, String), LeverError> {
        let bad = || LeverError::Failed(format!("{subject:?} is no constraint"));
        let (zone, file) = subject.split_once('/').ok_or_else(bad)?;
        let known = self.zones().into_iter().any(|known| known.subject == subject);
        if !known {
            return Err(LeverError::Gone);
        }
        let root = self.place.path("sys/class/powercap").join(zone);
        Ok((Beneath::new(root), file.to_owned()))
    }
}

impl Lever for Rapl {
    fn name(&self) -> &'static str {
        "rapl"
    }

    fn quantity(&self) -> Quantity {
        Quantity::Power
    }

    fn aim(&mut self, ask: Ask<'_>) -> Result<Vec<Turn>, String> {
        if ask.workload != HOST_WORKLOAD {
            return Err("power is limited for the host as a whole".to_owned());
        }
        let zones = self.zones();
        let share_uw = ask.amount * 1e6 / zones.len() as f64;
        let turn = |zone: Zone| {
            let most = zone.max_uw.filter(|most| *most > 0.0).unwrap_or(f64::INFINITY);
            let limit = share_uw.min(most).max(1e6).round();
            let note = if limit == share_uw.round() {
                ""
            } else {
                "held within what the processor takes"
            };
            Turn {
                subject: zone.subject,
                text: format!("{limit:.0}"),
                note: note.to_owned(),
            }
        };
        Ok(zones.into_iter().map(turn).collect())
    }

    fn read(&mut self, subject: &str) -> Result<String, LeverError> {
        let (files, file) = self.file(subject)?;
        Ok(files.read(&file)?)
    }

    fn write(&mut self, subject: &str, text: &str) -> Result<(), LeverError> {
        let (files, file) = self.file(subject)?;
        Ok(files.write(&file, text)?)
    }

    /// Of all packages together, as if each had this.
    fn amount(&mut self, _subject: &str, text: &str) -> Option<f64> {
        let count = self.zones().len() as f64;
        text.parse::<f64>().ok().map(|uw| uw * count / 1e6)
    }

    /// The processor takes steps of its own, an eighth of a watt mostly.
    fn is_same(&self, one: &str, other: &str) -> bool {
        let [one, other] = [one, other].map(|text| text.parse::<f64>().unwrap_or(f64::NAN));
        (one - other).abs() <= 250_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::Tree;

    fn tree() -> Tree {
        let tree = Tree::new(&[]);
        for package in 0..2 {
            let real = format!("sys/devices/virtual/powercap/intel-rapl/intel-rapl:{package}");
            for (file, text) in [
                ("name", format!("package-{package}")),
                ("constraint_0_name", "short_term".to_owned()),
                ("constraint_1_name", "long_term".to_owned()),
                ("constraint_1_power_limit_uw", "125000000".to_owned()),
                ("constraint_1_max_power_uw", "125000000".to_owned()),
            ] {
                tree.set(&format!("{real}/{file}"), &text);
            }
            let link = format!("../../devices/virtual/powercap/intel-rapl/intel-rapl:{package}");
            tree.link(&format!("sys/class/powercap/intel-rapl:{package}"), &link);
            tree.set(&format!("{real}/intel-rapl:{package}:0/name"), "core");
        }
        tree
    }

    #[test]
    fn watts_are_shared_out_between_packages_and_bounded() {
        let tree = tree();
        let mut rapl = Rapl::find(&tree.place()).unwrap();
        let mut aim = |amount| {
            let ask = Ask {
                workload: HOST_WORKLOAD,
                amount,
            };
            rapl.aim(ask).unwrap()
        };
        let turns = aim(180.0);
        let told: Vec<_> = turns
            .iter()
            .map(|turn| (&*turn.subject, &*turn.text, &*turn.note))
            .collect();
        let [one, two] = [
            "intel-rapl:0/constraint_1_power_limit_uw",
            "intel-rapl:1/constraint_1_power_limit_uw",
        ];
        assert_eq!(told, [(one, "90000000", ""), (two, "90000000", "")]);
        assert_eq!(aim(400.0)[0].text, "125000000");
        assert!(aim(400.0)[0].note.contains("held within"));
        rapl.write(one, "90000000").unwrap();
        assert_eq!(rapl.read(one).unwrap(), "90000000");
        assert_eq!(rapl.amount(one, "90000000"), Some(180.0));
        assert!(rapl.is_same("90000000", "89875000") && !rapl.is_same("90000000", "80000000"));
        for subject in [
            "intel-rapl:0/name",
            "intel-rapl:0/../x",
            "x",
            "intel-rapl:9/constraint_1_power_limit_uw",
        ] {
            assert!(rapl.write(subject, "1").is_err(), "{subject}");
        }
        assert!(Rapl::find(&Tree::new(&[]).place()).is_none());
    }
}
