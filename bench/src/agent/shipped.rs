//! The agent as it is shipped: a process of its own, with a configuration as an operator would write it, measured from
//! outside.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::Cost;
use crate::process::memory_bytes;

/// Time until it has connected and has told its first frames.
const WARM_UP: Duration = Duration::from_secs(2);

/// A folder of every Linux that lies in memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// Whom an agent speaks for, and to whom.
pub(super) struct Setup<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// The folder of certificates, where it is over TLS.
    pub(super) certificates: Option<&'a Path>,
    /// Probes that are left out.
    pub(super) off: &'a [&'a str],
}

/// The slim agent that was built with this bench, where no other is named.
pub(super) fn beside_this() -> anyhow::Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name("foreshadow-agent"))
}

/// Runs `program` on a host that is never at rest.
pub(super) fn measure(program: &Path, length: Duration, setup: &Setup<'_>) -> anyhow::Result<Cost> {
    ensure!(
        program.exists(),
        "{} is not there: cargo build --release -p foreshadow-agent, or --agent PATH",
        program.display()
    );
    // As systemd's RuntimeDirectory does, so that the copy of frames is counted.
    let shared = Path::new(SHARED_MEMORY);
    let folder = if shared.is_dir() {
        tempfile::tempdir_in(shared)
    } else {
        tempfile::tempdir()
    }?;
    let file = folder.path().join("agent.toml");
    fs::write(&file, configuration(folder.path(), setup))?;
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| program.display().to_string())?;
    let measured = measured(&child, length);
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .context("no such process")?;
    kill_process(pid, Signal::TERM)?;
    child.wait()?;
    measured
}

fn measured(child: &Child, length: Duration) -> anyhow::Result<Cost> {
    thread::sleep(WARM_UP);
    let before_ns = spent_ns(child.id())?;
    let length = length.saturating_sub(WARM_UP);
    thread::sleep(length);
    let spent_ns = spent_ns(child.id())?.saturating_sub(before_ns);
    Ok(Cost {
        cpu_us_per_sample: spent_ns as f64 / 1e3 / (length.as_secs_f64() * 10.0),
        rss_mb: memory_bytes(child.id(), "VmRSS:")? / 1e6,
    })
}

/// CPU time of all threads of a process so far, from the first number of their `schedstat`.
fn spent_ns(pid: u32) -> anyhow::Result<u64> {
    let mut spent_ns = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the agent has ended")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().context("no schedstat")?;
        spent_ns += first.parse::<u64>()?;
    }
    Ok(spent_ns)
}

fn configuration(folder: &Path, setup: &Setup<'_>) -> String {
    let Setup { host, port, off, .. } = setup;
    let tls = setup.certificates.map(|from| {
        let from = from.display();
        format!("tls = {{ ca = \"{from}/ca.pem\", certificate = \"{from}/agent.pem\", key = \"{from}/agent.key\" }}\n")
    });
    format!(
        "host = \"{host}\"\nruntime_dir = \"{}\"\n\
         [broker]\nhost = \"127.0.0.1\"\nport = {port}\n{}\
         [pace]\nmax = \"100ms\"\nbudget = 1.0\n\
         [probes]\noff = {off:?}\n",
        folder.join("run").display(),
        tls.unwrap_or_default()
    )
}
