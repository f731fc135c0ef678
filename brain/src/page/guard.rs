//! Who may ask, and what a browser may do with the answer.
//!
//! Who they are is asked in [`login`](super::login). Where nobody logs in, on loopback, a web site that a person visits
//! could reach the page through DNS rebinding, by letting its own name point to 127.0.0.1. Such a request
//! carries that name in its `Host`, so only loopback names, addresses of this listener and configured names
//! are answered.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::Problem;

/// The names and addresses that requests may be addressed to.
#[derive(Debug)]
pub(super) struct Guard {
    bound: IpAddr,
    names: Vec<String>,
}

impl Guard {
    /// For a listener on `bound` that may also be called by `names`.
    pub(super) fn new(bound: SocketAddr, names: &[String]) -> Self {
        Self {
            bound: bound.ip().to_canonical(),
            names: names.iter().map(|name| plain(name)).collect(),
        }
    }

    /// Whether a request for `host` (a name or address without port) is for this page.
    ///
    /// A listener on all addresses cannot tell which of them are its own, and need not: an attacker's page
    /// is reached by a name, never by this machine's address.
    fn admits(&self, host: &str) -> bool {
        let host = plain(host);
        if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let ip = ip.to_canonical();
            return ip.is_loopback() || self.bound.is_unspecified() || ip == self.bound;
        }
        host == "localhost" || host.ends_with(".localhost") || self.names.contains(&host)
    }
}

/// Names compare without case and without the root's dot.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Refuses requests for another host with 421.
pub(super) async fn check_host(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match host_of(&request) {
        Some(host) if guard.admits(&host) => next.run(request).await,
        Some(host) => Problem::misdirected(format!(
            "this is not {host}; use the listener's address or localhost, or add the name to the page's names"
        ))
        .into_response(),
        None => Problem::bad_request("the Host header is missing or is no host name").into_response(),
    }
}

/// The host that a request is for: of an absolute URI, else of the header.
fn host_of(request: &Request) -> Option<String> {
    let of_uri = request.uri().authority().cloned();
    let authority = of_uri.or_else(|| {
        let text = request.headers().get(header::HOST)?.to_str().ok()?;
        text.parse::<Authority>().ok()
    })?;
    Some(authority.host().to_owned())
}

/// Everything from here and nothing inline, neither scripts nor styles; and no text becomes a script (Trusted Types).
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const SECURE_HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Adds the headers that hold a browser to the page's own files, and keeps answers out of caches unless
/// the handler said otherwise.
pub(super) async fn secure_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in SECURE_HEADERS {
        // A page with a form says so itself.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(bound: &str, host: &str) -> bool {
        Guard::new(bound.parse().unwrap(), &["Brain.example.org".to_owned()]).admits(host)
    }

    #[test]
    fn only_own_names_and_addresses_are_answered() {
        let loopback = "127.0.0.1:8080";
        for host in [
            "127.0.0.1",
            "[::1]",
            "localhost",
            "LOCALHOST.",
            "page.localhost",
            "brain.example.org",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(admits(loopback, host), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.7",
            "[2001:db8::1]",
            "",
        ] {
            assert!(!admits(loopback, host), "{host}");
        }
    }

    #[test]
    fn a_listener_elsewhere_answers_to_its_address() {
        assert!(admits("10.0.0.7:80", "10.0.0.7"));
        assert!(!admits("10.0.0.7:80", "10.0.0.8"));
        assert!(admits("0.0.0.0:80", "10.0.0.8"));
        assert!(admits("[::]:80", "10.0.0.8"));
        assert!(!admits("0.0.0.0:80", "evil.example"));
    }
}
