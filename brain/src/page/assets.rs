//! The page's own files, all in this binary: no network but this listener is needed to look at it.

use std::{
    hash::{DefaultHasher, Hasher},
    io::Write as _,
    sync::LazyLock,
};

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use flate2::{Compression, write::GzEncoder};

use super::{
    login::{Caller, gate::is_from_elsewhere},
    problem::Problem,
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// One file as it is served: as it is, and packed for slow links.
struct Asset {
    kind: &'static str,
    plain: Coded,
    packed: Coded,
}

/// What goes over the wire, and what tells it from what went before.
struct Coded {
    etag: HeaderValue,
    body: Bytes,
}

impl Coded {
    fn new(body: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&body);
        let etag = format!("\"{:016x}\"", hasher.finish());
        Self {
            etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"0\"")),
            body,
        }
    }
}

/// Nothing is packed that cannot be: then it goes as it is.
fn pack(body: &[u8]) -> Option<Bytes> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(body).ok()?;
    Some(packer.finish().ok()?.into())
}

impl Asset {
    fn new(kind: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let packed = pack(&body).unwrap_or_default();
        Self {
            kind,
            plain: Coded::new(body),
            packed: Coded::new(packed),
        }
    }

    /// The file, or 304 when the browser has it. It asks each time: a new binary is seen at once.
    fn answer(&self, asked: &HeaderMap) -> Response {
        let takes_packed = asked.get(header::ACCEPT_ENCODING).and_then(|told| told.to_str().ok());
        let takes_packed = takes_packed.is_some_and(|told| told.split(',').any(|word| word.trim() == "gzip"));
        let is_packed = takes_packed && !self.packed.body.is_empty();
        let coded = if is_packed { &self.packed } else { &self.plain };
        let known = asked.get(header::IF_NONE_MATCH);
        let fresh = known.is_some_and(|tags| tags.as_bytes() == coded.etag.as_bytes());
        let headers = [
            (header::ETAG, coded.etag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_TYPE, HeaderValue::from_static(self.kind)),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
        ];
        let packing = is_packed.then(|| [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        if fresh {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        match packing {
            Some(packing) => (headers, packing, coded.body.clone()).into_response(),
            None => (headers, coded.body.clone()).into_response(),
        }
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
        "address.js": JS,
        "app.js": JS,
        "axis.js": JS,
        "base.css": CSS,
        "chart.css": CSS,
        "chart.js": JS,
        "dialog.js": JS,
        "dom.js": JS,
        "events.js": JS,
        "feed.js": JS,
        "fleet.css": CSS,
        "fleet.js": JS,
        "format.js": JS,
        "history.js": JS,
        "host.js": JS,
        "icon.svg": SVG,
        "incidents.js": JS,
        "inventory.js": JS,
        "keys.js": JS,
        "lane.js": JS,
        "layout.css": CSS,
        "login.js": JS,
        "models.js": JS,
        "plans.js": JS,
        "plots.js": JS,
        "pool.js": JS,
        "proposals.js": JS,
        "readings.js": JS,
        "row.js": JS,
        "rows.js": JS,
        "stream.js": JS,
        "tables.js": JS,
        "timeline.js": JS,
        "top.js": JS,
        "who.js": JS,
    }
});

/// The page. Who has to log in first is led there; but not who follows a link of another site: it may be that they have, and
/// that their browser keeps it back until the page itself asks.
pub(super) async fn index(Extension(caller): Extension<Caller>, asked: HeaderMap) -> Response {
    if caller.is_stranger() && !is_from_elsewhere(&asked) {
        return Redirect::to("/login").into_response();
    }
    INDEX.answer(&asked)
}

/// One file that the page names.
pub(super) async fn asset(path: Result<Path<String>, PathRejection>, asked: HeaderMap) -> Result<Response, Problem> {
    let Path(name) = path?;
    let found = FILES.iter().find(|(known, _)| *known == name).map(|(_, asset)| asset);
    found
        .map(|asset| asset.answer(&asked))
        .ok_or_else(|| Problem::not_found(format!("the page has no file {name:?}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGES: [&str; 2] = ["index.html", "login.html"];

    fn sources() -> Vec<(&'static str, &'static str)> {
        let files = FILES
            .iter()
            .map(|(name, asset)| (*name, std::str::from_utf8(&asset.plain.body).unwrap()));
        let leaked = |asset: &'static Asset| std::str::from_utf8(&asset.plain.body).unwrap();
        files
            .chain([
                ("index.html", leaked(&INDEX)),
                ("login.html", include_str!("assets/login.html")),
            ])
            .collect()
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
        let served: BTreeSet<&str> = FILES.iter().map(|(name, _)| *name).collect();
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
        for (_, html) in sources().into_iter().filter(|(name, _)| PAGES.contains(name)) {
            for script in named(html, "<script", '<') {
                assert!(script.contains("src=\"/assets/") && script.ends_with('>'), "{script}");
            }
        }
    }
}
