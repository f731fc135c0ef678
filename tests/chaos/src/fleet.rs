//! A process of many agents, each with a spool of its own, that take samples until a file tells them to stop.

use std::{path::PathBuf, time::Duration};

use agent::{
    act::{Levers, dry_run::DryRun},
    publish::{Fsync, Kept, Places, Publisher, Settings},
};
use anyhow::{Context, ensure};
use bus::Topics;
use runtime::Clock;
use shadow::{Birth, Capacity, UnixMs, frame::end_of_span};
use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{
    ledger::{Ledger, Taken},
    signal,
};

/// The distance of samples.
const STEP: Duration = Duration::from_millis(200);
/// The distance of those after the end.
const REST: Duration = Duration::from_secs(3);
/// How long a frame is.
const FRAME_MS: i64 = 1_000;

/// Which hosts, and where everything is.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The first host
    #[arg(long)]
    pub(crate) first: usize,
    /// How many
    #[arg(long)]
    pub(crate) hosts: usize,
    /// Port of the broker on loopback
    #[arg(long)]
    pub(crate) port: u16,
    /// Folder of the spools and the ledger
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// Bytes of frames that an agent keeps in memory
    #[arg(long)]
    pub(crate) memory: usize,
    /// Bytes of frames that an agent keeps on disk
    #[arg(long)]
    pub(crate) disk: u64,
}

impl Arguments {
    /// Once it is there, no more samples are taken.
    pub(crate) fn enough(&self) -> PathBuf {
        self.folder.join("enough")
    }

    /// What the agents took.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }
}

/// The name of a host.
pub(crate) fn name(host: usize) -> String {
    format!("host-{host:03}")
}

/// One agent.
struct Agent {
    host: usize,
    publisher: Publisher,
    epoch: u64,
    /// Frames cut so far in this epoch.
    frames: u64,
    /// Times of the samples that are in no frame yet.
    times_ms: Vec<UnixMs>,
}

/// Runs until the process is killed.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let clock = Clock::system();
    let metrics = signal::catalogue().len();
    let mut ledger = Ledger::open(&arguments.ledger())?;
    let mut agents = Vec::new();
    for host in arguments.first..arguments.first + arguments.hosts {
        agents.push(Agent::start(arguments, host, &clock).await?);
    }
    let mut step = interval_at(Instant::now() + STEP, STEP);
    step.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !arguments.enough().exists() {
        step.tick().await;
        for agent in &mut agents {
            agent.sample(clock.now_ms(), metrics, &mut ledger)?;
        }
    }
    for agent in &mut agents {
        agent.cut(&mut ledger)?;
    }
    // What is not durable yet is told until somebody ends the process. An agent goes on, be it slowly: what follows
    // shows the brain what it misses. These frames count as nobody's.
    let mut rest = interval_at(Instant::now() + REST, REST);
    loop {
        rest.tick().await;
        for agent in &mut agents {
            let time_ms = clock.now_ms();
            let row = signal::row(agent.host, time_ms, metrics);
            agent.publisher.push_rated(time_ms, 0, &row)?;
            agent.publisher.cut();
        }
    }
}

impl Agent {
    async fn start(arguments: &Arguments, host: usize, clock: &Clock) -> anyhow::Result<Self> {
        let places = Places {
            memory_bytes: arguments.memory,
            ram: Some(arguments.folder.join("ram").join(name(host))),
            disk: Some(arguments.folder.join("disk").join(name(host))),
            disk_bytes: arguments.disk,
            fsync: Fsync::Never,
        };
        let kept = spawn_blocking(move || Kept::open(&places)).await?;
        let settings = Settings {
            // They are cut here, where the ledger can see it.
            frame_ms: 86_400_000,
            spool_bytes: arguments.memory,
            ..Settings::new(
                Topics::new("foreshadow", "main")?,
                name(host),
                bus::Broker::new("127.0.0.1", arguments.port),
            )
        };
        let levers = Levers::dry(DryRun::detached());
        let publisher = Publisher::resume(settings, kept?, levers, clock.clone());
        let mut publisher = publisher.with_context(|| name(host))?;
        let epoch = publisher.begin(Birth {
            agent_version: "chaos".to_owned(),
            catalogue: signal::catalogue(),
            capacity: Capacity {
                cpu_cores: Some(4.0),
                ..Capacity::default()
            },
            ..Birth::default()
        });
        Ok(Self {
            host,
            publisher,
            epoch,
            frames: 0,
            times_ms: Vec::new(),
        })
    }

    /// Takes a sample; frames end where seconds of their epoch do.
    fn sample(&mut self, time_ms: UnixMs, metrics: usize, ledger: &mut Ledger) -> anyhow::Result<()> {
        let first_ms = self.times_ms.first();
        if first_ms.is_some_and(|&first_ms| time_ms >= end_of_span(self.epoch, first_ms, FRAME_MS)) {
            self.cut(ledger)?;
        }
        let row = signal::row(self.host, time_ms, metrics);
        // Two samples in one millisecond, or a clock that was set: none was taken.
        if self.publisher.push_rated(time_ms, signal::GAP_US, &row).is_ok() {
            self.times_ms.push(time_ms);
        }
        Ok(())
    }

    /// Cuts a frame of the samples so far, and writes it into the ledger.
    fn cut(&mut self, ledger: &mut Ledger) -> anyhow::Result<()> {
        if self.times_ms.is_empty() {
            return Ok(());
        }
        let frames = self.publisher.cut();
        ensure!(
            frames == self.frames + 1,
            "{} frames of {} are cut",
            frames,
            self.frames + 1
        );
        ledger.write(&Taken {
            host: self.host,
            epoch: self.epoch,
            sequence: self.frames,
            times_ms: std::mem::take(&mut self.times_ms),
        })?;
        self.frames += 1;
        Ok(())
    }
}
