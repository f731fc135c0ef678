//! The whole loop through mosquitto, with TLS, certificates of clients, and the access list that `pki acl` writes.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{
    fleet::Fleet,
    harness::{PATIENCE, Process, have, listens, until, write},
};

/// mosquitto with what `pki acl` has written for it, on loopback.
fn mosquitto(fleet: &Fleet) -> Process {
    let (port, folder) = (fleet.stack.port.to_string(), fleet.stack.path());
    let acl = write(folder, "acl", &fleet.pki(&["acl", "--for", "mosquitto"]));
    let config = fleet.pki(&["acl", "--for", "mosquitto", "--config", &acl, "--port", &port]);
    let config = config.replace(&format!("listener {port}"), &format!("listener {port} 127.0.0.1"));
    // Started by root it would become a user that may not read these files.
    let config = write(folder, "mosquitto.conf", &format!("{config}user root\n"));
    let broker = Process::start("mosquitto", &["-c", &config]);
    until("mosquitto listens", PATIENCE, || listens(fleet.stack.port));
    broker
}

/// `mosquitto_pub` or `mosquitto_sub` as the part `part`.
fn client(fleet: &Fleet, program: &str, part: &str) -> Command {
    let file = |name: &str| fleet.file(part, name);
    let mut command = Command::new(program);
    command.args([
        "-h",
        "127.0.0.1",
        "-p",
        &fleet.stack.port.to_string(),
        "--cafile",
        &file("ca.pem"),
    ]);
    command.args([
        "--cert",
        &file("identity.pem"),
        "--key",
        &file("identity.pem"),
        "-V",
        "5",
        "-q",
        "1",
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Publishes as `part`; gives what mosquitto says to it.
fn publish(fleet: &Fleet, part: &str, topic: &str) -> String {
    let output = client(fleet, "mosquitto_pub", part)
        .args(["-t", topic, "-m", "x"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_loop_goes_round_through_mosquitto_and_what_is_not_allowed_is_refused() {
    if !have("mosquitto") || !have("mosquitto_pub") || !have("mosquitto_sub") {
        return;
    }
    let fleet = Fleet::new(&["web-1", "web-2"]);
    fleet.pki(&["viewer", "ann"]);
    let _broker = mosquitto(&fleet);
    let mut brain = fleet.brain();
    let mut agent = fleet.agent("web-1");
    fleet.durable(
        "samples reach the database",
        "SELECT coalesce(sum(samples), 0) FROM frames",
        10,
    );
    fleet.durable("a command and its outcome go round", "SELECT count(*) FROM outcomes", 0);
    assert!(agent.runs() && brain.runs());

    let seen = |filter: &str, seconds: &str| {
        let mut viewer = client(&fleet, "mosquitto_sub", "ann");
        let output = viewer
            .args(["-t", filter, "-C", "1", "-W", seconds, "-F", "%t"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let forecast = seen("foreshadow/main/web-1/view/forecast/#", "30");
    assert!(
        forecast.contains("/view/forecast/"),
        "a viewer sees forecasts: {forecast:?}"
    );
    assert_eq!(
        seen("foreshadow/main/+/bin/#", "3"),
        "",
        "and nothing that is not for people"
    );

    for (part, topic) in [
        ("web-1", "foreshadow/main/web-2/bin/inband/birth"),
        ("web-1", "foreshadow/main/web-1/bin/oob/birth"),
        ("web-1", "foreshadow/main/web-1/bin/inband/command"),
        ("web-1", "foreshadow/main/web-1/view/cpu"),
        ("ann", "foreshadow/main/web-1/bin/inband/birth"),
        ("ann", "foreshadow/main/web-1/view/cpu"),
        ("_brain", "foreshadow/main/web-1/bin/inband/birth"),
        ("_brain", "foreshadow/other/web-1/bin/inband/command"),
    ] {
        let told = publish(&fleet, part, topic);
        assert!(told.contains("Not authorized"), "{part} on {topic}: {told:?}");
    }
    assert_eq!(publish(&fleet, "web-2", "foreshadow/main/web-2/bin/inband/event"), "");

    // Subscribing is free with mosquitto; what is delivered is filtered. In order, so that of two that come the first would be
    // the one that must not. What is printed comes at the end alone, so it is published until then.
    let (own, other) = (
        "foreshadow/main/web-2/bin/inband/command",
        "foreshadow/main/web-1/bin/inband/command",
    );
    let mut spy = client(&fleet, "mosquitto_sub", "web-2");
    spy.args(["-C", "2", "-W", "30", "-F", "got %t", "-t", other, "-t", own]);
    let spy = Process::spawn("mosquitto_sub", &mut spy);
    until("the spy has seen two messages", PATIENCE, || {
        assert_eq!(publish(&fleet, "_brain", other), "");
        assert_eq!(publish(&fleet, "_brain", own), "");
        spy.printed().contains("got ")
    });
    assert!(
        spy.printed().contains("got foreshadow/main/web-2/"),
        "{}",
        spy.printed()
    );
    assert!(
        !spy.printed().contains("got foreshadow/main/web-1/"),
        "{}",
        spy.printed()
    );

    // Revoked, it does not get in: mosquitto reads the list anew at its start.
    drop(_broker);
    fleet.pki(&["revoke", "web-2"]);
    assert!(!fs::read_to_string(fleet.file("_broker", "crl.pem")).unwrap().is_empty());
    let _broker = mosquitto(&fleet);
    let told = publish(&fleet, "web-2", "foreshadow/main/web-2/bin/inband/event");
    assert!(!told.is_empty(), "a revoked certificate is let in");
    let before = fleet.count("SELECT count(*) FROM frames");
    fleet.durable("the others go on", "SELECT count(*) FROM frames", before + 5);
}
