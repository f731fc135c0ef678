//! What agents and brain told each other, read out of a database without touching it.
//!
//! Any version of the schema is read as it stands: a table that is not there has no rows. A brain may go on writing
//! meanwhile.

use std::{ops::ControlFlow, path::Path};

use futures_util::TryStreamExt;
use shadow::{Birth, Command, EpochMark, Event, Frame, Hole, Outcome, Vantage};
use sqlx::{
    Connection, Row, SqliteConnection, query, query_scalar,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use super::{
    StoreError,
    sqlite::{fault, sql::rows},
};

/// One row.
#[derive(Debug)]
pub struct Entry {
    /// Which host tells it, or is told it; `None` where the database does not say.
    pub host: Option<String>,
    /// From where the host is seen; `None` for commands and outcomes.
    pub vantage: Option<Vantage>,
    /// The table, in the singular.
    pub kind: &'static str,
    /// What it says, or why it cannot be read.
    pub stored: Result<Stored, String>,
}

/// What a row says.
#[derive(Debug)]
pub enum Stored {
    /// A birth.
    Birth(Box<Birth>),
    /// A frame.
    Frame(Frame),
    /// An event.
    Event(Event),
    /// What is durable of one epoch.
    Watermark(EpochMark),
    /// Sequences that nobody has.
    Hole(Hole),
    /// A command.
    Command(Command),
    /// An outcome.
    Outcome(Outcome),
}

type Read = fn(&SqliteRow) -> Result<(Option<Vantage>, Stored), sqlx::Error>;

/// A table, what is selected of a host's rows, and how one is read.
struct Table {
    kind: &'static str,
    name: &'static str,
    select: &'static str,
    read: Read,
}

/// In the order in which a host's rows are told: births before the frames that are read with them.
const TABLES: [Table; 7] = [
    Table {
        kind: "birth",
        name: "births",
        select: "SELECT * FROM births WHERE host = ? ORDER BY vantage, epoch",
        read: |row| Ok((vantage(row)?, Stored::Birth(Box::new(rows::birth(row)?)))),
    },
    Table {
        kind: "frame",
        name: "frames",
        select: "SELECT * FROM frames WHERE host = ? ORDER BY vantage, epoch, sequence",
        read: |row| Ok((vantage(row)?, Stored::Frame(rows::frame(row)?))),
    },
    Table {
        kind: "event",
        name: "events",
        select: "SELECT * FROM events WHERE host = ? ORDER BY vantage, epoch, sequence",
        read: |row| Ok((vantage(row)?, Stored::Event(rows::event(row)?))),
    },
    Table {
        kind: "watermark",
        name: "watermarks",
        select: "SELECT * FROM watermarks WHERE host = ? ORDER BY vantage, epoch",
        read: |row| Ok((vantage(row)?, Stored::Watermark(rows::watermark(row)?))),
    },
    Table {
        kind: "hole",
        name: "holes",
        select: "SELECT * FROM holes WHERE host = ? ORDER BY vantage, epoch, first_sequence",
        read: |row| Ok((vantage(row)?, Stored::Hole(rows::hole(row)?))),
    },
    Table {
        kind: "command",
        name: "commands",
        select: "SELECT * FROM commands WHERE host = ? ORDER BY issuer_epoch, sequence",
        read: |row| Ok((None, Stored::Command(rows::command(row)?))),
    },
    Table {
        kind: "outcome",
        name: "outcomes",
        select: "SELECT outcomes.* FROM commands JOIN outcomes ON command_id = id WHERE host = ? ORDER BY 3",
        read: |row| Ok((None, Stored::Outcome(rows::outcome(row)?))),
    },
];

/// Hands every row that `file` holds of `hosts` (of all, where none is named) to `each`, host by host, until it breaks.
///
/// # Errors
/// [`StoreError`] when the file cannot be opened or read, or is no database of a brain.
pub async fn read<B>(
    file: &Path,
    hosts: &[String],
    mut each: impl FnMut(Entry) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, StoreError> {
    let fault = |error: sqlx::Error| fault(file, &error);
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut from = SqliteConnection::connect_with(&options).await.map_err(fault)?;
    let told = read_hosts(&mut from, file, hosts, &mut each).await;
    from.close().await.map_err(fault)?;
    told
}

async fn read_hosts<B>(
    from: &mut SqliteConnection,
    file: &Path,
    hosts: &[String],
    each: &mut impl FnMut(Entry) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, StoreError> {
    let fault = |error: sqlx::Error| fault(file, &error);
    let tables: Vec<String> = query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut *from)
        .await
        .map_err(fault)?;
    let there = |name: &str| tables.iter().any(|table| table == name);
    if !(there("hosts") && there("births") && there("commands")) {
        return Err(StoreError::Schema {
            database: file.display().to_string(),
            reason: "not a brain's database".to_owned(),
        });
    }
    let all = match hosts {
        [] => {
            let every = "SELECT host FROM hosts UNION SELECT host FROM births UNION SELECT host FROM commands";
            query_scalar(every).fetch_all(&mut *from).await.map_err(fault)?
        }
        some => some.to_vec(),
    };
    for host in &all {
        for table in TABLES.iter().filter(|table| there(table.name)) {
            let told = read_table(from, table, host, each).await.map_err(fault)?;
            if told.is_break() {
                return Ok(told);
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

async fn read_table<B>(
    from: &mut SqliteConnection,
    table: &Table,
    host: &str,
    each: &mut impl FnMut(Entry) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, sqlx::Error> {
    let mut rows = query(table.select).bind(host).fetch(from);
    while let Some(row) = rows.try_next().await? {
        let (vantage, stored) = match (table.read)(&row) {
            Ok((vantage, stored)) => (vantage, Ok(stored)),
            Err(error) => (vantage(&row).unwrap_or(None), Err(error.to_string())),
        };
        let told = each(Entry {
            host: Some(host.to_owned()),
            vantage,
            kind: table.kind,
            stored,
        });
        if told.is_break() {
            return Ok(told);
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn vantage(row: &SqliteRow) -> Result<Option<Vantage>, sqlx::Error> {
    match row.try_get::<&str, _>("vantage") {
        Ok(word) => word.parse().map(Some).map_err(rows::decode),
        Err(sqlx::Error::ColumnNotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
