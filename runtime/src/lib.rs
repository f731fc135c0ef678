//! What every foreshadow process needs, and nothing of what it does.
//!
//! | module | what it gives |
//! |---|---|
//! | [`clock`] | time, injected: the system's, or one that a lab or a test sets |
//! | [`shutdown`] | one signal to end, with a reason, for every task |
//! | [`bar`] | how far long work is, for who watches it on a terminal |
//! | [`config`] | TOML files into checked types; faults name file, line and key |
//! | [`span`] | durations as people write them: `100ms`, `5m` |
//! | [`logging`] | `tracing` to standard error, and a limit for noisy sites |
//! | [`trail`] | events of the target `audit`, for whoever keeps them |
//! | [`output`] | standard output, whose reader may be gone |
//! | [`private`] | files of secrets, and who could get at them |
//! | [`prompt`] | passwords, typed without being shown |
//! | [`process`] | arguments to an exit code |
//! | [`metrics`] | counters and gauges in the Prometheus text form |
//! | [`health`] | a server of this machine, asked whether it does its work |
//! | [`usage`] | what this process takes of its machine |

pub mod bar;
pub mod clock;
pub mod config;
pub mod health;
pub mod logging;
pub mod metrics;
pub mod output;
pub mod private;
pub mod process;
pub mod prompt;
pub mod shutdown;
pub mod span;
pub mod trail;
pub mod usage;

pub use clock::Clock;
pub use config::{ConfigError, Faults, Validate};
pub use logging::{LogBudget, LogLimit};
pub use metrics::Metrics;
pub use output::OutputError;
pub use shutdown::Shutdown;
pub use span::Span;
pub use usage::Usage;
