//! `/metrics`.

use std::net::SocketAddr;

use broker::{Config, Limits};
use rumqttc::QoS;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::harness::{Broker, PATIENCE, connect_packet};

async fn ask(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap();
    drop(read);
    answer
}

pub(crate) async fn scrape(broker: &Broker) -> String {
    let addr = broker.handle.metrics().unwrap();
    ask(addr, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await
}

async fn started() -> Broker {
    Broker::listen(Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        metrics: Some("127.0.0.1:0".parse().unwrap()),
        limits: Limits {
            max_packet_bytes: 100_000,
            max_queue_bytes: 1_000_000,
            ..Limits::default()
        },
        ..Config::default()
    })
    .await
}

#[tokio::test]
async fn figures_refusals_and_who_does_not_keep_up_are_told() {
    let broker = started().await;
    // Subscribes to `t` at QoS 0 and to `q` at QoS 1, and never reads.
    let mut lazy = TcpStream::connect(broker.addr()).await.unwrap();
    let subscribe = [0x82, 10, 0, 1, 0, 1, b't', 0, 0, 1, b'q', 1];
    lazy.write_all(&[&connect_packet(4, "lazy", 0)[..], &subscribe].concat())
        .await
        .unwrap();
    crate::harness::exchange_raw(broker.addr(), &[0xff; 40]).await;
    broker.until("subscribed", |figures| figures.subscriptions >= 2).await;
    let mut publisher = broker.client("publisher").await;
    // To what begins with `$` nobody publishes.
    publisher.publish_surely("$x", "x", false).await;
    while broker.handle.figures().dropped == 0 {
        publisher.publish("t", vec![b'x'; 50_000], QoS::AtMostOnce, false).await;
        publisher.publish_surely("q", "x", false).await;
    }
    let text = scrape(&broker).await;
    for line in [
        "HTTP/1.1 200 OK",
        "# HELP foreshadow_broker_clients Clients connected.",
        "foreshadow_broker_clients 2.0",
        "foreshadow_broker_subscriptions 2.0",
        "foreshadow_broker_router_restarts_total 0",
        "foreshadow_broker_connections_refused_total{reason=\"malformed\"} 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} not in:\n{text}");
    }
    for name in [
        "client_messages_dropped_total{client=\"lazy\"}",
        "client_waiting_bytes{client=\"lazy\"}",
        "client_publishers_slowed_total{client=\"lazy\"}",
        "client_refused_total{client=\"publisher\"}",
        "resident_bytes",
        "cpu_seconds",
        "messages_published_total",
    ] {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("foreshadow_broker_{name} ")));
        let value: f64 = value
            .unwrap_or_else(|| panic!("{name} not in:\n{text}"))
            .parse()
            .unwrap();
        assert!(value > 0.0, "{name}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn what_is_no_scrape_is_answered_or_ended() {
    let broker = started().await;
    let addr = broker.handle.metrics().unwrap();
    for (request, answer) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405"),
        ("nonsense\r\n\r\n", "HTTP/1.1 400"),
    ] {
        let text = ask(addr, request).await;
        assert!(text.starts_with(answer), "{request:?}: {text}");
    }
    ask(addr, &"a".repeat(100_000)).await;
    // Silent ones, as many as are served at once, are ended: the next is answered.
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(TcpStream::connect(addr).await.unwrap());
    }
    assert!(scrape(&broker).await.starts_with("HTTP/1.1 200"));
    broker.stop().await;
}
