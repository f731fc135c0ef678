//! Why a connection ends, as a client of MQTT 5 is told on the wire.

use broker::Limits;

use crate::{harness::Broker, raw::Raw};

#[tokio::test]
async fn who_must_not_miss_what_does_not_fit_is_told_so() {
    let broker = Broker::with(Limits {
        max_packet_bytes: 20_000,
        max_queue_bytes: 100_000,
        ..Limits::default()
    })
    .await;
    // It reads, but says of nothing that it has it: what is not under way waits, up to its bound.
    let mut slow = Raw::plain(broker.addr(), 5).await.enter("slow").await;
    assert_eq!(slow.subscribe("t", 1).await, 1);
    let mut publisher = Raw::plain(broker.addr(), 5).await.enter("publisher").await;
    for _ in 0..130 {
        assert_eq!(publisher.publish("t", &[b'x'; 10_000], 1, false).await, 0);
    }
    assert_eq!(slow.ended().await, Some(0x97), "QuotaExceeded");
    broker.until("it has left", |figures| figures.clients == 1).await;
    broker.stop().await;
}

#[tokio::test]
async fn who_is_taken_over_is_told_so() {
    let broker = Broker::start().await;
    let mut first = Raw::plain(broker.addr(), 5).await.enter("same").await;
    let mut second = Raw::plain(broker.addr(), 5).await.enter("same").await;
    assert_eq!(first.ended().await, Some(0x8e), "SessionTakenOver");
    second.ping().await;
    broker.stop().await;
}

#[tokio::test]
async fn who_begins_more_of_qos_2_than_may_be_under_way_is_told_so() {
    const UNDER_WAY: u16 = 1_000;
    let broker = Broker::start().await;
    let mut rude = Raw::plain(broker.addr(), 5).await.enter("rude").await;
    for id in 1..=UNDER_WAY {
        let [high, low] = id.to_be_bytes();
        rude.send(0x34, &[0, 1, b't', high, low, 0]).await;
        assert_eq!(rude.receive().await.unwrap().0, 0x50, "a PUBREC");
    }
    // One of them again is none more.
    rude.send(0x3c, &[0, 1, b't', 0, 1, 0]).await;
    assert_eq!(rude.receive().await.unwrap().0, 0x50, "a PUBREC");
    let [high, low] = (UNDER_WAY + 1).to_be_bytes();
    rude.send(0x34, &[0, 1, b't', high, low, 0]).await;
    assert_eq!(rude.ended().await, Some(0x93), "ReceiveMaximumExceeded");
    broker.stop().await;
}
