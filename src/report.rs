//! `foreshadow report`: what allocation has saved, whom that hurt, and how often it changed something.

use std::collections::BTreeMap;

use anyhow::ensure;
use brain::{
    allocate::amount,
    history::{History, Moment, SavingView},
};
use clap::{Args, Subcommand};
use runtime::{Clock, output::print, process::Usage};
use serde::Serialize;
use shadow::{Resource, UnixMs};

use crate::query::{
    place::Place,
    rows,
    sheet::{Cell, Sheet},
};

const DAY_MS: i64 = 86_400_000;
const WEEK_MS: i64 = 7 * DAY_MS;
/// The first Monday of the unix clock.
const MONDAY_MS: i64 = 4 * DAY_MS;

const EXIT_STATUS: &str = "\
A week begins on Monday, in UTC. given_back is what the highest reservations of the last seven days would have held more,
on average: what somebody who sizes by hand would have left idle. over is the share of the time in which more was used than
was reserved; acted is the share in which agents really held it, and the rest was recommended only.
Exit status: 0 when all was read (also when that is nothing, which is said on standard error); 1 when the database cannot
be read; 64 for bad usage.";

/// Arguments of `foreshadow report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(subcommand)]
    report: Report,
}

#[derive(Debug, Subcommand)]
enum Report {
    /// Slack given back, violations and changes, by host, week and resource
    #[command(after_help = EXIT_STATUS)]
    Savings(SavingsArgs),
}

#[derive(Debug, Args)]
struct SavingsArgs {
    #[command(flatten)]
    place: Place,
    /// Only this host; may be given several times
    #[arg(long = "host", value_name = "NAME", value_parser = crate::inspect::name)]
    hosts: Vec<String>,
    /// From when on: the week that it lies in and those after
    #[arg(long, value_name = "TIME", default_value = "28d")]
    since: Moment,
    /// One object a line instead of a table
    #[arg(long)]
    json: bool,
}

/// A host, a week and a resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    host: String,
    /// Begin of the week, in milliseconds of the unix clock.
    week_ms: UnixMs,
    resource: Resource,
    /// Means over the time that was watched, of one reservation, in the resource's unit.
    reserved: f64,
    used: f64,
    given_back: f64,
    /// Of what was reserved, the share that was not used.
    slack: f64,
    /// Shares of the time.
    over: f64,
    acted: f64,
    changes: u64,
    hurts: u64,
    /// How long was watched, in hours of all reservations together.
    hours: f64,
}

/// Reports.
///
/// # Errors
/// A database that cannot be read, a time that makes no sense, or an output that cannot be written.
pub(crate) async fn main(arguments: &ReportArgs) -> anyhow::Result<()> {
    let Report::Savings(asked) = &arguments.report;
    let now_ms = Clock::system().now_ms();
    let since_ms = week(asked.since.at(now_ms));
    ensure!(since_ms < now_ms, Usage("--since must be before now".to_owned()));
    let mut history = History::open(&asked.place.database()?).await?;
    let told = history.savings(&(since_ms..now_ms.saturating_add(1))).await?;
    history.close().await?;
    if told.more {
        tracing::warn!("older days were left out: name a later --since");
    }
    let rows = weeks(&told.rows, &asked.hosts);
    if rows.is_empty() {
        tracing::warn!("nothing is kept of what was asked for");
        return Ok(());
    }
    if asked.json {
        let lines = rows.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        return Ok(print(&(lines.join("\n") + "\n"))?);
    }
    Ok(print(&Sheet::of(&rows).table())?)
}

/// When the week of `time_ms` begins.
const fn week(time_ms: UnixMs) -> UnixMs {
    (time_ms - MONDAY_MS).div_euclid(WEEK_MS) * WEEK_MS + MONDAY_MS
}

/// Days of all brains to weeks.
fn weeks(days: &[SavingView], hosts: &[String]) -> Vec<Row> {
    let mut sums: BTreeMap<(&str, UnixMs, Resource), brain::history::SavingRow> = BTreeMap::new();
    for day in days.iter().filter(|day| hosts.is_empty() || hosts.contains(&day.host)) {
        let sum = sums.entry((&day.host, week(day.day_ms), day.resource)).or_default();
        sum.held += day.saved.held;
        sum.used += day.saved.used;
        sum.given_back += day.saved.given_back;
        sum.watched_s += day.saved.watched_s;
        sum.over_s += day.saved.over_s;
        sum.acted_s += day.saved.acted_s;
        sum.changes += day.saved.changes;
        sum.hurts += day.saved.hurts;
    }
    let watched = sums.into_iter().filter(|(_, sum)| sum.watched_s > 0.0);
    let row = |((host, week_ms, resource), sum): ((&str, UnixMs, Resource), brain::history::SavingRow)| {
        let mean = |total: f64| total / sum.watched_s;
        Row {
            host: host.to_owned(),
            week_ms,
            resource,
            reserved: mean(sum.held),
            used: mean(sum.used),
            given_back: mean(sum.given_back),
            slack: if sum.held > 0.0 {
                (sum.held - sum.used) / sum.held
            } else {
                0.0
            },
            over: mean(sum.over_s),
            acted: mean(sum.acted_s),
            changes: sum.changes,
            hurts: sum.hurts,
            hours: sum.watched_s / 3_600.0,
        }
    };
    watched.map(row).collect()
}

impl rows::Row for Row {
    fn headers(_: &[Self]) -> Vec<String> {
        let names = [
            "host",
            "week",
            "resource",
            "reserved",
            "used",
            "given_back",
            "slack",
            "over",
            "acted",
            "changes",
            "hurts",
        ];
        names.map(str::to_owned).to_vec()
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        let of = |value: f64| Cell::text(&amount(self.resource, value));
        let percent = |share: f64| Cell::text(&format!("{:.1} %", 100.0 * share));
        let day: String = brain::history::rfc3339(self.week_ms).chars().take(10).collect();
        vec![vec![
            Cell::text(&self.host),
            Cell::text(&day),
            Cell::text(&self.resource),
            of(self.reserved),
            of(self.used),
            of(self.given_back),
            percent(self.slack),
            percent(self.over),
            percent(self.acted),
            Cell::text(&self.changes),
            Cell::text(&self.hurts),
        ]]
    }
}

#[cfg(test)]
mod tests {
    use brain::history::SavingRow;

    use super::*;

    fn day(host: &str, day_ms: UnixMs, issuer_epoch: u64, held: f64) -> SavingView {
        SavingView {
            host: host.to_owned(),
            day_ms,
            resource: Resource::Cpu,
            saved: SavingRow {
                issuer_epoch,
                held: held * 3_600.0,
                used: 3_600.0,
                given_back: 1_800.0,
                watched_s: 3_600.0,
                over_s: 36.0,
                acted_s: 0.0,
                changes: 2,
                hurts: 1,
            },
        }
    }

    #[test]
    fn weeks_begin_on_monday() {
        let monday_ms = 1_796_000_000_000 - 1_796_000_000_000 % DAY_MS;
        let monday_ms = (0..7)
            .map(|days| monday_ms + days * DAY_MS)
            .find(|ms| week(*ms) == *ms)
            .unwrap();
        assert!(
            brain::history::rfc3339(monday_ms).starts_with("2026-11-30"),
            "{monday_ms}"
        );
        assert_eq!(week(monday_ms + WEEK_MS - 1), monday_ms);
        assert_eq!(week(monday_ms - 1), monday_ms - WEEK_MS);
        assert_eq!(week(0), MONDAY_MS - WEEK_MS);
    }

    #[test]
    fn days_of_all_brains_make_weeks() {
        let days = [
            day("a", MONDAY_MS, 1, 4.0),
            day("a", MONDAY_MS, 2, 2.0),
            day("a", MONDAY_MS + DAY_MS, 2, 3.0),
            day("a", MONDAY_MS + WEEK_MS, 2, 1.0),
            day("b", MONDAY_MS, 2, 1.0),
        ];
        let all = weeks(&days, &[]);
        assert_eq!(all.len(), 3);
        let first = &all[0];
        assert_eq!((first.reserved, first.used, first.given_back), (3.0, 1.0, 0.5));
        assert!((first.slack - 2.0 / 3.0).abs() < 1e-12 && (first.over - 0.01).abs() < 1e-12);
        assert_eq!((first.changes, first.hurts, first.hours), (6, 3, 3.0));
        assert_eq!(weeks(&days, &["b".to_owned()]).len(), 1);
        let table = Sheet::of(&all).table();
        assert!(
            table.contains("1970-01-05") && table.contains("3 cores") && table.contains("66.7 %"),
            "{table}"
        );
    }
}
