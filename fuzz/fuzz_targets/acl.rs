//! Lists of rules, and what is decided by them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| limits::in_time(|| {
    broker::fuzzing::acl(&String::from_utf8_lossy(bytes));
}));
