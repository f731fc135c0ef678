//! Births.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shadow::wire::{decode_birth, encode_birth};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(birth) = decode_birth(bytes) {
        assert_eq!(decode_birth(&encode_birth(&birth)), Ok(birth));
    }
});
