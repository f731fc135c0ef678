//! Where a message ends and its seal begins: what is found is written as the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shadow::wire::{push_certificate, push_signature, split_seal};

fuzz_target!(|bytes: &[u8]| limits::in_time(|| {
    let Ok(Some(seal)) = split_seal("command", bytes) else { return };
    let mut signed = seal.signed.to_vec();
    push_signature(&mut signed, seal.signature);
    let again = split_seal("command", &signed);
    assert_eq!(again, Ok(Some(seal)));
    // A certificate more makes two, wherever it is put.
    push_certificate(&mut signed, seal.certificate);
    assert!(split_seal("command", &signed).is_err());
}));
