//! Connections: how many there may be, how long they may take to say what they want, and TLS.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::connect_info::IntoMakeServiceWithConnectInfo};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use super::tls::Certificates;

/// Connections at a time,
const MAX_CONNECTIONS: usize = 1_024;
/// and those of one address, other than loopback or a proxy.
const MAX_OF_ADDRESS: usize = 128;
/// How long a handshake may take, and the head of a request, which is waited for between requests as well.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(30);
/// How long open requests may take to finish after the shutdown began.
const DRAIN: Duration = Duration::from_secs(2);
/// Before the next connection is taken where the system has no room for one.
const NO_ROOM: Duration = Duration::from_millis(500);

/// What a listener is served with.
pub(super) struct Server {
    pub(super) router: Router,
    pub(super) tls: Option<Arc<Certificates>>,
    /// All connections come from one address.
    pub(super) behind_proxy: bool,
    pub(super) closing: CancellationToken,
}

impl Server {
    /// Takes connections until it is closing, then lets open requests finish.
    pub(super) async fn run(self, listener: TcpListener) {
        let (tasks, crowd) = (TaskTracker::new(), Crowd::default());
        let make = self.router.into_make_service_with_connect_info::<SocketAddr>();
        while let Some(accepted) = self.closing.run_until_cancelled(listener.accept()).await {
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(fault) => {
                    wait_for_room(&fault).await;
                    continue;
                }
            };
            let shares_address = self.behind_proxy || peer.ip().to_canonical().is_loopback();
            // Who is one too many is closed by the drop of its stream.
            let Some(place) = crowd.enter(peer.ip(), shares_address) else {
                continue;
            };
            let (make, tls, closing) = (make.clone(), self.tls.clone(), self.closing.clone());
            tasks.spawn(async move {
                // A connection that fails is its own.
                drop(connection(stream, peer, tls, make, closing).await);
                drop(place);
            });
        }
        tasks.close();
        drop(timeout(DRAIN, tasks.wait()).await);
    }
}

async fn wait_for_room(fault: &io::Error) {
    let of_connection = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::ConnectionReset,
    ];
    if !of_connection.contains(&fault.kind()) {
        tracing::error!(%fault, "the page cannot take a connection");
        sleep(NO_ROOM).await;
    }
}

type Make = IntoMakeServiceWithConnectInfo<Router, SocketAddr>;

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Certificates>>,
    make: Make,
    closing: CancellationToken,
) -> io::Result<()> {
    // What is answered is small and waited for.
    stream.set_nodelay(true)?;
    match tls {
        None => serve(stream, peer, make, closing).await,
        Some(tls) => {
            let shaken = TlsAcceptor::from(tls.config()).accept(stream);
            serve(timeout(HANDSHAKE, shaken).await??, peer, make, closing).await
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    mut make: Make,
    closing: CancellationToken,
) -> io::Result<()> {
    let Ok(service) = make.call(peer).await;
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended.map_err(io::Error::other)
}

/// Who is connected.
#[derive(Debug, Clone, Default)]
struct Crowd(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection's place among all.
#[derive(Debug)]
struct Place {
    crowd: Crowd,
    address: IpAddr,
}

impl Crowd {
    /// `None` where there are enough, or enough of this address.
    fn enter(&self, address: IpAddr, shares_address: bool) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = counts.get(&address).copied().unwrap_or_default();
        let is_full = counts.values().sum::<usize>() >= MAX_CONNECTIONS;
        if is_full || (of_address >= MAX_OF_ADDRESS && !shares_address) {
            return None;
        }
        counts.insert(address, of_address + 1);
        Some(Place {
            crowd: self.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_bounded_of_an_address_and_in_all() {
        let crowd = Crowd::default();
        let enter = |address: [u8; 4], shared| crowd.enter(address.into(), shared);
        let mut places: Vec<_> = (0..1_000).map_while(|_| enter([10, 0, 0, 7], false)).collect();
        assert_eq!(places.len(), MAX_OF_ADDRESS);
        let others: Vec<_> = (0..2_000).map_while(|_| enter([127, 0, 0, 1], true)).collect();
        assert_eq!(others.len(), MAX_CONNECTIONS - MAX_OF_ADDRESS);
        assert!(enter([10, 0, 0, 8], false).is_none());
        places.pop();
        let again = enter([10, 0, 0, 7], false);
        assert!(again.is_some() && enter([10, 0, 0, 8], false).is_none());
        drop((places, others, again));
        assert!(crowd.0.lock().unwrap().is_empty());
    }
}
