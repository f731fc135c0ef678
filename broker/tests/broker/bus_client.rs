//! foreshadow's own client: what it promises, it keeps with this broker.

use std::time::Duration;

use broker::Config;
use bus::{Backoff, BusError, Client, Event, Qos, Will};
use tokio::{sync::mpsc, time::timeout};

use crate::harness::{Broker, PATIENCE};

fn config(broker: &Broker, id: &str) -> bus::Config {
    bus::Config {
        backoff: Backoff::new(Duration::from_millis(20), Duration::from_millis(50)),
        ..bus::Config::new(broker.addr().ip().to_string(), broker.addr().port(), id)
    }
}

async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
    timeout(PATIENCE, events.recv())
        .await
        .expect("nothing came in time")
        .expect("client has ended")
}

async fn connected(config: bus::Config) -> (Client, mpsc::Receiver<Event>) {
    let (client, mut events) = bus::connect(config);
    assert_eq!(next(&mut events).await, Event::Connected);
    (client, events)
}

async fn payload(events: &mut mpsc::Receiver<Event>) -> String {
    loop {
        if let Event::Message { payload, .. } = next(events).await {
            return String::from_utf8(payload.to_vec()).unwrap();
        }
    }
}

async fn restart(broker: Broker) -> Broker {
    let listen = broker.addr();
    broker.stop().await;
    Broker::listen(Config {
        listen,
        ..Config::default()
    })
    .await
}

#[tokio::test]
async fn messages_come_and_go() {
    let broker = Broker::start().await;
    let (publisher, _events) = connected(config(&broker, "publisher")).await;
    publisher.publish("t/kept", "1", Qos::AtLeastOnce, true).await.unwrap();
    assert!(publisher.disconnect(PATIENCE).await);

    let subscriptions = vec![("t/#".to_owned(), Qos::AtLeastOnce)];
    let (client, mut events) = connected(bus::Config {
        subscriptions,
        ..config(&broker, "client")
    })
    .await;
    let expected = Event::Message {
        topic: "t/kept".to_owned(),
        payload: "1".into(),
        retained: true,
    };
    assert_eq!(next(&mut events).await, expected);
    client.try_publish("t/live", "2", Qos::AtMostOnce, false).unwrap();
    let expected = Event::Message {
        topic: "t/live".to_owned(),
        payload: "2".into(),
        retained: false,
    };
    assert_eq!(next(&mut events).await, expected);
    broker.stop().await;
}

#[tokio::test]
async fn the_broker_may_go_and_come_back() {
    let mut broker = Broker::start().await;
    let subscriptions = vec![("t".to_owned(), Qos::AtLeastOnce)];
    let (_subscriber, mut events) = connected(bus::Config {
        subscriptions,
        ..config(&broker, "subscriber")
    })
    .await;
    let (publisher, mut publisher_events) = connected(config(&broker, "publisher")).await;
    for round in 0..3 {
        broker = restart(broker).await;
        for events in [&mut events, &mut publisher_events] {
            assert!(matches!(next(events).await, Event::Disconnected { .. }), "told once");
            assert_eq!(next(events).await, Event::Connected);
        }
        publisher
            .publish("t", round.to_string(), Qos::AtLeastOnce, false)
            .await
            .unwrap();
        assert_eq!(payload(&mut events).await, round.to_string());
    }
    broker.stop().await;
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again() {
    const MESSAGES: u32 = 900;
    let broker = Broker::start().await;
    let (publisher, _publisher_events) = connected(config(&broker, "publisher")).await;
    let listen = broker.addr();
    broker.stop().await;
    // More than may be under way at once, so that packet ids would collide if all were sent together.
    for n in 0..MESSAGES {
        publisher
            .try_publish("t", n.to_string(), Qos::AtLeastOnce, false)
            .unwrap();
    }
    let broker = Broker::listen(Config {
        listen,
        ..Config::default()
    })
    .await;
    // Whatever came before this subscription is not seen: so all but the first must still wait.
    let subscriptions = vec![("t".to_owned(), Qos::AtLeastOnce)];
    let (_subscriber, mut events) = connected(bus::Config {
        subscriptions,
        ..config(&broker, "subscriber")
    })
    .await;
    let mut last = payload(&mut events).await.parse::<u32>().unwrap();
    while last + 1 < MESSAGES {
        let n = payload(&mut events).await.parse::<u32>().unwrap();
        assert_eq!(n, last + 1, "none lost, none doubled, in order");
        last = n;
    }
    timeout(PATIENCE, async {
        while publisher.outstanding() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    broker.stop().await;
}

#[tokio::test]
async fn the_will_is_for_those_who_do_not_disconnect() {
    let broker = Broker::start().await;
    let subscriptions = vec![("w".to_owned(), Qos::AtLeastOnce)];
    let (_watcher, mut events) = connected(bus::Config {
        subscriptions,
        ..config(&broker, "watcher")
    })
    .await;
    let will = Will {
        topic: "w".to_owned(),
        payload: "gone".into(),
        retain: true,
    };
    let (polite, polite_events) = connected(bus::Config {
        will: Some(will.clone()),
        ..config(&broker, "a")
    })
    .await;
    polite.publish("w", "bye", Qos::AtMostOnce, false).await.unwrap();
    assert!(polite.disconnect(PATIENCE).await);
    assert_eq!(
        polite.try_publish("w", "late", Qos::AtMostOnce, false),
        Err(BusError::Closed)
    );
    drop(polite_events);
    assert_eq!(payload(&mut events).await, "bye");
    let (_rude, rude_events) = connected(bus::Config {
        will: Some(will),
        ..config(&broker, "b")
    })
    .await;
    drop(rude_events);
    assert_eq!(payload(&mut events).await, "gone");
    broker.stop().await;
}

#[tokio::test]
async fn queues_are_bounded_and_say_so() {
    let broker = Broker::start().await;
    let small = bus::Config {
        queue: 4,
        max_packet: 100,
        publish_timeout: Duration::from_millis(50),
        ..config(&broker, "small")
    };
    broker.stop().await;
    let (client, mut events) = bus::connect(small);
    assert!(matches!(next(&mut events).await, Event::Disconnected { .. }));
    let large = client.try_publish("t", vec![0; 101], Qos::AtMostOnce, false);
    assert!(matches!(
        large,
        Err(BusError::TooLarge {
            size: 101,
            limit: 100,
            ..
        })
    ));
    assert!(matches!(
        client.try_publish("t/#", "x", Qos::AtMostOnce, false),
        Err(BusError::Topic(_))
    ));
    for _ in 0..4 {
        client.try_publish("t", "x", Qos::AtMostOnce, false).unwrap();
    }
    let full = client.try_publish("t", "x", Qos::AtMostOnce, false).unwrap_err();
    assert!(full.is_transient(), "{full}");
    let full = client.publish("t", "x", Qos::AtMostOnce, false).await.unwrap_err();
    assert!(matches!(full, BusError::Timeout { .. }), "{full}");
    assert_eq!(client.outstanding(), 4);
    assert!(!client.disconnect(Duration::from_millis(50)).await, "nothing went out");
}

#[tokio::test]
async fn a_receiver_that_lags_loses_nothing() {
    const MESSAGES: u32 = 3_000;
    let broker = Broker::start().await;
    let subscriptions = vec![("t".to_owned(), Qos::AtLeastOnce)];
    let lagging = bus::Config {
        subscriptions,
        events: 2,
        ..config(&broker, "lagging")
    };
    let (_lagging, mut events) = connected(lagging).await;
    let (publisher, _publisher_events) = connected(config(&broker, "publisher")).await;
    for n in 0..MESSAGES {
        publisher
            .publish("t", n.to_string(), Qos::AtLeastOnce, false)
            .await
            .unwrap();
    }
    for n in 0..MESSAGES {
        assert_eq!(payload(&mut events).await, n.to_string());
    }
    broker.stop().await;
}
