//! Users with passwords, and lists of rules.

use std::{fs, path::Path, process::Stdio};

use broker::{Access, Anonymous, Config, Limits, Refusal};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::{
    harness::{Broker, PATIENCE, step_aside},
    raw::{Hello, Raw},
};

/// Sets a password as an operator does.
pub(crate) async fn set_password(list: &Path, user: &str, password: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow-broker"));
    command.args(["password", user, "--file"]).arg(list);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(format!("{password}\n").as_bytes()).await.unwrap();
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains(password));
}

/// A broker that asks for passwords, with these rules.
async fn broker(acl: &str, limits: Limits) -> (Broker, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    set_password(&file("passwords"), "ann", "right").await;
    set_password(&file("passwords"), "grafana", "looks on").await;
    fs::write(file("acl"), acl).unwrap();
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        access: Access {
            anonymous: Anonymous::Nothing,
            passwords: Some(file("passwords")),
            acl: Some(file("acl")),
            users: [("grafana".to_owned(), vec!["foreshadow:role/viewer".to_owned()])].into(),
            ..Access::default()
        },
        limits,
        ..Config::default()
    };
    (Broker::listen(config).await, folder)
}

async fn hello(broker: &Broker, level: u8, user: &str, password: &str) -> (Raw, Option<u8>) {
    let mut raw = Raw::plain(broker.addr(), level).await;
    let hello = Hello {
        id: "x",
        login: Some((user, password)),
        ..Hello::default()
    };
    let code = raw.hello(hello).await;
    (raw, code)
}

#[tokio::test]
async fn a_password_lets_in_and_a_wrong_one_does_not() {
    let (broker, _folder) = broker("user ann\ntopic a/#\n", Limits::default()).await;
    for (level, wrong, none) in [(4, 4, 5), (5, 0x86, 0x87)] {
        for (user, password) in [
            ("ann", "wrong"),
            ("ann", ""),
            ("eve", "right"),
            ("eve", ""),
            ("", "right"),
        ] {
            let code = hello(&broker, level, user, password).await.1;
            let expected = if (user, password) == ("", "") { none } else { wrong };
            assert_eq!(code, Some(expected), "{level} {user} {password}");
        }
        let mut nobody = Raw::plain(broker.addr(), level).await;
        assert_eq!(
            nobody
                .hello(Hello {
                    id: "x",
                    ..Hello::default()
                })
                .await,
            Some(none)
        );
        let (mut ann, code) = hello(&broker, level, "ann", "right").await;
        assert_eq!(code, Some(0));
        assert_eq!(ann.subscribe("a/x", 1).await, 1);
        assert!(ann.subscribe("b/x", 1).await >= 0x80);
        ann.publish("a/x", b"", 1, false).await;
        ann.topics_until("a/x").await;
    }
    assert_eq!(broker.handle.figures().refused.of(Refusal::Login), 12);
    broker.stop().await;
}

#[tokio::test]
async fn a_user_may_have_a_role() {
    let (broker, _folder) = broker("", Limits::default()).await;
    let (mut viewer, code) = hello(&broker, 5, "grafana", "looks on").await;
    assert_eq!(code, Some(0));
    assert_eq!(viewer.subscribe("foreshadow/+/+/view/#", 1).await, 1);
    assert_eq!(viewer.subscribe("foreshadow/+/+/bin/#", 1).await, 0x87);
    broker.stop().await;
}

#[tokio::test]
async fn a_name_has_only_so_many_clients() {
    let limits = Limits {
        max_connections_per_name: 2,
        ..Limits::default()
    };
    let (broker, _folder) = broker("", limits).await;
    let login = |id| Hello {
        id,
        login: Some(("ann", "right")),
        ..Hello::default()
    };
    let mut all = Vec::new();
    for (id, level, code) in [("1", 4, 0), ("2", 5, 0), ("3", 4, 3), ("4", 5, 0x97)] {
        let mut raw = Raw::plain(broker.addr(), level).await;
        assert_eq!(raw.hello(login(id)).await, Some(code), "{id}");
        all.push(raw);
    }
    let (_other, code) = hello(&broker, 4, "grafana", "looks on").await;
    assert_eq!(code, Some(0));
    assert_eq!(broker.handle.figures().refused.of(Refusal::Name), 2);
    broker.stop().await;
}

#[tokio::test]
async fn a_name_retains_lasts_and_publishes_only_so_much_whatever_its_clients_are_called() {
    let limits = Limits {
        max_sessions_per_name: 2,
        max_retained_per_name: 3,
        max_messages_per_s: 50,
        ..Limits::default()
    };
    let (broker, _folder) = broker("user ann\ntopic #\nuser grafana\ntopic #\n", limits).await;
    let login = async |user: &'static str, password, id, lasts| {
        let mut raw = Raw::plain(broker.addr(), 4).await;
        let login = Some((user, password));
        let hello = Hello {
            id,
            login,
            lasts,
            ..Hello::default()
        };
        let code = raw.hello(hello).await;
        (raw, code)
    };
    for (id, code) in [("1", 0), ("2", 0), ("3", 3)] {
        assert_eq!(login("ann", "right", id, true).await.1, Some(code), "{id}");
    }
    assert_eq!(login("grafana", "looks on", "3", true).await.1, Some(0));
    let mut clients = [
        login("ann", "right", "4", false).await.0,
        login("ann", "right", "5", false).await.0,
    ];
    let before = broker.handle.figures().retained;
    for n in 0..6 {
        clients[n % 2].publish(&format!("t/{n}"), b"x", 1, true).await;
    }
    let figures = broker.handle.figures();
    assert_eq!((figures.refused.of(Refusal::Retain), figures.retained - before), (3, 3));
    // 50 a second for both, 50 at once.
    let before = std::time::Instant::now();
    for n in 0..120 {
        clients[n % 2].publish("u", b"x", 1, false).await;
    }
    let took = before.elapsed();
    assert!(took >= std::time::Duration::from_millis(1_300), "{took:?}");
    let mut other = login("grafana", "looks on", "6", false).await.0;
    let before = std::time::Instant::now();
    for n in 0..40 {
        other.publish(&format!("v/{}", n % 3), b"x", 1, true).await;
    }
    assert!(
        before.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(broker.handle.figures().refused.of(Refusal::Retain), 3);
    broker.stop().await;
}

/// A client of mosquitto; `None`, with a printed reason, where it is not installed.
async fn mosquitto(broker: &Broker, program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let port = broker.addr().port().to_string();
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &port, "-u", "ann", "-P", "right", "-i", "c1"]);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    match timeout(PATIENCE, command.output()).await.unwrap() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            step_aside(&format!(
                "{program} is not installed (Debian package mosquitto-clients)"
            ));
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

#[tokio::test]
async fn mosquittos_clients_live_by_a_list_in_mosquittos_syntax() {
    let acl = "user ann\ntopic read shown/#\ntopic deny shown/secret\npattern readwrite home/%u/%c\n\
               user grafana\ntopic readwrite #\n";
    let (broker, _folder) = broker(acl, Limits::default()).await;
    let mut all = Raw::plain(broker.addr(), 5).await;
    let login = Hello {
        id: "all",
        login: Some(("grafana", "looks on")),
        ..Hello::default()
    };
    assert_eq!(all.hello(login).await, Some(0));
    assert_eq!(all.subscribe("#", 1).await, 1);
    for topic in ["shown/secret", "hidden", "shown/x", "shown/y"] {
        all.publish(topic, topic.as_bytes(), 1, true).await;
        all.topics_until(topic).await;
    }
    for version in ["mqttv311", "mqttv5"] {
        let publish = async |topic: &str| {
            mosquitto(
                &broker,
                "mosquitto_pub",
                &["-V", version, "-q", "1", "-t", topic, "-m", "x"],
            )
            .await
        };
        let Some((sent, said)) = publish("home/ann/c1").await else {
            return;
        };
        assert!(sent, "{said}");
        let (_, said) = publish("home/ann/c2").await.unwrap();
        // Version 3.1.1 cannot say it.
        assert_eq!(said.contains("uthoriz"), version == "mqttv5", "{said}");
        publish("shown/x").await.unwrap();
        publish("home/ann/c1").await.unwrap();
        let topics = all.topics_until("home/ann/c1").await;
        assert_eq!(topics, ["home/ann/c1"], "{version}");
        assert_eq!(all.topics_until("home/ann/c1").await, ["home/ann/c1"], "{version}");

        let subscribe = ["-V", version, "-q", "1", "-t", "#", "-C", "2", "-W", "20", "-v"];
        let (_, said) = mosquitto(&broker, "mosquitto_sub", &subscribe).await.unwrap();
        assert_eq!(said, "shown/x shown/x\nshown/y shown/y\n", "{version}");
        let refused = ["-V", version, "-t", "hidden", "-W", "20"];
        let (_, said) = mosquitto(&broker, "mosquitto_sub", &refused).await.unwrap();
        assert!(said.contains("denied"), "{version} {said}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn lists_that_are_of_no_use_are_told_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("acl");
    fs::write(&list, "topic a\nuser\ntopic all b\n").unwrap();
    let config = Config {
        access: Access {
            acl: Some(list),
            ..Access::default()
        },
        listen: "127.0.0.1:0".parse().unwrap(),
        ..Config::default()
    };
    let Err(error) = broker::start(config, runtime::Shutdown::new()).await else {
        panic!("it starts")
    };
    let error = error.to_string();
    assert!(error.contains("acl:2: ") && error.contains("acl:3: "), "{error}");
}

#[tokio::test]
async fn a_person_looks_on_at_the_lab_stack() {
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/compose");
    let mut config: Config = runtime::config::load(&stack.join("broker.toml")).unwrap();
    // Its files lie elsewhere here, and its certificates are made at its first start (`deploy/images/test` is with these). This
    // machine's clients are to log in as those of other containers do.
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.access.passwords = Some(stack.join("passwords"));
    assert_eq!(config.access.anonymous, Anonymous::Nothing);
    (config.data, config.tls) = (None, None);
    let broker = Broker::listen(config).await;
    let (mut lab, code) = hello(&broker, 4, "lab", "foreshadow-lab").await;
    assert_eq!(code, Some(0));
    assert_eq!(lab.subscribe("foreshadow/+/+/status/#", 1).await, 1);
    assert_eq!(lab.subscribe("foreshadow/+/+/bin/+/delta", 1).await, 0x80);
    broker.stop().await;
}
