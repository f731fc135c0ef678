//! Topics and the MQTT client of foreshadow: moves bytes and knows nothing of what they say.
//!
//! | module | what it holds |
//! |---|---|
//! | [`broker`] | how the broker is reached, and as whom |
//! | [`tls`] | encryption on the way to it |
//! | [`topics`] | where each message goes, and what a topic names |
//! | [`client`] | publish and receive: reconnects, resubscribes, bounded queues |
//! | [`backoff`] | how long to wait before the next attempt |
//!
//! MQTT 3.1.1, which every broker speaks. Delivery is at least once while a connection lives; nothing here
//! is durable, which is what watermarks are for.

pub mod backoff;
pub mod broker;
pub mod client;
mod connection;
mod error;
pub mod tls;
pub mod topics;

pub use backoff::Backoff;
pub use broker::{Broker, CredentialError};
pub use client::{Client, Config, Event, Qos, Will, connect};
pub use error::{BusError, TopicError};
pub use tls::Tls;
pub use topics::{Address, Kind, Topics};
