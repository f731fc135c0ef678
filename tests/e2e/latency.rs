//! How long a new forecast takes to be a limit in force: from the round that rests on it to the agent's answer, over a real broker,
//! with a real program as the lever.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use shadow::{Command, Outcome, OutcomeState, wire};

use crate::{
    harness::{PATIENCE, Process, free_port, listens, until, write},
    observer::Observer,
    stack::{AS_EACH_FORECAST_SAYS, KEPT_BY_A_PROGRAM},
};

/// The longest that it may take, and of how many the middle one is asked.
const MOST_MS: i64 = 1_000;
const COMMANDS: usize = 10;

#[test]
fn a_new_forecast_is_a_limit_in_force_and_acknowledged_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let port = free_port();
    let limit = path.join("limit");
    fs::write(&limit, "64000000000").unwrap();
    let tool = write(
        path,
        "shape",
        &format!(
            "#!/bin/sh\nif [ \"$1\" = set ]; then echo \"$2\" > {0}; else cat {0}; fi\n",
            limit.display()
        ),
    );
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let config = write(path, "broker.toml", &format!("listen = \"127.0.0.1:{port}\"\n"));
    let _broker = Process::foreshadow(&["broker", "--config", &config]);
    until("the broker listens", PATIENCE, || listens(port));
    let policy = write(path, "policy.toml", AS_EACH_FORECAST_SAYS);
    let config = write(
        path,
        "brain.toml",
        &format!(
            "data_dir = {:?}\n[broker]\nport = {port}\n[page]\nlisten = \"127.0.0.1:0\"\n[grid]\nstep = \"1s\"\ngrace = \"0s\"\n\
         length = \"1h\"\n[forecast]\nhorizons = [\"3s\", \"5s\", \"10s\"]\ntrain = false\n[allocate]\nevery = \"2s\"\npolicy = {policy:?}\n",
            path.join("data")
        ),
    );
    let observer = Observer::new(port);
    let _brain = Process::foreshadow(&["brain", "--config", &config]);
    let config = write(
        path,
        "agent.toml",
        &format!(
            "host = \"web-1\"\nstate_dir = {:?}\nruntime_dir = {:?}\n[broker]\nport = {port}\n[pace]\nmin = \"100ms\"\nmax = \"200ms\"\n\
         [frame]\nspan = \"200ms\"\n[probes]\noff = [\"paging\"]\n{KEPT_BY_A_PROGRAM}get = [{tool:?}, \"get\"]\nset = [{tool:?}, \"set\", \"{{value}}\"]\nscale = 1.0\n\
         deadline = \"5s\"\noutlives_reboot = true\n",
            path.join("state"),
            path.join("run"),
        ),
    );
    let _agent = Process::foreshadow(&["agent", "--config", &config]);

    // What is seen when: what the observer has, looked at each 5 ms.
    let (mut took, mut written) = (Vec::new(), 0.0);
    let mut waiting: Vec<(Command, Instant)> = Vec::new();
    let (mut commands, mut outcomes) = (0, 0);
    let mut look = || {
        for payload in observer.newer("web-1/bin/inband/command", &mut commands) {
            let command = wire::decode_command(&payload).unwrap();
            if !command.dry_run {
                waiting.push((command, Instant::now()));
            }
        }
        for payload in observer.newer("web-1/bin/inband/outcome", &mut outcomes) {
            let outcome: Outcome = wire::decode_outcome(&payload).unwrap();
            let Some(at) = waiting.iter().position(|(command, _)| command.id == outcome.command_id) else {
                continue;
            };
            if outcome.state != OutcomeState::Applied {
                continue;
            }
            let (command, seen) = waiting.swap_remove(at);
            written = command.changes[0].target;
            // From the round, by the brain's clock, to the answer, by the agent's, and its way to whoever reads it.
            let acted_ms = outcome.time_ms - command.issued_ms;
            took.push((acted_ms, seen.elapsed().as_millis() as i64));
        }
        std::thread::sleep(Duration::from_millis(5));
        took.len() >= COMMANDS
    };
    until("limits are in force", 6 * PATIENCE, &mut look);
    let held: f64 = fs::read_to_string(&limit).unwrap().trim().parse().unwrap();
    assert!(
        held > 0.0 && (held / written - 1.0).abs() < 0.5,
        "{held} is in force, {written} was asked for"
    );
    took.sort_unstable();
    let (acted_ms, heard_ms) = took[took.len() / 2];
    println!(
        "from a round on new forecasts to a limit in force: {acted_ms} ms, at most {} ms; from the command to its answer as others hear \
         it: {heard_ms} ms; the middle one of {}",
        took.last().unwrap().0,
        took.len()
    );
    assert!((0..=MOST_MS).contains(&acted_ms.max(heard_ms)), "{took:?}");
}
