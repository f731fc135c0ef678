//! What memory costs: faults, swapping, reclaim and refaults, from `/proc/vmstat` (`proc_vmstat(5)`).
//!
//! A refault is a page that was thrown out of the cache and is needed again: memory is short, whatever the amount
//! that is said to be available.

use shadow::{Metric, Reading, rate::RateMeter};

use super::{
    EVENTS_FLOOR, Place, Probe, Tier,
    file::KeptFile,
    parse::{fields, lines, next_number},
};
use crate::error::ProbeError;

/// What is told, and the counters that are added up for it; kernels before 5.9 tell refaults in one.
const RATES: [(&str, &[&[u8]]); 8] = [
    ("memory.faults", &[b"pgfault"]),
    ("memory.major_faults", &[b"pgmajfault"]),
    ("memory.swap_in", &[b"pswpin"]),
    ("memory.swap_out", &[b"pswpout"]),
    (
        "memory.refaults",
        &[
            b"workingset_refault",
            b"workingset_refault_anon",
            b"workingset_refault_file",
        ],
    ),
    ("memory.scanned", &[b"pgscan_kswapd", b"pgscan_direct"]),
    (
        "memory.stalled_allocations",
        &[b"allocstall_normal", b"allocstall_movable"],
    ),
    ("memory.oom_kills", &[b"oom_kill"]),
];

/// Opens `/proc/vmstat`.
///
/// # Errors
/// [`ProbeError`] when it is not there, or tells none of what is read.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let file = KeptFile::open(place.path("proc/vmstat"))?;
    if sums(&file.read()?).iter().all(Option::is_none) {
        return Err(file.format("tells no faults"));
    }
    Ok(Box::new(Paging {
        file,
        meters: Default::default(),
        metrics: RATES.map(|(name, _)| Metric::rate(name, "1/s", EVENTS_FLOOR)).into(),
    }))
}

struct Paging {
    file: KeptFile,
    meters: [RateMeter; RATES.len()],
    metrics: Vec<Metric>,
}

impl Probe for Paging {
    fn tier(&self) -> Tier {
        Tier::Middle
    }

    fn location(&self) -> String {
        self.file.path().display().to_string()
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let sums = sums(&self.file.read()?);
        for ((place, meter), sum) in out.iter_mut().zip(&mut self.meters).zip(sums) {
            *place = sum.map_or(Reading::ABSENT, |sum| meter.update(sum, now_ns));
        }
        Ok(())
    }
}

/// The counters in the order of [`RATES`]; `None` of what this kernel does not tell.
fn sums(text: &[u8]) -> [Option<u64>; RATES.len()] {
    let mut sums = [None; RATES.len()];
    for line in lines(text) {
        let mut fields = fields(line);
        let (Some(name), Some(count)) = (fields.next(), next_number(&mut fields)) else {
            continue;
        };
        let mut known = RATES.iter().zip(&mut sums);
        if let Some((_, sum)) = known.find(|((_, names), _)| names.contains(&name)) {
            *sum = Some(sum.unwrap_or(0_u64).saturating_add(count));
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read};

    #[test]
    fn counters_of_new_and_old_kernels_become_rates() {
        let new = |faults: u32, anon: u32, file: u32| {
            format!(
                "nr_free_pages 9\npgfault {faults}\nworkingset_refault_anon {anon}\nworkingset_refault_file {file}\noom_kill 0\n"
            )
        };
        let tree = Tree::new(&[("proc/vmstat", &new(100, 1, 2))]);
        let mut probe = open(&tree.place()).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        tree.set("proc/vmstat", &new(300, 5, 8));
        let found = read(probe.as_mut(), 2.0).unwrap();
        check(
            &found,
            &[
                ("memory.faults", 100.0),
                ("memory.refaults", 5.0),
                ("memory.oom_kills", 0.0),
            ],
        );
        assert_eq!(found["memory.swap_in"], Reading::ABSENT, "this kernel does not swap");

        tree.set("proc/vmstat", "workingset_refault 7\n");
        let mut probe = open(&tree.place()).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        tree.set("proc/vmstat", "workingset_refault 9\n");
        check(&read(probe.as_mut(), 1.0).unwrap(), &[("memory.refaults", 2.0)]);
    }

    #[test]
    fn what_is_no_vmstat_is_refused() {
        for text in ["", "nr_free_pages 9\n", "\u{0}"] {
            assert!(open(&Tree::new(&[("proc/vmstat", text)]).place()).is_err(), "{text:?}");
        }
    }
}
