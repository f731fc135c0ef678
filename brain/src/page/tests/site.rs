//! A page on a free port, for a browser to look at.

use std::{net::SocketAddr, sync::Arc};

use browser::{Browser, Eyes};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
};

use crate::{
    page::{
        Door, PageState,
        fixture::{decided, fleet::Waves, state},
        serve,
    },
    snapshot::Snapshot,
};

/// A browser on `#/` of a page with this snapshot; `None`, and a printed reason, where there is no browser.
pub(super) async fn open(snapshot: Snapshot, eyes: Eyes) -> Option<(Browser, Site)> {
    open_at(snapshot, eyes, None).await
}

/// As [`open`], where people log in.
pub(super) async fn open_at(snapshot: Snapshot, eyes: Eyes, door: Option<Door>) -> Option<(Browser, Site)> {
    let site = Site::new(snapshot, door).await;
    let browser = Browser::open(site.address, eyes).await?;
    Some((browser, site))
}

/// A page on a free port.
pub(super) struct Site {
    address: SocketAddr,
    pub(super) engine: watch::Sender<Arc<Snapshot>>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Site {
    async fn new(snapshot: Snapshot, door: Option<Door>) -> Self {
        let (engine, _, page) = state();
        engine.send_replace(Arc::new(snapshot));
        let page = decided(&engine, page);
        let page = PageState {
            series: Arc::new(Waves),
            door: door.map_or_else(|| Arc::clone(&page.door), Arc::new),
            ..page
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let stopped = async {
                stopped.await.unwrap_or_default();
            };
            serve(listener, page, stopped).await.unwrap();
        });
        Self {
            address,
            engine,
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// The brain is gone, and its port refuses.
    pub(super) async fn die(&mut self) {
        drop(self.stop.take());
        self.server.take().unwrap().await.unwrap();
    }
}
