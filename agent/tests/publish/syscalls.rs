//! What a sample of the real agent asks of the kernel, as `strace` counts it.

use std::{
    collections::BTreeSet,
    fs,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::harness::{Brain, broker};

/// Samples that are left out: until files have been read once and memory has grown to what it needs.
const WARM_UP: usize = 20;
/// Frames that are waited for, of ten samples each.
const FRAMES: usize = 7;
/// What is read first in each sample, and by nothing else here.
const FIRST: &str = "</proc/stat>";

/// The agent with the probes of every sample, under `strace`; `None`, with the reason printed, where that is missing.
fn traced(folder: &std::path::Path, port: u16) -> Option<Child> {
    // What comes each ten seconds, looks for new interfaces and the status, is left out: a fifth of a call a sample.
    let config = format!(
        "host = \"web-1\"\ncell = \"test\"\nruntime_dir = \"{}\"\nstatus_every = \"1h\"\n\
         [broker]\nport = {port}\n[pace]\nmax = \"100ms\"\nbudget = 1.0\n[probes]\nrefresh = \"1h\"\n\
         off = [\"paging\", \"numa\", \"power\", \"workload\", \"bmc\", \"pci\", \"edac\", \"thermal\", \"msr\", \"agent\"]\n",
        folder.join("run").display()
    );
    fs::write(folder.join("agent.toml"), config).unwrap();
    let mut trial = Command::new("strace");
    trial.args(["-o", "/dev/null", "true"]).stderr(Stdio::null());
    if !trial.status().is_ok_and(|status| status.success()) {
        eprintln!("stepped aside: strace is not installed, or may not trace");
        return None;
    }
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-s", "0", "-o"]).arg(folder.join("trace"));
    command.arg(env!("CARGO_BIN_EXE_foreshadow-agent"));
    command.arg("--config").arg(folder.join("agent.toml"));
    Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// Thread and call of a line such as `123 pread64(5</proc/stat>, ""..., 8192, 0) = 1207`; `None` for the second half of a
/// call, and for what is none.
fn call(line: &str) -> Option<(u32, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let rest = rest.trim_start();
    let begins = rest.starts_with(|c: char| c.is_ascii_lowercase());
    begins.then_some((thread.parse().ok()?, rest))
}

#[tokio::test]
async fn a_sample_makes_two_calls_more_than_it_reads_files_at_most() {
    let Some(broker) = broker() else { return };
    let mut brain = Brain::connect(&broker).await;
    let folder = tempfile::tempdir().unwrap();
    let Some(mut child) = traced(folder.path(), broker.port()) else {
        return;
    };
    for _ in 0..FRAMES {
        brain.expect("delta").await;
    }
    let trace = fs::read_to_string(folder.path().join("trace")).unwrap();
    let calls: Vec<(u32, &str)> = trace.lines().filter_map(call).collect();
    // strace ends with the last process that it traces.
    let agent = Pid::from_raw(calls[0].0.cast_signed()).unwrap();
    kill_process(agent, Signal::TERM).unwrap();
    child.wait().unwrap();

    let is_first = |call: &str| call.starts_with("pread64") && call.contains(FIRST);
    let sampler = calls.iter().rfind(|(_, call)| is_first(call)).unwrap().0;
    let own: Vec<&str> = calls
        .iter()
        .filter(|(thread, _)| *thread == sampler)
        .map(|(_, call)| *call)
        .collect();
    let begins: Vec<usize> = (0..own.len()).filter(|&at| is_first(own[at])).collect();
    let (first, last) = (begins[WARM_UP], begins[begins.len() - 1]);
    let window = &own[first..last];
    let samples = begins.len() - 1 - WARM_UP;
    let file = |call: &&str| {
        call.strip_prefix("pread64(")
            .and_then(|rest| Some(rest.split_once('>')?.0.to_owned()))
    };
    let files: BTreeSet<String> = window.iter().filter_map(file).collect();
    assert!(samples >= 30 && files.len() >= 6, "{samples} samples of {files:?}");
    let most = samples * (files.len() + 2);
    assert!(
        window.len() <= most,
        "{} calls in {samples} samples of {} files: {window:#?}",
        window.len(),
        files.len()
    );
}
