//! Hosts enrol by one-time tokens at a real server, many at once, and nobody else does.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use tempfile::TempDir;

use crate::{
    fleet::{pki, pki_fails},
    harness::{PATIENCE, Process, free_port, listens, until, write},
};

const HOSTS: usize = 100;

/// `pki enrol` of `host` with the token in `token`, into `out`.
fn enrol(port: u16, host: &str, token: &str, out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    command.args([
        "pki",
        "enrol",
        "--server",
        &format!("127.0.0.1:{port}"),
        "--host",
        host,
        "--out",
    ]);
    command.arg(out).env("FORESHADOW_TOKEN", token).stdin(Stdio::null());
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn tokens(folder: &Path, hosts: &[String]) -> Vec<String> {
    let file = write(folder, "hosts.txt", &hosts.join("\n"));
    let told = pki(&folder.join("pki"), &["token", "--hosts", &file]);
    told.lines()
        .map(|line| line.split(' ').nth(1).unwrap().to_owned())
        .collect()
}

fn serve(folder: &Path, port: u16) -> Process {
    let dir = folder.join("pki");
    let listen = format!("127.0.0.1:{port}");
    Process::foreshadow(&[
        "pki",
        "serve",
        "--dir",
        dir.to_str().unwrap(),
        "--listen",
        &listen,
        "--for",
        "10m",
    ])
}

#[test]
fn a_hundred_hosts_enrol_at_once_beside_slow_ones() {
    let folder = TempDir::with_prefix("foreshadow-e2e-").unwrap();
    pki(&folder.path().join("pki"), &["init"]);
    let hosts: Vec<String> = (0..HOSTS).map(|n| format!("web-{n}")).collect();
    let tokens = tokens(folder.path(), &hosts);
    let port = free_port();
    let mut server = serve(folder.path(), port);
    until("the server listens", PATIENCE, || listens(port));
    // Half of them say nothing, half begin a handshake and stop.
    let slow: Vec<TcpStream> = (0..12)
        .map(|n| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            if n % 2 == 0 {
                stream.write_all(&[0x16, 3, 1, 1, 0, 1]).unwrap();
            }
            stream
        })
        .collect();
    thread::scope(|scope| {
        for (host, token) in hosts.iter().zip(&tokens) {
            let out = folder.path().join("hosts").join(host);
            scope.spawn(move || {
                let output = enrol(port, host, token, &out);
                assert!(output.status.success(), "{host}: {}", told(&output));
                let config = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(
                    config.contains("[trust]") && config.contains(&format!("host = \"{host}\"")),
                    "{config}"
                );
            });
        }
    });
    let status = server.wait();
    assert!(status.success(), "it ends by itself: {}", server.printed());
    server.expect_text(&format!("enrolled {HOSTS},"));
    drop(slow);

    let listed = pki(&folder.path().join("pki"), &["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["certificates"].as_array().unwrap().len(), HOSTS);
    assert_eq!(listed["open_tokens"], 0);
    let audit = folder.path().join("pki/audit.jsonl");
    assert_eq!(
        fs::read_to_string(&audit)
            .unwrap()
            .matches("\"what\":\"enrolled\"")
            .count(),
        HOSTS
    );
    let verified = Process::foreshadow(&["audit", "verify", audit.to_str().unwrap()]).wait();
    assert!(verified.success());
    use std::os::unix::fs::PermissionsExt;
    let key = folder.path().join("hosts/web-7/identity.pem");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = Command::new("grep")
        .args(["-rl", "PRIVATE KEY"])
        .arg(folder.path().join("pki"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&kept.stdout).lines().count(),
        1,
        "the authority has its own key alone"
    );
}

#[test]
fn stolen_wrong_and_foreign_tokens_enrol_nobody() {
    let folder = TempDir::with_prefix("foreshadow-e2e-").unwrap();
    let dir = folder.path().join("pki");
    pki(&dir, &["init"]);
    let fault = Process::foreshadow(&[
        "pki",
        "serve",
        "--dir",
        dir.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
    ])
    .wait();
    assert!(!fault.success(), "a server without tokens has nothing to do");
    let hosts = ["web-1", "web-2", "web-3"].map(str::to_owned);
    let tokens = tokens(folder.path(), &hosts);
    let port = free_port();
    let mut server = serve(folder.path(), port);
    until("the server listens", PATIENCE, || listens(port));
    let out = |name: &str| folder.path().join(name);

    assert!(enrol(port, "web-1", &tokens[0], &out("web-1")).status.success());
    // Used, and the thief has a key of his own.
    let output = enrol(port, "web-1", &tokens[0], &out("thief"));
    assert!(told(&output).contains("unknown, used or late"), "{}", told(&output));
    // Open, but for another host.
    let output = enrol(port, "web-9", &tokens[1], &out("thief"));
    assert!(
        told(&output).contains("foreshadow:main/web-2/inband"),
        "{}",
        told(&output)
    );
    // Guessed.
    let guessed = tokens[1].replacen(&tokens[1][18..26], "00000000", 1);
    let output = enrol(port, "web-2", &guessed, &out("thief"));
    assert!(told(&output).contains("unknown, used or late"), "{}", told(&output));
    // A server of another authority: the host says nothing to it. Its own token would be good there.
    let (name, digest) = tokens[1].rsplit_once(':').unwrap();
    let foreign = format!("{name}:{}", digest.chars().rev().collect::<String>());
    let output = enrol(port, "web-2", &foreign, &out("thief"));
    assert!(
        !output.status.success() && told(&output).contains("certificate"),
        "{}",
        told(&output)
    );
    assert!(!out("thief").join("identity.pem").exists());
    // What is there is not overwritten, and the token is not used up by it.
    let output = enrol(port, "web-1", &tokens[1], &out("web-1"));
    assert!(told(&output).contains("--replace"), "{}", told(&output));

    // Garbage, and more of it than a question has.
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 70_000]] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        drop(stream.write_all(bytes));
        drop(stream.read(&mut [0; 64]));
    }
    // The server has died in between, and the tokens are as they were.
    server.kill();
    server = serve(folder.path(), port);
    until("the server listens again", PATIENCE, || listens(port));
    let output = enrol(port, "web-1", &tokens[0], &out("thief"));
    assert!(told(&output).contains("unknown, used or late"), "{}", told(&output));
    assert!(enrol(port, "web-2", &tokens[1], &out("web-2")).status.success());

    // The last token is revoked with its host, and the server ends.
    pki(&dir, &["revoke", "web-3"]);
    assert!(server.wait().success(), "{}", server.printed());
    let fault = pki_fails(&dir, &["renew", "web-2"]);
    assert!(fault.contains("pki token web-2"), "{fault}");
}
