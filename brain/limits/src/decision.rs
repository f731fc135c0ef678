//! What was decided for a series, and why, in words and in money.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{books::Book, rule::Rule};

/// A rule as it stands for a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Which.
    pub rule: Rule,
    /// Its limit, as a share of the capacity.
    pub limit: f64,
    /// What an interval costs with it, by its own books and the fleet's, in shares of the capacity.
    pub cost: f64,
    /// Its own books.
    pub book: Book,
}

/// A limit, and why it is this one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The interval that it is for.
    pub at: i64,
    /// The limit, as a share of the capacity.
    pub limit: f64,
    /// How many rules' limits it is the mean of: 1 where a change has a price.
    pub averaged: u16,
    /// The rule that sets it, or the one in use among these.
    pub chosen: Standing,
    /// The cheapest other rule.
    pub runner_up: Standing,
    /// What an interval costs all of whose samples are violated, in shares of the capacity.
    pub price_of_violation: f64,
    /// What a move of the limit costs, likewise.
    pub price_of_change: f64,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            limit,
            cost,
            book,
        } = self;
        write!(
            f,
            "{rule}: {:.1} %, costs {cost:.4} an interval (here {:.4} of slack, {:.2} % of samples violated by {:.4} on average, {:.3} \
             changes)",
            limit * 100.0,
            book.slack,
            book.violations * 100.0,
            if book.violations > 0.0 {
                book.excess / book.violations
            } else {
                0.0
            },
            book.changes
        )
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let saves = (self.runner_up.limit - self.limit) * 100.0;
        if self.averaged > 1 {
            let limit = 100.0 * self.limit;
            write!(
                f,
                "{limit:.1} %, the mean of {} rules that cost nearly as little as ",
                self.averaged
            )?;
        }
        write!(
            f,
            "{}; a violated interval is priced at {:.2}, a change at {:.3}; the next best, {}, would set {:.1} points {}",
            self.chosen,
            self.price_of_violation,
            self.price_of_change,
            self.runner_up,
            saves.abs(),
            if saves >= 0.0 { "more" } else { "less" }
        )
    }
}
