//! One series: its rungs, what each was worth lately, and which one serves.

use std::collections::VecDeque;

use shadow::{Forecast, Quantiles, Resource, Rung, UnixMs};

use crate::{
    baseline::{Averages, BestAlpha, Levels, Spread},
    calibrate::{Tracker, rising},
    score::{Board, Judged, mean_pinball},
};

/// Share of a loss that is left after one more truth: some 300 rows decide which rung serves.
const KEEP: f64 = 0.997;

/// Truths that a rung must have met before it may replace another.
const EVIDENCE: f64 = 30.0;

/// How much lower another rung's loss must be before it replaces the one in service.
const HYSTERESIS: f64 = 0.01;

/// Weight of the fleet's errors beside a series' own, in truths.
const FLEET_WEIGHT: f32 = 8.0;

/// A sum that forgets.
#[derive(Debug, Clone, Copy, Default)]
struct Fading {
    sum: f64,
    weight: f64,
}

impl Fading {
    fn add(&mut self, value: f64) {
        self.sum = KEEP * self.sum + value;
        self.weight = KEEP * self.weight + 1.0;
    }

    fn mean(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// Errors over the scale of the whole fleet for one resource and horizon, by baseline rung: what a series
/// starts from.
#[derive(Debug, Clone)]
pub(crate) struct FleetSpread(pub(crate) [Spread; 2]);

impl FleetSpread {
    pub(crate) fn new() -> Self {
        Self([Spread::guess(), Spread::guess()])
    }
}

/// What all rungs said at one moment about one horizon.
#[derive(Debug, Clone, Copy)]
struct Said {
    /// Quantiles by rung, calibrated, rising.
    rungs: [[f32; 4]; 3],
    has_lstm: bool,
    served: Rung,
    skill: Option<f32>,
    coverage: Option<f32>,
}

impl Said {
    fn served(&self) -> &[f32; 4] {
        let [last, ewma, lstm] = &self.rungs;
        match self.served {
            Rung::Last => last,
            Rung::Ewma => ewma,
            Rung::Lstm => lstm,
        }
    }
}

/// A moment whose truths have not all come.
#[derive(Debug, Clone)]
struct Pending {
    made_ms: UnixMs,
    last: f32,
    scale: f32,
    levels: Levels,
    said: Vec<Said>,
}

/// One horizon of one series.
#[derive(Debug, Clone)]
struct Horizon {
    seconds: u32,
    spreads: [Spread; 2],
    best: BestAlpha,
    trackers: [Tracker; 3],
    /// Losses over the scale of last value and EWMA, over all moments.
    losses: [Fading; 2],
    /// The same of all rungs, over the moments at which the LSTM forecast.
    fair: [Fading; 3],
    covered: Fading,
    serving: Rung,
}

/// A resource of a host with all that is known of its forecasts.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    resource: Resource,
    averages: Averages,
    horizons: Vec<Horizon>,
    pending: VecDeque<Pending>,
    standing: Option<(f32, f32)>,
}

/// What a series has to go on at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now<'a> {
    pub(crate) time_ms: UnixMs,
    /// The newest known value.
    pub(crate) last: f32,
    pub(crate) scale: f32,
    /// The LSTM's quantiles by horizon, in the resource's unit; `None` when there is no LSTM for it.
    pub(crate) lstm: Option<&'a [[f32; 4]]>,
}

/// A forecast whose truth has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ripe {
    pub(crate) truth: f32,
    pub(crate) scale: f32,
    pub(crate) forecast: Forecast,
}

impl Series {
    pub(crate) fn new(resource: Resource, horizons_s: &[u32]) -> Self {
        Self {
            resource,
            averages: Averages::default(),
            horizons: horizons_s.iter().map(|&seconds| Horizon::new(seconds)).collect(),
            pending: VecDeque::new(),
            standing: None,
        }
    }

    /// Learns the baselines' errors from values that were there before the first forecast, oldest first, one a
    /// row, NaN = missing, `step_ms` apart.
    pub(crate) fn learn_past(&mut self, values: &[f32], scale: f32, step_ms: i64) {
        let mut past: Vec<(f32, Option<Levels>)> = Vec::with_capacity(values.len());
        for &value in values {
            self.averages.push(value);
            for horizon in &mut self.horizons {
                let back = (i64::from(horizon.seconds) * 1_000 / step_ms.max(1)) as usize;
                let made = past.len().checked_sub(back).and_then(|row| past.get(row));
                if let Some((last, Some(levels))) = made
                    && value.is_finite()
                    && last.is_finite()
                {
                    horizon.learn_errors(value, *last, levels, scale);
                }
            }
            past.push((value, self.averages.levels()));
        }
    }

    /// Takes in the values that came since, oldest first.
    pub(crate) fn push(&mut self, values: impl Iterator<Item = f32>) {
        values.for_each(|value| self.averages.push(value));
    }

    /// Judges the forecasts that fell due after `since_ms` and up to `until_ms`.
    ///
    /// `truth` tells the value at a moment, if it is known. Returns the ripe forecasts, oldest first.
    pub(crate) fn judge(
        &mut self,
        since_ms: UnixMs,
        until_ms: UnixMs,
        truth: impl Fn(UnixMs) -> Option<f32>,
        fleet: &mut [FleetSpread],
        board: &mut Board,
    ) -> Vec<Ripe> {
        let mut ripe = Vec::new();
        for pending in &self.pending {
            let each = self
                .horizons
                .iter_mut()
                .zip(&pending.said)
                .zip(fleet.iter_mut())
                .enumerate();
            for (index, ((horizon, said), fleet)) in each {
                let due_ms = pending.made_ms + i64::from(horizon.seconds) * 1_000;
                let due = since_ms < due_ms && due_ms <= until_ms;
                let Some(value) = due.then(|| truth(due_ms)).flatten() else {
                    continue;
                };
                horizon.judge(value, pending, said, fleet);
                let lstm = said.has_lstm.then_some(&said.rungs[2]);
                let rungs = [Some(&said.rungs[0]), Some(&said.rungs[1]), lstm];
                board.add(
                    self.resource.index(),
                    index,
                    &Judged {
                        truth: value,
                        rungs,
                        served: said.served,
                    },
                );
                let forecast = said.forecast(self.resource, pending.made_ms, horizon.seconds);
                ripe.push(Ripe {
                    truth: value,
                    scale: pending.scale,
                    forecast,
                });
            }
        }
        let farthest_ms = self
            .horizons
            .iter()
            .map(|horizon| i64::from(horizon.seconds) * 1_000)
            .max()
            .unwrap_or(0);
        self.pending.retain(|pending| pending.made_ms + farthest_ms > until_ms);
        ripe
    }

    /// The last value and scale that a forecast was made from.
    pub(crate) const fn standing(&self) -> Option<(f32, f32)> {
        self.standing
    }

    /// Forecasts every horizon; `remember` keeps what was said, to be judged when the truths come.
    pub(crate) fn forecast(&mut self, now: &Now<'_>, fleet: &[FleetSpread], remember: bool) -> Vec<Forecast> {
        let Some(levels) = self.averages.levels() else {
            return Vec::new();
        };
        let said: Vec<Said> = self
            .horizons
            .iter_mut()
            .zip(fleet)
            .enumerate()
            .map(|(index, (horizon, fleet))| {
                let lstm = now
                    .lstm
                    .and_then(|lstm| lstm.get(index))
                    .filter(|q| q.iter().all(|v| v.is_finite()));
                horizon.say(now, &levels, lstm, fleet)
            })
            .collect();
        let each = self.horizons.iter().zip(&said);
        let forecasts = each.map(|(horizon, said)| said.forecast(self.resource, now.time_ms, horizon.seconds));
        let forecasts = forecasts.collect();
        if remember {
            self.standing = Some((now.last, now.scale));
            self.pending.push_back(Pending {
                made_ms: now.time_ms,
                last: now.last,
                scale: now.scale,
                levels,
                said,
            });
        }
        forecasts
    }

    /// The network was replaced by one that may behave otherwise: what the old one showed counts half.
    pub(crate) fn doubt_lstm(&mut self) {
        for fading in self.horizons.iter_mut().flat_map(|horizon| horizon.fair.iter_mut()) {
            fading.sum *= 0.5;
            fading.weight *= 0.5;
        }
    }
}

impl Horizon {
    fn new(seconds: u32) -> Self {
        Self {
            seconds,
            spreads: [Spread::empty(), Spread::empty()],
            best: BestAlpha::default(),
            trackers: [Tracker::default(); 3],
            losses: [Fading::default(); 2],
            fair: [Fading::default(); 3],
            covered: Fading::default(),
            serving: Rung::Last,
        }
    }

    /// Takes in the baselines' errors at one truth. Returns them over the scale: last value, EWMA.
    fn learn_errors(&mut self, truth: f32, last: f32, levels: &Levels, scale: f32) -> [f32; 2] {
        let errors = [last, self.best.pick(levels)].map(|point| (truth - point) / scale);
        for (spread, error) in self.spreads.iter_mut().zip(errors) {
            spread.add(error);
        }
        self.best.learn(truth, levels);
        errors
    }

    fn judge(&mut self, truth: f32, pending: &Pending, said: &Said, fleet: &mut FleetSpread) {
        let errors = self.learn_errors(truth, pending.last, &pending.levels, pending.scale);
        for (spread, error) in fleet.0.iter_mut().zip(errors) {
            spread.add(error);
        }
        let losses = said
            .rungs
            .map(|quantiles| mean_pinball(truth, &quantiles) / f64::from(pending.scale));
        for (fading, loss) in self.losses.iter_mut().zip(losses) {
            fading.add(loss);
        }
        if said.has_lstm {
            for (fading, loss) in self.fair.iter_mut().zip(losses) {
                fading.add(loss);
            }
            self.trackers[2].learn(truth, &said.rungs[2]);
        }
        self.trackers[0].learn_upper(truth, &said.rungs[0]);
        self.trackers[1].learn(truth, &said.rungs[1]);
        self.covered.add(if truth <= said.served()[2] { 1.0 } else { 0.0 });
        self.serving = self.choose();
    }

    /// Which rung serves, by the losses lately.
    fn choose(&self) -> Rung {
        let [last, ewma] = self.losses.map(|fading| fading.mean().unwrap_or(f64::INFINITY));
        let steady = |holds: bool| if holds { 1.0 + HYSTERESIS } else { 1.0 - HYSTERESIS };
        let known = self.losses[1].weight >= EVIDENCE;
        let baseline = if known && ewma < last * steady(self.serving != Rung::Last) {
            Rung::Ewma
        } else {
            Rung::Last
        };
        let [last, ewma, lstm] = self.fair.map(|fading| fading.mean().unwrap_or(f64::INFINITY));
        let proven = self.fair[2].weight >= EVIDENCE;
        if proven && lstm < last.min(ewma) * steady(self.serving == Rung::Lstm) {
            Rung::Lstm
        } else {
            baseline
        }
    }

    fn say(&self, now: &Now<'_>, levels: &Levels, lstm: Option<&[f32; 4]>, fleet: &FleetSpread) -> Said {
        let scale = now.scale;
        let [of_last, of_ewma] = [0, 1].map(|rung: usize| {
            let pair = self.spreads.get(rung).zip(fleet.0.get(rung));
            pair.map_or([0.0; 4], |(own, fleet)| own.quantiles(fleet, FLEET_WEIGHT))
        });
        let mut last = of_last.map(|error| now.last + error * scale);
        last[0] = now.last;
        let average = self.best.pick(levels);
        let ewma = of_ewma.map(|error| average + error * scale);
        let raw = [rising(last), ewma, lstm.copied().unwrap_or_default()];
        let mut rungs = raw;
        for ((slot, quantiles), tracker) in rungs.iter_mut().zip(raw).zip(&self.trackers) {
            *slot = tracker.publish(quantiles, scale);
        }
        let served = match self.serving {
            Rung::Lstm if lstm.is_none() => Rung::Ewma,
            serving => serving,
        };
        let skill = self.skill(served);
        let coverage = self.covered.mean().map(|share| share as f32);
        Said {
            rungs,
            has_lstm: lstm.is_some(),
            served,
            skill,
            coverage,
        }
    }

    /// 1 - (the rung's loss / the last value's), lately.
    fn skill(&self, rung: Rung) -> Option<f32> {
        let pair = match rung {
            Rung::Last => self.losses[0].mean().map(|last| (last, last)),
            Rung::Ewma => self.losses[1].mean().zip(self.losses[0].mean()),
            Rung::Lstm => self.fair[2].mean().zip(self.fair[0].mean()),
        };
        pair.filter(|(_, last)| *last > 0.0)
            .map(|(own, last)| (1.0 - own / last) as f32)
    }
}

impl Said {
    fn forecast(&self, resource: Resource, made_ms: UnixMs, horizon_s: u32) -> Forecast {
        Forecast {
            resource,
            made_ms,
            horizon_s,
            quantiles: Quantiles::from_array(self.served().map(f64::from)),
            rung: self.served,
            skill: self.skill.map(f64::from),
            coverage: self.coverage.map(f64::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    /// Runs `rows` rows of `values` with an LSTM that says `lstm(row)` for the next row; returns the shares of
    /// rungs over the last half, and the last forecast.
    fn run(values: impl Fn(usize) -> f32, lstm: impl Fn(usize) -> Option<f32>, rows: usize) -> ([f32; 3], Forecast) {
        let mut series = Series::new(Resource::Cpu, &[10]);
        let (mut fleet, mut board) = (vec![FleetSpread::new()], Board::new(&[10]));
        let (mut shares, mut newest) = ([0.0; 3], None);
        for row in 0..rows {
            let time_ms = row as i64 * 10_000;
            let value = values(row);
            series.judge(time_ms - 10_000, time_ms, |_| Some(value), &mut fleet, &mut board);
            series.push(std::iter::once(value));
            let network = lstm(row).map(|point| [[point, point + 0.1, point + 0.2, point + 0.3]]);
            let lstm = network.as_ref().map(<[[f32; 4]; 1]>::as_slice);
            let made = series.forecast(
                &Now {
                    time_ms,
                    last: value,
                    scale: 0.3,
                    lstm,
                },
                &fleet,
                true,
            );
            if row >= rows / 2 {
                shares[made[0].rung.index()] += 2.0 / rows as f32;
            }
            newest = made.into_iter().next();
        }
        (shares, newest.unwrap())
    }

    fn noise(seed: u64) -> Vec<f32> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..4_001).map(|_| 1.0 + random.random::<f32>()).collect()
    }

    #[test]
    fn the_lstm_serves_where_it_wins() {
        let noise = noise(1);
        let (shares, newest) = run(|row| noise[row], |row| Some(noise[row + 1] - 0.05), 3_000);
        assert!(shares[2] > 0.99, "{shares:?}");
        assert!(newest.skill.unwrap() > 0.5, "{newest:?}");
        assert!((newest.coverage.unwrap() - 0.95).abs() < 0.06, "{newest:?}");
    }

    #[test]
    fn and_nowhere_else() {
        let noise = noise(2);
        let (shares, _) = run(|row| noise[row], |row| Some(3.0 - noise[row]), 3_000);
        assert!(
            shares[2] < 0.01 && shares[1] > 0.95,
            "noise is for the average: {shares:?}"
        );
        let (shares, _) = run(|row| noise[row], |_| None, 3_000);
        assert!(shares[2] == 0.0, "{shares:?}");
        let walk: Vec<f32> = noise
            .iter()
            .scan(50.0, |at, step| {
                *at += step - 1.5;
                Some(*at)
            })
            .collect();
        let (shares, _) = run(|row| walk[row], |row| Some(walk[row] - 2.0), 3_000);
        assert!(
            shares[2] < 0.01 && shares[0] > 0.5,
            "a walk is for the last value: {shares:?}"
        );
    }

    #[test]
    fn a_network_that_stops_is_replaced_at_once() {
        let noise = noise(3);
        let (_, newest) = run(|row| noise[row], |row| (row < 2_999).then(|| noise[row + 1]), 3_000);
        assert_eq!(newest.rung, Rung::Ewma);
    }

    #[test]
    fn a_past_makes_the_first_forecast_sharp() {
        let mut series = Series::new(Resource::Cpu, &[10]);
        let values: Vec<f32> = (0..400).map(|row| [1.0, 2.0, f32::NAN][row % 3]).collect();
        series.learn_past(&values, 0.5, 10_000);
        let now = Now {
            time_ms: 0,
            last: 1.0,
            scale: 0.5,
            lstm: None,
        };
        let made = series.forecast(&now, &[FleetSpread::new()], true);
        let quantiles = made[0].quantiles;
        assert!((1.6..2.6).contains(&quantiles.p95), "{quantiles:?}");
    }
}
