//! How likely each symbol is in each context: tables that were counted on recorded telemetry.
//!
//! `priors.bin` is made by the bench crate (`codec-priors`) and is part of the format: it is never changed
//! once codec 2 is released.
//!
//! | part | bytes |
//! |---|---|
//! | tables | 1: how many |
//! | contexts | [`CONTEXTS`]: the table of each |
//! | frequencies | for each table [`SYMBOLS`] numbers of 2 bytes, little-endian, which add up to [`tans::STATES`] |

#![expect(clippy::cast_possible_truncation, reason = "tables are few")]

use std::sync::{Arc, LazyLock, OnceLock};

use super::{
    class::{CLASSES, Costs},
    coder::{CLASS, CONTEXTS, meanings},
    tans::{self, Entry, Table},
};

/// How many symbols a table has.
pub(super) const SYMBOLS: usize = 32;

static BYTES: &[u8] = include_bytes!("priors.bin");

static TRAINED: LazyLock<Arc<Priors>> = LazyLock::new(|| Arc::new(Priors::parse(BYTES).unwrap_or_else(Priors::flat)));

/// At most so many tables.
pub(super) const TABLES: usize = 64;

/// The tables of codec 2.
#[derive(Debug)]
pub(super) struct Priors {
    /// The table of each context.
    contexts: Vec<u8>,
    /// For a writer.
    tables: Vec<Table>,
    /// For a reader, if there is one.
    entries: OnceLock<Entries>,
    pub(super) costs: Costs,
}

/// What each table has at each state.
#[derive(Debug)]
pub(super) struct Entries {
    contexts: [u8; MOST_CONTEXTS],
    tables: Box<[[Entry; tans::STATES]]>,
}

/// A power of two.
const MOST_CONTEXTS: usize = 128;
const _: () = assert!(CONTEXTS <= MOST_CONTEXTS);

impl Entries {
    /// The table of `context`.
    #[inline]
    pub(super) fn of(&self, context: usize) -> &[Entry; tans::STATES] {
        static NONE: [Entry; tans::STATES] = [Entry::NOTHING; tans::STATES];
        let table = self.contexts.get(context % MOST_CONTEXTS).copied().unwrap_or(0);
        self.tables.get(usize::from(table)).unwrap_or(&NONE)
    }
}

/// How many bits `symbol` takes where `frequencies` are told; infinitely many if it is none of them.
pub(super) fn bits(frequencies: &[u16; SYMBOLS], symbol: u8) -> f64 {
    let frequency = frequencies.get(usize::from(symbol)).copied().unwrap_or(0);
    f64::from(tans::PRECISION) - f64::from(frequency).log2()
}

impl Priors {
    /// Those that frames are written with.
    pub(super) fn trained() -> &'static Arc<Self> {
        &TRAINED
    }

    /// All symbols equally likely everywhere.
    pub(super) fn flat() -> Self {
        let frequencies = [(tans::STATES / SYMBOLS) as u16; SYMBOLS];
        // A table means something else in each of both kinds of contexts.
        let kinds = (0..CONTEXTS).map(|context| u8::from(context >= CLASS));
        Self::new(kinds.collect(), &[frequencies; 2])
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
            tables.push(frequencies);
        }
        let complete = tables.len() == usize::from(count) && tables.len() <= TABLES;
        let known = contexts.iter().all(|&table| table < count);
        let priors = (complete && known).then(|| Self::new(contexts.to_vec(), &tables))?;
        (priors.tables.len() == tables.len()).then_some(priors)
    }

    fn new(contexts: Vec<u8>, tables: &[[u16; SYMBOLS]]) -> Self {
        let of = |context: usize| {
            let table = contexts.get(context).copied().unwrap_or(0);
            tables.get(usize::from(table)).unwrap_or(&[0; SYMBOLS])
        };
        Self {
            costs: Costs::new((0..CLASSES).map(of), (0..=CLASSES).map(|before| of(CLASS + before))),
            tables: tables.iter().filter_map(Table::new).collect(),
            entries: OnceLock::new(),
            contexts,
        }
    }

    /// The table of a context.
    #[inline]
    pub(super) fn context(&self, context: usize) -> u8 {
        self.contexts.get(context).copied().unwrap_or(0)
    }

    /// What a reader needs.
    pub(super) fn entries(&self) -> &Entries {
        let table = |(number, table): (usize, &Table)| {
            let context = self.contexts.iter().position(|&of| usize::from(of) == number);
            table.entries(&meanings(context.unwrap_or(0)))
        };
        self.entries.get_or_init(|| Entries {
            contexts: std::array::from_fn(|context| self.context(context)),
            tables: self.tables.iter().enumerate().map(table).collect(),
        })
    }

    /// All tables.
    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }
}
