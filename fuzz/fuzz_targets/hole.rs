//! Holes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shadow::wire::{decode_hole, encode_hole};

fuzz_target!(|bytes: &[u8]| limits::round_trip(bytes, decode_hole, encode_hole));
