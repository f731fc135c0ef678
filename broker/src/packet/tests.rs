use proptest::prelude::*;

use super::*;

const MAX: usize = 1_000;

fn buffer(bytes: &[u8]) -> BytesMut {
    BytesMut::from(bytes)
}

fn message(topic: &str, payload: &[u8]) -> Message {
    Message {
        topic: topic.into(),
        payload: Bytes::copy_from_slice(payload),
        qos: Qos::AtLeastOnce,
        properties: Bytes::from_static(b"\x03\0\x01t\x26\0\x01k\0\x01v"),
        ..Message::default()
    }
}

const SURE: Head = Head {
    qos: Qos::AtLeastOnce,
    packet_id: 3,
    retain: false,
    dup: false,
    expiry_s: None,
};

#[test]
fn what_is_written_is_read() {
    for version in [Version::V4, Version::V5] {
        for (qos, packet_id) in [(Qos::AtMostOnce, 0), (Qos::AtLeastOnce, 7), (Qos::ExactlyOnce, 8)] {
            for payload_len in [0, 1, 119, 120, 700] {
                let message = message("a/b", &vec![9; payload_len]);
                let head = Head {
                    qos,
                    packet_id,
                    retain: true,
                    dup: packet_id == 8,
                    expiry_s: (packet_id > 0).then_some(60),
                };
                let mut bytes = BytesMut::new();
                write_publish(version, &message, head, &mut bytes);
                let read = read(version, &mut bytes, MAX).unwrap().unwrap();
                let passed = version == Version::V5;
                let expected = Publish {
                    topic: "a/b".to_owned(),
                    payload: message.payload.clone(),
                    qos,
                    packet_id,
                    retain: true,
                    dup: packet_id == 8,
                    properties: Properties {
                        passed: if passed {
                            message.properties.clone()
                        } else {
                            Bytes::new()
                        },
                        expiry_s: head.expiry_s.filter(|_| passed),
                    },
                };
                assert_eq!(read, Received::Publish(expected));
                assert!(bytes.is_empty());
            }
        }
    }
}

#[test]
fn rumqttd_reads_what_is_written_here() {
    let mut bytes = BytesMut::new();
    write_publish(Version::V4, &message("a/b", b"x"), SURE, &mut bytes);
    let head = Head {
        retain: true,
        expiry_s: Some(9),
        ..Head::default()
    };
    write_publish(Version::V5, &message("a/b", b"x"), head, &mut bytes);
    let Packet::Publish(first, None) = V4.read_mut(&mut bytes, MAX).unwrap() else {
        panic!("no PUBLISH")
    };
    let Packet::Publish(second, Some(properties)) = V5.read_mut(&mut bytes, MAX).unwrap() else {
        panic!("no PUBLISH")
    };
    assert_eq!((&first.payload[..], first.retain), (&b"x"[..], false));
    assert_eq!((&second.payload[..], second.retain), (&b"x"[..], true));
    assert_eq!(properties.message_expiry_interval, Some(9));
    assert_eq!(properties.content_type.as_deref(), Some("t"));
    assert_eq!(properties.user_properties, [("k".to_owned(), "v".to_owned())]);
}

#[test]
fn properties_that_cannot_be_are_refused() {
    for (properties, why) in [
        (&b"\x23\0\x01"[..], "property 35"),
        (b"\x01\0\x01\0", "told twice"),
        (b"\x03\0\x01\xff", "UTF-8"),
        (b"\x09\0\x09a", "cut off"),
    ] {
        let mut bytes = buffer(&[0x30, 4 + properties.len().to_le_bytes()[0], 0, 1, b'a']);
        bytes.put_u8(properties.len().to_le_bytes()[0]);
        bytes.put_slice(properties);
        let error = read(Version::V5, &mut bytes, MAX).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn a_packet_is_taken_only_when_it_is_complete() {
    let mut whole = BytesMut::new();
    write_publish(Version::V4, &message("topic", b"payload"), Head::default(), &mut whole);
    for cut in 0..whole.len() {
        let mut part = buffer(&whole[..cut]);
        assert_eq!(read(Version::V4, &mut part, MAX), Ok(None), "{cut} bytes");
        assert_eq!(part.len(), cut);
    }
}

#[test]
fn a_packet_past_the_limit_is_refused_before_it_has_come() {
    let mut bytes = buffer(&[0x30, 0xe9, 0x07]);
    assert_eq!(read(Version::V4, &mut bytes, MAX), Err(PacketError::TooLarge(1_001)));
}

#[test]
fn no_payload_keeps_the_buffer_it_came_in() {
    for size in [10, 70_000, 300_000] {
        let mut bytes = BytesMut::with_capacity(2_000_000);
        write_publish(Version::V4, &message("t", &vec![7; size]), SURE, &mut bytes);
        let came_in = bytes.as_ptr_range();
        let Some(Received::Publish(publish)) = read(Version::V4, &mut bytes, 2_000_000).unwrap() else {
            panic!("no PUBLISH")
        };
        assert!(
            !came_in.contains(&publish.payload.as_ptr()),
            "{size} bytes are a part of 2 MB"
        );
    }
}

#[test]
fn only_a_message_may_be_large() {
    let most = |byte1: u8| {
        let refused = |length: usize| {
            let mut bytes = buffer(&[byte1]);
            put_length(length, &mut bytes);
            read(Version::V5, &mut bytes, 5_000_000) == Err(PacketError::TooLarge(length))
        };
        [MAX_CONTROL, MAX_CONNECT, 5_000_000].map(|length| (refused(length), refused(length + 1)))
    };
    let (may, past, may_not) = ((false, false), (false, true), (true, true));
    assert_eq!(most(0x32), [may, may, past], "PUBLISH");
    assert_eq!(most(0x10), [may, past, may_not], "CONNECT");
    for byte1 in [0x40, 0x50, 0x62, 0x70, 0x82, 0xa2, 0xc0, 0xe0] {
        assert_eq!(most(byte1), [past, may_not, may_not], "{byte1:x}");
    }
}

#[test]
fn malformed_publishes_are_refused() {
    for (bytes, why) in [
        (&[0x36, 5, 0, 1, b'a', 0, 1][..], "QoS 3"),
        (&[0x30, 1, 0], "ends early"),
        (&[0x30, 3, 0, 2, b'a'], "topic past its end"),
        (&[0x30, 3, 0, 1, 0xff], "no UTF-8"),
        (&[0x32, 3, 0, 1, b'a'], "ends early"),
        (&[0x32, 5, 0, 1, b'a', 0, 0], "packet id 0"),
    ] {
        let error = read(Version::V4, &mut buffer(bytes), MAX).unwrap_err().to_string();
        assert!(error.contains(why), "{bytes:?}: {error}");
    }
    for bytes in [
        &[0x30, 3, 0, 1, b'a'][..],
        &[0x30, 4, 0, 1, b'a', 9],
        &[0x30, 5, 0, 1, b'a', 0xff, 0xff],
    ] {
        let error = read(Version::V5, &mut buffer(bytes), MAX).unwrap_err().to_string();
        assert!(error.contains("properties"), "{bytes:?}: {error}");
    }
}

#[test]
fn connects_tell_their_version() {
    let connect = |name: &[u8], level: u8| {
        let mut bytes = vec![0x10, name.len().to_le_bytes()[0] + 3, 0, name.len().to_le_bytes()[0]];
        bytes.extend_from_slice(name);
        bytes.push(level);
        bytes
    };
    assert_eq!(version(&connect(b"MQTT", 4), MAX), Ok(Some(Ok(Version::V4))));
    assert_eq!(version(&connect(b"MQTT", 5), MAX), Ok(Some(Ok(Version::V5))));
    assert_eq!(version(&connect(b"MQTT", 6), MAX), Ok(Some(Err(6))));
    assert_eq!(version(&connect(b"MQIsdp", 3), MAX), Ok(Some(Err(3))));
    assert_eq!(version(&connect(b"MQTT", 4)[..5], MAX), Ok(None));
    assert!(version(&connect(b"HTTP", 4), MAX).is_err());
    assert!(version(b"GET / HTTP/1.1\r\n\r\n", MAX).is_err());
}

#[test]
fn a_disconnect_of_version_5_may_be_short() {
    for (bytes, expected) in [
        (&[0xe0, 0][..], DisconnectReasonCode::NormalDisconnection),
        (&[0xe0, 1, 4], DisconnectReasonCode::DisconnectWithWillMessage),
        (&[0xe0, 2, 0, 0], DisconnectReasonCode::NormalDisconnection),
    ] {
        let read = read(Version::V5, &mut buffer(bytes), MAX).unwrap();
        let expected = Packet::Disconnect(Disconnect { reason_code: expected }, None);
        assert_eq!(read, Some(Received::Other(Box::new(expected))), "{bytes:?}");
    }
}

proptest! {
    /// Whatever a client sends is a packet, an error, or needs more; and a packet takes at least two bytes.
    #[test]
    fn garbage_is_refused_without_a_panic(
        byte1 in any::<u8>(),
        body in prop::collection::vec(any::<u8>(), 0..60),
        v5 in any::<bool>(),
    ) {
        let version = if v5 { Version::V5 } else { Version::V4 };
        let mut bytes = buffer(&[byte1, body.len().to_le_bytes()[0]]);
        bytes.extend_from_slice(&body);
        let before = bytes.len();
        if let Ok(Some(_)) = read(version, &mut bytes, MAX) {
            prop_assert!(bytes.len() + 2 <= before);
        }
    }

    /// The same for what is nearly right: a CONNECT with one byte changed, cut or added.
    #[test]
    fn a_damaged_connect_is_refused_without_a_panic(at in 0_usize..40, byte in any::<u8>(), v5 in any::<bool>()) {
        let (version, level) = if v5 { (Version::V5, 5) } else { (Version::V4, 4) };
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, 0b1100_0110, 0, 9];
        body.extend(v5.then_some(0));
        body.extend(*b"\0\x01c");
        body.extend(v5.then_some(0));
        body.extend(*b"\0\x01w\0\x01x\0\x01u\0\x01p");
        let at = at % body.len();
        body[at] = byte;
        let mut bytes = buffer(&[0x10, body.len().to_le_bytes()[0]]);
        bytes.extend_from_slice(&body);
        if super::version(&bytes, MAX).is_ok() {
            prop_assert!(!matches!(read(version, &mut bytes, MAX), Ok(None)));
        }
    }
}
