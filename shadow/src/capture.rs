//! Captures: messages as they went over the broker, with when and where, in a file that is read again.
//!
//! `docs/wire-format.md` has the format to the byte. Whoever opened a file hands it over here: this module only reads
//! and writes bytes.

use std::io::{self, Read, Write};

use schemas::Bytes;
use thiserror::Error;

use crate::{
    UnixMs,
    wire::{MAX_BIRTH_BYTES, MAX_TIME_MS},
};

/// The first bytes of a capture; the last two are its version.
pub const MAGIC: [u8; 8] = *b"fscapt01";

/// The longest payload: the longest message that there is.
pub const MAX_PAYLOAD_BYTES: usize = MAX_BIRTH_BYTES;

/// The longest topic, in bytes: a prefix of some levels, and names of 63 bytes.
pub const MAX_TOPIC_BYTES: usize = 1_024;

/// What stands before topic and payload of each message: time, length of the payload, length of the topic, flags.
const HEAD: usize = 8 + 4 + 2 + 2;

/// The flag of a message that the broker had kept.
const RETAINED: u16 = 1;

/// One message as it went over the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// When it came.
    pub time_ms: UnixMs,
    /// Whether the broker had kept it: it may be older than `time_ms`.
    pub retained: bool,
    /// Where it was published: 1 to [`MAX_TOPIC_BYTES`], no control character.
    pub topic: String,
    /// What it says, at most [`MAX_PAYLOAD_BYTES`].
    pub payload: Bytes,
}

/// Why a capture cannot be read on, or a message not written.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file begins with something else.
    #[error("not a capture of a version that is known here")]
    NotACapture,
    /// The last message is not whole: whoever wrote it was interrupted.
    #[error("ends within the message that begins at byte {at}")]
    Truncated {
        /// Offset in the file.
        at: u64,
    },
    /// A message that no writer writes: nothing after it can be believed.
    #[error("the message at byte {at} has a bad {field}")]
    Invalid {
        /// Offset in the file.
        at: u64,
        /// `time`, `topic`, `payload`, `flags`.
        field: &'static str,
    },
    /// A message that no reader would take; it was not written.
    #[error("a message with a bad {field} cannot be captured")]
    Refused {
        /// `time`, `topic`, `payload`.
        field: &'static str,
    },
}

/// Begins a capture.
///
/// # Errors
/// When `to` cannot be written.
pub fn begin(to: &mut impl Write) -> Result<(), CaptureError> {
    Ok(to.write_all(&MAGIC)?)
}

impl Captured {
    /// Appends this message to a capture, in one write.
    ///
    /// # Errors
    /// [`CaptureError::Refused`] when it is not within the limits of its fields, or `to` cannot be written.
    pub fn write(&self, to: &mut impl Write) -> Result<(), CaptureError> {
        let head = Head {
            time_ms: self.time_ms,
            payload: self.payload.len(),
            topic: self.topic.len(),
            flags: if self.retained { RETAINED } else { 0 },
        };
        let refused = |field| CaptureError::Refused { field };
        head.check().map_err(refused)?;
        check_topic(&self.topic).map_err(refused)?;
        let mut bytes = Vec::with_capacity(HEAD + head.topic + head.payload);
        bytes.extend(head.to_bytes().map_err(refused)?);
        bytes.extend(self.topic.as_bytes());
        bytes.extend(&self.payload);
        Ok(to.write_all(&bytes)?)
    }
}

/// Reads a capture, message by message. Ends after the first error: what follows it cannot be found.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    at: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// A reader of `from`, which begins with [`MAGIC`].
    ///
    /// # Errors
    /// [`CaptureError::NotACapture`], or why `from` cannot be read.
    pub fn new(mut from: R) -> Result<Self, CaptureError> {
        let mut magic = Vec::new();
        from.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        if magic != MAGIC {
            return Err(CaptureError::NotACapture);
        }
        let at = MAGIC.len() as u64;
        Ok(Self { from, at, ended: false })
    }

    fn message(&mut self) -> Result<Option<Captured>, CaptureError> {
        let head = self.bytes(HEAD)?;
        if head.is_empty() {
            return Ok(None);
        }
        let at = self.at;
        let truncated = CaptureError::Truncated { at };
        let invalid = |field| CaptureError::Invalid { at, field };
        let Ok(head) = <[u8; HEAD]>::try_from(head) else {
            return Err(truncated);
        };
        let head = Head::from_bytes(head);
        head.check().map_err(invalid)?;
        let topic = self.bytes(head.topic)?;
        let payload = self.bytes(head.payload)?;
        if topic.len() < head.topic || payload.len() < head.payload {
            return Err(truncated);
        }
        let topic = String::from_utf8(topic).map_err(|_| invalid("topic"))?;
        check_topic(&topic).map_err(invalid)?;
        self.at += (HEAD + head.topic + head.payload) as u64;
        Ok(Some(Captured {
            time_ms: head.time_ms,
            retained: head.flags == RETAINED,
            topic,
            payload: payload.into(),
        }))
    }

    /// The next `length` bytes, or as many as there are: what is claimed and not there is not allocated.
    fn bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.from.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Captured, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let message = self.message().transpose();
        self.ended = !matches!(message, Some(Ok(_)));
        message
    }
}

/// What stands before topic and payload, all little endian.
struct Head {
    time_ms: UnixMs,
    payload: usize,
    topic: usize,
    flags: u16,
}

impl Head {
    fn from_bytes(bytes: [u8; HEAD]) -> Self {
        let [a, b, c, d, e, f, g, h, p, q, r, s, t, u, v, w] = bytes;
        Self {
            time_ms: i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            payload: u32::from_le_bytes([p, q, r, s]) as usize,
            topic: u16::from_le_bytes([t, u]).into(),
            flags: u16::from_le_bytes([v, w]),
        }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, &'static str> {
        let payload = u32::try_from(self.payload).map_err(|_| "payload")?;
        let topic = u16::try_from(self.topic).map_err(|_| "topic")?;
        let mut bytes = self.time_ms.to_le_bytes().to_vec();
        bytes.extend(payload.to_le_bytes());
        bytes.extend(topic.to_le_bytes());
        bytes.extend(self.flags.to_le_bytes());
        Ok(bytes)
    }

    /// The name of the first field that is out of range.
    fn check(&self) -> Result<(), &'static str> {
        if !(0..=MAX_TIME_MS).contains(&self.time_ms) {
            return Err("time");
        }
        if self.payload > MAX_PAYLOAD_BYTES {
            return Err("payload");
        }
        if self.topic == 0 || self.topic > MAX_TOPIC_BYTES {
            return Err("topic");
        }
        if self.flags & !RETAINED != 0 {
            return Err("flags");
        }
        Ok(())
    }
}

fn check_topic(topic: &str) -> Result<(), &'static str> {
    if topic.contains(char::is_control) {
        Err("topic")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn message(topic: &str, payload: &[u8]) -> Captured {
        Captured {
            time_ms: 1_795_486_574_187,
            retained: true,
            topic: topic.to_owned(),
            payload: payload.to_vec().into(),
        }
    }

    fn written(messages: &[Captured]) -> Vec<u8> {
        let mut file = Vec::new();
        begin(&mut file).unwrap();
        for message in messages {
            message.write(&mut file).unwrap();
        }
        file
    }

    fn read(file: &[u8]) -> (Vec<Captured>, Option<CaptureError>) {
        let (mut messages, mut fault) = (Vec::new(), None);
        for message in Reader::new(file).unwrap() {
            match message {
                Ok(message) => messages.push(message),
                Err(error) => fault = Some(error),
            }
        }
        (messages, fault)
    }

    #[test]
    fn the_example_of_the_documentation_is_what_is_written() {
        let file = written(&[message("f/c/a/bin/inband/delta", &[8, 1])]);
        let mut expected = b"fscapt01".to_vec();
        expected.extend([0x6b, 0xe6, 0x56, 0x0b, 0xa2, 0x01, 0, 0]);
        expected.extend([2, 0, 0, 0, 22, 0, 1, 0]);
        expected.extend(b"f/c/a/bin/inband/delta\x08\x01");
        assert_eq!(file, expected);
    }

    #[test]
    fn a_torn_tail_costs_its_message_only() {
        let messages = [message("a", b"first"), message("b", b"second")];
        let file = written(&messages);
        let second = written(&messages[..1]).len();
        for end in second + 1..file.len() {
            let (read, fault) = read(&file[..end]);
            assert_eq!(read, messages[..1], "{end}");
            assert!(
                matches!(fault, Some(CaptureError::Truncated { at }) if at == second as u64),
                "{fault:?}"
            );
        }
        assert!(read(&file[..second]).1.is_none());
    }

    #[test]
    fn what_no_writer_writes_ends_the_reading() {
        let good = written(&[message("a", b"x"), message("b", b"y")]);
        let damaged = |at: usize, byte: u8| {
            let mut file = good.clone();
            file[at] = byte;
            file
        };
        for (at, byte, field) in [
            (15, 0x80, "time"),
            (19, 0xff, "payload"),
            (21, 0xff, "topic"),
            (23, 1, "flags"),
            (24, 7, "topic"),
            (24, 0xff, "topic"),
        ] {
            let (messages, fault) = read(&damaged(at, byte));
            assert!(messages.is_empty());
            assert!(
                matches!(&fault, Some(CaptureError::Invalid { at: 8, field: found }) if *found == field),
                "{at}: {fault:?}"
            );
        }
        for other in [&b""[..], b"fscapt0", b"fscapt02", b"SQLite format 3\0"] {
            assert!(matches!(Reader::new(other), Err(CaptureError::NotACapture)));
        }
    }

    #[test]
    fn what_no_reader_takes_is_not_written() {
        let long = vec![0; MAX_PAYLOAD_BYTES + 1];
        let late = Captured {
            time_ms: MAX_TIME_MS + 1,
            ..message("a", b"")
        };
        for bad in [
            message("", b""),
            message("a\nb", b""),
            message(&"x".repeat(1_025), b""),
            message("a", &long),
            late,
        ] {
            let mut file = Vec::new();
            assert!(
                matches!(bad.write(&mut file), Err(CaptureError::Refused { .. })),
                "{:.20}",
                bad.topic
            );
            assert!(file.is_empty());
        }
    }

    proptest! {
        #[test]
        fn messages_come_back_as_they_were(
            parts in vec((0..=MAX_TIME_MS, any::<bool>(), "[a-zA-Z0-9/._-]{1,60}", vec(any::<u8>(), 0..200)), 0..8)
        ) {
            let messages: Vec<_> = parts
                .into_iter()
                .map(|(time_ms, retained, topic, payload)| Captured { time_ms, retained, topic, payload: payload.into() })
                .collect();
            let (found, fault) = read(&written(&messages));
            prop_assert!(fault.is_none());
            prop_assert_eq!(found, messages);
        }
    }
}
