//! Counts the entries of a message's lists before it is decoded.
//!
//! An empty entry takes two bytes on the wire and a hundred in memory, so a size cap alone would let a
//! message of some megabytes take hundreds of them.

use super::WireError;

/// A repeated field, or a message that has such a field inside.
pub(super) struct List {
    /// Its name in errors.
    pub(super) name: &'static str,
    /// Its field number, after those of the messages around it.
    pub(super) path: &'static [u64],
    /// How many entries a whole message may have of it.
    pub(super) most: usize,
}

/// Checks that no list is too long. What is not protobuf is left to the decoder to refuse.
pub(super) fn check_lists(message: &'static str, lists: &[List], bytes: &[u8]) -> Result<(), WireError> {
    for &List { name, path, most } in lists {
        if count(bytes, path) > most {
            return Err(WireError::TooMany {
                message,
                field: name,
                most,
            });
        }
    }
    Ok(())
}

/// How many entries there are at `path`.
fn count(bytes: &[u8], path: &[u64]) -> usize {
    match path {
        [] => 1,
        [field, inner @ ..] => entries(bytes, *field).map(|entry| count(entry, inner)).sum(),
    }
}

/// The length-delimited fields with the number `field`, up to the first byte that is not protobuf.
fn entries(bytes: &[u8], field: u64) -> impl Iterator<Item = &[u8]> {
    fields(bytes)
        .filter(move |found| found.number == field)
        .filter_map(|found| found.content)
}

/// One field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u64,
    /// What is in it, where it is length-delimited.
    pub(super) content: Option<&'a [u8]>,
    /// All that stands behind it.
    pub(super) rest: &'a [u8],
}

/// The fields of a message, up to the first byte that is not protobuf: all of it is, if nothing is left behind the last.
pub(super) fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        let key = take_varint(&mut bytes)?;
        let mut content = None;
        match key & 7 {
            0 => {
                take_varint(&mut bytes)?;
            }
            1 => {
                take(&mut bytes, 8)?;
            }
            2 => {
                let length = take_varint(&mut bytes)?;
                content = Some(take(&mut bytes, usize::try_from(length).ok()?)?);
            }
            5 => {
                take(&mut bytes, 4)?;
            }
            _ => return None,
        }
        Some(Field {
            number: key >> 3,
            content,
            rest: bytes,
        })
    })
}

/// The first field in `numbers` that is not `known`, of the message, and of what is inside at `paths`, where none is known.
pub(super) fn find(
    bytes: &[u8],
    numbers: &std::ops::RangeInclusive<u64>,
    known: &[u64],
    paths: &[&[u64]],
) -> Option<u64> {
    let here = fields(bytes)
        .map(|field| field.number)
        .find(|number| numbers.contains(number) && !known.contains(number));
    here.or_else(|| {
        paths.iter().find_map(|path| {
            let (first, inner) = path.split_first()?;
            let inner: &[&[u64]] = if inner.is_empty() { &[] } else { &[inner] };
            entries(bytes, *first).find_map(|entry| find(entry, numbers, &[], inner))
        })
    })
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(head)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
