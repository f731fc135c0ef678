//! Captures: what is read of one is written again to the byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shadow::capture::{Reader, begin};

fuzz_target!(|bytes: &[u8]| limits::in_time(|| {
    let Ok(reader) = Reader::new(bytes) else { return };
    let mut written = Vec::new();
    begin(&mut written).expect("memory takes it");
    for message in reader.map_while(Result::ok) {
        message.write(&mut written).expect("what was read can be written");
    }
    assert!(bytes.starts_with(&written));
}));
