//! End to end: real processes on loopback, each on ports and in folders of its own.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::pedantic,
    reason = "a test that meets what it does not expect is to fail there and then"
)]

mod bad_input;
mod database;
mod edge_vm;
mod harness;
mod lab;
mod loop_alive;
mod observer;
mod outages;
mod stack;
mod views;
