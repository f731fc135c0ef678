//! Ledgers against the database: is everything there that was taken, once, and with its values?

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::ControlFlow,
    path::PathBuf,
};

use anyhow::{Context, ensure};
use brain::{
    archive::{self, Entry},
    history::Database,
};
use shadow::{Birth, Block, Frame, Hole, Metric, Reading, codec::Decoder};

use crate::{
    fleet,
    ledger::{self, Taken},
    signal,
};

/// Host, epoch, sequence.
type Key = (usize, u64, u64);

/// What came of it all.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Frames that agents took.
    taken: usize,
    /// Of these, those in the database.
    stored: usize,
    /// Of these, those in a hole that was declared, and not in the database.
    holes: usize,
    /// In the database and in no ledger.
    unwritten: usize,
    /// Samples that are in the database under two sequences.
    doubled: usize,
    /// Readings compared.
    readings: usize,
    /// Of these, those that are further off than their bound, or missing where they should not be.
    wrong: usize,
    /// The largest error, as a share of its bound.
    worst: f64,
    /// Seconds of key metrics, and those whose maximum came back to the last bit.
    maxima: [usize; 2],
}

impl Verdict {
    const fn lost(&self) -> usize {
        self.taken - self.stored - self.holes
    }

    /// Whether everything that was taken is accounted for.
    pub(crate) const fn is_complete(&self) -> bool {
        self.lost() == 0
    }

    /// Whether nothing is lost, doubled or wrong.
    pub(crate) const fn is_clean(&self) -> bool {
        let [seconds, exact] = self.maxima;
        self.is_complete() && self.stored > 0 && self.doubled == 0 && self.wrong == 0 && seconds == exact
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [seconds, exact] = self.maxima;
        let rows = [
            ("taken", self.taken),
            ("stored", self.stored),
            ("doubled", self.doubled),
            ("lost", self.lost()),
            ("in declared holes", self.holes),
            (
                "stored beside: from after the end, or of agents killed before they wrote it down",
                self.unwritten,
            ),
            ("readings compared", self.readings),
            ("readings out of their bound", self.wrong),
            ("seconds of key metrics", seconds),
            ("seconds whose maximum is exact", exact),
        ];
        for (what, count) in rows {
            writeln!(f, "{count:>12}  {what}")?;
        }
        writeln!(f, "{:>12.3}  largest error, as a share of its bound", self.worst)
    }
}

/// Counts frames.
pub(crate) async fn count(database: &Database, ledgers: &[PathBuf]) -> anyhow::Result<Verdict> {
    let taken: BTreeSet<Key> = taken(ledgers)?.keys().copied().collect();
    let Stored { frames, holes, .. } = stored(database).await?;
    let stored: BTreeSet<Key> = frames.iter().map(|(host, frame)| key(*host, frame)).collect();
    ensure!(stored.len() == frames.len(), "two rows of one frame");
    let in_hole = |key: &&Key| {
        let (host, epoch, sequence) = **key;
        holes
            .iter()
            .any(|(of, hole)| (*of, hole.epoch) == (host, epoch) && (hole.first..hole.end).contains(&sequence))
    };
    Ok(Verdict {
        taken: taken.len(),
        stored: taken.intersection(&stored).count(),
        holes: taken.difference(&stored).filter(in_hole).count(),
        unwritten: stored.difference(&taken).count(),
        ..Verdict::default()
    })
}

/// Looks at the values of all that is stored.
pub(crate) async fn look(mut verdict: Verdict, database: &Database, ledgers: &[PathBuf]) -> anyhow::Result<Verdict> {
    let taken = taken(ledgers)?;
    let stored = stored(database).await?;
    for (host, birth) in &stored.births {
        let frames = stored
            .frames
            .iter()
            .filter(|(of, frame)| (of, frame.epoch) == (host, birth.epoch));
        let mut decoder = Decoder::new(&birth.catalogue);
        let mut block = Block::default();
        for (_, frame) in frames {
            let read = decoder.read(frame, &mut block);
            read.with_context(|| format!("host {host}, epoch {}, frame {}", frame.epoch, frame.sequence))?;
            let told = taken.get(&key(*host, frame));
            verdict.wrong += usize::from(told.is_some_and(|times_ms| *times_ms != block.times_ms));
            verdict.compare(*host, birth.catalogue.metrics(), &block);
        }
    }
    verdict.doubled = doubled(&taken, &stored.frames);
    Ok(verdict)
}

impl Verdict {
    fn compare(&mut self, host: usize, metrics: &[Metric], block: &Block) {
        let rows: Vec<Vec<Reading>> = block
            .times_ms
            .iter()
            .map(|&time_ms| signal::row(host, time_ms, metrics.len()))
            .collect();
        for (column, (metric, stored)) in metrics.iter().zip(&block.columns).enumerate() {
            let truth: Vec<Reading> = rows.iter().filter_map(|row| row.get(column).copied()).collect();
            for (truth, stored) in truth.iter().zip(stored) {
                self.readings += 1;
                match (truth.value(), stored.value()) {
                    (Some(truth), Some(stored)) => {
                        let share = (stored - truth).abs() / metric.bound.max_error(truth);
                        self.worst = self.worst.max(share);
                        self.wrong += usize::from(share > 1.0);
                    }
                    _ => self.wrong += usize::from(truth.missing() != stored.missing()),
                }
            }
            if metric.key {
                let [seconds, exact] = &mut self.maxima;
                *seconds += 1;
                *exact += usize::from(largest(&truth) == largest(stored));
            }
        }
    }
}

fn largest(readings: &[Reading]) -> Option<u64> {
    let values = readings.iter().filter_map(|reading| reading.value());
    values.max_by(f64::total_cmp).map(f64::to_bits)
}

/// Samples of one host that are stored more than once: agents of a host live one after the other, so that no moment is
/// in two frames.
fn doubled(taken: &BTreeMap<Key, Vec<i64>>, frames: &[(usize, Frame)]) -> usize {
    let mut seen = BTreeSet::new();
    let times = frames
        .iter()
        .filter_map(|(host, frame)| Some((host, taken.get(&key(*host, frame))?)));
    let times = times.flat_map(|(host, times)| times.iter().map(move |time_ms| (host, time_ms)));
    times.filter(|time| !seen.insert(*time)).count()
}

/// What a brain has made durable, by host, in the order of epochs and sequences.
#[derive(Default)]
struct Stored {
    births: Vec<(usize, Birth)>,
    frames: Vec<(usize, Frame)>,
    holes: Vec<(usize, Hole)>,
}

async fn stored(database: &Database) -> anyhow::Result<Stored> {
    let mut all = Stored::default();
    let read = archive::read(
        database,
        &[],
        |_, _| {},
        |entry| match all.keep(entry) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        },
    );
    match read.await? {
        ControlFlow::Continue(()) => Ok(all),
        ControlFlow::Break(error) => Err(error),
    }
}

impl Stored {
    fn keep(&mut self, entry: Entry) -> anyhow::Result<()> {
        let host = host(&entry.host.context("a row of no host")?)?;
        match entry.stored.map_err(anyhow::Error::msg)? {
            archive::Stored::Birth(birth) => self.births.push((host, *birth)),
            archive::Stored::Frame(frame) => self.frames.push((host, frame)),
            archive::Stored::Hole(hole) => self.holes.push((host, hole)),
            _ => {}
        }
        Ok(())
    }
}

const fn key(host: usize, frame: &Frame) -> Key {
    (host, frame.epoch, frame.sequence)
}

fn taken(ledgers: &[PathBuf]) -> anyhow::Result<BTreeMap<Key, Vec<i64>>> {
    let mut all = BTreeMap::new();
    for path in ledgers {
        for taken in ledger::read(path)? {
            let Taken {
                host,
                epoch,
                sequence,
                times_ms,
            } = taken;
            let twice = all.insert((host, epoch, sequence), times_ms);
            ensure!(
                twice.is_none(),
                "host {host} took frame {sequence} of epoch {epoch} twice"
            );
        }
    }
    Ok(all)
}

fn host(name: &str) -> anyhow::Result<usize> {
    let number = name.strip_prefix("host-").and_then(|number| number.parse().ok());
    let number = number.with_context(|| format!("{name:?} is no host of ours"))?;
    ensure!(fleet::name(number) == name, "{name:?} is no host of ours");
    Ok(number)
}
