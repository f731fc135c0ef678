//! A process that is told to stop under load keeps its word.

use std::{
    collections::HashSet,
    fs,
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, Outgoing, QoS};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::harness::PATIENCE;

/// A process of its own, and where it listens.
async fn process(folder: &std::path::Path) -> (Child, SocketAddr) {
    let config = folder.join("broker.toml");
    fs::write(&config, "listen = '127.0.0.1:0'").unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_foreshadow-broker"))
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
    let addr = loop {
        let line = timeout(PATIENCE, log.next_line()).await.unwrap().unwrap();
        let line = line.expect("it has ended");
        if let Some((_, rest)) = line.split_once("addr=") {
            break rest.split_whitespace().next().unwrap().parse().unwrap();
        }
    };
    // What it goes on to say is read, so that it is not kept from saying it.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    (process, addr)
}

fn options(addr: SocketAddr, id: &str) -> MqttOptions {
    let mut options = MqttOptions::new(id, addr.ip().to_string(), addr.port());
    options.set_inflight(100);
    options
}

/// Publishes numbers until the connection ends; tells which were acknowledged.
fn publisher(addr: SocketAddr, name: String) -> JoinHandle<HashSet<String>> {
    tokio::spawn(async move {
        let (client, mut eventloop) = AsyncClient::new(options(addr, &name), 100);
        let feeding = tokio::spawn(async move {
            for n in 0_u64.. {
                let payload = format!("{name}-{n}");
                if client.publish("load", QoS::AtLeastOnce, false, payload).await.is_err() {
                    break;
                }
            }
        });
        // Ids are given in the order of publishing.
        let (mut sent, mut under_way, mut acknowledged) = (0_u64, std::collections::HashMap::new(), HashSet::new());
        let name = eventloop.mqtt_options.client_id();
        while let Ok(event) = eventloop.poll().await {
            match event {
                Event::Outgoing(Outgoing::Publish(id)) => {
                    under_way.insert(id, format!("{name}-{sent}"));
                    sent += 1;
                }
                Event::Incoming(Incoming::PubAck(ack)) => acknowledged.extend(under_way.remove(&ack.pkid)),
                _ => (),
            }
        }
        feeding.abort();
        acknowledged
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_that_was_acknowledged_before_sigterm_reaches_a_connected_subscriber() {
    let folder = tempfile::tempdir().unwrap();
    let (mut broker, addr) = process(folder.path()).await;
    let (client, mut eventloop) = AsyncClient::new(options(addr, "subscriber"), 100);
    client.subscribe("load", QoS::AtLeastOnce).await.unwrap();
    loop {
        let event = timeout(PATIENCE, eventloop.poll()).await.unwrap().unwrap();
        if matches!(event, Event::Incoming(Incoming::SubAck(_))) {
            break;
        }
    }
    let publishers: Vec<_> = (0..4).map(|n| publisher(addr, format!("p{n}"))).collect();
    let mut received = HashSet::new();
    let mut told_to_stop = None;
    // Slower than they publish, so that much waits at the end.
    while let Ok(event) = timeout(PATIENCE, eventloop.poll()).await.unwrap() {
        if let Event::Incoming(Incoming::Publish(publish)) = event {
            received.insert(String::from_utf8(publish.payload.to_vec()).unwrap());
        }
        if received.len() >= 2_000 && told_to_stop.is_none() {
            let pid = broker.id().unwrap().to_string();
            let kill = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
            assert!(kill.success());
            told_to_stop = Some(Instant::now());
        }
    }
    let status = timeout(PATIENCE, broker.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(told_to_stop.unwrap().elapsed() < Duration::from_secs(5));
    let mut acknowledged = 0;
    for publisher in publishers {
        let all = timeout(PATIENCE, publisher).await.unwrap().unwrap();
        let lost: Vec<_> = all.difference(&received).collect();
        assert!(
            lost.is_empty(),
            "{} of {} lost: {:?}",
            lost.len(),
            all.len(),
            lost.first()
        );
        acknowledged += all.len();
    }
    assert!(acknowledged >= 1_500, "{acknowledged}");
}
