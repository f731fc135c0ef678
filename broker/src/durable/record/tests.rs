use super::*;

fn message(payload: &'static str) -> Arc<Message> {
    Arc::new(Message {
        topic: "a/ä".into(),
        payload: payload.into(),
        qos: Qos::ExactlyOnce,
        retain: true,
        owner: (payload == "one").then(|| "ann".into()),
        properties: Bytes::from_static(b"props"),
        expires_ms: Some(-5),
        ..Message::default()
    })
}

fn changes() -> Vec<Change> {
    let (session, packet_id) = (7, 9);
    let (one, two) = (message("one"), message("rec two"));
    let delivery = |message: &Arc<Message>, share: Option<&str>| Saved {
        packet_id,
        qos: Qos::AtLeastOnce,
        retain: true,
        share: share.map(Arc::from),
        message: message.clone(),
    };
    let wants = Wants {
        qos: Qos::ExactlyOnce,
        no_local: true,
        keep_retain: false,
    };
    let mut changes = vec![
        Change::Session {
            session,
            id: "c".into(),
            expiry_s: 60,
        },
        Change::Subscribed {
            session,
            path: "a/#".to_owned(),
            wants,
            replay: true,
        },
        Change::Retained(one.clone()),
        Change::Queued {
            session,
            delivery: delivery(&one, None),
        },
        Change::Queued {
            session,
            delivery: delivery(&two, Some("$share/g/a")),
        },
        Change::Replayed {
            session,
            path: "a/#".to_owned(),
        },
        Change::Unsubscribed {
            session,
            path: "a/#".to_owned(),
        },
        Change::Left { session, at_ms: -3 },
        Change::Ended { session },
        Change::Complete,
    ];
    changes.extend(STEPS.map(|(_, step)| Change::Passed {
        session,
        packet_id,
        step,
    }));
    changes
}

const MARK: Mark = *b"\x07random!";
const START: usize = HEADER.len() + MARK.len();

fn written(changes: &[Change]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::begin(MARK, &mut bytes);
    for change in changes {
        encoder.write(change, &mut bytes);
    }
    bytes
}

#[test]
fn what_is_written_is_read() {
    let contents = read_all(written(&changes()).into());
    assert_eq!(contents.changes, changes());
    assert_eq!((contents.lost, contents.damaged), (0, false));
}

#[test]
fn a_torn_end_costs_what_it_hit_and_is_no_damage() {
    let whole = written(&changes());
    for end in START..whole.len() {
        let contents = read_all(Bytes::copy_from_slice(&whole[..end]));
        assert!(!contents.damaged, "{end}");
        assert!(changes().starts_with(&contents.changes), "{end}");
    }
}

#[test]
fn any_flipped_byte_is_noticed() {
    let whole = written(&changes());
    for at in START..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let contents = read_all(bytes.into());
        assert!(contents.lost > 0, "{at}");
        assert!(contents.damaged || at > whole.len() - 40, "{at}");
    }
}

/// A journal that a torn record is in, and behind it the payload of a rogue client.
fn torn_before(payload: Vec<u8>) -> Contents {
    let rogue = Message {
        topic: "t".into(),
        payload: payload.into(),
        ..Message::default()
    };
    let first = written(&[Change::Retained(message("one"))]);
    let both = written(&[Change::Retained(message("one")), Change::Retained(Arc::new(rogue))]);
    let mut bytes = both;
    // The front of the rogue's message: its length is not known any more.
    bytes[first.len() + MARK.len() + 2] ^= 0xff;
    read_all(bytes.into())
}

#[test]
fn no_payload_holds_a_record() {
    let ended = |mark: &[u8]| {
        let mut record = written(&[Change::Ended { session: 7 }])[START..].to_vec();
        record.splice(..MARK.len(), mark.iter().copied());
        record
    };
    for mark in [&b"rec"[..], b"\0\0\0\0\0\0\0\0", b"random!!"] {
        let changes = torn_before(ended(mark)).changes;
        assert_eq!(changes, [Change::Retained(message("one"))], "{mark:?}");
    }
    // Whoever knew the mark could: that is why it is random.
    assert!(
        torn_before(ended(&MARK))
            .changes
            .contains(&Change::Ended { session: 7 })
    );
}

#[test]
fn what_follows_a_message_that_is_lost_speaks_of_no_other() {
    let (one, two) = (message("one"), message("two"));
    let first = written(&[Change::Retained(one.clone())]);
    let mut bytes = written(&[Change::Retained(one.clone()), Change::Retained(two.clone())]);
    let at = first.len() + MARK.len() + 12;
    bytes[at] ^= 1;
    let contents = read_all(bytes.into());
    assert_eq!(
        contents.changes,
        [Change::Retained(one)],
        "and not the first message for the second"
    );
    assert!(contents.damaged && contents.lost > 0);
}
