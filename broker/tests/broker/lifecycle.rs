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

/// What one topic retains is one message, however often it changes: the journal is written anew before it is much longer than that.
#[tokio::test]
async fn a_journal_that_has_grown_is_written_anew_and_says_the_same() {
    const MIB: usize = 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let config = || Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: Some(folder.path().to_owned()),
        ..Config::default()
    };
    let broker = Broker::listen(config()).await;
    let mut client = broker.client("publisher").await;
    let mut most = 0;
    for n in 0..60 {
        let mut payload = vec![b'x'; MIB];
        payload[0] = n;
        client.publish_surely("one", payload, true).await;
        most = most.max(broker.handle.figures().journal_bytes);
    }
    broker
        .until("it is written anew", |figures| figures.journal_bytes < 40 * MIB as u64)
        .await;
    println!("60 MiB onto one topic: the journal has at most {most} bytes while they come");
    let files: u64 = folder
        .path()
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(files < 40 * MIB as u64, "{files} bytes on disk");
    broker.stop().await;
    let broker = Broker::listen(config()).await;
    let mut client = broker.client("reader").await;
    client.subscribe("one", QoS::AtMostOnce).await;
    let (_, payload, retained, _) = client.message().await;
    assert_eq!((payload.len(), payload.as_bytes()[0], retained), (MIB, 59, true));
    broker.stop().await;
}
