//! A brain's page, asked over HTTP by commands that show what it shows.

pub(crate) mod picture;
pub(crate) mod words;

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{net::TcpStream, time::timeout};

/// How long an answer may take: the page of a large fleet on a busy machine takes a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// No answer is larger: 10,000 hosts at a glance are some 8 MB.
const MAX_ANSWER: usize = 64 << 20;

/// Where the page is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Page {
    /// The brain's page
    #[arg(long = "page", value_name = "HOST:PORT", default_value = "127.0.0.1:8420")]
    address: String,
}

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
            .map_err(|_| anyhow!("the page at {} has not answered within {PATIENCE:?}", self.address))
            .and_then(|answer| answer)?;
        serde_json::from_slice(&body).with_context(|| {
            format!(
                "{path} of {} is no answer of a brain's page, or of one of another version",
                self.address
            )
        })
    }

    async fn ask(&self, path: &str, mut request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
        let stream = TcpStream::connect(&self.address).await.with_context(|| {
            let at = &self.address;
            format!("no brain's page at {at}: start one (`foreshadow up`), or name its address (--page HOST:PORT)")
        })?;
        let spoken = || format!("who listens at {} does not speak HTTP", self.address);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.with_context(spoken)?;
        // It ends with the answer; what goes wrong with it, the answer tells.
        tokio::spawn(async move { drop(connection.await) });
        let host = self.address.parse().context("the page's address is no name")?;
        request.headers_mut().insert(header::HOST, host);
        let response = sender.send_request(request).await.with_context(spoken)?;
        let status = response.status();
        let read = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = read
            .map_err(|fault| anyhow!("{path} of {}: {fault}", self.address))?
            .to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => bail!("{}", problem.detail),
            Err(_) => bail!("{path} of {}: {status}", self.address),
        }
    }
}

/// What a page answers when it cannot answer (RFC 9457).
#[derive(Debug, Deserialize)]
struct Problem {
    detail: String,
}
