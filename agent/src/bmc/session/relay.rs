//! One reply to one request: what stands between ipmi-rs and a BMC on the network.
//!
//! ipmi-rs takes the next datagram for the reply, whatever it is: after one that comes twice, each reading would be
//! that of the sensor before. So a session goes through a relay on the loopback interface. For each request it
//! forgets what has come meanwhile, and hands on one datagram that was not handed on before. (Sessions are encrypted
//! with a fresh vector and numbered: two replies are never alike.) What comes after the deadline meets a session that
//! is no more.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The longest datagram of RMCP that is handed on.
const MAX_BYTES: usize = 1_024;
/// How many replies are remembered.
const REMEMBERED: usize = 16;
/// How often is looked whether the session is still there, where its end was not told.
const LOOK: Duration = Duration::from_secs(5);

/// A relay to one BMC, for one session. Its thread ends when this is dropped.
pub(super) struct Relay {
    address: SocketAddr,
    near: UdpSocket,
    /// The BMC's id of the session, as requests carry it; 0 before there is one.
    session: Arc<AtomicU32>,
    ended: Arc<AtomicBool>,
}

impl Relay {
    /// Begins to hand on what comes to [`Relay::address`].
    pub(super) fn start(host: &(String, u16), deadline: Duration) -> io::Result<Self> {
        let far = connect(host)?;
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        near.set_read_timeout(Some(LOOK))?;
        let (ended, session) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let line = Line {
            near: near.try_clone()?,
            far,
            deadline,
            peer: None,
            handed_on: VecDeque::with_capacity(REMEMBERED),
            session: session.clone(),
            ended: ended.clone(),
        };
        let address = near.local_addr()?;
        thread::Builder::new()
            .name("bmc-relay".to_owned())
            .spawn(move || line.run())?;
        Ok(Self {
            address,
            near,
            session,
            ended,
        })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The BMC's id of the session, which ipmi-rs keeps to itself; `None` before there is one.
    pub(super) fn session(&self) -> Option<u32> {
        Some(self.session.load(Ordering::Relaxed)).filter(|&id| id != 0)
    }
}

impl Drop for Relay {
    /// An empty datagram ends the thread as soon as it has handed on what was asked before.
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Err(fault) = self.near.send_to(&[], self.address) {
            tracing::debug!(%fault, "relay ends a little later");
        }
    }
}

/// A socket that hears the BMC alone.
fn connect((name, port): &(String, u16)) -> io::Result<UdpSocket> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (name.as_str(), *port).to_socket_addrs()? {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        match UdpSocket::bind(any).and_then(|socket| socket.connect(address).map(|()| socket)) {
            Ok(socket) => return Ok(socket),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

struct Line {
    near: UdpSocket,
    far: UdpSocket,
    deadline: Duration,
    /// The session's socket: the first that asks.
    peer: Option<SocketAddr>,
    handed_on: VecDeque<Vec<u8>>,
    session: Arc<AtomicU32>,
    ended: Arc<AtomicBool>,
}

impl Line {
    fn run(mut self) {
        let mut request = [0; MAX_BYTES];
        loop {
            let received = self.near.recv_from(&mut request);
            let (length, from) = match received {
                Ok(received) => received,
                Err(_) if self.ended.load(Ordering::Relaxed) => return,
                Err(_) => continue,
            };
            let request = request.get(..length).unwrap_or_default();
            if request.is_empty() && self.ended.load(Ordering::Relaxed) {
                return;
            }
            if *self.peer.get_or_insert(from) != from {
                continue;
            }
            if let Some(id) = session_id(request) {
                self.session.store(id, Ordering::Relaxed);
            }
            if let Err(fault) = self.exchange(request, from) {
                tracing::debug!(%fault, "no reply to hand on");
            }
        }
    }

    fn exchange(&mut self, request: &[u8], peer: SocketAddr) -> io::Result<()> {
        let mut reply = [0; MAX_BYTES];
        self.far.set_nonblocking(true)?;
        while self.far.recv(&mut reply).is_ok() {}
        self.far.set_nonblocking(false)?;
        self.far.send(request)?;
        let end = Instant::now() + self.deadline;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            self.far.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let length = self.far.recv(&mut reply)?;
            let reply = reply.get(..length).unwrap_or_default();
            if self.is_new(reply) {
                self.near.send_to(reply, peer)?;
                return Ok(());
            }
        }
    }

    fn is_new(&mut self, reply: &[u8]) -> bool {
        if self.handed_on.iter().any(|known| known == reply) {
            return false;
        }
        if self.handed_on.len() == REMEMBERED {
            self.handed_on.pop_front();
        }
        self.handed_on.push_back(reply.to_vec());
        true
    }
}

/// Of a datagram of RMCP+: class 7, authentication type 6, payload type, id, sequence (IPMI 2.0, 13.6).
fn session_id(request: &[u8]) -> Option<u32> {
    let [_, _, _, 7, 6, _, id @ ..] = request else {
        return None;
    };
    let id = id.first_chunk().copied().map(u32::from_le_bytes);
    id.filter(|&id| id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_millis(300);

    /// A BMC that answers each datagram with the answers that `answer` makes of it.
    fn bmc(answer: impl Fn(&UdpSocket, SocketAddr, u8) + Send + 'static) -> (String, u16) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        thread::spawn(move || {
            let mut request = [0; 8];
            while let Ok((_, from)) = socket.recv_from(&mut request) {
                answer(&socket, from, request[0]);
            }
        });
        ("127.0.0.1".to_owned(), port)
    }

    /// What a session hears that sends each of `requests` and takes the next datagram.
    fn heard(relay: &Relay, requests: &[u8]) -> Vec<Option<u8>> {
        let session = UdpSocket::bind("127.0.0.1:0").unwrap();
        session.connect(relay.address()).unwrap();
        session.set_read_timeout(Some(DEADLINE * 2)).unwrap();
        let ask = |&request| {
            session.send(&[request]).unwrap();
            let mut reply = [0; 8];
            session.recv(&mut reply).ok().map(|_| reply[0])
        };
        requests.iter().map(ask).collect()
    }

    #[test]
    fn replies_that_come_twice_or_late_shift_nothing() {
        let host = bmc(|socket, from, request| {
            let send = |reply| socket.send_to(&[reply], from).unwrap();
            match request {
                // Twice; not at all; the one before once more, in front.
                2 => [2, 2].map(send).len(),
                3 => 0,
                5 => [4, 2, 5].map(send).len(),
                other => send(other),
            };
        });
        let relay = Relay::start(&host, DEADLINE).unwrap();
        let expected = [Some(1), Some(2), None, Some(4), Some(5), Some(6)];
        assert_eq!(heard(&relay, &[1, 2, 3, 4, 5, 6]), expected);
        assert_eq!(heard(&relay, &[7]), [None], "another socket is no party to it");
    }

    #[test]
    fn requests_of_a_session_carry_its_id() {
        let request = [6, 0, 0xff, 7, 6, 0xc0, 0x78, 0x56, 0x34, 0x12, 1, 0, 0, 0];
        assert_eq!(session_id(&request), Some(0x1234_5678));
        assert_eq!(session_id(&request[..9]), None);
        assert_eq!(
            session_id(&[6, 0, 0xff, 7, 6, 0x10, 0, 0, 0, 0, 0]),
            None,
            "before there is a session"
        );
        assert_eq!(
            session_id(&[6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 0, 0]),
            None,
            "a ping"
        );
    }

    #[test]
    fn its_thread_ends_with_it() {
        let relay = Relay::start(&bmc(|_, _, _| {}), DEADLINE).unwrap();
        let (address, begun) = (relay.address(), Instant::now());
        assert!(UdpSocket::bind(address).is_err());
        drop(relay);
        while UdpSocket::bind(address).is_err() {
            assert!(begun.elapsed() < LOOK, "its socket is still there");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
