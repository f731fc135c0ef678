//! Memory that many connections take together: half packets, what waits for who does not read, filters and wills.

use std::time::Duration;

use broker::{Config, Limits, Refusal, WebSocket};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use crate::{
    attacks::{ATTACKER, guarded, resident_kib, serve_others},
    harness::{Broker, connect_packet},
    raw::{Hello, Raw},
    transports::UPGRADE,
};

const MIB: usize = 1024 * 1024;

/// A PUBLISH of QoS 1 to `t` with 5,000,000 bytes behind its header, of which so many are there.
fn part_of_a_publish(bytes: usize) -> Vec<u8> {
    let mut packet = vec![0x32, 0xc0, 0x96, 0xb1, 2, 0, 1, b't', 0, 1, 0];
    packet.resize(bytes, b'x');
    packet
}

async fn ann(broker: &Broker, id: &str) -> Raw {
    let mut raw = Raw::from(ATTACKER, broker.addr(), 5).await;
    let login = Some(("ann", "right"));
    let hello = Hello {
        id,
        login,
        ..Hello::default()
    };
    assert_eq!(raw.hello(hello).await, Some(0), "{id}");
    raw
}

#[tokio::test]
async fn half_packets_of_many_connections_take_no_more_than_may_wait() {
    const CONNECTIONS: usize = 100;
    let (broker, _folder) = guarded(Limits {
        max_waiting_bytes: 64 * MIB,
        ..Limits::default()
    })
    .await;
    let half = part_of_a_publish(4_900_000);
    let before = resident_kib();
    let mut all = Vec::new();
    let mut most = 0;
    for n in 0..CONNECTIONS {
        let mut raw = Raw::from(ATTACKER, broker.addr(), 5)
            .await
            .enter(&format!("half-{n}"))
            .await;
        raw.bytes(&half).await;
        most = most.max(broker.handle.figures().waiting_bytes);
        all.push(raw);
    }
    let grown = resident_kib().saturating_sub(before);
    println!("{CONNECTIONS} half packets of 5 MB: {grown} KiB more resident, at most {most} bytes counted");
    assert!(most > 30 * MIB as u64, "some of them are there: {most}");
    assert!(most <= 64 * MIB as u64, "{most}");
    assert!(grown < 110_000, "{grown} KiB, of 490 MB that were sent");
    // Most were sent away; who was first is still there, and may end its packet.
    broker.until("most are gone", |figures| figures.clients <= 64 / 5).await;
    all[0].bytes(&vec![b'x'; 5_000_005 - half.len()]).await;
    assert_eq!(all[0].receive().await.unwrap().0, 0x40, "a PUBACK");
    serve_others(&broker, "100 half packets").await;
    drop(all);
    broker
        .until("nothing waits", |figures| figures.waiting_bytes == 0)
        .await;
    broker.stop().await;
}

#[tokio::test]
async fn half_packets_of_one_name_leave_room_for_others() {
    let (broker, _folder) = guarded(Limits {
        max_waiting_bytes_per_name: 20 * MIB,
        ..Limits::default()
    })
    .await;
    let half = part_of_a_publish(4_900_000);
    let mut hers = Vec::new();
    for n in 0..8 {
        let mut raw = ann(&broker, &format!("half-{n}")).await;
        raw.bytes(&half).await;
        hers.push(raw);
    }
    broker.until("some are sent away", |figures| figures.clients <= 4).await;
    assert!(broker.handle.figures().waiting_bytes <= 20 * MIB as u64);
    // Others send as large a packet.
    let mut other = Raw::plain(broker.addr(), 4).await.enter("other").await;
    assert_eq!(other.publish("t", &vec![b'y'; 4_900_000], 1, false).await, 0);
    broker.stop().await;
}

/// A page's half message waits below MQTT, and counts all the same.
#[tokio::test]
async fn half_frames_count_as_half_packets_do() {
    let broker = Broker::listen(Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        websocket: Some(WebSocket {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..WebSocket::default()
        }),
        limits: Limits {
            max_waiting_bytes: 24 * MIB,
            ..Limits::default()
        },
        ..Config::default()
    })
    .await;
    // The head of a frame of 5,000,000 bytes; zeros as a mask change nothing.
    let half = [
        &[0x82, 0xff, 0, 0, 0, 0, 0, 0x4c, 0x4b, 0x40, 0, 0, 0, 0][..],
        &vec![0x30; 4_000_000],
    ]
    .concat();
    let mut pages = Vec::new();
    for n in 0..10 {
        let connect = connect_packet(4, &format!("page-{n}"), 100);
        let length = 0x80 | u8::try_from(connect.len()).unwrap();
        let frame = [&[0x82, length, 0, 0, 0, 0][..], &connect].concat();
        let mut page = TcpStream::connect(broker.handle.websocket().unwrap()).await.unwrap();
        page.write_all(&[UPGRADE.as_bytes(), &frame].concat()).await.unwrap();
        broker.until("it is in", |figures| figures.bytes_sent > n * 4).await;
        // One that is sent away meanwhile is reset.
        drop(page.write_all(&half).await);
        assert!(broker.handle.figures().waiting_bytes <= 24 * MIB as u64);
        pages.push(page);
    }
    broker.until("most are gone", |figures| figures.clients <= 3).await;
    assert!(broker.handle.figures().clients >= 1, "who was first is still there");
    let mut other = broker.client("other").await;
    other.publish_surely("t", "x", false).await;
    drop(pages);
    broker
        .until("nothing waits", |figures| figures.waiting_bytes == 0)
        .await;
    broker.stop().await;
}

#[tokio::test]
async fn what_waits_for_many_connections_of_one_name_is_bounded_and_others_miss_nothing() {
    const MESSAGES: usize = 60;
    let (broker, _folder) = guarded(Limits {
        max_waiting_bytes_per_name: 12 * MIB,
        ..Limits::default()
    })
    .await;
    // None of them reads.
    let mut deaf = Vec::new();
    for n in 0..6 {
        let mut raw = ann(&broker, &format!("deaf-{n}")).await;
        assert_eq!(raw.subscribe("t", 0).await, 0);
        deaf.push(raw);
    }
    let mut reader = Raw::plain(broker.addr(), 4).await.enter("reader").await;
    assert_eq!(reader.subscribe("t", 1).await, 1);
    let mut publisher = Raw::plain(broker.addr(), 4).await.enter("publisher").await;
    let payload = vec![b'x'; MIB];
    let mut most = 0;
    for _ in 0..MESSAGES {
        publisher.publish("t", &payload, 1, false).await;
        reader.topics_until("t").await;
        most = most.max(broker.handle.figures().waiting_bytes);
    }
    println!("6 connections of one name that do not read: at most {most} bytes wait");
    // Of the reader, who is served at once, a message may wait as well.
    assert!((6 * MIB as u64..18 * MIB as u64).contains(&most), "{most}");
    assert!(broker.handle.figures().dropped > 0);
    drop(deaf);
    broker.stop().await;
}

#[tokio::test]
async fn filters_and_wills_of_one_name_leave_room_for_others() {
    let (broker, _folder) = guarded(Limits {
        max_session_bytes_per_name: 100_000,
        ..Limits::default()
    })
    .await;
    // 128 levels: 8 KiB.
    let deep = |n: usize| format!("{n}{}", "/+".repeat(127));
    let mut hers = Vec::new();
    let mut granted = 0;
    for n in 0..4 {
        let mut raw = ann(&broker, &format!("many-{n}")).await;
        for filter in 0..5 {
            granted += usize::from(raw.subscribe(&deep(filter), 1).await == 1);
        }
        hers.push(raw);
    }
    assert!(
        (10..13).contains(&granted),
        "{granted} filters of 8 KiB in 100,000 bytes"
    );
    let figures = broker.handle.figures();
    assert_eq!(figures.refused.of(Refusal::Subscribe), 20 - granted as u64);
    assert!(figures.session_bytes <= 100_000);
    // Nor does a will find room.
    let mut willing = Raw::from(ATTACKER, broker.addr(), 5).await;
    let long = "w".repeat(20_000);
    let hello = Hello {
        id: "will",
        login: Some(("ann", "right")),
        will: Some(&long),
        ..Hello::default()
    };
    assert_eq!(willing.hello(hello).await, Some(0x97));
    let mut other = Raw::plain(broker.addr(), 5).await.enter("other").await;
    assert_eq!(other.subscribe(&deep(7), 1).await, 1);
    drop((hers, other));
    broker
        .until("nothing is held", |figures| figures.session_bytes == 0)
        .await;
    broker.stop().await;
}

#[tokio::test]
async fn who_drips_a_packet_is_sent_away_and_a_slow_line_is_not() {
    let broker = Broker::start().await;
    let hello = |id| Hello {
        id,
        keep_alive_s: 1,
        ..Hello::default()
    };
    let mut drips = Raw::plain(broker.addr(), 5).await;
    assert_eq!(drips.hello(hello("drips")).await, Some(0));
    let mut slow = Raw::plain(broker.addr(), 5).await;
    assert_eq!(slow.hello(hello("slow")).await, Some(0));
    // 12,000 bytes are announced of each.
    for raw in [&mut drips, &mut slow] {
        raw.bytes(&[0x32, 0xe0, 0x5d, 0, 1, b't', 0, 1, 0]).await;
    }
    let before = std::time::Instant::now();
    for n in 0..12 {
        drips.bytes(b"x").await;
        slow.bytes(&[b'y'; 900]).await;
        sleep(Duration::from_millis(250)).await;
        if n == 1 {
            assert_eq!(broker.handle.figures().clients, 2, "not before 1.5 s");
        }
    }
    assert_eq!(drips.ended().await, Some(0x8d), "KeepAliveTimeout");
    assert!(before.elapsed() >= Duration::from_millis(1_500));
    assert_eq!(broker.handle.figures().clients, 1);
    // Less what stands before the payload.
    slow.bytes(&[b'y'; 12_000 - 6 - 12 * 900]).await;
    assert_eq!(slow.receive().await.unwrap().0, 0x40, "a PUBACK");
    broker.stop().await;
}
