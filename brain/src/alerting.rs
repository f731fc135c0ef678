//! Incidents of the newest snapshot, as those who are told of them ([`alerts`]) take them.

use std::{net::SocketAddr, sync::Arc};

use alerts::{Count, Counted, Incident, Source};
use runtime::{Metrics, Shutdown};
use shadow::{Severity, UnixMs};
use tokio::sync::watch;

use crate::{
    Config,
    metrics::Metric,
    snapshot::{IncidentView, Snapshot},
};

/// The newest snapshot.
struct Shown(watch::Receiver<Arc<Snapshot>>);

impl Source for Shown {
    fn incidents(&self) -> (UnixMs, Vec<Incident>) {
        let snapshot = Arc::clone(&self.0.borrow());
        (snapshot.time_ms, snapshot.incidents.iter().map(incident).collect())
    }
}

fn incident(view: &IncidentView) -> Incident {
    Incident {
        host: view.host.clone(),
        since_ms: view.since_ms,
        until_ms: view.until_ms,
        goes_on: view.goes_on,
        severity: Severity::from_word(view.severity).unwrap_or(Severity::Warning),
        cause: view.cause.clone(),
        evidence: view.signals.iter().map(|signal| signal.evidence.clone()).collect(),
        is_acknowledged: view.acknowledged_ms.is_some(),
    }
}

/// Tells the receivers of `config` what `snapshot` shows, in tasks of their own, until `shutdown`.
pub(crate) fn start(
    config: &Config,
    snapshot: &watch::Receiver<Arc<Snapshot>>,
    page: SocketAddr,
    metrics: &Metrics,
    shutdown: &Shutdown,
) {
    let source: Arc<dyn Source> = Arc::new(Shown(snapshot.clone()));
    let delivered = metrics.counters(Metric::AlertsDelivered, "kind");
    let failed = metrics.counters(Metric::AlertsFailed, "kind");
    let counted: Counted = Arc::new(move |kind, count| match count {
        Count::Delivered => delivered.with(kind.as_str()).inc(),
        Count::Failed => failed.with(kind.as_str()).inc(),
    });
    let folder = config.data_dir.join("alerts");
    let cell = (config.cell.as_str(), &*format!("{}://{page}", config.page.scheme()));
    alerts::start(&config.alerts, cell, &folder, &source, &counted, shutdown).detach_all();
}

#[cfg(test)]
mod tests {
    use anomaly::{Kind, Signal};

    use super::*;

    #[test]
    fn receivers_are_told_what_the_page_shows() {
        let signal = Signal {
            kind: Kind::State,
            subject: "host".to_owned(),
            severity: Severity::Critical,
            score: 9.0,
            evidence: "a state that it was never in".to_owned(),
        };
        let view = IncidentView {
            host: "node-1".to_owned(),
            since_ms: 1,
            until_ms: 2,
            goes_on: true,
            severity: "critical",
            score: 9.0,
            cause: "memory leaks".to_owned(),
            signals: vec![signal],
            acknowledged_ms: Some(3),
            acknowledged_by: None,
        };
        let (tell, shown) = watch::channel(Arc::default());
        tell.send_replace(Arc::new(Snapshot {
            time_ms: 4,
            incidents: vec![view],
            ..Snapshot::default()
        }));
        let (now_ms, incidents) = Shown(shown).incidents();
        let [told] = &*incidents else { panic!("{incidents:?}") };
        assert_eq!((now_ms, told.since_ms, told.severity), (4, 1, Severity::Critical));
        assert_eq!(told.evidence, ["a state that it was never in"]);
        assert!(told.goes_on && told.is_acknowledged);
    }
}
