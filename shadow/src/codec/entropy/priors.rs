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

#![expect(clippy::cast_possible_truncation, reason = "tables, states and shifts are few")]

use std::sync::{LazyLock, OnceLock};

use super::{
    activity::{self, Machine, State},
    coder::CONTEXTS,
    memory::{EXPECTED, level_context},
    tans::{self, Code, Entry, Table},
};

/// How many symbols a table has.
pub(super) const SYMBOLS: usize = 32;

static BYTES: &[u8] = include_bytes!("priors.bin");

static TRAINED: LazyLock<Priors> = LazyLock::new(|| Priors::parse(BYTES).unwrap_or_else(Priors::flat));

/// At most so many tables.
const TABLES: usize = 64;

/// Classes of what is expected, rounded up so that a look into a table needs no product.
const WANTED: usize = 8;

/// The tables of codec 2.
#[derive(Debug)]
pub(super) struct Priors {
    /// The table of each context.
    contexts: Vec<u8>,
    /// For a writer.
    tables: Vec<Table>,
    /// For a reader, if there is one.
    entries: OnceLock<Entries>,
    /// How a level is told in each state, by what is expected.
    levels: Box<[Level; activity::MOST_STATES * WANTED]>,
    pub(super) machine: Machine,
}

/// What each table has at each state.
#[derive(Debug)]
pub(super) struct Entries(Box<[Entry; TABLES * tans::STATES]>);

impl Entries {
    /// What `table` has at `state`.
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "the numbers of tables and of states are powers of two"
    )]
    pub(super) fn entry(&self, table: u16, state: usize) -> Entry {
        self.0[(usize::from(table) * tans::STATES + state) % (TABLES * tans::STATES)]
    }
}

/// How a level is told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Level {
    pub(super) table: u16,
    /// How many low bits are told raw.
    pub(super) shift: u8,
}

impl Priors {
    /// Those that frames are written with.
    pub(super) fn trained() -> &'static Self {
        &TRAINED
    }

    /// All symbols equally likely everywhere.
    pub(super) fn flat() -> Self {
        let frequencies = [(tans::STATES / SYMBOLS) as u16; SYMBOLS];
        Self::new(vec![0; CONTEXTS], Table::new(&frequencies).into_iter().collect())
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
            tables.push(Table::new(&frequencies)?);
        }
        let complete = tables.len() == usize::from(count) && tables.len() <= TABLES;
        let known = contexts.iter().all(|&table| table < count);
        (complete && known).then(|| Self::new(contexts.to_vec(), tables))
    }

    fn new(contexts: Vec<u8>, tables: Vec<Table>) -> Self {
        let level = |index: usize| {
            let (state, wanted) = (index / WANTED, (index % WANTED).min(EXPECTED - 1));
            let state = state.min(activity::STATES - 1) as State;
            Level {
                table: contexts.get(level_context(state, wanted)).copied().unwrap_or(0).into(),
                shift: activity::shift(state) as u8,
            }
        };
        Self {
            levels: filled((0..).map(level)),
            entries: OnceLock::new(),
            contexts,
            tables,
            machine: Machine::new(),
        }
    }

    /// The table of a context.
    #[inline]
    pub(super) fn context(&self, context: usize) -> u16 {
        self.contexts.get(context).copied().unwrap_or(0).into()
    }

    /// How a level is told.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the number of states is a power of two")]
    pub(super) fn level(&self, state: State, wanted: usize) -> Level {
        self.levels[(usize::from(state) * WANTED + wanted) % (activity::MOST_STATES * WANTED)]
    }

    /// What a reader needs.
    pub(super) fn entries(&self) -> &Entries {
        self.entries
            .get_or_init(|| Entries(filled(self.tables.iter().flat_map(Table::entries))))
    }

    /// How to write `symbol` of `table`.
    #[inline]
    pub(super) fn code(&self, table: u16, symbol: u8) -> Code {
        let table = self.tables.get(usize::from(table));
        table.map_or_else(Code::default, |table| table.code(symbol))
    }

    /// All tables.
    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }
}

/// An array of `items`, and of defaults if there are fewer.
#[expect(clippy::unnecessary_box_returns, reason = "it is too large for a stack")]
pub(super) fn filled<T: Copy + Default, const N: usize>(items: impl Iterator<Item = T>) -> Box<[T; N]> {
    let mut array = Box::new([T::default(); N]);
    array.iter_mut().zip(items).for_each(|(to, item)| *to = item);
    array
}
