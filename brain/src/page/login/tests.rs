//! People come in, do what they may, and leave; others try.

use std::{collections::BTreeSet, net::SocketAddr};

use axum::{
    body::{Body, BodyDataStream},
    extract::ConnectInfo,
    http::{Request, StatusCode, header},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{form::POLICY, *};
use crate::page::fixture::{Page, list_of_people, page_with, text, value};

const ORIGIN: (&str, &str) = ("origin", "https://127.0.0.1:8080");
const JSON: (&str, &str) = ("content-type", "application/json");
const FROM: &str = "10.0.0.7:5";

/// A page where Ann, an operator, and Bob, a viewer, log in over TLS.
struct House {
    page: Page,
    clock: Clock,
    folder: TempDir,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = config::Tls {
            certificate: "c".into(),
            key: "k".into(),
        };
        let config = config::Page {
            users: Some(list_of_people(folder.path())),
            tls: Some(tls),
            ..config::Page::default()
        };
        let clock = Clock::manual(0);
        Self {
            page: page_with(&config, &clock),
            clock,
            folder,
        }
    }

    fn users(&self) -> PathBuf {
        self.folder.path().join("users")
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
        self.send_from(FROM, method, path, headers, body).await
    }

    async fn send_from(
        &self,
        from: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::HOST, "127.0.0.1:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).unwrap();
        let from: SocketAddr = from.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(from));
        self.page.send(request).await
    }

    async fn get(&self, path: &str, cookie: &str) -> Response {
        self.send("GET", path, &[("cookie", cookie)], "").await
    }

    async fn try_password(&self, from: &str, name: &str, password: &str) -> Response {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("name", name).append_pair("password", password);
        self.send_from(from, "POST", "/login", &[ORIGIN], form.finish()).await
    }

    /// The cookie of a session.
    async fn enter(&self, name: &str, password: &str) -> String {
        let answer = self.try_password(FROM, name, password).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        cookie_of(&answer)
    }

    async fn ann(&self) -> String {
        self.enter("ann", "ann's password").await
    }

    async fn bob(&self) -> String {
        self.enter("bob", "bob's: password").await
    }

    async fn refused(&self) -> Vec<String> {
        // What was told waits for its taker, on the thread of the test.
        tokio::task::yield_now().await;
        self.page.series.refused.lock().unwrap().clone()
    }

    async fn entered(&self) -> Vec<String> {
        tokio::task::yield_now().await;
        self.page.series.entered.lock().unwrap().clone()
    }
}

fn cookie_of(answer: &Response) -> String {
    let cookie = value(answer.headers(), "set-cookie");
    cookie.split(';').next().unwrap().to_owned()
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{name}:{password}")))
}

#[tokio::test]
async fn strangers_are_shown_the_form_and_told_nothing() {
    let house = House::new();
    for (path, least, _) in roles::all() {
        let path = path
            .replace("{name}", "app.js")
            .replace("{host}", "web-1")
            .replace("{since_ms}", "7");
        let answer = house.send("GET", &path, &[], "").await;
        let open = ["/assets/app.js", "/healthz", "/login"].contains(&&*path);
        let expected = match path.as_str() {
            "/" => StatusCode::SEE_OTHER,
            _ if open => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        };
        assert_eq!(answer.status(), expected, "{path}");
        if expected == StatusCode::UNAUTHORIZED {
            assert!(least.is_none_or(|least| least == roles::Least::Viewer), "{path}");
            assert_eq!(
                value(answer.headers(), "www-authenticate"),
                "Basic realm=\"foreshadow\", charset=\"UTF-8\""
            );
            assert_eq!(value(answer.headers(), "content-type"), "application/problem+json");
            assert!(!text(answer).await.contains("web-1"), "{path}");
        }
    }
    // A person who typed an address comes to the form; a script of the page is told, and no browser asks for a password itself.
    for (headers, status) in [
        (&[("sec-fetch-mode", "navigate"), ("sec-fetch-site", "none")][..], 303),
        (&[("accept", "text/html,*/*")], 303),
        (
            &[
                ("sec-fetch-mode", "cors"),
                ("sec-fetch-site", "same-origin"),
                ("accept", "text/html"),
            ],
            401,
        ),
    ] {
        let answer = house.send("GET", "/api/v1/fleet", headers, "").await;
        assert_eq!(answer.status(), status, "{headers:?}");
        if status == 401 {
            assert!(value(answer.headers(), "www-authenticate").starts_with("Cookie "));
        } else {
            assert_eq!(value(answer.headers(), "location"), "/login");
        }
    }
    let form = house.get("/login", "").await;
    assert_eq!(value(form.headers(), "content-security-policy"), POLICY);
    assert_eq!(value(form.headers(), "cache-control"), "no-store");
    assert!(POLICY.contains("form-action 'self'") && !POLICY.contains("unsafe"));
    // The browser keeps the cookie back from who follows a link of another site: what is shown then is the same for all.
    let linked = house
        .send(
            "GET",
            "/",
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
            "",
        )
        .await;
    assert_eq!(linked.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_viewer_reads_and_an_operator_changes_in_their_own_names() {
    let house = House::new();
    let (ann, bob) = (house.ann().await, house.bob().await);
    for (cookie, name, role) in [(&ann, "ann", "operator"), (&bob, "bob", "viewer")] {
        let me: Value = serde_json::from_str(&text(house.get("/api/v1/me", cookie).await).await).unwrap();
        assert_eq!(me, json!({"name": name, "role": role, "has_session": true}));
        assert_eq!(house.get("/api/v1/fleet", cookie).await.status(), StatusCode::OK);
        assert_eq!(house.get("/", cookie).await.status(), StatusCode::OK);
        assert_eq!(house.get("/login", cookie).await.status(), StatusCode::SEE_OTHER);
    }
    let acknowledge = "/api/v1/hosts/web-1/incidents/7/acknowledge";
    for path in ["/api/v1/freeze", "/api/v1/thaw", acknowledge] {
        let post = async |cookie: &str, body: &'static str| {
            let headers = [("cookie", cookie), ORIGIN, JSON];
            house.send("POST", path, &headers, body).await
        };
        assert_eq!(post("", "{}").await.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(post(&bob, "{}").await.status(), StatusCode::FORBIDDEN, "{path}");
        assert_eq!(
            post(&ann, r#"{"by": "bob"}"#).await.status(),
            StatusCode::BAD_REQUEST,
            "{path}"
        );
        let done = post(&ann, "{}").await;
        assert_eq!(done.status(), StatusCode::OK, "{path}");
        let told = text(done).await;
        assert!(told.contains("\"ann\"") || path.ends_with("thaw"), "{path}: {told}");
        assert_eq!(post(&ann, r#"{"by": "ann"}"#).await.status(), StatusCode::OK, "{path}");
    }
    assert_eq!(house.refused().await.len(), 1, "one each ten seconds is told");
    assert_eq!(house.entered().await, ["ann logged in", "bob logged in"]);
}

#[tokio::test]
async fn programs_show_name_and_password_with_each_request() {
    let house = House::new();
    let ask = async |shown: &str, path: &str| {
        let answer = house.send("GET", path, &[("authorization", shown)], "").await;
        answer.status().as_u16()
    };
    let right = basic("bob", "bob's: password");
    for path in ["/metrics", "/api/v1/fleet", "/metrics"] {
        assert_eq!(ask(&right, path).await, 200, "{path}");
    }
    assert_eq!(house.entered().await, ["bob with each request"], "it is looked at once");
    for wrong in [
        basic("bob", "bob's password"),
        basic("eve", "x"),
        basic("bob", ""),
        "Bearer x".into(),
        "x".into(),
    ] {
        assert_eq!(ask(&wrong, "/metrics").await, 401, "{wrong}");
    }
    // Also where the session of a browser would have been enough.
    let bob = house.bob().await;
    let both = [("cookie", &*bob), ("authorization", "Basic x")];
    assert_eq!(
        house.send("GET", "/metrics", &both, "").await.status(),
        StatusCode::UNAUTHORIZED
    );
    let freeze = async |shown: &str| {
        let headers = [("authorization", shown), JSON];
        house
            .send("POST", "/api/v1/freeze", &headers, "{}")
            .await
            .status()
            .as_u16()
    };
    assert_eq!(freeze(&right).await, 403);
    assert_eq!(freeze(&basic("ann", "ann's password")).await, 200);
    // A new password is the only one from then on.
    users::set(&house.users(), "bob", None, Some("another one")).unwrap();
    house.page.shared.page.door.upkeep();
    assert_eq!(
        (
            ask(&right, "/metrics").await,
            ask(&basic("bob", "another one"), "/metrics").await
        ),
        (401, 200)
    );
}

#[tokio::test]
async fn a_session_is_new_with_each_login_and_of_no_use_after_its_end() {
    let house = House::new();
    let answer = house.try_password(FROM, "ann", "ann's password").await;
    let set = value(answer.headers(), "set-cookie").to_owned();
    assert!(
        set.starts_with("__Host-foreshadow-8420=") && set.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"),
        "{set}"
    );
    let first = cookie_of(&answer);
    assert_eq!(first.split_once('=').unwrap().1.len(), 64, "256 random bits");

    // Fixation: whatever the browser brings along is no session afterwards.
    let planted = "__Host-foreshadow-8420=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    for brought in [planted, &first] {
        let headers = [("cookie", brought), ORIGIN];
        let answer = house
            .send("POST", "/login", &headers, "name=ann&password=ann%27s+password")
            .await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_ne!(cookie_of(&answer), brought);
        assert_eq!(
            house.get("/api/v1/fleet", brought).await.status(),
            StatusCode::UNAUTHORIZED
        );
    }

    let second = house.ann().await;
    let mut stream: BodyDataStream = house
        .get("/api/v1/stream", &second)
        .await
        .into_body()
        .into_data_stream();
    assert!(stream.next().await.is_some());
    let leave = [("cookie", &*second), ORIGIN, JSON];
    let left = house.send("POST", "/logout", &leave, "{}").await;
    assert_eq!(left.status(), StatusCode::OK);
    assert!(
        value(left.headers(), "set-cookie").contains("foreshadow-8420=; ")
            && value(left.headers(), "set-cookie").contains("Max-Age=0")
    );
    while stream.next().await.is_some() {}
    assert_eq!(
        house.get("/api/v1/fleet", &second).await.status(),
        StatusCode::UNAUTHORIZED,
        "a stolen cookie"
    );

    let third = house.ann().await;
    house.clock.set(59 * 60_000);
    assert_eq!(house.get("/api/v1/fleet", &third).await.status(), StatusCode::OK);
    house.clock.set(119 * 60_000);
    assert_eq!(
        house.get("/api/v1/fleet", &third).await.status(),
        StatusCode::UNAUTHORIZED,
        "an hour idle"
    );
}

#[tokio::test]
async fn who_is_taken_out_of_the_list_is_out_and_a_list_of_no_use_changes_nothing() {
    let house = House::new();
    let (ann, bob) = (house.ann().await, house.bob().await);
    let mut stream = house.get("/api/v1/stream", &bob).await.into_body().into_data_stream();
    assert!(stream.next().await.is_some());
    let before = std::fs::read(house.users()).unwrap();
    trust::files::rewrite(&house.users(), b"bob:viewer:no hash\n").unwrap();
    let door = &house.page.shared.page.door;
    door.upkeep();
    assert_eq!(house.get("/api/v1/fleet", &bob).await.status(), StatusCode::OK);
    trust::files::rewrite(&house.users(), &before).unwrap();
    users::remove(&house.users(), "bob").unwrap();
    door.upkeep();
    while stream.next().await.is_some() {}
    assert_eq!(
        house.get("/api/v1/fleet", &bob).await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(house.get("/api/v1/fleet", &ann).await.status(), StatusCode::OK);
    users::set(&house.users(), "ann", Some(Role::Viewer), None).unwrap();
    door.upkeep();
    assert_eq!(
        house.get("/api/v1/fleet", &ann).await.status(),
        StatusCode::UNAUTHORIZED,
        "with her role her session ends"
    );
}

#[tokio::test]
async fn another_site_changes_nothing_in_somebodys_name() {
    let house = House::new();
    let ann = house.ann().await;
    let foreign = [
        ("origin", "https://evil.example"),
        ("origin", "http://127.0.0.1:8080"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ];
    for from in foreign {
        for (path, body) in [
            ("/api/v1/freeze", "{}"),
            ("/api/v1/thaw", "{}"),
            ("/api/v1/hosts/web-1/incidents/7/acknowledge", "{}"),
            ("/logout", "{}"),
            ("/login", "name=bob&password=bob%27s%3A+password"),
        ] {
            let headers = [("cookie", &*ann), from, JSON];
            let answer = house.send("POST", path, &headers, body).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{from:?} {path}");
            assert_eq!(value(answer.headers(), "set-cookie"), "", "{from:?} {path}");
        }
    }
    // What a form of another site can send is no JSON, from a browser that tells nothing at all too.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let headers = [("cookie", &*ann), ("content-type", kind)];
        for path in ["/api/v1/freeze", "/logout"] {
            assert_eq!(
                house.send("POST", path, &headers, "{}").await.status(),
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "{kind}"
            );
        }
    }
    assert_eq!(
        house.get("/api/v1/fleet", &ann).await.status(),
        StatusCode::OK,
        "she is still there"
    );
}

#[tokio::test]
async fn no_way_of_writing_a_path_leads_past_the_roles() {
    let house = House::new();
    let bob = house.bob().await;
    for path in [
        "/api/v1/fleet/",
        "//api/v1/fleet",
        "/api//v1/fleet",
        "/API/v1/fleet",
        "/api/v1/./fleet",
        "/api/v1/x/../fleet",
        "/assets/../api/v1/fleet",
        "/assets/..%2fapi%2fv1%2ffleet",
        "/api%2fv1%2ffleet",
        "/api/v1/fleet%00",
        "/api/v1/fleet;x",
        "/api/v1/fle%65t",
        "/login/../api/v1/fleet",
        "/login/",
        "/healthz/../metrics",
        "/%2e%2e/metrics",
        "https://127.0.0.1:8080/metrics",
        "/api/v1/fleet?/login",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = house.send(method, path, &[], "").await;
            assert!(
                [401, 404].contains(&answer.status().as_u16()),
                "{method} {path}: {}",
                answer.status()
            );
            assert!(!text(answer).await.contains("\"cell\""), "{path}");
        }
    }
    let tricks = [
        ("x-http-method-override", "GET"),
        ("x-original-url", "/login"),
        ("x-rewrite-url", "/login"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
    ];
    for trick in tricks {
        let headers = [("cookie", &*bob), ORIGIN, JSON, trick];
        for path in [
            "/api/v1/freeze",
            "/api/v1/freeze?",
            "/api/v1/thaw",
            "/api/v1/hosts/web-1/incidents/7/acknowledge",
        ] {
            let status = house.send("POST", path, &headers, r#"{"by": "ann"}"#).await.status();
            assert_eq!(status, StatusCode::FORBIDDEN, "{trick:?} {path}");
        }
        assert_eq!(
            house.send("GET", "/metrics", &[trick], "").await.status(),
            StatusCode::UNAUTHORIZED
        );
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "ACKNOWLEDGE"] {
        let status = house
            .send(method, "/api/v1/freeze", &[("cookie", &*bob), ORIGIN], "")
            .await
            .status();
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(
            house.send(method, "/api/v1/freeze", &[], "").await.status(),
            StatusCode::UNAUTHORIZED
        );
    }
}

#[tokio::test]
async fn passwords_are_not_guessed_by_trying() {
    let house = House::new();
    let mut told = Vec::new();
    for n in 0..12 {
        let name = if n % 2 == 0 { "ann" } else { "nobody" };
        let answer = house.try_password(FROM, name, &format!("guess {n}")).await;
        told.push((answer.status().as_u16(), text(answer).await));
    }
    let codes: Vec<u16> = told.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [[401; 10].as_slice(), &[429; 2]].concat());
    let answers: BTreeSet<&String> = told.iter().take(10).map(|(_, text)| text).collect();
    assert_eq!(answers.len(), 1, "whether there is such a user is not told");
    // The right one is not looked at either, be it in the form or with a request; and from elsewhere it is.
    let right = house.try_password(FROM, "ann", "ann's password").await;
    assert_eq!(right.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(value(right.headers(), "retry-after"), "11");
    let shown = basic("ann", "ann's password");
    let answer = house.send("GET", "/metrics", &[("authorization", &shown)], "").await;
    assert_eq!(
        (answer.status().as_u16(), value(answer.headers(), "retry-after")),
        (429, "11")
    );
    assert_eq!(
        house.try_password("10.0.0.8:5", "ann", "ann's password").await.status(),
        StatusCode::SEE_OTHER
    );
    house.clock.set(11_000);
    assert_eq!(
        house.try_password(FROM, "ann", "ann's password").await.status(),
        StatusCode::SEE_OTHER
    );
}

/// A dashboard asks for all its panels at once, and each question brings name and password along.
#[tokio::test]
async fn many_right_passwords_at_once_are_all_taken() {
    let house = House::new();
    let shown = [basic("ann", "ann's password"), basic("bob", "bob's: password")];
    let ask = |n: usize| {
        let headers = [("authorization", shown[n % 2].as_str())];
        let house = &house;
        async move { house.send("GET", "/metrics", &headers, "").await.status() }
    };
    let codes = futures_util::future::join_all((0..WAITING).map(ask)).await;
    assert_eq!(codes, [StatusCode::OK; WAITING]);
    // Of as many wrong ones at once ten are looked at.
    let guess = |n: usize| {
        let house = &house;
        async move { house.try_password(FROM, "ann", &format!("guess {n}")).await.status() }
    };
    let mut codes = futures_util::future::join_all((0..WAITING).map(guess)).await;
    codes.sort();
    let (wrong, held) = (StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(codes, [vec![wrong; 10], vec![held; WAITING - 10]].concat());
}

#[tokio::test]
async fn what_is_huge_or_hostile_is_refused_and_shown_to_nobody() {
    let house = House::new();
    let ann = house.ann().await;
    let huge = "x".repeat(1 << 20);
    let form = house.try_password(FROM, "ann", &huge).await;
    assert_eq!(form.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        house
            .try_password(FROM, "ann", &"x".repeat(MAX_PASSWORD + 1))
            .await
            .status(),
        StatusCode::UNAUTHORIZED
    );
    for path in [
        "/api/v1/freeze",
        "/logout",
        "/api/v1/hosts/web-1/incidents/7/acknowledge",
    ] {
        let body = format!(r#"{{"by": "{huge}"}}"#);
        let answer = house.send("POST", path, &[("cookie", &*ann), ORIGIN, JSON], body).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        assert_eq!(value(answer.headers(), "content-type"), "application/problem+json");
    }
    let markup = "<img src=x onerror=alert(1)>";
    for name in [
        markup,
        "ann\r\nSet-Cookie: x=y",
        "\u{1b}]0;owned\u{7}",
        "ann:operator",
        &"ann".repeat(900),
        "",
        "\u{0}",
    ] {
        let answer = house.try_password("10.9.9.9:1", name, "x").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{name:?}");
        assert_eq!(value(answer.headers(), "set-cookie"), "");
        let shown = text(answer).await;
        assert!(!shown.contains(markup) && !shown.contains("owned"), "{name:?}: {shown}");
    }
    for body in [
        &b"name=%ff%fe&password=%ff"[..],
        b"\xff\xfe",
        b"name=ann&name=bob",
        b"&&&===",
        b"",
    ] {
        let answer = house.send_from("10.9.9.10:1", "POST", "/login", &[ORIGIN], body).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    for cookie in [
        "__Host-foreshadow-8420=",
        "__Host-foreshadow-8420",
        "foreshadow-8420=x",
        ";;;=;",
    ] {
        assert_eq!(
            house.get("/api/v1/fleet", cookie).await.status(),
            StatusCode::UNAUTHORIZED,
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn behind_a_proxy_tries_are_counted_for_whom_it_speaks_for() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::Page {
        users: Some(list_of_people(folder.path())),
        behind_proxy: true,
        ..config::Page::default()
    };
    let house = House {
        page: page_with(&config, &Clock::manual(0)),
        clock: Clock::manual(0),
        folder,
    };
    let guess = async |forwarded: &str| {
        let headers = [("x-forwarded-for", forwarded), ORIGIN];
        let answer = house
            .send_from("127.0.0.1:9", "POST", "/login", &headers, "name=eve&password=x")
            .await;
        answer.status().as_u16()
    };
    // What a client has made up stands before what the proxy has seen.
    for n in 0..10 {
        assert_eq!(guess(&format!("10.1.1.{n}, 10.0.0.7")).await, 401);
    }
    assert_eq!(
        (guess("10.1.1.99, 10.0.0.7").await, guess("10.0.0.8").await),
        (429, 401)
    );
    let answer = house.try_password("127.0.0.1:9", "ann", "ann's password").await;
    assert!(
        value(answer.headers(), "set-cookie").contains("__Host-"),
        "browsers speak TLS to the proxy"
    );
}

/// A page behind a proxy that names people, with the list of Ann and Bob beside it or without.
fn behind_a_login(has_list: bool) -> House {
    let folder = tempfile::tempdir().unwrap();
    let secret_file = folder.path().join("secret");
    trust::files::replace(&secret_file, b"0123456789abcdef\n").unwrap();
    let proxy_login = format!("secret_file = {secret_file:?}\noperators = [\"ops\"]");
    let config = config::Page {
        users: has_list.then(|| list_of_people(folder.path())),
        behind_proxy: true,
        proxy_login: Some(toml::from_str(&proxy_login).unwrap()),
        ..config::Page::default()
    };
    let clock = Clock::manual(0);
    House {
        page: page_with(&config, &clock),
        clock,
        folder,
    }
}

#[tokio::test]
async fn whom_the_proxy_names_acts_in_that_name_by_their_groups_and_nobody_names_themselves() {
    const SECRET: (&str, &str) = ("x-foreshadow-proxy", "0123456789abcdef");
    const DAN: (&str, &str) = ("x-auth-request-email", "dan@example.org");
    const OPS: (&str, &str) = ("x-auth-request-groups", "staff,ops");
    let house = behind_a_login(false);
    let ask = async |headers: &[(&str, &str)], method: &str, path: &str| {
        let headers = [headers, &[JSON, ("sec-fetch-site", "same-origin")]].concat();
        house.send_from("127.0.0.1:9", method, path, &headers, "{}").await
    };
    let me = async |headers: &[(&str, &str)]| -> Value {
        serde_json::from_str(&text(ask(headers, "GET", "/api/v1/me").await).await).unwrap()
    };
    let named = |role: &str| json!({"name": "dan@example.org", "role": role, "has_session": false});
    assert_eq!(me(&[SECRET, DAN]).await, named("viewer"));
    assert_eq!(me(&[SECRET, DAN, OPS]).await, named("operator"));
    let frozen = ask(&[SECRET, DAN, OPS], "POST", "/api/v1/freeze").await;
    let frozen: Value = serde_json::from_str(&text(frozen).await).unwrap();
    assert_eq!(frozen["freeze"]["by"], "dan@example.org");
    for (headers, status) in [
        (&[SECRET, DAN][..], 403),
        (&[DAN, OPS], 401),
        (&[SECRET, OPS], 401),
        (&[("x-foreshadow-proxy", "0123456789abcdeg"), DAN, OPS], 403),
        (&[], 401),
    ] {
        let answer = ask(headers, "POST", "/api/v1/freeze").await;
        assert_eq!(answer.status(), status, "{headers:?}");
    }
    let foreign = [SECRET, DAN, OPS, JSON, ("sec-fetch-site", "cross-site")];
    let answer = house
        .send_from("127.0.0.1:9", "POST", "/api/v1/thaw", &foreign, "{}")
        .await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    // A stranger is told to log in with the proxy, and not led around in a circle.
    assert_eq!(ask(&[], "GET", "/").await.headers()["location"], "/login");
    let told = ask(&[], "GET", "/login").await;
    assert_eq!(told.status(), StatusCode::UNAUTHORIZED);
    assert!(told.headers().contains_key("www-authenticate"));
    assert!(text(told).await.contains("log in with the proxy"));
    let guess = ask(&[SECRET], "POST", "/login").await;
    assert_eq!(guess.status(), StatusCode::NOT_FOUND);
    assert!(house.refused().await.iter().all(|from| from.starts_with("127.0.0.1")));
}

#[tokio::test]
async fn programs_show_a_password_where_people_come_by_the_proxy() {
    let house = behind_a_login(true);
    let ann = format!("Basic {}", BASE64.encode("ann:ann's password"));
    let basic = [("authorization", ann.as_str())];
    let answer = house.send("GET", "/api/v1/fleet", &basic, "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let dan = [
        ("x-foreshadow-proxy", "0123456789abcdef"),
        ("x-auth-request-email", "dan"),
    ];
    assert_eq!(
        house.send("GET", "/api/v1/fleet", &dan, "").await.status(),
        StatusCode::OK
    );
    let nobody = house.send("GET", "/api/v1/fleet", &[], "").await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(house.send("GET", "/login", &[], "").await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_whom_the_proxy_names_ends_so_that_it_is_asked_again() {
    let house = behind_a_login(false);
    let dan = [
        ("x-foreshadow-proxy", "0123456789abcdef"),
        ("x-auth-request-email", "dan"),
    ];
    let stream = house.send("GET", "/api/v1/stream", &dan, "").await;
    let begun = tokio::time::Instant::now();
    let mut body = stream.into_body().into_data_stream();
    while body.next().await.is_some() {}
    assert_eq!(begun.elapsed().as_secs(), 15 * 60);
}

#[tokio::test]
async fn where_nobody_logs_in_people_read_and_this_machine_changes_if_it_is_let() {
    let lets = |local_role| config::Page {
        local_role,
        ..config::Page::default()
    };
    for (local_role, from, role, freezes) in [
        (Role::Viewer, "127.0.0.1:5", "viewer", 403),
        (Role::Viewer, "[::1]:5", "viewer", 403),
        (Role::Operator, "127.0.0.1:5", "operator", 200),
        (Role::Operator, "[::1]:5", "operator", 200),
        (Role::Operator, "10.0.0.7:5", "viewer", 403),
    ] {
        let page = page_with(&lets(local_role), &Clock::manual(0));
        let ask = async |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path);
            let request = request.header(header::HOST, "localhost").header(JSON.0, JSON.1);
            let mut request = request.body(Body::from(r#"{"by": "ann"}"#)).unwrap();
            let from: SocketAddr = from.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(from));
            page.send(request).await
        };
        let me: Value = serde_json::from_str(&text(ask("GET", "/api/v1/me").await).await).unwrap();
        assert_eq!(
            me,
            json!({"name": null, "role": role, "has_session": false}),
            "{local_role} {from}"
        );
        let answer = ask("POST", "/api/v1/freeze").await;
        assert_eq!(answer.status(), freezes, "{local_role} {from}");
        let told = text(answer).await;
        assert_eq!(told.contains("page.local_role"), freezes == 403, "{told}");
        assert_eq!(ask("GET", "/login").await.status(), StatusCode::SEE_OTHER);
        assert_eq!(ask("POST", "/login").await.status(), StatusCode::NOT_FOUND);
    }
}
