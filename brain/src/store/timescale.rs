//! The store of a cell: a schema of a TimescaleDB.
//!
//! One brain has it at a time: an advisory lock of its session says so, and is taken anew with each new session. A
//! connection that is lost, a server that restarts or fails over, and an answer that does not come are all told as busy:
//! the next call connects again. Whether a commit that was cut off has happened does not matter, for writing twice is
//! writing once. What was committed before has to be there, though: see [`last`].

use std::{fs::File, path::Path, time::Duration};

use shadow::Frame;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::{error::Elapsed, timeout};

use self::{
    last::Last,
    patience::Patience,
    sql::{prune, recover, references, write},
};
use super::{Batch, Cutoffs, FrameId, Hours, Recovered, Since, Store, StoreError, Stream, folder};

mod dialect;
mod fault;
mod last;
mod options;
mod patience;
mod policies;
mod schema;
#[path = "sql/mod.rs"]
pub(super) mod sql;

pub(crate) use options::{LOCK_PATIENCE, Options};
pub(crate) use policies::Retention;

/// How long an answer may take that nothing hangs on, and that of a batch at first.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the answer of a batch may take at last: a database that slow is of no use, but loses nothing.
const LONGEST: Duration = Duration::from_mins(15);
/// How long reading back may take at a start.
const START_PATIENCE: Duration = Duration::from_mins(10);

/// A schema of a database, and the lock on the data folder.
#[derive(Debug)]
pub(crate) struct Timescale {
    connect: PgConnectOptions,
    /// What a person is told: no password is in it.
    name: String,
    schema: String,
    hours: Hours,
    /// `None` after it was lost.
    connection: Option<PgConnection>,
    /// With batches.
    patience: Patience,
    last: Last,
    /// Held, not read: the lock ends with the file.
    _lock: File,
}

impl Timescale {
    /// Opens the database, brings its schema up to date, and keeps others out of it and of `folder`.
    ///
    /// # Errors
    /// A folder that cannot be written or that another brain uses; a database that is not there, refuses the user, lacks the
    /// extension, is used by another brain, or was written by a newer one.
    pub(crate) async fn open(options: &Options, retention: &Retention, folder: &Path) -> Result<Self, StoreError> {
        let lock = folder::lock(folder)?;
        let (connect, name) = options.connect()?;
        let told = |error: sqlx::Error| fault::told(&name, &error);
        let mut connection = PgConnection::connect_with(&connect).await.map_err(told)?;
        schema::require_extension(&mut connection, &name).await?;
        schema::create(&mut connection, &options.schema).await.map_err(told)?;
        schema::wait_for_lock(&mut connection, options, &name).await?;
        schema::migrate(&mut connection, &name).await?;
        let hours = policies::set(&mut connection, retention).await.map_err(told)?;
        schema::describe(&mut connection, hours).await.map_err(told)?;
        let last = Last::read(&mut connection).await.map_err(told)?;
        Ok(Self {
            connect,
            name,
            schema: options.schema.clone(),
            hours,
            connection: Some(connection),
            patience: Patience::new(PATIENCE, LONGEST),
            last,
            _lock: lock,
        })
    }

    /// The connection, which is another one if the last was lost. It is to be [given back](Self::done).
    async fn connection(&mut self) -> Result<PgConnection, StoreError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let again = async {
            let mut connection = PgConnection::connect_with(&self.connect).await?;
            let ours = schema::lock(&mut connection, &self.schema).await?;
            Ok::<_, sqlx::Error>((connection, ours))
        };
        let busy = |reason: String| StoreError::Busy {
            database: self.name.clone(),
            reason,
        };
        match timeout(PATIENCE, again).await {
            Ok(Ok((connection, true))) => self.same(connection).await,
            // Our own session of before may live on for a while; another brain's lives longer than that.
            Ok(Ok((_, false))) => Err(busy("another session of a brain holds it".to_owned())),
            Ok(Err(error)) => Err(busy(error.to_string())),
            Err(_) => Err(busy(format!("no connection within {PATIENCE:?}"))),
        }
    }

    /// A new session, if what this brain has made durable is there.
    async fn same(&self, mut connection: PgConnection) -> Result<PgConnection, StoreError> {
        match timeout(PATIENCE, self.last.is_there(&mut connection)).await {
            Ok(Ok(true)) => {
                tracing::info!(database = self.name, "connected to the database again");
                Ok(connection)
            }
            // What a standby has taken over but not replayed yet is there soon.
            Ok(Ok(false)) if last::follows(&mut connection).await => Err(StoreError::Busy {
                database: self.name.clone(),
                reason: "it is a standby, and read-only".to_owned(),
            }),
            Ok(Ok(false)) => Err(StoreError::Changed(self.name.clone())),
            Ok(Err(error)) => Err(fault::told(&self.name, &error)),
            Err(_) => Err(self.late()),
        }
    }

    fn late(&self) -> StoreError {
        StoreError::Busy {
            database: self.name.clone(),
            reason: "no answer in time".to_owned(),
        }
    }

    /// Keeps a connection that is good for another call.
    fn done<T>(
        &mut self,
        connection: PgConnection,
        answer: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, StoreError> {
        let answer = answer.map_err(|_| self.late())?;
        if !answer.as_ref().is_err_and(fault::ends_connection) {
            self.connection = Some(connection);
        }
        answer.map_err(|error| fault::told(&self.name, &error))
    }
}

impl Store for Timescale {
    async fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        let writing = write::batch(&mut connection, batch, self.hours, Some(self.last.next()));
        let written = timeout(self.patience.span(), writing).await;
        if written.is_err() {
            self.patience.grow();
        }
        self.done(connection, written)?;
        self.patience.reset();
        self.last.written();
        Ok(())
    }

    async fn prune(&mut self, cutoffs: &Cutoffs) -> Result<bool, StoreError> {
        let mut connection = self.connection().await?;
        let pruned = timeout(PATIENCE, prune::older(&mut connection, cutoffs, self.hours)).await;
        self.done(connection, pruned)
    }

    async fn recover(&mut self, since: Since) -> Result<Recovered, StoreError> {
        let mut connection = self.connection().await?;
        let read = timeout(START_PATIENCE, recover::all(&mut connection, since)).await;
        self.done(connection, read)
    }

    async fn find(&mut self, wanted: &[FrameId]) -> Result<Vec<(Stream, Frame)>, StoreError> {
        let mut connection = self.connection().await?;
        let found = timeout(PATIENCE, references::with_theirs(&mut connection, wanted)).await;
        self.done(connection, found)
    }

    async fn close(mut self) -> Result<(), StoreError> {
        let Some(connection) = self.connection.take() else {
            return Ok(());
        };
        let closed = timeout(PATIENCE, connection.close()).await;
        // What was committed is committed: a server that is gone says goodbye to nobody.
        drop(closed);
        Ok(())
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
