//! Figures of the broker, and the `$SYS` tree that shows them under mosquitto's names.
//!
//! MQTT Explorer subscribes to `$SYS/#` by itself. Each topic is retained and holds a bare number, `uptime`
//! and `version` excepted, which are text as mosquitto has it (`man mosquitto`, "Broker status"). `router/restarts` is ours
//! alone.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use crate::{
    access::Refusals,
    exchange::Census,
    message::{BROKER, Message},
};

/// What the broker has done since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Clients connected now.
    pub clients: u64,
    /// The most that were connected at once.
    pub clients_max: u64,
    /// Packets of any kind that came, and that were sent.
    pub packets_received: u64,
    /// Packets of any kind that were sent.
    pub packets_sent: u64,
    /// Messages that were published.
    pub published: u64,
    /// Messages that were delivered: one that has three subscribers counts three times.
    pub delivered: u64,
    /// Deliveries that did not happen because the client does not keep up.
    pub dropped: u64,
    /// Bytes that came.
    pub bytes_received: u64,
    /// Bytes that were sent.
    pub bytes_sent: u64,
    /// Sessions now whose clients are not connected.
    pub sessions_away: u64,
    /// Sessions that were over before their clients came back.
    pub sessions_expired: u64,
    /// Sessions that ended because more waited for them than may.
    pub sessions_discarded: u64,
    /// Messages that wait for lasting sessions, or are not acknowledged by them.
    pub stored: u64,
    /// Bytes of those.
    pub stored_bytes: u64,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// How often the journal could not be written.
    pub journal_faults: u64,
    /// Shared subscriptions now.
    pub shared_subscriptions: u64,
    /// Retained messages now.
    pub retained: u64,
    /// What they take, in bytes.
    pub retained_bytes: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
    /// Routers that had failed and were replaced.
    pub router_restarts: u64,
    /// Messages whose client had to wait, for it publishes faster than it may.
    pub delayed: u64,
    /// Bytes that wait for connected clients, or of which a packet is not complete yet.
    pub waiting_bytes: u64,
    /// Bytes that sessions hold besides messages: filters, wills, certificates.
    pub session_bytes: u64,
    /// What was refused, by reason.
    pub refused: Refusals,
}

/// The counters behind [`Figures`].
#[derive(Debug)]
pub(crate) struct Counters {
    started: Instant,
    pub(crate) clients_max: AtomicU64,
    pub(crate) packets_received: AtomicU64,
    pub(crate) packets_sent: AtomicU64,
    pub(crate) published: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) delayed: AtomicU64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            clients_max: AtomicU64::new(0),
            packets_received: AtomicU64::new(0),
            packets_sent: AtomicU64::new(0),
            published: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            bytes_received: AtomicU64::new(0),
            bytes_sent: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
        }
    }

    /// Nanoseconds since the start.
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// All figures but those of the exchange.
    pub(crate) fn figures(&self) -> Figures {
        Figures {
            uptime_s: self.started.elapsed().as_secs(),
            clients_max: self.clients_max.load(Relaxed),
            packets_received: self.packets_received.load(Relaxed),
            packets_sent: self.packets_sent.load(Relaxed),
            published: self.published.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            bytes_received: self.bytes_received.load(Relaxed),
            bytes_sent: self.bytes_sent.load(Relaxed),
            delayed: self.delayed.load(Relaxed),
            ..Figures::default()
        }
    }
}

/// All figures.
pub(crate) fn figures(counters: &Counters, census: Census) -> Figures {
    Figures {
        clients: census.connected,
        sessions_away: census.away,
        sessions_expired: census.expired,
        sessions_discarded: census.discarded,
        stored: census.stored,
        stored_bytes: census.stored_bytes,
        journal_bytes: census.journal_bytes,
        journal_faults: census.journal_faults,
        session_bytes: census.session_bytes,
        retained: census.retained,
        retained_bytes: census.retained_bytes,
        subscriptions: census.subscriptions,
        dropped: counters.dropped.load(Relaxed) + census.dropped,
        shared_subscriptions: census.shared,
        ..counters.figures()
    }
}

/// Adds `n` to a counter.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}

/// The `$SYS` tree.
pub(crate) fn messages(figures: &Figures) -> Vec<Message> {
    let texts = [
        (
            "version",
            format!("foreshadow-broker version {}", env!("CARGO_PKG_VERSION")),
        ),
        ("uptime", format!("{} seconds", figures.uptime_s)),
    ];
    let numbers = [
        ("clients/connected", figures.clients),
        ("clients/disconnected", figures.sessions_away),
        ("clients/expired", figures.sessions_expired),
        ("clients/maximum", figures.clients_max),
        ("clients/total", figures.clients + figures.sessions_away),
        ("messages/stored", figures.stored + figures.retained),
        ("store/messages/bytes", figures.stored_bytes + figures.retained_bytes),
        ("store/messages/count", figures.stored + figures.retained),
        ("messages/received", figures.packets_received),
        ("messages/sent", figures.packets_sent),
        ("publish/messages/received", figures.published),
        ("publish/messages/sent", figures.delivered),
        ("publish/messages/dropped", figures.dropped),
        ("publish/messages/delayed", figures.delayed),
        ("bytes/received", figures.bytes_received),
        ("bytes/sent", figures.bytes_sent),
        ("retained messages/count", figures.retained),
        ("shared_subscriptions/count", figures.shared_subscriptions),
        ("subscriptions/count", figures.subscriptions),
        ("router/restarts", figures.router_restarts),
    ];
    let numbers = numbers
        .into_iter()
        .map(|(name, number)| (name.to_owned(), number.to_string()));
    let refused = figures.refused.each();
    let refused = refused.map(|(why, number)| (format!("refused/{}", why.as_str()), number.to_string()));
    let texts = texts.into_iter().map(|(name, text)| (name.to_owned(), text));
    let all = texts.chain(numbers).chain(refused);
    all.map(|(name, payload)| Message {
        topic: format!("$SYS/broker/{name}").into(),
        payload: payload.into(),
        retain: true,
        source: BROKER,
        ..Message::default()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_shows_the_figures() {
        let counters = Counters::new();
        add(&counters.published, 3);
        let figures = Figures {
            clients: 2,
            stored_bytes: 4,
            retained_bytes: 30,
            ..counters.figures()
        };
        let messages = messages(&figures);
        let payload = |name: &str| {
            let message = messages.iter().find(|m| &*m.topic == name).unwrap();
            assert!(message.retain, "{name}");
            String::from_utf8(message.payload.to_vec()).unwrap()
        };
        assert_eq!(payload("$SYS/broker/clients/connected"), "2");
        assert_eq!(payload("$SYS/broker/publish/messages/received"), "3");
        assert_eq!(payload("$SYS/broker/store/messages/bytes"), "34");
        assert_eq!(payload("$SYS/broker/uptime"), "0 seconds");
    }
}
