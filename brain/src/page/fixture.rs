//! A page over two hosts for tests, called without a socket.

#[path = "tests/fleet.rs"]
pub(super) mod fleet;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
    response::Response,
};
use runtime::Clock;
use serde_json::Value;
use shadow::{Forecast, Quantiles, Reading, Resource, Rung, Shares, UnixMs, Vantage};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    Door, MAX_STREAMS, PageState, Shared,
    guard::Guard,
    health::Pulse,
    history,
    login::{
        told::Told,
        users::{self, Role, Users},
    },
    router,
};
use crate::{
    Columns,
    allocate::proposals::{Fate, Proposal, Refusal},
    config,
    dispatch::{Freeze, FreezeSwitch, Verdict},
    history::Database,
    snapshot::{AnomalyView, HostView, ResourceView, SeriesSource, Snapshot},
    watch::Notice,
};

/// A name that no check lets in; the page has to bear it all the same.
pub(super) const HOSTILE: &str = "<img src=x onerror=alert(1)>";
pub(super) const NOW_MS: UnixMs = 1_700_000_000_000;

/// Knows `web-1` only, what it was last asked for, and from where somebody was refused.
#[derive(Default)]
pub(super) struct OneHost {
    pub(super) asked: Mutex<Option<(Resource, UnixMs)>>,
    pub(super) refused: Mutex<Vec<String>>,
    pub(super) entered: Mutex<Vec<String>>,
}

impl SeriesSource for OneHost {
    fn series(&self, host: &str, resource: Resource, since_ms: UnixMs) -> Option<Vec<(UnixMs, f64)>> {
        *self.asked.lock().unwrap() = Some((resource, since_ms));
        (host == "web-1").then(|| vec![(NOW_MS - 20_000, 0.25), (NOW_MS - 10_000, 0.5)])
    }

    fn recent(&self, host: &str, vantage: Vantage, metrics: &[&str], since_ms: UnixMs) -> Option<Columns> {
        let known = host == "web-1" && vantage == Vantage::Inband;
        known.then(|| Columns {
            times_ms: vec![since_ms, NOW_MS],
            columns: vec![vec![Reading::new(0.5), Reading::ABSENT]; metrics.len()],
        })
    }
}

fn forecast(horizon_s: u32, p95: f64) -> Forecast {
    Forecast {
        resource: Resource::Cpu,
        made_ms: NOW_MS,
        horizon_s,
        quantiles: Quantiles::from_array([0.1, 0.2, p95, 1.0]),
        rung: Rung::Lstm,
        shares: Shares::default(),
        skill: Some(0.2),
        coverage: None,
    }
}

fn host(name: &str) -> HostView {
    let cpu = ResourceView {
        resource: Resource::Cpu,
        unit: "1",
        value: Some(0.5),
        absent: String::new(),
        capacity: Some(1.0),
        forecasts: vec![forecast(300, 0.6), forecast(900, 0.8)],
        peaks: Vec::new(),
    };
    HostView {
        name: name.to_owned(),
        state: "online".to_owned(),
        last_sample_ms: NOW_MS - 100,
        resources: vec![cpu],
        ..HostView::default()
    }
}

fn anomaly(host: &str, until_ms: UnixMs) -> AnomalyView {
    AnomalyView {
        host: host.to_owned(),
        resource: Resource::Cpu,
        since_ms: NOW_MS - 60_000,
        until_ms,
        score: 4.0,
        evidence: String::new(),
    }
}

pub(super) fn snapshot() -> Snapshot {
    Snapshot {
        time_ms: NOW_MS,
        cell: "lab".to_owned(),
        hosts: vec![host("web-1"), host(HOSTILE)],
        anomalies: vec![
            anomaly("web-1", NOW_MS),
            anomaly("web-1", NOW_MS - 1),
            anomaly("other", NOW_MS),
        ],
        ..Snapshot::default()
    }
}

pub(super) struct Page {
    pub(super) engine: watch::Sender<Arc<Snapshot>>,
    pub(super) series: Arc<OneHost>,
    pub(super) shared: Arc<Shared>,
    pub(super) router: Router,
}

/// What Ann, an operator, and Bob, a viewer, log in with.
pub(super) const PASSWORDS: [(&str, Role, &str); 2] = [
    ("ann", Role::Operator, "ann's password"),
    ("bob", Role::Viewer, "bob's: password"),
];

/// Ann and Bob, in a file.
pub(super) fn list_of_people(folder: &Path) -> PathBuf {
    let path = folder.join("users");
    for (name, role, password) in PASSWORDS {
        users::add(&path, name, role, password).unwrap();
    }
    path
}

/// Takes somebody out of the list.
pub(super) fn forget(folder: &Path, name: &str) {
    users::remove(&folder.join("users"), name).unwrap();
}

/// The same two, with hashes of no password.
pub(super) fn people() -> Users {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    let hash = "$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let text = PASSWORDS
        .map(|(name, role, _)| format!("{name}:{role}:{hash}\n"))
        .concat();
    trust::files::replace(&path, text.as_bytes()).unwrap();
    Users::load(&path).unwrap()
}

/// A page where people log in, on a clock of the test's.
pub(super) fn page_with(config: &config::Page, clock: &Clock) -> Page {
    let (engine, series, page) = state();
    let door = Arc::new(Door::open(config, clock.clone()).unwrap());
    with((engine, series, PageState { door, ..page }))
}

/// A switch that somebody has turned.
pub(super) fn frozen_by(by: &str, reason: &str) -> Freeze {
    Freeze {
        by: by.to_owned(),
        reason: reason.to_owned(),
        since_ms: NOW_MS,
    }
}

/// `page` with a brain behind it that decides on proposals, and shows that.
pub(super) fn decided(engine: &watch::Sender<Arc<Snapshot>>, page: PageState) -> PageState {
    let (decide, mut verdicts) = mpsc::channel::<Verdict>(1);
    let shown = engine.clone();
    tokio::spawn(async move {
        while let Some(verdict) = verdicts.recv().await {
            judge(&shown, verdict);
        }
    });
    PageState { decide, ..page }
}

/// Decides on what is shown: what `carol` approves does not fit.
fn judge(shown: &watch::Sender<Arc<Snapshot>>, verdict: Verdict) {
    let mut snapshot = Snapshot::clone(&shown.borrow());
    let all = Arc::make_mut(&mut snapshot.proposals);
    let decided = match all.iter_mut().find(|known| known.id == verdict.id) {
        None => Err(Refusal::Unknown),
        Some(known) if known.fate == Fate::Lapsed => Err(Refusal::Lapsed(known.reason.clone())),
        Some(_) if verdict.by == "carol" => Err(Refusal::Unfit("the cell is frozen by ann".to_owned())),
        Some(known) if known.fate != Fate::Open => Err(Refusal::Decided(known.told())),
        Some(known) => {
            known.fate = if verdict.approves {
                Fate::Approved
            } else {
                Fate::Declined
            };
            known.decided_ms = Some(NOW_MS);
            known.by = verdict.by;
            known.reason = verdict.reason;
            known.command_id = verdict.approves.then(|| "1-web-1-4".to_owned());
            Ok(Proposal::clone(known))
        }
    };
    shown.send_replace(Arc::new(snapshot));
    verdict.done.send(decided).unwrap();
}

/// The page's state, and the engine's end of it.
pub(super) fn state() -> (watch::Sender<Arc<Snapshot>>, Arc<OneHost>, PageState) {
    let (acknowledge, mut notices) = mpsc::channel::<Notice>(8);
    let (freeze, mut turned) = mpsc::channel::<FreezeSwitch>(1);
    tokio::spawn(async move {
        while let Some(turned) = turned.recv().await {
            let freeze = turned.is_on.then(|| Freeze {
                by: turned.by.clone(),
                reason: turned.reason.clone(),
                since_ms: NOW_MS,
            });
            turned.done.send(freeze).unwrap();
        }
    });
    let (engine, snapshot) = watch::channel(Arc::new(snapshot()));
    let series = Arc::new(OneHost::default());
    let host = Arc::clone(&series);
    // A brain that knows two incidents.
    tokio::spawn(async move {
        while let Some(notice) = notices.recv().await {
            match notice {
                Notice::Taken(asked) => {
                    let known = asked.host == "web-1" && [7, NOW_MS - 720_000].contains(&asked.since_ms);
                    let known = known && asked.by == "ann";
                    asked.done.send(known).unwrap();
                }
                Notice::Refused { from, .. } => host.refused.lock().unwrap().push(from),
                Notice::Entered { who, how, .. } => host.entered.lock().unwrap().push(format!("{who} {how}")),
            }
        }
    });
    let state = PageState {
        acknowledge,
        freeze,
        decide: mpsc::channel(1).0,
        snapshot,
        series: Arc::clone(&series) as Arc<dyn SeriesSource>,
        history: Database::file(Path::new("/nowhere/brain.db")),
        metrics: Arc::new(|age| format!("# TYPE foreshadow_age gauge\nforeshadow_age {}\n# EOF\n", age.as_secs())),
        names: vec!["brain.example.org".to_owned()],
        door: Arc::new(Door::open(&of_operators(), Clock::system()).unwrap()),
        certificates: None,
    };
    (engine, series, state)
}

/// Whoever asks from this machine may change something.
fn of_operators() -> config::Page {
    config::Page {
        local_role: Role::Operator,
        ..config::Page::default()
    }
}

pub(super) fn page() -> Page {
    with(state())
}

/// A page over another fleet, with a past.
pub(super) fn page_of(snapshot: Snapshot) -> Page {
    let (engine, series, page) = state();
    engine.send_replace(Arc::new(snapshot));
    let series_of_fleet = Arc::new(fleet::Waves);
    let page = decided(&engine, page);
    with((
        engine,
        series,
        PageState {
            series: series_of_fleet,
            ..page
        },
    ))
}

fn with((engine, series, page): (watch::Sender<Arc<Snapshot>>, Arc<OneHost>, PageState)) -> Page {
    let closing = CancellationToken::new();
    let guard = Guard::new("127.0.0.1:8080".parse().unwrap(), &page.names);
    let shared = Arc::new(Shared {
        pulse: Pulse::start(page.snapshot.clone(), closing.clone()),
        page,
        closing,
        streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        reads: Semaphore::new(history::MAX_READS),
        told: Told::default(),
    });
    let router = router(Arc::clone(&shared), guard);
    Page {
        engine,
        series,
        shared,
        router,
    }
}

impl Page {
    pub(super) async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Response {
        let request = Request::get(path).header(header::HOST, "127.0.0.1:8080");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(super) async fn json(&self, path: &str) -> (StatusCode, Value) {
        let response = self.get(path).await;
        let status = response.status();
        (status, serde_json::from_str(&text(response).await).unwrap())
    }
}

pub(super) async fn text(response: Response) -> String {
    let body = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

pub(super) fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}
