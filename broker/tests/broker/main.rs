//! The broker over real sockets: with rumqttc, with raw bytes, with mosquitto's own clients and with
//! foreshadow's bus.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and says why it stepped aside"
)]

mod attacks;
mod bounds;
mod bus_client;
mod delivery;
mod floods;
mod full_disk;
mod goodbyes;
mod harness;
mod interop;
mod lifecycle;
mod login;
mod memory;
mod metrics;
mod mosquitto;
mod pki;
#[path = "../../../tests/e2e/ports.rs"]
mod ports;
mod raw;
mod reload;
mod robustness;
mod roles;
mod stop;
mod tls;
mod transports;
mod twelve;
