//! The brain of foreshadow: it takes in the shadows of a cell's hosts, keeps them, forecasts what each host
//! will need, says what is unusual, and recommends allocations before the bottleneck.
//!
//! [`start`] gives a [`Handle`]. Inside, one task ([`run`]) owns one [`engine`], which takes one event at a
//! time; every step is a plain function.
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`], [`config`], `handle` | how the brain is started, set and held |
//! | `run` | the loop: bus, store, page and clock around the engine |
//! | `present` | what time it is, where clocks disagree |
//! | `engine` | the state and its steps, without a clock, a socket or a file |
//! | `ingest` | births and frames: new, doubled, late, missing, not readable |
//! | `fleet` | which hosts live, how stale, what their newest sample says |
//! | `journal` | the newest events |
//! | `grid`, `store::memory` | readings averaged onto rows; the recent past in memory |
//! | `past` | memory and the durable past, for page and training |
//! | `store` | what is durable; SQLite or TimescaleDB, batches, retention |
//! | [`history`], [`archive`] | what a store holds, read beside its brain |
//! | `foresight`, `learning` | rows to forecasts; training in a thread of its own |
//! | `quality` | how good forecasts were lately |
//! | `watch` | what is unusual on a host, by all that is known of it: incidents |
//! | [`allocate`], [`policy`] | forecasts and pool to a plan; what rules it |
//! | `dispatch`, [`feedback`] | plan to commands; outcomes to margins |
//! | [`snapshot`], `view`, [`page`] | the picture after every tick; MQTT views; HTTP |
//! | [`intake`] | the way in, for benchmarks |
//! | `alerting`, `scada` | the picture for those who are told of incidents, and as a Sparkplug B edge node |
//! | `metrics` | the brain's own figures |

mod alerting;
pub mod allocate;
pub mod cli;
pub mod config;
mod dispatch;
mod engine;
mod error;
pub mod feedback;
mod fleet;
mod foresight;
mod grid;
mod handle;
pub mod history;
mod ingest;
pub mod intake;
mod journal;
mod learning;
mod limits;
mod metrics;
pub mod page;
mod past;
pub mod policy;
mod present;
mod quality;
mod run;
mod scada;
mod skew;
pub mod snapshot;
#[expect(clippy::duplicate_mod, reason = "statements are compiled once for each database")]
mod store;
#[cfg(test)]
mod testing;
mod view;
mod watch;

pub use config::{Config, Ticks};
pub use dispatch::{Freeze, FreezeSwitch, Verdict};
pub use error::Error;
pub use handle::{Handle, policy_of, start};
pub use store::{StoreError, archive, backup, memory::columns::Columns};
