//! One client: its reader and its writer.
//!
//! They run side by side, so that a client that does not read cannot keep the broker from reading what it
//! sends, and the other way round: its answers wait in its outbox.

mod end;
mod patience;
mod presence;
mod reader;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use rumqttd::protocol::{Disconnect, DisconnectReasonCode, Packet};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    task::yield_now,
    time::{sleep, timeout},
};

use self::{end::End, presence::Presence};
use crate::{
    Refusal,
    access::Admission,
    exchange::Farewell,
    handshake::{self, Hello, Refused},
    message::Serial,
    outbox::{Close, Next},
    packet::{self, Version},
    ports::Arrival,
    shared::Shared,
    sys::add,
    transport::{self, Transport},
};

/// A write buffer that has grown beyond this is given back.
const KEEP_BUFFER: usize = 256 * 1024;

/// The same when nothing waits any more: of many connections few write at a time.
const KEEP_IDLE: usize = 4 * 1024;

/// How long a goodbye to a client of version 5 may take.
const GOODBYE: Duration = Duration::from_millis(200);

/// How long the reader may go on when the client no longer takes what is written.
const DRAIN: Duration = Duration::from_millis(500);

/// Serves one connection until its end.
pub(crate) async fn serve(arrival: Arrival, peer: SocketAddr, mut admission: Admission, shared: Arc<Shared>) {
    let serial = shared.exchange().next_serial();
    let received = tokio::select! {
        // Boxed, for what a handshake needs is not needed after it.
        received = timeout(shared.limits.connect_timeout.duration(), Box::pin(receive(arrival, peer, serial, &shared))) => received,
        () = shared.stop.wait() => return,
    };
    let (stream, hello) = match received {
        Ok(Ok(received)) => received,
        Ok(Err(why)) => {
            shared.refused.with(why.reason()).inc();
            why.refusal().into_iter().for_each(|why| shared.gate.refused.count(why));
            tracing::debug!(serial, %peer, %why, "connection refused");
            if let Refused::Transport(why) = &why {
                shared.gate.note_certificate(peer, why);
            }
            return;
        }
        Err(_) => {
            shared.refused.with("connect_timeout").inc();
            shared.gate.refused.count(Refusal::Late);
            tracing::debug!(serial, %peer, "no CONNECT in time");
            return;
        }
    };
    admission.finish();
    tracing::debug!(serial, client = ?hello.id, version = ?hello.capacity.version, "client connected");
    let version = hello.capacity.version;
    let Ok((mut presence, client)) = Presence::enter(shared.clone(), serial, hello) else {
        let why = Refused::Sessions;
        shared.refused.with(why.reason()).inc();
        why.refusal().into_iter().for_each(|why| shared.gate.refused.count(why));
        tracing::warn!(serial, %peer, %why, "connection refused");
        let mut stream = stream;
        // Who does not wait for the answer needs none.
        drop(timeout(GOODBYE, handshake::refuse(&mut stream, version, &why)).await);
        return;
    };
    let (mut read, mut write) = split(stream);
    let end = tokio::select! {
        end = client.receive(&mut read) => end,
        end = send(&mut write, &presence) => end,
        reason = presence.outbox.ended() => End::Closed(reason),
    };
    presence.shared.ended.with(end.reason()).inc();
    tracing::debug!(serial, %end, "client left");
    if end.is_bad_packet() {
        presence.shared.gate.refused.count(Refusal::Packet);
    }
    if matches!(end, End::Said) {
        presence.farewell = Farewell::Said;
    }
    presence.leave().await;
    if let (Version::V5, Some(code)) = (version, end.code()) {
        goodbye(&mut write, code).await;
    }
    if matches!(end, End::Closed(Close::Stopping)) {
        linger(&mut read, &mut write).await;
    }
}

/// What comes first: encryption, then the CONNECT.
async fn receive(
    arrival: Arrival,
    peer: SocketAddr,
    serial: Serial,
    shared: &Shared,
) -> Result<(Transport, Hello), Refused> {
    let opened = transport::open(arrival, peer, shared).await;
    let mut stream = opened.map_err(Refused::Transport)?;
    let hello = handshake::receive(&mut stream, serial, peer, shared).await?;
    stream.admit(|| shared.waiting.of(hello.badge.name()));
    Ok((stream, hello))
}

/// Writes what waits for a client.
async fn send(stream: &mut WriteHalf<Transport>, presence: &Presence) -> End {
    let (outbox, shared) = (&presence.outbox, &presence.shared);
    let mut buffer = BytesMut::new();
    loop {
        let (packets, publishes) = match outbox.next(&mut buffer).await {
            Next::Write {
                packets,
                publishes,
                expired,
            } => {
                add(&shared.counters.dropped, expired);
                (packets, publishes)
            }
            Next::Replay => {
                shared.exchange().replay(presence.seat);
                // A long one is no reason for others to wait.
                yield_now().await;
                continue;
            }
            Next::End(reason) => return End::Closed(reason),
        };
        let written = async {
            stream.write_all(&buffer).await?;
            // A socket has nothing to flush; TLS may hold back what it has encrypted.
            stream.flush().await
        };
        match timeout(shared.limits.write_timeout.duration(), written).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => {
                // What the client has sent last, a goodbye perhaps, may still wait to be read.
                sleep(DRAIN).await;
                return End::Lost(error.to_string());
            }
            Err(_) => return End::Closed(Close::TooSlow),
        }
        add(&shared.counters.packets_sent, packets);
        add(&shared.counters.delivered, publishes);
        add(&shared.counters.bytes_sent, buffer.len() as u64);
        let capacity = buffer.capacity();
        if capacity > KEEP_BUFFER || (capacity > KEEP_IDLE && outbox.waiting() == 0) {
            buffer = BytesMut::new();
        }
        buffer.clear();
    }
}

/// Tells a client of version 5 why its connection ends, if it still listens.
async fn goodbye(stream: &mut WriteHalf<Transport>, reason_code: DisconnectReasonCode) {
    let mut buffer = BytesMut::new();
    let packet = Packet::Disconnect(Disconnect { reason_code }, None);
    if packet::write(Version::V5, packet, &mut buffer).is_ok() {
        let written = async {
            stream.write_all(&buffer).await?;
            stream.shutdown().await
        };
        let written = timeout(GOODBYE, written).await;
        tracing::trace!(?written, "goodbye");
    }
}

/// Reads on until the client closes as well: a socket that is closed with bytes unread takes back what was written.
async fn linger(read: &mut ReadHalf<Transport>, write: &mut WriteHalf<Transport>) {
    let closed = async {
        write.shutdown().await?;
        let mut unread = vec![0; 4 * 1024];
        while read.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    let closed = timeout(GOODBYE, closed).await;
    tracing::trace!(?closed, "broker stops");
}
