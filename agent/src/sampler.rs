//! The loop of a real agent: waits, samples, pushes, and begins a new epoch when the host has changed.
//!
//! It runs in a thread of its own. A wake-up there is one system call, and touches nothing but what samples: a runtime's
//! timers, queues and readiness are cold each time, a hundred milliseconds later, and would cost as much as a third of the
//! reading. The network's tasks hear of a frame once it is cut. What is rare stands in functions of its own, so that the
//! code of a sample lies close together; see `docs/decisions/0022-what-a-sample-touches.md`.

use std::{sync::atomic::Ordering, thread, time::Duration};

use runtime::{Clock, Shutdown};
use shadow::{Birth, Channel, Finding, Reading, UnixMs, rate::gap_us};
use tokio::sync::oneshot;

use crate::{
    config::Config,
    error::{AgentError, PublishError},
    flood::Flood,
    inventory,
    pace::{Pace, Vitals},
    probe::{Place, ProbeSet, cpu, pressure},
    publish::Publisher,
    status::{Cost, Meter, SampleMeter},
    timeline::{self, Moment, Timeline},
};

/// How long the last frames and the goodbye may take.
const STOP: Duration = Duration::from_secs(1);

/// The longest sleep, and how often it is looked whether to end: whoever ends the agent waits for so long at most.
const NAP_NS: u64 = 250_000_000;

/// Room for a birth of many metrics; what is not used takes no memory.
const STACK_BYTES: usize = 1 << 20;

/// A host whose cores are this busy between two samples is awake, and one where tasks wait for this share of the time.
const AWAKE: f64 = 0.10;
const WAITS: f64 = 0.02;

/// Samples a host until told to stop.
pub(crate) struct Sampler {
    config: Config,
    place: Place,
    probes: ProbeSet,
    publisher: Publisher,
    clock: Clock,
    pace: Pace,
    watch: Option<(cpu::Watch, pressure::Watch)>,
    timeline: Timeline,
    columns: VitalColumns,
    meter: Meter,
    flood: Flood,
    /// Oldest first, by their numbers on tape.
    taken: Vec<Taken>,
    /// The time of the last sample.
    last_ms: UnixMs,
    /// When the last sample was begun.
    last_ns: Option<u64>,
    cost: SampleMeter,
    /// What a sample costs.
    spent: Duration,
    /// The longest that a sample came late since the last report.
    lag_ns: u64,
    over_budget: bool,
    jumps: u64,
    /// The newest jump, until it is told.
    jump: Vec<Finding>,
}

/// What looks at a host between its samples; nothing where its files are another's.
fn watch(place: &Place) -> Option<(cpu::Watch, pressure::Watch)> {
    let cpu = cpu::Watch::open(place).ok().filter(|_| place.is_inband())?;
    Some((cpu, pressure::Watch::open(place)))
}

/// The most samples that wait to be parsed.
const MAX_TAKEN: usize = 32;

/// A sample whose files are on tape.
#[derive(Debug, Clone, Copy)]
struct Taken {
    begin_ns: u64,
    time_ms: UnixMs,
}

/// When what is due, in nanoseconds of the monotonic clock.
struct Schedule {
    /// When the last sample was begun.
    last: u64,
    sample: u64,
    refresh: u64,
    report: u64,
    /// Whether to end: what tells so is far from all that a sample touches.
    look: u64,
}

impl Sampler {
    /// Tells the first birth.
    pub(crate) fn new(config: Config, place: Place, probes: ProbeSet, publisher: Publisher, clock: Clock) -> Self {
        let mut sampler = Self {
            pace: Pace::new(&config.pace),
            watch: watch(&place),
            timeline: Timeline::new(clock.now_ms(), clock.monotonic_ns()),
            columns: VitalColumns::default(),
            meter: Meter::new(),
            flood: Flood::new(clock.monotonic_ns()),
            taken: Vec::with_capacity(MAX_TAKEN),
            last_ms: 0,
            last_ns: None,
            cost: SampleMeter::default(),
            spent: Duration::ZERO,
            lag_ns: 0,
            over_budget: false,
            jumps: 0,
            jump: Vec::new(),
            config,
            place,
            probes,
            publisher,
            clock,
        };
        sampler.begin();
        sampler
    }

    /// Samples in a thread of its own until `shutdown`, then says goodbye.
    pub(crate) async fn run(self, shutdown: Shutdown) -> Result<(), AgentError> {
        let (back, ended) = oneshot::channel();
        let stop = shutdown.clone();
        // Where nobody waits for it any more, it is dropped: the process ends.
        let thread = thread::Builder::new()
            .name("sampler".to_owned())
            .stack_size(STACK_BYTES);
        let thread = thread.spawn(move || drop(back.send(self.keep_sampling(&stop))));
        let thread = thread.map_err(AgentError::Thread)?;
        let Ok(mut sampler) = ended.await else {
            return Err(panicked(thread));
        };
        if !shutdown.is_triggered() {
            return Err(sampler.publisher.failed().await.into());
        }
        let frames = sampler.publisher.cut();
        let told = sampler.publisher.stop(STOP).await;
        if !told {
            tracing::warn!("the broker has not taken everything before the end: what the spool held is lost");
        }
        tracing::info!(frames, told, "agent stopped");
        Ok(())
    }

    /// Samples until `shutdown`, or until the publisher has failed.
    fn keep_sampling(mut self, shutdown: &Shutdown) -> Self {
        let now = self.clock.monotonic_ns();
        let mut due = Schedule {
            last: now,
            sample: now,
            refresh: now.saturating_add(nanos(self.config.probes.refresh.duration())),
            report: now,
            look: now,
        };
        let watch = nanos(self.config.pace.watch.duration());
        let mut wake = now;
        loop {
            let mut now = self.clock.monotonic_ns();
            if now < wake {
                thread::sleep(Duration::from_nanos((wake - now).min(NAP_NS)));
                now = self.clock.monotonic_ns();
            }
            if now >= due.look {
                due.look = now.saturating_add(NAP_NS);
                if shutdown.is_triggered() || self.publisher.has_failed() {
                    self.catch_up();
                    return self;
                }
            }
            if now < wake {
                continue;
            }
            if wake < due.sample && self.is_awake() {
                // As soon as the budget allows: one that is exceeded is so mostly under load.
                due.sample = due.sample.min(due.last.saturating_add(nanos(self.pace.interval())));
            }
            if now >= due.sample {
                self.turn(&mut due, now);
            }
            wake = due.sample.min(now.saturating_add(watch));
        }
    }

    /// One sample, and whatever else is due.
    fn turn(&mut self, due: &mut Schedule, now: u64) {
        self.lag_ns = self.lag_ns.max(now.saturating_sub(due.sample));
        let interval = self.sample(now);
        due.last = now;
        due.sample = following(due.sample.min(now), nanos(interval), now);
        if now >= due.refresh.min(due.report) {
            self.chores(due, now, interval);
        }
    }

    #[cold]
    fn chores(&mut self, due: &mut Schedule, now: u64, interval: Duration) {
        self.catch_up();
        if now >= due.refresh {
            due.refresh = now.saturating_add(nanos(self.config.probes.refresh.duration()));
            if self.probes.refresh() {
                self.begin();
            }
        }
        if now >= due.report {
            due.report = now.saturating_add(nanos(self.config.status_every.duration()));
            self.report(interval);
        }
    }

    /// Takes one sample that begins at `begin_ns`; returns when to take the next, from then on.
    ///
    /// While nothing hangs on what it says, its files are put on tape and parsed with the others of its frame.
    fn sample(&mut self, begin_ns: u64) -> Duration {
        let time_ms = self.time(begin_ns);
        self.spent = self.cost.next(begin_ns);
        let step_ms = time_ms.saturating_sub(std::mem::replace(&mut self.last_ms, time_ms));
        let waits = self.taken.len() < MAX_TAKEN && self.pace.is_full() && !self.publisher.fills(time_ms, step_ms);
        if waits && self.probes.record(self.taken.len(), begin_ns) {
            self.taken.push(Taken { begin_ns, time_ms });
            return self.pace.interval();
        }
        self.look(begin_ns, time_ms)
    }

    /// Parses and pushes what is on tape, and takes and pushes one sample besides.
    #[inline(never)]
    fn look(&mut self, begin_ns: u64, time_ms: UnixMs) -> Duration {
        self.catch_up();
        self.probes.sample(begin_ns);
        let interval = self.push(begin_ns, time_ms);
        if self.publisher.may_have_found() || self.probes.may_have_found() || !self.jump.is_empty() {
            self.tell_findings(time_ms, begin_ns);
        }
        if interval >= self.config.frame.span.duration() {
            self.publisher.cut();
        }
        let over = self.pace.is_over_budget();
        if over != self.over_budget {
            self.over_budget = over;
            self.tell_budget(over);
        }
        interval
    }

    /// Parses and pushes what is on tape, in its order.
    fn catch_up(&mut self) {
        let mut taken = std::mem::take(&mut self.taken);
        for (number, Taken { begin_ns, time_ms }) in taken.drain(..).enumerate() {
            self.probes.play(number, begin_ns);
            self.push(begin_ns, time_ms);
        }
        self.taken = taken;
    }

    /// Pushes the row that was read last; returns when to take the next sample, from the begin of this one.
    fn push(&mut self, begin_ns: u64, time_ms: UnixMs) -> Duration {
        let row = self.probes.row();
        let vitals = self.columns.vitals(row);
        let gap_us = gap_us(self.last_ns.replace(begin_ns).unwrap_or(begin_ns), begin_ns);
        if let Err(fault) = self.publisher.push_rated(time_ms, gap_us, row) {
            dropped(&fault);
        }
        self.pace.next(vitals, self.spent)
    }

    #[cold]
    fn tell_findings(&mut self, time_ms: UnixMs, now_ns: u64) {
        let mut findings = self.probes.take_findings();
        findings.extend(self.publisher.take_findings());
        findings.append(&mut self.jump);
        for finding in findings {
            for finding in self.flood.pass(now_ns, finding) {
                let (source, subject) = (&*finding.source, &*finding.subject);
                tracing::info!(source, subject, kind = finding.kind, text = finding.text, "event");
                if let Err(fault) = self.publisher.event(time_ms, finding) {
                    tracing::warn!(%fault, "event dropped");
                }
            }
        }
    }

    /// The time of a sample that is taken now. A clock that was set begins a new epoch.
    fn time(&mut self, monotonic_ns: u64) -> UnixMs {
        match self.timeline.at(self.clock.now_ms(), monotonic_ns) {
            Moment::At(time_ms) => time_ms,
            Moment::Jumped { to, by_ms } => {
                self.jumped(to, by_ms);
                to
            }
        }
    }

    #[cold]
    fn jumped(&mut self, to: UnixMs, by_ms: i64) {
        self.catch_up();
        self.jumps += 1;
        tracing::warn!(by_ms, jumps = self.jumps, "the system's clock was set: new epoch");
        self.begin();
        self.jump.push(timeline::jumped(to, by_ms));
    }

    fn begin(&mut self) {
        let catalogue = self.probes.catalogue().clone();
        self.columns = VitalColumns::new(&catalogue);
        let mut inventory = inventory::inventory(&self.place);
        self.probes.describe(&mut inventory);
        let birth = Birth {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            catalogue,
            sources: self.probes.sources(),
            capacity: inventory::capacity(&self.config, &self.place),
            inventory,
            workloads: inventory::workloads(&self.config, &self.place),
            ..Birth::default()
        };
        let (metrics, workloads) = (birth.catalogue.len(), birth.workloads.len());
        let epoch = self.publisher.begin(birth);
        tracing::info!(epoch, metrics, workloads, "epoch begins");
    }

    /// Whether a resting host has woken up. Costs some ten microseconds.
    fn is_awake(&mut self) -> bool {
        let now_ns = self.clock.monotonic_ns();
        let awake = self.watch.as_mut().is_some_and(|(cpu, pressure)| {
            // Both are looked at each time, for each tells of the time since the last look.
            let (busy, waited) = (cpu.busy(), pressure.waited(now_ns));
            busy.is_some_and(|busy| busy >= AWAKE) || waited >= WAITS
        });
        if awake {
            self.pace.wake();
        }
        awake
    }

    #[cold]
    fn tell_budget(&self, over: bool) {
        self.place.slowed.store(over, Ordering::Relaxed);
        let interval_ms = self.pace.interval().as_millis();
        tracing::warn!(
            over,
            interval_ms,
            budget = self.config.pace.budget,
            "sampling costs more than its budget: rate adapted"
        );
    }

    fn report(&mut self, interval: Duration) {
        let (cpu, rss_bytes) = self.meter.read(self.clock.monotonic_ns());
        self.pace.memory(rss_bytes);
        let lag_ns = std::mem::take(&mut self.lag_ns);
        self.publisher.report(Cost {
            interval_ms: millis(interval),
            lag_ms: lag_ns / 1_000_000,
            cpu,
            rss_bytes,
        });
    }
}

#[cold]
fn dropped(fault: &PublishError) {
    tracing::warn!(%fault, "sample dropped");
}

/// What the thread said before it ended by itself.
fn panicked(thread: thread::JoinHandle<()>) -> AgentError {
    let said = thread.join().err();
    let word = said.as_ref().and_then(|said| said.downcast_ref::<&str>().copied());
    let words = said.as_ref().and_then(|said| said.downcast_ref::<String>());
    AgentError::Panicked {
        task: "sampler",
        reason: words.map_or(word.unwrap_or("a panic"), String::as_str).to_owned(),
    }
}

/// When the next sample is due: on the raster of the last one, without making good for what was missed.
fn following(last: u64, interval: u64, now: u64) -> u64 {
    let next = last.saturating_add(interval);
    if next > now { next } else { now.saturating_add(interval) }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Where the vital signs stand in a row.
#[derive(Debug, Default)]
struct VitalColumns {
    channels: [Option<usize>; Channel::COUNT],
    pressure: Vec<usize>,
}

impl VitalColumns {
    fn new(catalogue: &shadow::Catalogue) -> Self {
        let names = ["pressure.cpu.some", "pressure.memory.some", "pressure.io.some"];
        Self {
            channels: catalogue.channel_columns(),
            pressure: names.iter().filter_map(|name| catalogue.column(name)).collect(),
        }
    }

    fn vitals(&self, row: &[Reading]) -> Vitals {
        let value = |column: usize| row.get(column).and_then(|reading| reading.value());
        let [cpu, memory, rx, tx, read, write, _] = self.channels.map(|column| column.and_then(value));
        let sum = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        Vitals {
            cpu,
            memory,
            pressure: self
                .pressure
                .iter()
                .filter_map(|&column| value(column))
                .reduce(f64::max),
            network: sum(rx, tx),
            disk: sum(read, write),
        }
    }
}
