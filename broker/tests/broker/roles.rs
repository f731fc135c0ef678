//! What certificates allow: over TLS, in both versions of MQTT.

use std::{collections::BTreeSet, time::Duration};

use broker::{Access, Anonymous, Config, Refusal};
use bus::Topics;
use trust::{access, name};

use crate::{
    harness::{Broker, connect_packet, step_aside},
    pki::Authority,
    raw::{Hello, Raw},
};

const LEVELS: [u8; 2] = [4, 5];
const NOT_AUTHORIZED: u8 = 0x87;

/// Certificates of two agents, a brain and a viewer, and one that is of no role.
fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("broker", 1, &["foreshadow:role/broker"]);
    let agent = "foreshadow:role/agent";
    authority.issue("a", 2, &[agent, "foreshadow:lab/a/inband", "foreshadow:lab/a/oob"]);
    authority.issue("b", 3, &[agent, "foreshadow:lab/b/inband"]);
    authority.issue("brain", 4, &["foreshadow:role/brain", "foreshadow:lab/_brain"]);
    authority.issue("viewer", 5, &["foreshadow:role/viewer"]);
    authority.issue("guest", 6, &[]);
    authority
}

async fn secured(authority: &Authority, access: Access) -> Broker {
    Broker::listen(Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: Some(authority.broker()),
        access,
        ..Config::default()
    })
    .await
}

async fn client(broker: &Broker, authority: &Authority, name: &str, level: u8) -> Raw {
    let raw = Raw::tls(broker.addr(), &authority.client(name), level).await.unwrap();
    raw.enter(&format!("{name}-{level}")).await
}

/// What the refusal of a message is answered with.
const fn refused(level: u8) -> u8 {
    if level == 5 { NOT_AUTHORIZED } else { 0 }
}

#[tokio::test]
async fn an_agent_speaks_for_its_own_hosts_alone() {
    let authority = authority();
    let broker = secured(&authority, Access::default()).await;
    let mut all = Raw::plain(broker.addr(), 4).await.enter("all").await;
    assert_eq!(all.subscribe("#", 0).await, 0);
    for level in LEVELS {
        let mut agent = client(&broker, &authority, "a", level).await;
        let before = broker.handle.figures().refused.of(Refusal::Publish);
        for (qos, topic) in [
            (1, "foreshadow/lab/b/bin/inband/delta"),
            (2, "foreshadow/lab/b/bin/inband/birth"),
            (1, "foreshadow/lab/a/bin/inband/command"),
            (1, "foreshadow/lab/a/bin/oob/watermark"),
            (1, "foreshadow/lab/a/view/status"),
            (2, "foreshadow/lab/_brain/status"),
            (1, "foreshadow/other/a/bin/inband/delta"),
            (1, "$SYS/broker/version"),
        ] {
            assert_eq!(
                agent.publish(topic, b"forged", qos, true).await,
                refused(level),
                "{topic}"
            );
        }
        agent
            .publish("foreshadow/lab/b/status/inband", b"forged", 0, false)
            .await;
        assert_eq!(agent.publish("foreshadow/lab/a/bin/oob/event", b"e", 2, false).await, 0);
        assert_eq!(agent.publish("foreshadow/lab/a/status/inband", b"s", 1, false).await, 0);
        assert_eq!(
            all.topics_until("foreshadow/lab/a/status/inband").await,
            ["foreshadow/lab/a/bin/oob/event", "foreshadow/lab/a/status/inband"]
        );
        assert_eq!(broker.handle.figures().refused.of(Refusal::Publish) - before, 9);

        let denied = if level == 5 { NOT_AUTHORIZED } else { 0x80 };
        for filter in [
            "foreshadow/lab/b/bin/inband/command",
            "foreshadow/lab/+/bin/+/delta",
            "foreshadow/lab/a/status/#",
            "$SYS/#",
        ] {
            assert_eq!(agent.subscribe(filter, 1).await, denied, "{filter}");
        }
        assert_eq!(agent.subscribe("foreshadow/lab/a/bin/inband/command", 1).await, 1);
        assert_eq!(agent.subscribe("foreshadow/lab/+/bin/+/watermark", 1).await, 1);
        for host in ["b", "a"] {
            let topic = format!("foreshadow/lab/{host}/bin/inband/watermark");
            all.publish(&topic, b"w", 1, false).await;
        }
        let own = "foreshadow/lab/a/bin/inband/watermark";
        assert_eq!(agent.topics_until(own).await, [own], "not that of b");
        assert_eq!(all.topics_until(own).await.len(), 2);
    }
    broker.stop().await;
}

#[tokio::test]
async fn an_agent_has_few_connections_and_shares_nothing() {
    let authority = authority();
    let broker = secured(&authority, Access::default()).await;
    let mut agents = Vec::new();
    for (n, code) in (0..12).map(|n| (n, if n < 10 { 0 } else { 0x97 })) {
        let mut raw = Raw::tls(broker.addr(), &authority.client("a"), 5).await.unwrap();
        let id = &*n.to_string();
        assert_eq!(raw.hello(Hello { id, ..Hello::default() }).await, Some(code), "{n}");
        agents.push(raw);
    }
    assert_eq!(broker.handle.figures().refused.of(Refusal::Name), 2);
    let own = "foreshadow/lab/a/bin/inband/watermark";
    let refused = broker.handle.figures().refused.of(Refusal::Subscribe);
    for n in 0..20 {
        let group = format!("$share/{n}/{own}");
        assert_eq!(agents[0].subscribe(&group, 1).await, NOT_AUTHORIZED);
    }
    assert_eq!(broker.handle.figures().refused.of(Refusal::Subscribe), refused + 20);
    assert_eq!(agents[0].subscribe(own, 1).await, 1);
    // A viewer may share, and have more connections.
    let mut viewers = Vec::new();
    for n in 0..12 {
        let raw = Raw::tls(broker.addr(), &authority.client("viewer"), 5).await.unwrap();
        viewers.push(raw.enter(&n.to_string()).await);
    }
    assert_eq!(viewers[0].subscribe("$share/g/foreshadow/+/+/status/+", 1).await, 1);
    broker.stop().await;
}

#[tokio::test]
async fn only_the_brain_commands_and_it_speaks_for_no_host() {
    let authority = authority();
    let broker = secured(&authority, Access::default()).await;
    for level in LEVELS {
        let mut brain = client(&broker, &authority, "brain", level).await;
        for filter in ["foreshadow/lab/+/bin/+/delta", "foreshadow/lab/+/status/+"] {
            assert_eq!(brain.subscribe(filter, 1).await, 1, "{filter}");
        }
        assert!(brain.subscribe("foreshadow/other/+/bin/+/delta", 1).await >= 0x80);
        for topic in [
            "foreshadow/lab/a/bin/inband/command",
            "foreshadow/lab/a/bin/inband/watermark",
            "foreshadow/lab/a/view/forecast/cpu/5m",
            "foreshadow/lab/_brain/status",
            "foreshadow/lab/_brain/view/pool",
        ] {
            assert_eq!(brain.publish(topic, b"x", 1, false).await, 0, "{topic}");
        }
        assert_eq!(
            broker.handle.figures().refused.of(Refusal::Publish),
            u64::from(level == 5) * 2
        );
        for topic in [
            "foreshadow/lab/a/bin/inband/delta",
            "foreshadow/other/a/bin/inband/command",
        ] {
            assert_eq!(brain.publish(topic, b"x", 1, false).await, refused(level), "{topic}");
        }
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_viewer_that_asks_for_all_sees_what_is_for_people() {
    let authority = authority();
    let broker = secured(&authority, Access::default()).await;
    let mut all = Raw::plain(broker.addr(), 4).await.enter("all").await;
    let hidden = [
        "foreshadow/lab/a/bin/inband/birth",
        "foreshadow/lab/a/bin/inband/delta",
        "elsewhere",
    ];
    let shown = [
        "foreshadow/lab/_brain/status",
        "foreshadow/lab/a/status/inband",
        "foreshadow/lab/a/view/cpu",
    ];
    for topic in hidden.iter().chain(&shown) {
        all.publish(topic, b"retained", 1, true).await;
    }
    for level in LEVELS {
        let mut viewer = client(&broker, &authority, "viewer", level).await;
        assert_eq!(viewer.subscribe("#", 1).await, 1);
        let retained = viewer.topics_until("foreshadow/lab/a/view/cpu").await;
        assert_eq!(
            retained.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            BTreeSet::from(shown)
        );
        for topic in hidden.iter().chain(&shown) {
            all.publish(topic, b"live", 1, true).await;
        }
        assert_eq!(viewer.topics_until("foreshadow/lab/a/view/cpu").await, shown);

        assert_eq!(viewer.subscribe("$SYS/#", 0).await, 0);
        viewer.topics_until("$SYS/broker/version").await;
        assert!(viewer.subscribe("foreshadow/lab/a/bin/#", 0).await >= 0x80);
        assert_eq!(
            viewer.publish("foreshadow/lab/a/view/cpu", b"x", 1, true).await,
            refused(level)
        );
    }
    // Who is of no role has nothing; who has no certificate is not even asked, except on this machine.
    let mut guest = client(&broker, &authority, "guest", 5).await;
    assert_eq!(guest.subscribe("#", 0).await, NOT_AUTHORIZED);
    assert_eq!(guest.publish("x", b"", 1, false).await, NOT_AUTHORIZED);
    broker.stop().await;
}

#[tokio::test]
async fn a_will_needs_the_same_permission() {
    let authority = authority();
    let broker = secured(&authority, Access::default()).await;
    for level in LEVELS {
        for (topic, own) in [
            ("foreshadow/lab/a/status/oob", true),
            ("foreshadow/lab/b/status/inband", false),
        ] {
            let mut raw = Raw::tls(broker.addr(), &authority.client("a"), level).await.unwrap();
            let hello = Hello {
                id: "w",
                will: Some(topic),
                ..Hello::default()
            };
            let denied = if level == 5 { NOT_AUTHORIZED } else { 5 };
            assert_eq!(raw.hello(hello).await, Some(if own { 0 } else { denied }), "{topic}");
        }
    }
    assert_eq!(broker.handle.figures().refused.of(Refusal::Will), 2);
    broker.stop().await;
}

#[tokio::test]
async fn clients_of_other_names_do_not_take_a_place_by_its_id() {
    let authority = authority();
    let broker = secured(&authority, Access::default()).await;
    let mut brain = Raw::tls(broker.addr(), &authority.client("brain"), 4)
        .await
        .unwrap()
        .enter("same")
        .await;
    let mut agent = Raw::tls(broker.addr(), &authority.client("a"), 4)
        .await
        .unwrap()
        .enter("same")
        .await;
    let mut nobody = Raw::plain(broker.addr(), 4).await.enter("same").await;
    brain.ping().await;
    agent.ping().await;
    nobody.ping().await;
    let mut again = Raw::tls(broker.addr(), &authority.client("brain"), 4)
        .await
        .unwrap()
        .enter("same")
        .await;
    brain.ended().await;
    again.ping().await;
    agent.ping().await;
    broker.stop().await;
}

#[tokio::test]
async fn nothing_weaker_is_taken_instead() {
    let authority = authority();
    let access = Access {
        anonymous: Anonymous::Nothing,
        ..Access::default()
    };
    let broker = secured(&authority, access).await;
    // In the clear, without a certificate, and with TLS 1.1 (its ClientHello: version 3.2 in record and handshake).
    for (level, code) in [(4, 5), (5, NOT_AUTHORIZED)] {
        let hello = Hello {
            id: "x",
            ..Hello::default()
        };
        assert_eq!(Raw::plain(broker.addr(), level).await.hello(hello).await, Some(code));
    }
    let none = bus::Tls {
        certificate: None,
        key: None,
        ..authority.client("a")
    };
    // With TLS 1.3 a client learns by its first read that it was refused.
    if let Ok(mut raw) = Raw::tls(broker.addr(), &none, 4).await {
        assert_eq!(
            raw.hello(Hello {
                id: "x",
                ..Hello::default()
            })
            .await,
            None
        );
    }
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let answer = crate::harness::exchange_raw(broker.addr(), &hello).await;
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
    assert_eq!(broker.handle.figures().clients, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let authority = authority();
    // Long enough to come in on a busy machine.
    let short = Duration::from_secs(10);
    authority.issue_for("short", 9, &["foreshadow:role/viewer"], short);
    let broker = secured(&authority, Access::default()).await;
    let mut viewer = client(&broker, &authority, "viewer", 5).await;
    let mut short = client(&broker, &authority, "short", 5).await;
    short.ping().await;
    assert_eq!(short.ended().await, Some(NOT_AUTHORIZED));
    viewer.ping().await;
    broker.stop().await;
}

/// Where this machine has an address that is not loopback: there, neither words in the clear nor silence about who one is
/// are taken.
#[tokio::test]
async fn from_elsewhere_nothing_goes_in_the_clear_or_without_a_name() {
    let outward = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        // Nothing is sent: the system tells by which address it would go.
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let Some(outward) = outward
        .ok()
        .filter(|addr| !addr.ip().is_loopback() && !addr.ip().is_unspecified())
    else {
        return step_aside("this machine has no address but loopback");
    };
    let authority = authority();
    for tls in [Some(authority.broker()), None] {
        let encrypted = tls.is_some();
        let broker = Broker::listen(Config {
            listen: (outward.ip(), 0).into(),
            tls,
            ..Config::default()
        })
        .await;
        let answer = crate::harness::exchange_raw(broker.addr(), &connect_packet(4, "x", 10)).await;
        let expected: &[u8] = if encrypted { &[] } else { &[0x20, 2, 0, 5] };
        assert_eq!(answer, expected, "TLS: {encrypted}");
        assert_eq!(broker.handle.figures().clients, 0);
        broker.stop().await;
    }
}

/// The rules of the roles and the topics of the bus are told in two places; they must not drift apart.
#[test]
fn the_rules_are_those_of_the_topics() {
    let topics = Topics::new("site/foreshadow", "lab").unwrap();
    let host = "web-1";
    let stream = name::Stream {
        cell: "lab".to_owned(),
        host: host.to_owned(),
        vantage: "oob".parse().unwrap(),
    };
    let vantage = stream.vantage;
    let filters = |rules: Vec<access::Rule>, wanted: access::Access| -> BTreeSet<String> {
        rules
            .into_iter()
            .filter(|rule| rule.access == wanted)
            .map(|rule| rule.filter)
            // Sparkplug has topics of its own, which the brain compares.
            .filter(|filter| !filter.starts_with("spBv1.0/"))
            .collect()
    };
    let set = |filters: &[String]| filters.iter().cloned().collect::<BTreeSet<_>>();
    let (read, write) = (access::Access::Read, access::Access::Write);
    let agent = || access::agent("site/foreshadow", &stream);
    let told = [
        topics.birth(host, vantage),
        topics.delta(host, vantage),
        topics.event(host, vantage),
        topics.hole(host, vantage),
        topics.outcome(host, vantage),
        topics.status(host, vantage),
    ];
    assert_eq!(filters(agent(), write), set(&told));
    let is_told = [topics.watermark(host, vantage), topics.command(host, vantage)];
    assert_eq!(filters(agent(), read), set(&is_told));

    let brain = || access::brain("site/foreshadow", "lab");
    let subscribed = [
        topics.births(),
        topics.deltas(),
        topics.events(),
        topics.holes(),
        topics.outcomes(),
        topics.statuses(),
    ];
    assert_eq!(filters(brain(), read), set(&subscribed));
    let writes = filters(brain(), write);
    let matched = |topic: &str, filters: &BTreeSet<String>| filters.iter().any(|f| rumqttc::matches(topic, f));
    for topic in is_told.iter().chain(&[
        topics.view(host, "forecast/cpu/5m"),
        topics.brain_status(),
        topics.brain_view("pool"),
    ]) {
        assert!(matched(topic, &writes), "{topic}");
    }
    let looks_on = filters(access::viewer("site/foreshadow", "lab"), read);
    for topic in [
        topics.status(host, vantage),
        topics.view(host, "cpu"),
        topics.brain_status(),
        topics.brain_view("pool"),
    ] {
        assert!(matched(&topic, &looks_on), "{topic}");
    }
    for topic in told.iter().take(5).chain(&is_told) {
        assert!(!matched(topic, &looks_on), "{topic}");
        assert_eq!(is_told.contains(topic), matched(topic, &writes), "{topic}");
    }
}
