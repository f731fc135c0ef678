//! What one client does, no other feels.

use std::time::Duration;

use broker::Limits;
use rumqttc::QoS;
use runtime::Span;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::harness::{Broker, PATIENCE, connect_packet, exchange_raw};

#[tokio::test]
async fn odd_client_ids_are_harmless_also_twice() {
    let broker = Broker::start().await;
    for id in ["a/+#$", "$share/x/y", "ä ö", "a/+#$"] {
        let first = broker.client(id).await;
        let mut second = broker.client(id).await;
        first.ended().await;
        second.publish_surely("t", "x", false).await;
    }
    let mut other = broker.client("other").await;
    other.publish_surely("t", "x", false).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_silent_client_blocks_nobody_and_is_sent_away() {
    let limits = Limits {
        connect_timeout: Span::from_millis(300),
        ..Limits::default()
    };
    let broker = Broker::with(limits).await;
    let mut silent = TcpStream::connect(broker.addr()).await.unwrap();
    let mut half = TcpStream::connect(broker.addr()).await.unwrap();
    half.write_all(&connect_packet(4, "half", 10)[..9]).await.unwrap();

    let mut client = broker.client("c").await;
    client.publish_surely("t", "x", false).await;
    for stream in [&mut silent, &mut half] {
        let mut byte = [0];
        assert_eq!(
            timeout(PATIENCE, stream.read(&mut byte)).await.unwrap().unwrap(),
            0,
            "closed without an answer"
        );
    }
    broker.stop().await;
}

#[tokio::test]
async fn who_is_silent_for_longer_than_it_said_is_gone() {
    let broker = Broker::start().await;
    let mut watcher = broker.client("watcher").await;
    watcher.subscribe("w", QoS::AtMostOnce).await;
    let mut connect = connect_packet(4, "sleepy", 1);
    // With a will.
    connect[9] |= 4;
    connect[1] += 7;
    connect.extend(*b"\0\x01w\0\x02zz");
    let before = tokio::time::Instant::now();
    assert_eq!(exchange_raw(broker.addr(), &connect).await, [0x20, 2, 0, 0]);
    assert!(before.elapsed() >= Duration::from_millis(1_500));
    assert_eq!(watcher.message().await.1, "zz");
    broker.stop().await;
}

#[tokio::test]
async fn other_protocols_and_versions_are_refused() {
    let broker = Broker::start().await;
    let v31 = b"\x10\x10\0\x06MQIsdp\x03\x02\0\x0a\0\x02ab";
    assert_eq!(exchange_raw(broker.addr(), v31).await, [0x20, 2, 0, 1], "MQTT 3.1");
    assert_eq!(
        exchange_raw(broker.addr(), &connect_packet(6, "x", 1)).await,
        [0x20, 2, 0, 1],
        "MQTT 6"
    );
    let mut nameless = connect_packet(4, "", 10);
    nameless[9] = 0;
    assert_eq!(
        exchange_raw(broker.addr(), &nameless).await,
        [0x20, 2, 0, 2],
        "no name and a lasting session"
    );
    for nonsense in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0xff; 40],
        &[0x30, 3, 0, 1, b'a'],
    ] {
        assert_eq!(exchange_raw(broker.addr(), nonsense).await, [0_u8; 0]);
    }
    let mut client = broker.client("c").await;
    client.publish_surely("t", "x", false).await;
    broker.stop().await;
}

#[tokio::test]
async fn who_breaks_a_rule_is_sent_away_alone() {
    let broker = Broker::start().await;
    let mut other = broker.client("other").await;
    for packet in [
        &[0x30, 3, 0, 1, b'+'][..],
        &[0x36, 5, 0, 1, b'a', 0, 1],
        &[0x10, 2, 0, 0],
        &[0x20, 2, 0, 0],
        &[0x82, 2, 0, 1],
        &[0x82, 3, 0, 1, 9],
        &[0xa2, 2, 0, 1],
        &[0xa2, 3, 0, 1, 9],
        &[0x30, 0xff, 0xff, 0xff, 0x7f],
        &[0x30, 0xff, 0xff, 0xff, 0xff],
    ] {
        for level in [4, 5] {
            let bytes = [&connect_packet(level, "rude", 10), packet].concat();
            exchange_raw(broker.addr(), &bytes).await;
        }
    }
    other.publish_surely("t", "x", false).await;
    broker.stop().await;
}

#[tokio::test]
async fn more_connections_than_allowed_are_closed() {
    let broker = Broker::with(Limits {
        max_connections: 2,
        ..Limits::default()
    })
    .await;
    let mut first = broker.client("first").await;
    let second = broker.client("second").await;
    assert_eq!(
        exchange_raw(broker.addr(), &connect_packet(4, "third", 10)).await,
        [0_u8; 0]
    );
    second.disconnect().await;
    // The place is free once the broker has noticed.
    let mut answer = Vec::new();
    while answer.is_empty() {
        let mut third = TcpStream::connect(broker.addr()).await.unwrap();
        third.write_all(&connect_packet(4, "third", 10)).await.unwrap();
        let read = timeout(PATIENCE, third.read_buf(&mut answer)).await.unwrap();
        // A connection that is closed with bytes unread is reset.
        assert!(read.is_ok() || answer.is_empty());
    }
    assert_eq!(answer, [0x20, 2, 0, 0]);
    first.publish_surely("t", "x", false).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_sent_away_and_others_miss_nothing() {
    const MESSAGES: usize = 400;
    let limits = Limits {
        max_packet_bytes: 100_000,
        max_queue_bytes: 1_000_000,
        ..Limits::default()
    };
    let broker = Broker::with(limits).await;
    // Subscribes at QoS 1 and never reads.
    let mut lazy = TcpStream::connect(broker.addr()).await.unwrap();
    let subscribe = [0x82, 6, 0, 1, 0, 1, b't', 1];
    lazy.write_all(&[&connect_packet(4, "lazy", 0)[..], &subscribe].concat())
        .await
        .unwrap();
    let mut reader = broker.client("reader").await;
    reader.subscribe("t", QoS::AtLeastOnce).await;

    let publisher = broker.client("publisher").await;
    for n in 0..MESSAGES {
        publisher
            .publish("t", format!("{n:050000}"), QoS::AtLeastOnce, false)
            .await;
        assert_eq!(reader.message().await.1.trim_start_matches('0').parse().unwrap_or(0), n);
    }
    broker.until("clients have left", |figures| figures.clients <= 2).await;
    assert!(broker.handle.figures().dropped > 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_message_to_a_client_that_takes_no_such_packet_is_dropped_for_it() {
    let broker = Broker::start().await;
    let mut stream = TcpStream::connect(broker.addr()).await.unwrap();
    // MQTT 5, maximum packet size 150.
    let mut connect = vec![
        0x10, 19, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 5, 0x27, 0, 0, 0, 150, 0, 1, b's',
    ];
    connect.extend([0x82, 7, 0, 1, 0, 0, 1, b't', 0]);
    stream.write_all(&connect).await.unwrap();
    broker.until("subscribed", |figures| figures.subscriptions != 0).await;
    let mut publisher = broker.client("publisher").await;
    publisher.publish_surely("t", vec![b'x'; 200], false).await;
    publisher.publish_surely("t", "small", false).await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"small") {
        assert!(timeout(PATIENCE, stream.read_buf(&mut answer)).await.unwrap().unwrap() > 0);
    }
    assert!(!answer.windows(9).any(|w| w == b"xxxxxxxxx"));
    broker.stop().await;
}

#[tokio::test]
async fn a_goodbye_counts_also_from_a_client_that_left_much_unread() {
    let broker = Broker::start().await;
    let mut watcher = broker.client("watcher").await;
    watcher.subscribe("w", QoS::AtMostOnce).await;
    let flood = broker.client("flood").await;
    let requests = flood.requests.clone();
    let flooding = tokio::spawn(async move {
        while requests
            .publish("t", QoS::AtMostOnce, false, vec![b'x'; 20_000])
            .await
            .is_ok()
        {}
    });
    for _ in 0..100 {
        let mut stream = TcpStream::connect(broker.addr()).await.unwrap();
        let mut connect = connect_packet(4, "rude", 0);
        connect[9] |= 4;
        connect[1] += 7;
        connect.extend(*b"\0\x01w\0\x02zz");
        connect.extend([0x82, 6, 0, 1, 0, 1, b't', 0]);
        stream.write_all(&connect).await.unwrap();
        broker.until("subscribed", |figures| figures.subscriptions >= 2).await;
        stream.write_all(&[0xe0, 0]).await.unwrap();
        // With bytes unread this resets the connection.
        drop(stream);
        broker.until("unsubscribed", |figures| figures.subscriptions <= 1).await;
    }
    flooding.abort();
    flood.publish("w", "no will", QoS::AtMostOnce, false).await;
    assert_eq!(watcher.message().await.1, "no will");
    broker.stop().await;
}
