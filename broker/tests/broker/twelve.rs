//! The twelve faults of rumqttd as shipped that were reproduced before this broker was begun: none of them is here.
//!
//! | fault | test |
//! |---|---|
//! | 1 a client id with `/ + # $` that connects twice poisons a lock | `robustness.rs` `odd_client_ids_are_harmless_also_twice` |
//! | 2 so does a client that retries past `max_connections` | `robustness.rs` `more_connections_than_allowed_are_closed` |
//! | 3 a lasting `$share` client with an unacknowledged message stops the router | `twelve.rs` `fault_3_a_lasting_member_that_drops_with_a_message_unacknowledged_harms_nobody` |
//! | 4 properties of MQTT 5 stop the router at a subscriber of 3.1.1 | `twelve.rs` `fault_4_properties_of_version_5_pass_to_5_and_are_left_out_for_3` |
//! | 5 topic aliases mix up topics | `twelve.rs` `fault_5_no_topic_alias_is_offered_none_is_taken_and_none_is_used` |
//! | 6 one silent client blocks a TLS port | `tls.rs` `silence_instead_of_a_handshake_blocks_nobody_and_ends` |
//! | 7 `$SYS/#` ends the connection | `delivery.rs` `the_sys_tree_is_answered_and_not_part_of_everything` |
//! | 8 no access control a topic, no answer to a refused login | `roles.rs` `an_agent_speaks_for_its_own_hosts_alone`, `login.rs` `a_password_lets_in_and_a_wrong_one_does_not` |
//! | 9 retained messages are replayed to 200 topics, nothing survives a restart | `twelve.rs` `fault_9_retained_messages_are_replayed_however_many_there_are`, `fault_9_retained_messages_and_sessions_survive_a_restart`, `fault_9_what_was_acknowledged_survives_a_kill` |
//! | 10 a slow subscriber loses messages without a sign | `twelve.rs` `fault_10_a_client_that_misses_messages_finds_no_session` |
//! | 11 memory that is never freed, a router log for each filter | `twelve.rs` `fault_11_filters_and_sessions_that_are_over_leave_nothing`, `fault_11_the_filters_of_twenty_thousand_hosts_take_little` |
//! | 12 no way to stop | `lifecycle.rs` `it_stops_within_a_second_and_starts_again_on_the_same_port` |
//!
//! `tests/tidy/documents.rs` checks that they are there.

use broker::{Config, Limits};
use rumqttc::{Event, Incoming, MqttOptions, QoS};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    attacks::resident_kib,
    harness::{Broker, Client, PATIENCE},
    raw::Raw,
};

fn lasting(broker: &Broker, id: &str) -> MqttOptions {
    let mut options = broker.options(id);
    options.set_clean_session(false);
    options
}

/// Connects and tells whether there was a session.
async fn come_back(options: MqttOptions) -> (Client, bool) {
    let mut client = Client::begin(options);
    let is_ack = |event: &Event| matches!(event, Event::Incoming(Incoming::ConnAck(_)));
    let Event::Incoming(Incoming::ConnAck(ack)) = client.until(is_ack).await else {
        unreachable!()
    };
    (client, ack.session_present)
}

fn kept_in(folder: &std::path::Path) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: Some(folder.to_owned()),
        ..Config::default()
    }
}

#[tokio::test]
async fn fault_3_a_lasting_member_that_drops_with_a_message_unacknowledged_harms_nobody() {
    let broker = Broker::start().await;
    let mut options = lasting(&broker, "member");
    options.set_manual_acks(true);
    let mut member = Client::connect(options).await;
    member.subscribe("$share/g/t", QoS::AtLeastOnce).await;
    let mut publisher = broker.client("publisher").await;
    publisher.publish_surely("t", "1", false).await;
    assert_eq!(member.message().await.1, "1");
    member.drop_connection().await;
    broker
        .until("a session waits", |figures| figures.sessions_away >= 1)
        .await;
    publisher.publish_surely("t", "2", false).await;
    let (mut member, present) = come_back(lasting(&broker, "member")).await;
    assert!(present);
    assert_eq!(member.message().await.1, "1");
    assert_eq!(member.message().await.1, "2");
    broker.stop().await;
}

#[tokio::test]
async fn fault_4_properties_of_version_5_pass_to_5_and_are_left_out_for_3() {
    let broker = Broker::start().await;
    let mut old = Raw::plain(broker.addr(), 4).await.enter("old").await;
    let mut new = Raw::plain(broker.addr(), 5).await.enter("new").await;
    for raw in [&mut old, &mut new] {
        assert_eq!(raw.subscribe("p", 1).await, 1);
    }
    let mut publisher = Raw::plain(broker.addr(), 5).await.enter("publisher").await;
    // Payload format, content type, response topic, correlation data, a user property; and an expiry, which counts down.
    let properties = b"\x01\x01\x03\x00\x01c\x08\x00\x01r\x09\x00\x02xy\x26\x00\x01k\x00\x01v";
    let expiry = b"\x02\x00\x00\x0e\x10";
    let length = u8::try_from(properties.len() + expiry.len()).unwrap();
    let body = [&b"\x00\x01p\x00\x07"[..], &[length], properties, expiry, b"payload"].concat();
    publisher.send(0x32, &body).await;
    assert_eq!(publisher.receive().await.unwrap().0, 0x40, "a PUBACK");

    let (kind, body) = old.receive().await.unwrap();
    assert_eq!(
        (kind, &body[..3], &body[5..]),
        (0x32, &b"\x00\x01p"[..], &b"payload"[..])
    );
    let (kind, body) = new.receive().await.unwrap();
    assert_eq!(
        (kind, &body[..3], usize::from(body[5])),
        (0x32, &b"\x00\x01p"[..], usize::from(length))
    );
    assert!(
        body.windows(properties.len()).any(|part| part == properties),
        "{body:?}"
    );
    assert!(body.ends_with(b"payload"));
    // Both go on.
    for raw in [&mut old, &mut new] {
        raw.ping().await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn fault_5_no_topic_alias_is_offered_none_is_taken_and_none_is_used() {
    let broker = Broker::start().await;
    let mut stream = TcpStream::connect(broker.addr()).await.unwrap();
    // CONNECT of version 5 that takes ten aliases, then SUBSCRIBE to `+`.
    stream
        .write_all(b"\x10\x11\0\x04MQTT\x05\x02\0\x00\x03\x22\0\x0a\0\x01c\x82\x07\0\x01\0\0\x01+\x00")
        .await
        .unwrap();
    broker.until("subscribed", |figures| figures.subscriptions >= 1).await;
    let mut publisher = broker.client("publisher").await;
    for topic in ["h1", "h2", "h1"] {
        publisher.publish_surely(topic, topic, false).await;
    }
    let mut came = Vec::new();
    let expected = b"\x30\x07\0\x02h1\0h1\x30\x07\0\x02h2\0h2\x30\x07\0\x02h1\0h1";
    while !came.ends_with(expected) {
        let read = timeout(PATIENCE, stream.read_buf(&mut came)).await;
        assert!(read.expect("each message bears its topic").unwrap() > 0);
    }
    assert!(
        came.windows(3).any(|bytes| bytes == [0x22, 0, 0]),
        "the CONNACK offers none"
    );
    // PUBLISH with alias 1.
    stream.write_all(b"\x30\x07\0\x01a\x03\x23\0\x01").await.unwrap();
    timeout(PATIENCE, stream.read_to_end(&mut came)).await.unwrap().unwrap();
    broker.stop().await;
}

#[tokio::test]
async fn fault_9_retained_messages_are_replayed_however_many_there_are() {
    const TOPICS: usize = 20_000;
    let broker = Broker::start().await;
    let mut publisher = broker.client("publisher").await;
    for n in 0..TOPICS {
        publisher
            .publish(&format!("r/{n:05}"), n.to_string(), QoS::AtMostOnce, true)
            .await;
    }
    publisher.publish_surely("r/last", "x", true).await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let mut subscriber = broker.client("subscriber").await;
        subscriber.subscribe("r/+", qos).await;
        for n in 0..TOPICS {
            assert_eq!(subscriber.message().await.1, n.to_string());
        }
        assert_eq!(subscriber.message().await.0, "r/last");
        subscriber.disconnect().await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn fault_9_retained_messages_and_sessions_survive_a_restart() {
    let temp = tempfile::tempdir().unwrap();
    let broker = Broker::listen(kept_in(temp.path())).await;
    let (mut sleeper, present) = come_back(lasting(&broker, "sleeper")).await;
    assert!(!present);
    sleeper.subscribe("q/#", QoS::ExactlyOnce).await;
    sleeper.drop_connection().await;
    let mut publisher = broker.client("publisher").await;
    publisher.publish_surely("r", "kept", true).await;
    publisher.publish_surely("q/1", "one", false).await;
    publisher.publish("q/2", "two", QoS::ExactlyOnce, false).await;
    publisher
        .until(|event| matches!(event, Event::Incoming(Incoming::PubComp(_))))
        .await;
    broker.stop().await;

    let broker = Broker::listen(kept_in(temp.path())).await;
    let (mut sleeper, present) = come_back(lasting(&broker, "sleeper")).await;
    assert!(present);
    assert_eq!(
        sleeper.message().await,
        ("q/1".to_owned(), "one".to_owned(), false, QoS::AtLeastOnce)
    );
    assert_eq!(
        sleeper.message().await,
        ("q/2".to_owned(), "two".to_owned(), false, QoS::ExactlyOnce)
    );
    let mut publisher = broker.client("publisher").await;
    publisher.publish_surely("q/3", "three", false).await;
    assert_eq!(sleeper.message().await.1, "three", "its subscription survived");
    publisher.subscribe("r", QoS::AtMostOnce).await;
    assert_eq!(publisher.message().await.1, "kept");
    broker.stop().await;
}

#[tokio::test]
async fn fault_9_what_was_acknowledged_survives_a_kill() {
    const MESSAGES: usize = 300;
    let temp = tempfile::tempdir().unwrap();
    let port = crate::ports::free_port();
    let config = temp.path().join("broker.toml");
    let data = temp.path().join("data");
    std::fs::write(&config, format!("listen = '127.0.0.1:{port}'\ndata = {data:?}\n")).unwrap();
    let start = || {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_foreshadow-broker"));
        command.arg("--config").arg(&config).kill_on_drop(true).spawn().unwrap()
    };
    let options = |id: &str, clean| {
        let mut options = MqttOptions::new(id, "127.0.0.1", port);
        options.set_clean_session(clean);
        options
    };
    let listening = || async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let mut process = start();
    timeout(PATIENCE, listening()).await.unwrap();
    let mut sleeper = Client::connect(options("sleeper", false)).await;
    sleeper.subscribe("q", QoS::AtLeastOnce).await;
    sleeper.drop_connection().await;
    let mut publisher = Client::connect(options("publisher", true)).await;
    for n in 0..MESSAGES {
        publisher.publish_surely("q", n.to_string(), true).await;
    }
    process.kill().await.unwrap();

    let mut process = start();
    timeout(PATIENCE, listening()).await.unwrap();
    let (mut sleeper, present) = come_back(options("sleeper", false)).await;
    assert!(present);
    for n in 0..MESSAGES {
        assert_eq!(sleeper.message().await.1, n.to_string());
    }
    let mut late = Client::connect(options("late", true)).await;
    late.subscribe("q", QoS::AtMostOnce).await;
    assert_eq!(late.message().await.1, (MESSAGES - 1).to_string());
    process.kill().await.unwrap();
}

#[tokio::test]
async fn fault_10_a_client_that_misses_messages_finds_no_session() {
    let limits = Limits {
        max_packet_bytes: 2_000,
        max_queue_bytes: 5_000,
        ..Limits::default()
    };
    let broker = Broker::with(limits).await;
    let (mut sleeper, _) = come_back(lasting(&broker, "sleeper")).await;
    sleeper.subscribe("t", QoS::AtLeastOnce).await;
    sleeper.drop_connection().await;
    broker
        .until("a session waits", |figures| figures.sessions_away >= 1)
        .await;
    let mut publisher = broker.client("publisher").await;
    for _ in 0..5 {
        publisher.publish_surely("t", vec![b'x'; 1_000], false).await;
    }
    assert_eq!(broker.handle.figures().sessions_discarded, 1);
    let (_, present) = come_back(lasting(&broker, "sleeper")).await;
    assert!(!present);
    broker.stop().await;
}

#[tokio::test]
async fn fault_11_filters_and_sessions_that_are_over_leave_nothing() {
    let broker = Broker::start().await;
    for round in 0..3 {
        let mut client = broker.client("c").await;
        for n in 0..100 {
            client.subscribe(&format!("{round}/{n}/#"), QoS::ExactlyOnce).await;
        }
        client.disconnect().await;
    }
    broker.until("clients have left", |figures| figures.clients == 0).await;
    let figures = broker.handle.figures();
    assert_eq!(
        (figures.subscriptions, figures.sessions_away, figures.stored),
        (0, 0, 0)
    );
    broker.stop().await;
}

/// rumqttd as shipped has a log and a set of waiting clients for each filter, for ever.
#[tokio::test]
async fn fault_11_the_filters_of_twenty_thousand_hosts_take_little() {
    const HOSTS: usize = 20_000;
    const EACH: usize = 500;
    let broker = Broker::start().await;
    let mut agents = Vec::new();
    let before = resident_kib();
    for first in (0..HOSTS).step_by(EACH) {
        let mut agent = Raw::plain(broker.addr(), 4)
            .await
            .enter(&format!("agent-{first}"))
            .await;
        let mut filters = vec![0, 1];
        for host in first..first + EACH {
            for kind in ["command", "watermark"] {
                let filter = format!("foreshadow/main/web-{host:05}/bin/inband/{kind}");
                filters.extend(u16::try_from(filter.len()).unwrap().to_be_bytes());
                filters.extend(filter.bytes());
                filters.push(1);
            }
        }
        agent.send(0x82, &filters).await;
        let (kind, codes) = agent.receive().await.unwrap();
        assert_eq!((kind, codes.len()), (0x90, 2 + 2 * EACH));
        assert!(codes[2..].iter().all(|code| *code == 1), "all are granted");
        agents.push(agent);
    }
    let grown = resident_kib().saturating_sub(before);
    let a_filter = grown * 1024 / (2 * HOSTS);
    println!(
        "{} filters of {HOSTS} hosts: {grown} KiB more resident, {a_filter} bytes a filter",
        2 * HOSTS
    );
    assert_eq!(broker.handle.figures().subscriptions, 2 * HOSTS as u64);
    // As many logs of a router would take some gigabytes.
    assert!(grown < 100_000, "{grown} KiB");
    // Each finds its own, and at once.
    let mut brain = Raw::plain(broker.addr(), 4).await.enter("brain").await;
    for host in [0, 499, 500, 19_999] {
        let topic = format!("foreshadow/main/web-{host:05}/bin/inband/watermark");
        brain.publish(&topic, b"x", 1, false).await;
        assert_eq!(agents[host / EACH].topics_until(&topic).await, [topic]);
    }
    drop(agents);
    broker
        .until("they have left", |figures| figures.subscriptions == 0)
        .await;
    broker.stop().await;
}
