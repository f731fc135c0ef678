//! What stands in a file of the journal: a header, then records, each with a checksum of its own. Pure.
//!
//! All numbers are little-endian. A file begins with [`HEADER`]; a record has
//!
//! | bytes | what |
//! |---|---|
//! | 3 | `rec` |
//! | 1 | kind: 1 birth, 2 frame, 3 event, 4 hole |
//! | 8 | epoch |
//! | 8 | sequence; of a hole the first one; 0 of a birth |
//! | 8 | of a frame how many sequences back its reference lies, of a hole the sequence past its last; else 0 |
//! | 4 | length of the payload |
//! | 4 | CRC-32C of the payload |
//! | 4 | CRC-32C of the 36 bytes before |
//! | | the payload, a message of docs/wire-format.md |
//!
//! Where a record is damaged, reading goes on at the next one that is whole: a fault costs what it hit.

use bytes::Bytes;

use super::{Kind, Serial, crc::crc32c};

/// What a file begins with: name and version of the format.
pub(super) const HEADER: [u8; 12] = *b"fshspool\x01\0\0\0";

/// How many bytes of [`HEADER`] are the name; the version follows.
const NAME_BYTES: usize = 8;

/// What a record begins with, for reading to find it behind a damaged one.
const MARK: [u8; 3] = *b"rec";

/// The bytes before a payload.
pub(super) const RECORD_BYTES: usize = 40;

/// The longest payload: a birth.
const MAX_PAYLOAD: usize = shadow::wire::MAX_BIRTH_BYTES;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: Serial,
    pub(crate) content: Content,
    pub(crate) payload: Bytes,
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// The birth of an epoch, of no sequence.
    Birth,
    /// What bears a serial.
    Numbered(Kind),
}

impl Record {
    /// The birth of `epoch`.
    pub(crate) fn birth(epoch: u64, payload: Bytes) -> Self {
        Self {
            id: Serial { epoch, sequence: 0 },
            content: Content::Birth,
            payload,
        }
    }

    /// Appends its bytes to `to`.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let (kind, link) = match self.content {
            Content::Birth => (1_u8, 0),
            Content::Numbered(Kind::Frame { reference }) => (2, reference),
            Content::Numbered(Kind::Event) => (3, 0),
            Content::Numbered(Kind::Hole { end }) => (4, end),
        };
        let start = to.len();
        to.extend(MARK);
        to.push(kind);
        to.extend(self.id.epoch.to_le_bytes());
        to.extend(self.id.sequence.to_le_bytes());
        to.extend(link.to_le_bytes());
        // Longer ones are refused when they are read; no encoder of ours makes any.
        to.extend(u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        to.extend(crc32c(&self.payload).to_le_bytes());
        let crc = crc32c(to.get(start..).unwrap_or_default());
        to.extend(crc.to_le_bytes());
        to.extend_from_slice(&self.payload);
    }
}

/// What stands at a place of a file.
enum Found {
    Record(Record),
    /// A record whose payload is damaged; this long.
    Damaged(usize),
    /// No header of a record.
    Nothing,
}

/// What `bytes` begin with. The payload of a record is a view of them.
///
/// A length is believed when its header is whole, so that damage costs a look at each byte and no more.
fn read(bytes: &Bytes) -> Found {
    let Some((kind, id, link, length, crc)) = read_header(bytes) else {
        return Found::Nothing;
    };
    let Some(payload) = bytes.get(RECORD_BYTES..RECORD_BYTES + length) else {
        return Found::Damaged(bytes.len());
    };
    let content = match kind {
        1 => Content::Birth,
        2 => Content::Numbered(Kind::Frame { reference: link }),
        3 => Content::Numbered(Kind::Event),
        4 if link > id.sequence => Content::Numbered(Kind::Hole { end: link }),
        _ => return Found::Damaged(RECORD_BYTES + length),
    };
    if crc32c(payload) != crc {
        return Found::Damaged(RECORD_BYTES + length);
    }
    Found::Record(Record {
        id,
        content,
        payload: bytes.slice_ref(payload),
    })
}

/// Kind, serial, link, length of the payload and its checksum.
fn read_header(bytes: &[u8]) -> Option<(u8, Serial, u64, usize, u32)> {
    let (checked, crc) = bytes.get(..RECORD_BYTES)?.split_last_chunk::<4>()?;
    let mut fields = Fields(checked.strip_prefix(&MARK)?);
    if crc32c(checked) != u32::from_le_bytes(*crc) {
        return None;
    }
    let [kind] = fields.take()?;
    let id = Serial {
        epoch: fields.u64()?,
        sequence: fields.u64()?,
    };
    let link = fields.u64()?;
    let length = usize::try_from(fields.u32()?)
        .ok()
        .filter(|&length| length <= MAX_PAYLOAD)?;
    Some((kind, id, link, length, fields.u32()?))
}

/// Takes numbers off the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (number, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*number)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Whole records, in the order in which they were written.
    pub(crate) records: Vec<Record>,
    /// Bytes from where up to where were not readable.
    pub(crate) damage: Vec<std::ops::Range<usize>>,
}

/// Reads a file. `None` when it does not begin as one of this version does: nothing of it is to be touched then.
pub(super) fn read_all(mut bytes: Bytes) -> Option<Contents> {
    let mut found = Contents::default();
    let whole = bytes.len();
    if whole < HEADER.len() && HEADER.starts_with(&bytes) {
        // Power was lost before the first record was written.
        return Some(found);
    }
    if !bytes.starts_with(&HEADER) {
        return None;
    }
    drop(bytes.split_to(HEADER.len()));
    let mut good_end = HEADER.len();
    while !bytes.is_empty() {
        let at = whole - bytes.len();
        let length = match read(&bytes) {
            Found::Damaged(length) => length,
            Found::Nothing => next_mark(&bytes),
            Found::Record(record) => {
                if at > good_end {
                    found.damage.push(good_end..at);
                }
                let length = RECORD_BYTES + record.payload.len();
                good_end = at + length;
                found.records.push(record);
                length
            }
        };
        drop(bytes.split_to(length));
    }
    if whole > good_end {
        found.damage.push(good_end..whole);
    }
    Some(found)
}

/// How far the next record may begin behind the start of `bytes`; their length where none does.
fn next_mark(bytes: &[u8]) -> usize {
    let behind = bytes.get(1..).unwrap_or_default();
    let found = behind.windows(MARK.len()).position(|window| window == MARK);
    found.map_or(bytes.len(), |at| at + 1)
}

/// The version of a file of ours, whatever it is.
pub(super) fn version(bytes: &[u8]) -> Option<u32> {
    let (name, rest) = bytes.split_at_checked(NAME_BYTES)?;
    let version = rest.first_chunk::<4>()?;
    HEADER.starts_with(name).then(|| u32::from_le_bytes(*version))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn record(sequence: u64, content: Content, payload: Vec<u8>) -> Record {
        Record {
            id: Serial { epoch: 7, sequence },
            content,
            payload: payload.into(),
        }
    }

    fn contents() -> impl Strategy<Value = Content> {
        prop_oneof![
            Just(Content::Birth),
            any::<u64>().prop_map(|reference| Content::Numbered(Kind::Frame { reference })),
            Just(Content::Numbered(Kind::Event)),
            (1_000_u64..).prop_map(|end| Content::Numbered(Kind::Hole { end })),
        ]
    }

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let payload = vec(any::<u8>(), 0..50);
        vec(
            (0_u64..1_000, contents(), payload).prop_map(|(s, c, p)| record(s, c, p)),
            0..12,
        )
    }

    fn file(records: &[Record]) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        for record in records {
            record.write(&mut bytes);
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(records in records()) {
            let found = read_all(file(&records).into()).unwrap();
            prop_assert_eq!(found, Contents { records, damage: Vec::new() });
        }

        /// Cut at every byte: all records before the cut are there, and nothing else.
        #[test]
        fn a_torn_tail_costs_the_record_that_it_tears(records in records()) {
            let bytes = file(&records);
            let mut ends = vec![HEADER.len()];
            ends.extend(records.iter().scan(HEADER.len(), |end, record| {
                *end += RECORD_BYTES + record.payload.len();
                Some(*end)
            }));
            for cut in 0..bytes.len() {
                let found = read_all(Bytes::copy_from_slice(&bytes[..cut])).unwrap();
                let whole = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
                prop_assert_eq!(&found.records[..], &records[..whole]);
                prop_assert_eq!(found.damage.is_empty(), cut < HEADER.len() || ends.contains(&cut));
            }
        }

        /// A byte that has changed costs the record that it is in.
        #[test]
        fn a_wrong_byte_costs_its_record(records in records(), at in any::<prop::sample::Index>(), with in 1_u8..) {
            let mut bytes = file(&records);
            let at = at.index(bytes.len());
            bytes[at] ^= with;
            let found = read_all(bytes.into());
            if at < HEADER.len() {
                prop_assert_eq!(found, None);
                return Ok(());
            }
            let found = found.unwrap();
            let mut left = records;
            let mut end = HEADER.len();
            let hit = left.iter().position(|record| {
                end += RECORD_BYTES + record.payload.len();
                at < end
            });
            left.remove(hit.unwrap());
            prop_assert_eq!(found.records, left);
            prop_assert_eq!(found.damage.len(), 1);
        }

        #[test]
        fn garbage_is_survived(garbage in vec(any::<u8>(), 0..300), records in records()) {
            drop(read_all(garbage.clone().into()));
            let mut bytes = file(&records);
            bytes.extend(&garbage);
            for record in &records {
                record.write(&mut bytes);
            }
            let found = read_all(bytes.into()).unwrap().records;
            prop_assert!(found.starts_with(&records) && found.ends_with(&records));
        }
    }

    #[test]
    fn files_of_others_are_known() {
        assert_eq!(version(&HEADER), Some(1));
        assert_eq!(version(b"fshspool\x02\0\0\0and more"), Some(2));
        assert_eq!(version(b"SQLite format 3\0"), None);
        assert_eq!(read_all(Bytes::from_static(b"fshspool\x02\0\0\0")), None);
    }
}
