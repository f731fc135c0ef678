//! What a process costs, as the kernel tells it.

use std::fs;

use anyhow::Context;

/// CPU time of a process so far, in seconds, from the ticks of 10 ms in its `stat` (`proc_pid_stat(5)`).
pub(crate) fn cpu_s(pid: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
    // The name in parentheses may hold spaces; user and system time are fields 14 and 15.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

/// The line of a process's `status` that begins with `name`, which is in kibibytes, as bytes.
pub(crate) fn memory_bytes(pid: u32, name: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the process has ended")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("no {name}"))? * 1_024.0)
}

/// CPU time of all threads of a process so far, in nanoseconds, from the first number of their `schedstat`. What threads
/// spent that have ended is not in it.
pub(crate) fn spent_ns(pid: u32) -> anyhow::Result<u64> {
    let mut spent_ns = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the process has ended")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().context("no schedstat")?;
        spent_ns += first.parse::<u64>()?;
    }
    Ok(spent_ns)
}
