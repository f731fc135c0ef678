//! The bandwidth between processors and memory that a group of processes gets: `MB:0=70;1=70`, percent of each domain.
//!
//! The kernel's resctrl file system has groups; one with the name of a workload is taken for its own (whoever starts the
//! workload puts its processes there). It gets the share of the bandwidth that its cores are of the host's. Its caches
//! (`L3:0=ff`) are left as they are.

use super::{Ask, Lever, LeverError, Quantity, Turn, beneath::Beneath};
use crate::probe::{Place, power::text};

/// Folders that are no groups.
const RESERVED: [&str; 3] = ["info", "mon_data", "mon_groups"];
/// What the kernel gives without being asked, in percent.
const WHOLE: u32 = 100;

/// The line `MB` of each group.
pub(crate) struct Resctrl {
    place: Place,
    files: Beneath,
    /// The least and the step, in percent.
    least: u32,
    step: u32,
}

impl Resctrl {
    /// `None` where the machine cannot limit it, or the file system is not mounted.
    pub(crate) fn find(place: &Place) -> Option<Self> {
        let root = place.path("sys/fs/resctrl");
        let number = |file: &str| text(&root.join("info/MB").join(file)).parse().ok();
        Some(Self {
            least: number("min_bandwidth")?,
            step: number("bandwidth_gran").filter(|step| *step > 0)?,
            files: Beneath::new(root),
            place: place.clone(),
        })
    }

    /// The file of a workload's group.
    fn file(workload: &str) -> Result<String, LeverError> {
        let group = !workload.is_empty() && !workload.contains('/') && !RESERVED.contains(&workload);
        let none = || LeverError::Failed(format!("{workload:?} is no group"));
        group.then(|| format!("{workload}/schemata")).ok_or_else(none)
    }

    fn cores(&self) -> Option<f64> {
        let online = text(&self.place.path("sys/devices/system/cpu/online"));
        let count = |part: &str| -> Option<u32> {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            Some(last.checked_sub(first)?.saturating_add(1))
        };
        let counts: Option<Vec<u32>> = online.split(',').map(count).collect();
        counts.map(|counts| counts.into_iter().map(f64::from).sum())
    }
}

/// The domains of a text `0=70;1=70`, with their percent.
fn domains(text: &str) -> Option<Vec<(&str, u32)>> {
    let domain = |part| {
        let (domain, percent): (&str, &str) = str::split_once(part, '=')?;
        Some((domain.trim(), percent.trim().parse().ok()?))
    };
    text.split(';').map(domain).collect()
}

impl Lever for Resctrl {
    fn name(&self) -> &'static str {
        "resctrl"
    }

    fn quantity(&self) -> Quantity {
        Quantity::Cpu
    }

    fn aim(&mut self, ask: Ask<'_>) -> Result<Vec<Turn>, String> {
        let cores = self.cores().ok_or("how many processors there are cannot be read")?;
        let stands = self.read(ask.workload).map_err(|fault| fault.to_string())?;
        let all = domains(&stands).ok_or_else(|| format!("{stands:?} is not understood"))?;
        if all.iter().any(|(_, percent)| *percent > WHOLE) {
            return Err("bandwidth is told in MB/s here, not in percent".to_owned());
        }
        let wanted = (100.0 * ask.amount / cores).clamp(0.0, f64::from(WHOLE));
        let steps = (wanted / f64::from(self.step)).ceil() * f64::from(self.step);
        let percent = steps.clamp(f64::from(self.least), f64::from(WHOLE));
        let note = if percent > steps {
            "raised to the least that the processor takes"
        } else {
            ""
        };
        let parts: Vec<String> = all.iter().map(|(domain, _)| format!("{domain}={percent:.0}")).collect();
        Ok(vec![Turn {
            subject: ask.workload.to_owned(),
            text: parts.join(";"),
            note: note.to_owned(),
        }])
    }

    fn read(&mut self, subject: &str) -> Result<String, LeverError> {
        let text = self.files.read(&Self::file(subject)?)?;
        let line = text.lines().find_map(|line| line.trim().strip_prefix("MB:"));
        // Numbers are padded to a width.
        let line = line.map(|line| line.split_ascii_whitespace().collect::<String>());
        line.ok_or_else(|| LeverError::Failed("its group has no line MB".to_owned()))
    }

    fn write(&mut self, subject: &str, text: &str) -> Result<(), LeverError> {
        Ok(self.files.write(&Self::file(subject)?, &format!("MB:{text}"))?)
    }

    fn amount(&mut self, _subject: &str, text: &str) -> Option<f64> {
        let most = domains(text)?.into_iter().map(|(_, percent)| percent).max()?;
        let cores = self.cores()?;
        (most < WHOLE).then(|| cores * f64::from(most) / 100.0)
    }

    fn is_same(&self, one: &str, other: &str) -> bool {
        domains(one).is_some() && domains(one) == domains(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::Tree;

    const ROOT: &str = "sys/fs/resctrl";

    fn tree() -> Tree {
        let tree = Tree::new(&[
            (&format!("{ROOT}/info/MB/min_bandwidth"), "10\n"),
            (&format!("{ROOT}/info/MB/bandwidth_gran"), "10\n"),
            (&format!("{ROOT}/schemata"), "    L3:0=7ff;1=7ff\n    MB:0=100;1=100\n"),
            (
                &format!("{ROOT}/web/schemata"),
                "    L3:0=7ff;1=7ff\n    MB:0= 40;1=100\n",
            ),
            (&format!("{ROOT}/rate/schemata"), "MB:0=8000\n"),
            (&format!("{ROOT}/cache/schemata"), "L3:0=7ff\n"),
            ("sys/devices/system/cpu/online", "0-6,8\n"),
        ]);
        tree.link(&format!("{ROOT}/linked"), "web");
        tree
    }

    #[test]
    fn a_group_gets_the_share_that_its_cores_are() {
        let tree = tree();
        let mut resctrl = Resctrl::find(&tree.place()).unwrap();
        let mut check = |amount: f64, text: &str, cores: Option<f64>, note: &str| {
            let workload = "web";
            let turn = resctrl.aim(Ask { workload, amount }).unwrap().remove(0);
            assert_eq!((&*turn.text, &*turn.note), (text, note), "{amount}");
            assert_eq!(resctrl.amount("web", text), cores, "{amount}");
        };
        check(4.0, "0=50;1=50", Some(4.0), "");
        check(4.1, "0=60;1=60", Some(4.8), "");
        check(99.0, "0=100;1=100", None, "");
        check(
            0.0,
            "0=10;1=10",
            Some(0.8),
            "raised to the least that the processor takes",
        );
        assert_eq!(resctrl.read("web").unwrap(), "0=40;1=100");
        assert!(resctrl.is_same("0=40;1=100", "0= 40;1=100") && !resctrl.is_same("0=40", "0=50"));
        resctrl.write("web", "0=50;1=50").unwrap();
        let written = std::fs::read_to_string(tree.place().path(format!("{ROOT}/web/schemata"))).unwrap();
        assert_eq!(written, "MB:0=50;1=50\n");
        assert_eq!(resctrl.read("web").unwrap(), "0=50;1=50");
    }

    #[test]
    fn what_is_no_group_or_cannot_be_limited_says_so() {
        let tree = tree();
        let mut resctrl = Resctrl::find(&tree.place()).unwrap();
        for workload in [
            "rate",
            "cache",
            "ghost",
            "info",
            "linked",
            "..",
            "",
            "../resctrl",
            "/web",
        ] {
            assert!(resctrl.aim(Ask { workload, amount: 1.0 }).is_err(), "{workload}");
        }
        for subject in ["linked", "info", "..", "", "web/../web"] {
            assert!(resctrl.write(subject, "0=10").is_err(), "{subject}");
        }
        tree.remove(&format!("{ROOT}/info/MB/min_bandwidth"));
        assert!(Resctrl::find(&tree.place()).is_none());
    }
}
