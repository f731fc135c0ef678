//! A restarted brain goes on where the last one ended.

use std::{collections::BTreeMap, sync::Arc};

use serde::de::DeserializeOwned;
use shadow::{Birth, Frame, UnixMs};

use super::{Engine, watch::MINUTE_MS};
use crate::{
    ingest::RangeSet,
    store::{Recovered, StoredRow, Stream, WorkloadMinutes, meta},
    watch::Attention,
};

/// Rows of all hosts together that are stepped through, and minutes of their workloads, so that a start takes seconds: a fifth
/// of a millisecond each, where a network has to forecast five resources.
const MAX_WARM_UP: i64 = 5_000;

impl Engine {
    /// Puts back what the store has, and steps through the newest past again, so that forecasts, scores and
    /// calibration stand where they stood.
    pub(crate) fn restore(&mut self, mut recovered: Recovered, monotonic_ns: u64) {
        self.restore_streams(recovered.births, &recovered.watermarks, monotonic_ns);
        let closed_ms = json(&recovered.meta, meta::CLOSED_MS).unwrap_or(0);
        self.restore_rows(&recovered.rollups, &recovered.meta, closed_ms);
        self.restore_workloads(&recovered.workloads);
        self.ingest.prime(&mut recovered.references);
        self.keep_references(&recovered.references);
        self.restore_tail(recovered.tail, closed_ms, monotonic_ns);
        self.restore_hosts(&recovered.hosts);
        self.close_rows();
        let state = json(&recovered.meta, meta::ALLOCATION).unwrap_or_default();
        let feedback = json(&recovered.meta, meta::FEEDBACK).unwrap_or_default();
        self.dispatch.restore(state, feedback, recovered.commands);
        if let Some(highs) = json(&recovered.meta, meta::HIGHEST) {
            self.dispatch.restore_highs(highs);
        }
        let prices = json(&recovered.meta, meta::PRICES).unwrap_or_default();
        let refused = self.dispatch.restore_books(recovered.books, &prices);
        self.figures.refused.with("books").add(refused as u64);
        self.quality
            .restore(json(&recovered.meta, meta::QUALITY).unwrap_or_default());
        self.dispatch
            .restore_proposals(json(&recovered.meta, meta::PROPOSALS).unwrap_or_default());
        if !recovered.has_proposals {
            let remembered = self.dispatch.remembered_proposals();
            let rows = remembered.map(|proposal| (proposal.id.clone(), proposal.clone()));
            self.batch.proposals.extend(rows);
        }
        let freeze = json::<Option<_>>(&recovered.meta, meta::FREEZE).flatten();
        self.restore_freeze(freeze);
        for (host, resource, since_ms, told) in recovered.anomalies {
            self.foresight.restore(host, resource, since_ms, told);
        }
        for (stream, event) in &recovered.events {
            self.journal.add(stream, event);
            self.watch.recall(&stream.host, event);
        }
        for (host, saved_ms, body) in &recovered.detectors {
            self.watch.relearn(host, *saved_ms, body);
        }
        for incident in recovered.incidents {
            self.watch.restore(incident);
        }
        let served = json(&recovered.meta, meta::MODEL);
        if let Some(artifact) = served.and_then(|served| self.learning.restore(served))
            && let Err(error) = self.foresight.adopt(&artifact)
        {
            self.learning.rejected(error.to_string());
        }
        self.warm_up();
        self.snapshot = self.picture().into();
    }

    fn restore_streams(
        &mut self,
        births: Vec<(Stream, Birth)>,
        watermarks: &BTreeMap<(Stream, u64), RangeSet>,
        monotonic_ns: u64,
    ) {
        let mut of_epoch = BTreeMap::new();
        for (stream, birth) in births {
            let birth = Arc::new(birth);
            // Oldest first, so that the newest stays.
            self.fleet.birth(&stream, &birth, monotonic_ns);
            of_epoch.insert((stream, birth.epoch), birth);
        }
        for ((stream, epoch), durable) in watermarks {
            let birth = of_epoch.remove(&(stream.clone(), *epoch));
            self.ingest.restore(stream, birth, *epoch, durable.clone());
        }
        // Of older ones without a watermark nothing is expected any more: they are the history of the inventory.
        let newest: BTreeMap<_, _> = of_epoch
            .into_iter()
            .map(|((stream, epoch), birth)| (stream, (epoch, birth)))
            .collect();
        for (stream, (epoch, birth)) in newest {
            if watermarks
                .range((stream.clone(), epoch)..=(stream.clone(), u64::MAX))
                .next()
                .is_none()
            {
                self.ingest.restore(&stream, Some(birth), epoch, RangeSet::default());
            }
        }
    }

    fn restore_rows(
        &mut self,
        rollups: &BTreeMap<Arc<str>, Vec<StoredRow>>,
        known: &BTreeMap<String, String>,
        closed_ms: UnixMs,
    ) {
        let step_ms = self.config.grid.step_ms();
        for (host, rows) in rollups {
            // Rows past the present are from a clock that was wrong.
            let until = rows.partition_point(|row| row.begin_ms < self.open.saturating_mul(step_ms));
            self.hot.restore(host, rows.get(..until).unwrap_or_default(), closed_ms);
        }
        let oldest = rollups
            .values()
            .filter_map(|rows| rows.first())
            .map(|row| row.begin_ms)
            .min();
        let first_ms = json::<i64>(known, meta::FIRST_ROW_MS).or(oldest);
        self.first_row = first_ms.map_or(i64::MAX, |ms| ms.div_euclid(step_ms));
    }

    fn restore_workloads(&self, minutes: &WorkloadMinutes) {
        let open_ms = self.open.saturating_mul(self.config.grid.step_ms());
        for ((host, workload), minutes) in minutes {
            let until = minutes.partition_point(|(begin_ms, _)| *begin_ms < open_ms);
            let minutes = minutes.get(..until).unwrap_or_default();
            self.hot.restore_workload(host, workload, minutes);
        }
    }

    /// Frames are durable before the rows that they fill: what is later than `closed_ms` is in no row yet. Those from a
    /// clock that was wrong are left to the store.
    fn restore_tail(&mut self, tail: Vec<(Stream, Frame)>, closed_ms: UnixMs, monotonic_ns: u64) {
        for (stream, frame) in tail {
            if self.ingest.is_ahead(self.now_ms, frame.start_ms) {
                continue;
            }
            match self.ingest.read_again(&stream, &frame) {
                Ok(Some(mut readings)) => {
                    self.fleet.reconcile(&stream, &mut readings);
                    self.fleet.samples(&stream, &readings, monotonic_ns);
                    self.hot.add(&stream.host, &readings, closed_ms, self.open);
                    if let Some(birth) = self.ingest.birth_of(&stream, frame.epoch) {
                        self.hot.keep(&stream, birth, &frame, readings.newest_ms(&frame));
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(host = &*stream.host, %error, "stored frame left out"),
            }
        }
    }

    /// Of a newest sample by a clock that was wrong nothing is believed: every sample would be older until then.
    fn restore_hosts(&mut self, hosts: &BTreeMap<Arc<str>, UnixMs>) {
        for (host, &newest_ms) in hosts {
            let is_ahead = self.ingest.is_ahead(self.now_ms, newest_ms);
            self.fleet.restore(host, if is_ahead { 0 } else { newest_ms });
        }
    }

    fn warm_up(&mut self) {
        let step_ms = self.config.grid.step_ms();
        let longest = i64::try_from(self.hot.longest()).unwrap_or(0);
        let asked = self.config.forecast.warm_up.as_millis() / step_ms;
        let minute = (MINUTE_MS / step_ms).max(1);
        let rows = asked.min(longest).min(self.affordable(minute));
        // States are quickly learnt, and of what was learnt before nothing is learnt twice.
        for end in self.open - longest + 1..=self.open - rows {
            self.minute(end * step_ms, Attention::Learn);
        }
        for end in self.open - rows + 1..=self.open {
            // What was unusual is known from the store.
            drop(self.foresight.step(end * step_ms, end, &self.hot));
            // Of less than a minute they would learn nothing.
            if rows >= minute {
                self.workloads(end * step_ms);
            }
            self.minute(end * step_ms, Attention::Learn);
        }
        if rows > 0 {
            tracing::info!(rows, "stepped through the stored past");
        }
    }

    /// How many rows can be stepped through, of which so many are a minute.
    fn affordable(&self, minute: i64) -> i64 {
        let count = |all: usize| i64::try_from(all).unwrap_or(i64::MAX);
        let workloads = self.fleet.hosts().map(|(_, host)| host.workloads().len()).sum();
        let steps = minute.saturating_mul(count(self.fleet.len()).max(1));
        MAX_WARM_UP * minute / steps.saturating_add(count(workloads))
    }
}

fn json<T: DeserializeOwned>(known: &BTreeMap<String, String>, key: &str) -> Option<T> {
    let text = known.get(key)?;
    serde_json::from_str(text)
        .inspect_err(|error| tracing::warn!(key, %error, "stored value left out"))
        .ok()
}
