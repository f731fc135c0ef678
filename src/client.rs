//! A brain's page, asked over HTTP by commands that show what it shows.

pub(crate) mod picture;
pub(crate) mod words;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// How long an answer may take: the page of a large fleet on a busy machine takes a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// No answer is larger: 10,000 hosts at a glance are some 8 MB.
const MAX_ANSWER: usize = 64 << 20;

/// Where systems keep the authorities that they trust: Debian, Fedora, Alpine and the BSDs.
const SYSTEM_CA: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Where the page is, and who asks.
#[derive(Debug, Clone, Args)]
pub(crate) struct Page {
    /// The brain's page; with https:// before it, by TLS
    #[arg(long = "page", value_name = "HOST:PORT", default_value = "127.0.0.1:8420")]
    address: String,
    /// Authorities that the page's certificate may come from, in PEM [default: those of the system]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Who logs in, where the page wants it
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// The password is the first line of this file
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

/// A connection to a page.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Page {
    /// What the page answers to `path`, which begins with a slash.
    ///
    /// # Errors
    /// When nobody answers there within 10 s, the answer is a problem, or none of a page's.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.answer(path, Request::get(path).body(Full::default())?).await
    }

    /// What the page answers to `body`, sent as JSON to `path`, which begins with a slash.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let body = Full::new(Bytes::from(serde_json::to_vec(body)?));
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.answer(path, request.body(body)?).await
    }

    async fn answer<T: DeserializeOwned>(&self, path: &str, request: Request<Full<Bytes>>) -> anyhow::Result<T> {
        let asked = timeout(PATIENCE, self.ask(path, request)).await;
        let body = asked
            .map_err(|_| anyhow!("the page at {} has not answered within {PATIENCE:?}: try again, or see in the log of its brain what keeps it", self.address))
            .and_then(|answer| answer)?;
        serde_json::from_slice(&body).with_context(|| {
            format!(
                "{path} of {} is no answer of a brain's page, or of one of another version: is --page its address, and --version the same there?",
                self.address
            )
        })
    }

    async fn ask(&self, path: &str, mut request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
        let (stream, authorization) = self.connect().await?;
        let spoken = || {
            format!(
                "who listens at {} does not speak HTTP: a page with TLS is --page https://HOST:PORT",
                self.address
            )
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.with_context(spoken)?;
        // It ends with the answer; what goes wrong with it, the answer tells.
        tokio::spawn(async move { drop(connection.await) });
        let host = self
            .authority()
            .parse()
            .context("the page's address is no name: --page HOST:PORT")?;
        request.headers_mut().insert(header::HOST, host);
        if let Some(authorization) = authorization {
            let authorization = HeaderValue::from_str(&authorization)?;
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        let response = sender.send_request(request).await.with_context(spoken)?;
        let status = response.status();
        let read = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = read
            .map_err(|fault| {
                anyhow!(
                    "{path} of {}: {fault}: is a brain's page there? --page HOST:PORT names it",
                    self.address
                )
            })?
            .to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if status == StatusCode::UNAUTHORIZED => {
                bail!("{}: say --user NAME --password-file FILE", problem.detail)
            }
            Ok(problem) => bail!("{}", problem.detail),
            Err(_) => bail!(
                "{path} of {}: {status}: is a brain's page there? --page HOST:PORT names it",
                self.address
            ),
        }
    }

    /// In whose name something is done: `by`, where it is said, else who logs in there, else the user of this machine.
    ///
    /// # Errors
    /// When nobody is known.
    pub(crate) fn actor(&self, by: Option<&str>) -> anyhow::Result<String> {
        let user = || ["USER", "LOGNAME"].into_iter().find_map(|name| env::var(name).ok());
        let by = by.or(self.user.as_deref()).map(str::to_owned);
        by.or_else(user)
            .context("who does it is not known: name them with --by NAME")
    }

    /// Host and port.
    fn authority(&self) -> &str {
        let plain = self.address.strip_prefix("http://").unwrap_or(&self.address);
        plain.strip_prefix("https://").unwrap_or(plain).trim_end_matches('/')
    }

    /// A connection, and what logs in over it.
    async fn connect(&self) -> anyhow::Result<(Box<dyn Stream>, Option<String>)> {
        let (at, is_secure) = (self.authority(), self.address.starts_with("https://"));
        let stream = TcpStream::connect(at).await.with_context(|| {
            format!("no brain's page at {at}: start one (`foreshadow up`), or name its address (--page HOST:PORT)")
        })?;
        let is_local = stream.peer_addr()?.ip().to_canonical().is_loopback();
        ensure!(
            is_secure || is_local || self.user.is_none(),
            "a password goes to another machine by TLS alone: --page https://{at}"
        );
        let authorization = self.authorization()?;
        if !is_secure {
            return Ok((Box::new(stream), authorization));
        }
        let host = at
            .rsplit_once(':')
            .map_or(at, |(host, _)| host)
            .trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned())
            .with_context(|| format!("--page https://HOST:PORT, and {host} is no name of a host"))?;
        let tls = bus::Tls {
            ca: self.authorities()?,
            crl: None,
            certificate: None,
            key: None,
            server_name: None,
        };
        let connector = TlsConnector::from(
            tls.client(host)
                .context("--ca must name a file of authorities in PEM")?,
        );
        let shaken = connector.connect(name, stream).await.with_context(|| {
            format!("no TLS with {at}: is its certificate for {host}, and by an authority of --ca?")
        })?;
        Ok((Box::new(shaken), authorization))
    }

    fn authorities(&self) -> anyhow::Result<PathBuf> {
        let of_system = || SYSTEM_CA.map(Path::new).into_iter().find(|path| path.exists());
        let found = self.ca.as_deref().or_else(of_system);
        Ok(found
            .context("this system keeps no authorities where they are looked for: --ca FILE")?
            .to_owned())
    }

    fn authorization(&self) -> anyhow::Result<Option<String>> {
        let (Some(user), Some(file)) = (&self.user, &self.password_file) else {
            return Ok(None);
        };
        let text = fs::read_to_string(file).with_context(|| {
            format!(
                "--password-file must name a file whose first line is the password: {}",
                file.display()
            )
        })?;
        let password = text.lines().next().unwrap_or_default();
        Ok(Some(format!("Basic {}", BASE64.encode(format!("{user}:{password}")))))
    }
}

/// What a page answers when it cannot answer (RFC 9457).
#[derive(Debug, Deserialize)]
struct Problem {
    detail: String,
}
