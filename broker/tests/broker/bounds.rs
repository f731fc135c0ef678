//! Bounds of what a client may have: connections that have not said who they are, messages under way, silence.

use broker::{Limits, Refusal};
use runtime::Span;

use crate::{
    attacks::{ATTACKER, guarded, serve_others},
    raw::{Raw, connect_from},
};

/// Silence from many addresses, each of which has fewer than it may.
#[tokio::test]
async fn those_that_have_not_said_who_they_are_are_bounded_from_all_addresses_together() {
    let (broker, _folder) = guarded(Limits {
        max_unfinished: 60,
        ..Limits::default()
    })
    .await;
    let mut held = Vec::new();
    for address in ATTACKER..ATTACKER + 5 {
        for _ in 0..20 {
            held.push(connect_from(address, broker.addr()).await);
        }
    }
    broker
        .until("40 are turned away", |figures| {
            figures.refused.of(Refusal::Connection) >= 40
        })
        .await;
    let figures = broker.handle.figures();
    assert_eq!(figures.refused.of(Refusal::Connection), 40, "60 of 100 wait");
    assert_eq!(
        figures.refused.of(Refusal::Address),
        0,
        "each address has fewer than its 50"
    );
    // There is room again once some have left.
    held.truncate(50);
    serve_others(&broker, "50 connections that say nothing").await;
    broker.stop().await;
}

#[tokio::test]
async fn no_more_is_under_way_to_a_client_than_may_be() {
    const MAX: u16 = 3;
    let (broker, _folder) = guarded(Limits {
        max_in_flight: MAX,
        ..Limits::default()
    })
    .await;
    let mut slow = Raw::plain(broker.addr(), 4).await.enter("slow").await;
    slow.subscribe("t", 1).await;
    let mut other = Raw::plain(broker.addr(), 4).await.enter("other").await;
    for _ in 0..10 {
        other.publish("t", b"x", 1, false).await;
    }
    let mut ids = Vec::new();
    for n in 0..10 {
        let (kind, body) = slow.receive().await.unwrap();
        assert_eq!(kind & 0xf0, 0x30, "a message");
        // Behind the topic, whose length is two bytes before it.
        ids.push(body[3..5].to_vec());
        if n + 1 >= usize::from(MAX) {
            // What comes next is the answer to a ping, for all that may be under way is.
            slow.send(0xc0, &[]).await;
            assert_eq!(slow.receive().await.unwrap().0, 0xd0, "after {} messages", n + 1);
            slow.send(0x40, &ids.remove(0)).await;
        }
    }
    broker.stop().await;
}

#[tokio::test]
async fn who_asks_for_no_end_of_silence_is_given_one() {
    let (broker, _folder) = guarded(Limits {
        max_keep_alive: Span::from_secs(1),
        ..Limits::default()
    })
    .await;
    let mut silent = Raw::plain(broker.addr(), 4).await.enter("silent").await;
    assert_eq!(silent.ended().await, None);
    let mut told = Raw::plain(broker.addr(), 5).await;
    told.send(0x10, &[0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0, 0, 1, b't'])
        .await;
    let (_, connack) = told.receive().await.unwrap();
    assert!(
        connack.windows(3).any(|w| w == [0x13, 0, 1]),
        "server keep alive, 1 s: {connack:?}"
    );
    assert_eq!(told.ended().await, Some(0x8d), "KeepAliveTimeout");
    broker.stop().await;
}
