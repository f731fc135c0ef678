//! Bytes that a workload gets before it is slowed down (`memory.high`), or killed (`memory.max`).

use super::{Aim, Folder, Quantity, Version, Words};

/// Room above what a workload uses: a limit below its use would throttle or kill it at once.
const MARGIN: f64 = 1.1;

/// A limit of cgroup v1 from here on is none.
pub(crate) const UNLIMITED: f64 = (1_u64 << 60) as f64;

/// One of the two limits.
pub(super) struct Memory {
    name: &'static str,
    of_one: &'static str,
}

impl Memory {
    pub(super) const HIGH: Self = Self {
        name: "memory.high",
        of_one: "memory.soft_limit_in_bytes",
    };
    pub(super) const MAX: Self = Self {
        name: "memory.max",
        of_one: "memory.limit_in_bytes",
    };
}

impl Words for Memory {
    fn name(&self) -> &'static str {
        self.name
    }

    fn quantity(&self) -> Quantity {
        Quantity::Memory
    }

    fn file(&self, version: Version) -> Option<(&'static str, &'static str)> {
        Some(match version {
            Version::Two => ("", self.name),
            Version::One => ("memory", self.of_one),
        })
    }

    fn aim(&self, folder: &Folder<'_>, bytes: f64) -> Result<Vec<Aim>, String> {
        // The kernel takes any number; without knowing what is used, none is safe.
        let used = used(folder).ok_or("what it uses cannot be read")?;
        let (bytes, note) = bounded(bytes, used);
        Ok(vec![Aim {
            text: format!("{bytes:.0}"),
            note: note.to_owned(),
            ..Aim::default()
        }])
    }

    fn amount(&self, _folder: &Folder<'_>, text: &str) -> Option<f64> {
        text.parse().ok().filter(|bytes| *bytes < UNLIMITED)
    }

    fn may_restore(&self, folder: &Folder<'_>, text: &str) -> Result<(), String> {
        let before = self.amount(folder, text);
        let least = used(folder).map(|used| used * MARGIN);
        match before.zip(least) {
            Some((before, least)) if before < least => {
                Err(format!("its use has grown to above what {text} leaves room for"))
            }
            _ => Ok(()),
        }
    }
}

fn used(folder: &Folder<'_>) -> Option<f64> {
    folder.number(match folder.version {
        Version::Two => "memory.current",
        Version::One => "memory.usage_in_bytes",
    })
}

/// Whole pages, for the kernel rounds down to them; never below what is used and a margin, and the bound that moved them.
pub(crate) fn bounded(bytes: f64, used: f64) -> (f64, &'static str) {
    let least = used * MARGIN;
    let note = if least > bytes {
        "raised to what is used, page cache included, and a margin"
    } else {
        ""
    };
    let page = rustix::param::page_size() as f64;
    ((bytes.max(least) / page).ceil().max(1.0) * page, note)
}
