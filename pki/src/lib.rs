//! The authority of a cell: what it issues, revokes and rotates, and how hosts enrol.
//!
//! | module | what it does |
//! |---|---|
//! | [`subject`] | whom a certificate is for, and the names that it has |
//! | [`lifetime`] | how long things are good, and why so long |
//! | [`issue`] | certificates, requests and lists of revoked ones, from their parts: pure |
//! | [`index`] | everything that an authority has issued |
//! | [`folder`] | the folder that it is kept in: one change at a time, whole or not at all |
//! | [`authority`] | what is done with it: issue, renew, revoke, rotate |
//! | [`bundle`] | what a part is given, as a folder of four files |
//! | [`token`] | one-time words that let a host enrol |
//! | [`enrol`] | enrolment over TLS: its server and its client |
//! | [`mosquitto`] | the roles as mosquitto's access control list |
//!
//! The key of an authority is read for the moment of a signature, from a folder that may lie on a medium of its own.

pub mod authority;
pub mod bundle;
pub mod enrol;
pub mod error;
pub mod folder;
pub mod index;
pub mod issue;
pub mod lifetime;
pub mod mosquitto;
pub mod subject;
pub mod token;

#[cfg(test)]
mod tests;

pub use authority::Authority;
pub use error::PkiError;
pub use index::{Index, Issued};
pub use subject::{Stream, Subject};
pub use token::Token;
