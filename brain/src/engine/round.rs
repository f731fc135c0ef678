//! A tick: rows are closed, forecasts made, values judged, allocations planned.

use std::{collections::BTreeMap, sync::atomic::AtomicBool, time::Instant};

use bus::Qos;
use serde::Serialize;
use shadow::{Resource, UnixMs};

use super::{Engine, Publication, intake::At, watch::MINUTE_MS};
use crate::{
    allocate::{HostInput, WorkloadInput},
    present::FOLLOWED_MS,
    store::{memory::Changed, meta},
    watch::Attention,
};

mod tenants;

/// Rows that one tick makes up for, when ticks come late: an hour at 10 s. Of a longer pause only the end is
/// forecast.
const MAX_CATCH_UP: i64 = 360;
/// How far the clock may fall back before it is said to have jumped.
const JITTER_MS: i64 = 1_000;
/// How often forecasts are stored.
const STORED_EVERY_MS: i64 = 60_000;

impl Engine {
    /// Time has passed.
    pub(super) fn tick(&mut self, now_ms: UnixMs, monotonic_ns: u64) {
        let start = Instant::now();
        let past_ms = now_ms.saturating_sub(self.now_ms);
        self.now_ms = now_ms;
        self.pace.tick(past_ms, self.figures.samples.get());
        self.rows(past_ms);
        self.close_rows();
        self.forget_silent(monotonic_ns);
        self.end_quiet();
        self.learn(now_ms);
        self.tell_expiry(now_ms);
        self.forget_decisions();
        self.allocate(At { now_ms, monotonic_ns });
        self.renew_leases(At { now_ms, monotonic_ns });
        self.dispatch.expire(now_ms);
        self.note_proposals();
        self.count_proposals();
        self.tell_watermarks();
        self.count_records(monotonic_ns);
        self.snapshot = self.picture().into();
        self.figures.tick_seconds.set(start.elapsed().as_secs_f64());
    }

    /// The rows that are over.
    fn rows(&mut self, past_ms: i64) {
        let step_ms = self.config.grid.step_ms();
        let end = self
            .now_ms
            .saturating_sub(self.config.grid.grace.as_millis())
            .div_euclid(step_ms);
        if self.open - end > FOLLOWED_MS / step_ms + 1 {
            self.jumped(
                past_ms,
                "the clock was set back: what lay after the present is left to the store",
            );
            self.rewind(end);
        } else if past_ms < -JITTER_MS {
            self.jumped(
                past_ms,
                "the clock fell back a little; rows are closed again once it has caught up",
            );
        }
        if end - self.open > MAX_CATCH_UP {
            self.jumped(
                past_ms,
                "a long pause or a jump of the clock; the rows between are not forecast",
            );
            self.open = end - 1;
        }
        while self.open < end {
            self.open += 1;
            self.row(self.open * step_ms);
        }
    }

    /// Goes on from a present before the newest row. Rows that are durable stay so until their time comes again.
    fn rewind(&mut self, open: i64) {
        self.open = open;
        self.first_row = self.first_row.min(open);
        self.hot.rewind(open);
        self.foresight.rewind();
        self.watch.rewind(self.now_ms);
        self.dispatch.rewind(self.now_ms);
        self.fleet.rewind(self.now_ms);
        self.quality.rewind(self.now_ms);
    }

    /// Forgets hosts of which nothing has come for long, and takes their retained views back.
    fn forget_silent(&mut self, monotonic_ns: u64) {
        let silence_ns = self.config.ingest.forget_after.as_millis().unsigned_abs() * 1_000_000;
        for host in self.fleet.silent(silence_ns, monotonic_ns) {
            tracing::info!(host = &*host, "forgotten: nothing has come of it for long");
            self.fleet.forget(&host);
            self.ingest.forget(&host);
            self.hot.forget(&host);
            self.foresight.forget(&host);
            self.watch.forget(&host);
            for topic in self.views.remove(&self.topics.view(&host, "")) {
                self.outbox.push(Publication {
                    topic,
                    payload: bytes::Bytes::new(),
                    qos: Qos::AtLeastOnce,
                    retain: true,
                });
            }
        }
    }

    fn jumped(&self, by_ms: i64, what: &str) {
        self.figures.clock_jumps.inc();
        tracing::warn!(by_ms, "{what}");
    }

    /// One row of the grid is over at `end_ms`.
    fn row(&mut self, end_ms: UnixMs) {
        self.close_rows();
        for incident in self.foresight.step(end_ms, self.open, &self.hot) {
            let told = &incident.told;
            if incident.open && told.until_ms.saturating_add(MINUTE_MS) >= end_ms {
                let reading = (told.score, &*told.evidence);
                self.watch
                    .reading(&incident.host, incident.resource, told.until_ms, reading);
            }
            let key = (incident.host.clone(), incident.resource, incident.since_ms);
            if self.batch.anomalies.insert(key, incident.told).is_none() && incident.began {
                self.figures.anomalies.inc();
            }
        }
        self.minute(end_ms, Attention::Tell);
        self.workloads(end_ms);
        let made = self.foresight.all().count();
        self.figures.forecasts.add(made as u64);
        if end_ms.rem_euclid(STORED_EVERY_MS.max(self.config.grid.step_ms())) == 0 {
            self.store_forecasts();
        }
        self.note_quality(end_ms);
        let hosts = self.host_inputs(end_ms);
        self.dispatch.usage(end_ms, &hosts);
        self.dispatch.hurry(end_ms, &hosts);
        self.store_books();
        self.look_at_strain(end_ms);
    }

    /// Closes rows up to the open one, and hands over what changed in closed ones.
    pub(super) fn close_rows(&mut self) {
        let mut changed = self.hot.close(self.open);
        self.leave_out_old(&mut changed);
        let Changed {
            rollups,
            minutes,
            workloads,
        } = changed;
        let step_ms = self.config.grid.step_ms();
        if let Some((_, begin_ms)) = rollups.keys().min_by_key(|(_, begin_ms)| *begin_ms) {
            self.first_row = self.first_row.min(begin_ms.div_euclid(step_ms));
        }
        if !rollups.is_empty() {
            let closed_ms = self.open.saturating_mul(step_ms);
            self.batch.meta.insert(meta::CLOSED_MS, closed_ms.to_string());
            self.batch
                .meta
                .insert(meta::FIRST_ROW_MS, self.first_row.saturating_mul(step_ms).to_string());
        }
        self.batch.rollups.extend(rollups);
        self.batch.minutes.extend(minutes);
        self.batch.workloads.extend(workloads);
    }

    fn learn(&mut self, now_ms: UnixMs) {
        let rows = usize::try_from(self.open.saturating_sub(self.first_row)).unwrap_or(0);
        let asks = self.foresight.drift().filter(|drift| drift.asks);
        if !self.learning.is_due(rows, asks.as_ref()) {
            return;
        }
        let step_ms = self.config.grid.step_ms();
        let asked = self.config.forecast.history.as_millis() / step_ms;
        let since = self.open.saturating_sub(asked).max(self.first_row);
        let (past, end) = (self.past.clone(), self.open);
        let moments = self.dispatch.memory().1.moments().clone();
        let histories = move |stop: &AtomicBool| {
            let mut histories = past.histories(since.saturating_mul(step_ms), end, stop);
            for history in &mut histories {
                let rows = (history.first_ms, step_ms, history.rows.len());
                history.weights = moments.weights(&history.host, rows);
            }
            histories
        };
        if let Some(why) = self.learning.asked() {
            self.figures.trainings_asked.inc();
            tracing::info!(rows, why, "training begins: the model has drifted");
        } else {
            tracing::info!(rows, "training begins");
        }
        self.learning.start(now_ms, histories);
    }

    /// A training has ended, and with it what drift had asked for.
    pub(super) fn answer_drift(&mut self) {
        if self.learning.asked().is_some() {
            self.foresight.answered();
        }
    }

    fn allocate(&mut self, at: At) {
        let now_ms = at.now_ms;
        // While the bus is away nobody hears a command, and a plan would count as carried out.
        let is_of_use = self.connected && self.has_room() && self.foresight.made_ms().is_some();
        // What somebody has decided goes out first.
        let is_of_use = is_of_use && self.decisions.is_empty();
        if !is_of_use || !self.dispatch.is_due(now_ms) {
            return;
        }
        let hosts = self.host_inputs(now_ms);
        for command in self.dispatch.round(now_ms, &hosts) {
            self.send(command, at);
        }
        self.remember_allocation();
    }

    pub(super) fn remember_allocation(&mut self) {
        self.batch.plans.extend(self.dispatch.take_plans());
        let savings = self.dispatch.take_savings(self.now_ms, false);
        if !savings.is_empty() {
            self.batch.savings.extend(savings);
            self.remember_json(meta::HIGHEST, serde_json::to_string(self.dispatch.highs()));
        }
        let (state, feedback) = self.dispatch.memory();
        let told = [
            (meta::ALLOCATION, serde_json::to_string(state)),
            (meta::FEEDBACK, serde_json::to_string(feedback)),
        ];
        for (key, json) in told {
            self.remember_json(key, json);
        }
    }

    /// Where an interval has ended, books of some hosts are stored, and the prices; later where there is no room.
    pub(super) fn store_books(&mut self) {
        if self.has_room()
            && let Some(prices) = self.dispatch.store_books(&mut self.batch.books)
        {
            self.remember(meta::PRICES, &prices);
        }
    }

    /// Notes a single value for the next start.
    pub(super) fn remember(&mut self, key: &'static str, value: &impl Serialize) {
        self.remember_json(key, serde_json::to_string(value));
    }

    pub(super) fn remember_json(&mut self, key: &'static str, json: serde_json::Result<String>) {
        match json {
            Ok(json) => drop(self.batch.meta.insert(key, json)),
            Err(error) => tracing::error!(key, %error, "not stored"),
        }
    }

    /// What allocation knows of each host.
    pub(super) fn host_inputs(&self, now_ms: UnixMs) -> BTreeMap<String, HostInput> {
        let input = |(name, host): (&std::sync::Arc<str>, &crate::fleet::Host)| {
            let uses = self.hot.uses(name);
            let present = self.hot.present(name);
            let workload = |workload: &shadow::Workload| {
                let [cpu, memory] = uses.get(&workload.name).copied().unwrap_or([f32::NAN; 2]);
                let expected = self
                    .foresight
                    .expected(name, &workload.name)
                    .cloned()
                    .unwrap_or_default();
                let input = WorkloadInput {
                    criticality: workload.criticality,
                    class: workload.class.clone(),
                    cpu_cores: known(cpu),
                    memory_bytes: known(memory),
                    forecasts: expected.forecasts,
                    peaks: expected.peaks,
                };
                (workload.name.clone(), input)
            };
            let newest_ms = host.newest_ms();
            let age_ms = now_ms.saturating_sub(newest_ms);
            let input = HostInput {
                capacity: host.capacity(),
                present: Resource::ALL
                    .map(|resource| present.and_then(|row| crate::store::memory::resource_value(&row, resource))),
                age_ms: (newest_ms > 0).then(|| u64::try_from(age_ms).unwrap_or(0)),
                history_ms: self.hot.history_ms(name).unsigned_abs(),
                forecasts: self.foresight.latest(name).to_vec(),
                peaks: self.foresight.peaks(name).to_vec(),
                limits: self.dispatch.limits(name),
                workloads: host.workloads().iter().map(workload).collect(),
            };
            (name.to_string(), input)
        };
        self.fleet.hosts().map(input).collect()
    }

    /// Notes which model is in service, for the next start.
    pub(super) fn remember_model(&mut self) {
        self.remember_json(meta::MODEL, serde_json::to_string(self.learning.served()));
    }
}

impl super::Pace {
    /// An average over about ten seconds.
    fn tick(&mut self, past_ms: i64, samples: u64) {
        if past_ms <= 0 {
            return;
        }
        let seconds = past_ms as f64 / 1_000.0;
        let now = (samples - self.counted) as f64 / seconds;
        let weight = if self.counted == 0 {
            1.0
        } else {
            1.0 - (-seconds / 10.0).exp()
        };
        self.per_s += weight * (now - self.per_s);
        self.counted = samples;
    }

    pub(super) const fn per_s(&self) -> f64 {
        self.per_s
    }
}

fn known(value: f32) -> Option<f64> {
    value.is_finite().then_some(f64::from(value))
}
