//! Holds every request against the table of roles, before its handler sees it.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use tokio::time::timeout;
use trust::secret::{Digest, digest};

use super::{
    Caller, Denied, Door, Live,
    form::AT_THE_PROXY,
    roles::{self, Least, Rule},
    told::{self, tell_refused},
    users::Role,
};
use crate::page::{Shared, problem::Problem};

/// How long something that is changed may take, the reading of its body with it.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a browser says of where a request comes from; no script can set it (Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Refuses who may not, and tells the handler who it is.
pub(in crate::page) async fn check(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (mut asked, body) = request.into_parts();
    let caller = match identify(&shared, &asked).await {
        Ok(caller) => caller,
        Err(problem) => return challenged(problem, &asked.headers, &shared.page.door),
    };
    let pattern = asked.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let rule = roles::rule(&asked.method, pattern);
    let least = match rule {
        Rule::Needs(least) => least,
        Rule::OtherMethod(_) => Least::Viewer,
        Rule::Unlisted => {
            tracing::error!(pattern, "a route that has no role is asked for, and answered to nobody");
            return Problem::forbidden("this is answered to nobody").into_response();
        }
    };
    if !least.is_met_by(caller.role) {
        return refuse(&shared, &asked, &caller);
    }
    if let Rule::OtherMethod(allowed) = rule {
        return wrong_method(&asked.method, allowed);
    }
    let reads = matches!(asked.method, Method::GET | Method::HEAD);
    if !reads && let Err(why) = same_site(&asked.headers, shared.page.door.is_secure) {
        tell_refused(&shared, &whence(&shared.page.door, &asked), caller.user(), why);
        return Problem::forbidden(why).into_response();
    }
    asked.extensions.insert(caller);
    let request = Request::from_parts(asked, body);
    if reads {
        return next.run(request).await;
    }
    let late = |_| Problem::late("the request has not come as a whole in time; send it again").into_response();
    timeout(PATIENCE, next.run(request)).await.unwrap_or_else(late)
}

/// Who it is: by the cookie of a session, by name and password, or by where it comes from.
async fn identify(shared: &Shared, asked: &Parts) -> Result<Caller, Problem> {
    let door = &shared.page.door;
    if !door.has_lock() {
        let local = is_of_this_machine(door, asked);
        return Ok(Caller::nameless(Some(if local {
            door.local_role
        } else {
            Role::Viewer
        })));
    }
    if let Some(caller) = by_proxy(shared, asked)? {
        return Ok(caller);
    }
    if !door.has_form() {
        return Ok(Caller::nameless(None));
    }
    let live = match asked.headers.get(header::AUTHORIZATION) {
        Some(shown) => Some(by_pair(shared, asked, shown).await?),
        None => token(door, &asked.headers).and_then(|token| door.find(&token)),
    };
    let role = live.as_ref().map(|live| live.user.role);
    Ok(Caller {
        live,
        named: None,
        role,
    })
}

/// Whom the proxy names.
fn by_proxy(shared: &Shared, asked: &Parts) -> Result<Option<Caller>, Problem> {
    let door = &shared.page.door;
    let Some(proxy) = &door.proxy else { return Ok(None) };
    let named = proxy.named(&asked.headers).inspect_err(|problem| {
        tell_refused(shared, &whence(door, asked), None, &problem.detail);
    })?;
    Ok(named.map(|(name, role)| Caller {
        live: None,
        named: Some(name),
        role: Some(role),
    }))
}

/// Whether somebody of this machine asks: a proxy on it speaks for others, whether it was configured or shows itself.
fn is_of_this_machine(door: &Door, asked: &Parts) -> bool {
    const OF_PROXIES: [&str; 4] = ["x-forwarded-for", "forwarded", "via", "x-real-ip"];
    let is_direct = !door.behind_proxy && OF_PROXIES.iter().all(|name| !asked.headers.contains_key(*name));
    is_direct && peer(asked).is_some_and(|from| from.ip().to_canonical().is_loopback())
}

/// The digest of the token in the cookie.
pub(super) fn token(door: &Door, headers: &HeaderMap) -> Option<Digest> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let mut cookies = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let token = cookies.find_map(|cookie| cookie.trim().strip_prefix(&door.cookie)?.strip_prefix('='))?;
    Some(digest(token.as_bytes()))
}

/// Name and password of each request: looked at when they come first, and known by a digest from then on.
async fn by_pair(shared: &Shared, asked: &Parts, shown: &HeaderValue) -> Result<Live, Problem> {
    let door = &shared.page.door;
    let pair = door.pair(shown.as_bytes());
    if let Some(live) = door.find(&pair) {
        return Ok(live);
    }
    let text = pair_of(shown);
    let Some((name, password)) = text.as_deref().and_then(|text| text.split_once(':')) else {
        return Err(Problem::unauthorized(
            "Authorization: only Basic with NAME:PASSWORD in base64 is taken",
        ));
    };
    match door.check(address(door, asked), name, password).await {
        Ok(user) => {
            told::entered(shared, &user.name, &whence(door, asked), "with each request");
            Ok(door.sessions.begin(pair, user, door.clock.monotonic_ns()))
        }
        Err(denied) => {
            tell_refused(shared, &whence(door, asked), Some(name), denied.words());
            Err(denied.problem())
        }
    }
}

fn pair_of(shown: &HeaderValue) -> Option<String> {
    let (scheme, coded) = shown.to_str().ok()?.split_once(' ')?;
    let coded = scheme.eq_ignore_ascii_case("basic").then_some(coded.trim())?;
    String::from_utf8(BASE64.decode(coded).ok()?).ok()
}

/// The answer to who may not: people are led to the form, programs are told what is missing.
fn refuse(shared: &Shared, asked: &Parts, caller: &Caller) -> Response {
    let door = &shared.page.door;
    if caller.is_stranger() {
        if is_navigation(asked) {
            return Redirect::to("/login").into_response();
        }
        let how = if door.has_form() {
            "log in: at /login, or with name and password (Basic)"
        } else {
            AT_THE_PROXY
        };
        let problem = Problem::unauthorized(how);
        return challenged(problem, &asked.headers, door);
    }
    let why = if door.has_lock() {
        "a viewer may only read; ask for the role of an operator"
    } else if door.behind_proxy {
        "nobody logs in here, so it is for looking only: page.users lets people log in, and page.proxy_login those whom the \
         proxy names"
    } else {
        "nobody logs in here, so it is for looking only: page.users lets people log in, and page.local_role = \"operator\" \
         whoever asks from the brain's own machine without a proxy"
    };
    tell_refused(shared, &whence(door, asked), caller.user(), why);
    Problem::forbidden(why).into_response()
}

/// Says how to log in. A browser is told of a scheme that it does not know: it would ask for a password in a window of its own,
/// and keep it.
pub(super) fn challenged(problem: Problem, headers: &HeaderMap, door: &Door) -> Response {
    let mut response = problem.into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = if headers.contains_key(FETCH_SITE) {
            format!("Cookie form-action=\"/login\", cookie-name=\"{}\"", door.cookie)
        } else if !door.has_form() {
            // Passwords are not taken; it is the proxy that asks.
            "Proxy-Login realm=\"foreshadow\"".to_owned()
        } else {
            "Basic realm=\"foreshadow\", charset=\"UTF-8\"".to_owned()
        };
        let value = HeaderValue::from_str(&challenge).unwrap_or(HeaderValue::from_static("Basic"));
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

fn wrong_method(method: &Method, allowed: &'static str) -> Response {
    let problem = Problem::method_not_allowed(format!("{method} is not answered here, but {allowed}"));
    ([(header::ALLOW, HeaderValue::from_static(allowed))], problem).into_response()
}

/// Whether a person has followed a link or typed an address.
fn is_navigation(asked: &Parts) -> bool {
    let headers = &asked.headers;
    let wants_html = || {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        accept.is_some_and(|accept| accept.contains("text/html"))
    };
    let mode = headers.get(FETCH_MODE);
    asked.method == Method::GET && mode.map_or_else(wants_html, |mode| mode == "navigate")
}

/// Whether somebody came here by a link of another site: a browser keeps the cookie back then, and brings it with what the
/// page itself asks for.
pub(in crate::page) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers
        .get(FETCH_SITE)
        .is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// Whether the page itself, or no browser at all, asks for a change; otherwise why not.
fn same_site(headers: &HeaderMap, is_secure: bool) -> Result<(), &'static str> {
    const FOREIGN: &str = "another web site may not do this";
    if let Some(site) = headers.get(FETCH_SITE) {
        return if site == "same-origin" { Ok(()) } else { Err(FOREIGN) };
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin: Option<Uri> = origin.to_str().ok().and_then(|text| text.parse().ok());
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_ours = origin.is_some_and(|origin| {
        let authority = origin.authority().map(axum::http::uri::Authority::as_str);
        authority.is_some() && authority == host && (!is_secure || origin.scheme_str() == Some("https"))
    });
    if is_ours { Ok(()) } else { Err(FOREIGN) }
}

/// Who is at the other end of the connection.
pub(super) fn peer(asked: &Parts) -> Option<SocketAddr> {
    asked.extensions.get().map(|ConnectInfo(address)| *address)
}

/// Where somebody comes from, as it is logged: behind a proxy the address that it speaks for.
pub(super) fn whence(door: &Door, asked: &Parts) -> String {
    let peer = || peer(asked).map(|peer| peer.to_string()).unwrap_or_default();
    if door.behind_proxy {
        address(door, asked).to_string()
    } else {
        peer()
    }
}

/// Whom tries are counted for: behind a proxy, the last that it says it speaks for, which it has seen itself.
pub(super) fn address(door: &Door, asked: &Parts) -> IpAddr {
    let forwarded = || {
        let last = asked.headers.get_all(FORWARDED_FOR).into_iter().next_back()?;
        last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    let of_proxy = door.behind_proxy.then(forwarded).flatten();
    let unknown = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    of_proxy.or(peer(asked).map(|peer| peer.ip())).unwrap_or(unknown)
}

impl Denied {
    /// For the log.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Wrong => "wrong name or password",
            Self::TooMany(_) => "too many wrong passwords",
            Self::Busy => "too many passwords wait to be checked",
        }
    }

    /// For whoever has tried.
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Wrong => Problem::unauthorized("wrong name or password"),
            Self::TooMany(wait) => Problem::too_many("too many wrong passwords", wait),
            Self::Busy => Problem::unavailable("too many passwords wait to be checked; try again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let each = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        each.collect()
    }

    #[test]
    fn only_the_page_itself_changes_something() {
        let host = ("host", "brain.example.org");
        for (told, is_ours) in [
            (&[host][..], true),
            (&[host, ("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            (&[host, ("sec-fetch-site", "same-site")], false),
            (
                &[
                    host,
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://brain.example.org"),
                ],
                false,
            ),
            (&[host, ("sec-fetch-site", "none")], false),
            (&[host, ("sec-fetch-site", "SAME-ORIGIN")], false),
            (&[host, ("origin", "https://brain.example.org")], true),
            (&[host, ("origin", "http://brain.example.org")], false),
            (&[host, ("origin", "https://brain.example.org:8443")], false),
            (&[host, ("origin", "https://brain.example.org.evil.example")], false),
            (&[host, ("origin", "null")], false),
            (&[host, ("origin", "")], false),
            (&[("origin", "https://brain.example.org")], false),
        ] {
            assert_eq!(same_site(&headers(told), true).is_ok(), is_ours, "{told:?}");
        }
        let plain = headers(&[("host", "localhost:8420"), ("origin", "http://localhost:8420")]);
        assert!(same_site(&plain, false).is_ok() && same_site(&plain, true).is_err());
    }

    #[test]
    fn only_name_and_password_are_a_pair() {
        let of = |text: &'static str| pair_of(&HeaderValue::from_static(text));
        assert_eq!(of("Basic YW5uOnNlY3JldDp4").as_deref(), Some("ann:secret:x"));
        assert_eq!(of("basic  YW5uOnNlY3JldDp4").as_deref(), Some("ann:secret:x"));
        for text in ["Bearer YW5uOnNlY3JldDp4", "Basic", "Basic !!!!", "Basic /////w==", ""] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
