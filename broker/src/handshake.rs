//! The first packet of a connection: who it is, or why not. The deadline is the caller's.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use rumqttd::protocol::{
    ConnAck, ConnAckProperties, Connect, ConnectProperties, ConnectReturnCode, LastWill, LastWillProperties, Packet,
};
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    Limits, Refusal,
    access::{Badge, Credentials, Denied, scoped},
    message::{Message, Serial},
    outbox::Capacity,
    packet::{self, MAX_CONNECT, PacketError, Received, Version, properties},
    pending::MAX_TAKEN,
    session::Will,
    shared::Shared,
    subscriptions::valid_topic,
    transport::Transport,
};

/// The longest client id, in bytes.
const MAX_CLIENT_ID: usize = 1_024;

/// A client that may come in.
#[derive(Debug)]
pub(crate) struct Hello {
    /// The id of its session: its client id, among those of its name.
    pub(crate) id: String,
    /// Whether a session that it has is to be forgotten.
    pub(crate) clean: bool,
    /// Seconds that the session outlasts the connection.
    pub(crate) expiry_s: u32,
    pub(crate) will: Option<Will>,
    /// The longest silence; `None` for any.
    pub(crate) silence: Option<Duration>,
    pub(crate) capacity: Capacity,
    /// Who it is.
    pub(crate) badge: Arc<Badge>,
    /// The answer.
    pub(crate) connack: Packet,
    /// What came behind the CONNECT.
    pub(crate) rest: BytesMut,
}

/// Why a client does not come in.
#[derive(Debug, Error)]
pub(crate) enum Refused {
    #[error("gone before its CONNECT was complete")]
    Gone,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Transport(io::Error),
    #[error("{0}")]
    Packet(#[from] PacketError),
    #[error("speaks protocol level {0}, not 4 (MQTT 3.1.1) or 5")]
    Version(u8),
    #[error("client id is refused: empty in a lasting session, too long, or with control characters")]
    ClientId,
    #[error("will with a topic that cannot be published to")]
    Will,
    #[error(
        "there are as many lasting sessions as there may be, or they hold as much as they may (limits.max_sessions, limits.max_session_bytes, and those of a name)"
    )]
    Sessions,
    #[error("will that it may not publish")]
    WillDenied,
    #[error("{0}")]
    Login(#[from] Denied),
}

impl Refused {
    /// What is counted here: a login has been counted already, and who goes away by itself is not refused.
    pub(crate) const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Transport(_) => Some(Refusal::Handshake),
            Self::Packet(_) | Self::Version(_) | Self::ClientId => Some(Refusal::Packet),
            Self::Will | Self::WillDenied => Some(Refusal::Will),
            Self::Sessions => Some(Refusal::Connection),
            Self::Gone | Self::Io(_) | Self::Login(_) => None,
        }
    }
}

impl Refused {
    /// For the counter of refused connections.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Io(_) | Self::Transport(_) => "transport",
            Self::Packet(_) => "malformed",
            Self::Version(_) => "version",
            Self::ClientId => "client_id",
            Self::Will | Self::WillDenied => "will",
            Self::Sessions => "sessions",
            Self::Login(_) => "login",
        }
    }
}

/// Waits for the CONNECT. A client that is refused is told why, as far as MQTT has a code for it.
pub(crate) async fn receive(
    stream: &mut Transport,
    serial: Serial,
    peer: SocketAddr,
    shared: &Shared,
) -> Result<Hello, Refused> {
    let hello = match read_connect(stream).await {
        Ok((version, packet, rest)) => {
            let from = (serial, peer, stream.certificates());
            let admitted = admit(version, packet, rest, from, shared).await;
            admitted.map_err(|why| (version, why))
        }
        Err(why) => Err((Version::V4, why)),
    };
    match hello {
        Ok(hello) => Ok(hello),
        Err((version, why)) => {
            refuse(stream, version, &why).await?;
            Err(why)
        }
    }
}

/// Tells a client why it is refused, as far as MQTT has a code for it.
pub(crate) async fn refuse(stream: &mut Transport, version: Version, why: &Refused) -> Result<(), Refused> {
    match code(why, version) {
        Some(code) => answer(stream, version, code).await,
        None => Ok(()),
    }
}

async fn read_connect(stream: &mut Transport) -> Result<(Version, Packet, BytesMut), Refused> {
    let mut buffer = BytesMut::with_capacity(1_024);
    loop {
        if let Some(version) = packet::version(&buffer, MAX_CONNECT)? {
            let version = version.map_err(Refused::Version)?;
            return match packet::read(version, &mut buffer, MAX_CONNECT)? {
                Some(Received::Other(packet)) => Ok((version, *packet, buffer)),
                _ => Err(Refused::Gone),
            };
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(Refused::Gone);
        }
    }
}

async fn admit(
    version: Version,
    packet: Packet,
    rest: BytesMut,
    (serial, peer, certificates): (Serial, SocketAddr, Vec<CertificateDer<'static>>),
    shared: &Shared,
) -> Result<Hello, Refused> {
    // Only a CONNECT has passed `packet::version`.
    let Packet::Connect(connect, properties, will, will_properties, login) = packet else {
        return Err(Refused::Gone);
    };
    let limits = &shared.limits;
    let assigned = connect.client_id.is_empty();
    let id = client_id(&connect, version, serial)?;
    let mut will = will.map(|will| testament(&will, will_properties, serial)).transpose()?;
    let capacity = capacity(version, properties.as_ref(), limits);
    let wished = match version {
        Version::V4 if connect.clean_session => 0,
        Version::V4 => u32::MAX,
        Version::V5 => properties.as_ref().and_then(|p| p.session_expiry_interval).unwrap_or(0),
    };
    // A password may wait long for its turn, and what else was said is large.
    drop(properties);
    let badge = shared.gate.enter(Credentials {
        certificates,
        login,
        client_id: id.clone(),
        peer,
    });
    let badge = badge.await?;
    let denied = |will: &Will| !badge.permit.may_write(&will.message.topic);
    if will.as_ref().is_some_and(denied) {
        return Err(Refused::WillDenied);
    }
    if let Some(will) = &mut will {
        will.message.owner.clone_from(&badge.known.name);
    }
    let expiry_s = limits.session_expiry_s(wished);
    let (keep_alive, told) = keep_alive(version, connect.keep_alive, limits);
    let connack = connack(version, assigned.then(|| id.clone()), expiry_s, told, limits);
    Ok(Hello {
        id: scoped(badge.name(), &id),
        clean: connect.clean_session,
        expiry_s,
        badge: Arc::new(badge),
        will,
        silence: (keep_alive > 0).then(|| Duration::from_millis(u64::from(keep_alive) * 1_500)),
        capacity,
        connack,
        rest,
    })
}

fn client_id(connect: &Connect, version: Version, serial: Serial) -> Result<String, Refused> {
    let id = &connect.client_id;
    if id.is_empty() {
        // A 3.1.1 client without a name cannot come back to its session (3.1.3.1).
        let lasting = version == Version::V4 && !connect.clean_session;
        return if lasting {
            Err(Refused::ClientId)
        } else {
            Ok(format!("auto-{serial}"))
        };
    }
    let good = id.len() <= MAX_CLIENT_ID && !id.contains(char::is_control);
    if good { Ok(id.clone()) } else { Err(Refused::ClientId) }
}

fn testament(will: &LastWill, properties: Option<LastWillProperties>, serial: Serial) -> Result<Will, Refused> {
    let topic = std::str::from_utf8(&will.topic).ok();
    let topic = topic
        .filter(|topic| valid_topic(topic) && !topic.starts_with('$'))
        .ok_or(Refused::Will)?;
    let said = properties.as_ref().map(properties::of_will).unwrap_or_default();
    let message = Message {
        topic: topic.into(),
        // Copied, so that it does not keep the CONNECT with it.
        payload: Bytes::copy_from_slice(&will.message),
        qos: will.qos.into(),
        retain: will.retain,
        source: serial,
        properties: said.passed,
        ..Message::default()
    };
    Ok(Will {
        message,
        delay_s: properties.and_then(|p| p.delay_interval).unwrap_or(0),
        expiry_s: said.expiry_s,
    })
}

fn capacity(version: Version, properties: Option<&ConnectProperties>, limits: &Limits) -> Capacity {
    let window = properties
        .and_then(|p| p.receive_maximum)
        .unwrap_or(limits.max_in_flight)
        .clamp(1, limits.max_in_flight);
    let max_packet = properties.and_then(|p| p.max_packet_size);
    Capacity {
        version,
        max_bytes: limits.max_queue_bytes,
        window: usize::from(window),
        max_packet: max_packet.map_or(usize::MAX, |size| size as usize),
    }
}

/// The seconds that a client may be silent for, 0 for any number; and what it is told if they are not those it asked for.
/// A client of 3.1.1 cannot be told, so that only one that asks for no end is given one.
fn keep_alive(version: Version, asked_s: u16, limits: &Limits) -> (u16, Option<u16>) {
    let most_s = u16::try_from(limits.max_keep_alive.duration().as_secs()).unwrap_or(u16::MAX);
    let too_long = asked_s == 0 || (asked_s > most_s && version == Version::V5);
    if most_s == 0 || !too_long {
        return (asked_s, None);
    }
    (most_s, Some(most_s))
}

/// Success, and to a client of version 5 what this broker does not do.
fn connack(
    version: Version,
    assigned: Option<String>,
    expiry_s: u32,
    keep_alive_s: Option<u16>,
    limits: &Limits,
) -> Packet {
    let properties = (version == Version::V5).then(|| ConnAckProperties {
        assigned_client_identifier: assigned,
        session_expiry_interval: Some(expiry_s),
        receive_max: u16::try_from(MAX_TAKEN).ok(),
        max_packet_size: u32::try_from(limits.max_packet_bytes).ok(),
        topic_alias_max: Some(0),
        server_keep_alive: keep_alive_s,
        subscription_identifiers_available: Some(0),
        ..ConnAckProperties::default()
    });
    let connack = ConnAck {
        session_present: false,
        code: ConnectReturnCode::Success,
    };
    Packet::ConnAck(connack, properties)
}

/// The code for a refusal; `None` where the peer has not shown that it speaks MQTT.
const fn code(why: &Refused, version: Version) -> Option<ConnectReturnCode> {
    match (why, version) {
        (Refused::Version(_), _) => Some(ConnectReturnCode::RefusedProtocolVersion),
        (Refused::ClientId, _) => Some(ConnectReturnCode::ClientIdentifierNotValid),
        (Refused::Sessions, Version::V4) => Some(ConnectReturnCode::ServiceUnavailable),
        (Refused::Sessions, Version::V5) => Some(ConnectReturnCode::QuotaExceeded),
        (Refused::Will, Version::V5) => Some(ConnectReturnCode::TopicNameInvalid),
        (Refused::WillDenied, _) => Some(ConnectReturnCode::NotAuthorized),
        (Refused::Login(denied), version) => Some(denied.code(version)),
        _ => None,
    }
}

async fn answer(stream: &mut Transport, version: Version, code: ConnectReturnCode) -> Result<(), Refused> {
    let mut buffer = BytesMut::new();
    let connack = ConnAck {
        session_present: false,
        code,
    };
    packet::write(version, Packet::ConnAck(connack, None), &mut buffer)?;
    stream.write_all(&buffer).await?;
    stream.flush().await?;
    Ok(())
}
