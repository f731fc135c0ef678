//! What fails when: random, and the same for the same seed.

use std::{collections::BTreeMap, io::Write, path::Path, time::Duration};

use anyhow::Context;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};

use crate::{
    Run,
    link::Weather,
    stage::{Part, Stage},
    verdict::{self, Verdict},
};

/// How often something new may fail, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 500..4_000;
/// How long it fails.
const DOWN_MS: std::ops::Range<u64> = 100..8_000;
/// How often is looked at what is over.
const TICK: Duration = Duration::from_millis(100);
/// How long everything may take to become durable after the end.
const SETTLE: Duration = Duration::from_mins(5);

/// One thing that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Dead(Part),
    Link(usize, Weather),
}

/// Runs the cell, lets it suffer, and counts.
pub(crate) async fn run(run: &Run) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = run.keep.as_deref().unwrap_or_else(|| temporary.path());
    std::fs::create_dir_all(folder)?;
    let (played, verdict) = suffer(folder, run).await?;
    let mut out = std::io::stdout().lock();
    write!(out, "{played}\n{verdict}")?;
    anyhow::ensure!(verdict.is_clean(), "something is lost, doubled or wrong");
    Ok(())
}

async fn suffer(folder: &Path, run: &Run) -> anyhow::Result<(String, Verdict)> {
    let mut stage = Stage::start(folder, run).await?;
    let mut random = StdRng::seed_from_u64(run.seed);
    let length = run.length.duration();
    let begun = Instant::now();
    let drought = (length / 3, length * 2 / 3);
    let mut next = begun + Duration::from_secs(2);
    let mut failed: BTreeMap<Instant, Failure> = BTreeMap::new();
    let (mut cut, mut stalled) = (0, 0);
    while begun.elapsed() < length {
        sleep(TICK).await;
        stage.check()?;
        mend(&mut stage, &mut failed, Instant::now()).await?;
        let dry = run.drought && (drought.0..drought.1).contains(&begun.elapsed());
        if dry {
            failed.retain(|_, failure| *failure != Failure::Dead(Part::Brain));
            stage.kill(Part::Brain).await?;
        } else if run.drought && begun.elapsed() >= drought.1 {
            let is_down = failed.values().any(|failure| *failure == Failure::Dead(Part::Brain));
            if !is_down {
                stage.restart(Part::Brain).await?;
            }
        }
        if Instant::now() >= next {
            next = Instant::now() + Duration::from_millis(random.random_range(PAUSE_MS));
            let failure = choose(&stage, &mut random);
            let until = Instant::now() + Duration::from_millis(random.random_range(DOWN_MS));
            match failure {
                Failure::Dead(Part::Brain) if dry => continue,
                Failure::Dead(part) => stage.kill(part).await?,
                Failure::Link(link, weather) => {
                    stage.set_link(link, weather);
                    cut += u32::from(weather == Weather::Cut);
                    stalled += u32::from(weather == Weather::Stalled);
                }
            }
            failed.insert(until, failure);
        }
    }
    let end = Instant::now() + Duration::from_hours(1);
    mend(&mut stage, &mut failed, end).await?;
    if stage.has_server() {
        stage.restart(Part::Server).await?;
    }
    stage.restart(Part::Brain).await?;
    stage.enough()?;
    let [broker, brain, fleets, server] = stage.kills();
    let played = format!(
        "{} hosts, {}: killed {broker} x broker, {brain} x brain, {server} x database, {fleets} x agents; links {cut} x cut, {stalled} x stalled",
        run.hosts, run.length
    );
    Ok((played, settle(&mut stage).await?))
}

/// Waits until everything is durable that will ever be.
async fn settle(stage: &mut Stage) -> anyhow::Result<Verdict> {
    let begun = Instant::now();
    loop {
        sleep(Duration::from_secs(2)).await;
        stage.check()?;
        let (database, ledgers) = (stage.database(), stage.ledgers());
        let verdict = verdict::count(&database, &ledgers).await.context("cannot count")?;
        if verdict.is_complete() || begun.elapsed() > SETTLE {
            return verdict::look(verdict, &database, &ledgers).await;
        }
    }
}

fn choose(stage: &Stage, random: &mut StdRng) -> Failure {
    match random.random_range(0..10) {
        0 | 1 => Failure::Dead(Part::Broker),
        2 if stage.has_server() => Failure::Dead(Part::Server),
        2 | 3 => Failure::Dead(Part::Brain),
        4..=6 => Failure::Dead(Part::Fleet(random.random_range(0..stage.fleets()))),
        7 | 8 => Failure::Link(random.random_range(0..stage.links()), Weather::Cut),
        _ => Failure::Link(random.random_range(0..stage.links()), Weather::Stalled),
    }
}

/// Brings back whatever has failed long enough by `now`.
async fn mend(stage: &mut Stage, failed: &mut BTreeMap<Instant, Failure>, now: Instant) -> anyhow::Result<()> {
    while let Some(entry) = failed.first_entry() {
        if *entry.key() > now {
            break;
        }
        match entry.remove() {
            Failure::Dead(part) => stage.restart(part).await?,
            Failure::Link(link, _) => stage.set_link(link, Weather::Fair),
        }
    }
    Ok(())
}
