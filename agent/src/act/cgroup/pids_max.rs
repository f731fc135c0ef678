//! Processes and threads that a workload may have.

use super::{Aim, Folder, Quantity, Version, Words};

/// `pids.max`; `max` is no limit.
pub(super) struct PidsMax;

impl Words for PidsMax {
    fn name(&self) -> &'static str {
        "pids.max"
    }

    fn quantity(&self) -> Quantity {
        Quantity::Tasks
    }

    fn file(&self, _version: Version) -> Option<(&'static str, &'static str)> {
        Some(("pids", "pids.max"))
    }

    fn aim(&self, folder: &Folder<'_>, tasks: f64) -> Result<Vec<Aim>, String> {
        let there = folder.number("pids.current").ok_or("how many it has cannot be read")?;
        let wanted = tasks.ceil();
        // One more, or it could not even start what ends it.
        let least = there + 1.0;
        let note = if least > wanted {
            "raised to one more than there are"
        } else {
            ""
        };
        Ok(vec![Aim {
            text: format!("{:.0}", wanted.max(least)),
            note: note.to_owned(),
            ..Aim::default()
        }])
    }

    fn amount(&self, _folder: &Folder<'_>, text: &str) -> Option<f64> {
        text.parse().ok()
    }
}
