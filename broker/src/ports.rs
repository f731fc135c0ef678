//! Where clients come in: MQTT over TCP, over WebSocket, and over a socket in the file system.

use std::{
    fs,
    future::poll_fn,
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    task::{Context, Poll},
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::{BrokerError, Config};

/// Who may use the socket file: its owner and group, who can be given to it by the folder that it lies in.
const MODE: u32 = 0o660;

/// A client of this machine has no address; it counts as one that came over loopback.
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A connection that has just come.
pub(crate) enum Arrival {
    Tcp(TcpStream),
    WebSocket(TcpStream),
    Unix(UnixStream),
}

/// All that is listened on.
pub(crate) struct Ports {
    tcp: TcpListener,
    websocket: Option<TcpListener>,
    unix: Option<(UnixListener, SocketFile)>,
    /// Which is asked first; it changes, so that none keeps the others out.
    turn: usize,
}

impl Ports {
    /// Listens where `config` says.
    pub(crate) async fn open(config: &Config) -> Result<Self, BrokerError> {
        let unix = match &config.unix_socket {
            Some(path) => Some(SocketFile::listen(path).await?),
            None => None,
        };
        let websocket = match &config.websocket {
            Some(websocket) => Some(listen(websocket.listen).await?),
            None => None,
        };
        Ok(Self {
            tcp: listen(config.listen).await?,
            websocket,
            unix,
            turn: 0,
        })
    }

    /// Where MQTT over TCP comes in.
    pub(crate) fn addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Where MQTT over WebSocket comes in.
    pub(crate) fn websocket(&self) -> Option<SocketAddr> {
        self.websocket.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The next connection; the call may be given up and made again.
    pub(crate) async fn accept(&mut self) -> io::Result<(Arrival, SocketAddr)> {
        self.turn += 1;
        poll_fn(|cx| {
            for port in 0..3 {
                if let ready @ Poll::Ready(_) = self.poll(cx, self.turn.wrapping_add(port) % 3) {
                    return ready;
                }
            }
            Poll::Pending
        })
        .await
    }

    fn poll(&self, cx: &mut Context<'_>, port: usize) -> Poll<io::Result<(Arrival, SocketAddr)>> {
        let tcp = |accepted: io::Result<(TcpStream, SocketAddr)>, arrival: fn(TcpStream) -> Arrival| {
            let (stream, peer) = accepted?;
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "messages may be delayed");
            }
            Ok((arrival(stream), peer))
        };
        match (port, &self.websocket, &self.unix) {
            (0, _, _) => self.tcp.poll_accept(cx).map(|accepted| tcp(accepted, Arrival::Tcp)),
            (1, Some(listener), _) => listener
                .poll_accept(cx)
                .map(|accepted| tcp(accepted, Arrival::WebSocket)),
            (2, _, Some((listener, _))) => listener
                .poll_accept(cx)
                .map(|accepted| Ok((Arrival::Unix(accepted?.0), LOCAL))),
            _ => Poll::Pending,
        }
    }
}

/// Listens on a port of TCP.
pub(crate) async fn listen(addr: SocketAddr) -> Result<TcpListener, BrokerError> {
    TcpListener::bind(addr).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BrokerError::InUse { addr },
        _ => BrokerError::Bind { addr, source },
    })
}

/// The file that clients of this machine connect to; removed at the end, unless another has taken its place.
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl SocketFile {
    /// Listens at `path`. A socket there that nobody listens on is what a broker left that was killed: it is replaced.
    async fn listen(path: &Path) -> Result<(UnixListener, Self), BrokerError> {
        let failed = |what: String| BrokerError::Socket {
            path: path.to_owned(),
            what,
        };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(failed(error.to_string())),
            Ok(found) if !found.file_type().is_socket() => {
                return Err(failed("something that is no socket lies there".to_owned()));
            }
            Ok(_) if UnixStream::connect(path).await.is_ok() => {
                return Err(failed("it is in use, perhaps by another broker".to_owned()));
            }
            Ok(_) => tracing::info!(path = %path.display(), "replacing a socket that nobody listens on"),
        }
        Self::bind(path).map_err(|error| failed(error.to_string()))
    }

    /// It gets its name when its mode is right, and in one step.
    fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        let mut unnamed = path.as_os_str().to_owned();
        unnamed.push(format!(".{}", std::process::id()));
        let unnamed = PathBuf::from(unnamed);
        if let Err(error) = fs::remove_file(&unnamed)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let listener = UnixListener::bind(&unnamed)?;
        fs::set_permissions(&unnamed, fs::Permissions::from_mode(MODE))?;
        let inode = fs::symlink_metadata(&unnamed)?.ino();
        fs::rename(&unnamed, path)?;
        let path = path.to_owned();
        Ok((listener, Self { path, inode }))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "socket is left behind");
        }
    }
}
