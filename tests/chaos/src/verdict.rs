//! Ledgers against the database: is everything there that was taken, once, and with its values?

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use shadow::{Block, Frame, Metric, Reading, codec::Decoder, wire::decode_birth};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

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
pub(crate) async fn count(database: &Path, ledgers: &[PathBuf]) -> anyhow::Result<Verdict> {
    let taken: BTreeSet<Key> = taken(ledgers)?.keys().copied().collect();
    let mut database = open(database).await?;
    let rows = sqlx::query("SELECT host, epoch, sequence FROM frames")
        .fetch_all(&mut database)
        .await?;
    let mut stored = BTreeSet::new();
    for row in &rows {
        stored.insert((
            host(row.try_get(0)?)?,
            number(row.try_get(1)?)?,
            number(row.try_get(2)?)?,
        ));
    }
    ensure!(stored.len() == rows.len(), "two rows of one frame");
    let missing: Vec<&Key> = taken.difference(&stored).collect();
    let declared = holes(&mut database).await?;
    let in_hole = |key: &&&Key| {
        let (host, epoch, sequence) = ***key;
        let holes = declared.get(&(host, epoch)).map_or(&[][..], Vec::as_slice);
        holes.iter().any(|&(first, end)| (first..end).contains(&sequence))
    };
    Ok(Verdict {
        taken: taken.len(),
        stored: taken.intersection(&stored).count(),
        holes: missing.iter().filter(in_hole).count(),
        unwritten: stored.difference(&taken).count(),
        ..Verdict::default()
    })
}

/// Looks at the values of all that is stored.
pub(crate) async fn look(mut verdict: Verdict, database: &Path, ledgers: &[PathBuf]) -> anyhow::Result<Verdict> {
    let taken = taken(ledgers)?;
    let mut database = open(database).await?;
    let births = sqlx::query("SELECT host, epoch, body FROM births")
        .fetch_all(&mut database)
        .await?;
    for row in &births {
        let (name, epoch): (&str, i64) = (row.try_get(0)?, row.try_get(1)?);
        let host = host(name)?;
        let birth = decode_birth(row.try_get(2)?)?;
        let frames = sqlx::query("SELECT * FROM frames WHERE host = ? AND epoch = ? ORDER BY sequence")
            .bind(name)
            .bind(epoch)
            .fetch_all(&mut database)
            .await?;
        let mut decoder = Decoder::new(&birth.catalogue);
        let mut block = Block::default();
        for row in &frames {
            let frame = Frame {
                epoch: birth.epoch,
                sequence: number(row.try_get("sequence")?)?,
                start_ms: row.try_get("start_ms")?,
                samples: row.try_get("samples")?,
                codec: row.try_get("codec")?,
                reference: number(row.try_get("reference")?)?,
                body: row.try_get::<Vec<u8>, _>("body")?.into(),
            };
            let read = decoder.read(&frame, &mut block);
            read.with_context(|| format!("{name}, epoch {epoch}, frame {}", frame.sequence))?;
            let told = taken.get(&(host, frame.epoch, frame.sequence));
            verdict.wrong += usize::from(told.is_some_and(|times_ms| *times_ms != block.times_ms));
            verdict.compare(host, birth.catalogue.metrics(), &block);
        }
    }
    verdict.doubled = doubled(&taken, &mut database).await?;
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
async fn doubled(taken: &BTreeMap<Key, Vec<i64>>, database: &mut SqliteConnection) -> anyhow::Result<usize> {
    let rows = sqlx::query("SELECT host, epoch, sequence, samples FROM frames")
        .fetch_all(database)
        .await?;
    let mut seen = BTreeSet::new();
    let mut doubled = 0;
    for row in &rows {
        let key = (
            host(row.try_get(0)?)?,
            number(row.try_get(1)?)?,
            number(row.try_get(2)?)?,
        );
        for time_ms in taken.get(&key).into_iter().flatten() {
            doubled += usize::from(!seen.insert((key.0, *time_ms)));
        }
    }
    Ok(doubled)
}

/// The holes of each host and epoch: first, end.
async fn holes(database: &mut SqliteConnection) -> anyhow::Result<BTreeMap<(usize, u64), Vec<(u64, u64)>>> {
    let rows = sqlx::query("SELECT host, epoch, first_sequence, end_sequence FROM holes")
        .fetch_all(database)
        .await?;
    let mut holes: BTreeMap<_, Vec<(u64, u64)>> = BTreeMap::new();
    for row in &rows {
        let of = (host(row.try_get(0)?)?, number(row.try_get(1)?)?);
        let range = (number(row.try_get(2)?)?, number(row.try_get(3)?)?);
        holes.entry(of).or_default().push(range);
    }
    Ok(holes)
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

async fn open(database: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(database).read_only(true);
    let opened = SqliteConnection::connect_with(&options).await;
    opened.with_context(|| format!("cannot open {}", database.display()))
}

fn host(name: &str) -> anyhow::Result<usize> {
    let number = name.strip_prefix("host-").and_then(|number| number.parse().ok());
    let number = number.with_context(|| format!("{name:?} is no host of ours"))?;
    ensure!(fleet::name(number) == name, "{name:?} is no host of ours");
    Ok(number)
}

fn number(of: i64) -> anyhow::Result<u64> {
    Ok(u64::try_from(of)?)
}
