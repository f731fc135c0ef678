//! A series as a row of bytes, and back: how its books outlive their process.
//!
//! What is kept is what a series has learnt: the sums of its books, in single precision, its price and its rule. Limits and
//! the needs of the last hours are not: between a store and a start lies an interval at least that nobody has booked, after
//! which rules begin anew with what is needed then.

use crate::{
    books::Books,
    prices,
    rule::Rule,
    series::Series,
    sums::{Each, Sums},
};

/// What the bytes begin with; another layout begins with something else.
const MARK: u64 = 0x3353_4b4f_4f42_5346;

/// Most intervals that books can hold: older ones count for nothing.
const MOST_WEIGHT: f64 = 416.0;

/// What stands where no rule is in use.
const NO_RULE: u64 = u64::MAX;

impl Series {
    /// To be stored: 5.5 KB.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(5_600);
        let rule = self.rule.map_or(NO_RULE, |rule| rule.place() as u64);
        let [weight, price, lately] = [self.books.weight, self.price, self.lately].map(f64::to_bits);
        for number in [MARK, weight, price, lately, rule] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for each in self.books.sums().all() {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "single precision is enough for a sum of a day"
            )]
            out.extend(Rule::all().flat_map(|rule| (rule.of(each) as f32).to_le_bytes()));
        }
        let check = checksum(&out);
        out.extend_from_slice(&check.to_le_bytes());
        out
    }

    /// What was stored; `None` when it is not of this version, not whole, or not what was stored.
    pub(crate) fn restored(bytes: &[u8]) -> Option<Self> {
        let (body, check) = bytes.split_last_chunk()?;
        let mut from = Reader(body);
        if u64::from_le_bytes(*check) != checksum(body) || from.whole()? != MARK {
            return None;
        }
        let weight = f64::from_bits(from.whole()?);
        let price = f64::from_bits(from.whole()?);
        let lately = f64::from_bits(from.whole()?);
        let rule = match from.whole()? {
            NO_RULE => None,
            place => Some(Rule::at(usize::try_from(place).ok()?)?),
        };
        let mut sums = Sums::NONE;
        for each in sums.all_mut() {
            from.sums(each)?;
        }
        let priced = prices::is_of_violation(price) && prices::is_lately(lately);
        let sound = from.0.is_empty() && (0.0..MOST_WEIGHT).contains(&weight) && priced;
        sound.then(|| Self {
            books: Box::new(Books::of(weight, sums)),
            rule,
            lately,
            ..Self::new(price)
        })
    }
}

/// Reads what was written, in the same order.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn whole(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// Sums are numbers, and none is below 0.
    fn sums(&mut self, each: &mut Each) -> Option<()> {
        for rule in Rule::all() {
            let told = f64::from(f32::from_le_bytes(self.take()?));
            *rule.of_mut(each)? = Some(told).filter(|told| told.is_finite() && *told >= 0.0)?;
        }
        Some(())
    }
}

/// FNV-1a: against what a disk or a hand has changed, not against somebody who knows it.
fn checksum(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}
