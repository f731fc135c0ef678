//! One horizon of one series: what each rung was worth lately, and which one serves.

use shadow::{Forecast, Quantiles, Resource, Rung, UnixMs};

use super::{FleetSpread, Now, Pending};
use crate::{
    baseline::{BestAlpha, Levels},
    calibrate::{Tracker, rising},
    config::rows,
    score::mean_pinball,
    spread::Spread,
};

/// Share of a loss that is left after one more truth: some 300 rows decide which rung serves.
const KEEP: f64 = 0.997;

/// Fewest truths that a rung must have met before it may replace another; and they must span a horizon, since
/// truths that are closer together tell the same story.
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

/// What all rungs said at one moment about one horizon.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// Quantiles by rung, calibrated, rising.
    pub(super) rungs: [[f32; 4]; 3],
    pub(super) has_lstm: bool,
    pub(super) served: Rung,
    skill: Option<f32>,
    coverage: Option<f32>,
}

impl Said {
    /// The same, no quantile above `most`.
    pub(super) fn at_most(mut self, most: f32) -> Self {
        self.rungs = self.rungs.map(|quantiles| quantiles.map(|value| value.min(most)));
        self
    }

    fn served(&self) -> &[f32; 4] {
        let [last, ewma, lstm] = &self.rungs;
        match self.served {
            Rung::Last => last,
            Rung::Ewma => ewma,
            Rung::Lstm => lstm,
        }
    }
}

/// One horizon of one series.
#[derive(Debug, Clone)]
pub(super) struct Horizon {
    pub(super) seconds: u32,
    /// The horizon in rows, and truths that a rung must have met before it may replace another.
    pub(super) rows: usize,
    evidence: f64,
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

impl Horizon {
    pub(super) fn new(seconds: u32, step_s: u32) -> Self {
        let rows = rows(seconds, step_s);
        Self {
            seconds,
            rows,
            evidence: EVIDENCE.max(rows as f64),
            spreads: [Spread::empty(), Spread::empty()],
            best: BestAlpha::default(),
            trackers: [Tracker::default(); 3],
            losses: [Fading::default(); 2],
            fair: [Fading::default(); 3],
            covered: Fading::default(),
            serving: Rung::Last,
        }
    }

    /// When the truth of a forecast made at `made_ms` comes.
    pub(super) fn due_ms(&self, made_ms: UnixMs) -> UnixMs {
        made_ms.saturating_add(i64::from(self.seconds) * 1_000)
    }

    /// Takes in the baselines' errors at one truth. Returns them over the scale: last value, EWMA.
    pub(super) fn learn_errors(&mut self, truth: f32, last: f32, levels: &Levels, scale: f32) -> [f32; 2] {
        let errors = [last, self.best.pick(levels)].map(|point| (truth - point) / scale);
        for (spread, error) in self.spreads.iter_mut().zip(errors) {
            spread.add(error);
        }
        self.best.learn(truth, levels);
        errors
    }

    pub(super) fn judge(&mut self, truth: f32, pending: &Pending, said: &Said, fleet: &mut FleetSpread) {
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

    /// What the LSTM showed counts half from now on.
    pub(super) fn doubt_lstm(&mut self) {
        for fading in &mut self.fair {
            fading.sum *= 0.5;
            fading.weight *= 0.5;
        }
    }

    /// Which rung serves, by the losses lately.
    fn choose(&self) -> Rung {
        let [last, ewma] = self.losses.map(|fading| fading.mean().unwrap_or(f64::INFINITY));
        let steady = |holds: bool| if holds { 1.0 + HYSTERESIS } else { 1.0 - HYSTERESIS };
        let known = self.losses[1].weight >= self.evidence;
        let baseline = if known && ewma < last * steady(self.serving != Rung::Last) {
            Rung::Ewma
        } else {
            Rung::Last
        };
        let [last, ewma, lstm] = self.fair.map(|fading| fading.mean().unwrap_or(f64::INFINITY));
        let proven = self.fair[2].weight >= self.evidence;
        if proven && lstm < last.min(ewma) * steady(self.serving == Rung::Lstm) {
            Rung::Lstm
        } else {
            baseline
        }
    }

    pub(super) fn say(&self, now: &Now<'_>, levels: &Levels, lstm: Option<&[f32; 4]>, fleet: &FleetSpread) -> Said {
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
    pub(super) fn forecast(&self, resource: Resource, made_ms: UnixMs, horizon_s: u32) -> Forecast {
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
