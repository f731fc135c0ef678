//! One horizon of one series: what each expert was worth lately, and what is published.

use shadow::{Forecast, QUANTILES, Quantiles, Resource, Rung, Shares, UnixMs};

use super::{FleetSpread, Now, Pending};
use crate::{
    baseline::{BestAlpha, Levels},
    blend::{self, Blend},
    calibrate::{Tracker, rising},
    config::rows,
    dataset::PAST_ROWS,
    score::mean_pinball,
    spread::Spread,
};

/// Share of a loss that is left after one more truth: some 300 rows make skill and coverage.
const KEEP: f64 = 0.997;

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

/// What was said at one moment about one horizon.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// The last value with the errors of the past around it.
    pub(super) last: [f32; 4],
    pub(super) lstm: Option<[f32; 4]>,
    /// The average with its errors.
    pub(super) ewma: [f32; 4],
    /// Blended, calibrated, rising.
    pub(super) published: [f32; 4],
    pub(super) rung: Rung,
    shares: Shares,
    skill: Option<f32>,
    coverage: Option<f32>,
}

impl Said {
    /// All experts, with the quantiles of recent values at that moment.
    pub(super) fn experts(&self, recent: Option<[[f32; 4]; 3]>) -> blend::Said {
        let [hour, four_hours, day] = recent.map_or([None; 3], |recent| recent.map(Some));
        [self.lstm, Some(self.ewma), hour, four_hours, day]
    }

    pub(super) fn forecast(&self, resource: Resource, made_ms: UnixMs, horizon_s: u32) -> Forecast {
        Forecast {
            resource,
            made_ms,
            horizon_s,
            quantiles: Quantiles::from_array(self.published.map(f64::from)),
            rung: self.rung,
            shares: self.shares,
            skill: self.skill.map(f64::from),
            coverage: self.coverage.map(f64::from),
        }
    }
}

/// One horizon of one series.
#[derive(Debug, Clone)]
pub(super) struct Horizon {
    pub(super) seconds: u32,
    /// The horizon in rows.
    pub(super) rows: usize,
    spreads: [Spread; 2],
    best: BestAlpha,
    blend: Blend,
    tracker: Tracker<4>,
    /// Losses over the scale of the last value and of what was published.
    losses: [Fading; 2],
    covered: Fading,
}

impl Horizon {
    pub(super) fn new(seconds: u32, step_s: u32) -> Self {
        Self {
            seconds,
            rows: rows(seconds, step_s),
            spreads: [Spread::empty(), Spread::empty()],
            best: BestAlpha::default(),
            blend: Blend::default(),
            tracker: Tracker::new(),
            losses: [Fading::default(); 2],
            covered: Fading::default(),
        }
    }

    /// When the truth of a forecast made at `made_ms` comes.
    pub(super) fn due_ms(&self, made_ms: UnixMs) -> UnixMs {
        made_ms.saturating_add(i64::from(self.seconds) * 1_000)
    }

    /// Takes in the baselines' errors at one truth. Returns them over the scale: last value, average.
    pub(super) fn learn_errors(&mut self, truth: f32, last: f32, levels: &Levels, scale: f32) -> [f32; 2] {
        let errors = [last, self.best.pick(levels)].map(|point| (truth - point) / scale);
        for (spread, error) in self.spreads.iter_mut().zip(errors) {
            spread.add(error);
        }
        self.best.learn(truth, levels);
        errors
    }

    pub(super) fn judge(
        &mut self,
        truth: f32,
        pending: &Pending,
        said: &Said,
        experts: &blend::Said,
        fleet: &mut FleetSpread,
    ) {
        let errors = self.learn_errors(truth, pending.last, &pending.levels, pending.scale);
        for (spread, error) in fleet.0.iter_mut().zip(errors) {
            spread.add(error);
        }
        self.blend.learn(truth, experts, pending.scale);
        if said.rung != Rung::Last {
            self.tracker.learn(truth, &said.published, QUANTILES);
        }
        for (fading, quantiles) in self.losses.iter_mut().zip([&said.last, &said.published]) {
            fading.add(mean_pinball(truth, quantiles) / f64::from(pending.scale));
        }
        self.covered.add(if truth <= said.published[2] { 1.0 } else { 0.0 });
    }

    /// What the LSTM showed counts half from now on.
    pub(super) fn doubt_lstm(&mut self) {
        self.blend.doubt_network();
    }

    /// What all experts say, and what is published: none of it above `most`.
    pub(super) fn say(
        &self,
        now: &Now<'_>,
        levels: &Levels,
        lstm: Option<[f32; 4]>,
        fleet: &FleetSpread,
        most: f32,
    ) -> Said {
        let [of_last, of_ewma] = [0, 1].map(|which: usize| {
            let pair = self.spreads.get(which).zip(fleet.0.get(which));
            pair.map_or([0.0; 4], |(own, fleet)| own.quantiles(fleet, FLEET_WEIGHT))
        });
        let mut last = of_last.map(|error| now.last + error * now.scale);
        last[0] = now.last;
        let average = self.best.pick(levels);
        let mut said = Said {
            last: rising(last),
            lstm,
            ewma: of_ewma.map(|error| average + error * now.scale),
            published: [0.0; 4],
            rung: Rung::Last,
            shares: Shares::default(),
            skill: self.skill(),
            coverage: self.covered.mean().map(|share| share as f32),
        };
        said.published = said.last;
        let warm = now.known >= PAST_ROWS.max(self.rows);
        if let Some((blended, shares)) = self.blend.mix(&said.experts(now.recent)).filter(|_| warm) {
            said.published = self.tracker.publish(rising(blended), now.scale);
            let others = shares.to_array().into_iter().skip(1);
            let most_of_all = others.into_iter().all(|share| share <= shares.lstm);
            said.rung = if lstm.is_some() && most_of_all {
                Rung::Lstm
            } else {
                Rung::Ewma
            };
            said.shares = shares;
        }
        said.published = said.published.map(|value| value.min(most));
        said
    }

    /// 1 - (what was published lost / what the last value lost), lately.
    fn skill(&self) -> Option<f32> {
        let [last, published] = self.losses.map(Fading::mean);
        let pair = published.zip(last).filter(|(_, last)| *last > 0.0);
        pair.map(|(own, last)| (1.0 - own / last) as f32)
    }
}
