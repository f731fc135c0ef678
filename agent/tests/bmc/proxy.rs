//! What a network, or a BMC that is not well, does to replies.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// What happens to a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Passed,
    Dropped,
    /// Comes after this time.
    Late(Duration),
    Twice,
    /// Only so many bytes of it come.
    Cut(usize),
    /// A byte is another.
    Garbled,
    /// Comes behind the next one.
    Overtaken,
}

type Rule = Box<dyn Fn(u64) -> Fate + Send>;

/// Stands between the agent and a BMC on loopback. Requests pass; the fate of each reply is told by a rule.
pub(crate) struct Proxy {
    port: u16,
    rule: Arc<Mutex<Rule>>,
    replies: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn start(bmc: u16) -> Self {
        let near = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        near.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let proxy = Self {
            port: near.local_addr().unwrap().port(),
            rule: Arc::new(Mutex::new(Box::new(|_| Fate::Passed))),
            replies: Arc::default(),
            ended: Arc::default(),
        };
        let (rule, replies, ended) = (proxy.rule.clone(), proxy.replies.clone(), proxy.ended.clone());
        thread::spawn(move || {
            let mut lines: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
            let mut request = [0; 2_048];
            while !ended.load(Ordering::Relaxed) {
                let Ok((length, from)) = near.recv_from(&mut request) else {
                    continue;
                };
                let line = lines.entry(from).or_insert_with(|| {
                    let far = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
                    far.connect(("127.0.0.1", bmc)).unwrap();
                    far.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                    let back = Back {
                        far: far.clone(),
                        near: near.clone(),
                        to: from,
                        rule: rule.clone(),
                        replies: replies.clone(),
                        ended: ended.clone(),
                    };
                    thread::spawn(move || back.run());
                    far
                });
                line.send(&request[..length]).ok();
            }
        });
        proxy
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// From now on, `rule` tells the fate of the nth reply.
    pub(crate) fn set(&self, rule: impl Fn(u64) -> Fate + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// How many replies the BMC has given.
    pub(crate) fn replies(&self) -> u64 {
        self.replies.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// The way back of one session.
struct Back {
    far: Arc<UdpSocket>,
    near: Arc<UdpSocket>,
    to: SocketAddr,
    rule: Arc<Mutex<Rule>>,
    replies: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Back {
    fn run(self) {
        let mut buffer = [0; 2_048];
        let mut held: Option<Vec<u8>> = None;
        while !self.ended.load(Ordering::Relaxed) {
            let Ok(length) = self.far.recv(&mut buffer) else {
                continue;
            };
            let reply = buffer[..length].to_vec();
            let n = self.replies.fetch_add(1, Ordering::Relaxed);
            let fate = (self.rule.lock().unwrap())(n);
            match fate {
                Fate::Passed => self.send(&reply),
                Fate::Dropped => {}
                Fate::Late(time) => {
                    let (near, to) = (self.near.clone(), self.to);
                    thread::spawn(move || {
                        thread::sleep(time);
                        near.send_to(&reply, to).ok();
                    });
                }
                Fate::Twice => {
                    self.send(&reply);
                    self.send(&reply);
                }
                Fate::Cut(bytes) => self.send(&reply[..bytes.min(length)]),
                Fate::Garbled => {
                    let mut reply = reply;
                    reply[usize::try_from(n).unwrap() * 7 % length] ^= 0x55;
                    self.send(&reply);
                }
                Fate::Overtaken => held = Some(reply),
            }
            if fate != Fate::Overtaken
                && let Some(held) = held.take()
            {
                self.send(&held);
            }
        }
    }

    fn send(&self, reply: &[u8]) {
        self.near.send_to(reply, self.to).ok();
    }
}
