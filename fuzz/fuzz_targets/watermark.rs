//! Watermarks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shadow::wire::{decode_watermark, encode_watermark};

fuzz_target!(|bytes: &[u8]| limits::round_trip(bytes, decode_watermark, encode_watermark));
