//! The power that a BMC measures at the supply of the whole machine, against what the machine's own meters add up to.

use shadow::{Bound, Metric, Reading};

use crate::bmc::Watch;

/// How long the BMC's last word counts; after that the machine's own meters make up the host's power.
const TRUSTED_NS: u64 = 60_000_000_000;

/// The meter in the BMC.
pub(super) struct BmcMeter {
    watch: Watch,
    /// Whether the BMC measured power when this was opened.
    measures: bool,
    /// Whether there is anything that its power can be compared with.
    compared: bool,
    seen: u64,
    last_ns: Option<u64>,
}

impl BmcMeter {
    pub(super) fn new(watch: Watch, compared: bool) -> Self {
        let measures = watch.has_power();
        Self {
            watch,
            measures,
            compared,
            seen: 0,
            last_ns: None,
        }
    }

    pub(super) const fn measures(&self) -> bool {
        self.measures
    }

    /// Whether the BMC has begun or ceased to measure power.
    pub(super) fn is_outdated(&self) -> bool {
        self.watch.has_power() != self.measures
    }

    /// What [`BmcMeter::read`] reads.
    pub(super) fn metrics(&self) -> Vec<Metric> {
        let names = ["bmc.power", "power.residual"];
        let count = match (self.measures, self.compared) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        };
        let watts = |name: &&str| Metric::new(*name, "W", Bound::Absolute { step: 0.1 });
        names.iter().take(count).map(watts).collect()
    }

    /// Reads the BMC's power into `out`, and beside it what the machine's own meters, whose sum stands in `sum`,
    /// have not seen: losses of the supplies, fans, disks. While the BMC is heard, its power takes the place of the sum.
    pub(super) fn read(&mut self, now_ns: u64, sum: &mut Reading, out: &mut [Reading]) {
        let told = self.watch.power(&mut self.seen);
        let own = std::mem::replace(sum, Reading::STALE);
        out.fill(Reading::STALE);
        if let Some(power) = told {
            if power.value().is_some() {
                self.last_ns = Some(now_ns);
                *sum = power;
            }
            let residual = power.value().zip(own.value()).map(|(all, own)| Reading::new(all - own));
            crate::probe::put(out, [power, residual.unwrap_or(Reading::STALE)]);
        }
        let heard = self
            .last_ns
            .is_some_and(|last| now_ns.saturating_sub(last) < TRUSTED_NS);
        if !heard && self.compared {
            *sum = own;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The host's power, the BMC's and the residual, where the machine's own meters add up to `own`.
    fn read(meter: &mut BmcMeter, seconds: u64, own: f64) -> [Option<f64>; 3] {
        let (mut sum, mut out) = (Reading::new(own), [Reading::ABSENT; 2]);
        let places = meter.metrics().len();
        meter.read(seconds * SECOND, &mut sum, &mut out[..places]);
        [sum, out[0], out[1]].map(Reading::value)
    }

    #[test]
    fn the_bmc_is_believed_while_it_is_heard_and_the_rest_is_told() {
        let watch = Watch::idle();
        let mut meter = BmcMeter::new(watch.clone(), true);
        let names: Vec<String> = meter.metrics().into_iter().map(|metric| metric.name).collect();
        assert_eq!(names, ["bmc.power", "power.residual"]);
        watch.tell_power(200.0);
        assert_eq!(read(&mut meter, 0, 120.0), [Some(200.0), Some(200.0), Some(80.0)]);
        assert_eq!(read(&mut meter, 1, 125.0), [None; 3], "told once");
        assert_eq!(read(&mut meter, 59, 125.0), [None; 3]);
        assert_eq!(
            read(&mut meter, 60, 125.0),
            [Some(125.0), None, None],
            "silent for a minute"
        );
        watch.tell_power(210.0);
        assert_eq!(read(&mut meter, 61, 125.0), [Some(210.0), Some(210.0), Some(85.0)]);
        assert!(!meter.is_outdated());
    }

    #[test]
    fn alone_it_is_compared_with_nothing() {
        let watch = Watch::idle();
        let mut meter = BmcMeter::new(watch.clone(), false);
        assert_eq!(meter.metrics().len(), 1);
        watch.tell_power(200.0);
        let (mut sum, mut out) = (Reading::STALE, [Reading::ABSENT]);
        meter.read(0, &mut sum, &mut out);
        assert_eq!([sum, out[0]].map(Reading::value), [Some(200.0); 2]);
        meter.read(100 * SECOND, &mut sum, &mut out);
        assert_eq!([sum, out[0]], [Reading::STALE; 2], "no zero in its place");
    }
}
