//! The sensors of the host's BMC: what its worker has read (see [`crate::bmc`]), never the BMC itself.
//!
//! A sensor's reading is told once, in the sample after it came, and stale in all others: `bmc.age` says how long
//! ago the last scan ended. The power that a BMC measures is told by the [`power`](super::power) probe.

use shadow::{Finding, Metric, Reading};

use super::{Place, Probe, Tier};
use crate::{bmc::Watch, error::ProbeError};

/// Opens what is known of the host's BMC.
///
/// # Errors
/// [`ProbeError::Absent`] when none is configured, [`ProbeError::Bmc`] when it has not answered.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let Some(watch) = place.bmc.clone() else {
        return Err(ProbeError::Absent(unwatched(place)));
    };
    let (layout, metrics) = watch.metrics().map_err(|source| ProbeError::Bmc {
        address: watch.address().to_owned(),
        source,
    })?;
    Ok(Box::new(BmcProbe {
        watch,
        layout,
        metrics,
        seen: 0,
    }))
}

fn unwatched(place: &Place) -> String {
    if place.path("dev/ipmi0").exists() {
        "no BMC is configured, though there is /dev/ipmi0: set bmc.address = \"local\"".to_owned()
    } else {
        "no BMC is configured (bmc.address)".to_owned()
    }
}

struct BmcProbe {
    watch: Watch,
    layout: u64,
    metrics: Vec<Metric>,
    /// Up to where readings were taken over.
    seen: u64,
}

impl Probe for BmcProbe {
    fn tier(&self) -> Tier {
        Tier::Middle
    }

    fn location(&self) -> String {
        let address = self.watch.address();
        match self.watch.bridged() {
            0 => address.to_owned(),
            count => format!("{address}; absent: {count} sensors of other controllers, which only a bridge reaches"),
        }
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, _now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        self.watch.take(&mut self.seen, out);
        Ok(())
    }

    fn take_findings(&mut self) -> Vec<Finding> {
        self.watch.take_findings()
    }

    fn outdated(&mut self) -> bool {
        self.watch.layout() != self.layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::Tree;

    #[test]
    fn without_a_bmc_it_is_absent_and_says_what_to_do() {
        let tree = Tree::new(&[]);
        let fault = |tree: &Tree| open(&tree.place()).err().unwrap();
        assert_eq!(fault(&tree).state(), shadow::SourceState::Absent);
        tree.set("dev/ipmi0", "");
        assert!(fault(&tree).to_string().contains("bmc.address = \"local\""));
    }
}
