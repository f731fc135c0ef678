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
fn entries(mut bytes: &[u8], field: u64) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let key = take_varint(&mut bytes)?;
            let entry = match key & 7 {
                0 => {
                    take_varint(&mut bytes)?;
                    continue;
                }
                1 => {
                    take(&mut bytes, 8)?;
                    continue;
                }
                2 => {
                    let length = take_varint(&mut bytes)?;
                    take(&mut bytes, usize::try_from(length).ok()?)?
                }
                5 => {
                    take(&mut bytes, 4)?;
                    continue;
                }
                _ => return None,
            };
            if key >> 3 == field {
                return Some(entry);
            }
        }
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
