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

mod backtest;
mod bad_input;
#[path = "../../agent/tests/bmc/lab.rs"]
#[allow(dead_code, reason = "the agent's own tests ask it for more")]
mod bmc_lab;
mod consent;
mod dashboards;
mod database;
mod detect;
mod docs;
mod edge_vm;
mod embedded;
mod enrolment;
mod fleet;
mod full_disk;
mod grafana;
mod guest;
mod harness;
mod history;
mod hostile;
mod http;
mod inspect;
mod kcs;
mod kcs_proxy;
mod lab;
mod latency;
mod levers;
mod login;
mod loop_alive;
mod metrics;
mod mosquitto_tls;
mod next_steps;
mod observer;
mod older;
mod out_of_band;
mod outages;
mod packaged;
mod policy;
mod ports;
mod prometheus;
mod provisioned;
mod proxy;
mod rotation;
mod secure_a_fleet;
mod seen;
mod simulate;
mod sparkplug;
mod stack;
mod terminal;
mod timescale;
#[path = "../../brain/src/store/timescale/tests/outages/server.rs"]
#[allow(dead_code, reason = "the brain's own tests ask it for more")]
mod timescale_server;
mod topics;
mod views;
