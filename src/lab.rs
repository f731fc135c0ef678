//! `foreshadow lab`: hosts replayed from traces through the real path, faster than time.
//!
//! Broker, brain and hosts run in this process and talk over MQTT on loopback, as ever; only time is virtual.
//! Each step sets the clock, lets every host tell what it did since the step before, waits until all of it
//! has reached the brain, and lets the brain do what is due. So the outcome hangs on traces and seed alone,
//! and not on the speed.

mod fleet;
mod timeline;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use bus::Topics;
use clap::{Args, ValueEnum};
use runtime::{
    Clock, Shutdown, Span,
    output::print_line,
    process::{Usage, raise_file_limit},
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    live,
    stop::{self, Core},
    table,
    trace::{self, Trace},
};
use fleet::{Fleet, LINK_BYTES_PER_S};
use timeline::Timeline;

/// How long frames may take from a host to the brain before the lab gives up, in real time.
const ARRIVAL: Duration = Duration::from_secs(30);
/// Connections beside those of the hosts: the brain, its database, and those who look at page and broker.
const LOOKERS: usize = 100;
/// How long the replayed hosts may take to say goodbye.
const STOP: Duration = Duration::from_secs(1);
/// What the brain keeps in memory of a replay, in grid rows: a day of 10 s steps at least, six weeks of minutes at most.
const MIN_ROWS: i64 = 8_640;
const MAX_ROWS: i64 = 60_480;

/// What is replayed, and how.
#[derive(Debug, Args)]
pub(crate) struct LabArgs {
    /// How many hosts; more than there are traces repeats them from another moment on [default: one a trace]
    #[arg(long, value_name = "N")]
    hosts: Option<usize>,
    /// Folder of trace CSVs, one a host [default: the recording that ships with foreshadow]
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,
    /// How much faster than time, at most
    #[arg(long, value_name = "FACTOR", default_value_t = 600.0)]
    speed: f64,
    /// What byte rates in the traces are
    #[arg(long, value_enum, default_value_t = Rates::Auto)]
    rates: Rates,
    /// Seed of everything random in training
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Where the page is served; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    page: SocketAddr,
    /// Go on serving the page after the end, until Ctrl-C
    #[arg(long)]
    stay: bool,
}

/// What byte rates in traces are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rates {
    /// Normalised where none in the whole set exceeds 1.5
    Auto,
    /// Bytes a second
    Bytes,
    /// Shares, 0 to 1
    Normalised,
}

/// Replays to the end, or until a signal comes, and prints the table.
pub(crate) async fn main(arguments: LabArgs) -> anyhow::Result<()> {
    let speed = arguments.speed;
    ensure!(
        speed > 0.0 && speed.is_finite(),
        Usage(format!("--speed {speed}: must be above 0"))
    );
    ensure!(
        arguments.hosts != Some(0),
        Usage("--hosts 0: at least one is needed".to_owned())
    );
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("cannot listen to signals")?;
    let traces = match &arguments.traces {
        Some(folder) => trace::read_folder(folder)?,
        None => trace::shipped()?,
    };
    let mut lab = Lab::start(&arguments, &traces).await?;
    lab.introduce(&traces)?;
    let snapshot = lab.core.brain.snapshot();
    let ended = tokio::select! {
        ended = lab.replay(speed) => ended,
        () = live::show(snapshot, &shutdown) => Ok(()),
    };
    if ended.is_ok() {
        lab.report().await?;
        if arguments.stay {
            print_line("the page goes on; Ctrl-C ends")?;
            shutdown.wait().await;
        }
    }
    let stopped = lab.stop().await;
    // What failed first is the cause.
    ended.and(stopped)
}

/// A lab at work.
struct Lab<'a> {
    core: Core,
    fleet: Fleet<'a>,
    clock: Clock,
    timeline: Timeline,
    hosts: usize,
    normalised: bool,
    /// Deleted when the lab is dropped.
    _data: TempDir,
}

impl<'a> Lab<'a> {
    async fn start(arguments: &LabArgs, traces: &'a [Trace]) -> anyhow::Result<Self> {
        let timeline = Timeline::of(traces);
        let clock = Clock::manual(timeline.start_ms);
        let data = TempDir::with_prefix("foreshadow-lab-").context("no folder for the lab's data")?;
        let [broker_stop, brain_stop] = [(); 2].map(|()| Shutdown::new());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let hosts = arguments.hosts.unwrap_or(traces.len());
        has_room_for(hosts)?;
        let defaults = broker::Config::default();
        let broker = broker::Config {
            listen,
            limits: broker::Limits {
                max_connections: defaults.limits.max_connections.max(hosts + LOOKERS),
                ..defaults.limits
            },
            ..defaults
        };
        let broker = broker::start(broker, broker_stop.clone()).await?;
        let config = brain_config(arguments, timeline, data.path(), broker.addr());
        let topics = Topics::new(&config.prefix, &config.cell)?;
        let brain = brain::start(config, clock.clone(), brain_stop.clone()).await?;
        listens(&brain).await?;
        let normalised = is_normalised(arguments.rates, traces);
        let address = (&*broker.addr().ip().to_string(), broker.addr().port());
        let fleet = Fleet::start(traces, hosts, normalised, &topics, address, &clock)?;
        Ok(Self {
            core: Core {
                brain,
                brain_stop,
                broker,
                broker_stop,
            },
            fleet,
            clock,
            timeline,
            hosts,
            normalised,
            _data: data,
        })
    }

    fn introduce(&self, traces: &[Trace]) -> anyhow::Result<()> {
        let hours = self.timeline.length_ms() as f64 / 3.6e6;
        let step_s = self.timeline.step_ms / 1_000;
        print_line(&format!("page    http://{}", self.core.brain.page_addr()))?;
        print_line(&format!("broker  mqtt://{}", self.core.broker.addr()))?;
        print_line(&format!(
            "lab     {} hosts, {hours:.1} h in steps of {step_s} s",
            self.hosts
        ))?;
        if self.normalised {
            print_line("rates   normalised: 1 is taken as 125 MB/s")?;
        }
        if self.hosts > traces.len() {
            print_line("repeat  hosts that share a trace know each other's future: scores flatter")?;
        }
        let unknown: BTreeSet<&str> = traces
            .iter()
            .flat_map(|trace| &trace.unknown)
            .map(String::as_str)
            .collect();
        if !unknown.is_empty() {
            let names: Vec<&str> = unknown.into_iter().collect();
            print_line(&format!("ignored columns: {}", names.join(", ")))?;
        }
        Ok(())
    }

    /// Step by step to the end, no faster than `speed` times real time.
    async fn replay(&mut self, speed: f64) -> anyhow::Result<()> {
        let start = Instant::now();
        for now_ms in self.timeline.steps() {
            self.clock.set(now_ms);
            let frames = self.fleet.tell(now_ms)?;
            self.arrived(frames).await?;
            self.core.brain.tick(now_ms).await;
            let virtual_s = (now_ms - self.timeline.start_ms) as f64 / 1e3;
            sleep_until(start + Duration::from_secs_f64(virtual_s / speed)).await;
        }
        Ok(())
    }

    /// Waits until the brain has taken in `frames`.
    async fn arrived(&mut self, frames: u64) -> anyhow::Result<()> {
        let mut ingested = self.core.brain.ingested();
        let arrival = timeout(ARRIVAL, ingested.wait_for(|&count| count >= frames));
        tokio::select! {
            arrived = arrival => match arrived {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) => Err(anyhow!("the brain has ended")),
                Err(_) => Err(anyhow!("{} of {frames} frames reached the brain within {ARRIVAL:?}: is this machine busy? try fewer --hosts or a lower --speed", *self.core.brain.ingested().borrow())),
            },
            ended = self.core.broker.ended() => match ended {
                Ok(()) => Err(anyhow!("the broker has ended")),
                Err(error) => Err(anyhow!(error).context("the broker has ended")),
            },
        }
    }

    async fn report(&self) -> anyhow::Result<()> {
        let scores = self.core.brain.scores().await.context("the brain has ended")?;
        let normalised = self.normalised.then_some(LINK_BYTES_PER_S);
        let snapshot = self.core.brain.snapshot().borrow().clone();
        print_line(&format!("\n{}", table::render(&scores, normalised)))?;
        print_line(&format!("model   {}: {}", snapshot.model.state, snapshot.model.note))?;
        print_line(&format!("page    http://{}", self.core.brain.page_addr()))?;
        Ok(())
    }

    async fn stop(self) -> anyhow::Result<()> {
        stop::in_order(self.fleet.stop(STOP), self.core).await
    }
}

/// Whether this process may have both ends of all connections open.
fn has_room_for(hosts: usize) -> anyhow::Result<()> {
    let files = raise_file_limit().context("no more files can be opened than by default")?;
    let needed = 2 * (hosts + LOOKERS) as u64;
    ensure!(
        needed <= files,
        "--hosts {hosts}: they need {needed} open files, and this process may have {files}: `ulimit -n {needed}` beforehand, or fewer hosts"
    );
    Ok(())
}

/// Waits until the brain hears what hosts tell: on virtual time no later frame shows that one is missing.
async fn listens(brain: &brain::Handle) -> anyhow::Result<()> {
    let mut connected = brain.connected();
    let connected = timeout(ARRIVAL, connected.wait_for(|&connected| connected)).await;
    connected
        .context("the brain does not reach the broker")?
        .context("the brain has ended")?;
    Ok(())
}

/// The brain as ever, but moved by the lab's clock, with a grid that fits the traces, and waiting for its trainings.
fn brain_config(arguments: &LabArgs, timeline: Timeline, data: &Path, broker: SocketAddr) -> brain::Config {
    let step = Span::from_millis(timeline.step_ms.unsigned_abs());
    let defaults = brain::Config::default();
    let rows = (timeline.length_ms() / timeline.step_ms).clamp(MIN_ROWS, MAX_ROWS);
    let horizon = |k: i64| Span::from_millis((timeline.step_ms.max(300_000) * k).unsigned_abs());
    brain::Config {
        cell: "lab".to_owned(),
        data_dir: data.to_owned(),
        ticks: brain::Ticks::Manual,
        broker: bus::Broker::new(broker.ip().to_string(), broker.port()),
        page: brain::config::Page {
            listen: arguments.page,
            ..defaults.page
        },
        ingest: brain::config::Ingest {
            max_ahead: Span::from_secs(0),
            max_skew: Span::from_secs(0),
            stale_after: Span::from_millis(timeline.step_ms.unsigned_abs() * 3).max(defaults.ingest.stale_after),
            max_hosts: defaults.ingest.max_hosts.max(arguments.hosts.unwrap_or(0)),
            ..defaults.ingest
        },
        grid: brain::config::Grid {
            step,
            length: Span::from_millis((rows * timeline.step_ms).unsigned_abs()),
            grace: Span::from_secs(0),
        },
        forecast: brain::config::Forecast {
            horizons: [1, 2, 3].map(horizon).to_vec(),
            wait: true,
            // All of it is in memory: what is durable by now hangs on the lab's speed.
            history: Span::from_millis((rows * timeline.step_ms).unsigned_abs()),
            training: forecast::Training {
                seed: arguments.seed,
                ..defaults.forecast.training
            },
            ..defaults.forecast
        },
        ..defaults
    }
}

pub(crate) fn is_normalised(rates: Rates, traces: &[Trace]) -> bool {
    match rates {
        Rates::Bytes => false,
        Rates::Normalised => true,
        Rates::Auto => {
            let largest = traces.iter().map(Trace::largest_rate).fold(0.0, f64::max);
            largest > 0.0 && largest <= 1.5
        }
    }
}
