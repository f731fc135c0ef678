//! Configuration spaces made for tests.

/// 4,096 bytes that are written register by register.
#[derive(Clone)]
pub(super) struct Dump(Vec<u8>);

impl Dump {
    /// A network card of the vendor 8086h with a list of capabilities that begins at 40h.
    pub(super) fn endpoint() -> Self {
        let dump = Self(vec![0; 4_096]);
        dump.dword(0x00, 0x1572_8086)
            .dword(0x04, 0x0010_0406)
            .dword(0x08, 0x0200_0002)
            .dword(0x2c, 0x0007_8086)
            .dword(0x34, 0x40)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn dword(mut self, at: usize, value: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn word(mut self, at: usize, value: u16) -> Self {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn standard(mut self, at: usize, id: u8, next: u8) -> Self {
        self.0[at] = id;
        self.0[at + 1] = next;
        self
    }

    pub(super) fn extended(self, at: usize, id: u32, next: u32) -> Self {
        self.dword(at, id | 1 << 16 | next << 20)
    }
}
