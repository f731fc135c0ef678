//! Commands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shadow::wire::{decode_command, encode_command};

fuzz_target!(|bytes: &[u8]| limits::round_trip(bytes, decode_command, encode_command));
