//! What agents and brain told each other, table by table. Any version of the schema is read as it stands.

use std::ops::ControlFlow;

use futures_util::TryStreamExt;
use shadow::Vantage;
use sqlx::{Row as _, query, query_scalar};

use super::{
    super::dialect::{Connection, Row, TABLES as NAMES},
    rows,
};
use crate::store::archive::{Entry, Stored};

type Read = fn(&Row) -> Result<(Option<Vantage>, Stored), sqlx::Error>;

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
        select: "SELECT * FROM births WHERE host = $1 ORDER BY vantage, epoch",
        read: |row| Ok((vantage(row)?, Stored::Birth(Box::new(rows::birth(row)?)))),
    },
    Table {
        kind: "frame",
        name: "frames",
        select: "SELECT * FROM frames WHERE host = $1 ORDER BY vantage, epoch, sequence",
        read: |row| Ok((vantage(row)?, Stored::Frame(rows::frame(row)?))),
    },
    Table {
        kind: "event",
        name: "events",
        select: "SELECT * FROM events WHERE host = $1 ORDER BY vantage, epoch, sequence",
        read: |row| Ok((vantage(row)?, Stored::Event(rows::event(row)?))),
    },
    Table {
        kind: "watermark",
        name: "watermarks",
        select: "SELECT * FROM watermarks WHERE host = $1 ORDER BY vantage, epoch",
        read: |row| Ok((vantage(row)?, Stored::Watermark(rows::watermark(row)?))),
    },
    Table {
        kind: "hole",
        name: "holes",
        select: "SELECT * FROM holes WHERE host = $1 ORDER BY vantage, epoch, first_sequence",
        read: |row| Ok((vantage(row)?, Stored::Hole(rows::hole(row)?))),
    },
    Table {
        kind: "command",
        name: "commands",
        select: "SELECT * FROM commands WHERE host = $1 ORDER BY issuer_epoch, sequence",
        read: |row| Ok((None, Stored::Command(rows::command(row)?))),
    },
    Table {
        kind: "outcome",
        name: "outcomes",
        select: "SELECT outcomes.* FROM commands JOIN outcomes ON command_id = id WHERE host = $1 ORDER BY 3",
        read: |row| Ok((None, Stored::Outcome(rows::outcome(row)?))),
    },
];

/// The tables that are there; `None` where they are not those of a brain.
pub(in crate::store) async fn tables(from: &mut Connection) -> Result<Option<Vec<String>>, sqlx::Error> {
    let tables: Vec<String> = query_scalar(NAMES).fetch_all(from).await?;
    let there = |name: &&str| tables.iter().any(|table| table == name);
    let ours = ["hosts", "births", "commands"].iter().all(there);
    Ok(ours.then_some(tables))
}

/// All hosts that anything is stored of.
pub(in crate::store) async fn hosts(from: &mut Connection) -> Result<Vec<String>, sqlx::Error> {
    let every = "SELECT host FROM hosts UNION SELECT host FROM births UNION SELECT host FROM commands ORDER BY 1";
    query_scalar(every).fetch_all(from).await
}

/// Hands the rows of `host` to `each` until it breaks.
pub(in crate::store) async fn rows<B>(
    from: &mut Connection,
    tables: &[String],
    host: &str,
    each: &mut impl FnMut(Entry) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, sqlx::Error> {
    let there = |table: &&Table| tables.iter().any(|name| name == table.name);
    for table in TABLES.iter().filter(there) {
        let mut rows = query(table.select).bind(host).fetch(&mut *from);
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
    }
    Ok(ControlFlow::Continue(()))
}

fn vantage(row: &Row) -> Result<Option<Vantage>, sqlx::Error> {
    match row.try_get::<&str, _>("vantage") {
        Ok(word) => word.parse().map(Some).map_err(rows::decode),
        Err(sqlx::Error::ColumnNotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
