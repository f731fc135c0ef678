//! The server of enrolment: for the time of a rollout, next to the key.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use runtime::{Clock, Shutdown};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::NoServerSessionStorage,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Authority, PkiError, Token,
    enrol::{Answer, MAX_QUESTION, Question, VERSION, line, tries::Tries},
    issue::{self, Good},
    lifetime,
};

/// How long a host may take for its question, and again to read the answer. A connection that lasts longer is closed, and
/// holds up no other meanwhile.
const DEADLINE: Duration = Duration::from_secs(10);

/// Connections at once; further ones are closed.
const CONNECTIONS: usize = 512;

/// Whether all tokens are used or late is looked at so often, besides after each enrolment.
const LOOK: Duration = Duration::from_secs(5);

/// What a server has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Hosts enrolled.
    pub enrolled: u64,
    /// Hosts and others refused, by whatever reason.
    pub refused: u64,
    /// Tokens that are still open.
    pub open: usize,
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
    shutdown: Shutdown,
}

#[derive(Debug)]
struct Shared {
    authority: Authority,
    clock: Clock,
    tries: Mutex<Tries>,
    enrolled: AtomicU64,
    refused: AtomicU64,
    shutdown: Shutdown,
}

impl Server {
    /// Listens at `address` with a certificate that lasts `life`. Its key is in memory alone.
    ///
    /// # Errors
    /// [`PkiError`] when no token is open, the key of the authority is not at hand, or the address cannot be had.
    pub async fn bind(
        authority: Authority,
        address: SocketAddr,
        life: Duration,
        clock: Clock,
        shutdown: Shutdown,
    ) -> Result<Self, PkiError> {
        let tls = tls(&authority, life)?;
        if open(&authority)? == 0 {
            return Err(PkiError::asked(
                "no token is open; `foreshadow pki token HOST` makes one",
            ));
        }
        let listener = TcpListener::bind(address).await.map_err(PkiError::network(&address))?;
        let shared = Shared {
            authority,
            clock,
            tries: Mutex::default(),
            enrolled: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            shutdown: shutdown.clone(),
        };
        Ok(Self {
            listener,
            tls: TlsAcceptor::from(tls),
            shared: Arc::new(shared),
            shutdown,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// [`PkiError::Network`].
    pub fn address(&self) -> Result<SocketAddr, PkiError> {
        self.listener.local_addr().map_err(PkiError::network("this server"))
    }

    /// Serves until told to end, or no token is open any more. Whoever is being served is served to the end.
    ///
    /// # Errors
    /// [`PkiError`] when the index cannot be read any more.
    pub async fn serve(self) -> Result<Served, PkiError> {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let mut look = tokio::time::interval(LOOK);
        while !self.shutdown.is_triggered() {
            tokio::select! {
                () = self.shutdown.wait() => break,
                _ = look.tick() => self.shared.look(),
                accepted = self.listener.accept() => match accepted {
                    // Out of descriptors, or gone already: neither is for ever.
                    Err(error) => {
                        tracing::warn!(%error, "no connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    Ok((stream, peer)) => self.admit(stream, peer, &slots),
                }
            }
        }
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        // Each ends by its deadlines.
        drop(timeout(2 * DEADLINE, slots.acquire_many(all)).await);
        Ok(Served {
            enrolled: self.shared.enrolled.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            open: open(&self.shared.authority)?,
        })
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, slots: &Arc<Semaphore>) {
        let shared = Arc::clone(&self.shared);
        match slots.clone().try_acquire_owned() {
            Ok(slot) if shared.may(peer.ip()) => {
                tokio::spawn(answer(self.tls.clone(), stream, peer, shared, slot));
            }
            _ => {
                shared.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Shared {
    fn may(&self, address: IpAddr) -> bool {
        let tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.may(address, self.clock.monotonic_ns())
    }

    fn failed(&self, peer: SocketAddr, why: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%peer, why, "not enrolled");
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.failed(peer.ip(), self.clock.monotonic_ns());
    }

    /// Ends the server when no token is open, and nobody can have missed an answer just now.
    fn look(&self) {
        match expects(&self.authority) {
            Ok(false) => self.shutdown.trigger("all tokens are used or late"),
            Ok(true) => {}
            Err(error) => self.shutdown.trigger(error.to_string()),
        }
    }

    /// Checks what a host says, and issues.
    fn take(&self, question: &[u8], peer: SocketAddr) -> Result<Answer, PkiError> {
        let bad = |error: serde_json::Error| PkiError::Refused(format!("the question cannot be read: {error}"));
        let question: Question = serde_json::from_slice(question).map_err(bad)?;
        if question.version != VERSION {
            let what = format!("version {} is spoken here, not {}", VERSION, question.version);
            return Err(PkiError::Refused(what));
        }
        let token: Token = question.token.parse()?;
        let request = issue::read_request(&question.request)?;
        let certificate = self
            .authority
            .enrol(&token.digest(), &request, &peer.ip().to_string())?;
        let index = self.authority.index()?;
        Ok(Answer::Enrolled {
            certificate,
            ca: index.bundle(),
            crl: index.lists(),
        })
    }
}

async fn answer(
    tls: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    slot: OwnedSemaphorePermit,
) {
    if let Err(error) = converse(tls, stream, peer, &shared).await {
        shared.failed(peer, &error.to_string());
    }
    shared.look();
    drop(slot);
}

async fn converse(tls: TlsAcceptor, stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) -> Result<(), PkiError> {
    let (mut stream, question) = in_time(peer, async {
        let mut stream = tls.accept(stream).await?;
        let question = line(&mut stream, MAX_QUESTION).await?;
        Ok((stream, question))
    })
    .await?;
    let taken = {
        // It waits for the folder's lock and for the disk.
        let shared = Arc::clone(shared);
        tokio::task::spawn_blocking(move || shared.take(&question, peer)).await
    };
    let taken = taken.unwrap_or_else(|error| Err(PkiError::Refused(error.to_string())));
    let (answer, fault) = match taken {
        Ok(answer) => (answer, None),
        Err(fault) => {
            let refused = fault.to_string();
            (Answer::Refused { refused }, Some(fault))
        }
    };
    if fault.is_none() {
        shared.enrolled.fetch_add(1, Ordering::Relaxed);
    }
    let mut bytes = serde_json::to_vec(&answer).map_err(|error| PkiError::asked(error.to_string()))?;
    bytes.push(b'\n');
    in_time(peer, async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    })
    .await?;
    fault.map_or(Ok(()), Err)
}

/// What `peer` has to do with, within the deadline.
async fn in_time<T>(peer: SocketAddr, work: impl Future<Output = std::io::Result<T>>) -> Result<T, PkiError> {
    let late = |_| Err(std::io::ErrorKind::TimedOut.into());
    timeout(DEADLINE, work)
        .await
        .unwrap_or_else(late)
        .map_err(PkiError::network(&peer))
}

/// How many tokens are open.
fn open(authority: &Authority) -> Result<usize, PkiError> {
    let now_s = authority.now_s();
    let index = authority.index()?;
    Ok(index.tokens.iter().filter(|token| token.is_open(now_s)).count())
}

/// Whether anybody may still come.
fn expects(authority: &Authority) -> Result<bool, PkiError> {
    let now_s = authority.now_s();
    let index = authority.index()?;
    Ok(index
        .tokens
        .iter()
        .any(|token| token.is_open(now_s) || token.is_fresh(now_s)))
}

fn tls(authority: &Authority, life: Duration) -> Result<Arc<ServerConfig>, PkiError> {
    let index = authority.index()?;
    let now_s = authority.now_s();
    let key = issue::key()?;
    let good = Good {
        from_s: now_s - lifetime::BACKDATE_S,
        // An hour for clocks that are ahead.
        to_s: now_s + i64::try_from(life.as_secs()).unwrap_or(lifetime::SERVE_S) + lifetime::BACKDATE_S,
    };
    let certificate = authority.issuer(&index)?.enrolment(&key, good)?;
    let read = |pem: &str| {
        let der = CertificateDer::from_pem_slice(pem.as_bytes());
        der.map_err(|error| PkiError::asked(error.to_string()))
    };
    // The authority itself goes with it: the host finds its digest in the token.
    let chain = vec![read(&certificate)?, read(&index.newest()?.certificate)?];
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(PkiError::asked)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
