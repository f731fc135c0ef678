//! Tables counted on recorded telemetry: what the bench crate makes `priors.bin` with.
//!
//! Each context is counted by itself. Then contexts are put together whose tables differ least, until so few
//! tables are left that they stay in a processor's cache.

use std::sync::LazyLock;

use super::{
    super::CodecError,
    Writer,
    activity::PLAIN_CLASSES,
    coder::{CONTEXTS, ESCAPED, GAP, HEADER, LINK, MISSING, QUIET},
    link::Link,
    memory::LEVEL_CONTEXTS,
    priors::{Priors, SYMBOLS},
    tans::STATES,
};
use crate::{Block, Catalogue};

static FLAT: LazyLock<Priors> = LazyLock::new(Priors::flat);

/// How many tables residuals share.
const RESIDUAL_TABLES: usize = 48;
/// How many tables the other contexts share.
const OTHER_TABLES: usize = 16;

/// What contexts begin with, so that none is without: so many symbols, spread as in all contexts of an activity.
const BACKOFF: f64 = 2.0;

/// The last context of whether a column does as expected.
const LAST_QUIET: usize = MISSING - 1;

type Counts = [f64; SYMBOLS];

/// How often each symbol was seen in each context.
#[derive(Debug, Clone)]
pub struct Tally {
    counts: Vec<Counts>,
}

/// Contexts that share a table.
struct Group {
    contexts: Vec<usize>,
    counts: Counts,
    /// Bits that it takes to tell them by their own table.
    bits: f64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: vec![[0.0; SYMBOLS]; CONTEXTS],
        }
    }
}

impl Tally {
    /// Counts the symbols of `blocks`, frames of one epoch of `catalogue` in their order.
    ///
    /// # Errors
    /// [`CodecError`] when a block does not fit into a frame.
    pub fn add(&mut self, catalogue: &Catalogue, blocks: &[Block]) -> Result<(), CodecError> {
        let mut writer = Writer::counting(catalogue, &FLAT);
        let mut body = Vec::new();
        let first_ms = blocks.first().and_then(|block| block.times_ms.first());
        let epoch = first_ms.map_or(0, |first_ms| first_ms.unsigned_abs() * 1_000);
        for (sequence, block) in (0..).zip(blocks) {
            writer.write((epoch, sequence), block, &mut body)?;
            for (context, symbol) in writer.tally.iter_mut().flat_map(|tally| tally.drain(..)) {
                let count = self
                    .counts
                    .get_mut(context)
                    .and_then(|counts| counts.get_mut(usize::from(symbol)));
                if let Some(count) = count {
                    *count += 1.0;
                }
            }
        }
        Ok(())
    }

    /// The bytes of `priors.bin`.
    pub fn priors(&self) -> Vec<u8> {
        let residuals = (0..CONTEXTS).filter(|&context| alphabet(context) == SYMBOLS);
        let others = (0..CONTEXTS).filter(|&context| alphabet(context) != SYMBOLS);
        let mut groups = self.groups(residuals, RESIDUAL_TABLES);
        groups.extend(self.groups(others, OTHER_TABLES));
        let mut tables = [0; CONTEXTS];
        for (table, group) in (0..).zip(&groups) {
            for &context in &group.contexts {
                tables.iter_mut().skip(context).take(1).for_each(|to| *to = table);
            }
        }
        let mut bytes = vec![u8::try_from(groups.len()).unwrap_or(u8::MAX)];
        bytes.extend(tables);
        for group in &groups {
            let most = group
                .contexts
                .iter()
                .map(|&context| alphabet(context))
                .max()
                .unwrap_or(SYMBOLS);
            bytes.extend(frequencies(&group.counts, most).into_iter().flat_map(u16::to_le_bytes));
        }
        bytes
    }

    /// The counts of a context, and what is known of its like.
    fn smoothed(&self, context: usize) -> Counts {
        let per_activity = LEVEL_CONTEXTS / PLAIN_CLASSES;
        let like = match context {
            0..QUIET => context / per_activity * per_activity..(context / per_activity + 1) * per_activity,
            QUIET..=LAST_QUIET => QUIET..MISSING,
            GAP..HEADER => GAP..HEADER,
            _ => context..context + 1,
        };
        let mut counts = self.counts.get(context).copied().unwrap_or([0.0; SYMBOLS]);
        let mut all = [0.01; SYMBOLS];
        for other in self.counts.get(like).into_iter().flatten() {
            all.iter_mut().zip(other).for_each(|(all, count)| *all += count);
        }
        let total: f64 = all.iter().sum();
        counts
            .iter_mut()
            .zip(all)
            .for_each(|(count, all)| *count += BACKOFF * all / total);
        counts
    }

    fn groups(&self, contexts: impl Iterator<Item = usize>, most: usize) -> Vec<Group> {
        let mut groups: Vec<Group> = contexts
            .map(|context| {
                let counts = self.smoothed(context);
                Group {
                    contexts: vec![context],
                    bits: bits(&counts),
                    counts,
                }
            })
            .collect();
        let mut costs: Vec<Vec<f64>> = groups.iter().map(|group| losses(group, &groups)).collect();
        while groups.len() > most {
            let mut best = (f64::INFINITY, 0, 0);
            for (at, costs) in costs.iter().enumerate() {
                for (with, &cost) in costs.iter().enumerate().take(at) {
                    if cost < best.0 {
                        best = (cost, at, with);
                    }
                }
            }
            let (_, at, with) = best;
            if at == with {
                break;
            }
            let taken = groups.remove(at);
            costs.remove(at);
            for costs in &mut costs {
                costs.remove(at);
            }
            let Some(into) = groups.get_mut(with) else { break };
            into.contexts.extend(taken.contexts);
            into.counts
                .iter_mut()
                .zip(taken.counts)
                .for_each(|(count, more)| *count += more);
            into.bits = bits(&into.counts);
            let anew = groups.get(with).map(|group| losses(group, &groups)).unwrap_or_default();
            for (costs, &cost) in costs.iter_mut().zip(&anew) {
                costs.iter_mut().skip(with).take(1).for_each(|to| *to = cost);
            }
            costs
                .iter_mut()
                .skip(with)
                .take(1)
                .for_each(|costs| costs.clone_from(&anew));
        }
        groups
    }
}

/// How many bits more each of `groups` and `group` take with one table instead of two.
fn losses(group: &Group, groups: &[Group]) -> Vec<f64> {
    let loss = |other: &Group| {
        let mut both = group.counts;
        both.iter_mut()
            .zip(&other.counts)
            .for_each(|(count, more)| *count += more);
        bits(&both) - group.bits - other.bits
    };
    groups.iter().map(loss).collect()
}

fn bits(counts: &Counts) -> f64 {
    let total: f64 = counts.iter().sum();
    counts.iter().map(|count| -count * (count / total).log2()).sum()
}

/// How many symbols a context has; those of residuals have all.
const fn alphabet(context: usize) -> usize {
    match context {
        QUIET..GAP => 2,
        HEADER => 16,
        LINK => 1 + Link::COUNT as usize,
        ESCAPED => SYMBOLS - 1,
        _ => SYMBOLS,
    }
}

/// Whole numbers that add up to [`STATES`]. None of the first `alphabet` is 0 if these are not all symbols: where
/// there are escapes, the last symbol, what is unlikelier than any number can tell has none.
#[expect(clippy::cast_possible_truncation, reason = "they are parts of a small whole")]
fn frequencies(counts: &Counts, alphabet: usize) -> [u16; SYMBOLS] {
    let whole = STATES as u16;
    let total: f64 = counts.iter().take(alphabet).sum();
    let escapes = alphabet == SYMBOLS;
    let mut frequencies = [0; SYMBOLS];
    for (symbol, (frequency, count)) in frequencies.iter_mut().zip(counts).take(alphabet).enumerate() {
        let share = (count / total * f64::from(whole)).round() as u16;
        let least = u16::from(!escapes || symbol + 1 == SYMBOLS);
        *frequency = share.max(least);
    }
    // What rounding has left, or taken too much, is the likeliest one's.
    let sum: u16 = frequencies.iter().sum();
    if let Some(most) = frequencies.iter_mut().max() {
        *most = *most + whole - sum;
    }
    frequencies
}
