//! lz4 around a body, sizes checked before anything is allocated. The only place that knows lz4.

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

use super::{
    super::CodecError,
    bits::{ByteReader, put_varint},
};

/// First byte of a body: the rest is plain.
const PLAIN: u8 = 0;
/// First byte of a body: a varint of the plain size and an lz4 block follow.
const LZ4: u8 = 1;

/// lz4 never makes more than 255 bytes of one.
const MAX_LZ4_RATIO: u64 = 255;

/// Writes bodies, and keeps its memory from one to the next.
#[derive(Default)]
pub(crate) struct Packer {
    packed: Vec<u8>,
    table: CompressTable,
}

impl Packer {
    /// Replaces `body` by `plain`, packed where that is shorter.
    pub(crate) fn pack(&mut self, plain: &[u8], body: &mut Vec<u8>) {
        body.clear();
        self.packed.resize(get_maximum_output_size(plain.len()), 0);
        let length = compress_into_with_table(plain, &mut self.packed, &mut self.table).unwrap_or(usize::MAX);
        body.push(LZ4);
        put_varint(body, plain.len() as u64);
        match self.packed.get(..length) {
            Some(packed) if body.len() + length < 1 + plain.len() => body.extend_from_slice(packed),
            _ => {
                body.clear();
                body.push(PLAIN);
                body.extend_from_slice(plain);
            }
        }
    }
}

/// The plain bytes of `body`, at most `most`; `buffer` is where they are unpacked, if they have to be.
pub(crate) fn unpack<'a>(body: &'a [u8], most: u64, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
    let mut reader = ByteReader::new(body);
    match reader.byte("packing")? {
        PLAIN => Ok(reader.rest()),
        LZ4 => {
            let claimed = reader.varint("plain size")?;
            let packed = reader.rest();
            let error = CodecError::Lz4 {
                claimed,
                packed: packed.len(),
            };
            let allowed = claimed <= most.min(packed.len() as u64 * MAX_LZ4_RATIO);
            let Some(claimed) = usize::try_from(claimed).ok().filter(|_| allowed) else {
                return Err(error);
            };
            buffer.resize(claimed, 0);
            match decompress_into(packed, buffer) {
                Ok(length) if length == claimed => Ok(buffer),
                _ => Err(error),
            }
        }
        _ => Err(CodecError::Invalid("packing")),
    }
}
