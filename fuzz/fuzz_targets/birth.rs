//! Births.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shadow::wire::{decode_birth, encode_birth};

fuzz_target!(|bytes: &[u8]| limits::round_trip(bytes, decode_birth, encode_birth));
