//! How likely each symbol is in each context: tables that were counted on recorded telemetry.
//!
//! `priors.bin` is made by the bench crate (`codec-priors`) and is part of the format: it is never changed
//! once codec 2 is released.
//!
//! | part | bytes |
//! |---|---|
//! | tables | 1: how many |
//! | contexts | [`CONTEXTS`]: the table of each |
//! | frequencies | for each table [`SYMBOLS`] numbers of 2 bytes, little-endian, which add up to `2^PRECISION` |

use std::sync::LazyLock;

use super::{
    coder::CONTEXTS,
    rans::{PRECISION, Slice},
};

/// How many symbols a table has.
pub(super) const SYMBOLS: usize = 32;

/// Places of a table.
const PLACES: usize = 1 << PRECISION;

static BYTES: &[u8] = include_bytes!("priors.bin");

static TRAINED: LazyLock<Priors> = LazyLock::new(|| Priors::parse(BYTES).unwrap_or_else(Priors::flat));

/// The tables of codec 2.
#[derive(Debug)]
pub(super) struct Priors {
    contexts: Vec<u8>,
    slices: Vec<[Slice; SYMBOLS]>,
    /// The symbol at each place of each table.
    symbols: Vec<u8>,
}

impl Priors {
    /// Those that frames are written with.
    pub(super) fn trained() -> &'static Self {
        &TRAINED
    }

    /// All symbols equally likely everywhere.
    pub(super) fn flat() -> Self {
        let frequencies = [1 << (PRECISION - SYMBOLS.ilog2()); SYMBOLS];
        Self::of(vec![0; CONTEXTS], &[frequencies])
    }

    /// Reads the form that is told above.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&count, rest) = bytes.split_first()?;
        let (contexts, rest) = rest.split_at_checked(CONTEXTS)?;
        let mut tables = Vec::new();
        for table in rest.chunks_exact(2 * SYMBOLS) {
            let mut frequencies = [0; SYMBOLS];
            for (to, from) in frequencies.iter_mut().zip(table.chunks_exact(2)) {
                *to = u16::from_le_bytes(from.try_into().ok()?);
            }
            if frequencies.iter().map(|&f| usize::from(f)).sum::<usize>() != PLACES {
                return None;
            }
            tables.push(frequencies);
        }
        let complete = tables.len() == usize::from(count) && contexts.iter().all(|&table| table < count);
        complete.then(|| Self::of(contexts.to_vec(), &tables))
    }

    fn of(contexts: Vec<u8>, tables: &[[u16; SYMBOLS]]) -> Self {
        let mut priors = Self {
            contexts,
            slices: Vec::with_capacity(tables.len()),
            symbols: Vec::with_capacity(tables.len() * PLACES),
        };
        for frequencies in tables {
            let mut slices = [Slice::default(); SYMBOLS];
            let mut start = 0;
            for ((symbol, &frequency), slice) in (0..).zip(frequencies).zip(&mut slices) {
                *slice = Slice { start, frequency };
                start += frequency;
                priors
                    .symbols
                    .resize(priors.symbols.len() + usize::from(frequency), symbol);
            }
            priors.slices.push(slices);
        }
        priors
    }

    fn table(&self, context: usize) -> usize {
        self.contexts.get(context).copied().unwrap_or(0).into()
    }

    /// The slice of `symbol` in `context`.
    #[inline]
    pub(super) fn slice(&self, context: usize, symbol: u8) -> Slice {
        let slices = self.slices.get(self.table(context));
        let slice = slices.and_then(|slices| slices.get(usize::from(symbol)));
        slice.copied().unwrap_or_default()
    }

    /// The symbol at `place` in `context`, and its slice.
    #[inline]
    pub(super) fn find(&self, context: usize, place: u32) -> (u8, Slice) {
        let table = self.table(context);
        let symbol = self
            .symbols
            .get(table << PRECISION | place as usize)
            .copied()
            .unwrap_or(0);
        let slices = self.slices.get(table);
        let slice = slices.and_then(|slices| slices.get(usize::from(symbol)));
        (symbol, slice.copied().unwrap_or_default())
    }
}
