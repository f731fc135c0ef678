//! Databases as they are read beside the brain that writes them: without a lock, and without a change.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use shadow::UnixMs;
use sqlx::{Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{StoreError, timescale::Options};
use crate::{
    Config,
    allocate::proposals::Proposal,
    history::{
        AnomalyView, Column, CommandStory, CommandView, EventView, Filter, ForecastRow, HostRow, IncidentView,
        MAX_ROWS, PlanView, Resolution, Rows, SavingView, Series, Told,
    },
};

/// Where a brain keeps what it keeps.
#[derive(Debug, Clone)]
pub struct Database(Place);

#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    Server(Options),
}

impl Database {
    /// That of the brain with this configuration.
    pub fn of(config: &Config) -> Self {
        match config.store.timescale() {
            None => Self::file(&config.data_dir.join("brain.db")),
            Some(options) => Self::server(options),
        }
    }

    /// A schema of a server.
    pub(super) const fn server(options: Options) -> Self {
        Self(Place::Server(options))
    }

    /// A file of SQLite.
    pub fn file(path: &Path) -> Self {
        Self(Place::File(path.to_owned()))
    }
}

/// Which end of a time is told first, where not all of it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    Oldest,
    Newest,
}

/// A connection that reads alone, and what its database is called.
pub(super) struct Reader {
    pub(super) name: String,
    pub(super) session: Session,
}

pub(super) enum Session {
    Sqlite(SqliteConnection),
    Timescale(PgConnection),
}

/// What a function of `sql`, which is there once for each driver, answers to a reader.
macro_rules! ask {
    ($reader:expr, $($read:ident)::+($($argument:expr),*)) => {{
        use $crate::store::{reader::Session, sqlite, timescale};
        let answer = match &mut $reader.session {
            Session::Sqlite(session) => sqlite::sql::$($read)::+(session, $($argument),*).await,
            Session::Timescale(session) => timescale::sql::$($read)::+(session, $($argument),*).await,
        };
        answer.map_err(|error| $reader.told(&error))
    }};
}
pub(super) use ask;

impl Reader {
    /// Connects. `patience`: how long a statement may take on a server.
    pub(super) async fn open(database: &Database, patience: Option<Duration>) -> Result<Self, StoreError> {
        let (name, session) = match &database.0 {
            Place::File(path) => {
                let name = path.display().to_string();
                if !path.exists() {
                    return Err(StoreError::Database {
                        database: name,
                        reason: "there is no such file: --data-dir names the folder that a brain or `foreshadow up` tells as that of its data".to_owned(),
                    });
                }
                let options = SqliteConnectOptions::new().filename(path).read_only(true);
                let opened = SqliteConnection::connect_with(&options).await;
                (name, opened.map(Session::Sqlite))
            }
            Place::Server(options) => {
                let (connect, name) = options.connect()?;
                let patience_ms = patience.map_or(0, |patience| patience.as_millis());
                let connect = connect.application_name("foreshadow-query").options([
                    ("default_transaction_read_only", "on".to_owned()),
                    ("statement_timeout", patience_ms.to_string()),
                ]);
                let opened = PgConnection::connect_with(&connect).await;
                (name, opened.map(Session::Timescale))
            }
        };
        match session {
            Ok(session) => Ok(Self { name, session }),
            Err(error) => Err(told(name, &error)),
        }
    }

    /// What a person is told of a fault.
    pub(super) fn told(&self, error: &sqlx::Error) -> StoreError {
        told(self.name.clone(), error)
    }

    /// That the tables are not ours.
    pub(super) fn foreign(&self) -> StoreError {
        StoreError::Schema {
            database: self.name.clone(),
            reason: "not a brain's database".to_owned(),
        }
    }

    pub(super) async fn close(self) -> Result<(), StoreError> {
        let closed = match self.session {
            Session::Sqlite(session) => session.close().await,
            Session::Timescale(session) => session.close().await,
        };
        closed.map_err(|error| told(self.name, &error))
    }
}

fn told(database: String, error: &sqlx::Error) -> StoreError {
    StoreError::Database {
        database,
        reason: error.to_string(),
    }
}

/// How long a statement may take on a server.
const PATIENCE: Duration = Duration::from_secs(30);

/// The history that a database holds, open for reading. A brain may go on writing meanwhile.
pub struct History {
    reader: Reader,
}

impl History {
    /// Opens a database.
    ///
    /// # Errors
    /// When it is not there, cannot be opened, is none of a brain, or was written by an older brain: this version's brain has
    /// to be started on it once.
    pub async fn open(database: &Database) -> Result<Self, StoreError> {
        let mut reader = Reader::open(database, Some(PATIENCE)).await?;
        let first = match reader.session {
            Session::Sqlite(_) => 7,
            Session::Timescale(_) => 3,
        };
        ask!(reader, archive::tables())?.ok_or_else(|| reader.foreign())?;
        match ask!(reader, read::version())? {
            Some(version) if version >= first => Ok(Self { reader }),
            older => Err(StoreError::Schema {
                database: reader.name,
                reason: format!(
                    "its schema has version {}, this command reads {first} and later; start the brain on it once",
                    older.unwrap_or(0)
                ),
            }),
        }
    }

    /// The first hosts by name, at most [`MAX_ROWS`], and whether there are others.
    ///
    /// # Errors
    /// As every question: when the database is gone, or does not answer in time.
    pub async fn hosts(&mut self) -> Result<Told<HostRow>, StoreError> {
        let mut rows = ask!(self.reader, read::hosts(MAX_ROWS + 1))?;
        let more = rows.len() > MAX_ROWS;
        rows.truncate(MAX_ROWS);
        // Databases do not agree on the order of texts.
        rows.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(Told { rows, more })
    }

    /// The newest rows of `host` that begin within a time, at most `points`; where no resolution is named, the finest that
    /// tells what there is of that time in so many rows.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts).
    pub async fn series(
        &mut self,
        host: &str,
        columns: &[Column],
        within: &Range<UnixMs>,
        (resolution, points): (Option<Resolution>, usize),
    ) -> Result<Series, StoreError> {
        let points = points.min(MAX_ROWS);
        let resolution = match resolution {
            Some(resolution) => resolution,
            None => self.resolution(host, within, points).await?,
        };
        let wanted = (First::Newest, points + 1);
        let mut rows = ask!(self.reader, read::rows(host, (resolution, columns), within, wanted))?;
        let more = rows.len() > points;
        rows.truncate(points);
        rows.reverse();
        Ok(Series { resolution, rows, more })
    }

    async fn resolution(
        &mut self,
        host: &str,
        within: &Range<UnixMs>,
        points: usize,
    ) -> Result<Resolution, StoreError> {
        let mut oldest = [None; 3];
        for (resolution, oldest) in Resolution::ALL.into_iter().zip(&mut oldest) {
            *oldest = ask!(self.reader, read::oldest(host, resolution, within))?;
        }
        Ok(Resolution::of(within, points, oldest))
    }

    /// The oldest rows of `host` that begin within a time, at most `limit` and [`MAX_ROWS`]: page by page, each from after
    /// the last row of the one before, they are all.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts).
    pub async fn page(
        &mut self,
        host: &str,
        columns: &[Column],
        within: &Range<UnixMs>,
        (resolution, limit): (Resolution, usize),
    ) -> Result<Rows, StoreError> {
        let wanted = (First::Oldest, limit.min(MAX_ROWS));
        ask!(self.reader, read::rows(host, (resolution, columns), within, wanted))
    }

    /// Forecasts by when they were made.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts).
    pub async fn forecasts(&mut self, filter: &Filter) -> Result<Told<ForecastRow>, StoreError> {
        let rows = ask!(self.reader, read::forecasts(filter))?;
        Ok(Told::newest(rows, filter.limit()))
    }

    /// Anomalies by when they began.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts).
    pub async fn anomalies(&mut self, filter: &Filter) -> Result<Told<AnomalyView>, StoreError> {
        let rows = ask!(self.reader, read::anomalies(filter))?;
        Ok(Told::newest(rows, filter.limit()))
    }

    /// Incidents by any of their time; of every resource, for they are of hosts.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts).
    pub async fn incidents(&mut self, filter: &Filter) -> Result<Told<IncidentView>, StoreError> {
        let rows = ask!(self.reader, read::incidents(filter))?;
        Ok(Told::newest(rows, filter.limit()))
    }

    /// Commands by when they were issued, with the newest outcome of each.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts).
    pub async fn commands(&mut self, filter: &Filter) -> Result<Told<CommandView>, StoreError> {
        let rows = ask!(self.reader, read::commands(filter))?;
        Ok(Told::newest(rows, filter.limit()))
    }

    /// Events by when they happened; of every resource, for they have none.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts).
    pub async fn events(&mut self, filter: &Filter) -> Result<Told<EventView>, StoreError> {
        let rows = ask!(self.reader, read::events(filter))?;
        Ok(Told::newest(rows, filter.limit()))
    }

    /// Plans of a time.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts).
    pub async fn plans(&mut self, within: &Range<UnixMs>, limit: usize) -> Result<Told<PlanView>, StoreError> {
        let limit = limit.min(MAX_ROWS);
        let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let rows = ask!(self.reader, plans::plans((within.start, within.end), most))?;
        Ok(Told::newest(rows, limit))
    }

    /// What was held and used on days that begin within a time.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts).
    pub async fn savings(&mut self, within: &Range<UnixMs>) -> Result<Told<SavingView>, StoreError> {
        let most = i64::try_from(MAX_ROWS).unwrap_or(i64::MAX).saturating_add(1);
        let rows = ask!(self.reader, plans::saved((within.start, within.end), most))?;
        Ok(Told::newest(rows, MAX_ROWS))
    }

    /// The command of this id and what came of it within `after_ms`; `None` when nothing is kept of it.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts).
    pub async fn story(&mut self, id: &str, after_ms: i64) -> Result<Option<CommandStory>, StoreError> {
        let Some((command, outcomes)) = ask!(self.reader, plans::command(id))? else {
            return Ok(None);
        };
        let after = (command.issued_ms, command.issued_ms.saturating_add(after_ms));
        let host = command.host.clone();
        let later = ask!(self.reader, plans::later(&host, after, 1_000))?;
        let mut uses = Vec::new();
        for change in &command.changes {
            let of = (host.as_str(), change.workload.as_str());
            uses.push(ask!(self.reader, plans::uses(of, after))?);
        }
        Ok(Some(CommandStory {
            command,
            outcomes,
            later,
            uses,
        }))
    }

    /// Proposals by when they were made, each with the newest answer to its command.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts), and of a database of before proposals had a table.
    pub async fn proposals(&mut self, filter: &Filter) -> Result<Told<Proposal>, StoreError> {
        if !self.has_proposals().await? {
            return Err(StoreError::Schema {
                database: self.reader.name.clone(),
                reason: "it has no table of proposals yet; start the brain of this version on it once".to_owned(),
            });
        }
        let rows = ask!(self.reader, proposals::told(filter))?;
        Ok(Told::newest(rows, filter.limit()))
    }

    /// The proposal of this id, or of the command of this id; `None` when nothing is kept of it.
    ///
    /// # Errors
    /// As [`hosts`](Self::hosts).
    pub async fn proposal(&mut self, id: &str) -> Result<Option<Proposal>, StoreError> {
        if !self.has_proposals().await? {
            return Ok(None);
        }
        ask!(self.reader, proposals::one(id))
    }

    async fn has_proposals(&mut self) -> Result<bool, StoreError> {
        let first = match self.reader.session {
            Session::Sqlite(_) => 12,
            Session::Timescale(_) => 9,
        };
        let version = ask!(self.reader, read::version())?;
        Ok(version.is_some_and(|version| version >= first))
    }

    /// Ends the connection.
    ///
    /// # Errors
    /// When the database has something to say to that.
    pub async fn close(self) -> Result<(), StoreError> {
        self.reader.close().await
    }
}
