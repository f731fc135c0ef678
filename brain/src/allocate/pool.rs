//! What can be given: accounts that always add up.

use serde::Serialize;
use shadow::Resource;

/// One account of the pool: a resource of a host, or of the cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account {
    /// The host; `None` is the cell, whose accounts bound all hosts together.
    pub host: Option<String>,
    /// Of what.
    pub resource: Resource,
    /// What there is at most, in cores, bytes, bytes/s or watts.
    pub capacity: f64,
    /// What is reserved of it.
    pub reserved: f64,
    /// Requests that wait for it.
    pub queued: u32,
}

impl Account {
    /// What is not reserved, 0 or more.
    pub fn free(&self) -> f64 {
        (self.capacity - self.reserved).max(0.0)
    }
}
