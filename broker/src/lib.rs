//! The MQTT broker of foreshadow: rumqttd's router and packet formats behind a listener of its own.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | where to listen, and every limit |
//! | `listener` | starts, watches and stops all parts in order |
//! | `ports` | TCP, WebSocket and socket file: where connections come from |
//! | `transport`, `tls`, `websocket` | what a connection's bytes travel over |
//! | [`access`] | who gets in, under what name, and what they may do |
//! | `handshake` | the first packet of a connection, with a deadline |
//! | `connection` | one client: its reader, its writer and its place in the exchange |
//! | `packet` | MQTT 3.1.1 and 5 on the wire |
//! | `router` | rumqttd's router as the one ordered log between publishers and subscribers |
//! | `exchange` | who gets what: sessions, wills, `subscriptions`, `shares`, `retained` |
//! | `session`, `pending` | what outlives a connection: subscriptions, messages, packet ids |
//! | `outbox` | what one connection still has to say, bounded |
//! | `durable` | what survives a restart, in a journal |
//! | `upkeep` | what is due each second |
//! | `sys`, `metrics`, `slow` | figures, the `$SYS` tree and `/metrics` that show them, who does not keep up |
//!
//! A message goes connection -> router -> exchange -> outbox -> connection. Why the router's own
//! subscriptions, retained messages and wills are not used: see `router`.
//!
//! # What it does not do (yet)
//! Topic aliases, subscription identifiers and enhanced authentication of MQTT 5 are not offered.
//! Wills end with the process.

pub mod access;
pub mod cli;
pub mod config;
mod connection;
mod durable;
mod error;
mod exchange;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handshake;
mod listener;
mod message;
mod metrics;
mod outbox;
mod owners;
mod packet;
mod password;
mod pending;
mod ports;
mod retained;
mod router;
mod session;
mod shared;
mod shares;
mod slow;
mod subscriptions;
mod sys;
mod tls;
mod transport;
mod upkeep;
mod waiting;
mod websocket;

pub use access::{
    AccessError, Refusal, Refusals, Reload,
    config::{Access, Anonymous},
};
pub use config::{Config, Limits, Tls, WebSocket};
pub use durable::Fsync;
pub use error::BrokerError;
pub use listener::{Handle, start};
pub use sys::Figures;
pub use tls::TlsError;
