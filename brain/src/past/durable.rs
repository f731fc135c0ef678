//! The durable past, read by a thread that may wait: the reader of commands and exports, driven by the thread at hand.

use std::{io, ops::Range};

use shadow::{Channel, UnixMs};
use tokio::runtime::{Builder, Runtime};

use crate::{
    history::{Column, Database, History, MAX_ROWS, Resolution, Rows},
    store::{StoreError, StoredRow},
};

/// One connection that only reads.
pub(super) struct Durable {
    runtime: Runtime,
    history: History,
}

impl Durable {
    /// Connects.
    ///
    /// # Errors
    /// As [`History::open`].
    pub(super) fn open(database: &Database) -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error: io::Error| StoreError::Database {
            database: "its reader".to_owned(),
            reason: error.to_string(),
        })?;
        let history = runtime.block_on(History::open(database))?;
        Ok(Self { runtime, history })
    }

    /// The hosts of which anything is durable, by name; at most [`MAX_ROWS`].
    ///
    /// # Errors
    /// What the database answers.
    pub(super) fn hosts(&mut self) -> Result<Vec<String>, StoreError> {
        let told = self.runtime.block_on(self.history.hosts())?;
        Ok(told.rows.into_iter().map(|row| row.host).collect())
    }

    /// The means of the rows of `host` that begin within a time, oldest first.
    ///
    /// # Errors
    /// What the database answers.
    pub(super) fn rows(
        &mut self,
        host: &str,
        resolution: Resolution,
        within: Range<UnixMs>,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.paged(host, (resolution, MAX_ROWS), within)
    }

    /// The same, so many rows a question.
    pub(super) fn paged(
        &mut self,
        host: &str,
        wanted: (Resolution, usize),
        within: Range<UnixMs>,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let (columns, mut rows) = (Column::means(None), Vec::new());
        let mut from = within.start;
        loop {
            let left = from..within.end;
            let page = self.history.page(host, &columns, &left, wanted);
            let page = self.runtime.block_on(page)?;
            rows.extend(stored(&page));
            match page.begin_ms.last() {
                Some(last_ms) if page.len() == wanted.1 => from = last_ms + 1,
                _ => return Ok(rows),
            }
        }
    }
}

/// Columns of means, one a channel, as rows.
fn stored(page: &Rows) -> impl Iterator<Item = StoredRow> {
    let times = page.begin_ms.iter().zip(&page.coverage).enumerate();
    times.map(|(row, (&begin_ms, &coverage))| {
        let mut mean = [f32::NAN; Channel::COUNT];
        for (mean, column) in mean.iter_mut().zip(&page.values) {
            *mean = column.get(row).copied().unwrap_or(f32::NAN);
        }
        StoredRow {
            begin_ms,
            coverage,
            mean,
        }
    })
}
