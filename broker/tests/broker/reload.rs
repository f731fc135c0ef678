//! SIGHUP: certificates, users and rules are taken anew, by a process as it is shipped.

use std::{fs, net::SocketAddr, process::Stdio};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::{
    harness::PATIENCE,
    login::set_password,
    pki::Authority,
    raw::{Hello, Raw},
};

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    addr: SocketAddr,
}

impl Process {
    async fn start(config: &str, folder: &TempDir) -> Self {
        let file = folder.path().join("broker.toml");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow-broker"));
        command.arg("--config").arg(&file).kill_on_drop(true);
        command.env("NO_COLOR", "1").stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut process = Self {
            lines: BufReader::new(child.stderr.take().unwrap()).lines(),
            child,
            addr: ([127, 0, 0, 1], 0).into(),
        };
        let line = process.line("broker listens").await;
        let port = line.split("addr=127.0.0.1:").nth(1).unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        process.addr.set_port(port.parse().unwrap());
        process
    }

    /// The next line with these words in it.
    async fn line(&mut self, words: &str) -> String {
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await.expect(words);
            let line = line.unwrap().expect("it has ended");
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Sends SIGHUP and waits until it is done; returns the line that says so.
    async fn reload(&mut self) -> String {
        self.signal("-HUP").await;
        self.line("SIGHUP: files are read anew").await
    }

    /// Stops it, and waits until it has kept what it has to say.
    async fn stop(mut self) {
        self.signal("-TERM").await;
        assert!(timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().success());
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().await.unwrap();
        assert!(sent.success());
    }
}

#[tokio::test]
async fn revoked_certificates_lost_users_and_changed_rules_end_connections_and_others_stay() {
    let authority = Authority::new();
    authority.issue("broker", 1, &[]);
    let agent = |host: &str| format!("foreshadow:lab/{host}/inband");
    for (serial, host) in [(2, "a"), (3, "b")] {
        authority.issue(host, serial, &["foreshadow:role/agent", &agent(host)]);
    }
    authority.revoke(&[99]);
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords");
    let acl = folder.path().join("acl");
    let audit = folder.path().join("audit.jsonl");
    for user in ["ann", "bob", "eve"] {
        set_password(&passwords, user, "secret").await;
    }
    fs::write(
        &acl,
        "user ann\ntopic a\nuser bob\ntopic b\ntopic read a\nuser eve\ntopic e\n",
    )
    .unwrap();
    let file = |name: &str| authority.file(name).display().to_string();
    let config = format!(
        "listen = '127.0.0.1:0'\naudit = '{}'\n[tls]\ncertificate = '{}'\nkey = '{}'\nclient_ca = '{}'\ncrl = '{}'\n\
         [access]\nanonymous = 'nothing'\npasswords = '{}'\nacl = '{}'\n",
        audit.display(),
        file("broker.pem"),
        file("broker.key"),
        file("ca.pem"),
        file("crl.pem"),
        passwords.display(),
        acl.display(),
    );
    let mut process = Process::start(&config, &folder).await;
    let addr = process.addr;
    let certified = async |name: &str| Raw::tls(addr, &authority.client(name), 5).await.unwrap();
    let mut a = certified("a").await.enter("a").await;
    let mut b = certified("b").await.enter("b").await;
    let mut users = Vec::new();
    for user in ["ann", "bob", "eve"] {
        let mut raw = Raw::plain(addr, 5).await;
        let hello = Hello {
            id: user,
            login: Some((user, "secret")),
            will: (user == "ann").then_some("a"),
            ..Hello::default()
        };
        assert_eq!(raw.hello(hello).await, Some(0));
        users.push(raw);
    }
    assert_eq!(users[1].subscribe("a", 0).await, 0);
    assert_eq!(users[1].subscribe("b", 0).await, 0);
    let mut stays = lasting_sessions(addr, &authority).await;
    // Nothing has changed: nobody is concerned.
    assert!(process.reload().await.contains("faults=0 ended=0 sessions=0"));

    authority.revoke(&[3]);
    let text = fs::read_to_string(&passwords).unwrap();
    let left: Vec<&str> = text.lines().filter(|line| !line.starts_with("ann:")).collect();
    fs::write(&passwords, left.join("\n")).unwrap();
    fs::write(
        &acl,
        "user ann\ntopic a\nuser bob\ntopic b\ntopic read a\nuser eve\ntopic other\n",
    )
    .unwrap();
    let told = process.reload().await;
    assert!(
        told.contains("faults=0 ended=4 sessions=2"),
        "not that of eve, who may come again: {told}"
    );
    stays.ended().await;
    assert!(process.reload().await.contains("faults=0 ended=0 sessions=0"));
    let [ann, bob, eve] = &mut users[..] else {
        unreachable!()
    };
    for gone in [&mut b, ann, eve] {
        assert_eq!(gone.ended().await, Some(0x87), "not authorized");
    }
    a.ping().await;
    bob.publish("b", b"", 0, false).await;
    let told = bob.topics_until("b").await;
    assert_eq!(told, ["b"], "the will of who no longer belongs is not told");
    stays_out(addr, &authority).await;

    // What is of no use changes nothing and is told; what is of use beside it counts.
    fs::write(&acl, "topic everything #\n").unwrap();
    fs::write(authority.file("broker.pem"), "nothing").unwrap();
    authority.revoke(&[2, 3]);
    assert!(process.reload().await.contains("faults=2 ended=0"));
    a.ping().await;
    bob.ping().await;
    assert_eq!(bob.publish("b", b"", 1, false).await, 0);

    // The broker's own certificate is renewed the same way: it is shown at the next connection, and the others stay.
    authority.issue("watcher", 8, &["foreshadow:role/viewer"]);
    let before = shown(addr, &authority, "watcher").await;
    authority.issue("broker", 7, &[]);
    assert_eq!(shown(addr, &authority, "watcher").await, before, "not read yet");
    assert_ne!(before, authority.certificate("broker"));
    fs::write(&acl, "user bob\ntopic b\ntopic read a\n").unwrap();
    assert!(process.reload().await.contains("faults=0 ended=1"));
    a.ended().await;
    bob.ping().await;
    let after = shown(addr, &authority, "watcher").await;
    assert_eq!(after, authority.certificate("broker"));
    process.stop().await;

    is_kept(&audit, &authority);
}

/// The certificate that the broker shows, in DER.
async fn shown(addr: SocketAddr, authority: &Authority, client: &str) -> Vec<u8> {
    let tls = authority.client(client).client("127.0.0.1").unwrap();
    let stream = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TlsConnector::from(tls).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Who has the revoked certificate does not come in again.
async fn stays_out(addr: SocketAddr, authority: &Authority) {
    // With TLS 1.3 the refusal comes with the first read.
    if let Ok(mut again) = Raw::tls(addr, &authority.client("b"), 5).await {
        assert_eq!(
            again
                .hello(Hello {
                    id: "b",
                    ..Hello::default()
                })
                .await,
            None
        );
    }
}

/// Sessions that last: of two users, who are away, and of a certificate, whose client is returned.
async fn lasting_sessions(addr: SocketAddr, authority: &Authority) -> Raw {
    for user in ["ann", "eve"] {
        let mut away = Raw::plain(addr, 4).await;
        let hello = Hello {
            id: "away",
            login: Some((user, "secret")),
            lasts: true,
            ..Hello::default()
        };
        assert_eq!(away.hello(hello).await, Some(0));
    }
    let mut stays = Raw::tls(addr, &authority.client("b"), 4).await.unwrap();
    let hello = Hello {
        id: "stays",
        lasts: true,
        ..Hello::default()
    };
    assert_eq!(stays.hello(hello).await, Some(0));
    stays
}

/// Who came in, who was sent away and which certificate was shown has been kept, and nothing of a password.
fn is_kept(audit: &std::path::Path, authority: &Authority) {
    let kept = trust::audit::verify(audit).unwrap();
    let text = fs::read_to_string(audit).unwrap();
    assert!(kept.lines >= 8, "{text}");
    for told in ["\"login\"", "\"ended\"", "\"ann\"", "\"b\""] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(!text.contains("secret"), "{text}");
    let of_keys: Vec<&str> = text.lines().filter(|line| line.contains(r#""kind":"key""#)).collect();
    assert_eq!(of_keys.len(), 6, "the start and five reloads: {text}");
    let last = of_keys[5];
    assert!(last.contains(r#""what":"files read anew","who":"broker""#), "{last}");
    let shown = trust::secret::hex(&trust::secret::digest(&authority.certificate("broker")));
    let named: Vec<bool> = of_keys.iter().map(|line| line.contains(&shown)).collect();
    assert_eq!(named, [false, false, false, false, false, true], "{of_keys:?}");
}
