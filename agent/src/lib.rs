//! The light agent of foreshadow: reads a host, tells the brain, and answers its commands.
//!
//! Sample: [`probe`] -> `sampler` ([`pace`]) -> [`publish`] (block -> frame -> `spool`) -> broker.
//! Command: broker -> `receive` -> [`guard`] -> [`act`] -> outcome.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | what an operator may set |
//! | [`probe`] | reads one kind of source each |
//! | [`publish`] | samples to the broker; usable without probes |
//! | [`guard`] | whether a command may be carried out |
//! | [`act`] | carries it out, or tells what it would do |
//! | [`status`] | what the agent tells of itself |
//! | [`record`] | writes samples into a trace CSV |
//! | [`cli`] | the command line |

pub mod act;
pub mod cli;
pub mod config;
pub mod error;
pub mod guard;
pub mod probe;
pub mod publish;
pub mod record;
pub mod status;

mod pattern;
mod receive;
mod spool;
