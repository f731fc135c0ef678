//! Reading replies byte by byte: too short is a fault, never a panic.

use super::BmcError;

/// The bytes of a reply or record, read by offset. IPMI is little-endian throughout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a> {
    data: &'a [u8],
    /// What it is, for faults.
    what: &'static str,
}

impl<'a> Bytes<'a> {
    pub(super) const fn new(data: &'a [u8], what: &'static str) -> Self {
        Self { data, what }
    }

    pub(super) fn u8(self, at: usize) -> Result<u8, BmcError> {
        self.data.get(at).copied().ok_or(BmcError::Malformed(self.what))
    }

    pub(super) fn u16(self, at: usize) -> Result<u16, BmcError> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    pub(super) fn u32(self, at: usize) -> Result<u32, BmcError> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    pub(super) fn array<const N: usize>(self, at: usize) -> Result<[u8; N], BmcError> {
        let found = self.data.get(at..).and_then(|rest| rest.first_chunk());
        found.copied().ok_or(BmcError::Malformed(self.what))
    }

    /// Everything from `at` on; empty past the end.
    pub(super) fn rest(self, at: usize) -> &'a [u8] {
        self.data.get(at..).unwrap_or_default()
    }
}
