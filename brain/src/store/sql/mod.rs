//! What is said to a database, the same to each: this folder is compiled once for every one of them.
//!
//! `super::dialect` tells the types of the driver, and the few words in which databases differ. Tables and columns have
//! the same names everywhere; points in time are milliseconds of the unix clock in SQLite and `timestamptz` in TimescaleDB.

pub(in crate::store) mod archive;
pub(in crate::store) mod books;
pub(in crate::store) mod forecasts;
pub(in crate::store) mod incidents;
pub(in crate::store) mod plans;
pub(in crate::store) mod proposals;
pub(in crate::store) mod prune;
pub(in crate::store) mod read;
pub(in crate::store) mod recover;
pub(in crate::store) mod references;
pub(in crate::store) mod rollups;
pub(in crate::store) mod rows;
pub(in crate::store) mod workloads;
pub(in crate::store) mod write;

#[cfg(test)]
mod tests;
