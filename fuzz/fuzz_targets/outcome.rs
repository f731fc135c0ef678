//! Outcomes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shadow::wire::{decode_outcome, encode_outcome};

fuzz_target!(|bytes: &[u8]| limits::round_trip(bytes, decode_outcome, encode_outcome));
