//! The picture that is taken after every tick.

use shadow::{Birth, Resource, SourceState, UnixMs};

use super::Engine;
use crate::{
    fleet::{Host, Life},
    snapshot::{HostView, ModelView, ResourceView, ScoreView, ScoresView, Snapshot, SourceView, Totals, WorkloadView},
    store::meta,
};

impl Engine {
    /// Everything as it stands now.
    pub(super) fn picture(&mut self) -> Snapshot {
        let commands = self.dispatch.shown();
        let proposals = self.dispatch.shown_proposals();
        let events = self.journal.shown();
        let scores = self.scores_view().into();
        let hosts: Vec<HostView> = self
            .fleet
            .hosts()
            .map(|(name, host)| self.host_view(name, host))
            .collect();
        let online = hosts.iter().filter(|host| host.state == Life::Online.as_str()).count();
        let missing = self.ingest.missing();
        let figures = &self.figures;
        figures.hosts.set(self.fleet.len() as f64);
        figures.hosts_online.set(online as f64);
        figures.missing_frames.set(missing as f64);
        let skewed = self.fleet.hosts().filter(|(_, host)| host.is_skewed()).count();
        figures.hosts_skewed.set(skewed as f64);
        let offsets = hosts.iter().filter_map(|host| host.clock_offset_ms);
        let farthest_ms = offsets.max_by_key(|offset| offset.unsigned_abs()).unwrap_or(0);
        figures.clock_offset_seconds.set(farthest_ms as f64 / 1_000.0);
        figures.buffered_bytes.set(self.buffered_bytes() as f64);
        figures
            .model_drift
            .set(self.foresight.drift().map_or(0.0, |drift| drift.score));
        if let Some(made_ms) = self.foresight.made_ms() {
            figures
                .forecast_age_seconds
                .set(self.now_ms.saturating_sub(made_ms) as f64 / 1_000.0);
        }
        Snapshot {
            time_ms: self.now_ms,
            cell: self.config.cell.clone(),
            mode: self.dispatch.mode().into(),
            freeze: self.dispatch.freeze().cloned(),
            hosts,
            model: ModelView {
                served: self.foresight.served(),
                drift: self.foresight.drift(),
                ..self.learning.view()
            },
            pool: self.dispatch.pool().to_vec(),
            commands,
            anomalies: self.foresight.anomalies(self.now_ms),
            incidents: self.watch.shown(),
            events,
            unmet: self.dispatch.unmet().to_vec(),
            plan: self.dispatch.plan(),
            proposals,
            scores,
            totals: Totals {
                frames: figures.frames.get(),
                samples: figures.samples.get(),
                samples_per_s: self.pace.per_s(),
                frame_bytes: figures.frame_bytes.get(),
                packed_bytes: figures.packed_bytes.get(),
                refused: self.refused,
                duplicates: figures.duplicates.get(),
                missing,
            },
        }
    }

    fn host_view(&self, name: &str, host: &Host) -> HostView {
        let stale_ms = self.config.ingest.stale_after.as_millis();
        HostView {
            name: name.to_owned(),
            state: host.life(self.now_ms, stale_ms).as_str().into(),
            last_sample_ms: host.newest_ms(),
            interval_ms: host.interval_ms(),
            clock_offset_ms: host.clock_offset_ms(),
            agent_version: host
                .birth()
                .map(|birth| birth.agent_version.clone())
                .unwrap_or_default(),
            inventory: host.inventory(),
            sources: host.birth().map(|birth| sources(birth)).unwrap_or_default(),
            resources: Resource::ALL
                .map(|resource| self.resource_view(name, host, resource))
                .to_vec(),
            held: self.dispatch.held(name),
            births: host.told(),
            workloads: self.workload_views(name, host),
        }
    }

    fn resource_view(&self, name: &str, host: &Host, resource: Resource) -> ResourceView {
        let value = host.value(resource);
        let forecasts = self
            .foresight
            .latest(name)
            .iter()
            .filter(|forecast| forecast.resource == resource);
        let peaks = self
            .foresight
            .peaks(name)
            .iter()
            .filter(|peak| peak.resource == resource);
        ResourceView {
            resource,
            unit: resource.unit(),
            value,
            absent: if value.is_none() {
                host.why_absent(resource)
            } else {
                String::new()
            },
            capacity: match resource {
                Resource::Cpu | Resource::Memory => Some(1.0),
                _ => host.capacity().of(resource),
            },
            forecasts: forecasts.cloned().collect(),
            peaks: peaks.cloned().collect(),
        }
    }

    /// How good forecasts are and were.
    fn scores_view(&mut self) -> ScoresView {
        ScoresView {
            since_start: ScoreView::of(&self.foresight.scores()),
            held_out: self.learning.held_out().map(ScoreView::of).unwrap_or_default(),
            lately: self.quality.shown(),
        }
    }

    /// Notes what forecasts are worth, now and for the next start.
    pub(super) fn note_quality(&mut self, end_ms: UnixMs) {
        if self
            .quality
            .row(end_ms, self.foresight.all().map(|(_, forecast)| forecast))
        {
            let points = self.quality.shown();
            self.remember(meta::QUALITY, &*points);
        }
    }

    fn workload_views(&self, name: &str, host: &Host) -> Vec<WorkloadView> {
        let uses = self.hot.uses(name);
        let view = |workload: &shadow::Workload| {
            let [cpu, memory] = uses.get(&workload.name).copied().unwrap_or([f32::NAN; 2]);
            let reserved = |resource| self.dispatch.reserved(name, &workload.name, resource);
            let expected = self
                .foresight
                .expected(name, &workload.name)
                .cloned()
                .unwrap_or_default();
            WorkloadView {
                name: workload.name.clone(),
                criticality: workload.criticality,
                class: workload.class.clone(),
                cpu_cores: cpu.is_finite().then_some(f64::from(cpu)),
                memory_bytes: memory.is_finite().then_some(f64::from(memory)),
                cpu_reserved: reserved(Resource::Cpu),
                memory_reserved: reserved(Resource::Memory),
                held_back: self.held_back(name, &workload.name),
                forecasts: expected.forecasts,
                peaks: expected.peaks,
            }
        };
        host.workloads().iter().map(view).collect()
    }

    fn held_back(&self, host: &str, workload: &str) -> String {
        let of = |resource: Resource| {
            let why = self.dispatch.held_back(host, workload, resource)?;
            Some(format!("{resource}: {why}"))
        };
        let all: Vec<String> = [Resource::Cpu, Resource::Memory].into_iter().filter_map(of).collect();
        all.join("; ")
    }
}

fn sources(birth: &Birth) -> Vec<SourceView> {
    let view = |source: &shadow::Source| SourceView {
        name: source.name.clone(),
        state: SourceState::as_str(source.state).to_owned(),
        reason: source.reason.clone(),
    };
    birth.sources.iter().map(view).collect()
}
