//! MQTT 3.1.1 and 5 on the wire.
//!
//! rumqttd reads and writes all packets but PUBLISH: its type hides QoS and packet id, so that one is read
//! and written here. Its properties of MQTT 5 are written to receivers of that version alone.
//!
//! <https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html> (section numbers below),
//! <https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html>

pub(crate) mod properties;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rumqttd::protocol::{
    Disconnect, DisconnectReasonCode, Error as ProtocolError, Packet, Protocol, SubscribeReasonCode,
    v4::{self, FixedHeader, V4},
    v5::V5,
};
use thiserror::Error;

use self::properties::Properties;
use crate::message::{Message, Qos};

/// The largest CONNECT: a will's payload and three strings, each at most 64 KiB.
pub(crate) const MAX_CONNECT: usize = 300 * 1024;

/// The largest packet of any other kind but PUBLISH. Each byte of one may come to twenty once it is read.
const MAX_CONTROL: usize = 64 * 1024;

/// Types of packets, in the upper half of the first byte (2.2.1).
const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const DISCONNECT: u8 = 14;

/// What a client may send. rumqttd panics on some of the others.
const FROM_CLIENTS: [u8; 10] = [CONNECT, PUBLISH, 4, 5, 6, 7, 8, 10, 12, DISCONNECT];

/// Which MQTT a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// 3.1.1.
    V4,
    /// 5.
    V5,
}

/// A packet that a client sent.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    Publish(Publish),
    Other(Box<Packet>),
}

/// A PUBLISH that a client sent (3.3).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    /// 0 with QoS 0, and only then.
    pub(crate) packet_id: u16,
    pub(crate) retain: bool,
    /// It may have come before.
    pub(crate) dup: bool,
    pub(crate) properties: Properties,
}

/// Why bytes are refused; the connection ends.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PacketError {
    #[error("packet of {0} bytes is too large")]
    TooLarge(usize),
    #[error("malformed packet: {0}")]
    Malformed(String),
}

impl From<ProtocolError> for PacketError {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::PayloadSizeLimitExceeded(size) => Self::TooLarge(size),
            error => Self::Malformed(error.to_string()),
        }
    }
}

impl PacketError {
    fn malformed(what: &str) -> Self {
        Self::Malformed(what.to_owned())
    }
}

/// Which MQTT a CONNECT at the front of `buffer` speaks (3.1.2.1, 3.1.2.2): `Ok(None)` needs more bytes,
/// `Err(level)` is another version.
pub(crate) fn version(buffer: &[u8], max: usize) -> Result<Option<Result<Version, u8>>, PacketError> {
    // Told from its first byte, so that another protocol is not waited for.
    if buffer.first().is_some_and(|byte1| byte1 >> 4 != CONNECT) {
        return Err(PacketError::malformed("the first packet is no CONNECT"));
    }
    let Some(header) = complete(buffer, max)? else {
        return Ok(None);
    };
    let body = buffer
        .get(header.fixed_header_len..header.frame_length())
        .unwrap_or_default();
    match body {
        [0, 4, b'M', b'Q', b'T', b'T', 4, ..] => Ok(Some(Ok(Version::V4))),
        [0, 4, b'M', b'Q', b'T', b'T', 5, ..] => Ok(Some(Ok(Version::V5))),
        [0, 4, b'M', b'Q', b'T', b'T', level, ..] | [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', level, ..] => {
            Ok(Some(Err(*level)))
        }
        _ => Err(PacketError::malformed("CONNECT of no MQTT")),
    }
}

/// Takes one packet of a client off the front of `buffer`; `None` needs more bytes.
pub(crate) fn read(version: Version, buffer: &mut BytesMut, max: usize) -> Result<Option<Received>, PacketError> {
    match buffer.first().map(|byte1| byte1 >> 4) {
        Some(kind) if !FROM_CLIENTS.contains(&kind) => {
            Err(PacketError::Malformed(format!("type {kind}, which no client sends")))
        }
        Some(kind) => read_any(version, buffer, most(kind, max)),
        None => Ok(None),
    }
}

/// Bytes of a packet of this kind, where a message may have `max`.
fn most(kind: u8, max: usize) -> usize {
    match kind {
        PUBLISH => max,
        CONNECT => max.min(MAX_CONNECT),
        _ => max.min(MAX_CONTROL),
    }
}

/// Takes one packet off the front of `buffer`, whoever may send it.
pub(crate) fn read_any(version: Version, buffer: &mut BytesMut, max: usize) -> Result<Option<Received>, PacketError> {
    let Some(header) = complete(buffer, max)? else {
        return Ok(None);
    };
    let received = match header.byte1 >> 4 {
        PUBLISH => {
            let mut body = buffer.split_to(header.frame_length()).freeze();
            body.advance(header.fixed_header_len);
            Received::Publish(read_publish(version, header.byte1, body)?)
        }
        DISCONNECT if header.remaining_len == 1 => {
            // MQTT 5 lets the properties' length be left out (3.14.2.2.1), which rumqttd does not know.
            let frame = buffer.split_to(header.frame_length());
            Received::Other(Box::new(short_disconnect(frame.last().copied().unwrap_or_default())))
        }
        _ => Received::Other(Box::new(match version {
            Version::V4 => V4.read_mut(buffer, max)?,
            Version::V5 => V5.read_mut(buffer, max)?,
        })),
    };
    Ok(Some(received))
}

/// Appends `packet` to `buffer`.
pub(crate) fn write(version: Version, packet: Packet, buffer: &mut BytesMut) -> Result<(), PacketError> {
    let written = match version {
        Version::V4 => V4.write(for_version_4(packet), buffer),
        Version::V5 => V5.write(packet, buffer),
    };
    written.map(|_bytes| ()).map_err(PacketError::from)
}

/// 3.1.1 has one code for a subscription that is refused (3.9.3).
fn for_version_4(packet: Packet) -> Packet {
    use SubscribeReasonCode::{Failure, QoS0, QoS1, QoS2};
    match packet {
        Packet::SubAck(mut ack, _) => {
            for code in ack
                .return_codes
                .iter_mut()
                .filter(|code| !matches!(code, QoS0 | QoS1 | QoS2))
            {
                *code = Failure;
            }
            Packet::SubAck(ack, None)
        }
        packet => packet,
    }
}

/// What stands in a PUBLISH beside its message.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Head {
    pub(crate) qos: Qos,
    /// Not written with QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) retain: bool,
    /// It may have been sent before.
    pub(crate) dup: bool,
    /// Seconds that the message is still good for.
    pub(crate) expiry_s: Option<u32>,
}

/// Bytes that [`write_publish`] appends.
pub(crate) fn publish_len(version: Version, message: &Message, head: Head) -> usize {
    let (remaining, _) = publish_lens(version, message, head);
    1 + length_len(remaining) + remaining
}

/// What follows the fixed header of a PUBLISH, in bytes, and how many of those are properties.
fn publish_lens(version: Version, message: &Message, head: Head) -> (usize, usize) {
    let id_len = if head.qos > Qos::AtMostOnce { 2 } else { 0 };
    let properties_len = message.properties.len() + head.expiry_s.map_or(0, |_| properties::EXPIRY_BYTES);
    let with_properties = match version {
        Version::V4 => 0,
        Version::V5 => length_len(properties_len) + properties_len,
    };
    let topic_len = message.topic.len().min(usize::from(u16::MAX));
    (
        2 + topic_len + id_len + with_properties + message.payload.len(),
        properties_len,
    )
}

/// Appends a PUBLISH to `buffer`.
pub(crate) fn write_publish(version: Version, message: &Message, head: Head, buffer: &mut BytesMut) {
    let (remaining, properties_len) = publish_lens(version, message, head);
    let topic_len = u16::try_from(message.topic.len()).unwrap_or(u16::MAX);
    buffer.reserve(remaining + 5);
    let flags = u8::from(head.dup) << 3 | (head.qos as u8) << 1 | u8::from(head.retain);
    buffer.put_u8(PUBLISH << 4 | flags);
    put_length(remaining, buffer);
    buffer.put_u16(topic_len);
    let topic = message.topic.as_bytes();
    buffer.put_slice(topic.get(..usize::from(topic_len)).unwrap_or_default());
    if head.qos > Qos::AtMostOnce {
        buffer.put_u16(head.packet_id);
    }
    if version == Version::V5 {
        put_length(properties_len, buffer);
        if let Some(expiry_s) = head.expiry_s {
            properties::put_expiry(expiry_s, buffer);
        }
        buffer.put_slice(&message.properties);
    }
    buffer.put_slice(&message.payload);
}

/// The fixed header, when the packet behind it is complete.
fn complete(buffer: &[u8], max: usize) -> Result<Option<FixedHeader>, PacketError> {
    match v4::check(buffer.iter(), max) {
        Ok(header) => Ok(Some(header)),
        Err(ProtocolError::InsufficientBytes(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn read_publish(version: Version, byte1: u8, mut body: Bytes) -> Result<Publish, PacketError> {
    let qos = Qos::of(byte1 >> 1 & 0b11).ok_or_else(|| PacketError::malformed("PUBLISH of QoS 3"))?;
    let topic_len = usize::from(take_u16(&mut body)?);
    if body.len() < topic_len {
        return Err(PacketError::malformed("PUBLISH with a topic past its end"));
    }
    let topic = std::str::from_utf8(&body.split_to(topic_len))
        .map_err(|_| PacketError::malformed("PUBLISH with a topic that is no UTF-8"))?
        .to_owned();
    let sure = qos > Qos::AtMostOnce;
    let packet_id = if sure { take_u16(&mut body)? } else { 0 };
    if sure && packet_id == 0 {
        return Err(PacketError::malformed("PUBLISH with packet id 0"));
    }
    let properties = match version {
        Version::V4 => Properties::default(),
        Version::V5 => properties::read(&mut body)?,
    };
    Ok(Publish {
        topic,
        // Copied out of the buffer it came in, which would stay as long as the message does (retained, queued).
        payload: Bytes::copy_from_slice(&body),
        qos,
        packet_id,
        retain: byte1 & 1 == 1,
        dup: byte1 & 8 == 8,
        properties,
    })
}

fn take_u16(body: &mut Bytes) -> Result<u16, PacketError> {
    body.try_get_u16()
        .map_err(|_| PacketError::malformed("PUBLISH that ends early"))
}

/// The length of properties, in front of them.
fn take_length(body: &mut Bytes) -> Result<usize, PacketError> {
    let (length_len, length) =
        v4::length(body.iter()).map_err(|_| PacketError::malformed("PUBLISH without properties"))?;
    body.advance(length_len);
    Ok(length)
}

/// Bytes that [`put_length`] appends.
const fn length_len(length: usize) -> usize {
    match length {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    }
}

/// The length of what follows, seven bits a byte, the lowest first (2.2.3).
fn put_length(mut length: usize, buffer: &mut BytesMut) {
    loop {
        let [low, ..] = length.to_le_bytes();
        length >>= 7;
        if length == 0 {
            buffer.put_u8(low & 127);
            return;
        }
        buffer.put_u8(low | 128);
    }
}

fn short_disconnect(code: u8) -> Packet {
    let reason_code = match code {
        0x00 => DisconnectReasonCode::NormalDisconnection,
        0x04 => DisconnectReasonCode::DisconnectWithWillMessage,
        _ => DisconnectReasonCode::UnspecifiedError,
    };
    Packet::Disconnect(Disconnect { reason_code }, None)
}

#[cfg(test)]
mod tests;
