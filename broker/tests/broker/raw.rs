//! A client that says what it is told to say, and shows every answer: what libraries hide is what is tested.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::harness::PATIENCE;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What a CONNECT says.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hello<'a> {
    pub(crate) id: &'a str,
    pub(crate) login: Option<(&'a str, &'a str)>,
    /// Topic of a will.
    pub(crate) will: Option<&'a str>,
    pub(crate) keep_alive_s: u16,
    /// Whether its session outlasts the connection (3.1.1).
    pub(crate) lasts: bool,
}

pub(crate) struct Raw {
    stream: Box<dyn Stream>,
    level: u8,
    last_id: u16,
    /// That came while something else was waited for.
    messages: VecDeque<Vec<u8>>,
}

/// A packet: its first byte and what follows the length.
pub(crate) type Packet = (u8, Vec<u8>);

impl Raw {
    pub(crate) async fn plain(addr: SocketAddr, level: u8) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap(), level)
    }

    /// From an address of this machine, `127.0.0.LAST`.
    pub(crate) async fn from(last: u8, addr: SocketAddr, level: u8) -> Self {
        Self::over(connect_from(last, addr).await, level)
    }

    /// Over TLS; the error is that of the handshake.
    pub(crate) async fn tls(addr: SocketAddr, tls: &bus::Tls, level: u8) -> std::io::Result<Self> {
        let connector = TlsConnector::from(tls.client("127.0.0.1").unwrap());
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        Ok(Self::over(connector.connect(name, stream).await?, level))
    }

    fn over(stream: impl Stream + 'static, level: u8) -> Self {
        Self {
            stream: Box::new(stream),
            level,
            last_id: 0,
            messages: VecDeque::new(),
        }
    }

    /// Says who it is, and returns the code of the answer; `None` where there is none.
    pub(crate) async fn hello(&mut self, hello: Hello<'_>) -> Option<u8> {
        let flags = if hello.lasts { 0 } else { 2 }
            | if hello.will.is_some() { 4 } else { 0 }
            | if hello.login.is_some() { 0xc0 } else { 0 };
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', self.level, flags];
        body.extend(hello.keep_alive_s.to_be_bytes());
        body.extend((self.level == 5).then_some(0));
        body.extend(text(hello.id));
        if let Some(topic) = hello.will {
            body.extend((self.level == 5).then_some(0));
            body.extend([text(topic), text("gone")].concat());
        }
        if let Some((user, password)) = hello.login {
            body.extend([text(user), text(password)].concat());
        }
        self.send(0x10, &body).await;
        let (_, body) = self.receive().await?;
        body.get(1).copied()
    }

    /// Comes in under this id.
    pub(crate) async fn enter(mut self, id: &str) -> Self {
        let hello = Hello { id, ..Hello::default() };
        assert_eq!(self.hello(hello).await, Some(0), "{id}");
        self
    }

    /// Subscribes, and returns the code of the answer.
    pub(crate) async fn subscribe(&mut self, filter: &str, qos: u8) -> u8 {
        let mut body = self.next_id();
        body.extend((self.level == 5).then_some(0));
        body.extend([text(filter), vec![qos]].concat());
        self.send(0x82, &body).await;
        let ack = self.receive_of(0x90).await;
        *ack.last().unwrap()
    }

    /// Publishes, and returns the reason of the answer: 0 where it has none.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &[u8], qos: u8, retain: bool) -> u8 {
        let mut body = text(topic);
        if qos > 0 {
            body.extend(self.next_id());
        }
        body.extend((self.level == 5).then_some(0));
        body.extend(payload);
        self.send(0x30 | qos << 1 | u8::from(retain), &body).await;
        match qos {
            0 => 0,
            1 => self.receive_of(0x40).await.get(2).copied().unwrap_or(0),
            _ => {
                let reason = self.receive_of(0x50).await.get(2).copied().unwrap_or(0);
                if reason < 0x80 {
                    let id = self.last_id.to_be_bytes();
                    self.send(0x62, &id).await;
                    self.receive_of(0x70).await;
                }
                reason
            }
        }
    }

    /// The topics of messages that come until one of topic `last` is there.
    pub(crate) async fn topics_until(&mut self, last: &str) -> Vec<String> {
        let mut topics = Vec::new();
        loop {
            let body = match self.messages.pop_front() {
                Some(body) => body,
                None => self.receive_of(0x30).await,
            };
            let len = usize::from(u16::from_be_bytes([body[0], body[1]]));
            topics.push(String::from_utf8(body[2..2 + len].to_vec()).unwrap());
            if topics.last().is_some_and(|topic| topic == last) {
                return topics;
            }
        }
    }

    /// Waits until the broker has closed, and returns the reason that it gave in a DISCONNECT.
    pub(crate) async fn ended(&mut self) -> Option<u8> {
        let mut reason = None;
        while let Some((kind, body)) = self.receive().await {
            if kind == 0xe0 {
                reason = body.first().copied();
            }
        }
        reason
    }

    /// How long an answer to a PINGREQ takes.
    pub(crate) async fn ping(&mut self) -> Duration {
        let before = std::time::Instant::now();
        self.send(0xc0, &[]).await;
        self.receive_of(0xd0).await;
        before.elapsed()
    }

    pub(crate) async fn send(&mut self, kind: u8, body: &[u8]) {
        let mut packet = vec![kind];
        let mut length = body.len();
        while length > 127 {
            packet.push(length.to_le_bytes()[0] & 127 | 128);
            length >>= 7;
        }
        packet.push(length.to_le_bytes()[0]);
        packet.extend(body);
        self.bytes(&packet).await;
    }

    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        let sent = timeout(PATIENCE, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        // An end is seen by who reads.
        drop(sent.await.expect("nobody reads"));
    }

    /// The next packet of a kind (the upper half of its first byte); messages that come before it are kept.
    async fn receive_of(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let (found, body) = self.receive().await.expect("connection has ended");
            if found & 0xf0 == kind {
                return body;
            }
            assert_eq!(found & 0xf0, 0x30, "{found:x} {body:?}");
            self.messages.push_back(body);
        }
    }

    pub(crate) async fn receive(&mut self) -> Option<Packet> {
        timeout(PATIENCE, async {
            let kind = self.stream.read_u8().await.ok()?;
            let (mut length, mut shift) = (0, 0);
            loop {
                let byte = self.stream.read_u8().await.ok()?;
                length |= usize::from(byte & 127) << shift;
                shift += 7;
                if byte < 128 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body).await.ok()?;
            Some((kind, body))
        })
        .await
        .expect("nothing came in time")
    }

    fn next_id(&mut self) -> Vec<u8> {
        self.last_id += 1;
        self.last_id.to_be_bytes().to_vec()
    }
}

pub(crate) async fn connect_from(last: u8, addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.connect(addr).await.unwrap()
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&length[..], text.as_bytes()].concat()
}
