//! What is done without asking the brain: raise a limit under pressure, take back a change that hurts. Pure but for
//! [`Signals::read`].
//!
//! Only a limit that is protected is raised: its command has a ceiling, or its rule in `[act]` says so. One that is not is
//! meant to hold, and workloads under it are meant to wait; a kill for want of memory counts in either case.

use super::{Quantity, Watched, beneath::Beneath};

/// Between two looks at what is protected.
pub(crate) const TICK_MS: u64 = 100;

/// How long after a lowering a jump is taken for its consequence.
const WINDOW_NS: u64 = 30_000_000_000;

/// How long a jump must last: the raising comes first.
const PATIENCE_NS: u64 = 2_000_000_000;

/// The share of time in which throttled, or in which somebody waits, that is pressure.
const PRESSURE: f64 = 0.05;

/// The same of waiting for a processor or a disk, which no limit needs to be the reason of.
const WAITING: f64 = 0.25;

/// How much more of it than before, as a share of time, is a jump.
const JUMP: f64 = 0.4;

/// Counters of a workload; `None` could not be read, or was not asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Signals {
    /// Time in which it was not let run, in microseconds, of all processors together.
    throttled_us: Option<u64>,
    /// Time in which somebody waited, in microseconds.
    waited_us: Option<u64>,
    /// How often it came up against its limit of memory.
    high: Option<u64>,
    /// Of its processes, how many were killed for want of memory.
    oom_kills: Option<u64>,
}

impl Signals {
    /// Reads what matters to `quantity`: two or three small files.
    pub(crate) fn read(watched: &Watched, quantity: Quantity) -> Self {
        let files = Beneath::new(&watched.root);
        let text = |file: &str| files.read(&format!("{}/{file}", watched.folder)).unwrap_or_default();
        let waited = |file: &str| some_total(&text(file));
        match quantity {
            Quantity::Cpu => {
                let stat = text("cpu.stat");
                let of_one = || number(&stat, "throttled_time").map(|ns| ns / 1_000);
                Self {
                    throttled_us: number(&stat, "throttled_usec").or_else(of_one),
                    waited_us: waited("cpu.pressure"),
                    ..Self::default()
                }
            }
            Quantity::Memory => {
                let events = text("memory.events");
                let of_one = || number(&text("memory.oom_control"), "oom_kill");
                Self {
                    high: number(&events, "high").or_else(|| text("memory.failcnt").parse().ok()),
                    oom_kills: number(&events, "oom_kill").or_else(of_one),
                    waited_us: waited("memory.pressure"),
                    ..Self::default()
                }
            }
            Quantity::Disk => Self {
                waited_us: waited("io.pressure"),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

/// The share of the last ten seconds in which somebody waited; 0 where that is not told.
pub(crate) fn usual(watched: &Watched, quantity: Quantity) -> f64 {
    let file = match quantity {
        Quantity::Cpu => "cpu.pressure",
        Quantity::Memory => "memory.pressure",
        _ => "io.pressure",
    };
    let text = Beneath::new(&watched.root).read(&format!("{}/{file}", watched.folder));
    let text = text.unwrap_or_default();
    let percent = text.split_once("avg10=").and_then(|(_, rest)| rest.split_once(' '));
    percent
        .and_then(|(percent, _)| percent.parse::<f64>().ok())
        .map_or(0.0, |percent| percent / 100.0)
}

/// `key 5`: 5.
fn number(text: &str, key: &str) -> Option<u64> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(of, _)| *of == key)?.1.trim().parse().ok()
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=5`: 5.
fn some_total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.rsplit_once("total=")?.1.trim().parse().ok()
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// Nothing.
    Wait,
    /// Raise, for this reason.
    Raise(String),
    /// Take back, for this reason.
    TakeBack(String),
}

/// Watches one limit of ours.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    quantity: Quantity,
    /// Whether the limit is one of time (a quota), under which a wait for a processor means little.
    is_quota: bool,
    is_protected: bool,
    /// When the limit was lowered; `None` where it was not.
    lowered_ns: Option<u64>,
    /// Where the accumulation for a jump began, and the share of time before.
    since: (u64, Signals),
    usual: f64,
    last: (u64, Signals),
}

impl Watch {
    /// Begins with a write, at the time and with the signals `now`.
    pub(crate) fn new(quantity: Quantity, is_quota: bool, is_protected: bool, now: (u64, Signals)) -> Self {
        Self {
            quantity,
            is_quota,
            is_protected,
            lowered_ns: None,
            since: now,
            usual: 0.0,
            last: now,
        }
    }

    /// The limit was lowered now. `usual`: the share of time in which was waited before, 0 where nothing limited it.
    #[must_use]
    pub(crate) fn lowered(mut self, usual: f64) -> Self {
        self.lowered_ns = Some(self.last.0);
        self.usual = usual;
        self
    }

    /// The limit was raised now: what comes is counted anew.
    pub(crate) fn raised(&mut self) {
        self.since = self.last;
    }

    /// What `signals`, read at `now_ns`, ask for. `can_rise`: whether the limit is below its ceiling.
    pub(crate) fn look(&mut self, now_ns: u64, signals: Signals, can_rise: bool) -> Act {
        let now = (now_ns, signals);
        let last = std::mem::replace(&mut self.last, now);
        if let Some(why) = self.hurts(now) {
            return Act::TakeBack(why);
        }
        if self.is_protected && can_rise {
            return self.pressure(last, now).map_or(Act::Wait, Act::Raise);
        }
        Act::Wait
    }

    fn hurts(&self, now: (u64, Signals)) -> Option<String> {
        let lowered_ns = self.lowered_ns?;
        if now.0.saturating_sub(lowered_ns) > WINDOW_NS {
            return None;
        }
        let kills = rise(self.since.1.oom_kills, now.1.oom_kills);
        if kills > 0 {
            return Some(format!("{kills} process(es) killed for want of memory"));
        }
        let share = self.share_since(self.since, now);
        let lasted = now.0.saturating_sub(self.since.0) >= PATIENCE_NS;
        (self.is_protected && lasted && share > self.usual + JUMP).then(|| {
            let percent = |share: f64| 100.0 * share.min(1.0);
            format!(
                "it waits {:.0} % of the time, {:.0} % before",
                percent(share),
                percent(self.usual)
            )
        })
    }

    fn pressure(&self, from: (u64, Signals), to: (u64, Signals)) -> Option<String> {
        let percent = |share: f64| format!("{:.0} %", 100.0 * share.min(1.0));
        let throttled = share(from, to, |signals| signals.throttled_us);
        if throttled >= PRESSURE {
            return Some(format!("throttled {} of the time", percent(throttled)));
        }
        let waited = share(from, to, |signals| signals.waited_us);
        let high = rise(from.1.high, to.1.high);
        if high > 0 && waited >= PRESSURE {
            return Some(format!("at its limit, and waits {} of the time", percent(waited)));
        }
        let waits = waited >= WAITING && !self.is_quota;
        waits.then(|| format!("waits {} of the time", percent(waited)))
    }

    /// The share of time lost between two looks.
    fn share_since(&self, from: (u64, Signals), to: (u64, Signals)) -> f64 {
        let throttled = share(from, to, |signals| signals.throttled_us);
        let waited = share(from, to, |signals| signals.waited_us);
        // Who waits for a processor under a quota may wait for others as well; that was so before.
        if self.quantity == Quantity::Cpu && self.is_quota {
            throttled
        } else {
            waited
        }
    }
}

/// How much a counter rose; one that fell was begun anew.
fn rise(from: Option<u64>, to: Option<u64>) -> u64 {
    from.zip(to).map_or(0, |(from, to)| to.saturating_sub(from))
}

/// The share of time that a counter of microseconds took; above 1 where several processors add up.
fn share(from: (u64, Signals), to: (u64, Signals), of: impl Fn(&Signals) -> Option<u64>) -> f64 {
    let span_us = to.0.saturating_sub(from.0) as f64 / 1e3;
    if span_us <= 0.0 {
        return 0.0;
    }
    rise(of(&from.1), of(&to.1)) as f64 / span_us
}

/// What a limit is raised to from `amount`, at most to `ceiling`.
pub(crate) fn raised(quantity: Quantity, amount: f64, ceiling: f64) -> f64 {
    let (factor, least) = match quantity {
        Quantity::Cpu => (1.5, 0.1),
        Quantity::Memory => (1.25, f64::from(16 << 20)),
        _ => (2.0, 0.0),
    };
    (amount * factor).max(amount + least).min(ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::Tree;

    const SECOND: u64 = 1_000_000_000;

    fn cpu(throttled_us: u64) -> Signals {
        Signals {
            throttled_us: Some(throttled_us),
            waited_us: Some(throttled_us),
            ..Signals::default()
        }
    }

    fn memory(high: u64, waited_us: u64, oom_kills: u64) -> Signals {
        Signals {
            high: Some(high),
            waited_us: Some(waited_us),
            oom_kills: Some(oom_kills),
            ..Signals::default()
        }
    }

    fn quota(is_protected: bool) -> Watch {
        Watch::new(Quantity::Cpu, true, is_protected, (0, cpu(0)))
    }

    #[test]
    fn throttling_raises_what_is_protected_and_can_rise() {
        let tick = SECOND / 10;
        assert_eq!(quota(true).look(tick, cpu(4_000), true), Act::Wait, "4 % of the time");
        assert_eq!(
            quota(true).look(tick, cpu(50_000), true),
            Act::Raise("throttled 50 % of the time".to_owned())
        );
        assert_eq!(quota(true).look(tick, cpu(50_000), false), Act::Wait);
        assert_eq!(
            quota(false).look(tick, cpu(50_000), true),
            Act::Wait,
            "it is meant to wait"
        );
        let mut weight = Watch::new(Quantity::Cpu, false, true, (0, Signals::default()));
        let waits = Signals {
            waited_us: Some(30_000),
            ..Signals::default()
        };
        assert_eq!(weight.look(tick, waits, true), Act::Wait, "unread is not zero");
        let more = Signals {
            waited_us: Some(60_000),
            ..Signals::default()
        };
        assert!(matches!(weight.look(2 * tick, more, true), Act::Raise(_)));
        let mut limit = Watch::new(Quantity::Memory, false, true, (0, memory(0, 0, 0)));
        assert!(matches!(limit.look(tick, memory(3, 6_000, 0), true), Act::Raise(_)));
        assert_eq!(limit.look(2 * tick, memory(4, 6_100, 0), true), Act::Wait);
    }

    #[test]
    fn a_jump_after_a_lowering_is_taken_back() {
        let mut watch = quota(true).lowered(0.1);
        assert_eq!(watch.look(SECOND, cpu(900_000), false), Act::Wait, "not long enough");
        assert!(matches!(
            watch.look(2 * SECOND, cpu(1_800_000), false),
            Act::TakeBack(_)
        ));
        let mut usual = quota(true).lowered(0.7);
        assert_eq!(
            usual.look(2 * SECOND, cpu(1_800_000), false),
            Act::Wait,
            "it was so before"
        );
        let mut raised = quota(true);
        assert_eq!(
            raised.look(2 * SECOND, cpu(1_800_000), false),
            Act::Wait,
            "it was not lowered"
        );
        let mut meant = quota(false).lowered(0.0);
        assert_eq!(meant.look(2 * SECOND, cpu(1_800_000), false), Act::Wait);
        let mut late = quota(true).lowered(0.0);
        assert_eq!(late.look(31 * SECOND, cpu(31_000_000), false), Act::Wait);
    }

    #[test]
    fn a_kill_is_taken_back_at_once() {
        let watch = |is_protected| Watch::new(Quantity::Memory, false, is_protected, (0, memory(0, 0, 4)));
        for is_protected in [true, false] {
            let mut watch = watch(is_protected).lowered(0.0);
            assert!(matches!(watch.look(1, memory(0, 0, 5), true), Act::TakeBack(_)));
        }
        assert_eq!(
            watch(false).look(1, memory(0, 0, 5), true),
            Act::Wait,
            "it was not lowered"
        );
    }

    #[test]
    fn what_raises_is_counted_anew() {
        let mut watch = quota(true).lowered(0.0);
        let tick = SECOND / 10;
        for i in 1..=19 {
            assert!(matches!(
                watch.look(i * tick, cpu(i * tick / 1_000), true),
                Act::Raise(_)
            ));
            watch.raised();
        }
        assert!(matches!(watch.look(3 * SECOND, cpu(3_000_000), true), Act::Raise(_)));
    }

    #[test]
    fn steps_end_at_the_ceiling() {
        assert_eq!(raised(Quantity::Cpu, 1.0, 4.0), 1.5);
        assert_eq!(raised(Quantity::Cpu, 0.01, 4.0), 0.11);
        assert_eq!(raised(Quantity::Cpu, 3.0, 4.0), 4.0);
        assert_eq!(raised(Quantity::Disk, 5.0, 100.0), 10.0);
    }

    #[test]
    fn both_versions_are_read() {
        let tree = Tree::new(&[
            (
                "two/web/cpu.stat",
                "usage_usec 9\nnr_periods 5\nnr_throttled 2\nthrottled_usec 77\n",
            ),
            (
                "two/web/cpu.pressure",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=55\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=11\n",
            ),
            ("two/web/memory.events", "low 0\nhigh 3\nmax 0\noom 1\noom_kill 1\n"),
            (
                "two/web/memory.pressure",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=8\n",
            ),
            (
                "one/cpu/web/cpu.stat",
                "nr_periods 5\nnr_throttled 2\nthrottled_time 77000\n",
            ),
            (
                "one/memory/web/memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            ),
            ("one/memory/web/memory.failcnt", "6\n"),
        ]);
        let read = |root: &str, quantity| {
            let root = tree.place().path(root);
            let folder = "web".to_owned();
            Signals::read(&Watched { root, folder }, quantity)
        };
        let two = read("two", Quantity::Cpu);
        assert_eq!((two.throttled_us, two.waited_us), (Some(77), Some(55)));
        assert_eq!(read("two", Quantity::Memory), memory(3, 8, 1));
        let watched = |root: &str| Watched {
            root: tree.place().path(root),
            folder: "web".to_owned(),
        };
        tree.set(
            "two/web/io.pressure",
            "some avg10=12.50 avg60=0.00 avg300=0.00 total=8\n",
        );
        assert_eq!(usual(&watched("two"), Quantity::Disk), 0.125);
        assert_eq!(usual(&watched("none"), Quantity::Disk), 0.0);
        assert_eq!(read("one/cpu", Quantity::Cpu).throttled_us, Some(77));
        let one = read("one/memory", Quantity::Memory);
        assert_eq!((one.high, one.oom_kills, one.waited_us), (Some(6), Some(2), None));
        assert_eq!(read("none", Quantity::Memory), Signals::default());
    }
}
