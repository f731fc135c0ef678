//! Messages, subscriptions and filters without end from one address, and what a client at another notices of them.

use std::time::{Duration, Instant};

use broker::{Limits, Refusal};

use crate::{
    attacks::{ATTACKER, guarded, serve_others},
    raw::Raw,
};

#[tokio::test]
async fn who_publishes_faster_than_it_may_waits_alone() {
    let (broker, _folder) = guarded(Limits {
        max_messages_per_s: 200,
        ..Limits::default()
    })
    .await;
    let mut fast = Raw::from(ATTACKER, broker.addr(), 4).await.enter("fast").await;
    let before = Instant::now();
    for n in 0..500 {
        // The last one is answered.
        fast.publish("flood", b"x", u8::from(n == 499), false).await;
        if n == 300 {
            serve_others(&broker, "a flood of messages").await;
        }
    }
    let took = before.elapsed();
    assert!(
        took >= Duration::from_millis(1_400),
        "500 messages at 200 a second, 200 at once: {took:?}"
    );
    assert!(broker.handle.figures().delayed >= 250);
    broker.stop().await;
}

#[tokio::test]
async fn who_subscribes_faster_than_it_may_publish_waits_alone() {
    let (broker, _folder) = guarded(Limits {
        max_messages_per_s: 100,
        ..Limits::default()
    })
    .await;
    let mut fast = Raw::from(ATTACKER, broker.addr(), 4).await.enter("fast").await;
    let before = Instant::now();
    for n in 0..250 {
        assert_eq!(fast.subscribe(&format!("many/{}", n % 10), 1).await, 1);
        if n == 150 {
            serve_others(&broker, "a flood of subscriptions").await;
        }
    }
    let took = before.elapsed();
    assert!(
        took >= Duration::from_millis(1_400),
        "250 subscriptions at 100 a second, 100 at once: {took:?}"
    );
    assert!(broker.handle.figures().delayed >= 100);
    broker.stop().await;
}

/// The body of a SUBSCRIBE (or UNSUBSCRIBE, without `options`) of MQTT 5 with the filter `a` so many times.
fn bomb(filters: usize, options: &[u8]) -> Vec<u8> {
    [&[0, 1, 0][..], &[&[0, 1, b'a'], options].concat().repeat(filters)].concat()
}

#[tokio::test]
async fn bombs_of_filters_end_their_connection_alone() {
    let (broker, _folder) = guarded(Limits::default()).await;
    let enter = async || Raw::from(ATTACKER, broker.addr(), 5).await.enter("bomber").await;
    // 5 MB of filters, as many as a packet of 64 KiB has room for, and one more than a client may have.
    for (filters, code) in [(1_200_000, 0x95), (16_000, 0x97), (1_001, 0x97)] {
        for (kind, options) in [(0x82, &[1][..]), (0xa2, &[])] {
            let mut bomber = enter().await;
            bomber.send(kind, &bomb(filters, options)).await;
            assert_eq!(bomber.ended().await, Some(code), "{filters} filters, {kind:x}");
        }
    }
    let mut bomber = enter().await;
    bomber.send(0x82, &bomb(1_000, &[1])).await;
    assert_eq!(bomber.receive().await.unwrap().0, 0x90);
    assert_eq!(broker.handle.figures().subscriptions, 1);
    serve_others(&broker, "bombs of filters").await;
    broker.stop().await;
}

#[tokio::test]
async fn who_unsubscribes_faster_than_it_may_publish_waits_alone() {
    let (broker, _folder) = guarded(Limits {
        max_messages_per_s: 100,
        ..Limits::default()
    })
    .await;
    let mut fast = Raw::from(ATTACKER, broker.addr(), 5).await.enter("fast").await;
    let before = Instant::now();
    for _ in 0..5 {
        fast.send(0xa2, &bomb(50, &[])).await;
    }
    serve_others(&broker, "a flood of UNSUBSCRIBE").await;
    for _ in 0..5 {
        assert_eq!(fast.receive().await.unwrap().0, 0xb0);
    }
    let took = before.elapsed();
    assert!(
        took >= Duration::from_millis(1_400),
        "250 filters at 100 a second, 100 at once: {took:?}"
    );
    broker.stop().await;
}

#[tokio::test]
async fn who_joins_many_groups_gets_a_message_no_more_than_ten_times() {
    let (broker, _folder) = guarded(Limits::default()).await;
    let mut many = Raw::from(ATTACKER, broker.addr(), 5).await.enter("many").await;
    let mut granted = 0;
    for n in 0..500 {
        match many.subscribe(&format!("$share/g{n}/honest"), 1).await {
            1 => granted += 1,
            refused => assert_eq!(refused, 0x97, "QuotaExceeded"),
        }
    }
    assert_eq!(granted, 10);
    assert_eq!(broker.handle.figures().refused.of(Refusal::Subscribe), 490);
    let before = broker.handle.figures().delivered;
    serve_others(&broker, "500 groups").await;
    // Each of 50 honest messages comes to its sender, and at most ten times to the other.
    broker
        .until("all is delivered", |figures| figures.delivered >= before + 50)
        .await;
    let delivered = broker.handle.figures().delivered - before;
    assert!(delivered <= 50 * 11, "{delivered}");
    broker.stop().await;
}
