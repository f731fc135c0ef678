//! The broker's own figures at `/metrics`, as Prometheus text over HTTP/1.1.
//!
//! Whoever reaches the port reads it: keep it on loopback, or behind what scrapes it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use runtime::{
    Metrics, Usage,
    metrics::{self, Name, Reading},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{outbox::Close, shared::Shared};

/// Scrapes at once; the others wait to be accepted.
const SCRAPES: usize = 8;

/// How long one may take, from its first byte to the last of its answer.
const SCRAPE: Duration = Duration::from_secs(5);

/// Bytes of a request.
const MAX_REQUEST: usize = 16 * 1024;

/// Clients that are told by name: each name is a series for whoever scrapes.
const WORST: usize = 10;

/// How long to wait when no connection can be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Every metric of the broker.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Metric {
    UptimeSeconds,
    Clients,
    ClientsMaximum,
    Packets(Direction),
    Bytes(Direction),
    Published,
    Delivered,
    Dropped,
    Retained,
    Subscriptions,
    SessionsAway,
    StoredMessages,
    StoredBytes,
    JournalBytes,
    JournalFaults,
    Refused,
    Ended,
    RouterRestarts,
    ClientDropped,
    ClientEnded,
    ClientSlowed,
    ClientRefused,
    ClientWaiting,
    WaitingBytes,
    SessionBytes,
    CpuSeconds,
    ResidentBytes,
}

/// Seen from the broker.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction {
    Received,
    Sent,
}

impl Name for Metric {
    fn name(&self) -> &'static str {
        use Direction::{Received, Sent};
        match self {
            Self::UptimeSeconds => "broker_uptime_seconds",
            Self::Clients => "broker_clients",
            Self::ClientsMaximum => "broker_clients_maximum",
            Self::Packets(Received) => "broker_packets_received",
            Self::Packets(Sent) => "broker_packets_sent",
            Self::Bytes(Received) => "broker_bytes_received",
            Self::Bytes(Sent) => "broker_bytes_sent",
            Self::Published => "broker_messages_published",
            Self::Delivered => "broker_messages_delivered",
            Self::Dropped => "broker_messages_dropped",
            Self::Retained => "broker_retained_messages",
            Self::Subscriptions => "broker_subscriptions",
            Self::SessionsAway => "broker_sessions_away",
            Self::StoredMessages => "broker_stored_messages",
            Self::StoredBytes => "broker_stored_bytes",
            Self::JournalBytes => "broker_journal_bytes",
            Self::JournalFaults => "broker_journal_faults",
            Self::Refused => "broker_connections_refused",
            Self::Ended => "broker_connections_ended",
            Self::RouterRestarts => "broker_router_restarts",
            Self::ClientDropped => "broker_client_messages_dropped",
            Self::ClientEnded => "broker_client_connections_ended",
            Self::ClientSlowed => "broker_client_publishers_slowed",
            Self::ClientRefused => "broker_client_refused",
            Self::ClientWaiting => "broker_client_waiting_bytes",
            Self::WaitingBytes => "broker_waiting_bytes",
            Self::SessionBytes => "broker_session_bytes",
            Self::CpuSeconds => "broker_cpu_seconds",
            Self::ResidentBytes => "broker_resident_bytes",
        }
    }

    fn help(&self) -> &'static str {
        use Direction::{Received, Sent};
        match self {
            Self::UptimeSeconds => "Seconds since the start",
            Self::Clients => "Clients connected",
            Self::ClientsMaximum => "The most that were connected at once",
            Self::Packets(Received) => "Packets of any kind that came",
            Self::Packets(Sent) => "Packets of any kind that were sent",
            Self::Bytes(Received) => "Bytes that came",
            Self::Bytes(Sent) => "Bytes that were sent",
            Self::Published => "Messages that were published",
            Self::Delivered => "Messages that were delivered, once for each of their receivers",
            Self::Dropped => "Deliveries that did not happen because the client does not keep up",
            Self::Retained => "Retained messages",
            Self::Subscriptions => "Subscriptions",
            Self::SessionsAway => "Sessions whose clients are not connected",
            Self::StoredMessages => "Messages that lasting sessions keep",
            Self::StoredBytes => "Bytes of these messages",
            Self::JournalBytes => "Bytes of the journal on disk",
            Self::JournalFaults => "How often the journal could not be written",
            Self::Refused => "Connections that did not get in, by reason",
            Self::Ended => "Connections that ended, by reason",
            Self::RouterRestarts => "Routers that had failed and were replaced",
            Self::ClientDropped => "Messages that a client missed, of the ten clients that missed most",
            Self::ClientEnded => "Connections of these clients that were ended because they do not keep up",
            Self::ClientSlowed => {
                "Messages that came while publishers were slowed down because of this client, of the same clients"
            }
            Self::ClientRefused => "Messages and filters that these clients were not allowed",
            Self::ClientWaiting => "Bytes that wait for a client, of the ten clients for which most wait",
            Self::WaitingBytes => "Bytes that wait for connected clients, or of which a packet is not complete yet",
            Self::SessionBytes => "Bytes that sessions hold besides messages: filters, wills, certificates",
            Self::CpuSeconds => "Processor time of the process, in user mode and in the kernel",
            Self::ResidentBytes => "Memory of the process",
        }
    }
}

/// Tells all of them whenever `metrics` are rendered.
pub(crate) fn register(metrics: &Metrics, shared: &Arc<Shared>) {
    let shared = shared.clone();
    metrics.on_render(move |reading| tell(reading, &shared));
}

fn tell(to: &mut Reading<'_>, shared: &Shared) {
    use Direction::{Received, Sent};
    let figures = shared.figures();
    to.gauge(Metric::UptimeSeconds, figures.uptime_s as f64);
    to.gauge(Metric::Clients, figures.clients as f64);
    to.gauge(Metric::ClientsMaximum, figures.clients_max as f64);
    to.counter(Metric::Packets(Received), figures.packets_received);
    to.counter(Metric::Packets(Sent), figures.packets_sent);
    to.counter(Metric::Bytes(Received), figures.bytes_received);
    to.counter(Metric::Bytes(Sent), figures.bytes_sent);
    to.counter(Metric::Published, figures.published);
    to.counter(Metric::Delivered, figures.delivered);
    to.counter(Metric::Dropped, figures.dropped);
    to.gauge(Metric::Retained, figures.retained as f64);
    to.gauge(Metric::Subscriptions, figures.subscriptions as f64);
    to.gauge(Metric::SessionsAway, figures.sessions_away as f64);
    to.gauge(Metric::StoredMessages, figures.stored as f64);
    to.gauge(Metric::StoredBytes, figures.stored_bytes as f64);
    to.gauge(Metric::WaitingBytes, figures.waiting_bytes as f64);
    to.gauge(Metric::SessionBytes, figures.session_bytes as f64);
    to.gauge(Metric::JournalBytes, figures.journal_bytes as f64);
    to.counter(Metric::JournalFaults, figures.journal_faults);
    to.counter(Metric::RouterRestarts, figures.router_restarts);
    let (slow, waiting) = {
        let exchange = shared.exchange();
        (exchange.slow().worst(WORST), exchange.waiting(WORST))
    };
    let dropped = slow.iter().map(|(id, missed)| (&**id, missed.dropped));
    to.counters(Metric::ClientDropped, "client", dropped);
    let ended = slow.iter().map(|(id, missed)| (&**id, missed.ended));
    to.counters(Metric::ClientEnded, "client", ended);
    let slowed = slow.iter().map(|(id, missed)| (&**id, missed.slowed));
    to.counters(Metric::ClientSlowed, "client", slowed);
    let refused = slow.iter().map(|(id, missed)| (&**id, missed.refused));
    to.counters(Metric::ClientRefused, "client", refused);
    let waiting = waiting.iter().map(|(id, bytes)| (&**id, *bytes as f64));
    to.gauges(Metric::ClientWaiting, "client", waiting);
    if let Some(usage) = Usage::now() {
        to.gauge(Metric::CpuSeconds, usage.cpu_s);
        to.gauge(Metric::ResidentBytes, usage.resident_bytes as f64);
    }
}

/// Answers scrapes for ever.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let scrapes = Arc::new(Semaphore::new(SCRAPES));
    loop {
        // Never closed.
        let Ok(place) = scrapes.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _peer)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    scrape(stream, shared).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "scrape cannot be accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn scrape(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), &shared);
        async { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(MAX_REQUEST);
    let served = tokio::select! {
        served = timeout(SCRAPE, http.serve_connection(TokioIo::new(stream), service)) => served,
        () = shared.stop.wait() => return,
    };
    tracing::trace!(?served, "scrape");
}

fn answer(method: &Method, path: &str, shared: &Shared) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (method, path) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, metrics::CONTENT_TYPE, shared.metrics.render()),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET it\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "text/plain", "there is /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

impl Close {
    /// For [`Metric::Ended`].
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::TakenOver => "taken_over",
            Self::TooSlow => "too_slow",
            Self::Unwelcome => "unwelcome",
            Self::Stopping => "stopping",
        }
    }
}
