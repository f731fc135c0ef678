//! The domain of foreshadow, pure: no clock, no socket, no file, no thread.
//!
//! A host casts a *shadow*: [`Sample`]s of its [`Metric`]s, encoded into [`Frame`]s that are read with
//! the [`Birth`] they belong to. From shadows come [`Forecast`]s of its [`Resource`]s, from these
//! [`Command`]s, and from these [`Outcome`]s.
//!
//! | module | what it holds |
//! |---|---|
//! | [`name`] | host names, cells and vantages, checked |
//! | [`resource`] | the five resources, and the channels that they are made of |
//! | [`metric`] | which quantities exist, and how far their values may be off |
//! | [`sample`] | readings, and why one is missing |
//! | [`rate`] | counters to rates: wraps, resets, gaps |
//! | [`birth`] | what an agent tells of its host before its first frame |
//! | [`event`] | what a register, a log or a sensor told |
//! | [`frame`] | samples of one interval, and how they are encoded ([`codec`]) |
//! | [`watermark`] | what is durable, missing, not readable, and lost for good |
//! | [`forecast`] | quantiles by resource and horizon |
//! | [`command`] | changes of allocations, their reasons and outcomes |
//! | [`capture`] | messages in a file, as they went over the broker |
//! | [`wire`] | the one place where domain types become protobuf bytes and back |

pub mod birth;
pub mod capture;
pub mod codec;
pub mod command;
pub mod event;
pub mod forecast;
pub mod frame;
pub mod metric;
pub mod name;
pub mod rate;
pub mod resource;
pub mod sample;
pub mod watermark;
pub mod wire;

pub use birth::{Birth, Bmc, Capacity, HOST_WORKLOAD, Inventory, PciDevice, Processor, Source, SourceState, Workload};
pub use command::{
    Action, ActionKind, ActionOutcome, Change, ChangeOutcome, Command, Effect, Explanation, LEASE, Outcome,
    OutcomeState,
};
pub use event::{Event, Finding, Severity};
pub use forecast::{Forecast, PEAK_QUANTILES, Peak, QUANTILES, Quantiles, Rung, Shares};
pub use frame::{Block, Frame};
pub use metric::{Bound, Catalogue, Grain, Metric};
pub use name::{NameError, Vantage, check_name};
pub use resource::{Channel, Resource};
pub use sample::{Missing, Reading, Sample};
pub use watermark::{EpochMark, Hole, Watermark};
pub use wire::WireError;

/// Milliseconds of the unix clock.
pub type UnixMs = i64;
