//! The light agent of foreshadow: reads a host, tells the brain, and answers its commands.
//!
//! Sample: [`probe`] -> `sampler` ([`pace`]) -> [`publish`] (block -> frame -> `spool`) -> broker.
//! Command: broker -> `receive` -> [`guard`] -> [`act`] -> outcome.
//!
//! | module | what it does |
//! |---|---|
//! | [`start`] | this machine's agent: everything below, put together |
//! | [`replay`] | the same without probes, for hosts of a lab |
//! | [`config`] | what an operator may set |
//! | [`probe`] | reads one kind of source each |
//! | [`bmc`] | asks the host's BMC, in a thread of its own |
//! | [`pace`] | when to take the next sample |
//! | `sampler` | the loop: probes to publisher |
//! | `timeline` | times that only rise, whatever the clock does |
//! | `inventory` | what the host is and could give |
//! | [`publish`] | samples to the broker |
//! | `flood` | how many events are told |
//! | `spool` | frames and events that are not durable yet |
//! | `receive` | watermarks and commands |
//! | `fence` | which command was obeyed last, over a restart |
//! | `healthy` | whether an agent is connected to its broker |
//! | `refusals` | how much is made of commands that nobody vouches for |
//! | [`guard`] | whether a command may be carried out |
//! | [`act`] | carries it out, or tells what it would do |
//! | [`status`] | what the agent tells of itself |
//! | [`doctor`] | what every source tells here, and what is missing |
//! | [`record`] | writes samples into a trace CSV |
//! | [`cli`] | the command line |

pub mod act;
pub mod bmc;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod error;
pub mod guard;
pub mod pace;
pub mod probe;
pub mod processes;
pub mod publish;
pub mod record;
pub mod replay;
pub mod status;

mod agent;
mod fence;
mod flood;
mod healthy;
mod inventory;
mod pattern;
mod receive;
mod refusals;
mod sampler;
mod spool;
mod timeline;

pub use agent::{Handle, start};
pub use config::Config;
pub use error::AgentError;
