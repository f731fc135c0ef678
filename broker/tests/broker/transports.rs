//! The ways in besides TCP: WebSocket and the socket file.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use broker::{BrokerError, Config, WebSocket};
use futures_util::{SinkExt, StreamExt};
use rumqttc::QoS;
use runtime::Shutdown;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixListener, UnixStream},
    process::Command,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::{
    harness::{Broker, PATIENCE, connect_packet, step_aside},
    pki::Authority,
};

const PAGE: &str = "http://127.0.0.1:8420";

/// Asks for a WebSocket.
pub(crate) const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

async fn with_websocket() -> Broker {
    Broker::listen(Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        websocket: Some(WebSocket {
            listen: "127.0.0.1:0".parse().unwrap(),
            origins: vec![PAGE.to_owned()],
        }),
        ..Config::default()
    })
    .await
}

/// Asks for a WebSocket as a page of `origin` does.
async fn open(
    broker: &Broker,
    subprotocol: &'static str,
    origin: Option<&'static str>,
) -> Result<WebSocketStream<TcpStream>, Error> {
    let addr = broker.handle.websocket().unwrap();
    let mut request = format!("ws://{addr}/mqtt").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", HeaderValue::from_static(subprotocol));
    if let Some(origin) = origin {
        headers.insert("origin", HeaderValue::from_static(origin));
    }
    let stream = TcpStream::connect(addr).await.unwrap();
    Ok(client_async(request, stream).await?.0)
}

/// Bytes of MQTT until there are `n` of them, over as many frames as it takes.
async fn read(socket: &mut WebSocketStream<TcpStream>, n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < n {
        match timeout(PATIENCE, socket.next()).await.unwrap() {
            Some(Ok(Message::Binary(more))) => bytes.extend(more),
            other => panic!("{other:?} after {bytes:?}"),
        }
    }
    bytes
}

/// Waits until the broker ends the connection.
async fn ended(mut socket: WebSocketStream<TcpStream>) {
    let all = async { while let Some(Ok(_)) = socket.next().await {} };
    timeout(PATIENCE, all).await.expect("connection goes on");
}

#[tokio::test]
async fn packets_travel_over_frames_however_they_are_cut() {
    let broker = with_websocket().await;
    let mut socket = open(&broker, "mqttv3.1, mqtt", Some(PAGE)).await.unwrap();
    let subscribe = [0x82, 6, 0, 1, 0, 1, b't', 1];
    let both = [&connect_packet(4, "page", 10)[..], &subscribe].concat();
    // One byte a frame, and some frames of none.
    for byte in both {
        socket.send(Message::binary(vec![byte])).await.unwrap();
        socket.send(Message::binary(vec![])).await.unwrap();
    }
    assert_eq!(read(&mut socket, 9).await, [0x20, 2, 0, 0, 0x90, 3, 0, 1, 1]);

    let mut other = broker.client("other").await;
    other.subscribe("t", QoS::AtLeastOnce).await;
    let large = vec![b'x'; 300_000];
    other.publish_surely("t", large.clone(), false).await;
    assert!(read(&mut socket, large.len()).await.ends_with(b"xxx"));
    assert_eq!(other.message().await.1.len(), large.len());
    // Two packets in one frame.
    let two = [0x30, 4, 0, 1, b't', b'1', 0x30, 4, 0, 1, b't', b'2'];
    socket.send(Message::binary(two.to_vec())).await.unwrap();
    assert_eq!(
        (other.message().await.1, other.message().await.1),
        ("1".into(), "2".into())
    );
    broker.stop().await;
    ended(socket).await;
}

#[tokio::test]
async fn a_page_comes_over_tls_with_its_certificate() {
    let authority = Authority::new();
    authority.issue("broker", 1, &[]);
    authority.issue("viewer", 2, &["foreshadow:role/viewer"]);
    let broker = Broker::listen(Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: Some(authority.broker()),
        websocket: Some(WebSocket {
            listen: "127.0.0.1:0".parse().unwrap(),
            origins: Vec::new(),
        }),
        ..Config::default()
    })
    .await;
    let addr = broker.handle.websocket().unwrap();
    let open = async |tls: &bus::Tls| {
        let connector = TlsConnector::from(tls.client("127.0.0.1").unwrap());
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = connector.connect(name, TcpStream::connect(addr).await.unwrap()).await?;
        let mut request = format!("wss://{addr}/mqtt").into_client_request().unwrap();
        let mqtt = HeaderValue::from_static("mqtt");
        request.headers_mut().insert("sec-websocket-protocol", mqtt);
        let opened = client_async(request, stream).await;
        opened.map(|(socket, _)| socket).map_err(io::Error::other)
    };
    let mut socket = open(&authority.client("viewer")).await.unwrap();
    // A viewer by its certificate: it may look at the broker's figures, and at no frames.
    let subscribe = [&[0x82, 11, 0, 1, 0, 6][..], b"$SYS/#\x00"].concat();
    let frames = [&[0x82, 17, 0, 2, 0, 12][..], b"foreshadow/x\x01"].concat();
    let said = [&connect_packet(4, "page", 10)[..], &subscribe, &frames].concat();
    socket.send(Message::binary(said)).await.unwrap();
    let mut bytes = Vec::new();
    while bytes.len() < 14 {
        match timeout(PATIENCE, socket.next()).await.unwrap() {
            Some(Ok(Message::Binary(more))) => bytes.extend(more),
            other => panic!("{other:?} after {bytes:?}"),
        }
    }
    assert_eq!(bytes[..9], [0x20, 2, 0, 0, 0x90, 3, 0, 1, 0]);
    let refused = [0x90, 3, 0, 2, 0x80];
    while !bytes.windows(5).any(|window| window == refused) {
        match timeout(PATIENCE, socket.next()).await.unwrap() {
            Some(Ok(Message::Binary(more))) => bytes.extend(more),
            other => panic!("{other:?} after {bytes:?}"),
        }
    }
    // Without a certificate nobody gets as far as a frame.
    let none = bus::Tls {
        certificate: None,
        key: None,
        ..authority.client("viewer")
    };
    open(&none).await.unwrap_err();
    broker.stop().await;
}

#[tokio::test]
async fn foreign_pages_and_other_protocols_are_refused() {
    let broker = with_websocket().await;
    for (subprotocol, origin, status) in [
        ("mqtt", Some("http://evil.example"), 403),
        ("mqtt", Some("null"), 403),
        ("mqttv3.1", None, 400),
    ] {
        let Err(Error::Http(response)) = open(&broker, subprotocol, origin).await else {
            panic!("{subprotocol}, {origin:?} gets in")
        };
        assert_eq!(response.status(), status, "{subprotocol}, {origin:?}");
    }
    open(&broker, "mqtt", None).await.unwrap();
    broker.stop().await;
}

#[tokio::test]
async fn frames_that_break_a_rule_cost_nobody_else_anything() {
    let broker = with_websocket().await;
    let mut other = broker.client("other").await;
    for frame in [
        Message::text("hello"),
        Message::binary(vec![0xff; 40]),
        Message::binary(vec![0; 6 * 1024 * 1024]),
    ] {
        let mut socket = open(&broker, "mqtt", None).await.unwrap();
        // The broker may close it before all is written.
        drop(socket.send(frame).await);
        ended(socket).await;
        other.publish_surely("t", "x", false).await;
    }
    // No HTTP; a frame without a mask, which RFC 6455 forbids to clients; a length of 2^62.
    let addr = broker.handle.websocket().unwrap();
    let huge = [&[0x82, 0xff, 0x40][..], &[0; 7], &[1, 2, 3, 4]].concat();
    for bytes in [
        connect_packet(4, "x", 10),
        [UPGRADE.as_bytes(), &[0x82, 2, 0x10, 0]].concat(),
        [UPGRADE.as_bytes(), &huge].concat(),
        vec![b'a'; 200_000],
    ] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        drop(stream.write_all(&bytes).await);
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        drop(read.expect("connection goes on"));
        other.publish_surely("t", "x", false).await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn before_its_connect_a_page_sends_no_more_than_a_connect() {
    let broker = Broker::listen(Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        websocket: Some(WebSocket {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..WebSocket::default()
        }),
        limits: broker::Limits {
            connect_timeout: runtime::Span::from_secs(600),
            ..broker::Limits::default()
        },
        ..Config::default()
    })
    .await;
    // Half a MB of a frame of 4 MB, which a client that is in may send: its end is not waited for.
    let frame = [
        &[0x82, 0xff, 0, 0, 0, 0, 0, 0x3d, 9, 0, 0, 0, 0, 0][..],
        &vec![0; 500_000],
    ]
    .concat();
    let mut stream = TcpStream::connect(broker.handle.websocket().unwrap()).await.unwrap();
    drop(stream.write_all(&[UPGRADE.as_bytes(), &frame].concat()).await);
    let rest = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
    drop(rest.expect("connection goes on"));

    let mut socket = open(&broker, "mqtt", None).await.unwrap();
    socket
        .send(Message::binary(connect_packet(4, "page", 10)))
        .await
        .unwrap();
    assert_eq!(read(&mut socket, 4).await, [0x20, 2, 0, 0]);
    let mut other = broker.client("other").await;
    other.subscribe("t", QoS::AtLeastOnce).await;
    let publish = [&[0x30, 0x83, 0x92, 0xf4, 0x01, 0, 1, b't'][..], &vec![b'x'; 4_000_000]].concat();
    socket.send(Message::binary(publish)).await.unwrap();
    assert_eq!(other.message().await.1.len(), 4_000_000);
    broker.stop().await;
}

#[tokio::test]
async fn a_slow_handshake_is_ended_and_counts_as_a_refusal() {
    let authority = Authority::new();
    authority.issue("broker", 1, &[]);
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        metrics: Some("127.0.0.1:0".parse().unwrap()),
        websocket: Some(WebSocket {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..WebSocket::default()
        }),
        tls: Some(authority.broker()),
        limits: broker::Limits {
            connect_timeout: runtime::Span::from_millis(200),
            ..broker::Limits::default()
        },
        ..Config::default()
    };
    let broker = Broker::listen(config).await;
    // In the clear from this machine, as at the other port; a letter each now and then.
    let mut slow = TcpStream::connect(broker.handle.websocket().unwrap()).await.unwrap();
    slow.write_all(b"GET / HT").await.unwrap();
    let mut byte = [0];
    let read = timeout(PATIENCE, slow.read(&mut byte)).await.unwrap();
    assert_eq!(read.unwrap_or(0), 0, "closed without an answer");
    let text = crate::metrics::scrape(&broker).await;
    assert!(
        text.contains("foreshadow_broker_connections_refused_total{reason=\"connect_timeout\"} 1"),
        "{text}"
    );
    broker.stop().await;
}

fn at(path: &Path) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        unix_socket: Some(path.to_owned()),
        ..Config::default()
    }
}

#[tokio::test]
async fn clients_of_this_machine_come_over_a_socket_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let broker = Broker::listen(at(&path)).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(&connect_packet(4, "local", 10)).await.unwrap();
    let mut answer = [0; 4];
    timeout(PATIENCE, stream.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);

    let publish = [0x30, 4, 0, 1, b't', b'!'];
    let mut tcp = broker.client("tcp").await;
    tcp.subscribe("t", QoS::AtLeastOnce).await;
    stream.write_all(&publish).await.unwrap();
    assert_eq!(tcp.message().await.1, "!");
    broker.stop().await;
    assert!(!path.exists(), "the file goes with the broker");
}

#[tokio::test]
async fn mosquitto_comes_over_the_socket_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let broker = Broker::listen(at(&path)).await;
    let mut client = broker.client("tcp").await;
    client.publish_surely("t", "kept", true).await;
    let mut command = Command::new("mosquitto_sub");
    command
        .arg("--unix")
        .arg(&path)
        .args(["-t", "t", "-C", "1", "-W", "20"]);
    match command.stdin(Stdio::null()).kill_on_drop(true).output().await {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "kept\n"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            step_aside("mosquitto_sub is not installed (Debian package mosquitto-clients)");
        }
        Err(error) => panic!("{error}"),
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_socket_file_is_replaced_only_when_nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let refused = async |path: &Path| match broker::start(at(path), Shutdown::new()).await {
        Err(BrokerError::Socket { what, .. }) => what,
        _ => panic!("it starts"),
    };
    // Left behind by one that was killed.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let broker = Broker::listen(at(&path)).await;
    assert!(refused(&path).await.contains("in use"));
    UnixStream::connect(&path).await.unwrap();
    broker.stop().await;

    let file = folder.path().join("precious");
    fs::write(&file, "data").unwrap();
    assert!(refused(&file).await.contains("no socket"));
    assert_eq!(fs::read(&file).unwrap(), b"data");
}
