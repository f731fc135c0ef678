//! `foreshadow query`: what a brain has kept, out of its database, as a table, CSV or JSON.
//!
//! | file | what it does |
//! |---|---|
//! | `query/place.rs` | where the database is, and of which hosts and times is asked |
//! | `query/sheet.rs` | rows of cells to a table or CSV |
//! | `query/rows.rs` | answers to rows of cells |

use brain::history::{Column, Filter, History, Resolution, Told};
use clap::{Args, Subcommand, ValueEnum};
use runtime::{Clock, output::print};
use serde::Serialize;
use shadow::{Resource, UnixMs};

use self::{
    place::{Limit, Place, Scope},
    rows::{Row, SeriesRow},
    sheet::Sheet,
};

pub(crate) mod place;
pub(crate) mod rows;
pub(crate) mod sheet;

const EXIT_STATUS: &str = "\
Exit status: 0 when all was read that was asked for (also when that is nothing, which is said on standard error), or
nobody reads the output any more; 1 when the database cannot be read; 64 for bad usage.
Times are a span back such as 2h, RFC 3339, or seconds of the unix clock. What came in the last seconds is not durable yet,
and so is not told.";

/// What to tell.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// All hosts that anything is kept of
    #[command(after_help = EXIT_STATUS)]
    Hosts(HostsArgs),
    /// Means and other figures of the channels, row by row
    #[command(after_help = EXIT_STATUS)]
    Series(SeriesArgs),
    /// Forecasts by when they were made
    #[command(after_help = EXIT_STATUS)]
    Forecasts(RecordsArgs),
    /// Anomalies of this time
    #[command(after_help = EXIT_STATUS)]
    Anomalies(RecordsArgs),
    /// Incidents of this time, with their likely cause
    #[command(after_help = EXIT_STATUS)]
    Incidents(EventsArgs),
    /// Commands by when they were issued, with their newest outcome; in tables and CSV a row a change
    #[command(after_help = EXIT_STATUS)]
    Commands(RecordsArgs),
    /// Proposals by when they were made: what became of each, who decided, when and why
    #[command(after_help = EXIT_STATUS)]
    Proposals(RecordsArgs),
    /// Plans by when they were made: what each round came to
    #[command(after_help = EXIT_STATUS)]
    Plans(EventsArgs),
    /// Events by when they happened
    #[command(after_help = EXIT_STATUS)]
    Events(EventsArgs),
}

#[derive(Debug, Args)]
struct HostsArgs {
    #[command(flatten)]
    place: Place,
    /// How it is told
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Args)]
struct SeriesArgs {
    #[command(flatten)]
    records: RecordsArgs,
    /// What a row spans: auto, 10s (a row of the grid), 1m or 1h. auto is the finest that tells what there is in LIMIT rows
    #[arg(long, value_name = "auto|10s|1m|1h", default_value = "auto", value_parser = resolution)]
    resolution: Fit,
}

#[derive(Debug, Args)]
struct RecordsArgs {
    #[command(flatten)]
    events: EventsArgs,
    /// Only this resource: cpu, memory, network, disk or power
    #[arg(long, value_name = "NAME")]
    resource: Option<Resource>,
}

#[derive(Debug, Args)]
struct EventsArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    limit: Limit,
    /// How it is told; json is one object a line, with times in milliseconds of the unix clock
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How an answer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One object a line
    Json,
    /// With a header
    Csv,
}

/// A resolution that is asked for, or the one that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fit(Option<Resolution>);

fn resolution(text: &str) -> Result<Fit, String> {
    match text {
        "auto" => Ok(Fit(None)),
        word => word.parse().map(|resolution| Fit(Some(resolution))),
    }
}

/// Answers one question.
///
/// # Errors
/// A database that cannot be read, times that make no sense, or an output that cannot be written.
pub(crate) async fn main(arguments: QueryArgs) -> anyhow::Result<()> {
    let now_ms = Clock::system().now_ms();
    match arguments.question {
        Question::Hosts(asked) => {
            let mut history = History::open(&asked.place.database()?).await?;
            tell(&history.hosts().await?, asked.format)?;
            Ok(history.close().await?)
        }
        Question::Series(asked) => series(&asked, now_ms).await,
        Question::Forecasts(asked) => {
            let (mut history, filter) = asked.open(now_ms).await?;
            tell(&history.forecasts(&filter).await?, asked.events.format)
        }
        Question::Anomalies(asked) => {
            let (mut history, filter) = asked.open(now_ms).await?;
            tell(&history.anomalies(&filter).await?, asked.events.format)
        }
        Question::Incidents(asked) => {
            let (mut history, filter) = asked.open(None, now_ms).await?;
            tell(&history.incidents(&filter).await?, asked.format)
        }
        Question::Commands(asked) => {
            let (mut history, filter) = asked.open(now_ms).await?;
            tell(&history.commands(&filter).await?, asked.events.format)
        }
        Question::Proposals(asked) => {
            let (mut history, filter) = asked.open(now_ms).await?;
            tell(&history.proposals(&filter).await?, asked.events.format)
        }
        Question::Plans(asked) => {
            let (mut history, filter) = asked.open(None, now_ms).await?;
            tell(&history.plans(&filter.within, filter.limit).await?, asked.format)
        }
        Question::Events(asked) => {
            let (mut history, filter) = asked.open(None, now_ms).await?;
            tell(&history.events(&filter).await?, asked.format)
        }
    }
}

impl RecordsArgs {
    async fn open(&self, now_ms: UnixMs) -> anyhow::Result<(History, Filter)> {
        self.events.open(self.resource, now_ms).await
    }
}

impl EventsArgs {
    async fn open(&self, resource: Option<Resource>, now_ms: UnixMs) -> anyhow::Result<(History, Filter)> {
        let filter = Filter {
            hosts: self.scope.hosts.clone(),
            resource,
            within: self.scope.within(now_ms)?,
            limit: self.limit.rows,
        };
        Ok((History::open(&self.place.database()?).await?, filter))
    }
}

/// Host by host, each at the resolution that fits it. A table is told when all of it is known, anything else as it is read:
/// a host at a time is in memory.
async fn series(asked: &SeriesArgs, now_ms: UnixMs) -> anyhow::Result<()> {
    let (mut history, filter) = asked.records.open(now_ms).await?;
    let columns = Column::of(filter.resource);
    let hosts = asked.records.events.scope.all_hosts(&mut history).await?;
    let (mut table, mut any, mut more) = (Vec::new(), false, false);
    for host in &hosts {
        let wanted = (asked.resolution.0, filter.limit);
        let series = history.series(host, &columns, &filter.within, wanted).await?;
        let rows = SeriesRow::all(host, &series);
        more |= series.more;
        match asked.records.events.format {
            Format::Table => table.extend(rows),
            Format::Json => print(&lines(&rows)?)?,
            Format::Csv if any => print(&Sheet::of(&rows).csv_rows()?)?,
            Format::Csv if rows.is_empty() => {}
            Format::Csv => print(&Sheet::of(&rows).csv()?)?,
        }
        any |= !series.rows.is_empty();
    }
    history.close().await?;
    if !any && asked.records.events.format == Format::Csv {
        print(&Sheet::of::<SeriesRow>(&[]).csv()?)?;
    }
    SeriesRow::drop_unknown(&mut table);
    print_table(&table)?;
    warn((any, more));
    Ok(())
}

fn tell<T: Row + Serialize>(told: &Told<T>, format: Format) -> anyhow::Result<()> {
    warn((!told.rows.is_empty(), told.more));
    match format {
        Format::Json => print(&lines(&told.rows)?)?,
        Format::Csv => print(&Sheet::of(&told.rows).csv()?)?,
        Format::Table => print_table(&told.rows)?,
    }
    Ok(())
}

/// What is said of an answer on standard error: whether there is `any`, and whether there was `more`.
fn warn((any, more): (bool, bool)) {
    if !any {
        tracing::warn!("nothing is kept of what was asked for");
    }
    if more {
        tracing::warn!("older rows were left out: name a shorter time, or more by --limit");
    }
}

/// One object a line.
fn lines(rows: &[impl Serialize]) -> anyhow::Result<String> {
    let mut lines = String::new();
    for row in rows {
        lines += &serde_json::to_string(row)?;
        lines.push('\n');
    }
    Ok(lines)
}

fn print_table<T: Row>(rows: &[T]) -> anyhow::Result<()> {
    if !rows.is_empty() {
        print(&Sheet::of(rows).table())?;
    }
    Ok(())
}
