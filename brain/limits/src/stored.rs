//! A series as a row of bytes, and back: how its books outlive their process, to the last bit.

use crate::{
    books::{Book, Books},
    decision::{Decision, Standing},
    need::Recent,
    rule::{BASES, RULES, Rule, WINDOWS},
    series::Series,
};

/// What the bytes begin with; another layout begins with something else.
const MARK: u64 = 0x3153_4b4f_4f42_5346;

impl Series {
    /// To be stored: some 20 KB.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(24_000));
        out.whole(MARK);
        let books = &self.books;
        for sums in [
            &books.limits,
            &books.slack,
            &books.violations,
            &books.excess,
            &books.changes,
        ] {
            out.doubles(sums);
        }
        out.0.extend(books.moved.iter().map(|moved| u8::from(*moved)));
        let optional = self.last.unwrap_or(f64::NAN);
        out.doubles(&[books.weight, self.price, self.weight, optional]);
        out.whole(u64::from(self.open));
        out.whole(self.recent.newest_first.len() as u64);
        for bases in &self.recent.newest_first {
            out.doubles(bases);
        }
        out.whole(u64::from(self.standing.is_some()));
        if let Some(standing) = &self.standing {
            out.decision(standing);
        }
        out.0
    }

    /// What was stored; `None` when it is not of this version, or not whole.
    pub(crate) fn restored(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        if from.whole()? != MARK {
            return None;
        }
        let mut sums = || (0..RULES).map(|_| from.finite()).collect::<Option<Vec<f64>>>();
        let (limits, slack, violations, excess, changes) = (sums()?, sums()?, sums()?, sums()?, sums()?);
        let moved = (0..RULES).map(|_| from.flag()).collect::<Option<Vec<bool>>>()?;
        let (weight, price, dear) = (from.finite()?, from.finite()?, from.finite()?);
        let last = Some(from.double()?).filter(|limit| limit.is_finite());
        let open = from.whole()? != 0;
        let count = usize::try_from(from.whole()?).ok()?;
        let most = WINDOWS.iter().copied().max().unwrap_or(1);
        let mut recent = Recent::default();
        for _ in 0..count.min(most) {
            let mut bases = [0.0; BASES];
            for slot in &mut bases {
                *slot = from.finite()?;
            }
            recent.newest_first.push_back(bases);
        }
        let standing = if from.whole()? == 0 {
            None
        } else {
            Some(from.decision()?)
        };
        let whole = count <= most && from.0.is_empty() && price > 0.0;
        whole.then_some(Self {
            books: Books {
                limits,
                moved,
                slack,
                violations,
                excess,
                changes,
                weight,
            },
            recent,
            price,
            standing,
            open,
            last,
            weight: dear,
        })
    }
}

/// Writes numbers, the lowest byte first.
struct Writer(Vec<u8>);

impl Writer {
    fn whole(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn doubles(&mut self, numbers: &[f64]) {
        for number in numbers {
            self.whole(number.to_bits());
        }
    }

    fn standing(&mut self, of: &Standing) {
        let Book {
            slack,
            violations,
            excess,
            changes,
        } = of.book;
        self.whole(of.rule.place() as u64);
        self.doubles(&[of.limit, of.cost, slack, violations, excess, changes]);
    }

    fn decision(&mut self, of: &Decision) {
        self.whole(of.at as u64);
        self.standing(&of.chosen);
        self.standing(&of.runner_up);
        self.doubles(&[of.price_of_violation, of.price_of_change]);
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

    fn flag(&mut self) -> Option<bool> {
        let [byte] = self.take()?;
        (byte <= 1).then_some(byte == 1)
    }

    fn whole(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn double(&mut self) -> Option<f64> {
        self.whole().map(f64::from_bits)
    }

    fn finite(&mut self) -> Option<f64> {
        self.double().filter(|number| number.is_finite())
    }

    fn standing(&mut self) -> Option<Standing> {
        let rule = Rule::at(usize::try_from(self.whole()?).ok()?)?;
        Some(Standing {
            rule,
            limit: self.finite()?,
            cost: self.finite()?,
            book: Book {
                slack: self.finite()?,
                violations: self.finite()?,
                excess: self.finite()?,
                changes: self.finite()?,
            },
        })
    }

    fn decision(&mut self) -> Option<Decision> {
        let at = self.whole()? as i64;
        let (chosen, runner_up) = (self.standing()?, self.standing()?);
        Some(Decision {
            at,
            limit: chosen.limit,
            chosen,
            runner_up,
            price_of_violation: self.finite()?,
            price_of_change: self.finite()?,
        })
    }
}
