//! Words of `tc`, and the real program in a network of its own: two devices that are joined, and what passes between them.

use std::{process::Stdio, time::Instant};

use super::*;

fn class(workload: &str, class: &str) -> TrafficClass {
    TrafficClass {
        workload: workload.to_owned(),
        device: "out".to_owned(),
        class: class.to_owned(),
    }
}

#[test]
fn words_and_rates_come_back() {
    let shown = "class htb 1:1 root rate 1Gbit ceil 1Gbit burst 1375b cburst 1375b \n\
                 class htb 1:10 parent 1:1 leaf 8001: prio 3 rate 9876Kbit ceil 18765Kbit burst 15Kb cburst 1597b \n";
    let words = words_of(shown, "1:10").unwrap();
    assert_eq!(words, "prio 3 rate 9876Kbit ceil 18765Kbit burst 15Kb cburst 1597b");
    assert_eq!(words_of(shown, "1:100"), None);
    assert_eq!(
        capped(&words, 8e6).unwrap(),
        "prio 3 rate 8000Kbit ceil 8000Kbit burst 15Kb cburst 1597b"
    );
    assert_eq!(
        capped(&words, 12e6).unwrap(),
        "prio 3 rate 9876Kbit ceil 12000Kbit burst 15Kb cburst 1597b"
    );
    for (text, value) in [("8bit", 8.0), ("80Mbit", 8e7), ("1500Kbit", 1.5e6), ("10Gbit", 1e10)] {
        assert_eq!(bits(text), Some(value), "{text}");
    }
    for text in ["", "8", "8Kb", "xbit", "8Mbit/s"] {
        assert_eq!(bits(text), None, "{text}");
    }
    let tc = Tc::with(Vec::new(), vec!["out".to_owned()], vec![class("web", "1:10")]);
    for (one, other, same) in [
        ("rate 9876Kbit", "rate 9877Kbit", true),
        ("rate 8Mbit", "rate 8000Kbit", true),
        ("rate 8Mbit", "rate 9Mbit", false),
        ("rate 8Mbit", NONE, false),
        (NONE, NONE, true),
        (NONE, "open", false),
        ("rate 8Mbit ceil 9Mbit", "rate 8Mbit ceil 8Mbit", false),
    ] {
        assert_eq!(tc.is_same(one, other), same, "{one} {other}");
    }
    for subject in ["in", "out 1:11", "out 1:10 x", "out; reboot"] {
        assert!(tc.split(subject).is_err(), "{subject}");
    }
}

/// Two network namespaces that a pair of devices joins, `out` in the one and `in` in the other.
struct Net(String);

impl Net {
    fn new() -> Option<Self> {
        let net = Self(format!("foreshadow-tc-{}", std::process::id()));
        let Self(name) = &net;
        let made = [
            format!("ip netns add {name}"),
            format!("ip netns add {name}-in"),
            format!("ip -n {name} link add out type veth peer name in netns {name}-in"),
            format!("ip -n {name} addr add 10.9.9.1/24 dev out"),
            format!("ip -n {name} link set out up"),
            format!("ip -n {name}-in addr add 10.9.9.2/24 dev in"),
            format!("ip -n {name}-in link set in up"),
            format!("ip netns exec {name} tc qdisc replace dev out root handle 1: htb default 10"),
            format!("ip netns exec {name} tc class add dev out parent 1: classid 1:10 htb rate 100Mbit ceil 800Mbit"),
        ];
        if made.iter().all(|command| shell(command)) {
            return Some(net);
        }
        eprintln!("SKIPPED: there is no network of its own with tc and htb here");
        None
    }

    fn tc(&self, devices: &[&str]) -> Tc {
        let argv = ["ip", "netns", "exec", &self.0, "tc"].map(str::to_owned).to_vec();
        let devices = devices.iter().map(|device| (*device).to_owned()).collect();
        Tc::with(argv, devices, vec![class("web", "1:10")])
    }

    /// Bytes a second that pass.
    fn passes(&self, bytes: u32) -> f64 {
        let Self(name) = self;
        let mut sink = Command::new("ip");
        sink.args([
            "netns",
            "exec",
            &format!("{name}-in"),
            "busybox",
            "nc",
            "-l",
            "-p",
            "5000",
        ]);
        let mut sink = sink.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // Whose input ends says that it has nothing to say, and who sends to it ends as well.
        let held = sink.stdin.take();
        std::thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        let send = format!("ip netns exec {name} sh -c 'head -c {bytes} /dev/zero | busybox nc 10.9.9.2 5000'");
        assert!(shell(&send), "{send}");
        // What is sent waits in the sender's buffers for a while.
        sink.wait().unwrap();
        let took = start.elapsed();
        drop(held);
        f64::from(bytes) / took.as_secs_f64()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let Self(name) = self;
        for name in [name.clone(), format!("{name}-in")] {
            shell(&format!("ip netns del {name}"));
        }
    }
}

fn shell(command: &str) -> bool {
    let mut sh = Command::new("sh");
    sh.args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    sh.status().unwrap().success()
}

#[test]
fn a_limit_takes_effect_and_comes_back() {
    let Some(net) = Net::new() else { return };
    let ask = |workload, amount| Ask { workload, amount };
    // A class of the site: its ceiling falls, and comes back with all that the site has set.
    let mut tc = net.tc(&["out"]);
    let before = tc.read("out 1:10").unwrap();
    assert_eq!(tc.amount("out 1:10", &before), Some(1e8), "800 Mbit/s");
    let free = net.passes(20_000_000);
    let turn = tc.aim(ask("web", 2e6)).unwrap().remove(0);
    tc.write(&turn.subject, &turn.text).unwrap();
    let stands = tc.read("out 1:10").unwrap();
    assert!(tc.is_same(&stands, &turn.text), "{stands}");
    let limited = net.passes(4_000_000);
    tc.write("out 1:10", &before).unwrap();
    assert_eq!(tc.read("out 1:10").unwrap(), before);
    let again = net.passes(20_000_000);
    eprintln!("a class: {free:.2e} B/s, limited to 2e6: {limited:.2e}, put back: {again:.2e}");
    assert!(limited < 2.4e6 && free > 4.0 * limited && again > 4.0 * limited);
    // Somebody else's discipline is at the root.
    let fault = tc.read("out").unwrap_err().to_string();
    assert!(fault.contains("of somebody else"), "{fault}");
    assert!(tc.write("out", "rate 8Mbit").is_err());
    assert!(tc.aim(ask("batch", 1e6)).unwrap_err().contains("names no class"));
    // The host as a whole, where nobody has.
    assert!(shell(&format!("ip netns exec {} tc qdisc del dev out root", net.0)));
    assert_eq!(tc.read("out").unwrap(), NONE);
    assert_eq!(tc.read("out 1:10").unwrap_err(), LeverError::Gone);
    let turn = tc.aim(ask(HOST_WORKLOAD, 1.5e6)).unwrap().remove(0);
    tc.write(&turn.subject, &turn.text).unwrap();
    let stands = tc.read("out").unwrap();
    assert!(tc.is_same(&stands, "rate 12Mbit"), "{stands}");
    let limited = net.passes(3_000_000);
    assert_eq!(tc.aim(ask(HOST_WORKLOAD, 1.0)).unwrap()[0].note, "raised to 64 kbit/s");
    tc.write("out", NONE).unwrap();
    assert_eq!(tc.read("out").unwrap(), NONE);
    let again = net.passes(20_000_000);
    eprintln!("the host: limited to 1.5e6 {limited:.2e} B/s, put back: {again:.2e}");
    assert!(limited < 1.8e6 && again > 4.0 * limited);
}
