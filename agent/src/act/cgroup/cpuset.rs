//! The processors that a workload may run on: as many as it has cores, the last of those that it could have.

use super::{Aim, Folder, Quantity, Version, Words};

const EFFECTIVE: &str = "cpuset.cpus.effective";

/// The most processors that are counted in a list.
const MAX_CPUS: usize = 8_192;

/// `cpuset.cpus`; nothing in it is no limit.
pub(super) struct Cpuset;

impl Words for Cpuset {
    fn name(&self) -> &'static str {
        "cpuset.cpus"
    }

    fn quantity(&self) -> Quantity {
        Quantity::Cpu
    }

    fn file(&self, version: Version) -> Option<(&'static str, &'static str)> {
        match version {
            Version::Two => Some(("", "cpuset.cpus")),
            // There, memory nodes would have to be set first.
            Version::One => None,
        }
    }

    fn aim(&self, folder: &Folder<'_>, cores: f64) -> Result<Vec<Aim>, String> {
        let above = folder
            .read_above(EFFECTIVE)
            .map_err(|fault| format!("{EFFECTIVE}: {fault}"))?;
        let there = parse(&above).ok_or_else(|| format!("{EFFECTIVE} says {above:?}"))?;
        let wanted = cores.ceil().max(1.0);
        let mut chosen: Vec<u32> = there
            .iter()
            .rev()
            .copied()
            .zip(1_u32..)
            .take_while(|(_, count)| f64::from(*count) <= wanted)
            .map(|(cpu, _)| cpu)
            .collect();
        chosen.reverse();
        let note = if chosen.len() as f64 == cores {
            ""
        } else {
            "rounded to whole processors"
        };
        Ok(vec![Aim {
            text: list(&chosen),
            note: note.to_owned(),
            ..Aim::default()
        }])
    }

    fn amount(&self, _folder: &Folder<'_>, text: &str) -> Option<f64> {
        let cpus = parse(text)?;
        (!cpus.is_empty()).then_some(cpus.len() as f64)
    }

    fn confirm(&self, folder: &Folder<'_>, text: &str) -> Result<(), String> {
        let effective = folder.read(EFFECTIVE).map_err(|fault| fault.to_string())?;
        if text.is_empty() || parse(&effective) == parse(text) {
            Ok(())
        } else {
            Err(format!("{EFFECTIVE} is {effective}, not {text}"))
        }
    }
}

/// `0-2,5`: the processors of a list, rising.
fn parse(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if (last.checked_sub(first)? as usize) >= MAX_CPUS || cpus.len() >= MAX_CPUS {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

/// As the kernel writes them: runs with a dash.
fn list(cpus: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(cpu) => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let run = |&(first, last): &(u32, u32)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_come_back() {
        for (text, cpus) in [
            ("", vec![]),
            ("0", vec![0]),
            ("0-2,5", vec![0, 1, 2, 5]),
            ("7,9-10", vec![7, 9, 10]),
        ] {
            assert_eq!(parse(text), Some(cpus.clone()), "{text}");
            assert_eq!(list(&cpus), text);
        }
        for text in ["a", "3-1", "0-", "-", "0-99999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
