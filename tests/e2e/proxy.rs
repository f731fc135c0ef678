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

/// What somebody's browser has who has logged in with the provider.
const LOGGED_IN: &str = "Cookie: _oauth2_proxy=ann";

/// Stands in for oauth2-proxy, whose provider is not to be had here: it knows one cookie, and its form says so.
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
    let is_known = head.iter().any(|line| line == LOGGED_IN);
    let (status, body) = match head.first().map_or("", |line| line.split(' ').nth(1).unwrap_or("")) {
        "/oauth2/auth" if is_known => ("202 Accepted", ""),
        "/oauth2/auth" => ("401 Unauthorized", ""),
        _ => ("403 Forbidden", "sign in with the provider"),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The lines of the document, with the ports of this test.
fn lines(page: u16, login: u16) -> String {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/page.md")).unwrap();
    let (_, block) = document.split_once("```nginx\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let placed = block
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

#[test]
fn a_proxy_with_a_login_of_its_own_lets_people_read_and_nobody_change() {
    if !["nginx", "curl"].into_iter().all(have) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let [page, broker, proxy, provider] = [(); 4].map(|()| free_port());
    let config = write(
        folder.path(),
        "brain.toml",
        "[page]\nbehind_proxy = true\nnames = [\"brain.example.org\"]\n[forecast]\ntrain = false\n",
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
    let _nginx = nginx(&folder, proxy, &lines(page, provider));
    let in_name = ["--header", LOGGED_IN];

    let stranger = ask(proxy, "/api/v1/fleet", &[]);
    assert_eq!(stranger, ("403".to_owned(), "sign in with the provider".to_owned()));
    let (status, fleet) = ask(proxy, "/api/v1/fleet", &in_name);
    assert!(
        status == "200" && fleet.contains("\"cell\":\"main\""),
        "{status} {fleet}"
    );
    let (status, frame) = ask(proxy, "/", &in_name);
    assert!(status == "200" && frame.contains("<title>"), "{status} {frame}");

    let freeze = ["--json", "{\"by\": \"ann\"}"];
    let (status, told) = ask(proxy, "/api/v1/freeze", &[&in_name[..], &freeze].concat());
    assert!(
        status == "403" && told.contains("nginx"),
        "the proxy refuses: {status} {told}"
    );
    let (status, told) = ask(page, "/api/v1/freeze", &freeze);
    assert!(
        status == "403" && told.contains("page.users"),
        "so does the page: {status} {told}"
    );
    assert!(fleet.contains("\"freeze\":null") && ask(proxy, "/api/v1/fleet", &in_name).1.contains("\"freeze\":null"));

    // What is new comes at once, though the answer has no end.
    let url = format!("http://127.0.0.1:{proxy}/api/v1/stream");
    let mut stream = Command::new("curl");
    stream.args(["--silent", "--no-buffer", "--header", "Host: brain.example.org", &url]);
    stream.args(in_name);
    Process::spawn("curl", &mut stream).expect_text("event: tick");
}
