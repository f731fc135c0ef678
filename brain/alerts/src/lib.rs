//! Tells people of incidents: by webhook, through an Alertmanager, by mail.
//!
//! Each receiver has a [`desk::Desk`], which knows what it was told and says what it is owed: what began, became graver,
//! goes on without anybody's notice, or ended. What is owed at a time goes out as one message. What cannot be delivered
//! stays owed: it is tried again, later and later, and then told as things stand then. What was told is kept in a file, so
//! that a restart neither repeats nor forgets it.

pub mod config;
mod deliver;
mod desk;
mod incident;
mod memory;
mod message;
mod receiver;

pub use config::Config;
pub use incident::{Incident, Source};
pub use receiver::{Count, Counted, start};
