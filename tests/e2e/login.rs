//! The page where people log in, over TLS, as an operator sets it up and a program asks it.

use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{PATIENCE, Process, free_port, have, until};

/// All of it on this machine, whose page speaks TLS.
fn up(data: &str, broker: &str, page: &str, config: &str) -> Process {
    let where_to = ["--data-dir", data, "--broker", broker, "--page", page];
    let arguments = [&["up", "--brain-config", config][..], &where_to].concat();
    let mut up = Process::foreshadow(&arguments);
    up.expect_text("page    https://");
    up
}

/// Runs the command with `input`; what it prints.
fn foreshadow(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_foreshadow"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who needs no input may have ended already.
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap_or_default();
    child.wait_with_output().unwrap()
}

fn done(arguments: &[&str], input: &str) -> String {
    let output = foreshadow(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", complaint(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_page_with_users_and_tls_is_set_up_by_commands_and_asked_by_them() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (pki, users, config, password) = (path("pki"), path("users"), path("brain.toml"), path("password"));

    done(&["pki", "--dir", &pki, "init"], "");
    done(&["pki", "--dir", &pki, "broker", "--address", "localhost"], "");
    let user = |arguments: &[&str], input: &str| {
        foreshadow(
            &[&["brain", "user"][..], arguments, &["--file", users.as_str()]].concat(),
            input,
        )
    };
    let added = user(&["add", "ann", "--role", "viewer"], "a password of hers\n");
    assert!(added.status.success(), "{}", complaint(&added));
    let again = user(&["add", "ann", "--role", "operator"], "another password\n");
    assert!(
        !again.status.success() && complaint(&again).contains("is there already"),
        "{}",
        complaint(&again)
    );
    assert!(complaint(&user(&["add", "bob", "--role", "viewer"], "short\n")).contains("8 to 1024 bytes"));
    assert_eq!(String::from_utf8(user(&["list"], "").stdout).unwrap(), "viewer   ann\n");

    let identity = path("pki/issued/_broker/identity.pem");
    let text = format!(
        "[page]\nusers = \"{users}\"\ntls = {{ certificate = \"{identity}\", key = \"{identity}\" }}\n[forecast]\ntrain = false\n"
    );
    fs::write(&config, text).unwrap();
    let (broker, port) = (format!("127.0.0.1:{}", free_port()), free_port());
    let (data, page) = (path("data"), format!("127.0.0.1:{port}"));
    let up = up(&data, &broker, &page, &config);

    fs::write(&password, "a password of hers\n").unwrap();
    let (page, ca) = (format!("https://localhost:{port}"), path("pki/ca.pem"));
    let ask = |more: &[&str]| {
        foreshadow(
            &[
                &["status", "--json", "--page", page.as_str(), "--ca", ca.as_str()][..],
                more,
            ]
            .concat(),
            "",
        )
    };
    let by_ann = ["--user", "ann", "--password-file", &password];
    until("the host is online", PATIENCE, || {
        let told = ask(&by_ann);
        let told: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{}", complaint(&told)));
        told["hosts"]["online"] == 1
    });
    let nobody = ask(&[]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        complaint(&nobody).contains("say --user NAME --password-file FILE"),
        "{}",
        complaint(&nobody)
    );
    fs::write(&password, "a guess\n").unwrap();
    assert!(complaint(&ask(&by_ann)).contains("wrong name or password"));
    done(&["pki", "--dir", &path("foreign"), "init"], "");
    let foreign = foreshadow(&["status", "--page", &page, "--ca", &path("foreign/ca.pem")], "");
    assert!(
        complaint(&foreign).contains("no TLS with localhost"),
        "{}",
        complaint(&foreign)
    );
    assert!(up.stop().0.success());
}

/// The block of `docs/page.md` that makes a certificate, for `localhost`.
fn recipe() -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/page.md")).unwrap();
    let (_, block) = page
        .split_once("browsers_take_the_certificate_that_the_page_is_told_to_have_and_none_of_pki -->\n```sh\n")
        .unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let recipe = block.replace("brain.example.org", "localhost");
    assert_ne!(recipe, block);
    recipe
}

/// Who says whether a certificate counts.
#[derive(Clone, Copy, PartialEq)]
enum Judge {
    /// The browser, by the authorities that it knows.
    Browser,
    /// Nobody: what is asked is whether the certificate's keys are spoken.
    Nobody,
}

/// Makes an authority known to the browser of `home`, as somebody does in its settings.
fn make_known(home: &str, authority: &str) {
    let (folder, base) = (format!("{home}/.pki/nssdb"), format!("sql:{home}/.pki/nssdb"));
    fs::create_dir_all(folder).unwrap();
    for arguments in [
        &["-N", "--empty-password"][..],
        &["-A", "-n", "web", "-t", "C,,", "-i", authority],
    ] {
        let done = Command::new("certutil").args(["-d", &base]).args(arguments).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{}", complaint(&done));
    }
}

/// What a browser makes of the page of login: its document, or nothing where it does not take the certificate.
fn browsed(home: &str, port: u16, judge: Judge) -> String {
    let output = Command::new("chromium")
        .env("HOME", home)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args((judge == Judge::Nobody).then_some("--ignore-certificate-errors"))
        .args(["--dump-dom", &format!("https://localhost:{port}/login")])
        .output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
}

#[test]
fn browsers_take_the_certificate_that_the_page_is_told_to_have_and_none_of_pki() {
    if !["openssl", "chromium", "certutil"].into_iter().all(have) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = Command::new("sh")
        .args(["-ec", &recipe()])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", complaint(&made));
    done(&["pki", "--dir", &path("pki"), "init"], "");
    done(&["pki", "--dir", &path("pki"), "broker", "--address", "localhost"], "");
    let users = path("users");
    done(
        &["brain", "user", "add", "ann", "--role", "viewer", "--file", &users],
        "a password of hers\n",
    );

    let port = free_port();
    let (broker, page, config) = (
        format!("127.0.0.1:{}", free_port()),
        format!("127.0.0.1:{port}"),
        path("brain.toml"),
    );
    let with = |certificate: &str, key: &str| {
        let tls = format!("certificate = \"{certificate}\", key = \"{key}\"");
        let text =
            format!("[page]\nusers = \"{users}\"\ntls = {{ {tls} }}\nlisten = \"{page}\"\n[forecast]\ntrain = false\n");
        fs::write(&config, text).unwrap();
        let up = up(&path("data"), &broker, &page, &config);
        // What an engine of images asks, whatever the certificate.
        done(&["brain", "healthy", "--config", &config], "");
        up
    };
    let good = with(&path("page.pem"), &path("page.key"));
    fs::write(path("password"), "a password of hers\n").unwrap();
    let url = format!("https://localhost:{port}");
    let asked = [
        "status",
        "--json",
        "--page",
        &url,
        "--ca",
        &path("web-ca.pem"),
        "--user",
        "ann",
        "--password-file",
        &path("password"),
    ];
    let told = foreshadow(&asked, "");
    let told: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{}", complaint(&told)));
    assert!(told["hosts"].is_object(), "{told}");
    // Whoever has not been told of the authority is warned away; who has sees the form, without a word.
    let seen = browsed(&path("stranger"), port, Judge::Browser);
    assert!(!seen.contains("name=\"password\""), "{seen}");
    make_known(&path("home"), &path("web-ca.pem"));
    let seen = browsed(&path("home"), port, Judge::Browser);
    assert!(seen.contains("name=\"password\""), "{seen}");
    assert!(good.stop().0.success());

    let identity = path("pki/issued/_broker/identity.pem");
    let of_pki = with(&identity, &identity);
    let seen = browsed(&path("home"), port, Judge::Nobody);
    assert!(
        !seen.contains("name=\"password\""),
        "browsers speak Ed25519 now: docs/page.md is out of date"
    );
    assert!(of_pki.stop().0.success());
}

#[test]
fn a_page_that_anybody_could_reach_does_not_start() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let broker = format!("127.0.0.1:{}", free_port());
    let refused = foreshadow(
        &["up", "--data-dir", data, "--broker", &broker, "--page", "0.0.0.0:0"],
        "",
    );
    assert!(!refused.status.success());
    for part in ["page.tls", "page.users", "behind_proxy = true", "brain user add"] {
        assert!(complaint(&refused).contains(part), "{}", complaint(&refused));
    }
}
