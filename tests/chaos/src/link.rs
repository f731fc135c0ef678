//! A TCP link on loopback that can be cut or stalled.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Bytes pass.
    Fair,
    /// Connections are closed, and new ones at once.
    Cut,
    /// Connections stand, and nothing passes: neither end is told.
    Stalled,
}

/// Between clients and the server at a port of loopback.
#[derive(Debug)]
pub(crate) struct Link {
    port: u16,
    weather: watch::Sender<Weather>,
}

impl Link {
    /// Listens on a free port, and passes on to `server`.
    pub(crate) async fn start(server: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let weather = watch::Sender::new(Weather::Fair);
        let told = weather.subscribe();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *told.borrow() != Weather::Cut {
                    tokio::spawn(pass(near, server, told.clone()));
                }
            }
        });
        Ok(Self { port, weather })
    }

    /// Where clients connect.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn pass(near: TcpStream, server: u16, weather: watch::Receiver<Weather>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    // When one way ends, so does the other.
    tokio::select! {
        () = copy(near_in, far_out, weather.clone()) => {}
        () = copy(far_in, near_out, weather) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let passes = tokio::select! {
            changed = weather.wait_for(|weather| *weather == Weather::Cut) => { drop(changed); return; }
            read = from.read(&mut buffer) => read,
        };
        let Ok(length @ 1..) = passes else { return };
        let fair = weather.wait_for(|weather| *weather != Weather::Stalled).await;
        if !matches!(fair.map(|weather| *weather), Ok(Weather::Fair)) {
            return;
        }
        let bytes = buffer.get(..length).unwrap_or_default();
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
