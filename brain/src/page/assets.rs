//! The page's own files, all in this binary: no network but this listener is needed to look at it.

use std::{
    hash::{DefaultHasher, Hasher},
    sync::LazyLock,
};

use axum::{
    body::Bytes,
    extract::{Path, rejection::PathRejection},
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
        vec![$(($name, Asset::new($kind, include_str!(concat!("assets/", $name))))),+]
    };
}

static INDEX: LazyLock<Asset> = LazyLock::new(|| Asset::new(HTML, include_str!("assets/index.html")));

static FILES: LazyLock<Vec<(&str, Asset)>> = LazyLock::new(|| {
    files! {
        "app.js": JS,
        "base.css": CSS,
        "brain.js": JS,
        "chart.js": JS,
        "charts.js": JS,
        "dom.js": JS,
        "events.js": JS,
        "feed.js": JS,
        "format.js": JS,
        "host.js": JS,
        "hosts.js": JS,
        "icon.svg": SVG,
        "page.css": CSS,
    }
});

/// Apart from the others because it is cut out of a larger text at first use.
static PLOTLY: LazyLock<Asset> = LazyLock::new(|| Asset::new(JS, plotly::script()));

/// The page.
pub(super) async fn index(asked: HeaderMap) -> Response {
    INDEX.answer(&asked)
}

/// One file that the page names.
pub(super) async fn asset(path: Result<Path<String>, PathRejection>, asked: HeaderMap) -> Result<Response, Problem> {
    let Path(name) = path?;
    let own = || FILES.iter().find(|(known, _)| *known == name).map(|(_, asset)| asset);
    let found = if name == "plotly.min.js" { Some(&*PLOTLY) } else { own() };
    found
        .map(|asset| asset.answer(&asked))
        .ok_or_else(|| Problem::not_found(format!("the page has no file {name:?}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn sources() -> Vec<(&'static str, &'static str)> {
        let files = FILES
            .iter()
            .map(|(name, asset)| (*name, std::str::from_utf8(&asset.body).unwrap()));
        let leaked = |asset: &'static Asset| std::str::from_utf8(&asset.body).unwrap();
        files.chain([("index.html", leaked(&INDEX))]).collect()
    }

    /// What stands between `before` and `after`, wherever both are there.
    fn named<'a>(text: &'a str, before: &str, after: char) -> Vec<&'a str> {
        let parts = text.split(before).skip(1);
        parts.filter_map(|part| Some(part.split_once(after)?.0)).collect()
    }

    #[test]
    fn every_file_is_asked_for_and_every_file_asked_for_is_there() {
        let mut asked = BTreeSet::new();
        for (_, text) in sources() {
            asked.extend(named(text, "\"/assets/", '"'));
            asked.extend(named(text, "from \"./", '"'));
        }
        let served: BTreeSet<&str> = FILES.iter().map(|(name, _)| *name).chain(["plotly.min.js"]).collect();
        assert_eq!(asked, served);
    }

    #[test]
    fn text_of_hosts_can_never_become_markup() {
        let ways = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "srcdoc",
        ];
        for (name, text) in sources() {
            for way in ways {
                assert!(!text.contains(way), "{name} uses {way}");
            }
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_no_script_is_inline() {
        for (name, text) in sources() {
            let links = ["https://", "http://"].map(|scheme| named(text, scheme, '"')).concat();
            assert!(
                links.iter().all(|link| *link == "www.w3.org/2000/svg"),
                "{name}: {links:?}"
            );
        }
        let (_, html) = sources().into_iter().find(|(name, _)| *name == "index.html").unwrap();
        for script in named(html, "<script", '<') {
            assert!(script.contains("src=\"/assets/") && script.ends_with('>'), "{script}");
        }
    }
}
