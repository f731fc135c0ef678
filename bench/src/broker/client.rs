//! As much of an MQTT 3.1.1 client as a load needs: packets made by hand, many of them a write.

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// First bytes of packets.
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const QOS_1: u8 = 0x02;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGREQ: u8 = 0xc0;
const PINGRESP: u8 = 0xd0;

/// Seconds of silence that a broker is asked to bear.
const KEEP_ALIVE: u16 = 60;

/// One connection.
pub(super) struct Client {
    stream: TcpStream,
    come: BytesMut,
    /// What is written next.
    pub(super) out: Vec<u8>,
}

/// What a broker has sent.
pub(super) enum Packet {
    /// A message at QoS 1.
    Publish { topic: Bytes, payload: Bytes, id: u16 },
    /// A message of ours is the broker's.
    PubAck,
    /// Anything else, by its first byte.
    Other(u8),
}

impl Client {
    /// Connects, and waits until the broker has taken it.
    pub(super) async fn connect(port: u16, id: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut client = Self {
            stream,
            come: BytesMut::new(),
            out: Vec::new(),
        };
        let mut body = b"\0\x04MQTT\x04\x02".to_vec();
        body.put_u16(KEEP_ALIVE);
        put_text(id, &mut body);
        client.put(CONNECT, &body);
        client.flush().await?;
        client.wait_for(CONNACK).await?;
        Ok(client)
    }

    /// Subscribes at QoS 1, and waits for the answer.
    pub(super) async fn subscribe(&mut self, filters: &[String]) -> anyhow::Result<()> {
        let mut body = vec![0, 1];
        for filter in filters {
            put_text(filter, &mut body);
            body.put_u8(1);
        }
        self.put(SUBSCRIBE, &body);
        self.flush().await?;
        self.wait_for(SUBACK).await
    }

    /// Asks whether the broker is there, and waits for the answer.
    pub(super) async fn ping(&mut self) -> anyhow::Result<()> {
        self.put(PINGREQ, &[]);
        self.flush().await?;
        self.wait_for(PINGRESP).await
    }

    /// Appends a message at QoS 1 to what is written next. Its content begins with `number`.
    pub(super) fn put_publish(&mut self, topic: &str, id: u16, (number, length): (u64, usize)) {
        let body = 2 + topic.len() + 2 + length;
        self.out.put_u8(PUBLISH | QOS_1);
        put_length(body, &mut self.out);
        let end = self.out.len() + body;
        put_text(topic, &mut self.out);
        self.out.put_u16(id);
        self.out.put_u64(number);
        self.out.resize(end, b'x');
    }

    /// Appends the answer to a message.
    pub(super) fn put_ack(&mut self, id: u16) {
        self.put(PUBACK, &id.to_be_bytes());
    }

    /// Writes what was appended.
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    /// Waits until bytes have come.
    pub(super) async fn fill(&mut self) -> anyhow::Result<()> {
        self.come.reserve(64);
        let n = self.stream.read_buf(&mut self.come).await?;
        ensure!(n > 0, "the broker has closed a connection");
        Ok(())
    }

    /// Makes room for so many bytes at once.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.come.reserve(bytes);
    }

    /// The next packet, if all of it has come.
    pub(super) fn take(&mut self) -> anyhow::Result<Option<Packet>> {
        let Some((header, body)) = frame(&self.come) else {
            return Ok(None);
        };
        let first = self.come.first().copied().unwrap_or_default();
        if self.come.len() < header + body {
            return Ok(None);
        }
        if first >> 4 != PUBLISH >> 4 {
            self.come.advance(header + body);
            let acked = first == PUBACK;
            return Ok(Some(if acked { Packet::PubAck } else { Packet::Other(first) }));
        }
        self.come.advance(header);
        let mut body = self.come.split_to(body).freeze();
        let topic_len = usize::from(body.try_get_u16()?);
        ensure!(
            first & QOS_1 != 0 && body.len() >= topic_len,
            "a message of another kind"
        );
        let topic = body.split_to(topic_len);
        let id = body.try_get_u16()?;
        Ok(Some(Packet::Publish {
            topic,
            payload: body,
            id,
        }))
    }

    /// The next packet.
    pub(super) async fn next(&mut self) -> anyhow::Result<Packet> {
        loop {
            if let Some(packet) = self.take()? {
                return Ok(packet);
            }
            self.fill().await?;
        }
    }

    async fn wait_for(&mut self, first: u8) -> anyhow::Result<()> {
        match self.next().await? {
            Packet::Other(found) if found == first => Ok(()),
            Packet::Other(found) => bail!("{found:#x} came instead of {first:#x}"),
            Packet::PubAck | Packet::Publish { .. } => bail!("a message came instead of {first:#x}"),
        }
    }

    fn put(&mut self, first: u8, body: &[u8]) {
        self.out.put_u8(first);
        put_length(body.len(), &mut self.out);
        self.out.extend_from_slice(body);
    }
}

/// What the sender has put in front of a message.
pub(super) fn number(mut payload: Bytes) -> anyhow::Result<u64> {
    payload.try_get_u64().context("a message without a number")
}

/// Lengths of the fixed header and of what follows, if all of the header has come.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (at, &byte) in bytes.iter().enumerate().skip(1).take(4) {
        length |= usize::from(byte & 127) << (7 * (at - 1));
        if byte & 128 == 0 {
            return Some((at + 1, length));
        }
    }
    None
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.extend_from_slice(text.as_bytes());
}

/// Seven bits a byte, the lowest first.
fn put_length(mut length: usize, out: &mut Vec<u8>) {
    while length > 127 {
        let [low, ..] = length.to_le_bytes();
        out.put_u8(low | 128);
        length >>= 7;
    }
    let [low, ..] = length.to_le_bytes();
    out.put_u8(low);
}
