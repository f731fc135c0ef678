//! Messages of a newer writer: fields that are not known here are ignored at every level, enum values are refused.

use prost::encoding::{decode_varint as take, encode_varint as varint};

use super::*;

/// The fields of a message that are messages, and theirs.
struct Inner(&'static [(u64, Inner)]);

const LEAF: Inner = Inner(&[]);
const BIRTH: Inner = Inner(&[
    (4, Inner(&[(4, LEAF)])),
    (5, LEAF),
    (6, LEAF),
    (
        7,
        Inner(&[
            (4, Inner(&[(16, LEAF), (17, LEAF), (18, LEAF), (19, LEAF)])),
            (7, LEAF),
            (8, LEAF),
        ]),
    ),
    (8, LEAF),
]);
const EVENT: Inner = Inner(&[(9, LEAF)]);
const WATERMARK: Inner = Inner(&[(1, Inner(&[(3, LEAF)]))]);
const COMMAND: Inner = Inner(&[(8, Inner(&[(5, LEAF)]))]);
const OUTCOME: Inner = Inner(&[(5, LEAF)]);

/// Fields 1,000 to 1,003 and the last number that there is, of every wire type that protobuf still has.
fn unknown() -> Vec<u8> {
    let mut fields = Vec::new();
    for (field, wire_type, value) in [
        (1_000, 0, &[0xff, 0x01][..]),
        (1_001, 1, &[7; 8]),
        (1_002, 2, &[2, 8, 1]),
        (1_003, 5, &[7; 4]),
        ((1 << 29) - 1, 2, &[0]),
    ] {
        varint((field << 3) | wire_type, &mut fields);
        fields.extend(value);
    }
    fields
}

/// The message `bytes` as a newer writer would have written it: more fields before and after, in each inner message too.
fn widened(mut bytes: &[u8], inner: &Inner) -> Vec<u8> {
    let mut wide = unknown();
    while !bytes.is_empty() {
        let key = take(&mut bytes).unwrap();
        varint(key, &mut wide);
        let (length, known) = match key & 7 {
            0 => {
                varint(take(&mut bytes).unwrap(), &mut wide);
                continue;
            }
            1 => (8, None),
            5 => (4, None),
            _ => {
                let length = usize::try_from(take(&mut bytes).unwrap()).unwrap();
                (length, Some(inner.0.iter().find(|(field, _)| *field == key >> 3)))
            }
        };
        let (value, rest) = bytes.split_at(length);
        bytes = rest;
        match known {
            None => wide.extend(value),
            Some(message) => {
                let value = message.map_or(value.to_vec(), |(_, inner)| widened(value, inner));
                varint(value.len() as u64, &mut wide);
                wide.extend(value);
            }
        }
    }
    wide.extend(unknown());
    wide
}

#[test]
fn fields_that_are_not_known_are_ignored_at_every_level() {
    let sent = encode_birth(&birth());
    let wide = widened(&sent, &BIRTH);
    // Top level, 2 metrics, 1 of them relative, 4 sources, capacity, inventory, its PCI function with 4 parts, processor
    // and BMC, a workload: each has them twice.
    assert!(wide.len() - sent.len() >= 2 * 17 * unknown().len());
    assert_eq!(decode_birth(&wide), Ok(birth()));
    let wide = widened(&encode_frame(&frame()), &LEAF);
    assert_eq!(decode_frame(wide.as_slice()), Ok(frame()));
    let sent = event(Severity::Warning);
    assert_eq!(decode_event(&widened(&encode_event(&sent), &EVENT)), Ok(sent));
    let sent = mark(9, &[(0, 1), (1, 4), (8, 9)]);
    assert_eq!(
        decode_watermark(&widened(&encode_watermark(&sent), &WATERMARK)),
        Ok(sent)
    );
    assert_eq!(
        decode_command(&widened(&encode_command(&command()), &COMMAND)),
        Ok(command())
    );
    let sent = Hole {
        epoch: 7,
        first: 2,
        end: 300,
    };
    assert_eq!(decode_hole(&widened(&encode_hole(&sent), &LEAF)), Ok(sent));
    let sent = outcome(OutcomeState::Expired);
    assert_eq!(decode_outcome(&widened(&encode_outcome(&sent), &OUTCOME)), Ok(sent));
}

#[test]
fn enum_values_that_are_not_known_are_refused() {
    fn refused<M: Message + Default, T: std::fmt::Debug>(
        sent: &[u8],
        change: impl Fn(&mut M, i32),
        decode: impl Fn(&[u8]) -> Result<T, WireError>,
        field: &str,
    ) {
        // What proto3 reads where nothing is told, one that is free today, and what no enum ever has.
        for number in [0, 100, -1, i32::MAX] {
            let mut message = M::decode(sent).unwrap();
            change(&mut message, number);
            let error = decode(&message.encode_to_vec()).unwrap_err().to_string();
            assert!(error.contains(&format!("bad {field}: ")), "{number}: {error}");
        }
    }
    let source = |m: &mut v1::Birth, number| m.sources[1].state = number;
    refused(&encode_birth(&birth()), source, decode_birth, "sources[1].state");
    let severity = |m: &mut v1::Event, number| m.severity = number;
    refused(
        &encode_event(&event(Severity::Info)),
        severity,
        decode_event,
        "severity",
    );
    let resource = |m: &mut v1::Command, number| m.changes[2].resource = number;
    refused(
        &encode_command(&command()),
        resource,
        decode_command,
        "changes[2].resource",
    );
    let (state, resource) = (
        |m: &mut v1::Outcome, number| m.state = number,
        |m: &mut v1::Outcome, number| m.changes[0].resource = number,
    );
    let sent = encode_outcome(&outcome(OutcomeState::Applied));
    refused(&sent, state, decode_outcome, "state");
    refused(&sent, resource, decode_outcome, "changes[0].resource");
}
