//! A broker that belongs to somebody else: it has a certificate of the cell's authority and speaks MQTT, and what it
//! hands on is for a test to say.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::BytesMut;
use rumqttc::{
    ConnAck, ConnectReturnCode, Error, Packet, PubAck, Publish, QoS, SubAck, SubscribeReasonCode, matches,
    tokio_rustls::{
        TlsAcceptor,
        rustls::{
            ServerConfig,
            pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        },
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::mpsc,
};

use crate::fleet::Fleet;

const MAX_PACKET: usize = 8 << 20;

/// What somebody has published, or what is handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) retain: bool,
}

impl Message {
    /// One that nobody has sent.
    pub(crate) fn new(topic: &str, payload: Vec<u8>) -> Self {
        Self {
            topic: topic.to_owned(),
            payload,
            retain: false,
        }
    }

    /// The kind in its topic: `command`, `delta`, ...
    pub(crate) fn kind(&self) -> &str {
        self.topic.rsplit('/').next().unwrap()
    }

    /// The host in its topic.
    pub(crate) fn host(&self) -> &str {
        self.topic.split('/').nth(2).unwrap()
    }

    /// The same on the topic of another host.
    pub(crate) fn to(&self, host: &str) -> Self {
        let mut levels: Vec<&str> = self.topic.split('/').collect();
        levels[2] = host;
        Self {
            topic: levels.join("/"),
            ..self.clone()
        }
    }

    /// The same with one bit changed.
    pub(crate) fn changed(&self, at: usize) -> Self {
        let mut payload = self.payload.clone();
        let at = at % payload.len();
        payload[at] ^= 1 << (at % 8);
        Self {
            payload,
            ..self.clone()
        }
    }
}

/// What becomes of a message: what is handed on in its place, in this order.
type Deed = Box<dyn FnMut(&Message) -> Vec<Message> + Send>;

/// The broker; it ends with its test.
pub(crate) struct Hostile {
    state: Arc<Mutex<State>>,
    _runtime: Runtime,
}

struct State {
    deed: Deed,
    published: Vec<Message>,
    kept: BTreeMap<String, Message>,
    clients: Vec<Client>,
}

struct Client {
    filters: Vec<String>,
    out: mpsc::UnboundedSender<Packet>,
}

impl State {
    fn published(&mut self, message: Message) {
        let handed_on = (self.deed)(&message);
        self.published.push(message);
        handed_on.into_iter().for_each(|message| self.hand_on(&message));
    }

    /// To whoever has asked for its topic. What is to be kept reaches who is there as a new one.
    fn hand_on(&mut self, message: &Message) {
        if message.retain {
            self.kept.insert(message.topic.clone(), message.clone());
        }
        self.clients.retain(|client| !client.out.is_closed());
        for client in &self.clients {
            if client.filters.iter().any(|filter| matches(&message.topic, filter)) {
                drop(client.out.send(publish(message, false)));
            }
        }
    }
}

fn publish(message: &Message, retain: bool) -> Packet {
    let mut packet = Publish::new(&message.topic, QoS::AtMostOnce, message.payload.clone());
    packet.retain = retain;
    Packet::Publish(packet)
}

impl Hostile {
    /// Where the fleet expects its broker, with that broker's certificate. It is honest until it is told otherwise.
    pub(crate) fn new(fleet: &Fleet) -> Self {
        let pem = fs::read(fleet.file("_broker", "identity.pem")).unwrap();
        let chain = CertificateDer::pem_slice_iter(&pem).map(Result::unwrap).collect();
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_slice(&pem).unwrap())
            .unwrap();
        let state = Arc::new(Mutex::new(State {
            deed: Box::new(|message| vec![message.clone()]),
            published: Vec::new(),
            kept: BTreeMap::new(),
            clients: Vec::new(),
        }));
        let runtime = Runtime::new().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], fleet.stack.port));
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, Arc::clone(&shared)));
            }
        });
        Self {
            state,
            _runtime: runtime,
        }
    }

    /// From now on this is done with whatever is published.
    pub(crate) fn does(&self, deed: impl FnMut(&Message) -> Vec<Message> + Send + 'static) {
        self.state.lock().unwrap().deed = Box::new(deed);
    }

    /// Hands on what nobody has published, or once more what somebody has.
    pub(crate) fn says(&self, message: &Message) {
        self.state.lock().unwrap().hand_on(message);
    }

    /// As [`Hostile::says`], as if it had been kept for who comes late.
    pub(crate) fn says_as_kept(&self, message: &Message) {
        let state = self.state.lock().unwrap();
        for client in &state.clients {
            if client.filters.iter().any(|filter| matches(&message.topic, filter)) {
                drop(client.out.send(publish(message, true)));
            }
        }
    }

    /// Everything of a kind that `host` has said, or that was said to it, as it was.
    pub(crate) fn published(&self, host: &str, kind: &str) -> Vec<Message> {
        let state = self.state.lock().unwrap();
        let of = |message: &&Message| message.kind() == kind && message.host() == host;
        state.published.iter().filter(of).cloned().collect()
    }
}

/// One client, until it goes.
async fn serve(acceptor: TlsAcceptor, stream: TcpStream, state: Arc<Mutex<State>>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let (mut input, mut output) = tokio::io::split(stream);
    let (out, mut packets) = mpsc::unbounded_channel::<Packet>();
    tokio::spawn(async move {
        while let Some(packet) = packets.recv().await {
            let mut bytes = BytesMut::new();
            packet.write(&mut bytes, MAX_PACKET).unwrap();
            if output.write_all(&bytes).await.is_err() || output.flush().await.is_err() {
                return;
            }
        }
    });
    let me = {
        let mut state = state.lock().unwrap();
        state.clients.push(Client {
            filters: Vec::new(),
            out: out.clone(),
        });
        out
    };
    let mut bytes = BytesMut::new();
    loop {
        let packet = match Packet::read(&mut bytes, MAX_PACKET) {
            Ok(packet) => packet,
            Err(Error::InsufficientBytes(_)) => match input.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            },
            Err(_) => return,
        };
        take(packet, &me, &mut state.lock().unwrap());
    }
}

fn take(packet: Packet, me: &mpsc::UnboundedSender<Packet>, state: &mut State) {
    let answer = |packet| drop(me.send(packet));
    match packet {
        Packet::Connect(_) => answer(Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false))),
        Packet::PingReq => answer(Packet::PingResp),
        Packet::Subscribe(asked) => {
            let granted = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce); asked.filters.len()];
            answer(Packet::SubAck(SubAck::new(asked.pkid, granted)));
            let filters = asked.filters.into_iter().map(|filter| filter.path);
            for filter in filters {
                let kept = state.kept.values().filter(|message| matches(&message.topic, &filter));
                kept.for_each(|message| answer(publish(message, true)));
                let mine = state.clients.iter_mut().find(|client| client.out.same_channel(me));
                mine.unwrap().filters.push(filter);
            }
        }
        Packet::Publish(message) => {
            if message.qos != QoS::AtMostOnce {
                answer(Packet::PubAck(PubAck::new(message.pkid)));
            }
            state.published(Message {
                topic: message.topic,
                payload: message.payload.to_vec(),
                retain: message.retain,
            });
        }
        _ => {}
    }
}
