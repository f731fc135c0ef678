//! Management controllers (BMCs): what they are asked, and what their answers mean.
//!
//! | module | what it does |
//! |---|---|
//! | [`watch`] | what probes take over; starts the worker |
//! | `worker` | its own thread: asks, waits, gives sensors up for a while, begins anew |
//! | `events` | states that changed, as findings |
//! | [`client`] | the commands, as functions of any transport |
//! | [`session`] | transports: `/dev/ipmi0` and RMCP+ over UDP, through ipmi-rs |
//! | `timing` | how long it takes for each command |
//! | [`credentials`] | the password, and who may read it |
//! | [`sdr`] [`factors`] [`mod@unit`] [`reading`] | sensors and their values |
//! | [`sel`] [`words`] | the event log, and what states are called |
//! | [`device`] [`fru`] [`dcmi`] | identity, names, power |
//!
//! The decoders are pure. BMCs are slow, hang and answer late: nothing here runs on the sampling path.
//! Sources: IPMI 2.0 (rev. 1.1 with errata 7), DCMI 1.5, FRU Information Storage Definition 1.0.

use shadow::Severity;

pub mod client;
pub mod credentials;
pub mod dcmi;
pub mod device;
pub mod error;
pub mod factors;
pub mod fru;
pub mod reading;
pub mod sdr;
pub mod sel;
pub mod session;
pub mod unit;
pub mod watch;
pub mod words;

mod bytes;
mod events;
mod quarantine;
mod text;
mod timing;
mod worker;

pub use error::BmcError;
pub use timing::CommandTime;
pub use watch::Watch;

/// The source that findings of a BMC name.
pub(crate) const SOURCE: &str = "bmc";

/// How bad a crossed threshold is.
const fn severity(threshold: reading::Threshold) -> Severity {
    use reading::Threshold::{LowerNonCritical, UpperNonCritical};
    match threshold {
        LowerNonCritical | UpperNonCritical => Severity::Warning,
        _ => Severity::Critical,
    }
}
