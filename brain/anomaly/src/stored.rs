//! Numbers in a row of bytes, and back: how a detector outlives its process.

/// What was wrong with bytes: they end too soon, go on, or tell what no detector is.
pub(crate) type Broken = ();

/// Writes numbers, the lowest byte first.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn count(&mut self, count: usize) {
        // Nothing that is stored has more than some thousand parts.
        self.whole(count as u64);
    }

    pub(crate) fn whole(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn double(&mut self, number: f64) {
        self.whole(number.to_bits());
    }

    pub(crate) fn single(&mut self, number: f32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads what was written, in the same order.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many parts follow, at most `most`.
    pub(crate) fn count(&mut self, most: usize) -> Result<usize, Broken> {
        let count = usize::try_from(self.whole()?).map_err(drop)?;
        if count <= most { Ok(count) } else { Err(()) }
    }

    pub(crate) fn whole(&mut self) -> Result<u64, Broken> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn double(&mut self) -> Result<f64, Broken> {
        self.whole().map(f64::from_bits)
    }

    pub(crate) fn single(&mut self) -> Result<f32, Broken> {
        self.take().map(f32::from_le_bytes)
    }

    /// A number that is at least 0 and finite.
    pub(crate) fn amount(&mut self) -> Result<f64, Broken> {
        let number = self.double()?;
        if number.is_finite() && number >= 0.0 {
            Ok(number)
        } else {
            Err(())
        }
    }

    /// Nothing follows.
    pub(crate) const fn end(&self) -> Result<(), Broken> {
        if self.0.is_empty() { Ok(()) } else { Err(()) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(())?;
        self.0 = rest;
        Ok(*bytes)
    }
}
