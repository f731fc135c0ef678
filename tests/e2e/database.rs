//! What a brain has made durable.

use std::{collections::BTreeMap, path::Path};

use shadow::{Block, Frame, Reading, codec::Decoder, wire::decode_birth};
use sqlx::{
    Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use crate::harness::PATIENCE;

/// The numbers in the first column that `query` selects from the brain's database in `folder`.
pub(crate) fn numbers(folder: &Path, query: &'static str) -> Vec<i64> {
    let rows = select(folder, query);
    rows.iter().map(|row| row.get::<i64, _>(0)).collect()
}

/// The texts in the first column.
pub(crate) fn texts(folder: &Path, query: &'static str) -> Vec<String> {
    let rows = select(folder, query);
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

fn select(folder: &Path, query: &'static str) -> Vec<SqliteRow> {
    runtime().block_on(async {
        let options = SqliteConnectOptions::new().filename(folder.join("brain.db"));
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        let rows = sqlx::query(query).fetch_all(&mut database).await.unwrap();
        database.close().await.unwrap();
        rows
    })
}

/// Keeps the brain's database from being written while it is there, as a disk that does not answer does.
pub(crate) struct Held {
    runtime: tokio::runtime::Runtime,
    database: SqliteConnection,
}

impl Held {
    /// Waits until nobody else writes to the database in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let runtime = runtime();
        let options = SqliteConnectOptions::new()
            .filename(folder.join("brain.db"))
            .busy_timeout(PATIENCE);
        let database = runtime.block_on(async {
            let mut database = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::query("BEGIN IMMEDIATE").execute(&mut database).await.unwrap();
            database
        });
        Self { runtime, database }
    }

    /// Lets the brain write again.
    pub(crate) fn let_go(self) {
        self.runtime.block_on(self.database.close()).unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The one number that `query` selects.
pub(crate) fn number(folder: &Path, query: &'static str) -> i64 {
    let found = numbers(folder, query);
    assert_eq!(found.len(), 1, "{query}");
    found[0]
}

/// Frames and events that lie between the first and the last of each epoch but are not there.
pub(crate) fn missing_frames(folder: &Path) -> i64 {
    let query = "SELECT coalesce(sum(lost), 0) FROM (SELECT max(sequence) + 1 - count(*) AS lost FROM \
                 (SELECT host, vantage, epoch, sequence FROM frames \
                  UNION ALL SELECT host, vantage, epoch, sequence FROM events) GROUP BY host, vantage, epoch)";
    number(folder, query)
}

/// The samples of a host's newest epoch, as its frames tell them.
pub(crate) struct Decoded {
    pub(crate) times_ms: Vec<i64>,
    pub(crate) columns: BTreeMap<String, Vec<Reading>>,
}

impl Decoded {
    /// Those taken after `from_ms`.
    pub(crate) fn after(mut self, from_ms: i64) -> Self {
        let keep = self.times_ms.partition_point(|&time_ms| time_ms <= from_ms);
        self.times_ms.drain(..keep);
        self.columns.values_mut().for_each(|column| drop(column.drain(..keep)));
        self
    }
}

/// What is durable of the newest epoch of `host`.
pub(crate) fn decoded(folder: &Path, host: &'static str) -> Decoded {
    let births = select(folder, "SELECT host, body FROM births ORDER BY epoch");
    let newest = births.iter().rfind(|row| row.get::<&str, _>(0) == host);
    let Some(birth) = newest.map(|row| decode_birth(row.get::<&[u8], _>(1)).unwrap()) else {
        return Decoded {
            times_ms: Vec::new(),
            columns: BTreeMap::new(),
        };
    };
    let names: Vec<&String> = birth.catalogue.metrics().iter().map(|metric| &metric.name).collect();
    let mut all = Block::new(&birth.catalogue);
    let (mut decoder, mut block) = (Decoder::new(&birth.catalogue), Block::default());
    let query = "SELECT host, epoch, sequence, start, samples, codec, body, reference FROM frames ORDER BY sequence";
    for row in select(folder, query) {
        let epoch = u64::try_from(row.get::<i64, _>(1)).unwrap();
        if row.get::<&str, _>(0) != host || epoch != birth.epoch {
            continue;
        }
        let frame = Frame {
            epoch,
            sequence: u64::try_from(row.get::<i64, _>(2)).unwrap(),
            start_ms: row.get(3),
            samples: row.get(4),
            codec: row.get(5),
            reference: u64::try_from(row.get::<i64, _>(7)).unwrap(),
            body: row.get::<Vec<u8>, _>(6).into(),
        };
        decoder.read(&frame, &mut block).unwrap();
        all.times_ms.extend(&block.times_ms);
        for (column, more) in all.columns.iter_mut().zip(&block.columns) {
            column.extend(more);
        }
    }
    Decoded {
        times_ms: all.times_ms,
        columns: names.into_iter().cloned().zip(all.columns).collect(),
    }
}
