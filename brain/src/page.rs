//! The page: what the brain sees, for people and for machines, over HTTP/1.1.
//!
//! Everything is read-only, but that incidents are acknowledged ([`incidents`]), the cell is frozen ([`freeze`]) and
//! proposals are decided on ([`proposals`]). Who may ask for what stands in one table ([`login`]). What is shown now comes from the newest [`Snapshot`], series through [`SeriesSource`] in
//! threads that may wait, and what the store holds over connections that only read ([`history`]); nothing here can slow the
//! engine down.
//!
//! | route | answers |
//! |---|---|
//! | `/` and `/assets/*` | the page itself, all of it from this binary ([`assets`]) |
//! | `/api/v1/snapshot` | the whole [`Snapshot`] |
//! | `/api/v1/fleet` | counts, model and totals: what the page asks for each second |
//! | `/api/v1/hosts?sort=pressure&order=descending&limit=50` | one row a host, as many as are wanted ([`hosts`]) |
//! | `/api/v1/hosts/{host}` | one host with its pool, commands, events, anomalies and incidents |
//! | `/api/v1/hosts/{host}/inventory`, `readings` | what it is made of, and what everything on it reads now ([`inventory`]) |
//! | `/api/v1/hosts/{host}/series?resource=cpu&minutes=60` | recent values of one resource |
//! | `/api/v1/hosts/{host}/recent?metrics=host.cpu,host.memory&seconds=60` | metrics at full rate ([`recent`]) |
//! | `/api/v1/hosts/{host}/incidents/{since_ms}/acknowledge` | POST: somebody takes notice of an incident |
//! | `/api/v1/freeze`, `/api/v1/thaw` | POST: nothing is changed any more, or again ([`freeze`]) |
//! | `/api/v1/proposals/{id}/approve`, `decline` | POST: somebody decides on a proposal ([`proposals`]) |
//! | `/api/v1/incidents`, `commands`, `events`, `proposals`, `plan`, `scores` | what is newest of all hosts ([`records`]) |
//! | `/api/v1/history/hosts`, `series`, `forecasts`, `anomalies`, `incidents`, `commands`, `proposals`, `events`, `plans` | what the store holds |
//! | `/api/v1/stream` | server-sent events: when to ask again ([`stream`]) |
//! | `/api/v1/openapi.json` | all of this for machines ([`openapi`]) |
//! | `/login`, `/logout`, `/api/v1/me` | the form, the way out, and who asks ([`login`]) |
//! | `/metrics` | the brain's own metrics as Prometheus text |
//! | `/healthz` | 200 while snapshots keep coming, else 503 ([`health`]) |
//!
//! Errors are problem documents (RFC 9457, [`problem`]); what a request may be addressed to is decided in [`guard`].

mod api;
mod assets;
#[cfg(test)]
mod fixture;
mod fleet;
mod freeze;
mod guard;
mod health;
pub(crate) mod healthy;
mod history;
mod hosts;
mod incidents;
mod inventory;
pub(crate) mod login;
mod openapi;
mod problem;
mod proposals;
mod recent;
mod records;
mod server;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderValue, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, watch},
    time,
};
use tokio_util::sync::CancellationToken;

pub use self::health::STALE_AFTER;
use self::{
    guard::Guard,
    health::Pulse,
    login::{form, gate, told::Told},
    problem::Problem,
    server::Server,
};
pub(crate) use self::{login::Door, tls::Certificates};
use crate::{
    dispatch::{FreezeSwitch, Verdict},
    history::Database,
    snapshot::{SeriesSource, Snapshot},
    watch::Notice,
};

/// The largest body of a request, in bytes.
const MAX_BODY: usize = 16 << 10;

/// How often it is looked whether users and certificate have changed, and whose session is over.
const UPKEEP: Duration = Duration::from_secs(1);

/// How many event streams may be open at a time; each open page holds one.
const MAX_STREAMS: usize = 64;

/// What the page shows.
#[derive(Clone)]
pub struct PageState {
    /// The newest picture; closed when the engine is gone.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// The recent history.
    pub series: Arc<dyn SeriesSource>,
    /// Where what is older is read.
    pub history: Database,
    /// Takes acknowledgements of incidents, and is told of those that were refused.
    pub acknowledge: mpsc::Sender<Notice>,
    /// Takes turns of the freeze switch.
    pub freeze: mpsc::Sender<FreezeSwitch>,
    /// Takes verdicts on proposals.
    pub decide: mpsc::Sender<Verdict>,
    /// Renders the brain's own metrics, in either text format of Prometheus, by how old the newest snapshot is: an engine
    /// that stands still cannot tell it.
    pub metrics: Arc<dyn Fn(Duration) -> String + Send + Sync>,
    /// Names besides `localhost` and addresses that a browser or scraper may reach the page by
    /// (without port, `brain.example.org`). A request that names another host is refused: see [`guard`].
    pub names: Vec<String>,
    /// Who may do what.
    pub(crate) door: Arc<Door>,
    /// The certificate that is shown; without one HTTP is plain.
    pub(crate) certificates: Option<Arc<Certificates>>,
}

/// What the handlers share.
struct Shared {
    page: PageState,
    pulse: Arc<Pulse>,
    /// Ends the event streams, which would otherwise outlive every shutdown.
    closing: CancellationToken,
    streams: Arc<Semaphore>,
    /// A permit for each answer that is read from the database at a time.
    reads: Semaphore,
    told: Told,
}

impl Shared {
    /// The newest snapshot, without holding on to the channel.
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.page.snapshot.borrow())
    }
}

/// Serves the page on `listener` until `shutdown` is done, then finishes open requests within 2 s.
///
/// # Errors
/// When the listener's own address cannot be read. Faults of single connections end these connections alone.
pub async fn serve(
    listener: TcpListener,
    page: PageState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let guard = Guard::new(listener.local_addr()?, &page.names);
    let closing = CancellationToken::new();
    let pulse = Pulse::start(page.snapshot.clone(), closing.clone());
    let shared = Arc::new(Shared {
        page,
        pulse,
        closing: closing.clone(),
        streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        reads: Semaphore::new(history::MAX_READS),
        told: Told::default(),
    });

    let stop = closing.clone();
    tokio::spawn(async move {
        shutdown.await;
        stop.cancel();
    });
    let (door, tls) = (Arc::clone(&shared.page.door), shared.page.certificates.clone());
    if door.has_lock() || tls.is_some() {
        tokio::spawn(upkeep(Arc::clone(&door), tls.clone(), closing.clone()));
    }
    let server = Server {
        behind_proxy: door.is_behind_proxy(),
        router: router(shared, guard),
        tls,
        closing,
    };
    server.run(listener).await;
    Ok(())
}

/// Keeps users, sessions and certificate as they should be.
async fn upkeep(door: Arc<Door>, tls: Option<Arc<Certificates>>, closing: CancellationToken) {
    while closing.run_until_cancelled(time::sleep(UPKEEP)).await.is_some() {
        door.upkeep();
        if let Some(tls) = &tls {
            tls.refresh();
        }
    }
}

fn router(shared: Arc<Shared>, guard: Guard) -> Router {
    Router::new()
        .route("/", get(assets::index))
        .route("/assets/{name}", get(assets::asset))
        .route("/api/v1/snapshot", get(api::snapshot))
        .route("/api/v1/fleet", get(api::fleet))
        .route("/api/v1/hosts", get(hosts::rows))
        .route("/api/v1/hosts/{host}", get(api::host))
        .route("/api/v1/hosts/{host}/inventory", get(inventory::inventory))
        .route("/api/v1/hosts/{host}/readings", get(inventory::readings))
        .route("/api/v1/hosts/{host}/series", get(api::series))
        .route("/api/v1/hosts/{host}/recent", get(recent::recent))
        .route(
            "/api/v1/hosts/{host}/incidents/{since_ms}/acknowledge",
            post(incidents::acknowledge),
        )
        .route("/api/v1/incidents", get(records::incidents))
        .route("/api/v1/commands", get(records::commands))
        .route("/api/v1/events", get(records::events))
        .route("/api/v1/plan", get(records::plan))
        .route("/api/v1/scores", get(records::scores))
        .route("/api/v1/proposals", get(records::proposals))
        .route("/api/v1/proposals/{id}/approve", post(proposals::approve))
        .route("/api/v1/proposals/{id}/decline", post(proposals::decline))
        .route("/api/v1/freeze", get(freeze::stands).post(freeze::turn::<true>))
        .route("/api/v1/thaw", post(freeze::turn::<false>))
        .route("/api/v1/history/hosts", get(history::hosts))
        .route("/api/v1/history/series", get(history::series))
        .route("/api/v1/history/forecasts", get(history::forecasts))
        .route("/api/v1/history/anomalies", get(history::anomalies))
        .route("/api/v1/history/incidents", get(history::incidents))
        .route("/api/v1/history/commands", get(history::commands))
        .route("/api/v1/history/proposals", get(history::proposals))
        .route("/api/v1/history/events", get(history::events))
        .route("/api/v1/history/plans", get(history::plans))
        .route("/api/v1/stream", get(stream::events))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/api/v1/me", get(form::me))
        .route("/login", get(form::show).post(form::enter))
        .route("/logout", post(form::leave))
        .route("/metrics", get(metrics))
        .route("/healthz", get(health::healthz))
        .fallback(unknown_path)
        .with_state(Arc::clone(&shared))
        .layer(middleware::from_fn_with_state(shared, gate::check))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::check_host))
        // Around all else: whoever is refused is held to it as well.
        .layer(middleware::from_fn(guard::secure_headers))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let text = (shared.page.metrics)(shared.pulse.age());
    // The two text formats differ in their end mark, and a scraper believes the header.
    let kind = if text.ends_with("# EOF\n") {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    };
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::not_found(format!(
        "there is no {}; the routes begin at / and /api/v1/",
        uri.path()
    ))
}
