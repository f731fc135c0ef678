//! The page's own files, all in this binary: no network but this listener is needed to look at it.

use std::{
    hash::{DefaultHasher, Hasher},
    sync::LazyLock,
};

use axum::{
    body::Bytes,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{plotly, problem::Problem};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// One file as it is served.
struct Asset {
    kind: &'static str,
    etag: HeaderValue,
    body: Bytes,
}

impl Asset {
    fn new(kind: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let mut hasher = DefaultHasher::new();
        hasher.write(&body);
        let etag = format!("\"{:016x}\"", hasher.finish());
        Self {
            kind,
            etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"0\"")),
            body,
        }
    }

    /// The file, or 304 when the browser has it. It asks each time: a new binary is seen at once.
    fn answer(&self, asked: &HeaderMap) -> Response {
        let known = asked.get(header::IF_NONE_MATCH);
        let fresh = known.is_some_and(|tags| tags.as_bytes() == self.etag.as_bytes());
        let headers = [
            (header::ETAG, self.etag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_TYPE, HeaderValue::from_static(self.kind)),
        ];
        if fresh {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, self.body.clone()).into_response()
    }
}

macro_rules! files {
    ($($name:literal: $kind:expr),+ $(,)?) => {
        [$(($name, Asset::new($kind, include_str!(concat!("assets/", $name))))),+]
    };
}

static INDEX: LazyLock<Asset> = LazyLock::new(|| Asset::new(HTML, include_str!("assets/index.html")));

static FILES: LazyLock<[(&str, Asset); 1]> = LazyLock::new(|| {
    files! {
        "app.js": JS,
    }
});

/// Apart from the others because it is cut out of a larger text at first use.
static PLOTLY: LazyLock<Asset> = LazyLock::new(|| Asset::new(JS, plotly::script()));

/// The page.
pub(super) async fn index(asked: HeaderMap) -> Response {
    INDEX.answer(&asked)
}

/// One file that the page names.
pub(super) async fn asset(Path(name): Path<String>, asked: HeaderMap) -> Result<Response, Problem> {
    let own = || FILES.iter().find(|(known, _)| *known == name).map(|(_, asset)| asset);
    let found = if name == "plotly.min.js" { Some(&*PLOTLY) } else { own() };
    found
        .map(|asset| asset.answer(&asked))
        .ok_or_else(|| Problem::not_found(format!("the page has no file {name:?}")))
}
