//! The guide of docs/trust.md is run as it stands there, but for its ports.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
};

use tempfile::TempDir;

use crate::{
    database::{number, texts},
    fleet::pki,
    harness::{PATIENCE, Process, free_port, have, listens, until},
};

const GUIDE: &str = include_str!("../../docs/trust.md");

/// The first block of commands.
fn commands() -> &'static str {
    let block = GUIDE.split("```sh\n").nth(1).unwrap();
    block.split("```").next().unwrap()
}

#[test]
fn the_guide_secures_a_fleet_in_fifteen_lines() {
    assert!(commands().lines().count() <= 15, "{}", commands());
    let folder = TempDir::with_prefix("foreshadow-e2e-").unwrap();
    let [broker, server] = [(); 2].map(|()| free_port());
    // On ports that nobody uses here, with a page and a host name that are free, and waiting for all of it at the end.
    let script = commands()
        .replace("pki config ", &format!("pki config --port {broker} "))
        .replace("pki enrol ", &format!("pki enrol --port {broker} "))
        .replace("broker.toml &", "broker.toml & echo $! > broker.pid")
        .replace("--for 10m", &format!("--for 10m --listen 127.0.0.1:{server}"))
        .replace("localhost:8430", &format!("localhost:{server}"))
        .replace(
            "> brain.toml",
            "> brain.toml && printf '[page]\\nlisten = \"127.0.0.1:0\"\\n' >> brain.toml",
        );
    assert_ne!(script, commands());
    let script =
        format!("set -e\ntrap 'jobs -p > jobs; kill $(cat jobs); wait' TERM\n{script}\necho the guide is done\nwait\n");
    let program = Path::new(env!("CARGO_BIN_EXE_foreshadow"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("FORESHADOW_LOG", "info");
    shell.env_remove("STATE_DIRECTORY").env_remove("RUNTIME_DIRECTORY");
    let mut guide = Process::spawn("the guide", &mut shell);
    guide.expect_text("the guide is done");
    guide.expect_text("whole: ");
    assert!(
        guide.printed().contains("_brain"),
        "pki list tells of the parts: {}",
        guide.printed()
    );

    let data = folder.path().join("data/brain");
    let hosts = || {
        let there = data.join("brain.db").exists();
        if there {
            texts(&data, "SELECT DISTINCT host FROM frames ORDER BY host")
        } else {
            Vec::new()
        }
    };
    until("samples of both hosts are durable", PATIENCE, || {
        hosts() == ["web-1", "web-2"]
    });
    let folder_path = folder.path();
    looks_on(folder_path, broker);
    says_nothing_in_the_clear(broker);
    let again = restarted(folder_path, broker);
    let before = number(&data, "SELECT count(*) FROM frames");
    until("the fleet is back", PATIENCE, || {
        number(&data, "SELECT count(*) FROM frames") > before + 10
    });
    looks_on(folder_path, broker);
    assert!(again.stop().0.success());
    logins_are_kept(&folder_path.join("data/broker/audit.jsonl"));
    let audit = fs::read_to_string(folder.path().join("pki/audit.jsonl")).unwrap();
    assert!(audit.contains("\"what\":\"enrolled\",\"who\":\"web-2\""), "{audit}");
}

/// A viewer that asks for all there is, as MQTT Explorer does, sees what is for people and nothing else.
fn looks_on(folder: &Path, port: u16) {
    if !have("mosquitto_sub") {
        return;
    }
    if !folder.join("pki/issued/ann").exists() {
        pki(&folder.join("pki"), &["viewer", "ann"]);
    }
    let file = |name: &str| folder.join("pki/issued/ann").join(name).display().to_string();
    let [ca, identity] = [file("ca.pem"), file("identity.pem")];
    let (mut seen, port) = (String::new(), port.to_string());
    until("a viewer sees statuses, views and figures", PATIENCE, || {
        let arguments = [
            "-h",
            "localhost",
            "-p",
            &port,
            "--cafile",
            &ca,
            "--cert",
            &identity,
            "--key",
            &identity,
            "-W",
            "3",
            "-v",
            "-t",
            "#",
            "-t",
            "$SYS/#",
        ];
        let output = Command::new("mosquitto_sub").args(arguments).output().unwrap();
        seen = String::from_utf8_lossy(&output.stdout).into_owned();
        let sees = |topic: &str| seen.lines().any(|line| line.contains(topic));
        sees("/web-2/status/inband") && sees("/view/fleet") && sees("$SYS/broker/clients/connected")
    });
    assert!(!seen.contains("/bin/"), "{seen}");
}

/// Somebody on this machine who shows no certificate is refused, though it may speak in the clear.
fn says_nothing_in_the_clear(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\x0a\0\x01x").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 5], "CONNACK: not authorised");
}

/// Another broker in the place of the guide's, by the same configuration.
fn restarted(folder: &Path, port: u16) -> Process {
    let pid = fs::read_to_string(folder.join("broker.pid")).unwrap();
    assert!(
        Command::new("kill")
            .args(["-TERM", pid.trim()])
            .status()
            .unwrap()
            .success()
    );
    // It keeps its files until it is gone.
    let program = format!("/proc/{}/exe", pid.trim());
    until("the broker has ended", PATIENCE, || fs::read_link(&program).is_err());
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    command
        .args(["broker", "--config", "broker.toml"])
        .current_dir(folder)
        .env("FORESHADOW_LOG", "info");
    let broker = Process::spawn("the broker, again", &mut command);
    until("the broker listens", PATIENCE, || listens(port));
    broker
}

/// The broker's audit log has gone on over the restart, and is whole.
fn logins_are_kept(audit: &Path) {
    let text = fs::read_to_string(audit).unwrap();
    let begun = text.matches("\"kind\":\"login\"").count();
    assert!(begun > 6, "three parts came in twice: {text}");
    for part in ["web-1", "web-2", "_brain", "neither certificate nor password"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut verify = Process::foreshadow(&["audit", "verify", audit.to_str().unwrap()]);
    assert!(verify.wait().success(), "{}", verify.printed());
    fs::write(audit, text.replacen("web-1", "web-7", 1)).unwrap();
    let mut verify = Process::foreshadow(&["audit", "verify", audit.to_str().unwrap()]);
    assert!(!verify.wait().success());
}
