//! Encryption at the port: who gets in, who does not, and that nobody keeps others out.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use broker::{BrokerError, Config, Limits};
use bus::{Backoff, Event, Qos};
use runtime::{Shutdown, Span};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, ProtocolVersion, RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        version,
    },
};

use crate::{
    harness::{Broker, PATIENCE, connect_packet},
    pki::Authority,
};

async fn secured(authority: &Authority) -> Broker {
    authority.issue("broker", 1, &[]);
    with(authority.broker()).await
}

/// Every name may do everything: here the question is who gets in.
async fn with(tls: broker::Tls) -> Broker {
    let acl = tls.certificate.with_file_name("acl");
    std::fs::write(&acl, "pattern t/#\n").unwrap();
    Broker::listen(Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: Some(tls),
        access: broker::Access {
            acl: Some(acl),
            ..broker::Access::default()
        },
        limits: Limits {
            connect_timeout: Span::from_secs(2),
            ..Limits::default()
        },
        ..Config::default()
    })
    .await
}

fn config(broker: &Broker, id: &str, tls: bus::Tls) -> bus::Config {
    let port = broker.addr().port();
    bus::Config {
        backoff: Backoff::new(Duration::from_millis(20), Duration::from_millis(50)),
        subscriptions: vec![("t/#".to_owned(), Qos::AtLeastOnce)],
        ..bus::Config::at(
            bus::Broker {
                tls: Some(tls),
                ..bus::Broker::new("127.0.0.1", port)
            },
            id,
        )
    }
}

/// The first that happens.
async fn first(config: bus::Config) -> Event {
    let (_client, mut events) = bus::connect(config);
    timeout(PATIENCE, events.recv()).await.unwrap().unwrap()
}

/// Why it is not let in.
async fn refused(config: bus::Config) -> String {
    match first(config).await {
        Event::Disconnected { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_shows_a_certificate_gets_in_and_large_messages_pass() {
    let authority = Authority::new();
    authority.issue("web-1", 2, &[]);
    let broker = secured(&authority).await;
    let (client, mut events) = bus::connect(config(&broker, "a", authority.client("web-1")));
    assert_eq!(timeout(PATIENCE, events.recv()).await.unwrap(), Some(Event::Connected));
    for size in [10, 100_000, 4 * 1024 * 1024] {
        client
            .publish("t/x", vec![7; size], Qos::AtLeastOnce, false)
            .await
            .unwrap();
        match timeout(PATIENCE, events.recv()).await.unwrap() {
            Some(Event::Message { payload, .. }) => assert_eq!(payload.len(), size),
            other => panic!("{other:?}"),
        }
    }
    assert!(client.disconnect(PATIENCE).await);
    broker.stop().await;
}

#[tokio::test]
async fn who_shows_none_or_a_foreign_one_does_not_get_in_and_trusts_no_foreign_broker() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    foreign.issue("web-1", 2, &[]);
    authority.issue("web-1", 2, &[]);
    let broker = secured(&authority).await;
    let none = bus::Tls {
        certificate: None,
        key: None,
        ..authority.client("web-1")
    };
    let forged = bus::Tls {
        ca: authority.file("ca.pem"),
        ..foreign.client("web-1")
    };
    let suspicious = bus::Tls {
        ca: foreign.file("ca.pem"),
        ..authority.client("web-1")
    };
    let named = |name: &str| bus::Tls {
        server_name: Some(name.to_owned()),
        ..authority.client("web-1")
    };
    for (why, tls) in [
        ("CertificateRequired", none),
        ("DecryptError", forged),
        ("BadSignature", suspicious),
        ("not valid for name", named("elsewhere")),
    ] {
        let reason = refused(config(&broker, "a", tls)).await;
        assert!(reason.contains(why), "{why}: {reason}");
    }
    assert_eq!(first(config(&broker, "a", named("broker"))).await, Event::Connected);
    broker.stop().await;
}

#[tokio::test]
async fn revoked_certificates_are_refused() {
    let authority = Authority::new();
    authority.issue("broker", 1, &[]);
    authority.issue("good", 2, &[]);
    authority.issue("stolen", 3, &[]);
    authority.revoke(&[3]);
    let tls = broker::Tls {
        crl: Some(authority.file("crl.pem")),
        ..authority.broker()
    };
    let broker = with(tls).await;
    assert_eq!(
        first(config(&broker, "good", authority.client("good"))).await,
        Event::Connected
    );
    let reason = refused(config(&broker, "stolen", authority.client("stolen"))).await;
    assert!(reason.contains("CertificateRevoked"), "{reason}");
    broker.stop().await;
}

#[tokio::test]
async fn tls_1_2_is_spoken_with_who_speaks_no_newer_one() {
    let authority = Authority::new();
    authority.issue("web-1", 2, &[]);
    let broker = secured(&authority).await;
    let read = |name: &str| std::fs::read(authority.file(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&read("ca.pem")).unwrap())
        .unwrap();
    let chain = vec![CertificateDer::from_pem_slice(&read("web-1.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(&read("web-1.key")).unwrap();
    for (offered, spoken) in [
        (&[&version::TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&version::TLS12, &version::TLS13], ProtocolVersion::TLSv1_3),
    ] {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(offered)
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .unwrap();
        let stream = TcpStream::connect(broker.addr()).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(std::sync::Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken));
        stream.write_all(&connect_packet(4, "a", 10)).await.unwrap();
        let mut answer = [0; 4];
        timeout(PATIENCE, stream.read_exact(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer, [0x20, 2, 0, 0]);
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_broker_whose_certificate_was_revoked_is_not_believed() {
    let authority = Authority::new();
    authority.issue("web-1", 2, &[]);
    let broker = secured(&authority).await;
    let with_list = || bus::Tls {
        crl: Some(authority.file("crl.pem")),
        ..authority.client("web-1")
    };
    let reason = async |tls| refused(config(&broker, "a", tls)).await;
    let no_list = reason(with_list()).await;
    assert!(
        no_list.contains("crl.pem"),
        "a list that is not there is told: {no_list}"
    );
    authority.revoke(&[99]);
    assert_eq!(first(config(&broker, "a", with_list())).await, Event::Connected);
    // Stolen with its key: whoever has it cannot be the broker for long.
    authority.revoke(&[1]);
    let revoked = reason(with_list()).await;
    assert!(revoked.contains("Revoked"), "{revoked}");
    broker.stop().await;
}

#[tokio::test]
async fn a_client_whose_certificate_is_not_there_yet_comes_in_once_it_is() {
    let authority = Authority::new();
    let broker = secured(&authority).await;
    // Not there yet: told, tried again, and found.
    let (_client, mut events) = bus::connect(config(&broker, "late", authority.client("late")));
    let event = timeout(PATIENCE, events.recv()).await.unwrap();
    assert!(
        matches!(&event, Some(Event::Disconnected { reason }) if reason.contains("late.")),
        "{event:?}"
    );
    authority.issue("late", 9, &[]);
    assert_eq!(timeout(PATIENCE, events.recv()).await.unwrap(), Some(Event::Connected));
    broker.stop().await;
}

#[tokio::test]
async fn silence_instead_of_a_handshake_blocks_nobody_and_ends() {
    let authority = Authority::new();
    authority.issue("web-1", 2, &[]);
    let broker = secured(&authority).await;
    let mut silent = TcpStream::connect(broker.addr()).await.unwrap();
    assert_eq!(
        first(config(&broker, "a", authority.client("web-1"))).await,
        Event::Connected
    );
    let mut byte = [0];
    let read = timeout(PATIENCE, silent.read(&mut byte)).await.unwrap().unwrap();
    assert_eq!(read, 0, "closed without an answer");
    broker.stop().await;
}

#[tokio::test]
async fn files_that_are_of_no_use_are_named() {
    let authority = Authority::new();
    authority.issue("broker", 1, &[]);
    let start = async |tls: broker::Tls| {
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Some(tls),
            ..Config::default()
        };
        let Err(BrokerError::Tls(error)) = broker::start(config, Shutdown::new()).await else {
            panic!("it starts")
        };
        error.to_string()
    };
    let missing = broker::Tls {
        key: authority.file("none.key"),
        ..authority.broker()
    };
    assert!(start(missing).await.contains("none.key"));
    let mixed_up = broker::Tls {
        certificate: authority.file("broker.key"),
        ..authority.broker()
    };
    assert!(start(mixed_up).await.contains("broker.key"));
    // Whoever reads the key can be the broker to everybody.
    set_mode(&authority, "broker.key", 0o644);
    let open = start(authority.broker()).await;
    assert!(
        open.contains("broker.key") && open.contains("644") && open.contains("chmod 600"),
        "{open}"
    );
    set_mode(&authority, "broker.key", 0o640);
    with(authority.broker()).await.stop().await;
}

fn set_mode(authority: &Authority, name: &str, mode: u32) {
    std::fs::set_permissions(authority.file(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_client_shows_no_certificate_whose_key_others_may_read_and_comes_in_once_they_may_not() {
    let authority = Authority::new();
    authority.issue("web-1", 2, &[]);
    let broker = secured(&authority).await;
    set_mode(&authority, "web-1.key", 0o604);
    let (_client, mut events) = bus::connect(config(&broker, "a", authority.client("web-1")));
    match timeout(PATIENCE, events.recv()).await.unwrap() {
        Some(Event::Disconnected { reason }) => {
            assert!(reason.contains("web-1.key") && reason.contains("chmod 600"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    set_mode(&authority, "web-1.key", 0o600);
    loop {
        // Attempts that had begun meanwhile.
        match timeout(PATIENCE, events.recv()).await.unwrap() {
            Some(Event::Disconnected { reason }) => assert!(reason.contains("chmod 600"), "{reason}"),
            other => break assert_eq!(other, Some(Event::Connected)),
        }
    }
    broker.stop().await;
}

/// What an engine of images asks, of a broker that speaks TLS: the command, which has no certificate to show.
async fn healthy(authority: &Authority, broker: &str, tables: &str) -> Result<(), String> {
    let file = authority.file("broker.toml");
    std::fs::write(&file, format!("listen = \"{broker}\"\n{tables}")).unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_foreshadow-broker"));
    command.args(["healthy", "--config"]).arg(file);
    let ended = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    match ended.status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(String::from_utf8(ended.stderr).unwrap()),
        _ => panic!("{ended:?}"),
    }
}

#[tokio::test]
async fn a_broker_with_tls_is_healthy_while_it_answers_and_one_in_the_clear_is_not_what_was_asked_for() {
    let authority = Authority::new();
    let broker = secured(&authority).await;
    let tls = format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\nclient_ca = {:?}\n",
        authority.file("broker.pem"),
        authority.file("broker.key"),
        authority.file("ca.pem")
    );
    let at = broker.addr().to_string();
    healthy(&authority, &at, &tls).await.unwrap();
    assert_eq!(broker.handle.figures().clients_max, 0, "it is no client");
    let clear = Broker::start().await;
    let told = healthy(&authority, &clear.addr().to_string(), &tls).await.unwrap_err();
    assert!(told.contains("the broker does not answer"), "{told}");
    healthy(&authority, &clear.addr().to_string(), "").await.unwrap();
    clear.stop().await;
    broker.stop().await;
    let told = healthy(&authority, &at, &tls).await.unwrap_err();
    assert!(told.contains("the broker does not answer"), "{told}");
}
