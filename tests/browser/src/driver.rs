//! chromedriver: a process that starts browsers and tells them what to do.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};

/// chromedriver and the browsers that it has started, which end with it: also where a test has failed.
pub(crate) struct Driver {
    child: Child,
    /// Kept open: it may tell more.
    told: BufReader<ChildStdout>,
}

impl Driver {
    /// `None`, and a printed reason, where there is none.
    pub(crate) fn start() -> Option<Self> {
        let started = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let Ok(mut child) = started else {
            step_aside("chromedriver is not installed (Debian: chromium-driver)");
            return None;
        };
        let told = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, told })
    }

    /// Waits until it says where it listens.
    pub(crate) fn port(&mut self) -> u16 {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.told.read_line(&mut line).unwrap() > 0, "chromedriver has ended");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return port.trim().trim_end_matches('.').parse().unwrap();
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        kill_process_group(group, Signal::KILL).unwrap_or_default();
        self.child.wait().unwrap();
    }
}

/// Says why a test is left out; where all that could be installed is there (`.ci/run` sets `FORESHADOW_ALL`), it fails instead.
pub(crate) fn step_aside(why: &str) {
    assert!(
        std::env::var_os("FORESHADOW_ALL").is_none(),
        "it cannot be tested here: {why}"
    );
    eprintln!("SKIPPED: {why}");
}
