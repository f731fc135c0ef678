//! Where to listen, and every limit. `config/broker.toml` is the commented example.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use runtime::{Faults, Span, Validate};
use serde::{Deserialize, Serialize};

use crate::{access::config::Access, durable::Fsync};

/// MQTT cannot express a longer packet.
const PROTOCOL_MAX_PACKET: usize = 268_435_455;

/// The broker's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port; port 0 takes a free one. Anything but loopback is open to everyone who reaches it.
    pub listen: SocketAddr,
    /// MQTT over WebSocket, for dashboards; without it, nowhere.
    pub websocket: Option<WebSocket>,
    /// A socket in the file system for clients of this machine; without it, none.
    pub unix_socket: Option<PathBuf>,
    /// Where `/metrics` is served over HTTP; without it, nowhere.
    pub metrics: Option<SocketAddr>,
    /// TLS at `listen` and for WebSocket; without it, bytes travel in the clear.
    pub tls: Option<Tls>,
    /// Who may come in, and what they may do.
    pub access: Access,
    /// Folder for what survives a restart: retained messages and lasting sessions. Without it they end with the process.
    pub data: Option<PathBuf>,
    /// When what was written there is made to survive a loss of power as well.
    pub fsync: Fsync,
    /// File that keeps who came in, who was refused and who was sent away, in lines that are chained. A process keeps it,
    /// not a broker within another one.
    pub audit: Option<PathBuf>,
    /// How often the `$SYS` tree is told; 0 never.
    pub sys_interval: Span,
    /// What a client may ask for.
    pub limits: Limits,
}

/// MQTT over WebSocket. TLS and limits are those of the other port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSocket {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Origins of pages that may connect (`https://dash.example.org`), `*` for all. What tells no origin is no page and
    /// may connect.
    pub origins: Vec<String>,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8083)),
            origins: Vec::new(),
        }
    }
}

/// TLS at the broker's ports. All files are PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The broker's certificate, with what leads to its authority.
    pub certificate: PathBuf,
    /// Its key, which others must not be able to read: mode 600, or 640 where its group reads it.
    pub key: PathBuf,
    /// The authorities whose word on clients is taken. Without it, certificates of clients are not asked for.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Certificates of clients that are no longer good, by the same authorities.
    #[serde(default)]
    pub crl: Option<PathBuf>,
    /// Whether a client without a certificate is refused; otherwise it may log in with a password.
    #[serde(default)]
    pub require_client_certificate: bool,
}

/// What a client may ask for. Past a limit the one who asks is refused, never another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once; the next one is closed.
    pub max_connections: usize,
    /// Of those, from one address (of IPv6: from one /64). Neither this nor the next three count for this machine's
    /// addresses while its clients may do everything.
    pub max_connections_per_address: usize,
    /// Connections that have not said who they are: all, and from one address.
    pub max_unfinished: usize,
    /// Those from one address.
    pub max_unfinished_per_address: usize,
    /// Clients of one name; of this machine's that have none any number.
    pub max_connections_per_name: usize,
    /// Of those, clients of one name that has the role of an agent.
    pub max_connections_per_agent: usize,
    /// Bytes of a packet, without its fixed header; a larger one ends the connection.
    pub max_packet_bytes: usize,
    /// Bytes that wait for one client, connected or not. Past it a QoS 0 message is dropped for that client; one of QoS
    /// 1 or 2 ends its connection and its session, for it would otherwise miss one without a sign.
    pub max_queue_bytes: usize,
    /// Bytes that wait for all connected clients together, or of which a packet is not complete yet. Past it the same happens as
    /// past `max_queue_bytes`, to the one that would need more, and who sends half packets is sent away.
    pub max_waiting_bytes: usize,
    /// Those of the clients of one name.
    pub max_waiting_bytes_per_name: usize,
    /// Bytes that sessions hold besides messages, all together: filters, wills, and the certificates of the clients of those that
    /// last. A filter more is refused, and so is a client.
    pub max_session_bytes: usize,
    /// Those of the sessions of one name.
    pub max_session_bytes_per_name: usize,
    /// Sessions that outlast their connections; a client that asks for one more is refused.
    pub max_sessions: usize,
    /// Of those, of one name. Neither this nor the other bounds of names count for this machine's clients that have none.
    pub max_sessions_per_name: usize,
    /// How long a session may wait for its client; a client that asks for longer is given this.
    pub max_session_age: Span,
    /// Bytes that wait for all lasting sessions together; a session that would need more ends.
    pub max_stored_bytes: usize,
    /// Those that wait for the sessions of one name.
    pub max_stored_bytes_per_name: usize,
    /// QoS 1 and 2 messages under way to one client, 1 to 65,535; more wait. One of MQTT 5 may ask for fewer.
    pub max_in_flight: u16,
    /// Topic filters of one client, and of one packet; the next one is refused. A filter has at most 1 KiB, and those of one
    /// client take at most 4 MiB, 512 bytes counted for each level; ten of them may be shared subscriptions, and none of an agent.
    pub max_subscriptions: usize,
    /// Retained messages; the next new topic is delivered but not retained.
    pub max_retained: usize,
    /// Bytes of topics and payloads of retained messages.
    pub max_retained_bytes: usize,
    /// Of the messages, those that clients of one name have published, and their bytes.
    pub max_retained_per_name: usize,
    /// Those bytes.
    pub max_retained_bytes_per_name: usize,
    /// Messages and filters subscribed to a second of all clients of one name, as many at once; what is faster waits unread. 0 for any
    /// number.
    pub max_messages_per_s: u64,
    /// The same for bytes of payload.
    pub max_bytes_per_s: u64,
    /// The silence that is granted to a client that asks for no end of it, in whole seconds; 0 grants it.
    pub max_keep_alive: Span,
    /// How long a new connection may take until its CONNECT is complete.
    pub connect_timeout: Span,
    /// How long a client may take to read what was written to it.
    pub write_timeout: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)),
            websocket: None,
            unix_socket: None,
            metrics: None,
            tls: None,
            access: Access::default(),
            data: None,
            fsync: Fsync::Every(Span::from_millis(100)),
            audit: None,
            sys_interval: Span::from_secs(10),
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            max_connections_per_address: 250,
            max_unfinished: 250,
            max_unfinished_per_address: 50,
            max_connections_per_name: 100,
            max_connections_per_agent: 10,
            max_packet_bytes: 5 * 1024 * 1024,
            max_queue_bytes: 32 * 1024 * 1024,
            max_waiting_bytes: 512 * 1024 * 1024,
            max_waiting_bytes_per_name: 128 * 1024 * 1024,
            max_session_bytes: 256 * 1024 * 1024,
            max_session_bytes_per_name: 16 * 1024 * 1024,
            max_sessions: 10_000,
            max_sessions_per_name: 1_000,
            max_session_age: Span::from_secs(7 * 24 * 3_600),
            max_stored_bytes: 256 * 1024 * 1024,
            max_stored_bytes_per_name: 128 * 1024 * 1024,
            max_in_flight: 100,
            max_subscriptions: 1_000,
            max_retained: 100_000,
            max_retained_bytes: 256 * 1024 * 1024,
            max_retained_per_name: 50_000,
            max_retained_bytes_per_name: 128 * 1024 * 1024,
            max_messages_per_s: 20_000,
            max_bytes_per_s: 64 * 1024 * 1024,
            max_keep_alive: Span::from_secs(3_600),
            connect_timeout: Span::from_secs(5),
            write_timeout: Span::from_secs(20),
        }
    }
}

impl Limits {
    /// How long a session outlasts its connection when its client wishes for so many seconds.
    pub(crate) fn session_expiry_s(&self, wished_s: u32) -> u32 {
        // The largest number means for ever (MQTT 5, 3.1.2.11.2), which nobody is given.
        wished_s.min(u32::try_from(self.max_session_age.as_secs()).unwrap_or(u32::MAX))
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        if let Some(tls) = &self.tls {
            faults.within("tls", |faults| tls.validate(faults));
        }
        if let Some(websocket) = &self.websocket {
            let bad = |origin: &&String| *origin != "*" && (!origin.contains("://") || origin.ends_with('/'));
            faults.require(
                websocket.origins.iter().find(bad).is_none(),
                "websocket.origins",
                "holds what is no origin: `*`, or scheme, name and port as in `https://dash.example.org:8443`",
            );
        }
        faults.within("access", |faults| self.access.validate(faults));
        faults.within("limits", |faults| self.limits.validate(faults));
    }
}

impl Validate for Tls {
    fn validate(&self, faults: &mut Faults) {
        let with_authority = |needed: bool| !needed || self.client_ca.is_some();
        faults.require(with_authority(self.crl.is_some()), "crl", "stands without client_ca");
        faults.require(
            with_authority(self.require_client_certificate),
            "require_client_certificate",
            "stands without client_ca",
        );
    }
}

impl Validate for Limits {
    fn validate(&self, faults: &mut Faults) {
        let packet = self.max_packet_bytes;
        for (key, value) in [
            ("max_connections", self.max_connections),
            ("max_connections_per_address", self.max_connections_per_address),
            ("max_unfinished", self.max_unfinished),
            ("max_unfinished_per_address", self.max_unfinished_per_address),
            ("max_connections_per_name", self.max_connections_per_name),
            ("max_connections_per_agent", self.max_connections_per_agent),
        ] {
            faults.require(value > 0, key, "must be at least 1");
        }
        faults.require(self.max_in_flight > 0, "max_in_flight", "must be at least 1");
        faults.require(
            (1_024..=PROTOCOL_MAX_PACKET).contains(&packet),
            "max_packet_bytes",
            format!("{packet} is not within 1024 to {PROTOCOL_MAX_PACKET}"),
        );
        faults.require(
            self.max_queue_bytes >= packet,
            "max_queue_bytes",
            format!("{} is less than max_packet_bytes, {packet}", self.max_queue_bytes),
        );
        // A buffer that grows has up to twice what is in it.
        for (key, value) in [
            ("max_waiting_bytes", self.max_waiting_bytes),
            ("max_waiting_bytes_per_name", self.max_waiting_bytes_per_name),
        ] {
            let least = packet.saturating_mul(2);
            faults.require(
                value >= least,
                key,
                format!("{value} is less than twice max_packet_bytes, {packet}"),
            );
        }
        faults.require(
            !self.connect_timeout.is_zero(),
            "connect_timeout",
            "must be longer than 0",
        );
        faults.require(!self.write_timeout.is_zero(), "write_timeout", "must be longer than 0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_says_what_the_defaults_are() {
        let example = include_str!("../../config/broker.toml");
        let config: Config = runtime::config::parse(example, "broker.toml").unwrap();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn all_faults_are_told() {
        let text = "[tls]\ncertificate = 'c'\nkey = 'k'\ncrl = 'r'\nrequire_client_certificate = true\n[limits]\nmax_connections = 0\nmax_packet_bytes = 10\nwrite_timeout = '0s'";
        let error = runtime::config::parse::<Config>(text, "x").unwrap_err().to_string();
        assert_eq!(error.lines().count(), 5, "{error}");
        assert!(
            error.contains("x:7: limits.max_connections: must be at least 1"),
            "{error}"
        );
    }
}
