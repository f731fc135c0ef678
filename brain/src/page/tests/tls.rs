//! The page over TLS, with people who log in: the real server, asked by a real client.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use runtime::Clock;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinHandle,
    time,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    config,
    page::{
        Certificates, Door, PageState,
        fixture::{list_of_people, state},
        healthy, serve,
    },
    snapshot::Snapshot,
};

/// How long something that does come may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listener with a certificate for `localhost`.
struct House {
    port: u16,
    folder: TempDir,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    /// A brain that is gone would not be well.
    engine: watch::Sender<Arc<Snapshot>>,
}

/// Certificate and key, signed by itself; the certificate is its own authority.
fn issue(folder: &Path) {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    trust::files::replace(&folder.join("key.pem"), key.serialize_pem().as_bytes()).unwrap();
    fs::write(folder.join("certificate.pem"), certificate.pem()).unwrap();
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        issue(folder.path());
        let tls = config::Tls {
            certificate: folder.path().join("certificate.pem"),
            key: folder.path().join("key.pem"),
        };
        let config = config::Page {
            users: Some(list_of_people(folder.path())),
            tls: Some(tls.clone()),
            ..config::Page::default()
        };
        let (engine, _, page) = state();
        let page = PageState {
            door: Arc::new(Door::open(&config, Clock::system()).unwrap()),
            certificates: Some(Arc::new(Certificates::load(tls).unwrap())),
            ..page
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, page, async {
            stopped.await.unwrap();
        }));
        Self {
            port,
            folder,
            stop,
            server,
            engine,
        }
    }

    /// The authority that a client trusts, as it stands in the file now.
    fn authority(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(&fs::read(self.folder.path().join("certificate.pem")).unwrap()).unwrap()
    }

    async fn connect(&self, authority: CertificateDer<'static>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(authority).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    async fn ask(&self, head: &str, body: &str) -> String {
        let stream = self.connect(self.authority()).await.unwrap();
        ask(stream, head, body).await
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap().unwrap();
    }
}

/// The whole answer to a request, whose connection ends with it.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, head: &str, body: &str) -> String {
    let request = format!(
        "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // Who sends no answer may have closed meanwhile.
    drop(stream.write_all(request.as_bytes()).await);
    let mut seen = Vec::new();
    drop(
        time::timeout(PATIENCE, stream.read_to_end(&mut seen))
            .await
            .expect("no end"),
    );
    String::from_utf8_lossy(&seen).into_owned()
}

#[tokio::test]
async fn people_log_in_and_out_over_tls_and_nothing_goes_in_the_clear() {
    let house = House::new().await;
    let well = house.ask("GET /healthz HTTP/1.1", "").await;
    assert!(well.starts_with("HTTP/1.1 200 OK") && well.contains("\"ok\""), "{well}");
    let led = house.ask("GET / HTTP/1.1", "").await;
    assert!(
        led.starts_with("HTTP/1.1 303 ") && led.contains("location: /login"),
        "{led}"
    );
    let closed = house.ask("GET /api/v1/fleet HTTP/1.1", "").await;
    assert!(
        closed.starts_with("HTTP/1.1 401 ") && !closed.contains("web-1"),
        "{closed}"
    );

    let form = "name=ann&password=ann%27s+password";
    let entered = house
        .ask("POST /login HTTP/1.1\r\nOrigin: https://localhost", form)
        .await;
    assert!(entered.starts_with("HTTP/1.1 303 "), "{entered}");
    let set = entered
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .unwrap();
    assert!(
        set.starts_with("__Host-foreshadow-") && set.contains("; Secure") && set.contains("HttpOnly"),
        "{set}"
    );
    let cookie = set.split(';').next().unwrap();
    let json = "Origin: https://localhost\r\nContent-Type: application/json";
    let frozen = house
        .ask(
            &format!("POST /api/v1/freeze HTTP/1.1\r\nCookie: {cookie}\r\n{json}"),
            "{}",
        )
        .await;
    assert!(
        frozen.starts_with("HTTP/1.1 200 OK") && frozen.contains("\"by\":\"ann\""),
        "{frozen}"
    );
    let left = house
        .ask(&format!("POST /logout HTTP/1.1\r\nCookie: {cookie}\r\n{json}"), "{}")
        .await;
    assert!(left.starts_with("HTTP/1.1 200 OK"), "{left}");
    let stolen = house
        .ask(&format!("GET /api/v1/fleet HTTP/1.1\r\nCookie: {cookie}"), "")
        .await;
    assert!(stolen.starts_with("HTTP/1.1 401 "), "{stolen}");

    let clear = TcpStream::connect(("127.0.0.1", house.port)).await.unwrap();
    let told = ask(clear, "GET /healthz HTTP/1.1", "").await;
    assert!(!told.contains("HTTP/1.1"), "{told}");
    house.end().await;
}

#[tokio::test]
async fn a_certificate_that_is_renewed_holds_without_a_restart_and_one_of_no_use_is_not_taken() {
    let house = House::new().await;
    let old = house.authority();
    house.connect(old.clone()).await.unwrap();
    // A key alone goes together with no certificate.
    let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    trust::files::replace(&house.folder.path().join("key.pem"), other.as_bytes()).unwrap();
    let looked_at = time::Instant::now() + 3 * crate::page::UPKEEP;
    while time::Instant::now() < looked_at {
        house.connect(old.clone()).await.unwrap();
        time::sleep(Duration::from_millis(100)).await;
    }
    issue(house.folder.path());
    let new = house.authority();
    let renewed = async {
        while house.connect(new.clone()).await.is_err() {
            time::sleep(Duration::from_millis(100)).await;
        }
    };
    time::timeout(PATIENCE, renewed).await.expect("it is never read");
    assert!(house.connect(old).await.is_err());
    house.end().await;
}

/// Whoever reads the key can be the page to everybody.
#[tokio::test]
async fn a_key_that_others_may_read_is_not_taken() {
    let house = House::new().await;
    let tls = config::Tls {
        certificate: house.folder.path().join("certificate.pem"),
        key: house.folder.path().join("key.pem"),
    };
    let load = |mode: u32| {
        fs::set_permissions(&tls.key, fs::Permissions::from_mode(mode)).unwrap();
        Certificates::load(tls.clone()).map_err(|fault| fault.to_string())
    };
    let told = load(0o644).unwrap_err();
    assert!(
        told.contains("key.pem") && told.contains("644") && told.contains("chmod 600"),
        "{told}"
    );
    load(0o640).unwrap();
    house.end().await;
}

/// What an engine of images asks: a brain that is stuck has its listener still.
#[tokio::test]
async fn health_is_asked_over_tls_too() {
    let house = House::new().await;
    let at = std::net::SocketAddr::from(([0, 0, 0, 0], house.port));
    let ask = move || healthy::over_tls(at);
    tokio::task::spawn_blocking(ask).await.unwrap().unwrap();
    let House {
        engine, stop, server, ..
    } = house;
    drop(engine);
    let stuck = tokio::task::spawn_blocking(ask).await.unwrap().unwrap_err();
    assert!(stuck.to_string().contains("503"), "{stuck}");
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    let gone = tokio::task::spawn_blocking(ask).await.unwrap().unwrap_err();
    assert_eq!(gone.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn silence_instead_of_a_handshake_keeps_nobody_out() {
    let house = House::new().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(("127.0.0.1", house.port)).await.unwrap());
    }
    let well = house.ask("GET /healthz HTTP/1.1", "").await;
    assert!(well.starts_with("HTTP/1.1 200 OK"), "{well}");
    house.end().await;
}
