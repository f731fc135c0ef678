//! One replay after another: as it is served, without the LSTM, of hosts that the network never saw.

use std::{ops::Range, time::Instant};

use forecast::{Artifact, Config, Drift, Forecaster};
use runtime::{bar::Bar, output::print_line};

use super::{
    bar,
    data::{Data, Host},
    peaks::PeakTally,
    tally::Tally,
    walk,
};

/// What is replayed.
pub(super) struct Replay<'a> {
    pub(super) data: &'a Data,
    pub(super) config: &'a Config,
    pub(super) stride: usize,
}

impl Replay<'_> {
    /// As it is served.
    pub(super) fn ordinary(&self) -> anyhow::Result<(Tally, PeakTally)> {
        let artifact = self.learn(self.config, 0..0)?;
        self.of_all(Some(&artifact))
    }

    /// The ladder alone.
    pub(super) fn without_network(&self) -> anyhow::Result<(Tally, PeakTally)> {
        self.of_all(None)
    }

    /// With a network of statistics, without a sequence.
    pub(super) fn without_lstm(&self) -> anyhow::Result<Tally> {
        let mut config = self.config.clone();
        config.training.sequence = false;
        let artifact = self.learn(&config, 0..0)?;
        Ok(self.of_all(Some(&artifact))?.0)
    }

    /// Every host by a network that learnt from others, `left` hosts at a time.
    pub(super) fn left_out(&self, left: usize) -> anyhow::Result<Tally> {
        let hosts = self.data.hosts.len();
        let mut tally = Tally::new(self.data, self.config, self.stride);
        for first in (0..hosts).step_by(left) {
            let out = first..(first + left).min(hosts);
            let artifact = self.learn(self.config, out.clone())?;
            let mut forecaster = self.forecaster(Some(&artifact))?;
            self.step(out, &mut forecaster, &mut tally, None)?;
        }
        Ok(tally)
    }

    /// Learns from all hosts but some.
    fn learn(&self, config: &Config, without: Range<usize>) -> anyhow::Result<Artifact> {
        let (begun, bar) = (Instant::now(), Bar::new());
        let artifact = walk::learn(self.data, config, without, &|progress| bar::train(&bar, progress))?;
        let (steps, took) = (artifact.steps(), begun.elapsed().as_secs_f64());
        let (hosts, moments) = (artifact.data().hosts, artifact.data().samples);
        print_line(&format!(
            "network  {} of {steps} steps from {moments} moments of {hosts} hosts in {took:.1} s",
            artifact.version()
        ))?;
        Ok(artifact)
    }

    fn forecaster(&self, artifact: Option<&Artifact>) -> anyhow::Result<Forecaster> {
        let mut forecaster = Forecaster::new(self.config.clone())?;
        if let Some(artifact) = artifact {
            forecaster.adopt(artifact)?;
        }
        Ok(forecaster)
    }

    fn of_all(&self, artifact: Option<&Artifact>) -> anyhow::Result<(Tally, PeakTally)> {
        let mut tally = Tally::new(self.data, self.config, self.stride);
        let mut peaks = PeakTally::new(self.data, self.config, self.stride);
        let mut forecaster = self.forecaster(artifact)?;
        let all = 0..self.data.hosts.len();
        self.step(all, &mut forecaster, &mut tally, Some(&mut peaks))?;
        Ok((tally, peaks))
    }

    fn step(
        &self,
        hosts: Range<usize>,
        forecaster: &mut Forecaster,
        tally: &mut Tally,
        mut peaks: Option<&mut PeakTally>,
    ) -> anyhow::Result<()> {
        let (begun, bar) = (Instant::now(), Bar::new());
        let scored = self.data.hosts.get(hosts.clone()).unwrap_or_default();
        let all: usize = scored.iter().map(|host| host.rows.len() - host.split).sum();
        let (mut done, mut drift, mut asked) = (0, Drift::new(self.config), 0);
        let rows = walk::walk(self.data, hosts, forecaster, Host::until, &mut |host, made| {
            done += 1;
            bar.tell(done, all, "rows");
            tally.add(host, made);
            drift.add(&made.matured);
            if drift.asks().is_some() {
                asked += 1;
                drift.restart();
            }
            let known = self.data.hosts.get(host).zip(tally.highs.get(host));
            if let (Some(peaks), Some((of, highs))) = (peaks.as_deref_mut(), known) {
                peaks.add(host, of, highs, made);
            }
        });
        let each = begun.elapsed().as_secs_f64() * 1e6 / rows.max(1) as f64;
        let days = scored
            .iter()
            .map(|host| host.rows.len() - host.split)
            .max()
            .unwrap_or(0) as f64
            * f64::from(self.data.step_s)
            / 86_400.0;
        print_line(&format!(
            "replay   {rows} rows, {each:.0} us each; drift asked for {asked} retrainings in {days:.0} days"
        ))?;
        Ok(())
    }
}
