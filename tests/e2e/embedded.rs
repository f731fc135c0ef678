//! What `docs/embedded.md` gives for systems that are not here.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::harness::{PATIENCE, Process, free_port, listens, until, write};

/// What OpenWrt's `rc.common` and `procd.sh` make of a service: they note its parameters, and `start` runs the command with
/// them. As OpenWrt's, they are read by `ash`, whose language is that of `sh` here.
const RC: &str = r#"
procd_open_instance() { :; }
procd_close_instance() { :; }
procd_set_param() {
    name=$1; shift
    case $name in
        command) : > "$DIR/command"; for word in "$@"; do printf '%s\n' "$word" >> "$DIR/command"; done ;;
        env) : > "$DIR/env"; for word in "$@"; do printf '%s\n' "$word" >> "$DIR/env"; done ;;
        respawn|limits|user|stderr) printf '%s %s\n' "$name" "$*" >> "$DIR/parameters" ;;
        *) echo "procd knows no $name" >&2; exit 1 ;;
    esac
}
script=$1
. "$script"
[ "$USE_PROCD" = 1 ] && [ "$START" -gt 0 ]
start_service
"#;

/// The script of the document.
fn script() -> String {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/embedded.md")).unwrap();
    let (_, block) = document.split_once("```sh\n#!/bin/sh /etc/rc.common\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

fn lines(folder: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_script_of_openwrt_starts_the_agent_as_its_procd_would() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let (rc, script) = (write(at, "rc.common", RC), write(at, "foreshadow-agent", &script()));
    let read = Command::new("sh")
        .args(["-eu", &rc, &script])
        .env("DIR", at)
        .output()
        .unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert_eq!(
        lines(at, "parameters"),
        ["respawn 3600 5 0", "limits nofile=1024 1024", "user nobody", "stderr 1"]
    );

    let port = free_port();
    let broker = write(at, "broker.toml", &format!("listen = \"127.0.0.1:{port}\"\n"));
    let _broker = Process::foreshadow(&["broker", "--config", &broker]);
    until("the broker listens", PATIENCE, || listens(port));
    let config = write(
        at,
        "agent.toml",
        &format!("host = \"router-1\"\n[broker]\nport = {port}\n"),
    );
    let run = at.join("run");
    fs::create_dir(&run).unwrap();
    // Where OpenWrt has them.
    let placed = |word: &String| {
        word.replace("/etc/foreshadow/agent.toml", &config)
            .replace("/var/run/foreshadow-agent", run.to_str().unwrap())
    };
    let words: Vec<String> = lines(at, "command").iter().map(placed).collect();
    assert_eq!(words[0], "/usr/bin/foreshadow-agent");
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    command.arg("agent").args(&words[1..]);
    for set in lines(at, "env").iter().map(placed) {
        let (name, value) = set.split_once('=').unwrap();
        command.env(name, value);
    }
    let mut agent = Process::spawn("agent", &mut command);
    agent.expect_text("connected");
    // What a crash would leave to the next start lies where the script says.
    until("the copy of the spool is there", PATIENCE, || {
        fs::read_dir(&run).unwrap().next().is_some()
    });
    assert!(agent.stop().0.success());
}
