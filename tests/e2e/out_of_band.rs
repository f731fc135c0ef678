//! One agent speaks for two hosts through their BMCs, and one of these hosts has an agent of its own.
//!
//! Wants the simulated BMC of the agent's own tests (`agent/tests/bmc/lab.rs` says what that needs).

use crate::{
    bmc_lab::Lab,
    database::number,
    harness::{PATIENCE, Process, until, write},
    observer::Observer,
    stack::Stack,
};

/// What the agent is told of a host that it sees through its BMC.
fn host(name: &str, lab: &Lab) -> String {
    format!(
        "[[out_of_band]]\nhost = \"{name}\"\nbmc = {{ address = \"127.0.0.1:{}\", user = \"lab\", password_file = {:?}, interval = \"5s\" }}\n",
        lab.port(),
        lab.password_file()
    )
}

#[test]
fn two_bmcs_are_two_hosts_and_both_views_of_one_are_one() {
    let (Some(first), Some(second)) = (Lab::start(), Lab::start()) else {
        return eprintln!("SKIPPED: there is no simulated BMC");
    };
    second.set_power(345);
    let stack = Stack::new();
    let _broker = stack.broker();
    let brain = stack.brain();
    let observer = Observer::new(stack.port);
    let inband = stack.agent();
    let text = format!(
        "host = \"chassis\"\n[broker]\nport = {}\n{}{}",
        stack.port,
        host("web-1", &first),
        host("web-2", &second)
    );
    let config = write(stack.path(), "chassis.toml", &text);
    let chassis = Process::foreshadow(&["agent", "--config", &config]);

    let value = |topic: &str, key: &str| observer.newest_json(topic).map(|view| view[key].clone());
    let is = |topic: &str, key: &str, expected: f64| value(topic, key).is_some_and(|v| v.as_f64() == Some(expected));
    until("the power of both, from their BMCs", PATIENCE, || {
        is("web-1/view/power", "value", 232.0) && is("web-2/view/power", "value", 345.0)
    });
    let state = |host: &str, expected: &str| {
        value(&format!("{host}/view/status"), "state").is_some_and(|state| state == expected)
    };
    assert!(
        observer
            .newest_json("web-1/view/cpu")
            .is_some_and(|view| view["value"].is_number())
    );
    assert!(state("web-1", "online") && state("web-2", "online"));
    assert!(
        observer
            .newest_json("web-2/view/cpu")
            .is_some_and(|view| view["absent"].is_string()),
        "nothing runs there that could tell"
    );

    assert!(inband.stop().0.success());
    until("a host without its agent still has its BMC", PATIENCE, || {
        state("web-1", "bmc only")
    });
    assert!(state("web-2", "online"));
    assert!(chassis.stop().0.success());
    until("with neither it is offline", PATIENCE, || state("web-1", "offline"));
    assert!(brain.stop().0.success());
    let vantages = "SELECT count(DISTINCT vantage) FROM births WHERE host = 'web-1'";
    assert_eq!(number(&stack.data(), vantages), 2);
}
