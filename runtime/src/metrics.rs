//! Counters and gauges of a process in the Prometheus text form.
//!
//! Names are `foreshadow_<part>_<thing>_<unit>`; the prefix is put here, and `_total` behind counters.
//! Each crate has its names in one enum that implements [`Name`].

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, counter, family::Family, gauge},
    registry::{Metric, Registry},
};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One metric of a crate's enum.
pub trait Name {
    /// Without prefix and `_total`: `broker_messages_received`.
    fn name(&self) -> &'static str;
    /// One sentence for people, without a full stop at its end.
    fn help(&self) -> &'static str;
}

impl Name for (&'static str, &'static str) {
    fn name(&self) -> &'static str {
        self.0
    }

    fn help(&self) -> &'static str {
        self.1
    }
}

/// All metrics of a process. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

/// A number that only grows. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Counter(counter::Counter<u64>);

/// A number that rises and falls. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Gauge(gauge::Gauge<f64, AtomicU64>);

/// Counters that differ in the value of one label. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub struct Counters {
    label: &'static str,
    family: Family<Vec<(&'static str, &'static str)>, counter::Counter<u64>>,
}

/// Takes numbers that are read while the metrics are rendered.
pub struct Reading<'a> {
    encoder: DescriptorEncoder<'a>,
    result: fmt::Result,
}

struct Read<F>(F);

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// None yet.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("foreshadow"))))
    }

    /// Adds a counter at 0.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "names are small enums; a reference at each call is noise"
    )]
    pub fn counter(&self, name: impl Name) -> Counter {
        let counter = Counter::default();
        self.register(&name, counter.0.clone());
        counter
    }

    /// Adds a gauge at 0.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "names are small enums; a reference at each call is noise"
    )]
    pub fn gauge(&self, name: impl Name) -> Gauge {
        let gauge = Gauge::default();
        self.register(&name, gauge.0.clone());
        gauge
    }

    /// Adds counters by the values of `label`. Values come from code, never from a peer: each is kept for ever.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "names are small enums; a reference at each call is noise"
    )]
    pub fn counters(&self, name: impl Name, label: &'static str) -> Counters {
        let family = Family::default();
        self.register(&name, family.clone());
        Counters { label, family }
    }

    /// Adds numbers that others count, and that are read while the metrics are rendered: `read` tells all of them, each
    /// name once.
    pub fn on_render(&self, read: impl Fn(&mut Reading<'_>) + Send + Sync + 'static) {
        let mut registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(Read(read)));
    }

    /// All metrics as text, for a body of type [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string fails only where a metric refuses to be encoded, which none of ours does.
        match text::encode(&mut text, &registry) {
            Ok(()) => text,
            Err(fmt::Error) => "# EOF\n".to_owned(),
        }
    }

    fn register(&self, name: &impl Name, metric: impl Metric) {
        let mut registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register(name.name(), name.help(), metric);
    }
}

impl<F> fmt::Debug for Read<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Read")
    }
}

impl<F: Fn(&mut Reading<'_>) + Send + Sync + 'static> Collector for Read<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut reading = Reading {
            encoder,
            result: Ok(()),
        };
        self.0(&mut reading);
        reading.result
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "names are small enums; a reference at each call is noise"
)]
impl Reading<'_> {
    /// A number that only grows.
    pub fn counter(&mut self, name: impl Name, value: u64) {
        self.metric(&name, MetricType::Counter, |mut metric| {
            metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
        });
    }

    /// A number that rises and falls.
    pub fn gauge(&mut self, name: impl Name, value: f64) {
        self.metric(&name, MetricType::Gauge, |mut metric| metric.encode_gauge(&value));
    }

    /// Numbers that only grow, by the values of `label`. How many there are is the caller's to bound.
    pub fn counters<'v>(&mut self, name: impl Name, label: &str, values: impl IntoIterator<Item = (&'v str, u64)>) {
        self.metric(&name, MetricType::Counter, |mut metric| {
            values.into_iter().try_for_each(|(of, value)| {
                let labels = [(label, of)];
                let mut metric = metric.encode_family(&labels)?;
                metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
            })
        });
    }

    /// Numbers that rise and fall, by the values of `label`. How many there are is the caller's to bound.
    pub fn gauges<'v>(&mut self, name: impl Name, label: &str, values: impl IntoIterator<Item = (&'v str, f64)>) {
        self.metric(&name, MetricType::Gauge, |mut metric| {
            values.into_iter().try_for_each(|(of, value)| {
                let labels = [(label, of)];
                metric.encode_family(&labels)?.encode_gauge(&value)
            })
        });
    }

    fn metric(&mut self, name: &impl Name, kind: MetricType, encode: impl FnOnce(MetricEncoder<'_>) -> fmt::Result) {
        let help = format!("{}.", name.help());
        let descriptor = self.encoder.encode_descriptor(name.name(), &help, None, kind);
        self.result = self.result.and(descriptor.and_then(encode));
    }
}

impl Counter {
    /// Adds 1.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.inc_by(n);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Adds `delta`, which may be negative.
    pub fn add(&self, delta: f64) {
        self.0.inc_by(delta);
    }

    /// Its value.
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

impl Counters {
    /// The counter with this value of the label; made at 0 when it is new.
    pub fn with(&self, value: &'static str) -> Counter {
        Counter(self.family.get_or_create(&vec![(self.label, value)]).clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn metrics_are_rendered_with_prefix_and_help() {
        let metrics = Metrics::new();
        let frames = metrics.counter(("brain_frames", "Frames taken in"));
        let hosts = metrics.gauge(("brain_hosts", "Hosts online"));
        let refused = metrics.counters(("brain_refused", "Frames refused"), "reason");
        frames.add(2);
        frames.inc();
        hosts.set(1.5);
        hosts.add(-0.5);
        refused.with("size").inc();
        refused.with("size").inc();

        assert_eq!((frames.get(), hosts.get(), refused.with("size").get()), (3, 1.0, 2));
        let text = metrics.clone().render();
        for line in [
            "# HELP foreshadow_brain_frames Frames taken in.",
            "# TYPE foreshadow_brain_frames counter",
            "foreshadow_brain_frames_total 3",
            "foreshadow_brain_hosts 1.0",
            "foreshadow_brain_refused_total{reason=\"size\"} 2",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in:\n{text}");
        }
    }

    #[test]
    fn what_others_count_is_read_when_it_is_rendered() {
        let metrics = Metrics::new();
        let count = Arc::new(AtomicU64::new(0));
        let counted = count.clone();
        metrics.on_render(move |reading| {
            let n = counted.load(Relaxed);
            reading.counter(("broker_messages", "Messages"), n);
            reading.gauge(("broker_clients", "Clients"), 1.5);
            reading.counters(("broker_dropped", "Dropped"), "client", [("a\"b", n)]);
            reading.gauges(("broker_waiting_bytes", "Waiting"), "client", [("a", 2.0)]);
        });
        count.store(7, Relaxed);
        let text = metrics.render();
        for line in [
            "# HELP foreshadow_broker_messages Messages.",
            "foreshadow_broker_messages_total 7",
            "foreshadow_broker_clients 1.5",
            "foreshadow_broker_dropped_total{client=\"a\\\"b\"} 7",
            "foreshadow_broker_waiting_bytes{client=\"a\"} 2.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in:\n{text}");
        }
    }
}
