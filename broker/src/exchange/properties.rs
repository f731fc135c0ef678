use std::collections::{HashMap, HashSet, VecDeque};

use bytes::BytesMut;
use proptest::prelude::*;
use rumqttd::protocol::{ConnAck, ConnectReturnCode, Filter, QoS, RetainForwardRule};

use super::*;
use crate::{
    access::Permit,
    message::Qos,
    outbox::{Capacity, Next},
    packet::{Received, Version, read_any},
    waiting::Account,
};

const CAPACITY: Capacity = Capacity {
    version: Version::V4,
    max_bytes: 1 << 20,
    window: 3,
    max_packet: 1 << 20,
};

#[derive(Debug, Clone, Copy)]
enum Act {
    Publish {
        qos: Qos,
    },
    /// Reads what is sent; answers so many packets of it.
    Read {
        client: usize,
        answers: usize,
    },
    /// The connection breaks, with what was not read.
    Break {
        client: usize,
    },
    Connect {
        client: usize,
    },
    /// Another connection takes over.
    TakeOver {
        client: usize,
    },
}

fn acts() -> impl Strategy<Value = Act> {
    let client = 0_usize..2;
    prop_oneof![
        4 => prop::sample::select(vec![Qos::AtLeastOnce, Qos::ExactlyOnce]).prop_map(|qos| Act::Publish { qos }),
        4 => (client.clone(), 0_usize..6).prop_map(|(client, answers)| Act::Read { client, answers }),
        1 => client.clone().prop_map(|client| Act::Break { client }),
        2 => client.clone().prop_map(|client| Act::Connect { client }),
        1 => client.prop_map(|client| Act::TakeOver { client }),
    ]
}

/// A client that keeps its side of a session over connections.
#[derive(Default)]
struct Client {
    id: String,
    link: Option<(Seat, Arc<Outbox>)>,
    buffer: BytesMut,
    got: HashMap<u64, usize>,
    /// QoS 2 messages that it has and that are not released.
    held: HashSet<u16>,
    answers: VecDeque<Received>,
}

impl Client {
    fn connect(&mut self, exchange: &mut Exchange) {
        let outbox = Arc::new(Outbox::new(
            CAPACITY,
            Arc::new(Permit::Everything),
            exchange.clock.clone(),
            Account::default(),
        ));
        let connack = ConnAck {
            session_present: false,
            code: ConnectReturnCode::Success,
        };
        let arrival = Arrival {
            connection: exchange.next_serial(),
            id: self.id.as_str().into(),
            clean: false,
            expiry_s: 1_000,
            will: None,
            outbox: outbox.clone(),
            known: None,
            connack: Packet::ConnAck(connack, None),
        };
        let seat = exchange.connect(arrival).unwrap();
        self.link = Some((seat, outbox));
        self.buffer.clear();
        self.answers.clear();
    }

    fn subscribe(&self, exchange: &mut Exchange) {
        let filter = Filter {
            path: "t".to_owned(),
            qos: QoS::ExactlyOnce,
            nolocal: false,
            preserve_retain: false,
            retain_forward_rule: RetainForwardRule::Never,
        };
        exchange.subscribe(self.link.as_ref().unwrap().0, 1, vec![filter]);
    }

    fn read(&mut self, answers: usize) {
        let Some((_, outbox)) = &self.link else { return };
        while let Some(Next::Write { .. }) = now(outbox, &mut self.buffer) {}
        while let Some(received) = read_any(Version::V4, &mut self.buffer, 1 << 20).unwrap() {
            self.answers.push_back(received);
        }
        for _ in 0..answers {
            let Some(received) = self.answers.pop_front() else {
                break;
            };
            match received {
                Received::Publish(publish) => {
                    let number = u64::from_be_bytes(publish.payload[..].try_into().unwrap());
                    if publish.qos == Qos::ExactlyOnce {
                        if self.held.insert(publish.packet_id) {
                            *self.got.entry(number).or_default() += 1;
                        }
                        outbox.received(publish.packet_id);
                    } else {
                        *self.got.entry(number).or_default() += 1;
                        outbox.acknowledged([publish.packet_id]);
                    }
                }
                Received::Other(packet) => {
                    if let Packet::PubRel(release, _) = *packet {
                        self.held.remove(&release.pkid);
                        outbox.acknowledged([release.pkid]);
                    }
                }
            }
        }
    }
}

fn now(outbox: &Outbox, buffer: &mut BytesMut) -> Option<Next> {
    use std::{pin::pin, task};
    let mut context = task::Context::from_waker(task::Waker::noop());
    match pin!(outbox.next(buffer)).poll(&mut context) {
        task::Poll::Ready(next) => Some(next),
        task::Poll::Pending => None,
    }
}

proptest! {
    /// However connections break: no message is lost, and none of QoS 2 comes twice.
    #[test]
    fn lasting_sessions_lose_nothing_and_double_nothing_of_qos_2(acts in prop::collection::vec(acts(), 1..60)) {
        let mut exchange = Exchange::new(&Limits::default(), Journal::default(), Clock::manual(0));
        let mut clients = ["a", "b"].map(|id| Client { id: id.to_owned(), ..Client::default() });
        for client in &mut clients {
            client.connect(&mut exchange);
            client.subscribe(&mut exchange);
        }
        let mut published = Vec::new();
        for act in acts {
            match act {
                Act::Publish { qos } => {
                    let number = published.len() as u64;
                    published.push(qos);
                    let message = Message {
                        topic: "t".into(),
                        payload: number.to_be_bytes().to_vec().into(),
                        qos,
                        source: 99,
                        ..Message::default()
                    };
                    prop_assert_eq!(exchange.dispatch(message).dropped, 0);
                }
                Act::Read { client, answers } => clients[client].read(answers),
                Act::Break { client } => {
                    if let Some((seat, _)) = clients[client].link.take() {
                        exchange.disconnect(seat, Farewell::Missing);
                    }
                }
                Act::Connect { client } => {
                    if clients[client].link.is_none() {
                        clients[client].connect(&mut exchange);
                    }
                }
                Act::TakeOver { client } => clients[client].connect(&mut exchange),
            }
        }
        for client in &mut clients {
            if client.link.is_none() {
                client.connect(&mut exchange);
            }
            for _ in 0..=2 * published.len() {
                client.read(usize::MAX);
            }
            for (number, qos) in published.iter().enumerate() {
                let times = client.got.get(&(number as u64)).copied().unwrap_or(0);
                prop_assert!(times >= 1, "{number} is lost");
                prop_assert!(times == 1 || *qos != Qos::ExactlyOnce, "{number} came {times} times");
            }
        }
        prop_assert_eq!(exchange.census().stored, 0);
        prop_assert_eq!(exchange.census().stored_bytes, 0);
    }
}
