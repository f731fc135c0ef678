//! Events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shadow::wire::{decode_event, encode_event};

fuzz_target!(|bytes: &[u8]| limits::round_trip(bytes, decode_event, encode_event));
