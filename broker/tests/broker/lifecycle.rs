//! Start, stop, and start again.

use std::time::Duration;

use broker::{BrokerError, Config};
use rumqttc::QoS;
use runtime::Shutdown;

use crate::harness::Broker;

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let broker = Broker::start().await;
    let config = Config {
        listen: broker.addr(),
        ..Config::default()
    };
    let Err(error) = broker::start(config, Shutdown::new()).await else {
        panic!("two brokers on one port")
    };
    assert!(matches!(error, BrokerError::InUse { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&broker.addr().to_string()) && text.contains("`listen`"),
        "{text}"
    );
    broker.stop().await;
}

#[tokio::test]
async fn it_stops_within_a_second_and_starts_again_on_the_same_port() {
    let broker = Broker::start().await;
    let addr = broker.addr();
    let busy = broker.client("busy").await;
    let silent = tokio::net::TcpStream::connect(addr).await.unwrap();
    busy.publish("t", "x", QoS::AtMostOnce, false).await;
    let took = broker.stop().await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    busy.ended().await;
    drop(silent);

    let broker = Broker::listen(Config {
        listen: addr,
        ..Config::default()
    })
    .await;
    let mut client = broker.client("busy").await;
    client.publish_surely("t", "x", false).await;
    broker.stop().await;
}
