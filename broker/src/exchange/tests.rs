use bytes::BytesMut;

use super::*;
use crate::{
    outbox::{Capacity, Next},
    packet::{Received, Version, read_any},
};

const CAPACITY: Capacity = Capacity {
    version: Version::V4,
    max_bytes: 100_000,
    window: 100,
    max_packet: 10_000,
};

fn exchange() -> Exchange {
    Exchange::new(&Limits {
        max_subscriptions: 3,
        ..Limits::default()
    })
}

fn message(topic: &str, payload: &str) -> Message {
    Message {
        topic: topic.into(),
        payload: payload.to_owned().into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        source: 99,
        will_of: None,
    }
}

fn join(exchange: &mut Exchange, id: &str, will: Option<Message>) -> (Serial, Arc<Outbox>) {
    let outbox = Arc::new(Outbox::new(CAPACITY, Arc::new(Permit::Everything)));
    let serial = exchange.next_serial();
    exchange.connect(serial, id, will, outbox.clone());
    (serial, outbox)
}

fn filter(path: &str) -> Filter {
    Filter {
        path: path.to_owned(),
        qos: QoS::AtLeastOnce,
        nolocal: false,
        preserve_retain: false,
        retain_forward_rule: RetainForwardRule::OnEverySubscribe,
    }
}

/// Everything that waits for a client, in words; `closed: ...` when its connection ends.
async fn inbox(outbox: &Outbox) -> Vec<String> {
    // The mark of the end of what waits.
    outbox.close(Close::Stopping);
    let (mut words, mut buffer) = (Vec::new(), BytesMut::new());
    loop {
        match outbox.next(&mut buffer).await {
            Next::Write { .. } => (),
            Next::End(Close::Stopping) => break,
            Next::End(reason) => {
                words.push(format!("closed: {reason:?}"));
                break;
            }
        }
        while let Some(received) = read_any(Version::V4, &mut buffer, 10_000).unwrap() {
            if let Received::Publish(publish) = &received {
                outbox.acknowledged([publish.packet_id]);
            }
            words.push(match received {
                Received::Publish(p) if p.retain => format!("{}={} retained", p.topic, text(&p.payload)),
                Received::Publish(p) => format!("{}={}", p.topic, text(&p.payload)),
                Received::Other(packet) => match *packet {
                    Packet::SubAck(ack, _) => format!("suback {:?}", ack.return_codes),
                    packet => format!("{packet:?}"),
                },
            });
        }
    }
    words
}

fn text(payload: &[u8]) -> &str {
    std::str::from_utf8(payload).unwrap()
}

#[tokio::test]
async fn a_subscription_is_answered_then_retained_then_live() {
    let mut exchange = exchange();
    for (topic, payload) in [("a/1", "old"), ("a/1", "new"), ("b", "x")] {
        exchange.dispatch(
            Message {
                retain: true,
                ..message(topic, payload)
            },
            0,
        );
    }
    let (serial, outbox) = join(&mut exchange, "c", None);
    exchange.subscribe(serial, 1, vec![filter("a/#")]);
    let done = exchange.dispatch(
        Message {
            retain: true,
            ..message("a/2", "live")
        },
        0,
    );
    assert_eq!((done.queued, done.dropped), (1, 0));
    assert_eq!(
        inbox(&outbox).await,
        ["suback [Success(AtLeastOnce)]", "a/1=new retained", "a/2=live"]
    );
    assert_eq!(exchange.retained().0, 3);
}

#[tokio::test]
async fn options_of_version_5_are_kept() {
    let mut exchange = exchange();
    exchange.dispatch(
        Message {
            retain: true,
            ..message("a", "x")
        },
        0,
    );
    let (serial, outbox) = join(&mut exchange, "c", None);
    let only_new = Filter {
        retain_forward_rule: RetainForwardRule::OnNewSubscribe,
        ..filter("a")
    };
    exchange.subscribe(serial, 1, vec![only_new.clone()]);
    exchange.subscribe(serial, 2, vec![only_new]);
    let as_published = Filter {
        nolocal: true,
        preserve_retain: true,
        retain_forward_rule: RetainForwardRule::Never,
        ..filter("b")
    };
    exchange.dispatch(
        Message {
            retain: true,
            ..message("b", "old")
        },
        0,
    );
    exchange.subscribe(serial, 3, vec![as_published]);
    exchange.dispatch(
        Message {
            retain: true,
            ..message("b", "new")
        },
        0,
    );
    exchange.dispatch(
        Message {
            source: serial,
            ..message("b", "own")
        },
        0,
    );
    let ack = "suback [Success(AtLeastOnce)]";
    assert_eq!(inbox(&outbox).await, [ack, "a=x retained", ack, ack, "b=new retained"]);
}

#[tokio::test]
async fn subscriptions_that_cannot_be_are_refused_one_by_one() {
    let mut exchange = exchange();
    let (serial, outbox) = join(&mut exchange, "c", None);
    let filters = ["a", "a/#/b", "$share/g/a", "$SYS/#", "b", "c", "a"].map(filter);
    exchange.subscribe(serial, 1, filters.to_vec());
    let words = inbox(&outbox).await;
    let (yes, no) = ("Success(AtLeastOnce)", "Failure");
    assert_eq!(
        words,
        [format!("suback [{yes}, {no}, {no}, {yes}, {yes}, {no}, {yes}]").replace('"', "")]
    );
    assert_eq!(exchange.subscriptions(), 3);
}

#[tokio::test]
async fn unsubscribed_is_no_longer_sent() {
    let mut exchange = exchange();
    let (serial, outbox) = join(&mut exchange, "c", None);
    exchange.subscribe(serial, 1, vec![filter("a"), filter("+")]);
    exchange.unsubscribe(serial, 2, &["a".to_owned(), "x".to_owned()]);
    exchange.unsubscribe(serial, 3, &["+".to_owned()]);
    assert_eq!(exchange.dispatch(message("a", "1"), 0), Dispatched::default());
    assert_eq!(inbox(&outbox).await.len(), 3);
}

#[tokio::test]
async fn a_will_is_for_those_who_leave_without_a_word_and_stay_away() {
    let mut exchange = exchange();
    let will = || Some(message("w", "gone"));

    let (said, _) = join(&mut exchange, "a", will());
    assert_eq!(exchange.disconnect(said, Farewell::Said), None);

    let (missing, _) = join(&mut exchange, "a", will());
    let published = exchange.disconnect(missing, Farewell::Missing).unwrap();
    assert_eq!(published.will_of.as_deref(), Some("a"));
    assert_eq!(exchange.disconnect(missing, Farewell::Missing), None);

    let (watcher, outbox) = join(&mut exchange, "watcher", None);
    exchange.subscribe(watcher, 1, vec![filter("w")]);
    exchange.dispatch(published.clone(), 0);
    let (_again, _) = join(&mut exchange, "a", None);
    exchange.dispatch(published, 0);
    assert_eq!(inbox(&outbox).await, ["suback [Success(AtLeastOnce)]", "w=gone"]);
}

#[tokio::test]
async fn a_second_connection_takes_over() {
    let mut exchange = exchange();
    let (old, old_outbox) = join(&mut exchange, "a/+#$", Some(message("w", "gone")));
    exchange.subscribe(old, 1, vec![filter("t")]);
    let (new, _) = join(&mut exchange, "a/+#$", None);
    assert_eq!(inbox(&old_outbox).await, ["closed: TakenOver"]);
    assert_eq!(exchange.disconnect(old, Farewell::Missing), None, "its will is stale");
    assert_eq!((exchange.clients(), exchange.subscriptions()), (1, 0));
    exchange.disconnect(new, Farewell::Said);
    assert_eq!((exchange.clients(), exchange.by_id.len()), (0, 0));
}

#[tokio::test]
async fn one_slow_client_harms_no_other() {
    let mut exchange = exchange();
    let small = Arc::new(Outbox::new(
        Capacity {
            max_bytes: 500,
            ..CAPACITY
        },
        Arc::new(Permit::Everything),
    ));
    let slow = exchange.next_serial();
    exchange.connect(slow, "slow", None, small.clone());
    let (fast, outbox) = join(&mut exchange, "fast", None);
    exchange.subscribe(slow, 1, vec![filter("t")]);
    exchange.subscribe(fast, 1, vec![filter("t")]);
    for _ in 0..10 {
        exchange.dispatch(message("t", "0123456789"), 0);
    }
    assert_eq!(inbox(&small).await, ["closed: TooSlow"]);
    assert_eq!(inbox(&outbox).await.len(), 11);
}
