//! The first packet of a connection: who it is, or why not. The deadline is the caller's.

use std::{io, time::Duration};

use bytes::BytesMut;
use rumqttd::protocol::{
    ConnAck, ConnAckProperties, Connect, ConnectProperties, ConnectReturnCode, LastWill, Packet, QoS,
};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    Limits,
    message::{Message, Qos, Serial},
    outbox::Capacity,
    packet::{self, PacketError, Received, Version},
    subscriptions::valid_topic,
    transport::Transport,
};

/// The largest CONNECT: a will's payload and three strings, each at most 64 KiB.
const MAX_CONNECT: usize = 300 * 1024;

/// The longest client id, in bytes.
const MAX_CLIENT_ID: usize = 1_024;

/// QoS 1 messages that may be under way to a client that does not say how many it takes.
const WINDOW: u16 = 100;

/// A client that may come in.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) id: String,
    pub(crate) will: Option<Message>,
    /// The longest silence; `None` for any.
    pub(crate) silence: Option<Duration>,
    pub(crate) capacity: Capacity,
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
    Packet(#[from] PacketError),
    #[error("speaks protocol level {0}, not 4 (MQTT 3.1.1) or 5")]
    Version(u8),
    #[error("client id is refused: empty in a lasting session, too long, or with control characters")]
    ClientId,
    #[error("will with a topic that cannot be published to")]
    Will,
}

impl Refused {
    /// For the counter of refused connections.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Io(_) => "transport",
            Self::Packet(_) => "malformed",
            Self::Version(_) => "version",
            Self::ClientId => "client_id",
            Self::Will => "will",
        }
    }
}

/// Waits for the CONNECT. A client that is refused is told why, as far as MQTT has a code for it.
pub(crate) async fn receive(stream: &mut Transport, serial: Serial, limits: &Limits) -> Result<Hello, Refused> {
    let hello = match read_connect(stream).await {
        Ok((version, packet, rest)) => admit(version, packet, rest, serial, limits).map_err(|why| (version, why)),
        Err(why) => Err((Version::V4, why)),
    };
    match hello {
        Ok(hello) => Ok(hello),
        Err((version, why)) => {
            if let Some(code) = code(&why, version) {
                answer(stream, version, code).await?;
            }
            Err(why)
        }
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

fn admit(version: Version, packet: Packet, rest: BytesMut, serial: Serial, limits: &Limits) -> Result<Hello, Refused> {
    // Only a CONNECT has passed `packet::version`.
    let Packet::Connect(connect, properties, will, _, _) = packet else {
        return Err(Refused::Gone);
    };
    let assigned = connect.client_id.is_empty();
    let id = client_id(&connect, version, serial)?;
    let will = will.map(|will| message(will, serial)).transpose()?;
    let silence = (connect.keep_alive > 0).then(|| Duration::from_millis(u64::from(connect.keep_alive) * 1_500));
    let connack = connack(version, assigned.then(|| id.clone()), limits);
    Ok(Hello {
        id,
        will,
        silence,
        capacity: capacity(version, properties.as_ref(), limits),
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

fn message(will: LastWill, serial: Serial) -> Result<Message, Refused> {
    let topic = std::str::from_utf8(&will.topic).ok();
    let topic = topic
        .filter(|topic| valid_topic(topic) && !topic.starts_with('$'))
        .ok_or(Refused::Will)?;
    Ok(Message {
        topic: topic.into(),
        payload: will.message,
        qos: if will.qos == QoS::AtMostOnce {
            Qos::AtMostOnce
        } else {
            Qos::AtLeastOnce
        },
        retain: will.retain,
        source: serial,
        will_of: None,
    })
}

fn capacity(version: Version, properties: Option<&ConnectProperties>, limits: &Limits) -> Capacity {
    let window = properties
        .and_then(|p| p.receive_maximum)
        .unwrap_or(WINDOW)
        .clamp(1, WINDOW);
    let max_packet = properties.and_then(|p| p.max_packet_size);
    Capacity {
        version,
        max_bytes: limits.max_queue_bytes,
        window: usize::from(window),
        max_packet: max_packet.map_or(usize::MAX, |size| size as usize),
    }
}

/// Success, and to a client of version 5 what this broker does not do.
fn connack(version: Version, assigned: Option<String>, limits: &Limits) -> Packet {
    let properties = (version == Version::V5).then(|| ConnAckProperties {
        assigned_client_identifier: assigned,
        session_expiry_interval: Some(0),
        max_packet_size: u32::try_from(limits.max_packet_bytes).ok(),
        topic_alias_max: Some(0),
        subscription_identifiers_available: Some(0),
        shared_subscription_available: Some(0),
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
        (Refused::Will, Version::V5) => Some(ConnectReturnCode::TopicNameInvalid),
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
