//! mosquitto's own clients against this broker.

use std::{
    io,
    process::{Output, Stdio},
};

use rumqttc::QoS;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::harness::{Broker, PATIENCE, step_aside};

/// Runs a client of mosquitto; `None`, with a printed reason, where it is not installed.
async fn run(broker: &Broker, program: &str, arguments: &[&str]) -> Option<Output> {
    let port = broker.addr().port().to_string();
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &port]).args(arguments);
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(PATIENCE, command.output())
        .await
        .expect("mosquitto's client does not end")
    {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            step_aside(&format!(
                "{program} is not installed (Debian package mosquitto-clients)"
            ));
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[tokio::test]
async fn what_it_publishes_arrives_at_each_qos_and_version() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client("subscriber").await;
    subscriber.subscribe("m/#", QoS::ExactlyOnce).await;
    for version in ["mqttv311", "mqttv5"] {
        for (qos, expected) in [("0", QoS::AtMostOnce), ("1", QoS::AtLeastOnce), ("2", QoS::ExactlyOnce)] {
            // What version 5 adds must not reach a subscriber of 3.1.1.
            let property = [
                "-D",
                "publish",
                "user-property",
                "k",
                "v",
                "-D",
                "publish",
                "content-type",
                "text",
            ];
            let property = if version == "mqttv5" { &property[..] } else { &[] };
            let arguments = [&["-V", version, "-q", qos, "-t", "m/t", "-m", "hello"][..], property].concat();
            let Some(output) = run(&broker, "mosquitto_pub", &arguments).await else {
                return;
            };
            assert!(output.status.success(), "{version} {qos}: {output:?}");
            let message = subscriber.message().await;
            assert_eq!(
                message,
                ("m/t".to_owned(), "hello".to_owned(), false, expected),
                "{version} {qos}"
            );
        }
    }
    broker.stop().await;
}

#[tokio::test]
async fn it_gets_retained_messages_and_the_sys_tree() {
    let broker = Broker::start().await;
    let mut publisher = broker.client("publisher").await;
    for n in 0..350 {
        publisher
            .publish(&format!("r/{n}"), n.to_string(), QoS::AtMostOnce, true)
            .await;
    }
    publisher.publish_surely("r/last", "350", true).await;
    for version in ["mqttv311", "mqttv5"] {
        let arguments = ["-V", version, "-q", "1", "-t", "r/#", "-v", "-C", "351", "-W", "20"];
        let Some(output) = run(&broker, "mosquitto_sub", &arguments).await else {
            return;
        };
        assert_eq!(text(&output).lines().count(), 351, "{version}: {output:?}");
        assert!(text(&output).lines().any(|line| line == "r/349 349"), "{version}");

        // Twice the tree, so that it was told again since.
        let arguments = ["-V", version, "-t", "$SYS/#", "-v", "-C", "66", "-W", "20"];
        let output = run(&broker, "mosquitto_sub", &arguments).await.unwrap();
        assert!(
            text(&output).contains("$SYS/broker/retained messages/count 3"),
            "{version}: {output:?}"
        );
    }
    broker.stop().await;
}

#[tokio::test]
async fn its_will_is_published_when_it_is_killed() {
    for version in ["mqttv311", "mqttv5"] {
        let broker = Broker::start().await;
        let mut watcher = broker.client("watcher").await;
        watcher.subscribe("w", QoS::AtMostOnce).await;
        let arguments = ["-V", version, "-t", "x", "--will-topic", "w", "--will-payload", version];
        let Some(mut child) = subscribed(&broker, &arguments, 2).await else {
            return;
        };
        child.kill().await.unwrap();
        assert_eq!(watcher.message().await.1, version);
        broker.stop().await;
    }
}

/// Of two with one id the older one is sent away: with 5 it is told why and ends, with 3.1.1 it comes back by itself.
#[tokio::test]
async fn a_newer_one_of_its_id_takes_over_and_leaves_no_will() {
    for version in ["mqttv311", "mqttv5"] {
        let broker = Broker::start().await;
        let mut watcher = broker.client("watcher").await;
        watcher.subscribe("w", QoS::AtMostOnce).await;
        let will = ["--will-topic", "w", "--will-payload", "gone"];
        let first = [&["-V", version, "-i", "same", "-t", "x"][..], &will].concat();
        let Some(mut older) = subscribed(&broker, &first, 2).await else {
            return;
        };
        let newer = ["-V", version, "-i", "same", "-q", "1", "-t", "w", "-m", "newer"];
        let output = run(&broker, "mosquitto_pub", &newer).await.unwrap();
        assert!(output.status.success(), "{version}: {output:?}");
        assert_eq!(watcher.message().await.1, "newer", "{version}: and no will before");
        if version == "mqttv5" {
            timeout(PATIENCE, older.wait()).await.expect("it goes on").unwrap();
            watcher.publish_surely("w", "last", false).await;
            assert_eq!(watcher.message().await.1, "last", "nor a will after");
        } else {
            broker
                .until("the older one is back", |figures| figures.subscriptions >= 2)
                .await;
            older.kill().await.unwrap();
            assert_eq!(watcher.message().await.1, "gone", "its will of now");
        }
        broker.stop().await;
    }
}

/// A subscriber of mosquitto that has subscribed to `filters`; `None`, with a printed reason, where it is not installed.
async fn subscribed(broker: &Broker, arguments: &[&str], filters: usize) -> Option<Child> {
    let port = broker.addr().port().to_string();
    let mut command = Command::new("mosquitto_sub");
    command
        .args(["-h", "127.0.0.1", "-p", &port, "-W", "20"])
        .args(arguments);
    command.stdout(Stdio::piped()).kill_on_drop(true);
    let Ok(child) = command.spawn() else {
        step_aside("mosquitto_sub is not installed (Debian package mosquitto-clients)");
        return None;
    };
    broker
        .until("subscribed", |figures| figures.subscriptions >= filters as u64)
        .await;
    Some(child)
}

async fn printed(child: Child) -> String {
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    text(&output).to_owned()
}

#[tokio::test]
async fn overlapping_filters_give_a_message_once_and_large_ones_pass() {
    for version in ["mqttv311", "mqttv5"] {
        let broker = Broker::start().await;
        let arguments = [
            "-V", version, "-q", "2", "-t", "a/#", "-t", "a/+", "-t", "+/b", "-C", "2", "-F", "%q %t %l",
        ];
        let Some(subscriber) = subscribed(&broker, &arguments, 3).await else {
            return;
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b'x'; 1 << 20]).unwrap();
        let path = file.path().to_str().unwrap();
        for topic in ["a/b", "a/end"] {
            let arguments = ["-V", version, "-q", "2", "-t", topic, "-f", path];
            assert!(
                run(&broker, "mosquitto_pub", &arguments)
                    .await
                    .unwrap()
                    .status
                    .success()
            );
        }
        assert_eq!(
            printed(subscriber).await,
            "2 a/b 1048576\n2 a/end 1048576\n",
            "{version}"
        );
        broker.stop().await;
    }
}

#[tokio::test]
async fn its_session_lasts_and_keeps_what_comes_meanwhile() {
    for version in ["mqttv311", "mqttv5"] {
        let broker = Broker::start().await;
        let lasting: &[&str] = if version == "mqttv5" { &["-x", "60"] } else { &[] };
        let keep = [&["-V", version, "-i", "keep", "-c", "-q", "2", "-t", "p"], lasting].concat();
        let Some(output) = run(&broker, "mosquitto_sub", &[&keep[..], &["-E"]].concat()).await else {
            return;
        };
        assert!(output.status.success(), "{version}: {output:?}");
        for (qos, message) in [("2", "one"), ("2", "two"), ("2", "three")] {
            let arguments = ["-V", version, "-q", qos, "-t", "p", "-m", message];
            assert!(
                run(&broker, "mosquitto_pub", &arguments)
                    .await
                    .unwrap()
                    .status
                    .success()
            );
        }
        let output = run(
            &broker,
            "mosquitto_sub",
            &[&keep[..], &["-C", "3", "-W", "20"]].concat(),
        )
        .await;
        assert_eq!(text(&output.unwrap()), "one\ntwo\nthree\n", "{version}");
        broker.stop().await;
    }
}
