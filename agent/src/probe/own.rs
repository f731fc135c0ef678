//! What the agent costs its host: CPU time and memory of its process, and whether it samples more rarely because of that.
//!
//! Where other parts of foreshadow live in the same process, they are part of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustix::time::{ClockId, clock_gettime};
use shadow::{Bound, Metric, Reading, rate::RateMeter};

use super::{
    Place, Probe, Tier,
    disk::scaled,
    file::KeptFile,
    parse::{fields, number},
};
use crate::error::ProbeError;

/// Opens `/proc/self/statm` (`proc_pid_statm(5)`).
///
/// # Errors
/// [`ProbeError`] when it is not there.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let statm = KeptFile::open(place.path("proc/self/statm"))?;
    if resident_pages(&statm.read()?).is_none() {
        return Err(statm.format("tells no resident pages"));
    }
    let cores = Bound::Relative {
        ratio: 0.01,
        floor: 1e-3,
    };
    let metrics = vec![
        Metric::new("agent.cpu", "{core}", cores),
        Metric::new("agent.memory", "By", Bound::Absolute { step: 65_536.0 }),
        Metric::new("agent.slowed", "1", Bound::Absolute { step: 1.0 }),
    ];
    Ok(Box::new(Own {
        statm,
        cpu: RateMeter::default(),
        slowed: Arc::clone(&place.slowed),
        metrics,
    }))
}

struct Own {
    statm: KeptFile,
    cpu: RateMeter,
    slowed: Arc<AtomicBool>,
    metrics: Vec<Metric>,
}

impl Probe for Own {
    fn tier(&self) -> Tier {
        Tier::Middle
    }

    fn location(&self) -> String {
        self.statm.path().display().to_string()
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        let spent_ns = spent.tv_sec.unsigned_abs() * 1_000_000_000 + spent.tv_nsec.unsigned_abs();
        let pages = resident_pages(&self.statm.read()?).ok_or_else(|| self.statm.format("tells no resident pages"))?;
        let bytes = pages.saturating_mul(rustix::param::page_size() as u64);
        let slowed = u8::from(self.slowed.load(Ordering::Relaxed));
        let readings = [
            scaled(self.cpu.update(spent_ns, now_ns), 1e-9),
            Reading::new(bytes as f64),
            Reading::new(f64::from(slowed)),
        ];
        super::put(out, readings);
        Ok(())
    }
}

fn resident_pages(text: &[u8]) -> Option<u64> {
    fields(text).nth(1).and_then(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read};

    #[test]
    fn cost_and_slowness_are_told() {
        let tree = Tree::new(&[("proc/self/statm", "2000 300 100 10 0 200 0\n")]);
        let place = tree.place();
        let mut probe = open(&place).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        place.slowed.store(true, Ordering::Relaxed);
        let found = read(probe.as_mut(), 1.0).unwrap();
        let bytes = 300.0 * rustix::param::page_size() as f64;
        check(&found, &[("agent.memory", bytes), ("agent.slowed", 1.0)]);
        assert!(found["agent.cpu"].value().is_some_and(|cores| cores < 64.0));
    }
}
