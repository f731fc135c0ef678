//! End to end: real processes on loopback, each on ports and in folders of its own.

mod bad_input;
mod database;
mod harness;
mod lab;
mod loop_alive;
mod observer;
mod outages;
mod stack;
mod views;
