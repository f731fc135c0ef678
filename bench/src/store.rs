//! How fast and how small the brain keeps what came, in SQLite and in a TimescaleDB, against `psql \copy` of the same
//! points into a narrow hypertable.
//!
//! Time is the wall clock's: a server works in processes of its own. Batches are those of the real brain: frames of five
//! seconds of all hosts with the rows, minutes and watermarks that they bring.

mod psql;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use brain::{
    history::{Column, Database, History, Resolution},
    intake::Durable,
};
use runtime::{Clock, Shutdown};
use shadow::{Birth, Capacity, Workload};
use tokio::runtime::Runtime as Tokio;

use self::psql::Psql;
use crate::{
    ingest::{Fleet, HOSTS},
    recording::{self, Levels},
    report::{Quantity, Report, Rival},
};

/// Seconds of frames in a batch: `store.flush_every`.
const FLUSH_S: usize = 5;
/// Hosts of the case `rollup`, and rows of each: two hours.
const ROW_HOSTS: usize = 200;
const ROWS: i64 = 720;
/// Figures in a row of the grid: mean, extremes, last one and 95th percentile of seven channels.
const ROW_FIGURES: usize = 35;
/// Readings that a row sums up: seven channels, ten times a second for ten seconds. They are the points of a row, as they are of a
/// frame: they are what comes, what the rival is given, and what nothing else is kept of past `store.keep_frames`.
const ROW_READINGS: usize = 700;
/// Points that the rival gets: enough for some seconds.
const COPY_POINTS: usize = 500_000;

/// Hosts of the case `read-24h`, minutes of each, and how often one's are read.
const READ_HOSTS: usize = 20;
const DAY_MINUTES: i64 = 1_440;
const READ_ROWS: usize = 1_440;
const READS: usize = 51;

/// Hosts of the case `start-1000`, each with a minute of frames, a quarter of a day in minutes, its own and those of four
/// workloads, and as many rows of the grid as memory takes.
const START_HOSTS: usize = 1_000;
const START_WORKLOADS: [&str; 4] = ["web", "database", "queue", "batch"];
const START_ROWS: i64 = 2_160;
/// How often it starts: the median counts.
const STARTS: usize = 3;

/// What the two may take at most.
const READ_LIMIT_MS: f64 = 5.0;
const START_LIMIT_MS: f64 = 3_000.0;

const MS: Quantity = Quantity {
    metric: "ms",
    unit: "ms",
};
const POINTS_PER_S: Quantity = Quantity {
    metric: "points_per_s",
    unit: "1/s",
};
/// Of a row by what is written: the rival would write each figure as a point of its own.
const FIGURES_PER_S: Quantity = Quantity {
    metric: "figures_per_s",
    unit: "1/s",
};
const BYTES_PER_FIGURE: Quantity = Quantity {
    metric: "bytes_per_figure",
    unit: "B",
};
const BYTES_PER_POINT: Quantity = Quantity {
    metric: "bytes_per_point",
    unit: "B",
};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A recording of raw counters, or a trace; CSV, or gzipped with the ending .gz. Without it: our own traces.
    #[arg(long, value_name = "FILE")]
    telemetry: Option<PathBuf>,
    /// A TimescaleDB in which schemas may be made: ours, and that of the rival. They are dropped at the end
    #[arg(long, value_name = "URL")]
    database: String,
    /// Only this case, such as `start-1000/sqlite`; may be given more than once. Without it: all of them
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<String>,
}

/// What a store did with points.
#[derive(Clone, Copy)]
struct Kept {
    points: f64,
    took: Duration,
    bytes: f64,
}

/// Where a case keeps its points.
const PLACES: [&str; 2] = ["timescale", "sqlite"];
/// What is measured at each.
const CASES: [&str; 4] = ["segments", "rollup", "read-24h", "start-1000"];

impl Arguments {
    fn wants(&self, case: &str, place: &str) -> bool {
        self.cases.is_empty() || self.cases.contains(&named(case, place))
    }

    fn check(&self) -> anyhow::Result<()> {
        let all = PLACES.iter().flat_map(|place| CASES.map(|case| named(case, place)));
        let known: Vec<String> = all.collect();
        for case in &self.cases {
            ensure!(
                known.contains(case),
                "there is no case {case:?}; known are {}",
                known.join(", ")
            );
        }
        Ok(())
    }
}

/// Runs all cases that are asked for.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    arguments.check()?;
    let path = arguments.telemetry.clone().map_or_else(recording::own, Ok)?;
    let recording = recording::read(&path, Levels::Bound)?;
    let fleet = Fleet::new(&recording)?;
    let psql = Psql::new(&arguments.database);
    let runtime = Tokio::new()?;
    let mut report = Report::new("store");
    let is_rivalled = |place: &&str| ["segments", "rollup"].iter().any(|case| arguments.wants(case, place));
    let rival = PLACES.iter().any(is_rivalled);
    let copied = rival.then(|| psql.copy(&recording.samples, COPY_POINTS)).transpose()?;
    for (place, database) in PLACES.into_iter().zip([Some(&psql), None]) {
        if let Some(copied) = copied.filter(|_| arguments.wants("segments", place)) {
            let kept = runtime.block_on(segments(&fleet, database))?;
            tell(&mut report, "segments", place, kept, copied);
        }
        if let Some(copied) = copied.filter(|_| arguments.wants("rollup", place)) {
            let rows = runtime.block_on(rows(database))?;
            tell(&mut report, "rollup", place, rows, copied);
            tell_figures(&mut report, place, rows, copied);
        }
        if arguments.wants("read-24h", place) {
            let took = runtime.block_on(read(database))?;
            tell_limit(&mut report, &named("read-24h", place), took, READ_LIMIT_MS);
        }
        if arguments.wants("start-1000", place) {
            let took = runtime.block_on(start(&fleet, database))?;
            tell_limit(&mut report, &named("start-1000", place), took, START_LIMIT_MS);
        }
    }
    Ok(report)
}

fn tell_limit(report: &mut Report, case: &str, took: Duration, value: f64) {
    let name = "limit";
    report.push(case, MS, took.as_secs_f64() * 1e3, Rival { name, value });
}

/// The case by itself is the server's; the file's has its name behind it.
fn named(case: &str, place: &str) -> String {
    match place {
        "timescale" => case.to_owned(),
        other => format!("{case}/{other}"),
    }
}

fn tell(report: &mut Report, case: &str, place: &str, ours: Kept, rival: Kept) {
    let case = named(case, place);
    let per_s = |kept: Kept| kept.points / kept.took.as_secs_f64();
    for (quantity, of) in [
        (POINTS_PER_S, &per_s as &dyn Fn(Kept) -> f64),
        (BYTES_PER_POINT, &|kept: Kept| kept.bytes / kept.points),
    ] {
        let rival = Rival {
            name: "psql-copy",
            value: of(rival),
        };
        report.push(&case, quantity, of(ours), rival);
    }
}

/// The same rows by the figures that are written: a minute's, one in six, come on top and are not counted.
fn tell_figures(report: &mut Report, place: &str, rows: Kept, copied: Kept) {
    let figures = rows.points / ROW_READINGS as f64 * ROW_FIGURES as f64;
    let seconds = |kept: Kept| kept.took.as_secs_f64();
    for (quantity, ours, value) in [
        (FIGURES_PER_S, figures / seconds(rows), copied.points / seconds(copied)),
        (BYTES_PER_FIGURE, rows.bytes / figures, copied.bytes / copied.points),
    ] {
        let name = "psql-copy";
        report.push(&named("rollup", place), quantity, ours, Rival { name, value });
    }
}

/// Frames of all hosts, with all that the brain writes beside them.
async fn segments(fleet: &Fleet, database: Option<&Psql>) -> anyhow::Result<Kept> {
    let place = Place::new(database)?;
    let mut durable = place.open().await?;
    let mut intake = fleet.brain()?;
    durable.write(&mut intake).await?;
    let mut took = Duration::ZERO;
    for batch in fleet.deltas().chunks(FLUSH_S * HOSTS) {
        for (topic, payload) in batch {
            intake.message(topic.clone(), payload.clone(), fleet.now_ms);
        }
        intake.tick(fleet.now_ms);
        let begun = Instant::now();
        durable.write(&mut intake).await?;
        took += begun.elapsed();
    }
    durable.close().await?;
    Ok(Kept {
        points: fleet.points(),
        took,
        bytes: place.bytes()?,
    })
}

/// Rows of the grid alone, a batch every ten seconds.
async fn rows(database: Option<&Psql>) -> anyhow::Result<Kept> {
    let place = Place::new(database)?;
    let mut durable = place.open().await?;
    let hosts: Vec<Arc<str>> = (0..ROW_HOSTS).map(|host| format!("host-{host}").into()).collect();
    let first = 176_400_000;
    let begun = Instant::now();
    for row in first..first + ROWS {
        durable.write_row(&hosts, row * 10_000).await?;
    }
    let took = begun.elapsed();
    durable.close().await?;
    Ok(Kept {
        points: (ROW_HOSTS * ROW_READINGS) as f64 * ROWS as f64,
        took,
        bytes: place.bytes()?,
    })
}

/// How long it takes to read a day of one host's resources by minutes, among others: the median of many times.
async fn read(database: Option<&Psql>) -> anyhow::Result<Duration> {
    let place = Place::new(database)?;
    let mut durable = place.open().await?;
    let hosts: Vec<Arc<str>> = (0..READ_HOSTS).map(|host| format!("host-{host}").into()).collect();
    let first_ms = 1_764_000_000_000;
    for minute in 0..DAY_MINUTES {
        durable.write_row(&hosts, first_ms + minute * 60_000).await?;
    }
    durable.close().await?;
    let mut history = History::open(&Database::of(&place.config())).await?;
    let columns = Column::means(None);
    let within = first_ms..first_ms + DAY_MINUTES * 60_000;
    let mut times = Vec::new();
    for _ in 0..READS {
        let begun = Instant::now();
        let told = history
            .page("host-1", &columns, &within, (Resolution::Minute, READ_ROWS))
            .await?;
        times.push(begun.elapsed());
        ensure!(
            told.begin_ms.len() == READ_ROWS,
            "{} rows were read",
            told.begin_ms.len()
        );
    }
    median(times)
}

/// How long a brain takes until it is ready, with the past of a whole fleet: its rows, minutes of its workloads, a minute of frames of which the newest
/// are read again, what detectors and books have learnt, commands with their answers, and a network, by which the newest rows
/// are stepped through again.
async fn start(fleet: &Fleet, database: Option<&Psql>) -> anyhow::Result<Duration> {
    let place = Place::new(database)?;
    let mut durable = place.open().await?;
    let hosts: Vec<Arc<str>> = (0..START_HOSTS).map(|host| format!("host-{host}").into()).collect();
    let workloads = START_WORKLOADS.map(str::to_owned);
    let mut intake = fleet.brain_of(START_HOSTS, &with_workloads(fleet, &workloads))?;
    durable.write(&mut intake).await?;
    let now = fleet.now_ms.div_euclid(10_000);
    for row in now - START_ROWS..now {
        durable.write_row(&hosts, row * 10_000).await?;
        if row % 6 == 0 {
            durable.write_workloads(&hosts, &workloads, row * 10_000).await?;
        }
    }
    durable.write_learnt(&hosts, fleet.now_ms, place.folder.path()).await?;
    for batch in fleet.deltas_of(START_HOSTS).chunks(FLUSH_S * START_HOSTS) {
        for (topic, payload) in batch {
            intake.message(topic.clone(), payload.clone(), fleet.now_ms);
        }
        durable.write(&mut intake).await?;
    }
    durable.close().await?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let clock = Clock::manual(fleet.now_ms);
        let (begun, shutdown) = (Instant::now(), Shutdown::new());
        let brain = brain::start(place.config(), clock, shutdown.clone()).await?;
        times.push(begun.elapsed());
        shutdown.trigger("measured");
        brain.join().await?;
    }
    median(times)
}

fn median(mut times: Vec<Duration>) -> anyhow::Result<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied().context("nothing was measured")
}

/// A birth of the fleet's that tells of these workloads, and of what their host has: without it they are not forecast.
fn with_workloads(fleet: &Fleet, names: &[String]) -> Birth {
    let workload = |name: &String| Workload {
        name: name.clone(),
        criticality: 50,
        class: "default".to_owned(),
    };
    Birth {
        capacity: Capacity {
            cpu_cores: Some(64.0),
            memory_bytes: Some(256e9),
            ..Capacity::default()
        },
        workloads: names.iter().map(workload).collect(),
        ..fleet.birth.clone()
    }
}

/// Where a store of one case is.
struct Place<'a> {
    folder: tempfile::TempDir,
    server: Option<(&'a Psql, String)>,
}

impl<'a> Place<'a> {
    fn new(database: Option<&'a Psql>) -> anyhow::Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            server: database.map(|psql| (psql, psql.schema())),
        })
    }

    async fn open(&self) -> anyhow::Result<Durable> {
        let database = self.server.as_ref().map(|(psql, schema)| (psql.url(), &**schema));
        Ok(Durable::open(self.folder.path(), database).await?)
    }

    /// A brain that keeps what comes here.
    fn config(&self) -> brain::Config {
        let mut config = brain::Config {
            data_dir: self.folder.path().to_owned(),
            ..Default::default()
        };
        config.page.listen = ([127, 0, 0, 1], 0).into();
        if let Some((psql, schema)) = &self.server {
            config.store.database = Some(psql.url().to_owned());
            config.store.schema.clone_from(schema);
        }
        config
    }

    /// What it takes on disk.
    fn bytes(&self) -> anyhow::Result<f64> {
        match &self.server {
            Some((psql, schema)) => psql.bytes(schema),
            None => size(&self.folder.path().join("brain.db")),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some((psql, schema)) = &self.server {
            psql.drop_schema(schema);
        }
    }
}

fn size(file: &Path) -> anyhow::Result<f64> {
    let meta = std::fs::metadata(file).with_context(|| file.display().to_string())?;
    Ok(meta.len() as f64)
}
