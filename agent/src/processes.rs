//! What runs on this machine, asked for by a person: which processes take its cores and memory.
//!
//! Not sampled, for it costs a look at each process. Command lines are left out, as they may hold secrets.

use std::{
    collections::HashMap,
    fs, thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// What processes are put in order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    /// Cores
    Cpu,
    /// Resident memory
    Memory,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name: at most 15 bytes (proc(5), `comm`).
    pub name: String,
    /// Cores that it took between the two looks: 0 to the number of cores.
    pub cpu_cores: f64,
    /// Resident memory in bytes; shared pages count in each process.
    pub memory_bytes: u64,
    /// Its control group, of cgroup v2 or else of the controller that counts memory; empty for the root.
    pub cgroup: String,
}

/// Looks at all processes twice, `over` apart, and tells the first `top` in `order`.
///
/// # Errors
/// What `sysinfo` cannot do here, in words.
pub fn busiest(order: Order, top: usize, over: Duration) -> Result<Vec<Process>, String> {
    let mut system = System::new().map_err(|why| why.to_string())?;
    let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
    let look = |system: &mut System| {
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        Instant::now()
    };
    let begun = look(&mut system);
    let before: HashMap<_, _> = system
        .processes()
        .iter()
        .map(|(pid, p)| (*pid, p.accumulated_cpu_time()))
        .collect();
    thread::sleep(over);
    let over_ms = look(&mut system).duration_since(begun).as_secs_f64() * 1e3;
    let all = system
        .processes()
        .iter()
        .filter(|(_, process)| process.thread_kind().is_none());
    let all = all.map(|(pid, process)| {
        // One that is new had nothing before.
        let before = before.get(pid).copied().unwrap_or_default();
        Process {
            pid: pid.as_u32(),
            name: process.name().to_string_lossy().into_owned(),
            cpu_cores: process.accumulated_cpu_time().saturating_sub(before) as f64 / over_ms,
            memory_bytes: process.memory(),
            cgroup: String::new(),
        }
    });
    let mut first = in_order(all.collect(), order, top);
    for process in &mut first {
        // One that has ended meanwhile has none.
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap_or_default();
        cgroup(&groups).clone_into(&mut process.cgroup);
    }
    Ok(first)
}

fn in_order(mut processes: Vec<Process>, order: Order, top: usize) -> Vec<Process> {
    processes.sort_by(|a, b| {
        let by_cpu = b.cpu_cores.total_cmp(&a.cpu_cores);
        let by_memory = b.memory_bytes.cmp(&a.memory_bytes);
        let by_order = match order {
            Order::Cpu => by_cpu.then(by_memory),
            Order::Memory => by_memory.then(by_cpu),
        };
        by_order.then(a.pid.cmp(&b.pid))
    });
    processes.truncate(top);
    processes
}

/// Of `/proc/PID/cgroup` (cgroups(7)): lines of hierarchy, controllers and path.
fn cgroup(text: &str) -> &str {
    let path_of = |of: &dyn Fn(&str) -> bool| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        lines.find(|(controllers, _)| of(controllers)).map(|(_, path)| path)
    };
    let v1 = path_of(&|controllers| controllers.split(',').any(|name| name == "memory"));
    v1.or_else(|| path_of(&str::is_empty))
        .unwrap_or_default()
        .trim_matches('/')
}

/// For people: a line a process.
pub fn table(processes: &[Process]) -> String {
    let head = format!("{:>8} {:>7} {:>10}  {:<16} cgroup", "pid", "cores", "memory", "name");
    let line = |process: &Process| {
        let mib = process.memory_bytes as f64 / f64::from(1 << 20);
        let (name, cgroup) = (shown(&process.name), shown(&process.cgroup));
        format!(
            "{:>8} {:>7.2} {mib:>6.1} MiB  {name:<16} {cgroup}",
            process.pid, process.cpu_cores
        )
    };
    let lines: Vec<String> = std::iter::once(head).chain(processes.iter().map(line)).collect();
    lines.join("\n") + "\n"
}

/// A process names itself as it likes.
fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, cpu_cores: f64, memory_bytes: u64) -> Process {
        Process {
            pid,
            name: format!("p\x1b{pid}"),
            cpu_cores,
            memory_bytes,
            cgroup: "a.slice".to_owned(),
        }
    }

    #[test]
    fn the_busiest_come_first() {
        let all = vec![
            process(1, 0.0, 9),
            process(2, 0.5, 1),
            process(3, 0.0, 20),
            process(4, 0.5, 1),
        ];
        let pids = |order, top| -> Vec<u32> {
            let first = in_order(all.clone(), order, top);
            first.iter().map(|process| process.pid).collect()
        };
        assert_eq!(pids(Order::Cpu, 3), [2, 4, 3]);
        assert_eq!(pids(Order::Memory, 9), [3, 1, 2, 4]);
        let table = table(&all);
        assert!(!table.contains('\x1b') && table.lines().count() == 5, "{table}");
    }

    #[test]
    fn control_groups_of_both_versions_are_found() {
        assert_eq!(cgroup("0::/system.slice/ssh.service\n"), "system.slice/ssh.service");
        let both = "12:cpu,cpuacct:/a\n4:memory:/jobs/b\n0::/c\n";
        assert_eq!(cgroup(both), "jobs/b");
        assert_eq!(cgroup("1:name=systemd:/d\n"), "");
        assert_eq!(cgroup("no such line"), "");
    }

    #[test]
    fn this_process_is_found_at_work() {
        let busy = thread::spawn(|| {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(2) {
                std::hint::spin_loop();
            }
        });
        let all = busiest(Order::Cpu, usize::MAX, Duration::from_millis(500)).unwrap();
        let own = all.iter().find(|process| process.pid == std::process::id()).unwrap();
        assert!(own.cpu_cores > 0.05 && own.memory_bytes > 100_000, "{own:?}");
        busy.join().unwrap();
    }
}
