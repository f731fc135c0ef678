//! Who gets what.

use broker::Refusal;
use rumqttc::{Event, Incoming, QoS, SubscribeReasonCode};

use crate::harness::{Broker, Client};

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[tokio::test]
async fn a_message_arrives_once_at_the_lower_qos() {
    let broker = Broker::start().await;
    let publisher = broker.client("publisher").await;
    for (granted, expected) in [
        (QoS::AtMostOnce, QoS::AtMostOnce),
        (QoS::AtLeastOnce, QoS::AtLeastOnce),
        (QoS::ExactlyOnce, QoS::ExactlyOnce),
    ] {
        let mut subscriber = broker.client("subscriber").await;
        subscriber.subscribe("t/#", granted).await;
        for (n, qos) in QOS.into_iter().enumerate() {
            publisher.publish("t/x", n.to_string(), qos, false).await;
            let lower = if (qos as u8) < expected as u8 { qos } else { expected };
            let message = subscriber.message().await;
            assert_eq!(message, ("t/x".to_owned(), n.to_string(), false, lower));
        }
        subscriber.disconnect().await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn overlapping_filters_give_a_message_once_at_their_greatest_qos() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client("subscriber").await;
    for (filter, qos) in [
        ("o/#", QoS::AtMostOnce),
        ("o/+", QoS::ExactlyOnce),
        ("+/a", QoS::AtLeastOnce),
    ] {
        subscriber.subscribe(filter, qos).await;
    }
    let publisher = broker.client("publisher").await;
    for topic in ["o/a", "o/end"] {
        publisher.publish(topic, "x", QoS::ExactlyOnce, false).await;
    }
    for topic in ["o/a", "o/end"] {
        let message = subscriber.message().await;
        assert_eq!(message, (topic.to_owned(), "x".to_owned(), false, QoS::ExactlyOnce));
    }
    broker.stop().await;
}

#[tokio::test]
async fn order_is_kept_for_many_messages_of_both_kinds() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client("subscriber").await;
    subscriber.subscribe("t", QoS::AtLeastOnce).await;
    let publisher = broker.client("publisher").await;
    for n in 0..2_000 {
        publisher.publish("t", n.to_string(), QOS[n % 2], false).await;
    }
    for n in 0..2_000 {
        assert_eq!(subscriber.message().await.1, n.to_string());
    }
    broker.stop().await;
}

#[tokio::test]
async fn any_number_of_retained_messages_is_replayed() {
    const TOPICS: usize = 1_000;
    let broker = Broker::start().await;
    let mut publisher = broker.client("publisher").await;
    for n in 0..TOPICS {
        publisher
            .publish(&format!("r/{n:04}"), "old", QoS::AtMostOnce, true)
            .await;
        publisher
            .publish(&format!("r/{n:04}"), n.to_string(), QoS::AtMostOnce, true)
            .await;
    }
    publisher.publish_surely("r/none", "", true).await;
    for (id, qos) in [("s0", QoS::AtMostOnce), ("s1", QoS::AtLeastOnce)] {
        let mut subscriber = broker.client(id).await;
        subscriber.subscribe("r/+", qos).await;
        for n in 0..TOPICS {
            let expected = (format!("r/{n:04}"), n.to_string(), true, QoS::AtMostOnce);
            assert_eq!(subscriber.message().await, expected);
        }
        publisher.publish("r/0001", "live", QoS::AtMostOnce, true).await;
        let (topic, payload, retained, _) = subscriber.message().await;
        assert_eq!((topic.as_str(), payload.as_str(), retained), ("r/0001", "live", false));
        publisher.publish("r/0001", "1", QoS::AtMostOnce, true).await;
        subscriber.message().await;
    }
    assert_eq!(
        broker.handle.figures().retained,
        TOPICS as u64 + 34,
        "and the 34 of $SYS"
    );
    broker.stop().await;
}

#[tokio::test]
async fn a_cleared_retained_message_is_gone() {
    let broker = Broker::start().await;
    let mut client = broker.client("c").await;
    client.publish_surely("r/a", "x", true).await;
    client.publish_surely("r/b", "x", true).await;
    client.publish_surely("r/a", "", true).await;
    client.subscribe("r/#", QoS::AtMostOnce).await;
    assert_eq!(client.message().await.0, "r/b");
    broker.stop().await;
}

#[tokio::test]
async fn a_will_tells_of_those_who_leave_without_a_word() {
    let broker = Broker::start().await;
    let mut watcher = broker.client("watcher").await;
    watcher.subscribe("w/#", QoS::AtLeastOnce).await;

    let polite = Client::connect(broker.options_with_will("polite", "w/polite")).await;
    polite.disconnect().await;
    let rude = Client::connect(broker.options_with_will("rude", "w/rude")).await;
    rude.publish("w/rude", "here", QoS::AtLeastOnce, true).await;
    assert_eq!(watcher.message().await.1, "here");
    rude.drop_connection().await;
    let (topic, payload, retained, _) = watcher.message().await;
    assert_eq!((topic.as_str(), payload.as_str(), retained), ("w/rude", "gone", false));

    let mut late = broker.client("late").await;
    late.subscribe("w/#", QoS::AtMostOnce).await;
    let (topic, payload, retained, _) = late.message().await;
    assert_eq!((topic.as_str(), payload.as_str(), retained), ("w/rude", "gone", true));
    broker.stop().await;
}

#[tokio::test]
async fn whoever_comes_back_takes_over_and_leaves_no_will() {
    let broker = Broker::start().await;
    let mut watcher = broker.client("watcher").await;
    watcher.subscribe("w", QoS::AtLeastOnce).await;
    let first = Client::connect(broker.options_with_will("host", "w")).await;
    let second = Client::connect(broker.options_with_will("host", "w")).await;
    first.ended().await;
    second.publish("w", "back", QoS::AtLeastOnce, true).await;
    assert_eq!(watcher.message().await.1, "back");
    assert_eq!(broker.handle.figures().clients, 2);
    broker.stop().await;
}

#[tokio::test]
async fn the_sys_tree_is_answered_and_not_part_of_everything() {
    let broker = Broker::start().await;
    let mut client = broker.client("explorer").await;
    client.subscribe("#", QoS::AtMostOnce).await;
    client.subscribe("$SYS/#", QoS::AtMostOnce).await;
    let (mut connected, mut version) = (None, None);
    while connected.is_none() || version.is_none() {
        let (topic, payload, _, _) = client.message().await;
        match topic.as_str() {
            // The tree that was told before this client came says 0.
            "$SYS/broker/clients/connected" if payload != "0" => connected = Some(payload),
            "$SYS/broker/version" => version = Some(payload),
            other => assert!(other.starts_with("$SYS/broker/"), "{other}"),
        }
    }
    assert_eq!(connected.as_deref(), Some("1"));
    assert!(version.unwrap().starts_with("foreshadow-broker version "));
    // Nobody else writes there, and who tries is not thrown out.
    client.publish_surely("$SYS/broker/version", "mine", true).await;
    let mut late = broker.client("late").await;
    late.subscribe("$SYS/broker/version", QoS::AtMostOnce).await;
    assert_ne!(late.message().await.1, "mine");
    broker.stop().await;
}

#[tokio::test]
async fn a_filter_that_cannot_be_is_refused_and_the_connection_goes_on() {
    let broker = Broker::start().await;
    let mut client = broker.client("c").await;
    for filter in ["$share/group", "a/#/b"] {
        // rumqttc checks filters itself, so that the second one is sent as it would by another client.
        let mut subscribe = rumqttc::Subscribe::new("x", QoS::AtLeastOnce);
        subscribe.filters[0].path = filter.to_owned();
        if client.requests.subscribe_many(subscribe.filters).await.is_err() {
            continue;
        }
        let is_ack = |event: &Event| matches!(event, Event::Incoming(Incoming::SubAck(_)));
        let Event::Incoming(Incoming::SubAck(ack)) = client.until(is_ack).await else {
            unreachable!()
        };
        assert_eq!(ack.return_codes, [SubscribeReasonCode::Failure], "{filter}");
    }
    assert!(
        broker.handle.figures().refused.of(Refusal::Subscribe) >= 1,
        "and counted"
    );
    client.subscribe("t", QoS::AtMostOnce).await;
    client.publish_surely("t", "x", false).await;
    broker.stop().await;
}

#[tokio::test]
async fn large_messages_pass() {
    let broker = Broker::start().await;
    let mut client = broker.client("c").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    for size in [100_000, 4 * 1024 * 1024 + 4_096] {
        client.publish("t", vec![b'x'; size], QoS::AtLeastOnce, false).await;
        assert_eq!(client.message().await.1.len(), size);
    }
    broker.stop().await;
}
