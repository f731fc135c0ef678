//! How rare a novelty is for this very series: block maxima of its past, and a Pareto tail through the largest.

use crate::stored::{Broken, Reader, Writer};

/// Rows of a block: neighbours are too alike to count each.
pub const BLOCK: u32 = 12;

/// Block maxima that are kept.
const KEPT: usize = 48;

/// Blocks before anything is rare.
const COLD: u64 = 12;

/// The share of blocks that the tail is fitted to, and the least number of them.
const SHARE: f64 = 0.2;
const LEAST: usize = 4;

/// The least weight of a tail: a lighter one is not believed.
const LIGHTEST: f64 = 0.05;

/// Large blocks that follow each other within this many are one trouble: six hours at a row a minute.
const TOGETHER: u64 = 30;

/// The largest novelty of each block of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tail {
    /// The largest maxima, falling, each with the number of its block.
    largest: Vec<(f64, u64)>,
    /// Blocks that are full.
    blocks: u64,
    /// Rows of the block that is being filled; it does not count yet.
    filled: u32,
    /// Its largest novelty.
    most: f64,
    fit: Option<Fit>,
}

impl Tail {
    /// Takes in `novelty`, 0 or more, and tells how rare it is by the blocks before: -log10 of the chance that a block
    /// reaches it. 0 is usual, or not known yet.
    pub fn update(&mut self, novelty: f64) -> f64 {
        let rarity = self.fit.map_or(0.0, |fit| fit.rarity(novelty));
        self.most = self.most.max(novelty);
        self.filled += 1;
        if self.filled == BLOCK {
            self.close();
        }
        rarity
    }

    /// Of how many troubles a large block is one, 0 to 1: troubles last, so there are fewer of them than of large blocks.
    /// 1 while nothing is known.
    pub(crate) fn troubles(&self) -> f64 {
        self.fit.map_or(1.0, |fit| fit.troubles)
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.whole(self.blocks);
        to.whole(u64::from(self.filled));
        to.double(self.most);
        to.count(self.largest.len());
        for (most, block) in &self.largest {
            to.double(*most);
            to.whole(*block);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let blocks = from.whole()?;
        let filled = u32::try_from(from.whole()?)
            .ok()
            .filter(|filled| *filled < BLOCK)
            .ok_or(())?;
        let most = from.amount()?;
        let count = from.count(KEPT)?;
        let block = |_| Ok((from.amount()?, from.whole()?));
        let largest: Vec<_> = (0..count).map(block).collect::<Result<_, Broken>>()?;
        if !largest.is_sorted_by(|(a, _), (b, _)| a >= b) {
            return Err(());
        }
        Ok(Self {
            fit: Fit::new(&largest, blocks),
            largest,
            blocks,
            filled,
            most,
        })
    }

    fn close(&mut self) {
        self.blocks += 1;
        let place = self.largest.partition_point(|(kept, _)| *kept >= self.most);
        self.largest.insert(place, (self.most, self.blocks));
        self.largest.truncate(KEPT);
        (self.filled, self.most) = (0, 0.0);
        self.fit = Fit::new(&self.largest, self.blocks);
    }
}

/// A Pareto tail: a block reaches `a` with the chance `share x (a / start)^(-1 / weight)`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fit {
    /// Where the tail starts, 0 or more.
    start: f64,
    /// -log10 of the share of blocks that reach the start.
    share: f64,
    /// Hill's estimate: the mean of the logarithms over the start.
    weight: f64,
    /// Troubles a block of the tail.
    troubles: f64,
    /// The rarity of anything at all, where nothing was ever seen.
    unseen: f64,
}

impl Fit {
    /// A tail through the largest fifth of the blocks; `None` while there are too few.
    fn new(largest: &[(f64, u64)], blocks: u64) -> Option<Self> {
        if blocks < COLD {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "bounded by what is kept")]
        let fifth = (SHARE * blocks as f64).min(KEPT as f64) as usize;
        let tail = largest.get(..fifth.max(LEAST).min(largest.len()))?;
        let ((start, _), above) = tail.split_last()?;
        let logs: f64 = above.iter().map(|(value, _)| (value / start).ln()).sum();
        let mean = logs / above.len() as f64;
        Some(Self {
            start: *start,
            share: ((blocks + 1) as f64 / tail.len() as f64).log10(),
            weight: if mean.is_finite() { mean.max(LIGHTEST) } else { LIGHTEST },
            troubles: troubles(tail) as f64 / tail.len() as f64,
            unseen: ((blocks + 1) as f64).log10(),
        })
    }

    fn rarity(&self, novelty: f64) -> f64 {
        if novelty <= self.start {
            0.0
        } else if self.start > 0.0 {
            self.share + (novelty / self.start).log10() / self.weight
        } else {
            self.unseen
        }
    }
}

/// How many groups these blocks make in time.
fn troubles(tail: &[(f64, u64)]) -> usize {
    let mut blocks: Vec<u64> = tail.iter().map(|(_, block)| *block).collect();
    blocks.sort_unstable();
    let apart = |pair: &&[u64]| matches!(pair, [before, after] if after - before > TOGETHER);
    1 + blocks.windows(2).filter(apart).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(blocks: u32, novelty: impl Fn(u32) -> f64) -> Tail {
        let mut tail = Tail::default();
        for row in 0..blocks * BLOCK {
            tail.update(novelty(row / BLOCK));
        }
        tail
    }

    #[test]
    fn nothing_is_rare_before_twelve_blocks_are_full() {
        let mut cold = filled(11, f64::from);
        assert_eq!(cold.update(1e9), 0.0);
        assert!(filled(12, f64::from).update(1e9) > 3.0);
    }

    #[test]
    fn a_pareto_tail_is_told_as_it_is() {
        // Of n blocks the i-th largest is (n / i)^weight: what is reached by one block in n.
        let weight = 0.5;
        let n = 200;
        let mut tail = filled(n, |block| (f64::from(n) / f64::from(block + 1)).powf(weight));
        for (in_blocks, slack) in [(10.0, 0.1), (1e4, 0.5)] {
            let rarity = tail.update(f64::powf(in_blocks, weight));
            assert!((rarity - in_blocks.log10()).abs() < slack, "{rarity} for {in_blocks}");
        }
    }

    #[test]
    fn blocks_that_are_large_together_are_one_trouble() {
        assert_eq!(Tail::default().troubles(), 1.0);
        // Every hundredth block is large, and the three after it: of the largest 48 each four are one trouble.
        let lasting = filled(1_200, |block| f64::from(u8::from(block % 100 < 4)));
        assert_eq!(lasting.troubles(), 0.25);
        let short = filled(4_800, |block| f64::from(u8::from(block % 100 == 0)));
        assert_eq!(short.troubles(), 1.0);
    }

    #[test]
    fn what_was_never_seen_is_as_rare_as_the_past_is_long() {
        let mut tail = filled(99, |_| 0.0);
        assert_eq!(tail.update(0.0), 0.0);
        assert_eq!(tail.update(1e-9), 2.0);
    }

    #[test]
    fn a_tail_of_equals_is_light_and_never_breaks() {
        let mut tail = filled(60, |_| 0.25);
        assert_eq!(tail.update(0.25), 0.0);
        let rarity = tail.update(0.5);
        assert!(rarity.is_finite() && rarity > 6.0, "{rarity}");
    }
}
