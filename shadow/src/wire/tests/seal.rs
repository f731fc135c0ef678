//! Seals are found where they belong and nowhere else, and who knows nothing of them reads on.

use super::*;

fn sealed(message: &[u8]) -> Vec<u8> {
    let mut bytes = message.to_vec();
    push_certificate(&mut bytes, b"certificate");
    push_signature(&mut bytes, &[7; SIGNATURE_BYTES]);
    bytes
}

fn field(number: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint((number << 3) | 2, &mut bytes);
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend(content);
    bytes
}

#[test]
fn a_sealed_message_reads_as_it_did_before() {
    let bytes = encode_command(&command());
    let with = sealed(&bytes);
    assert_eq!(split_seal("command", &bytes), Ok(None));
    let seal = split_seal("command", &with).unwrap().unwrap();
    assert_eq!(seal.certificate, b"certificate");
    assert_eq!(seal.signature, &[7; SIGNATURE_BYTES]);
    assert_eq!(seal.signed, &with[..with.len() - 3 - SIGNATURE_BYTES]);
    assert!(seal.signed.starts_with(&bytes));
    assert_eq!(decode_command(&with), Ok(command()));
    assert_eq!(decode_birth(&sealed(&encode_birth(&birth()))), Ok(birth()));
    let told = outcome(OutcomeState::Failed);
    assert_eq!(decode_outcome(&sealed(&encode_outcome(&told))), Ok(told));
}

#[test]
fn a_seal_that_is_not_whole_or_not_at_the_end_is_refused() {
    let body = encode_command(&command());
    let (certificate, signature) = (field(100, b"c"), field(101, &[7; 64]));
    let check = |parts: &[&[u8]], expected: &str| {
        let error = split_seal("command", &parts.concat()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?}, not {expected:?}");
    };
    check(&[&body, &certificate], "no signature stands behind it");
    check(&[&body, &signature], "no certificate stands before it");
    check(&[&body, &certificate, &certificate, &signature], "there are two");
    check(&[&body, &certificate, &signature, &signature], "not the last field");
    check(&[&body, &certificate, &signature, &body], "not the last field");
    check(
        &[&body, &certificate, &body, &signature],
        "does not stand before the signature",
    );
    check(&[&body, &field(100, b""), &signature], "1 to 4096 bytes");
    check(
        &[&body, &field(100, &[0; MAX_CERTIFICATE_BYTES + 1]), &signature],
        "1 to 4096 bytes",
    );
    check(&[&body, &certificate, &field(101, &[7; 63])], "64 bytes");
    // A number in place of bytes.
    check(&[&body, &[0xa0, 0x06, 1], &signature], "1 to 4096 bytes");
    check(&[&body, &certificate, &[0xa8, 0x06, 1]], "64 bytes");
    let whole = [&*body, &certificate, &signature].concat();
    for end in body.len() + 1..whole.len() {
        assert!(split_seal("command", &whole[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_command_with_a_critical_field_that_is_not_known_is_refused() {
    let within = |number: u64, level: usize| {
        let inner = field(number, b"x");
        let change = || encode_changes(&inner, level);
        match level {
            0 => [encode_command(&command()), inner].concat(),
            _ => [encode_command(&command()), change()].concat(),
        }
    };
    for level in 0..5 {
        for number in [if level == 0 { 65 } else { 64 }, 80, 99] {
            let error = decode_command(&within(number, level)).unwrap_err().to_string();
            assert!(
                error.contains(&format!("field {number}: it changes what is meant")),
                "{level}: {error}"
            );
        }
        for number in [63, 102, 1_000] {
            assert!(decode_command(&within(number, level)).is_ok(), "{level}: {number}");
        }
    }
}

/// A change or an action with `inner` in it, or in its explanation.
fn encode_changes(inner: &[u8], level: usize) -> Vec<u8> {
    if level > 2 {
        let action = if level == 3 { inner.to_vec() } else { field(4, inner) };
        return field(64, &[&[0x08, 1], &*action].concat());
    }
    let mut change = field(1, b"web");
    change.extend([0x10, 1]);
    change.extend(if level == 1 { inner.to_vec() } else { field(5, inner) });
    field(8, &change)
}

#[test]
fn a_signature_stands_alone_at_the_end() {
    let message = encode_hole(&crate::Hole {
        epoch: 9,
        first: 1,
        end: 2,
    });
    assert_eq!(split_signature("hole", &message), Ok(None));
    let mut signed = message.clone();
    push_signature(&mut signed, &[7; SIGNATURE_BYTES]);
    let found = split_signature("hole", &signed).unwrap().unwrap();
    assert_eq!((found.signed, found.signature), (&*message, &[7; SIGNATURE_BYTES]));
    assert_eq!(signed.len(), message.len() + 67, "as docs/wire-format.md has it");
    assert_eq!(signed[message.len()..][..3], [0xaa, 0x06, 0x40]);
    assert!(decode_hole(&signed).is_ok(), "who knows nothing of it reads on");
    assert!(split_seal("hole", &signed).is_err());
    let behind = [signed.clone(), message.clone()].concat();
    assert!(split_signature("hole", &behind).is_err());
    let mut sealed = message;
    push_certificate(&mut sealed, b"c");
    push_signature(&mut sealed, &[7; SIGNATURE_BYTES]);
    assert!(split_signature("hole", &sealed).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_the_search_for_a_seal_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _unread = split_seal("birth", &bytes);
        let mut message = bytes;
        push_certificate(&mut message, b"c");
        push_signature(&mut message, &[1; SIGNATURE_BYTES]);
        if let Ok(Some(seal)) = split_seal("birth", &message) {
            prop_assert_eq!(seal.certificate, b"c");
        }
    }
}
