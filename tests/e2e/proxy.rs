//! The page behind a proxy that has a login of its own: nginx with the lines that `docs/page.md` tells.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    thread,
};

use tempfile::TempDir;

use crate::harness::{PATIENCE, Process, free_port, have, listens, until, write};

/// What browsers have whose people have logged in with the provider: one of the operators, and one of nothing.
const ANN: &str = "Cookie: _oauth2_proxy=ann";
const BOB: &str = "Cookie: _oauth2_proxy=bob";

/// Stands in for oauth2-proxy, whose provider is not to be had here: it knows two cookies, and its form says so.
fn login(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A connection that ends early is nginx's own affair.
            drop(answer(&stream));
        }
    });
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    let head: Vec<String> = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let shows = |cookie: &str| head.iter().any(|line| line == cookie);
    let path = head.first().map_or("", |line| line.split(' ').nth(1).unwrap_or(""));
    let (status, body) = match path {
        "/oauth2/auth" if shows(ANN) => (
            "202 Accepted\r\nX-Auth-Request-Email: ann@example.org\r\nX-Auth-Request-Groups: staff,foreshadow-operators",
            "",
        ),
        "/oauth2/auth" if shows(BOB) => ("202 Accepted\r\nX-Auth-Request-Email: bob@example.org", ""),
        "/oauth2/auth" => ("401 Unauthorized", ""),
        _ => ("403 Forbidden", "sign in with the provider"),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The block of the document that is of a language and has a word in it.
fn block(language: &str, word: &str) -> String {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/page.md")).unwrap();
    let fence = format!("```{language}\n");
    let mut blocks = document
        .split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains(word)).unwrap().to_owned()
}

/// The lines of the document, with the ports of this test.
fn lines(page: u16, login: u16) -> String {
    let placed = block("nginx", "auth_request")
        .replace("127.0.0.1:8420", &format!("127.0.0.1:{page}"))
        .replace("127.0.0.1:4180", &format!("127.0.0.1:{login}"));
    assert!(!placed.contains(":8420") && !placed.contains(":4180"));
    placed
}

fn nginx(folder: &TempDir, port: u16, lines: &str) -> Process {
    let at = |name: &str| folder.path().join(name).display().to_string();
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {};\n", at(what)))
        .concat();
    let text = format!(
        "daemon off;\nworker_processes 1;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{folders}\
         server {{\nlisten 127.0.0.1:{port};\nserver_name brain.example.org;\n{lines}}}\n}}\n",
        at("nginx.pid")
    );
    let config = write(folder.path(), "nginx.conf", &text);
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(folder.path())
        .args(["-c", &config, "-e", "stderr"]);
    let process = Process::spawn("nginx", &mut command);
    until("nginx listens", PATIENCE, || listens(port));
    process
}

/// Status and body of an answer.
fn ask(port: u16, path: &str, more: &[&str]) -> (String, String) {
    let url = format!("http://127.0.0.1:{port}{path}");
    let told = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--header", "Host: brain.example.org"])
        .args(["--write-out", "\n%{http_code}", &url])
        .args(more)
        .output();
    let text = String::from_utf8(told.unwrap().stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

/// A brain behind nginx, which has the lines of the document.
struct House {
    page: u16,
    proxy: u16,
    _folder: TempDir,
    _parts: [Process; 2],
}

/// What is done at `/etc` is done in `folder`.
fn placed(text: &str, folder: &TempDir) -> String {
    text.replace("/etc/", &format!("{}/", folder.path().display()))
}

impl House {
    /// `login` is that of the page's configuration; the document's commands have made what it names.
    fn build(folder: TempDir, login_of_page: &str, lines_of: impl Fn(String) -> String) -> Self {
        let [page, broker, proxy, provider] = [(); 4].map(|()| free_port());
        let config = write(
            folder.path(),
            "brain.toml",
            &format!(
                "[page]\nbehind_proxy = true\nnames = [\"brain.example.org\"]\n{login_of_page}\n[forecast]\ntrain = false\n"
            ),
        );
        let data = folder.path().join("data").display().to_string();
        let [at_page, at_broker] = [page, broker].map(|port| format!("127.0.0.1:{port}"));
        let mut up = Process::foreshadow(&[
            "up",
            "--data-dir",
            &data,
            "--broker",
            &at_broker,
            "--page",
            &at_page,
            "--brain-config",
            &config,
        ]);
        up.expect_text("page    http://");
        login(provider);
        let nginx = nginx(&folder, proxy, &lines_of(lines(page, provider)));
        Self {
            page,
            proxy,
            _folder: folder,
            _parts: [up, nginx],
        }
    }

    fn is_frozen(&self) -> bool {
        let (status, fleet) = ask(self.proxy, "/api/v1/fleet", &["--header", BOB]);
        assert!(
            status == "200" && fleet.contains("\"cell\":\"main\""),
            "{status} {fleet}"
        );
        !fleet.contains("\"freeze\":null")
    }
}

#[test]
fn a_proxy_lets_people_read_and_nobody_change_where_the_page_is_not_told_of_its_login() {
    if !["nginx", "curl"].into_iter().all(have) {
        return;
    }
    let without_secret = |lines: String| {
        let kept = lines.lines().filter(|line| !line.trim().starts_with("include "));
        kept.map(|line| format!("{line}\n")).collect()
    };
    let house = House::build(TempDir::new().unwrap(), "", without_secret);
    let stranger = ask(house.proxy, "/api/v1/fleet", &[]);
    assert_eq!(stranger, ("403".to_owned(), "sign in with the provider".to_owned()));
    let (status, frame) = ask(house.proxy, "/", &["--header", ANN]);
    assert!(status == "200" && frame.contains("<title>"), "{status} {frame}");

    let freeze = ["--json", "{\"by\": \"ann\"}"];
    for (port, header) in [(house.proxy, ANN), (house.page, "X-None: x")] {
        let (status, told) = ask(port, "/api/v1/freeze", &[&freeze[..], &["--header", header]].concat());
        assert!(status == "403" && told.contains("page.users"), "{status} {told}");
    }
    assert!(!house.is_frozen());

    // What is new comes at once, though the answer has no end.
    let url = format!("http://127.0.0.1:{}/api/v1/stream", house.proxy);
    let mut stream = Command::new("curl");
    stream.args(["--silent", "--no-buffer", "--header", "Host: brain.example.org", &url]);
    stream.args(["--header", BOB]);
    Process::spawn("curl", &mut stream).expect_text("event: tick");
}

#[test]
fn whom_the_proxy_names_does_what_their_groups_may() {
    if !["nginx", "curl", "openssl"].into_iter().all(have) {
        return;
    }
    let folder = TempDir::new().unwrap();
    for inner in ["nginx", "foreshadow/brain"] {
        fs::create_dir_all(folder.path().join(inner)).unwrap();
    }
    let made = Command::new("sh")
        .args(["-euc", &placed(&block("sh", "proxy-secret"), &folder)])
        .status();
    assert!(made.unwrap().success());
    let login_of_page = block("toml", "proxy_login");
    let login_of_page = login_of_page
        .lines()
        .find(|line| line.starts_with("proxy_login"))
        .unwrap();
    let login_of_page = placed(login_of_page, &folder);
    let at = folder.path().display().to_string();
    let house = House::build(folder, &login_of_page, |lines| {
        lines.replace("/etc/", &format!("{at}/"))
    });
    let freeze = |port: u16, more: &[&str]| ask(port, "/api/v1/freeze", &[&["--json", "{}"], more].concat());

    let (status, me) = ask(house.proxy, "/api/v1/me", &["--header", BOB]);
    assert!(
        status == "200" && me.contains("\"name\":\"bob@example.org\",\"role\":\"viewer\""),
        "{me}"
    );
    let (status, told) = freeze(house.proxy, &["--header", BOB]);
    assert!(
        status == "403" && told.contains("a viewer may only read"),
        "{status} {told}"
    );
    // Who names themselves: the proxy replaces it, and past the proxy the secret lacks.
    let ops = [
        "--header",
        "X-Auth-Request-Email: eve",
        "--header",
        "X-Auth-Request-Groups: foreshadow-operators",
    ];
    assert_eq!(freeze(house.proxy, &[&["--header", BOB], &ops[..]].concat()).0, "403");
    assert_eq!(freeze(house.page, &ops).0, "401");
    assert_eq!(
        freeze(
            house.page,
            &[&ops[..], &["--header", "X-Foreshadow-Proxy: 0123456789abcdef"]].concat()
        )
        .0,
        "403"
    );
    assert!(!house.is_frozen());

    let (status, frozen) = freeze(house.proxy, &["--header", ANN]);
    assert!(
        status == "200" && frozen.contains("\"by\":\"ann@example.org\""),
        "{status} {frozen}"
    );
    assert!(house.is_frozen());
}
