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
//! | `exchange` | who gets what: clients, wills, `subscriptions`, `retained` |
//! | `outbox` | what one client still has to get, bounded |
//! | `sys`, `metrics`, `slow` | figures, the `$SYS` tree and `/metrics` that show them, who does not keep up |
//!
//! A message goes connection -> router -> exchange -> outbox -> connection. Why the router's own
//! subscriptions, retained messages and wills are not used: see `router`.
//!
//! # What it does not do (yet)
//! Nothing on disk: retained messages end with the process. Sessions end with
//! their connection. QoS 2 is taken from publishers and delivered at QoS 1. Shared subscriptions are
//! refused. Properties of MQTT 5 are read and not passed on.

pub mod access;
pub mod cli;
pub mod config;
mod connection;
mod error;
mod exchange;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handshake;
mod listener;
mod message;
mod metrics;
mod outbox;
mod packet;
mod password;
mod ports;
mod retained;
mod router;
mod shared;
mod slow;
mod subscriptions;
mod sys;
mod tls;
mod transport;
mod websocket;

pub use access::{
    AccessError, Refusal, Refusals, Reload,
    config::{Access, Anonymous},
};
pub use config::{Config, Limits, Tls, WebSocket};
pub use error::BrokerError;
pub use listener::{Handle, start};
pub use sys::Figures;
pub use tls::TlsError;
