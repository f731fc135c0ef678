//! The MQTT broker of foreshadow: rumqttd's router and packet formats behind a listener of its own.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | where to listen, and every limit |
//! | `listener` | accepts connections, stops in order |
//! | `transport`, `tls` | what a connection's bytes travel over |
//! | `handshake` | the first packet of a connection, with a deadline |
//! | `connection` | one client: its reader, its writer and its place in the exchange |
//! | `packet` | MQTT 3.1.1 and 5 on the wire |
//! | `router` | rumqttd's router as the one ordered log between publishers and subscribers |
//! | `exchange` | who gets what: sessions, wills, `subscriptions`, `shares`, `retained` |
//! | `session`, `pending` | what outlives a connection: subscriptions, messages, packet ids |
//! | `outbox` | what one connection still has to say, bounded |
//! | `durable` | what survives a restart, in a journal |
//! | `upkeep` | what is due each second |
//! | `sys` | figures, and the `$SYS` tree that shows them |
//!
//! A message goes connection -> router -> exchange -> outbox -> connection. Why the router's own
//! subscriptions, retained messages and wills are not used: see `router`.
//!
//! # What it does not do (yet)
//! No access control. Topic aliases, subscription identifiers and enhanced authentication of MQTT 5 are not offered.
//! Wills end with the process.

pub mod cli;
pub mod config;
mod connection;
mod durable;
mod error;
mod exchange;
mod handshake;
mod listener;
mod message;
mod outbox;
mod packet;
mod pending;
mod retained;
mod router;
mod session;
mod shared;
mod shares;
mod subscriptions;
mod sys;
mod tls;
mod transport;
mod upkeep;

pub use config::{Config, Limits, Tls};
pub use durable::Fsync;
pub use error::BrokerError;
pub use listener::{Handle, start};
pub use sys::Figures;
pub use tls::TlsError;
