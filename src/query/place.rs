//! Where the database is, and of which hosts and times is asked.

use std::{ops::Range, path::PathBuf};

use anyhow::ensure;
use brain::history::{Database, History, MAX_ROWS, Moment};
use clap::{ArgGroup, Args};
use runtime::process::Usage;
use shadow::UnixMs;

/// Where a brain keeps what it keeps.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("place").required(true).args(["config", "data_dir", "database"])))]
pub(crate) struct Place {
    /// The brain's configuration, which says where its database is
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The brain's data folder, with its SQLite database
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A TimescaleDB
    #[arg(long, value_name = "postgres://USER@HOST:PORT/DATABASE")]
    database: Option<String>,
    /// File whose first line is the password there
    #[arg(long, value_name = "FILE", requires = "database")]
    password_file: Option<PathBuf>,
    /// The brain's schema there [default: foreshadow]
    #[arg(long, value_name = "NAME", requires = "database")]
    schema: Option<String>,
}

impl Place {
    /// The database that is meant.
    ///
    /// # Errors
    /// A configuration that cannot be read or has faults.
    pub(crate) fn database(&self) -> anyhow::Result<Database> {
        Ok(Database::of(&self.brain()?))
    }

    /// The brain whose it is.
    fn brain(&self) -> anyhow::Result<brain::Config> {
        let mut config = match &self.config {
            Some(file) => runtime::config::load(file)?,
            None => brain::Config::default(),
        };
        if let Some(folder) = &self.data_dir {
            config.data_dir.clone_from(folder);
        }
        if let Some(url) = &self.database {
            config = at(url.clone(), self.password_file.clone(), self.schema.clone())?;
        }
        Ok(config)
    }
}

/// A brain on the schema of a server.
fn at(url: String, password_file: Option<PathBuf>, schema: Option<String>) -> anyhow::Result<brain::Config> {
    let mut config = brain::Config::default();
    config.store.schema = schema.unwrap_or(config.store.schema);
    config.store.database = Some(url);
    config.store.password_file = password_file;
    runtime::config::check(&config, "--database")?;
    Ok(config)
}

/// The schema of a server, by its address.
///
/// # Errors
/// An address with a password in it, or a name that is none of a schema.
pub(crate) fn server(url: String, password_file: Option<PathBuf>, schema: Option<String>) -> anyhow::Result<Database> {
    Ok(Database::of(&at(url, password_file, schema)?))
}

/// Of which hosts and times is asked.
#[derive(Debug, Args)]
pub(crate) struct Scope {
    /// Only this host; may be given several times
    #[arg(long = "host", value_name = "NAME", value_parser = crate::inspect::name)]
    pub(crate) hosts: Vec<String>,
    /// From when on
    #[arg(long, value_name = "TIME", default_value = "1h")]
    since: Moment,
    /// Until when, which is not of it [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
}

impl Scope {
    /// The time that is meant when it is `now_ms`.
    ///
    /// # Errors
    /// When it ends before it begins.
    pub(crate) fn within(&self, now_ms: UnixMs) -> anyhow::Result<Range<UnixMs>> {
        let (since, until) = (
            self.since.at(now_ms),
            self.until.map_or(now_ms, |until| until.at(now_ms)),
        );
        ensure!(
            since < until,
            Usage("--since must be before --until, which is now where it is not named".to_owned())
        );
        Ok(since..until)
    }

    /// The hosts that are named, or all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn all_hosts(&self, history: &mut History) -> anyhow::Result<Vec<String>> {
        if !self.hosts.is_empty() {
            return Ok(self.hosts.clone());
        }
        Ok(history.hosts().await?.rows.into_iter().map(|row| row.host).collect())
    }
}

/// How much is told.
#[derive(Debug, Args)]
pub(crate) struct Limit {
    /// At most so many rows (of each host in series), the newest
    #[arg(long = "limit", value_name = "N", default_value_t = 2_000, value_parser = limit)]
    pub(crate) rows: usize,
}

fn limit(text: &str) -> Result<usize, String> {
    let rows = text.parse().ok().filter(|rows| (1..=MAX_ROWS).contains(rows));
    rows.ok_or_else(|| format!("it is a whole number from 1 to {MAX_ROWS}"))
}
