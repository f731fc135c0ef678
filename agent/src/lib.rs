//! The light agent of foreshadow.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | what an operator may set |
//! | [`probe`] | reads one kind of source each |
//! | [`record`] | writes samples into a trace CSV |
//! | [`cli`] | the command line |

pub mod cli;
pub mod config;
pub mod error;
pub mod probe;
pub mod record;
