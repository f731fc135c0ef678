//! Attacks from one address, and what a client at another notices of them.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use broker::{Access, Anonymous, Config, Limits, Refusal};
use runtime::Span;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::{
    harness::{Broker, PATIENCE, connect_packet},
    login::set_password,
    pki::Authority,
    raw::{Hello, Raw, connect_from},
};

/// Whose address the attacks come from: 127.0.0.2. Honest clients come from 127.0.0.1.
pub(crate) const ATTACKER: u8 = 2;

/// Somebody may do something here, but not everything: so addresses of this machine count like any other.
pub(crate) async fn guarded(limits: Limits) -> (Broker, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (acl, passwords) = (folder.path().join("acl"), folder.path().join("passwords"));
    fs::write(&acl, "topic readwrite #\nuser ann\ntopic readwrite #\n").unwrap();
    set_password(&passwords, "ann", "right").await;
    let authority = Authority::new();
    authority.issue("broker", 1, &[]);
    fs::copy(authority.file("ca.pem"), folder.path().join("ca.pem")).unwrap();
    let tls = broker::Tls {
        require_client_certificate: false,
        ..authority.broker()
    };
    let broker = Broker::listen(Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: Some(tls),
        access: Access {
            anonymous: Anonymous::Listed,
            passwords: Some(passwords),
            acl: Some(acl),
            ..Access::default()
        },
        limits,
        ..Config::default()
    })
    .await;
    (broker, folder)
}

/// The side of a client that shows no certificate.
fn without_certificate(folder: &TempDir) -> bus::Tls {
    bus::Tls {
        ca: folder.path().join("ca.pem"),
        crl: None,
        certificate: None,
        key: None,
        server_name: None,
    }
}

/// What is waited for beside the attacker's: cores that the attackers take themselves, who are in this process.
const SLACK: Duration = Duration::from_millis(100);
const SLACK_OF_FLOODS: Duration = Duration::from_secs(1);

/// What an honest client does, come in, publish, and have it back, while `attack` goes on; and the same without it before.
async fn serve_others_during(
    broker: &Broker,
    (name, slack, tls): (&str, Duration, Option<&bus::Tls>),
    attack: impl Future<Output = ()> + Send + 'static,
) {
    let calm = serve_others_by(broker, "nothing", tls).await;
    let attack = tokio::spawn(attack);
    sleep(Duration::from_millis(200)).await;
    let attacked = serve_others_by(broker, &format!("while {name} go on"), tls).await;
    assert!(!attack.is_finished(), "{name}: they have ended");
    attack.abort();
    // Both share two busy cores with the attackers.
    let most = 50 * calm + slack;
    assert!(attacked < most, "{name}: {attacked:?}, {calm:?} without");
}

/// Does the same again and again, `n` at a time.
async fn again_and_again<F: Future<Output = ()> + Send + 'static>(n: usize, attack: impl Fn(usize) -> F) {
    let mut attackers = JoinSet::new();
    for i in 0..n {
        attackers.spawn(attack(i));
    }
    let mut next = n;
    while let Some(ended) = attackers.join_next().await {
        ended.unwrap();
        attackers.spawn(attack(next));
        next += 1;
    }
}

/// Times of what an honest client does: come in, publish, and have it back. Returns the median.
pub(crate) async fn serve_others(broker: &Broker, attack: &str) -> Duration {
    serve_others_by(broker, attack, None).await
}

/// The same, over TLS where that is given.
async fn serve_others_by(broker: &Broker, attack: &str, tls: Option<&bus::Tls>) -> Duration {
    const TIMES: usize = 50;
    let mut times = Vec::new();
    for n in 0..TIMES {
        let before = Instant::now();
        let honest = match tls {
            Some(tls) => Raw::tls(broker.addr(), tls, 4).await.unwrap(),
            None => Raw::plain(broker.addr(), 4).await,
        };
        let mut honest = honest.enter(&format!("honest-{n}")).await;
        assert_eq!(honest.subscribe("honest", 1).await, 1);
        honest.publish("honest", b"x", 1, false).await;
        honest.topics_until("honest").await;
        times.push(before.elapsed());
    }
    times.sort_unstable();
    let (median, worst) = (times[TIMES / 2], times[TIMES - 1]);
    let by = if tls.is_some() { " over TLS" } else { "" };
    println!("{attack}: others come in, publish and get{by} in {median:.1?} (median of {TIMES}), {worst:.1?} (worst)");
    assert!(worst < Duration::from_secs(5), "{attack}: {worst:?}");
    median
}

/// Opens connections that say `bytes` and no more, until the broker closes them at once.
async fn half_open(broker: &Broker, n: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..n {
        let mut stream = connect_from(ATTACKER, broker.addr()).await;
        // One that was closed already may be reset.
        drop(stream.write_all(bytes).await);
        all.push(stream);
    }
    all
}

#[tokio::test]
async fn half_handshakes_and_half_connects_keep_nobody_out() {
    let (broker, _folder) = guarded(Limits {
        max_connections: 100,
        ..Limits::default()
    })
    .await;
    // A TLS record that does not end, a CONNECT that does not, and silence.
    for (name, bytes) in [
        ("half handshakes", &[22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3][..]),
        ("half CONNECTs", &connect_packet(4, "slow", 10)[..9]),
        ("silence", &[]),
    ] {
        let before = broker.handle.figures().refused.of(Refusal::Address);
        let held = half_open(&broker, 300, bytes).await;
        serve_others(&broker, &format!("300 {name}")).await;
        let refused = broker.handle.figures().refused.of(Refusal::Address) - before;
        assert!(refused >= 250, "{name}: 50 of one address wait, {refused} were closed");
        drop(held);
    }
    broker.stop().await;
}

#[tokio::test]
async fn what_is_not_complete_in_time_ends() {
    let (broker, _folder) = guarded(Limits {
        connect_timeout: Span::from_secs(1),
        ..Limits::default()
    })
    .await;
    for bytes in [&[22, 3, 1, 1, 0][..], &[0x10, 100, 0], &[]] {
        let mut slow = connect_from(ATTACKER, broker.addr()).await;
        slow.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        timeout(PATIENCE, slow.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.is_empty());
    }
    assert_eq!(broker.handle.figures().refused.of(Refusal::Late), 3);
    broker.stop().await;
}

#[tokio::test]
async fn a_flood_of_connections_is_held_to_what_its_address_may_have() {
    let (broker, _folder) = guarded(Limits {
        max_connections_per_address: 20,
        ..Limits::default()
    })
    .await;
    let mut inside = Vec::new();
    for n in 0..20 {
        inside.push(
            Raw::from(ATTACKER, broker.addr(), 4)
                .await
                .enter(&format!("flood-{n}"))
                .await,
        );
    }
    let mut refused = half_open(&broker, 500, &connect_packet(4, "flood", 0)).await;
    serve_others(&broker, "20 connections and 500 more").await;
    let mut answer = Vec::new();
    drop(timeout(PATIENCE, refused[0].read_to_end(&mut answer)).await.unwrap());
    assert!(answer.is_empty(), "closed before anything was read");
    assert_eq!(broker.handle.figures().refused.of(Refusal::Address), 500);
    // A place is free once one has left.
    drop(inside.pop());
    loop {
        let mut again = Raw::from(ATTACKER, broker.addr(), 4).await;
        if again
            .hello(Hello {
                id: "again",
                ..Hello::default()
            })
            .await
            == Some(0)
        {
            break;
        }
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_waits_in_line() {
    let (broker, _folder) = guarded(Limits::default()).await;
    let attack = tokio::spawn({
        let addr = broker.addr();
        async move {
            let mut all = Vec::new();
            for n in 0..200 {
                let mut raw = Raw::from(ATTACKER, addr, 5).await;
                let body = [
                    &[0, 4, b'M', b'Q', b'T', b'T', 5, 0xc2, 0, 9, 0, 0, 1, b'x', 0, 3][..],
                    b"ann\0\x03bad",
                ]
                .concat();
                raw.send(0x10, &body).await;
                all.push((n, raw));
            }
            all
        }
    });
    let all = timeout(PATIENCE, attack).await.unwrap().unwrap();
    serve_others(&broker, "200 wrong passwords").await;
    // One with the right one stands in the same line and comes in.
    let before = Instant::now();
    let mut ann = Raw::plain(broker.addr(), 5).await;
    let hello = Hello {
        id: "ann",
        login: Some(("ann", "right")),
        ..Hello::default()
    };
    assert_eq!(ann.hello(hello).await, Some(0));
    assert!(broker.handle.figures().refused.of(Refusal::Busy) > 0);
    println!(
        "200 wrong passwords: the right one comes in after {:.1?}",
        before.elapsed()
    );
    drop(all);
    broker.stop().await;
}

#[tokio::test]
async fn huge_packets_are_refused_by_their_header() {
    let (broker, _folder) = guarded(Limits::default()).await;
    // 268,435,455 bytes are announced: as a first packet, and as a PUBLISH.
    let length = [0xff, 0xff, 0xff, 0x7f];
    let before = resident_kib();
    let mut connects = Vec::new();
    for _ in 0..40 {
        let mut first = Raw::from(ATTACKER, broker.addr(), 4).await;
        first.bytes(&[&[0x10][..], &length].concat()).await;
        connects.push(first);
    }
    for first in &mut connects {
        assert_eq!(first.ended().await, None);
    }
    for level in [4, 5] {
        for n in 0..20 {
            let mut raw = Raw::from(ATTACKER, broker.addr(), level)
                .await
                .enter(&format!("huge-{n}"))
                .await;
            raw.bytes(&[&[0x32][..], &length, b"\0\x01t\0\x01"].concat()).await;
            // PacketTooLarge, to who can be told.
            assert_eq!(raw.ended().await, (level == 5).then_some(0x95));
        }
    }
    let grown = resident_kib().saturating_sub(before);
    println!("80 packets of 256 MiB announced: {grown} KiB more resident");
    assert!(grown < 100_000, "{grown} KiB");
    assert!(broker.handle.figures().refused.of(Refusal::Packet) >= 80);
    serve_others(&broker, "packets of 256 MiB").await;
    broker.stop().await;
}

/// Memory of this process, broker and clients together.
pub(crate) fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_bomb_of_retained_messages_fills_its_bounds_and_no_more() {
    let (broker, _folder) = guarded(Limits {
        max_retained: 500,
        max_retained_bytes: 1_000_000,
        ..Limits::default()
    })
    .await;
    let mut bomber = Raw::from(ATTACKER, broker.addr(), 4).await.enter("bomber").await;
    for n in 0..2_000 {
        bomber.publish(&format!("bomb/{n}"), &[b'x'; 1_500], 1, true).await;
    }
    let retained = broker.handle.figures().retained;
    assert!(
        (500..=600).contains(&retained),
        "{retained}: at most 500 and the broker's own"
    );
    serve_others(&broker, "2,000 retained messages").await;
    broker.stop().await;
}

/// Whatever one address does, over and over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_served_while_an_attack_goes_on() {
    let (broker, _folder) = guarded(Limits {
        max_retained: 500,
        max_retained_bytes: 1_000_000,
        connect_timeout: Span::from_secs(2),
        ..Limits::default()
    })
    .await;
    let addr = broker.addr();
    let bomb = again_and_again(4, move |n| async move {
        let mut bomber = Raw::from(ATTACKER, addr, 4).await.enter(&format!("bomber-{n}")).await;
        for topic in 0..1_000 {
            bomber
                .publish(&format!("bomb/{n}/{topic}"), &[b'x'; 1_500], 1, true)
                .await;
        }
    });
    serve_others_during(&broker, ("bombs of retained messages", SLACK, None), bomb).await;
    assert!(broker.handle.figures().refused.of(Refusal::Retain) > 0);

    let huge = again_and_again(10, move |_| async move {
        let mut huge = Raw::from(ATTACKER, addr, 4).await;
        huge.bytes(&[0x10, 0xff, 0xff, 0xff, 0x7f]).await;
        assert_eq!(huge.ended().await, None);
    });
    serve_others_during(&broker, ("packets of 256 MiB", SLACK, None), huge).await;
    assert!(broker.handle.figures().refused.of(Refusal::Packet) > 0);

    let guesses = again_and_again(20, move |n| async move {
        let login = Some(("ann", "wrong"));
        let id = &*format!("guess-{n}");
        let hello = Hello {
            id,
            login,
            ..Hello::default()
        };
        assert_ne!(Raw::from(ATTACKER, addr, 5).await.hello(hello).await, Some(0));
    });
    serve_others_during(&broker, ("wrong passwords", SLACK, None), guesses).await;
    assert!(broker.handle.figures().refused.of(Refusal::Login) > 0);

    // A letter now and then, of a CONNECT that does not end in time.
    let loris = again_and_again(45, move |_| async move {
        let mut slow = connect_from(ATTACKER, addr).await;
        for byte in [0x10, 200, 1, 0, 4].into_iter().chain(std::iter::repeat(b'x')) {
            if slow.write_all(&[byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(40)).await;
        }
    });
    serve_others_during(&broker, ("slow CONNECTs", SLACK, None), loris).await;
    broker.stop().await;
}

/// Connections and handshakes without end, from one address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_served_while_connections_and_handshakes_flood() {
    let (broker, folder) = guarded(Limits::default()).await;
    let addr = broker.addr();
    // Held for a moment, so that as many are there as its address may have, and the others are turned away.
    let connections = again_and_again(100, move |_| async move {
        let mut stream = connect_from(ATTACKER, addr).await;
        let closed = timeout(Duration::from_millis(100), stream.read_u8()).await;
        drop(closed);
    });
    serve_others_during(&broker, ("connections", SLACK_OF_FLOODS, None), connections).await;
    assert!(broker.handle.figures().refused.of(Refusal::Address) > 0);

    // Each of them complete: the broker signs, and then nothing is said.
    let tls = without_certificate(&folder);
    let connector = TlsConnector::from(tls.client("127.0.0.1").unwrap());
    let made = Arc::new(AtomicUsize::new(0));
    let counted = made.clone();
    let handshakes = again_and_again(10, move |_| {
        let (connector, counted) = (connector.clone(), counted.clone());
        async move {
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let stream = connector.connect(name, connect_from(ATTACKER, addr).await).await;
            counted.fetch_add(usize::from(stream.is_ok()), Relaxed);
        }
    });
    serve_others_during(&broker, ("handshakes", SLACK_OF_FLOODS, Some(&tls)), handshakes).await;
    let made = made.load(Relaxed);
    println!("{made} handshakes meanwhile");
    assert!(made > 100, "{made} handshakes");
    broker.stop().await;
}
