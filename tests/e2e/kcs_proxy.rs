//! Between a guest's KCS port and its BMC: what a BMC that is not well does to replies.
//!
//! Speaks the framing of QEMU's `ipmi-bmc-extern` and of `ipmi_sim`'s codec `VM` (OpenIPMI, `README.vm`): a message is
//! a sequence number, what IPMI has (netfn and unit, command, completion code, data) and a byte that makes the sum 0;
//! it ends with A0h, a line command with A1h, and bytes from A0h to AFh that are neither are sent as AAh and the byte
//! with bit 4 set.

use std::{
    io::{BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

const END_OF_MESSAGE: u8 = 0xa0;
const END_OF_COMMAND: u8 = 0xa1;
const ESCAPE: u8 = 0xaa;
/// Sequence number, netfn, command, completion code.
const HEADER: usize = 4;

/// What happens to a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Passed,
    Dropped,
    /// Comes after this time.
    Late(Duration),
    Twice,
    /// Only so many bytes follow the completion code; the sum is right.
    Cut(usize),
    /// A byte of netfn, command or completion code is another; the sum is right.
    Mistaken,
    /// A byte is another; the sum is wrong.
    Garbled,
    /// Comes behind the next one.
    Overtaken,
}

/// Stands on a free port between a guest and the BMC at a port of loopback.
pub(crate) struct KcsProxy {
    port: u16,
    fates: Arc<Mutex<Vec<Fate>>>,
    replies: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl KcsProxy {
    pub(crate) fn start(bmc: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            fates: Arc::default(),
            replies: Arc::default(),
            ended: Arc::default(),
        };
        let (fates, replies, ended) = (proxy.fates.clone(), proxy.replies.clone(), proxy.ended.clone());
        thread::spawn(move || {
            for near in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let near = near.unwrap();
                let far = TcpStream::connect(("127.0.0.1", bmc)).unwrap();
                let back = Back {
                    near: Arc::new(Mutex::new(near.try_clone().unwrap())),
                    fates: fates.clone(),
                    replies: replies.clone(),
                    held: None,
                };
                let from = far.try_clone().unwrap();
                thread::spawn(move || back.run(from));
                thread::spawn(move || pass(near, far));
            }
        });
        proxy
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// From now on one reply in five has one of these fates, in turn; without any, all pass.
    pub(crate) fn set(&self, fates: &[Fate]) {
        *self.fates.lock().unwrap() = fates.to_vec();
    }

    /// How many replies the BMC has given.
    pub(crate) fn replies(&self) -> u64 {
        self.replies.load(Ordering::Relaxed)
    }
}

impl Drop for KcsProxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

/// Requests pass as they are.
fn pass(mut near: TcpStream, mut far: TcpStream) {
    std::io::copy(&mut near, &mut far).ok();
    far.shutdown(Shutdown::Both).ok();
}

/// The way back of one connection.
struct Back {
    near: Arc<Mutex<TcpStream>>,
    fates: Arc<Mutex<Vec<Fate>>>,
    replies: Arc<AtomicU64>,
    held: Option<Vec<u8>>,
}

impl Back {
    fn run(mut self, from: TcpStream) {
        let (mut message, mut escaped) = (Vec::new(), false);
        for byte in BufReader::new(from).bytes() {
            match byte {
                Err(_) => break,
                Ok(END_OF_MESSAGE) => self.reply(std::mem::take(&mut message)),
                Ok(END_OF_COMMAND) => {
                    send(&self.near, &message, END_OF_COMMAND);
                    message.clear();
                }
                Ok(ESCAPE) => escaped = true,
                Ok(byte) if std::mem::take(&mut escaped) => message.push(byte & !0x10),
                Ok(byte) => message.push(byte),
            }
        }
        self.near.lock().unwrap().shutdown(Shutdown::Both).ok();
    }

    fn fate(&self) -> Fate {
        let n = self.replies.fetch_add(1, Ordering::Relaxed);
        let fates = self.fates.lock().unwrap();
        if fates.is_empty() || !n.is_multiple_of(5) {
            return Fate::Passed;
        }
        fates[usize::try_from(n / 5).unwrap() % fates.len()]
    }

    fn reply(&mut self, message: Vec<u8>) {
        let fate = self.fate();
        let n = usize::try_from(self.replies()).unwrap();
        match fate {
            Fate::Dropped => {}
            Fate::Passed => send(&self.near, &message, END_OF_MESSAGE),
            Fate::Late(time) => {
                let near = Arc::clone(&self.near);
                thread::spawn(move || {
                    thread::sleep(time);
                    send(&near, &message, END_OF_MESSAGE);
                });
            }
            Fate::Twice => {
                send(&self.near, &message, END_OF_MESSAGE);
                send(&self.near, &message, END_OF_MESSAGE);
            }
            Fate::Cut(bytes) => {
                let end = (HEADER + bytes).min(message.len() - 1);
                send(&self.near, &sealed(&message[..end]), END_OF_MESSAGE);
            }
            Fate::Mistaken => {
                let mut reply = message[..message.len() - 1].to_vec();
                reply[1 + n % 3] ^= 0x14;
                send(&self.near, &sealed(&reply), END_OF_MESSAGE);
            }
            Fate::Garbled => {
                let mut reply = message;
                let place = n * 7 % reply.len();
                reply[place] ^= 0x55;
                send(&self.near, &reply, END_OF_MESSAGE);
            }
            Fate::Overtaken => {
                self.held = Some(message);
                return;
            }
        }
        if let Some(held) = self.held.take() {
            send(&self.near, &held, END_OF_MESSAGE);
        }
    }

    fn replies(&self) -> u64 {
        self.replies.load(Ordering::Relaxed)
    }
}

/// With the byte that makes the sum 0.
fn sealed(message: &[u8]) -> Vec<u8> {
    let sum = message.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    [message, &[sum.wrapping_neg()]].concat()
}

fn send(to: &Mutex<TcpStream>, message: &[u8], end: u8) {
    let mut line = Vec::with_capacity(message.len() * 2 + 1);
    for &byte in message {
        match byte {
            0xa0..=0xaf => line.extend([ESCAPE, byte | 0x10]),
            _ => line.push(byte),
        }
    }
    line.push(end);
    to.lock().unwrap().write_all(&line).ok();
}
