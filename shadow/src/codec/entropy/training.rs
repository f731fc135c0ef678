//! Tables counted on recorded telemetry: what the bench crate makes `priors.bin` with.
//!
//! Classes are found by turns: what was recorded is written with the tables of the turn before, each run in the class that
//! it costs least in, and then each class gets the table that its runs ask for. Of the other contexts those whose tables
//! differ least are put together, until so few tables are left that they stay in a processor's cache.

#![expect(
    clippy::cast_possible_truncation,
    reason = "classes, tables and parts of a small whole"
)]

use std::sync::Arc;

use super::{
    super::CodecError,
    Writer,
    class::{CLASSES, SHIFTS},
    coder::{CLASS, CONTEXTS, ESCAPE, ESCAPED, EXTREME, HEADER, LINK, spread},
    extreme::ELSEWHERE,
    link::Link,
    priors::{Priors, SYMBOLS},
    tans::STATES,
};
use crate::{Block, Catalogue};

/// How often runs are put into classes anew.
const TURNS: usize = 40;
/// How many tables the contexts share that are no classes.
const OTHER_TABLES: usize = 32;
/// How often each symbol counts as seen in each context before it is.
const UNSEEN: f64 = 0.02;

type Counts = [f64; SYMBOLS];

/// What tables are counted on.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    recorded: Vec<(Catalogue, Vec<Block>)>,
}

/// Contexts that share a table.
struct Group {
    contexts: Vec<usize>,
    counts: Counts,
    /// Bits that it takes to tell them by their own table.
    bits: f64,
}

impl Group {
    fn of(context: usize, counts: &Counts) -> Self {
        Self {
            contexts: vec![context],
            bits: bits(counts),
            counts: *counts,
        }
    }
}

impl Tally {
    /// Adds `blocks`, frames of one epoch of `catalogue` in their order.
    pub fn add(&mut self, catalogue: &Catalogue, blocks: Vec<Block>) {
        self.recorded.push((catalogue.clone(), blocks));
    }

    /// The bytes of `priors.bin`.
    ///
    /// # Errors
    /// [`CodecError`] when a block does not fit into a frame.
    pub fn priors(&self) -> Result<Vec<u8>, CodecError> {
        let mut bytes = tables(&begin());
        for _ in 0..TURNS {
            let priors = Arc::new(Priors::parse(&bytes).unwrap_or_else(Priors::flat));
            let mut counts = vec![[UNSEEN; SYMBOLS]; CONTEXTS];
            for (catalogue, blocks) in &self.recorded {
                for quick in [false, true] {
                    count(&priors, (catalogue, blocks), quick, &mut counts)?;
                }
            }
            bytes = tables(&counts);
        }
        Ok(bytes)
    }
}

/// Counts what `blocks` are told by.
fn count(
    priors: &Arc<Priors>,
    (catalogue, blocks): (&Catalogue, &[Block]),
    quick: bool,
    counts: &mut [Counts],
) -> Result<(), CodecError> {
    let mut writer = Writer::counting(catalogue, quick, Arc::clone(priors));
    let mut body = Vec::new();
    let first_ms = blocks.first().and_then(|block| block.times_ms.first());
    let epoch = first_ms.map_or(0, |first_ms| first_ms.unsigned_abs() * 1_000);
    for (sequence, block) in (0..).zip(blocks) {
        writer.write((epoch, sequence), block, &mut body)?;
        for (context, symbol) in writer.tally.iter_mut().flat_map(|tally| tally.drain(..)) {
            let of_context = counts.get_mut(context);
            if let Some(count) = of_context.and_then(|counts| counts.get_mut(usize::from(symbol))) {
                *count += 1.0;
            }
        }
    }
    Ok(())
}

/// What is counted before anything is: classes of residuals that are larger and larger, all else as likely.
fn begin() -> Vec<Counts> {
    let class = |context: usize| {
        let shifted = SHIFTS.get(context).is_some_and(|&shift| shift > 0);
        let scale = if shifted {
            40.0
        } else {
            0.1 * 1.4_f64.powi(context as i32)
        };
        std::array::from_fn(|symbol| {
            let (magnitude, width) = spread(symbol as u8);
            UNSEEN + 1e4 * width / scale * (-magnitude / scale).exp()
        })
    };
    let context = |context| {
        if context < CLASS {
            class(context)
        } else {
            [1.0; SYMBOLS]
        }
    };
    (0..CONTEXTS).map(context).collect()
}

/// The bytes of the tables that `counts` ask for.
fn tables(counts: &[Counts]) -> Vec<u8> {
    let all = counts
        .iter()
        .enumerate()
        .map(|(context, counts)| Group::of(context, counts));
    let (mut groups, others): (Vec<Group>, Vec<Group>) =
        all.partition(|group| group.contexts.iter().all(|&of| of < CLASSES));
    groups.extend(merged(others, OTHER_TABLES));
    let mut contexts = [0; CONTEXTS];
    for (table, group) in (0..).zip(&groups) {
        for &context in &group.contexts {
            contexts.iter_mut().skip(context).take(1).for_each(|to| *to = table);
        }
    }
    let mut bytes = vec![groups.len() as u8];
    bytes.extend(contexts);
    for group in &groups {
        let most = group.contexts.iter().map(|&context| alphabet(context)).max();
        let residuals = group.contexts.iter().all(|&context| context < CLASSES);
        let frequencies = frequencies(&group.counts, residuals, most.unwrap_or(SYMBOLS));
        bytes.extend(frequencies.into_iter().flat_map(u16::to_le_bytes));
    }
    bytes
}

/// Puts together those of `groups` that differ least, until there are at most `most`.
fn merged(mut groups: Vec<Group>, most: usize) -> Vec<Group> {
    while groups.len() > most {
        let pairs = (0..groups.len()).flat_map(|at| (0..at).map(move |with| (at, with)));
        let cost = |&(at, with): &(usize, usize)| Some(loss(groups.get(at)?, groups.get(with)?));
        let Some((at, with)) = pairs.min_by(|a, b| cost(a).partial_cmp(&cost(b)).unwrap_or(std::cmp::Ordering::Equal))
        else {
            break;
        };
        let taken = groups.remove(at);
        let Some(into) = groups.get_mut(with) else { break };
        into.contexts.extend(taken.contexts);
        into.counts = sum(&into.counts, &taken.counts);
        into.bits = bits(&into.counts);
    }
    groups
}

/// How many bits more `a` and `b` take with one table instead of two.
fn loss(a: &Group, b: &Group) -> f64 {
    bits(&sum(&a.counts, &b.counts)) - a.bits - b.bits
}

fn sum(a: &Counts, b: &Counts) -> Counts {
    let mut sum = *a;
    sum.iter_mut().zip(b).for_each(|(sum, more)| *sum += more);
    sum
}

fn bits(counts: &Counts) -> f64 {
    let total: f64 = counts.iter().sum();
    counts.iter().map(|count| -count * (count / total).log2()).sum()
}

/// How many symbols a context has; those of residuals have all.
const fn alphabet(context: usize) -> usize {
    match context {
        HEADER => 32,
        LINK => 1 + Link::COUNT as usize,
        EXTREME..ESCAPED => ELSEWHERE as usize + 1,
        ESCAPED => ESCAPE as usize,
        _ => SYMBOLS,
    }
}

/// Whole numbers that add up to [`STATES`]. Of residuals' symbols what is unlikelier than an escape has none; of others
/// all of `alphabet` have.
fn frequencies(counts: &Counts, residuals: bool, alphabet: usize) -> [u16; SYMBOLS] {
    let whole = STATES as u16;
    let total: f64 = counts.iter().take(alphabet).sum();
    let mut frequencies = [0; SYMBOLS];
    for (symbol, (frequency, count)) in frequencies.iter_mut().zip(counts).take(alphabet).enumerate() {
        let share = (count / total * f64::from(whole)).round() as u16;
        let least = u16::from(!residuals || symbol == usize::from(ESCAPE));
        *frequency = share.max(least);
    }
    // What rounding has left, or taken too much, is the likeliest one's.
    let sum: u16 = frequencies.iter().sum();
    if let Some(most) = frequencies.iter_mut().max() {
        *most = *most + whole - sum;
    }
    frequencies
}
