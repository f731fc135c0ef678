//! Anomalies: states that a series, or a host, was never in before, and how rare that is for it.
//!
//! One idea carries it: remember the states that something has been in; alarm when it enters one that is far from all of
//! them, and when such a distance is rare for this very series. Nothing is trained, no season and no range is known
//! beforehand. Everything is pure and goes row by row: what is told of a row hangs on this row and those before it.
//!
//! | file | what it does |
//! |---|---|
//! | `series.rs` | one series: spread, means, memory, tail and incident in a row |
//! | `host.rs` | one host: a memory for all its metrics together |
//! | `season.rs` | what a series does each day at this hour |
//! | `spread.rs` | how far its values usually lie apart |
//! | `means.rs` | level now, level lately, slow trend |
//! | `memory.rs` | the states it has been in: how far is this one from all of them? |
//! | `tail.rs` | how rare is such a distance? |
//! | `quiet.rs` | one alarm an incident |
//! | `residual.rs` | values that leave their forecast: how rare is that for this series? |
//! | `diagnostics.rs` | events of a host by their severity and their rate |
//! | `incident.rs` | signals of a host that belong together: one incident, with its likely cause |
//! | `stored.rs` | how a detector outlives its process |
//! | `table.rs` | a CSV of one series in, the same with scores out |

mod diagnostics;
mod host;
mod incident;
mod means;
mod memory;
mod quiet;
pub mod residual;
mod season;
mod series;
mod spread;
mod stored;
pub mod table;
mod tail;

pub use diagnostics::Diagnostics;
pub use host::{Apart, HostDetector, HostJudged};
pub use incident::{Acknowledged, Incident, Incidents, Kind, Phase, Signal};
pub use series::{ALARM, FULL, Judged, SeriesDetector};
pub use tail::{BLOCK, Tail};
