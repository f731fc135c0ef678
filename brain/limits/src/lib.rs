//! Limits from forecasts of the peak, with few changes, explained in money.
//!
//! No rule is best for all hosts: one wants a tall margin on a short forecast, another the plain median held for an hour. So
//! every series keeps a table of simple rules, lets each of them run on paper, and uses the one that would have cost least in
//! its own recent past, helped by the fleet's while its own is short. Cost is slack + price of a violation x violations +
//! price of a change x changes. Both prices move until the fleet meets its targets: a share of violations and a number of
//! changes. Violations then go where avoiding them is dearest, and changes where they save most.
//!
//! ```
//! use limits::{Asked, Fleet, Needs, Settings, Used};
//!
//! let mut fleet = Fleet::new(Settings::default())?;
//! for interval in 0..600 {
//!     // The forecast knows that each third interval is a busy one.
//!     let high = if interval % 3 == 0 { 0.8 } else { 0.2 };
//!     let needs = Needs { peaks: [[high; 6], [0.8; 6], [0.8; 6]], last: 0.5 };
//!     let asked = Asked { host: "web-1", needs, lowest: 0.01, highest: 1.0, weight: 1.0 };
//!     fleet.decide(interval, &[asked]);
//!     fleet.observe(interval, &[Used { host: "web-1", samples: &[0.9 * high] }]);
//! }
//! let decision = fleet.standing("web-1").ok_or("nothing was decided")?;
//! assert!(decision.limit >= 0.2 && decision.chosen.book.violations < 0.01, "{decision}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate is pure: no clock, no file, no thread, nothing random. A decision hangs on the past alone. A series takes some
//! 20 KB whatever its past: five numbers for each of 342 rules, and the needs of three hours.
//!
//! | file | what it holds |
//! |---|---|
//! | `rule.rs` | the table of rules and their names |
//! | `need.rs` | what is expected, and the largest of it within windows |
//! | `books.rs` | what each rule's limit is and what it has cost |
//! | `sums.rs` | sums of what rules have cost, and their price |
//! | `react.rs` | what an agent does by itself within an interval |
//! | `prices.rs` | prices that move until targets are met |
//! | `series.rs` | one series: which rule it uses |
//! | `fleet.rs` | one resource of many hosts |
//! | `decision.rs` | a limit and why it is this one, in words |
//! | `settings.rs` | what a fleet is held to |
//! | `stored.rs` | a series as bytes |

mod books;
mod decision;
mod fleet;
mod need;
mod prices;
mod react;
mod rule;
mod series;
mod settings;
mod stored;
mod sums;

pub use books::Book;
pub use decision::{Decision, Standing};
pub use fleet::{Asked, Fleet, Used};
pub use need::Needs;
pub use prices::Prices;
pub use react::path;
pub use rule::{HOLDS_MIN, QUANTILES, RULES, Rule};
pub use settings::{Fault, Settings};

#[cfg(test)]
mod tests;
