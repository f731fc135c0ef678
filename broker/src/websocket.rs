//! MQTT over WebSocket (MQTT 3.1.1, section 6; RFC 6455), for pages in a browser.
//!
//! Frames are no packets: a frame may hold many of them, or a part of one. So a connection is a stream of bytes
//! again, and everything above is the same as over TCP.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        Error, Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderMap, HeaderValue, StatusCode, header},
        protocol::WebSocketConfig,
    },
};

use crate::{packet::MAX_CONNECT, transport::Transport, waiting::Account};

/// What a client must offer, and is answered (6.0-4).
const SUBPROTOCOL: &str = "mqtt";

/// The longest frame that is written.
const WRITE_FRAME: usize = 64 * 1024;

/// What is read at once; of each connection, so not much.
const READ_BUFFER: usize = 4 * 1024;

/// Bytes that may come before the client is in: its request and a CONNECT, in frames.
const BEFORE_LOGIN: usize = 64 * 1024 + MAX_CONNECT;

/// A connection behind its handshake.
pub(crate) struct Stream {
    frames: WebSocketStream<Below>,
    /// Of the newest frame, what has not been read.
    rest: Bytes,
}

/// What the frames come over. Before the client is in, no more is read than it needs to say who it is, whatever length its
/// first frame tells.
struct Below {
    stream: Transport,
    /// Bytes that may still come; `None` for any number.
    left: Option<usize>,
    /// Bytes that have come of frames that were not handed on.
    held: usize,
    /// What these are among what waits for all.
    account: Account,
}

impl Below {
    /// A frame is complete: so many bytes of it are still there.
    fn hold(&mut self, bytes: usize) {
        self.held = bytes;
        self.account.note(bytes);
    }
}

impl AsyncRead for Below {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == Some(0) {
            let why = "too much before the end of a CONNECT";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        self.left = self.left.map(|left| left.saturating_sub(read));
        self.held += read;
        // A message in parts is there twice, as it came and put together.
        let taken = 2 * self.held;
        if self.account.cover(taken) {
            Poll::Ready(Ok(()))
        } else {
            let why = "frames that are not complete take as much as they may, of all or of its name";
            Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)))
        }
    }
}

impl AsyncWrite for Below {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Stream {
    /// The client is in: it may send as much as any, and what it sends counts.
    pub(crate) fn admit(&mut self, account: Account) {
        let below = self.frames.get_mut();
        (below.left, below.account) = (None, account);
    }
}

/// Answers the handshake. `max_message`: bytes of a message, which bounds what waits for its end. `origins`: pages that
/// may connect.
pub(crate) async fn accept(below: Transport, max_message: usize, origins: &[String]) -> io::Result<Stream> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * WRITE_FRAME)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    #[expect(clippy::result_large_err, reason = "the form that tungstenite asks for")]
    let answer = |request: &Request, response: Response| answer(request.headers(), response, origins);
    let below = Below {
        stream: below,
        left: Some(BEFORE_LOGIN),
        held: 0,
        account: Account::default(),
    };
    let frames = accept_hdr_async_with_config(below, answer, Some(config)).await;
    Ok(Stream {
        frames: frames.map_err(io_error)?,
        rest: Bytes::new(),
    })
}

#[expect(clippy::result_large_err, reason = "the form that tungstenite asks for")]
fn answer(request: &HeaderMap, mut response: Response, origins: &[String]) -> Result<Response, ErrorResponse> {
    if !allowed(request, origins) {
        return Err(refusal(
            StatusCode::FORBIDDEN,
            "pages of this origin may not connect: see `origins`",
        ));
    }
    if !offers_mqtt(request) {
        return Err(refusal(
            StatusCode::BAD_REQUEST,
            "the subprotocol `mqtt` is not offered",
        ));
    }
    let chosen = HeaderValue::from_static(SUBPROTOCOL);
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
    Ok(response)
}

/// A browser tells which page asks, and pages cannot prevent it. Whoever tells nothing is a program, which could tell
/// anything: it is let through, as it is over TCP.
fn allowed(request: &HeaderMap, origins: &[String]) -> bool {
    let mut told = request.get_all(header::ORIGIN).iter();
    told.all(|origin| origins.iter().any(|o| o == "*" || o.as_bytes() == origin.as_bytes()))
}

fn offers_mqtt(request: &HeaderMap) -> bool {
    let lists = request.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut names = lists.filter_map(|list| list.to_str().ok()).flat_map(|l| l.split(','));
    names.any(|name| name.trim() == SUBPROTOCOL)
}

fn refusal(status: StatusCode, why: &str) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(format!("{why}\n")));
    *response.status_mut() = status;
    response
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.frames).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                // Answered by tungstenite.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => (),
                Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => {
                    return Poll::Ready(Ok(()));
                }
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    let why = "a frame of text; MQTT travels in binary ones (6.0-1)";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            }
            let rest = self.rest.len();
            self.frames.get_mut().hold(rest);
        }
        let n = self.rest.len().min(buffer.remaining());
        buffer.put_slice(self.rest.get(..n).unwrap_or_default());
        self.rest.advance(n);
        if self.rest.is_empty() {
            self.rest = Bytes::new();
            self.frames.get_mut().hold(0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.frames).poll_ready(cx)).map_err(io_error)?;
        let bytes = bytes.get(..WRITE_FRAME).unwrap_or(bytes);
        let frame = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut self.frames).start_send(frame).map_err(io_error)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_flush(cx).map_err(io_error)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_close(cx).map_err(io_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let header =
            |(name, value): &(header::HeaderName, &'static str)| (name.clone(), HeaderValue::from_static(value));
        all.iter().map(header).collect()
    }

    #[test]
    fn pages_connect_from_named_origins_and_programs_from_anywhere() {
        let origins = ["http://127.0.0.1:8420".to_owned()];
        let from = |origin| headers(&[(header::ORIGIN, origin)]);
        assert!(allowed(&headers(&[]), &[]), "a program");
        assert!(allowed(&from("http://127.0.0.1:8420"), &origins));
        for origin in [
            "http://127.0.0.1:8421",
            "https://127.0.0.1:8420",
            "null",
            "http://evil.example",
        ] {
            assert!(!allowed(&from(origin), &origins), "{origin}");
            assert!(!allowed(&from(origin), &[]), "{origin}");
            assert!(allowed(&from(origin), &["*".to_owned()]), "{origin}");
        }
    }

    #[test]
    fn mqtt_is_found_among_the_subprotocols() {
        for (offered, found) in [
            ("mqtt", true),
            ("mqttv3.1, mqtt", true),
            ("mqttv3.1", false),
            ("MQTT", false),
        ] {
            let request = headers(&[(header::SEC_WEBSOCKET_PROTOCOL, offered)]);
            assert_eq!(offers_mqtt(&request), found, "{offered}");
        }
        assert!(!offers_mqtt(&headers(&[])));
    }
}
