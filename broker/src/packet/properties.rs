//! The properties of a PUBLISH (MQTT 5, 3.3.2.3).
//!
//! What receivers are to get as it was sent is checked and kept as bytes. A topic alias is refused, for none was offered;
//! an expiry becomes a time, for it is told anew to each receiver.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rumqttd::protocol::LastWillProperties;

use super::{PacketError, take_length};

const PAYLOAD_FORMAT: u8 = 1;
const MESSAGE_EXPIRY: u8 = 2;
const CONTENT_TYPE: u8 = 3;
const RESPONSE_TOPIC: u8 = 8;
const CORRELATION_DATA: u8 = 9;
const USER_PROPERTY: u8 = 38;

/// Bytes that [`put_expiry`] appends.
pub(super) const EXPIRY_BYTES: usize = 5;

/// What a PUBLISH says beside topic and payload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Properties {
    /// What is passed on.
    pub(crate) passed: Bytes,
    /// Seconds that the message is good for.
    pub(crate) expiry_s: Option<u32>,
}

/// Takes the properties off the front of `body`.
pub(super) fn read(body: &mut Bytes) -> Result<Properties, PacketError> {
    let length = take_length(body)?;
    if body.len() < length {
        return Err(malformed("past its end"));
    }
    let mut rest = body.split_to(length);
    let mut found = Properties::default();
    if rest.is_empty() {
        return Ok(found);
    }
    let mut passed = BytesMut::with_capacity(length);
    let mut seen = 0_u64;
    while !rest.is_empty() {
        let whole = rest.clone();
        let kind = rest.get_u8();
        match kind {
            PAYLOAD_FORMAT => drop(rest.try_get_u8().map_err(|_| malformed("cut off"))?),
            MESSAGE_EXPIRY => found.expiry_s = Some(rest.try_get_u32().map_err(|_| malformed("cut off"))?),
            CONTENT_TYPE | RESPONSE_TOPIC => text(&mut rest)?,
            CORRELATION_DATA => drop(binary(&mut rest)?),
            USER_PROPERTY => {
                text(&mut rest)?;
                text(&mut rest)?;
            }
            kind => return Err(PacketError::Malformed(format!("PUBLISH with property {kind}"))),
        }
        if kind != USER_PROPERTY && seen & 1 << kind != 0 {
            return Err(malformed("told twice"));
        }
        seen |= 1 << kind;
        if kind != MESSAGE_EXPIRY {
            passed.put_slice(whole.get(..whole.len() - rest.len()).unwrap_or_default());
        }
    }
    found.passed = passed.freeze();
    Ok(found)
}

/// The properties of a will, which its PUBLISH will have (3.1.3.2).
pub(crate) fn of_will(will: &LastWillProperties) -> Properties {
    let mut passed = BytesMut::new();
    if let Some(format) = will.payload_format_indicator {
        passed.put_slice(&[PAYLOAD_FORMAT, format]);
    }
    for (kind, text) in [
        (CONTENT_TYPE, &will.content_type),
        (RESPONSE_TOPIC, &will.response_topic),
    ] {
        if let Some(text) = text {
            passed.put_u8(kind);
            put_binary(text.as_bytes(), &mut passed);
        }
    }
    if let Some(data) = &will.correlation_data {
        passed.put_u8(CORRELATION_DATA);
        put_binary(data, &mut passed);
    }
    for (key, value) in &will.user_properties {
        passed.put_u8(USER_PROPERTY);
        put_binary(key.as_bytes(), &mut passed);
        put_binary(value.as_bytes(), &mut passed);
    }
    Properties {
        passed: passed.freeze(),
        expiry_s: will.message_expiry_interval,
    }
}

/// Appends an expiry: the seconds that are left.
pub(super) fn put_expiry(seconds: u32, buffer: &mut BytesMut) {
    buffer.put_u8(MESSAGE_EXPIRY);
    buffer.put_u32(seconds);
}

/// What came with a length of 16 bits fits one.
fn put_binary(bytes: &[u8], buffer: &mut BytesMut) {
    buffer.put_u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    buffer.put_slice(bytes.get(..bytes.len().min(usize::from(u16::MAX))).unwrap_or_default());
}

fn binary(rest: &mut Bytes) -> Result<Bytes, PacketError> {
    let length = usize::from(rest.try_get_u16().map_err(|_| malformed("cut off"))?);
    if rest.len() < length {
        return Err(malformed("cut off"));
    }
    Ok(rest.split_to(length))
}

fn text(rest: &mut Bytes) -> Result<(), PacketError> {
    let bytes = binary(rest)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if !text.contains('\0') => Ok(()),
        _ => Err(malformed("that are no UTF-8")),
    }
}

fn malformed(what: &str) -> PacketError {
    PacketError::Malformed(format!("PUBLISH with properties {what}"))
}
