//! What stands in a journal: a header, then changes, each with a checksum of its own. Pure.
//!
//! All numbers are little-endian. A file begins with [`HEADER`] and its mark, 8 random bytes; a record has
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the file's mark: nobody who publishes a payload can know it, so no payload holds a record |
//! | 1 | kind of change |
//! | 4 | length of what follows the checksum |
//! | 4 | CRC-32 of kind, length and what follows |
//!
//! A message is written once, as a record of its own, before the changes that it causes: they speak of the newest one.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use crate::{
    message::{Message, Qos, Serial},
    subscriptions::Wants,
};

/// What a file begins with: name and version of the format.
pub(super) const HEADER: [u8; 12] = *b"fshbroke\x02\0\0\0";

/// What a record begins with, for reading to find it behind a damaged one.
pub(super) type Mark = [u8; 8];

/// Bytes before what a record holds.
const FRONT: usize = size_of::<Mark>() + 9;

/// The longest content of a record: what MQTT can express, and what surrounds it.
const MAX_CONTENT: usize = 300_000_000;

/// `expires_ms` of a message that does not expire.
const NEVER: i64 = i64::MAX;

/// One change of what survives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A new file begins: what follows, up to [`Change::Complete`], is all that holds.
    Begin,
    /// All that holds has been told.
    Complete,
    /// A retained message; without a payload its topic is cleared.
    Retained(Arc<Message>),
    /// A session begins, or its client is back, or it says anew how long it lasts.
    Session {
        session: Serial,
        id: Arc<str>,
        expiry_s: u32,
    },
    /// Its connection has ended.
    Left {
        session: Serial,
        at_ms: i64,
    },
    /// It is over.
    Ended {
        session: Serial,
    },
    /// `replay`: what is retained is still to be sent.
    Subscribed {
        session: Serial,
        path: String,
        wants: Wants,
        replay: bool,
    },
    Unsubscribed {
        session: Serial,
        path: String,
    },
    /// All that was retained has been queued.
    Replayed {
        session: Serial,
        path: String,
    },
    /// A message waits, under the packet id that it is sent with.
    Queued {
        session: Serial,
        delivery: Saved,
    },
    /// What became of a packet id.
    Passed {
        session: Serial,
        packet_id: u16,
        step: Step,
    },
}

/// A message that waits for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saved {
    pub(crate) packet_id: u16,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// The shared subscription that it came by.
    pub(crate) share: Option<Arc<str>>,
    pub(crate) message: Arc<Message>,
}

/// How far the exchange of a packet id has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The client has the QoS 2 message: a PUBREL is due.
    Received,
    /// The client has acknowledged the message, or nobody wants it any more.
    Done,
    /// The client has published it at QoS 2: it is not taken twice.
    Taken,
    /// The client will not send it again.
    Released,
}

const MESSAGE: u8 = 1;
const COMPLETE: u8 = 2;
const RETAINED: u8 = 3;
const SESSION: u8 = 4;
const LEFT: u8 = 5;
const ENDED: u8 = 6;
const SUBSCRIBED: u8 = 7;
const UNSUBSCRIBED: u8 = 8;
const REPLAYED: u8 = 9;
const QUEUED: u8 = 10;
const STEPS: [(u8, Step); 4] = [
    (11, Step::Received),
    (12, Step::Done),
    (13, Step::Taken),
    (14, Step::Released),
];

/// Writes changes of one file.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    mark: Mark,
    /// The newest message that was written.
    message: Option<Arc<Message>>,
}

impl Encoder {
    /// Begins a file.
    pub(super) fn begin(mark: Mark, to: &mut Vec<u8>) -> Self {
        to.put_slice(&HEADER);
        to.put_slice(&mark);
        Self { mark, message: None }
    }

    /// Appends the records of `change` to `to`.
    pub(super) fn write(&mut self, change: &Change, to: &mut Vec<u8>) {
        match change {
            Change::Begin => {}
            Change::Complete => record(self.mark, COMPLETE, to, |_| {}),
            Change::Retained(message) => {
                self.message(message, to);
                record(self.mark, RETAINED, to, |_| {});
            }
            Change::Session { session, id, expiry_s } => record(self.mark, SESSION, to, |to| {
                to.put_u64_le(*session);
                to.put_u32_le(*expiry_s);
                to.put_slice(id.as_bytes());
            }),
            Change::Left { session, at_ms } => record(self.mark, LEFT, to, |to| {
                to.put_u64_le(*session);
                to.put_i64_le(*at_ms);
            }),
            Change::Ended { session } => record(self.mark, ENDED, to, |to| to.put_u64_le(*session)),
            Change::Subscribed {
                session,
                path,
                wants,
                replay,
            } => record(self.mark, SUBSCRIBED, to, |to| {
                to.put_u64_le(*session);
                to.put_u8(wants.qos as u8);
                to.put_u8(flags([wants.no_local, wants.keep_retain, *replay]));
                to.put_slice(path.as_bytes());
            }),
            Change::Unsubscribed { session, path } => named(self.mark, UNSUBSCRIBED, *session, path, to),
            Change::Replayed { session, path } => named(self.mark, REPLAYED, *session, path, to),
            Change::Queued { session, delivery } => {
                self.message(&delivery.message, to);
                record(self.mark, QUEUED, to, |to| {
                    to.put_u64_le(*session);
                    to.put_u16_le(delivery.packet_id);
                    to.put_u8(delivery.qos as u8);
                    to.put_u8(flags([delivery.retain, delivery.share.is_some(), false]));
                    to.put_slice(delivery.share.as_deref().unwrap_or_default().as_bytes());
                });
            }
            Change::Passed {
                session,
                packet_id,
                step,
            } => {
                let kind = STEPS
                    .iter()
                    .find(|(_, known)| known == step)
                    .map_or(0, |(kind, _)| *kind);
                record(self.mark, kind, to, |to| {
                    to.put_u64_le(*session);
                    to.put_u16_le(*packet_id);
                });
            }
        }
    }

    fn message(&mut self, message: &Arc<Message>, to: &mut Vec<u8>) {
        if self.message.as_ref().is_some_and(|newest| Arc::ptr_eq(newest, message)) {
            return;
        }
        record(self.mark, MESSAGE, to, |to| {
            to.put_u8(message.qos as u8);
            to.put_u8(flags([message.retain, message.owner.is_some(), false]));
            to.put_i64_le(message.expires_ms.unwrap_or(NEVER));
            put_bytes(message.owner.as_deref().unwrap_or_default().as_bytes(), to);
            put_bytes(message.topic.as_bytes(), to);
            put_bytes(&message.properties, to);
            to.put_slice(&message.payload);
        });
        self.message = Some(message.clone());
    }
}

fn named(mark: Mark, kind: u8, session: Serial, path: &str, to: &mut Vec<u8>) {
    record(mark, kind, to, |to| {
        to.put_u64_le(session);
        to.put_slice(path.as_bytes());
    });
}

fn flags(flags: [bool; 3]) -> u8 {
    let [a, b, c] = flags.map(u8::from);
    a | b << 1 | c << 2
}

fn put_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    to.put_u32_le(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    to.put_slice(bytes);
}

/// Appends a record that `content` fills.
fn record(mark: Mark, kind: u8, to: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    to.put_slice(&mark);
    to.put_u8(kind);
    to.put_u64_le(0);
    content(to);
    let Some((front, content)) = to
        .get_mut(start..)
        .and_then(|record| record.split_at_mut_checked(FRONT))
    else {
        return;
    };
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let crc = checksum(kind, length, content);
    let (mut length_at, mut crc_at) = front.split_at_mut(FRONT - 4);
    crc_at.put_u32_le(crc);
    if let Some(at) = length_at.get_mut(size_of::<Mark>() + 1..) {
        length_at = at;
        length_at.put_u32_le(length);
    }
}

fn checksum(kind: u8, length: u32, content: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[kind]);
    crc.update(&length.to_le_bytes());
    crc.update(content);
    crc.finalize()
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// In the order in which they were written.
    pub(super) changes: Vec<Change>,
    /// Bytes that were not readable: what stood there is lost.
    pub(super) lost: usize,
    /// Whole records stand behind what is lost: this is no torn end.
    pub(super) damaged: bool,
}

/// Reads a file, which begins with [`HEADER`]. Where a record is damaged, reading goes on at the next whole one.
pub(super) fn read_all(mut bytes: Bytes) -> Contents {
    let mut found = Contents::default();
    let mut message = None;
    let mut lost = 0;
    bytes.advance(HEADER.len().min(bytes.len()));
    let mut mark = Mark::default();
    if bytes.try_copy_to_slice(&mut mark).is_err() {
        bytes.clear();
    }
    while !bytes.is_empty() {
        let Some((kind, content)) = read(mark, &bytes) else {
            let behind = bytes.get(1..).unwrap_or_default();
            let next = behind.windows(mark.len()).position(|window| window == mark);
            let skipped = next.map_or(bytes.len(), |at| at + 1);
            lost += skipped;
            // It may have been the message that what follows speaks of.
            message = None;
            bytes.advance(skipped);
            continue;
        };
        found.damaged |= lost > 0;
        bytes.advance(FRONT + content.len());
        if kind == MESSAGE {
            message = read_message(content).map(Arc::new);
        } else {
            // What a whole record holds was written by this version, or is of no use to it.
            found.changes.extend(read_change(kind, content, message.as_ref()));
        }
    }
    found.lost = lost;
    found
}

/// Kind and content of the record that `bytes` begin with.
fn read(mark: Mark, bytes: &Bytes) -> Option<(u8, Bytes)> {
    let mut front = bytes.get(..FRONT)?.strip_prefix(&mark)?;
    let (kind, length, crc) = (front.get_u8(), front.get_u32_le(), front.get_u32_le());
    let content_len = usize::try_from(length).ok().filter(|length| *length <= MAX_CONTENT)?;
    let content = bytes.get(FRONT..FRONT + content_len)?;
    (checksum(kind, length, content) == crc).then(|| (kind, bytes.slice_ref(content)))
}

fn read_message(mut from: Bytes) -> Option<Message> {
    let qos = Qos::of(from.try_get_u8().ok()?)?;
    let flags = from.try_get_u8().ok()?;
    let expires_ms = from.try_get_i64_le().ok()?;
    let owner = take_bytes(&mut from)?;
    let owner = std::str::from_utf8(&owner).ok().filter(|_| flags & 2 != 0);
    let topic = take_bytes(&mut from)?;
    let properties = take_bytes(&mut from)?;
    Some(Message {
        topic: std::str::from_utf8(&topic).ok()?.into(),
        // Copied, so that a small message does not keep the file's bytes with it.
        payload: Bytes::copy_from_slice(&from),
        properties: Bytes::copy_from_slice(&properties),
        qos,
        retain: flags & 1 != 0,
        owner: owner.map(Arc::from),
        expires_ms: (expires_ms != NEVER).then_some(expires_ms),
        ..Message::default()
    })
}

fn take_bytes(from: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(from.try_get_u32_le().ok()?).ok()?;
    (length <= from.len()).then(|| from.split_to(length))
}

fn read_change(kind: u8, mut from: Bytes, message: Option<&Arc<Message>>) -> Option<Change> {
    match kind {
        COMPLETE => return Some(Change::Complete),
        RETAINED => return message.cloned().map(Change::Retained),
        _ => {}
    }
    let session = from.try_get_u64_le().ok()?;
    let text = |from: &Bytes| std::str::from_utf8(from).ok().map(str::to_owned);
    Some(match kind {
        SESSION => Change::Session {
            session,
            expiry_s: from.try_get_u32_le().ok()?,
            id: text(&from)?.into(),
        },
        LEFT => Change::Left {
            session,
            at_ms: from.try_get_i64_le().ok()?,
        },
        ENDED => Change::Ended { session },
        SUBSCRIBED => {
            let qos = Qos::of(from.try_get_u8().ok()?)?;
            let flags = from.try_get_u8().ok()?;
            let wants = Wants {
                qos,
                no_local: flags & 1 != 0,
                keep_retain: flags & 2 != 0,
            };
            Change::Subscribed {
                session,
                path: text(&from)?,
                wants,
                replay: flags & 4 != 0,
            }
        }
        UNSUBSCRIBED => Change::Unsubscribed {
            session,
            path: text(&from)?,
        },
        REPLAYED => Change::Replayed {
            session,
            path: text(&from)?,
        },
        QUEUED => {
            let packet_id = from.try_get_u16_le().ok()?;
            let qos = Qos::of(from.try_get_u8().ok()?)?;
            let flags = from.try_get_u8().ok()?;
            let share = if flags & 2 == 0 {
                None
            } else {
                Some(text(&from)?.into())
            };
            let delivery = Saved {
                packet_id,
                qos,
                retain: flags & 1 != 0,
                share,
                message: message?.clone(),
            };
            Change::Queued { session, delivery }
        }
        kind => Change::Passed {
            session,
            packet_id: from.try_get_u16_le().ok()?,
            step: STEPS.iter().find(|(known, _)| *known == kind)?.1,
        },
    })
}

#[cfg(test)]
mod tests;
