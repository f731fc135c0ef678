//! Reading the durable past on a connection of its own that only reads, so that it never keeps the writer waiting.

use std::{future::Future, io, sync::Arc};

use sqlx::{AssertSqlSafe, query};
use tokio::runtime::Runtime;

use super::{
    super::dialect::{Connection, at, told},
    recover::{host, rollup},
};
use crate::store::{
    StoreError, StoredRow,
    figures::CHANNELS,
    history::{History, Span},
};

/// One connection, driven by the thread at hand.
#[derive(Debug)]
pub(in crate::store) struct Reader {
    pub(in crate::store) connection: Connection,
    pub(in crate::store) runtime: Runtime,
    name: String,
}

impl Reader {
    /// Takes the connection that `connect` makes to the database that is called `name`.
    ///
    /// # Errors
    /// What the database answers.
    pub(in crate::store) fn open(
        name: String,
        connect: impl Future<Output = Result<Connection, sqlx::Error>>,
    ) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error: io::Error| told(&name, &error.into()))?;
        let connection = runtime.block_on(connect).map_err(|error| told(&name, &error))?;
        Ok(Self {
            connection,
            runtime,
            name,
        })
    }

    fn read(&mut self, table: &str, of: &str, span: &Span) -> Result<Vec<StoredRow>, StoreError> {
        let sql = format!(
            "SELECT bucket, coverage, {} FROM {table} WHERE host = $1 AND bucket >= $2 AND bucket < $3 ORDER BY bucket",
            CHANNELS.join(", ")
        );
        let rows = query(AssertSqlSafe(sql))
            .bind(of)
            .bind(at(span.start))
            .bind(at(span.end));
        let rows = self.runtime.block_on(rows.fetch_all(&mut self.connection));
        let rows = rows.and_then(|rows| rows.iter().map(rollup).collect());
        rows.map_err(|error| told(&self.name, &error))
    }
}

impl History for Reader {
    fn hosts(&mut self) -> Result<Vec<Arc<str>>, StoreError> {
        let rows = query("SELECT host FROM hosts ORDER BY host").fetch_all(&mut self.connection);
        let hosts = self.runtime.block_on(rows);
        let hosts = hosts.and_then(|rows| rows.iter().map(|row| host(row, 0)).collect());
        hosts.map_err(|error| told(&self.name, &error))
    }

    fn rows(&mut self, host: &str, span: Span) -> Result<Vec<StoredRow>, StoreError> {
        self.read("rollup_10s", host, &span)
    }

    fn minutes(&mut self, host: &str, span: Span) -> Result<Vec<StoredRow>, StoreError> {
        self.read("rollup_1m", host, &span)
    }
}
