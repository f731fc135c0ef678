//! Processor time of the host and of each core, and what the kernel counts beside it: `/proc/stat` (`proc_stat(5)`).
//!
//! The kernel accounts in ticks of 10 ms there, so that at 100 ms a core moves in steps of 10 points. Where
//! cgroup v1 tells nanoseconds (see `nanos`), user and system time come from there, and the host's share is
//! theirs plus the ticks of interrupts and of what other guests stole.

use shadow::{Bound, Channel, Metric, Reading, metric::channel_metric, rate::RateMeter};

use super::{
    EVENTS_FLOOR, Place, Probe,
    file::KeptFile,
    parse::{after, fields, lines, next_number, number},
    put,
};
use crate::error::ProbeError;

mod nanos;
use nanos::Nanos;

/// What is told of each core, in this order.
const PARTS: [&str; 5] = ["user", "system", "iowait", "irq", "steal"];

/// What the kernel counts, in this order; the last is how many tasks wait for a disk now.
const COUNTS: [(&str, &[u8]); 3] = [
    ("kernel.interrupts", b"intr "),
    ("kernel.context_switches", b"ctxt "),
    ("kernel.forks", b"processes "),
];

/// Opens `/proc/stat`.
///
/// # Errors
/// [`ProbeError`] when it is not there or names no core.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let stat = KeptFile::open(place.path("proc/stat"))?;
    let table = stat.read()?;
    let ids: Vec<u64> = lines(&table).filter_map(core_id).collect();
    let since_boot = lines(&table).next().and_then(Times::parse);
    if ids.is_empty() {
        return Err(stat.format("names no core"));
    }
    let mut metrics = vec![channel_metric(Channel::Cpu)];
    for core in &ids {
        metrics.extend(PARTS.map(|part| Metric::new(format!("cpu.{core}.{part}"), "1", super::HALF_POINT)));
    }
    metrics.extend(COUNTS.map(|(name, _)| Metric::rate(name, "1/s", EVENTS_FLOOR)));
    metrics.push(Metric::new("kernel.blocked", "{task}", Bound::Absolute { step: 1.0 }));
    let busy_s = since_boot.map_or(0.0, Times::tasks_s);
    Ok(Box::new(Cpu {
        nanos: Nanos::open(place, &ids, busy_s),
        stat,
        host: CoreClock::default(),
        cores: ids.into_iter().map(Core::new).collect(),
        counts: Default::default(),
        metrics,
        outdated: false,
    }))
}

struct Cpu {
    stat: KeptFile,
    nanos: Option<Nanos>,
    host: CoreClock,
    cores: Vec<Core>,
    counts: [RateMeter; COUNTS.len()],
    metrics: Vec<Metric>,
    outdated: bool,
}

impl Probe for Cpu {
    fn location(&self) -> String {
        let nanos = self.nanos.as_ref().map_or("ticks", |_| "nanoseconds of cpuacct");
        format!("{}, {} cores, {nanos}", self.stat.path().display(), self.cores.len())
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let Some((host, rest)) = out.split_first_mut() else {
            return Ok(());
        };
        let (cores, counts) = rest.split_at_mut(rest.len().min(self.cores.len() * PARTS.len()));
        let shares = self.ticks(cores, counts, now_ns)?;
        let ran = self.nanos.as_mut().map(|nanos| nanos.read(now_ns, cores, PARTS.len()));
        *host = match ran {
            Some(Ok(ran)) => {
                let others = shares.map_or(0.0, |s| s.not_tasks());
                ran.value().map_or(ran, |ran| Reading::new((ran + others).min(1.0)))
            }
            ticks_only => {
                if ticks_only.is_some() {
                    self.nanos = None;
                }
                shares.map_or(Reading::STALE, |s| Reading::new(s.busy()))
            }
        };
        Ok(())
    }

    fn record(&self, number: usize) -> Option<usize> {
        Some(self.stat.record(number) + self.nanos.as_ref().map_or(0, |nanos| nanos.record(number)))
    }

    fn outdated(&mut self) -> bool {
        self.outdated
    }
}

impl Cpu {
    /// Reads `/proc/stat` into the places of cores and counts; returns how the host as a whole spent the time.
    fn ticks(
        &mut self,
        out: &mut [Reading],
        counts: &mut [Reading],
        now_ns: u64,
    ) -> Result<Option<Shares>, ProbeError> {
        let text = self.stat.read()?;
        let mut table = lines(&text);
        let shares = table
            .next()
            .and_then(Times::parse)
            .and_then(|now| self.host.advance(now));
        let mut places = self.cores.iter_mut().zip(out.chunks_mut(PARTS.len()));
        self.outdated |= !places.all(|(core, out)| table.next().is_some_and(|line| core.read(line, out)));
        let blocked = count_all(table, &mut self.counts, counts, now_ns);
        if let Some(place) = counts.last_mut() {
            *place = blocked;
        }
        if self.outdated {
            Err(self.stat.format("cores came or went"))
        } else {
            Ok(shares)
        }
    }
}

/// Reads the lines after the cores; returns how many tasks are blocked.
fn count_all<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    meters: &mut [RateMeter; COUNTS.len()],
    out: &mut [Reading],
    now_ns: u64,
) -> Reading {
    out.fill(Reading::ABSENT);
    let mut blocked = Reading::ABSENT;
    for line in lines {
        let count = |name: &[u8]| next_number(&mut fields(after(line, name)?));
        if let Some(count) = count(b"procs_blocked ") {
            blocked = Reading::new(count as f64);
            continue;
        }
        for (((_, name), meter), place) in COUNTS.iter().zip(&mut *meters).zip(&mut *out) {
            if let Some(count) = count(name) {
                *place = meter.update(count, now_ns);
            }
        }
    }
    blocked
}

/// A cheap look at how busy the host is, for the time between two samples.
pub struct Watch {
    stat: KeptFile,
    host: CoreClock,
}

impl Watch {
    /// Opens `/proc/stat`.
    ///
    /// # Errors
    /// [`ProbeError`] when it is not there.
    pub fn open(place: &Place) -> Result<Self, ProbeError> {
        Ok(Self {
            stat: KeptFile::open(place.path("proc/stat"))?,
            host: CoreClock::default(),
        })
    }

    /// Busy share of all cores since the last look; `None` at first, or when it cannot be read.
    pub fn busy(&mut self) -> Option<f64> {
        let text = self.stat.read().ok()?;
        let line = lines(&text).next()?;
        Some(self.host.advance(Times::parse(line)?)?.busy())
    }
}

/// One core.
struct Core {
    id: u64,
    clock: CoreClock,
}

impl Core {
    fn new(id: u64) -> Self {
        Self {
            id,
            clock: CoreClock::default(),
        }
    }

    /// Reads the line of this core; returns whether it is one.
    fn read(&mut self, line: &[u8], out: &mut [Reading]) -> bool {
        let Some(now) = Times::parse(line).filter(|_| core_id(line) == Some(self.id)) else {
            return false;
        };
        let shares = self.clock.advance(now);
        put(out, shares.map_or([Reading::STALE; PARTS.len()], |s| s.parts()));
        true
    }
}

/// The number of the core that a line is about; `None` for the line of the host and all others.
fn core_id(line: &[u8]) -> Option<u64> {
    fields(line).next()?.strip_prefix(b"cpu").and_then(number)
}

/// Where the ticks of a core, or of all, stood last.
#[derive(Default)]
struct CoreClock {
    last: Option<Times>,
}

impl CoreClock {
    /// How the time since the last call was spent; `None` at first and while no tick has passed.
    fn advance(&mut self, now: Times) -> Option<Shares> {
        let last = self.last.replace(now)?;
        let mut ticks = [0_u64; Times::COUNT];
        for ((ticks, now), last) in ticks.iter_mut().zip(now.0).zip(last.0) {
            // The kernel's idle and iowait may step back a little: see `proc_stat(5)`.
            *ticks = now.saturating_sub(last);
        }
        let total: u64 = ticks.iter().sum();
        (total > 0).then(|| Shares(ticks.map(|t| t as f64 / total as f64)))
    }
}

/// Ticks since boot: user, nice, system, idle, iowait, irq, softirq, steal. Guests are part of user and nice.
#[derive(Clone, Copy)]
struct Times([u64; Times::COUNT]);

impl Times {
    const COUNT: usize = 8;

    /// Kernels before 2.6.11 have fewer columns: what is missing is 0.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = fields(line);
        fields.next()?.strip_prefix(b"cpu")?;
        let mut times = [0; Self::COUNT];
        let mut read = 0;
        for time in &mut times {
            if fields.is_empty() {
                break;
            }
            *time = next_number(&mut fields)?;
            read += 1;
        }
        (read >= 4).then_some(Self(times))
    }

    /// Seconds that tasks ran, at 100 ticks a second as every platform shows them.
    fn tasks_s(self) -> f64 {
        let [user, nice, system, ..] = self.0;
        (user + nice + system) as f64 / 100.0
    }
}

/// Shares of the time that passed, in the order of [`Times`].
struct Shares([f64; Times::COUNT]);

impl Shares {
    /// What was neither idle nor waiting for a disk.
    fn busy(&self) -> f64 {
        let [_, _, _, idle, iowait, ..] = self.0;
        (1.0 - idle - iowait).clamp(0.0, 1.0)
    }

    /// What was busy, but with no task of this host: interrupts and other guests.
    fn not_tasks(&self) -> f64 {
        let [_, _, _, _, _, irq, softirq, steal] = self.0;
        irq + softirq + steal
    }

    /// In the order of [`PARTS`].
    fn parts(&self) -> [Reading; PARTS.len()] {
        let [user, nice, system, _, iowait, irq, softirq, steal] = self.0;
        [user + nice, system, iowait, irq + softirq, steal].map(Reading::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read};

    const BEFORE: &str = "cpu  100 0 100 700 50 10 20 20 5 0\ncpu0 50 0 50 350 25 5 10 10 0 0\ncpu1 50 0 50 350 25 5 10 10 5 0\nintr 5\n";

    #[test]
    fn shares_are_of_the_time_that_passed() {
        let tree = Tree::new(&[("proc/stat", BEFORE)]);
        let mut probe = open(&tree.place()).unwrap();
        check(
            &read(probe.as_mut(), 0.0).unwrap(),
            &[("host.cpu", f64::NAN), ("cpu.1.user", f64::NAN)],
        );
        // 100 ticks of each core; the second core was idle, and its iowait stepped back.
        let after = "cpu  130 10 120 809 59 15 25 30 5 0\ncpu0 80 10 70 360 35 10 15 20 0 0\ncpu1 50 0 50 449 24 5 10 10 5 0\nintr 6\n";
        tree.set("proc/stat", after);
        let found = read(probe.as_mut(), 1.0).unwrap();
        let busy = 30.0 + 10.0 + 20.0 + 5.0 + 5.0 + 10.0;
        check(
            &found,
            &[
                ("host.cpu", busy / (busy + 109.0 + 9.0)),
                ("cpu.0.user", 40.0 / 100.0),
                ("cpu.0.system", 20.0 / 100.0),
                ("cpu.0.iowait", 10.0 / 100.0),
                ("cpu.0.irq", 10.0 / 100.0),
                ("cpu.0.steal", 10.0 / 100.0),
                ("cpu.1.user", 0.0),
                ("cpu.1.iowait", 0.0),
            ],
        );
        // No tick since: not zero, but not known.
        check(
            &read(probe.as_mut(), 1.001).unwrap(),
            &[("host.cpu", f64::NAN), ("cpu.0.user", f64::NAN)],
        );
    }

    #[test]
    fn nanoseconds_are_preferred_where_they_are_the_hosts() {
        const ALL: &str = "sys/fs/cgroup/cpuacct/cpuacct.usage_all";
        let tree = Tree::new(&[
            ("proc/stat", BEFORE),
            (ALL, "cpu user system\n0 600000000 600000000\n1 600000000 0\n"),
        ]);
        let mut probe = open(&tree.place()).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        tree.set(
            "proc/stat",
            &BEFORE
                .replace("700 50 10 20 20 5", "707 50 11 20 22 5")
                .replace("cpu0 50 0 50 350", "cpu0 50 0 50 360"),
        );
        tree.set(ALL, "cpu user system\n0 625000000 612500000\n1 600000000 0\n2 7 7\n");
        check(
            &read(probe.as_mut(), 0.1).unwrap(),
            &[
                ("cpu.0.user", 0.25),
                ("cpu.0.system", 0.125),
                ("cpu.1.user", 0.0),
                // One tick of interrupts and two that were stolen, of ten.
                ("host.cpu", 0.375 / 2.0 + 0.3),
            ],
        );
        tree.set(ALL, "cpu user system\n");
        assert!(read(probe.as_mut(), 0.2).unwrap().contains_key("host.cpu"));

        // A container's own account: far less than the host's.
        tree.set("proc/stat", &BEFORE.replace("cpu  100", "cpu  100000"));
        assert!(open(&tree.place()).unwrap().location().ends_with("ticks"));
    }

    #[test]
    fn what_the_kernel_counts_is_told_as_rates() {
        let counts = |intr: u32, ctxt: u32| {
            format!("intr {intr} 3 4\nctxt {ctxt}\nprocesses 7\nprocs_running 2\nprocs_blocked 3\n")
        };
        let cores = BEFORE.replace("intr 5\n", "");
        let tree = Tree::new(&[("proc/stat", &(cores.clone() + &counts(5, 10)))]);
        let mut probe = open(&tree.place()).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        tree.set("proc/stat", &(cores + &counts(25, 310)));
        check(
            &read(probe.as_mut(), 2.0).unwrap(),
            &[
                ("kernel.interrupts", 10.0),
                ("kernel.context_switches", 150.0),
                ("kernel.forks", 0.0),
                ("kernel.blocked", 3.0),
            ],
        );
        let found = read(
            open(&Tree::new(&[("proc/stat", BEFORE)]).place()).unwrap().as_mut(),
            0.0,
        )
        .unwrap();
        assert_eq!(found["kernel.blocked"], Reading::ABSENT);
    }

    #[test]
    fn a_core_that_goes_makes_the_probe_outdated() {
        let tree = Tree::new(&[("proc/stat", BEFORE)]);
        let mut probe = open(&tree.place()).unwrap();
        assert!(!probe.outdated());
        tree.set("proc/stat", "cpu  1 1 1 1\ncpu0 1 1 1 1\nintr 5\n");
        assert!(read(probe.as_mut(), 1.0).is_err());
        assert!(probe.outdated());
        assert_eq!(
            open(&tree.place()).unwrap().metrics().len(),
            1 + PARTS.len() + COUNTS.len() + 1
        );
    }

    #[test]
    fn what_is_no_stat_is_refused() {
        for text in ["", "intr 5\n", "cpu  1 2 3 4\n", "\u{0}\u{0}"] {
            assert!(open(&Tree::new(&[("proc/stat", text)]).place()).is_err(), "{text:?}");
        }
        let tree = Tree::new(&[("proc/stat", "cpu  1 2 3\ncpu0 1 2 x 4\n")]);
        assert!(read(open(&tree.place()).unwrap().as_mut(), 0.0).is_err());
    }

    #[test]
    fn a_watch_sees_a_host_wake_up() {
        let tree = Tree::new(&[("proc/stat", "cpu  0 0 0 100\n")]);
        let mut watch = Watch::open(&tree.place()).unwrap();
        assert_eq!(watch.busy(), None);
        tree.set("proc/stat", "cpu  25 0 0 175\n");
        assert_eq!(watch.busy(), Some(0.25));
    }
}
