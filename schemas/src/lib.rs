//! The wire schemas of foreshadow as Rust types, generated from `proto/` and checked in.
//!
//! Field numbers are never reused and readers ignore unknown fields. `tests/regenerate.rs` fails when
//! [`v1`] is older than the `.proto` files, and writes it anew when `REGENERATE=1` is set.

/// Package `foreshadow.v1`.
#[allow(
    missing_docs,
    clippy::pedantic,
    reason = "generated code; its documentation stands in the .proto files"
)]
pub mod v1 {
    include!("gen/foreshadow.v1.rs");
}

pub use prost::{DecodeError, Message, bytes::Bytes};
