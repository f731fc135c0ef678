//! Ports for servers under test.

use std::{
    net::{TcpListener, UdpSocket},
    ops::Range,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below those that Linux gives to outgoing connections (32,768 and above unless configured otherwise): of a port from
/// there any client of the test may be the owner by the time its server listens.
const SERVERS: Range<u32> = 12_000..32_000;

/// A port of loopback, TCP and UDP, that nobody listens on and that this process was not given before.
///
/// # Panics
/// Where every such port is taken.
#[allow(clippy::expect_used, reason = "without a port there is nothing to be proven")]
pub(crate) fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let count = SERVERS.end - SERVERS.start;
    // Processes that run side by side begin at different places.
    let first = process::id().wrapping_mul(101) % count;
    let at = |_| SERVERS.start + first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % count;
    (0..count)
        .map(at)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| {
            let at = ("127.0.0.1", *port);
            TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()
        })
        .expect("a free port below those of outgoing connections")
}
