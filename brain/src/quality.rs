//! How good forecasts were over the last days: a point each five minutes, for the page. Pure.
//!
//! A point tells medians over all hosts, for one host that is hard to forecast says little of the cell.

use std::{collections::VecDeque, sync::Arc};

use shadow::{Forecast, Resource, Rung, UnixMs};

use crate::snapshot::QualityView;

/// Between two points, in milliseconds.
const EVERY_MS: i64 = 300_000;
/// Points that are kept: two days of five resources.
const MOST: usize = 2 * 288 * Resource::ALL.len();

/// Points of the last two days, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Quality {
    points: VecDeque<QualityView>,
    /// As they are shown; `None` since one has come.
    shown: Option<Arc<Vec<QualityView>>>,
}

impl Quality {
    /// Goes on with those of before a restart.
    pub(crate) fn restore(&mut self, points: Vec<QualityView>) {
        let newest = points.len().saturating_sub(MOST);
        self.points = points.into_iter().skip(newest).collect();
        self.shown = None;
    }

    /// The clock was set back: what lies after the present never was.
    pub(crate) fn rewind(&mut self, now_ms: UnixMs) {
        self.points.retain(|point| point.time_ms <= now_ms);
        self.shown = None;
    }

    /// Notes what forecasts are worth at `time_ms`, where a point is due; tells whether it was.
    pub(crate) fn row<'a>(&mut self, time_ms: UnixMs, all: impl Iterator<Item = &'a Forecast>) -> bool {
        let due = |last: &QualityView| time_ms.div_euclid(EVERY_MS) > last.time_ms.div_euclid(EVERY_MS);
        if !self.points.back().is_none_or(due) {
            return false;
        }
        let mut of = Resource::ALL.map(|_| Vec::new());
        for forecast in all {
            if let Some(own) = of.get_mut(forecast.resource.index()) {
                own.push(forecast);
            }
        }
        for (resource, forecasts) in Resource::ALL.into_iter().zip(of) {
            self.points.extend(point(time_ms, resource, &forecasts));
        }
        while self.points.len() > MOST {
            self.points.pop_front();
        }
        self.shown = None;
        true
    }

    /// All points, oldest first. Shared between pictures until one comes.
    pub(crate) fn shown(&mut self) -> Arc<Vec<QualityView>> {
        let points = &self.points;
        let shown = self
            .shown
            .get_or_insert_with(|| Arc::new(points.iter().cloned().collect()));
        Arc::clone(shown)
    }
}

/// What forecasts of one resource are worth at the farthest horizon; `None` without any.
fn point(time_ms: UnixMs, resource: Resource, forecasts: &[&Forecast]) -> Option<QualityView> {
    let farthest = forecasts.iter().map(|forecast| forecast.horizon_s).max()?;
    let far = || forecasts.iter().filter(|forecast| forecast.horizon_s == farthest);
    let hosts = far().count();
    let by_network = far().filter(|forecast| forecast.rung == Rung::Lstm).count();
    Some(QualityView {
        time_ms,
        resource,
        hosts: u32::try_from(hosts).unwrap_or(u32::MAX),
        skill: median(far().filter_map(|forecast| forecast.skill).collect()),
        coverage: median(far().filter_map(|forecast| forecast.coverage).collect()),
        by_network: by_network as f64 / hosts as f64,
    })
}

/// The value in the middle; of two the lower one.
fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len().checked_sub(1)? / 2;
    let (_, median, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    Some(*median)
}

#[cfg(test)]
mod tests {
    use shadow::{Quantiles, Shares};

    use super::*;

    fn forecast(resource: Resource, horizon_s: u32, skill: Option<f64>, rung: Rung) -> Forecast {
        Forecast {
            resource,
            made_ms: 0,
            horizon_s,
            quantiles: Quantiles::from_array([0.0; 4]),
            rung,
            shares: Shares::default(),
            skill,
            coverage: Some(0.9),
        }
    }

    #[test]
    fn a_point_tells_medians_at_the_farthest_horizon() {
        let all = [
            forecast(Resource::Cpu, 900, Some(0.1), Rung::Lstm),
            forecast(Resource::Cpu, 900, Some(-9.0), Rung::Ewma),
            forecast(Resource::Cpu, 900, Some(0.3), Rung::Lstm),
            forecast(Resource::Cpu, 900, None, Rung::Last),
            forecast(Resource::Cpu, 300, Some(1.0), Rung::Last),
            forecast(Resource::Disk, 900, None, Rung::Last),
        ];
        let mut quality = Quality::default();
        assert!(quality.row(600_000, all.iter()));
        assert!(!quality.row(610_000, all.iter()), "one point each five minutes");
        let [cpu, disk] = quality.shown().to_vec().try_into().unwrap();
        assert_eq!((cpu.hosts, cpu.skill, cpu.by_network), (4, Some(0.1), 0.5));
        assert_eq!(
            (disk.resource, disk.skill, disk.coverage),
            (Resource::Disk, None, Some(0.9))
        );
    }

    #[test]
    fn two_days_are_kept_and_a_clock_that_is_set_back_forgets() {
        let all = Resource::ALL.map(|resource| forecast(resource, 900, Some(0.5), Rung::Lstm));
        let mut quality = Quality::default();
        for step in 0..1_000 {
            assert!(quality.row(step * EVERY_MS, all.iter()));
        }
        assert_eq!(quality.shown().len(), MOST);
        let mut restored = Quality::default();
        restored.restore(quality.shown().to_vec());
        restored.rewind(999 * EVERY_MS - 1);
        assert_eq!(restored.shown().len(), MOST - 5);
        assert!(restored.row(999 * EVERY_MS, all.iter()));
        assert_eq!(restored.shown(), quality.shown());
    }
}
