//! Cores that a workload gets at most, by a quota of time in each period.

use super::{Aim, Folder, Quantity, Version, Words};

/// The period that quotas are written for: the kernel's default.
pub(crate) const PERIOD_US: u64 = 100_000;

/// The kernel refuses less.
const MIN_QUOTA_US: f64 = 1_000.0;

/// `cpu.max`, or `cpu.cfs_quota_us` for the period that is there.
pub(super) struct CpuMax;

impl Words for CpuMax {
    fn name(&self) -> &'static str {
        "cpu.max"
    }

    fn quantity(&self) -> Quantity {
        Quantity::Cpu
    }

    fn file(&self, version: Version) -> Option<(&'static str, &'static str)> {
        Some(match version {
            Version::Two => ("", "cpu.max"),
            Version::One => ("cpu", "cpu.cfs_quota_us"),
        })
    }

    fn aim(&self, folder: &Folder<'_>, cores: f64) -> Result<Vec<Aim>, String> {
        let (text, note) = match folder.version {
            Version::Two => {
                let (quota, note) = quota_us(cores, PERIOD_US as f64);
                (format!("{quota:.0} {PERIOD_US}"), note)
            }
            Version::One => {
                let (quota, note) = quota_us(cores, period_us(folder));
                (format!("{quota:.0}"), note)
            }
        };
        Ok(vec![Aim {
            text,
            note: note.to_owned(),
            ..Aim::default()
        }])
    }

    fn amount(&self, folder: &Folder<'_>, text: &str) -> Option<f64> {
        match folder.version {
            Version::Two => text.split_once(' ').and_then(|(quota, period)| cores(quota, period)),
            Version::One => cores(text, &period_us(folder).to_string()),
        }
    }
}

fn period_us(folder: &Folder<'_>) -> f64 {
    let period = folder.number("cpu.cfs_period_us");
    period.filter(|period| *period > 0.0).unwrap_or(PERIOD_US as f64)
}

/// Whole microseconds of each period, and the bound that moved them.
pub(crate) fn quota_us(cores: f64, period_us: f64) -> (f64, &'static str) {
    let wanted = (cores * period_us).round();
    if wanted < MIN_QUOTA_US {
        (MIN_QUOTA_US, "raised to the least that the kernel takes")
    } else {
        (wanted, "")
    }
}

/// -1 and `max` are no limit.
pub(crate) fn cores(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}
