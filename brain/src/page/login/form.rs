//! The form that people log in with, which needs no script; its answer; and the way out.

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use axum::{
    Extension, Json,
    body::{Bytes, to_bytes},
    extract::{ConnectInfo, Request, State, rejection::JsonRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Caller, Denied, Me, gate,
    told::{self, tell_refused},
};
use crate::page::{MAX_BODY, Shared, problem::Problem};

/// The page around the form; `<!-- fault -->` is where is told what was wrong.
const PAGE: &str = include_str!("../assets/login.html");
/// The policy of all pages, but that the form may be sent here, and that nothing is run but one script.
pub(in crate::page) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// To whom the proxy has not named.
pub(super) const AT_THE_PROXY: &str = "log in with the proxy before this page: it has named nobody";

/// The form, for who has not logged in.
pub(in crate::page) async fn show(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    if !shared.page.door.has_lock() || !caller.is_stranger() {
        return Redirect::to("/").into_response();
    }
    if !shared.page.door.has_form() {
        return gate::challenged(Problem::unauthorized(AT_THE_PROXY), &headers, &shared.page.door);
    }
    page(StatusCode::OK, "")
}

/// Takes name and password, as a form sends them; begins a session that nobody had before.
pub(in crate::page) async fn enter(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let door = &shared.page.door;
    if !door.has_form() {
        return Problem::not_found("nobody logs in here: page.users names no list").into_response();
    }
    let (asked, body) = request.into_parts();
    let (from, whence) = (gate::address(door, &asked), gate::whence(door, &asked));
    let before = gate::token(door, &asked.headers);
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return page(
            StatusCode::PAYLOAD_TOO_LARGE,
            "That is too long for a name and a password.",
        );
    };
    let (name, password) = fields(&body);
    let user = match door.check(from, &name, &password).await {
        Ok(user) => user,
        Err(denied) => {
            tell_refused(&shared, &whence, Some(&name), denied.words());
            return denied.page();
        }
    };
    let name = Arc::clone(&user.name);
    let Some(token) = door.begin(user) else {
        return Denied::Busy.page();
    };
    // Whoever had this browser before has left it.
    if let Some(before) = before {
        door.sessions.end(&before);
    }
    told::entered(&shared, &name, &whence, "logged in");
    with_cookie(Redirect::to("/"), &door.cookie(&token))
}

/// Nothing is said with it: its type alone, which no other web site can send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::page) struct Leave {}

/// Ends the session of the cookie.
pub(in crate::page) async fn leave(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    body: Result<Json<Leave>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Leave {}) = body?;
    let door = &shared.page.door;
    if let Some(token) = gate::token(door, &headers) {
        door.sessions.end(&token);
    }
    if let Some(live) = &caller.live {
        let peer = peer.map(|Extension(ConnectInfo(peer))| peer.to_string());
        told::entered(&shared, &live.user.name, &peer.unwrap_or_default(), "logged out");
    }
    Ok(with_cookie(Json(Caller::nameless(None).me()), &door.cookie("")))
}

/// Who asks.
pub(in crate::page) async fn me(Extension(caller): Extension<Caller>) -> Json<Me> {
    Json(caller.me())
}

fn with_cookie(response: impl IntoResponse, cookie: &str) -> Response {
    let Ok(cookie) = HeaderValue::from_str(cookie) else {
        return Denied::Busy.page();
    };
    ([(header::SET_COOKIE, cookie)], response).into_response()
}

/// Name and password of `application/x-www-form-urlencoded`.
fn fields(body: &Bytes) -> (String, String) {
    let (mut name, mut password) = (String::new(), String::new());
    for (key, value) in url::form_urlencoded::parse(body) {
        match &*key {
            "name" => value.trim().clone_into(&mut name),
            "password" => password = value.into_owned(),
            _ => {}
        }
    }
    (name, password)
}

fn page(status: StatusCode, fault: &str) -> Response {
    let mut told = String::new();
    if !fault.is_empty() {
        // Words of ours alone: nothing that was sent is shown.
        write!(told, "<p class=\"bad\" role=\"alert\">{fault}</p>").unwrap_or_default();
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // With none at all a browser would not say that the form comes from here.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (status, headers, PAGE.replace("<!-- fault -->", &told)).into_response()
}

impl Denied {
    fn page(self) -> Response {
        match self {
            Self::Wrong => page(StatusCode::UNAUTHORIZED, "Wrong name or password."),
            Self::TooMany(wait) => {
                let seconds = wait.as_secs() + 1;
                let fault = format!("Too many wrong passwords. Try again in {seconds} s.");
                let mut response = page(StatusCode::TOO_MANY_REQUESTS, &fault);
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                response
            }
            Self::Busy => page(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many log in at the same time. Try again.",
            ),
        }
    }
}
