//! What a connection's bytes travel over.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{ServerConfig, pki_types::CertificateDer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{ports::Arrival, shared::Shared, waiting::Account, websocket};

/// The first byte of a TLS record that carries a handshake (RFC 8446, section 5.1). A CONNECT begins with 0x10, a
/// request for a WebSocket with a letter.
const TLS_HANDSHAKE: u8 = 22;

/// An open way to a client.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    // Boxed, for their buffers are many times the size of a socket. The certificates are those of the TLS beneath.
    Tls(Box<TlsStream<TcpStream>>),
    WebSocket(Box<websocket::Stream>, Vec<CertificateDer<'static>>),
}

/// Opens what came to a port, as far as bytes of MQTT can travel over it.
pub(crate) async fn open(arrival: Arrival, peer: SocketAddr, shared: &Shared) -> io::Result<Transport> {
    match arrival {
        Arrival::Unix(stream) => Ok(Transport::Unix(stream)),
        Arrival::Tcp(stream) => secure(stream, peer, shared.gate.tls()).await,
        Arrival::WebSocket(stream) => {
            let below = secure(stream, peer, shared.gate.tls()).await?;
            let certificates = below.certificates();
            let stream = websocket::accept(below, shared.limits.max_packet_bytes, &shared.origins).await?;
            Ok(Transport::WebSocket(Box::new(stream), certificates))
        }
    }
}

/// TLS where the port has a certificate. There a client of this machine may also speak in the clear; others may not, for
/// what they send could be read and changed on its way.
async fn secure(stream: TcpStream, peer: SocketAddr, tls: Option<Arc<ServerConfig>>) -> io::Result<Transport> {
    let Some(tls) = tls else {
        return Ok(Transport::Tcp(stream));
    };
    let mut first = [0];
    let encrypted = stream.peek(&mut first).await? == 1 && first == [TLS_HANDSHAKE];
    if encrypted {
        let accepted = TlsAcceptor::from(tls).accept(stream).await?;
        return Ok(Transport::Tls(Box::new(accepted)));
    }
    if peer.ip().to_canonical().is_loopback() {
        return Ok(Transport::Tcp(stream));
    }
    Err(io::Error::other("not encrypted, and not from this machine"))
}

impl Transport {
    /// The client is in; `account` makes one for what is put together here.
    pub(crate) fn admit(&mut self, account: impl FnOnce() -> Account) {
        if let Self::WebSocket(stream, _) = self {
            stream.admit(account());
        }
    }

    /// The certificates that a client has shown, its own first.
    pub(crate) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        match self {
            Self::Tls(stream) => stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec(),
            Self::WebSocket(_, certificates) => certificates.clone(),
            Self::Tcp(_) | Self::Unix(_) => Vec::new(),
        }
    }

    /// The socket beneath and the stream on top, both as one trait.
    fn inner(self: Pin<&mut Self>) -> Pin<&mut dyn Stream> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Unix(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
            Self::WebSocket(stream, _) => Pin::new(stream.as_mut()),
        }
    }
}

/// Both directions.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}
