//! What a guest's network device sends is limited by the real `tc`, and as it was when the lease is over or the agent dies.

use std::{fs, io::Read, net::TcpListener, path::Path, process::Command, thread};

use shadow::{Effect, OutcomeState, Resource};

use super::bench::{Bench, STEP, change, number};
use crate::{guest::Parts, harness::step_aside, stack::Stack};

const CONFIG: &str = r#"
[pace]
min = "500ms"
max = "1s"
[act]
dwell = "1s"
devices = ["eth0"]
[[act.allow]]
workload = "host"
resource = "network"
"#;

/// The program with its libraries, for the guest has none of its own.
const PREPARE: &str = r#"
mkdir -p /usr/sbin /sys/fs/cgroup/batch
cp -r /share/tc /tmp/tc
printf '#!/bin/sh\nexec /tmp/tc/loader --library-path /tmp/tc /tmp/tc/tc "$@"\n' > /usr/sbin/tc
chmod +x /usr/sbin/tc
FILES=
"#;

/// How long 2 MB take to a listener outside.
const SEND: &str = r#"
up() { cut -d' ' -f1 /proc/uptime | tr -d .; }
s=$(up)
head -c 2000000 /dev/zero | nc 10.0.2.100 9999
e=$(up)
echo "sent_cs $((e - s))"
/usr/sbin/tc qdisc show dev eth0
/usr/sbin/tc class show dev eth0
"#;

/// `tc` of this machine and what it is linked to, in `folder`.
fn copy_tc(folder: &Path) -> Option<()> {
    let program = ["/usr/sbin/tc", "/sbin/tc"]
        .into_iter()
        .find(|path| Path::new(path).exists())?;
    let linked = Command::new("ldd").arg(program).output().ok()?;
    fs::create_dir_all(folder).ok()?;
    fs::copy(program, folder.join("tc")).ok()?;
    for word in String::from_utf8(linked.stdout)
        .ok()?
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let name = Path::new(word).file_name()?;
        let name = if word.contains("ld-linux") {
            "loader".as_ref()
        } else {
            name
        };
        fs::copy(word, folder.join(name)).ok()?;
    }
    folder.join("loader").exists().then_some(())
}

#[test]
fn what_a_device_sends_is_limited_and_free_again() {
    let Some(parts) = Parts::find() else { return };
    let stack = Stack::new();
    if copy_tc(&stack.path().join("share/tc")).is_none() {
        return step_aside("tc of iproute2 is not installed");
    }
    let sink = TcpListener::bind("127.0.0.1:0").unwrap();
    let forward = format!("9999:{}", sink.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in sink.incoming() {
            // Who has all that is sent hangs up, which the sender waits for.
            let mut all = vec![0; 2_000_000];
            drop(stream.unwrap().read_exact(&mut all));
        }
    });
    let parts = parts.with(&["--fwd", &forward]);
    let _broker = stack.broker();
    let mut bench = Bench::boot(&parts, &stack, "none", (CONFIG, PREPARE), &["batch"]);
    let free = bench.run(SEND);
    let say = |bench: &mut Bench, ttl_ms| bench.say(ttl_ms, &[change("host", Resource::Network, 250_000.0, None)], &[]);
    let id = say(&mut bench, 30_000);
    let outcome = bench.outcome(&id, OutcomeState::Applied);
    assert_eq!(
        (outcome.changes[0].effect, outcome.changes[0].after),
        (Effect::None, Some(250_000.0)),
        "{outcome:?}"
    );
    let limited = bench.run(SEND);
    assert!(
        limited.contains("htb f0e5:") && limited.contains("rate 2Mbit"),
        "{limited}"
    );
    let expired = bench.outcome(&id, OutcomeState::Expired);
    assert_eq!(expired.changes[0].after, None, "{expired:?}");
    let again = bench.run(SEND);
    eprintln!("2 MB, free: {free:?}; limited to 250 kB/s: {limited:?}; again: {again:?}");
    let [free, limited, after] = [&free, &limited, &again].map(|text| number(text, "sent_cs "));
    assert!(limited > 600.0 && free < limited / 2.0 && after < limited / 2.0);
    assert!(!again.contains("htb"), "{again}");
    let id = say(&mut bench, 600_000);
    bench.outcome(&id, OutcomeState::Applied);
    bench.run("kill -9 $(cat /tmp/agent)");
    bench.wait("its next start puts back", STEP, |bench| {
        !bench.run("/usr/sbin/tc qdisc show dev eth0").contains("htb")
    });
    bench.guest.stop();
}
