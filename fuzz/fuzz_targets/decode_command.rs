//! Commands, and what else brain and agent tell each other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shadow::wire::{
    decode_command, decode_hole, decode_outcome, decode_watermark, encode_command, encode_hole, encode_outcome,
    encode_watermark,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(command) = decode_command(bytes) {
        assert_eq!(decode_command(&encode_command(&command)), Ok(command));
    }
    if let Ok(outcome) = decode_outcome(bytes) {
        assert_eq!(decode_outcome(&encode_outcome(&outcome)), Ok(outcome));
    }
    if let Ok(hole) = decode_hole(bytes) {
        assert_eq!(decode_hole(&encode_hole(&hole)), Ok(hole));
    }
    if let Ok(watermark) = decode_watermark(bytes) {
        assert_eq!(decode_watermark(&encode_watermark(&watermark)), Ok(watermark));
    }
});
