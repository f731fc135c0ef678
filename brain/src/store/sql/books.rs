//! What books have learnt: written, and read back.

use sqlx::{QueryBuilder, Row as _, query};

use super::super::dialect::{Connection, Db, Row, at};
use crate::store::{Batch, StoredBook};

/// Rows of one statement: 1 MB.
const ROWS_A_STATEMENT: usize = 200;

pub(super) async fn write(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = batch.books.iter().collect();
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Db>::new("INSERT INTO books (host, resource, saved, body) ");
        insert.push_values(chunk, |mut row, ((host, resource), (saved_ms, body))| {
            row.push_bind(host.as_str())
                .push_bind(resource.as_str())
                .push_bind(at(*saved_ms))
                .push_bind(body.as_slice());
        });
        insert.push(" ON CONFLICT (host, resource) DO UPDATE SET saved = excluded.saved, body = excluded.body");
        insert.build().execute(&mut *to).await?;
    }
    Ok(())
}

/// Of every series. What is of no resource that this version knows is left out.
pub(super) async fn recover(from: &mut Connection) -> Result<Vec<StoredBook>, sqlx::Error> {
    let rows = query("SELECT host, resource, body FROM books ORDER BY host, resource")
        .fetch_all(from)
        .await?;
    let book = |row: &Row| {
        let Ok(resource) = row.try_get::<&str, _>(1)?.parse() else {
            return Ok(None);
        };
        Ok(Some((row.try_get(0)?, resource, row.try_get(2)?)))
    };
    rows.iter().filter_map(|row| book(row).transpose()).collect()
}
