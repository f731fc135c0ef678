//! The fleet as one Sparkplug B edge node with a device a host, for SCADA systems and historians that speak it.
//!
//! | module | what it does |
//! |---|---|
//! | [`picture`] | what there is to tell, as its owner gives it |
//! | [`payload`] | Sparkplug's protobuf, as far as it is used |
//! | [`node`] | births, deaths and data by exception, in the order and with the numbers that the specification asks for; pure |
//! | `edge` | the connection: a will, a birth at each, and rebirths on command |
//!
//! Specification: Eclipse Sparkplug 3.0, namespace `spBv1.0`. What is not here: templates, data sets, commands to devices,
//! primary hosts.

mod edge;
pub mod node;
pub mod payload;
pub mod picture;

pub use edge::{Config, start};
pub use picture::{Device, Metric, Picture, Source, Value};
