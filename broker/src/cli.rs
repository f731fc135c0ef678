//! What `foreshadow-broker` and `foreshadow broker` take on the command line, and do.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use runtime::{Clock, ConfigError, Shutdown, health, output::print_line, process::Reader};
use tokio::signal::unix::{SignalKind, signal};
use trust::audit::{Audit, Keep, keep_trail};

pub use crate::password::PasswordArgs;
use crate::{Config, password, start};

/// Arguments of the broker.
#[derive(Debug, Clone, Default, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BrokerArgs {
    /// Configuration file; without it the defaults hold, which listen on loopback
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do instead of running
    #[command(subcommand)]
    pub command: Option<BrokerCommand>,
}

/// What else a broker's command does.
#[derive(Debug, Clone, Subcommand)]
pub enum BrokerCommand {
    /// Sets the password of a user, read from the terminal or from the first line of standard input
    Password(PasswordArgs),
    /// Tells by the exit code whether the broker of this machine answers
    Healthy(HealthyArgs),
}

/// Whose health is asked for.
#[derive(Debug, Clone, Args)]
pub struct HealthyArgs {
    /// Configuration that the broker runs with
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl BrokerArgs {
    /// Who reads what it says of itself: of a part that runs a journal, of all else a person.
    pub const fn reader(&self) -> Reader {
        match self.command {
            None => Reader::Journal,
            Some(_) => Reader::Person,
        }
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// [`ConfigError`], ready to be shown.
    pub fn load(&self) -> Result<Config, ConfigError> {
        load(self.config.as_deref())
    }
}

fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    path.map_or_else(|| Ok(Config::default()), runtime::config::load)
}

/// Runs a broker until a signal comes or it fails. At SIGHUP it reads certificates, users and rules anew.
///
/// # Errors
/// A faulty configuration ([`ConfigError`]), or why the broker does not start or has ended.
pub async fn main(arguments: BrokerArgs) -> anyhow::Result<()> {
    match &arguments.command {
        Some(BrokerCommand::Password(arguments)) => return password::run(arguments),
        Some(BrokerCommand::Healthy(arguments)) => return healthy(&load(arguments.config.as_deref())?),
        None => {}
    }
    let config = arguments.load()?;
    let audit = config.audit.as_deref().map(keep_logins).transpose()?;
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("cannot listen to signals")?;
    let mut hangups = signal(SignalKind::hangup()).context("cannot listen to SIGHUP")?;
    let mut broker = start(config, shutdown).await?;
    loop {
        tokio::select! {
            ended = broker.ended() => {
                if let Some(audit) = audit {
                    audit.flush();
                }
                return Ok(ended?);
            }
            _ = hangups.recv() => {
                let reload = broker.reload().await;
                tracing::info!(faults = reload.faults.len(), ended = reload.ended, sessions = reload.sessions, "SIGHUP: files are read anew");
            }
        }
    }
}

/// By its figures where they are served, for they leave no trace; else as a client, which an audit log may tell as refused.
fn healthy(config: &Config) -> anyhow::Result<()> {
    match config.metrics {
        Some(listen) => health::http(listen, "/metrics"),
        None if config.tls.is_some() => health::tls(config.listen),
        None => health::mqtt(config.listen),
    }
    .context("the broker does not answer: see its log, or name the configuration it runs with (--config FILE)")?;
    Ok(print_line("answers")?)
}

/// Keeps what is told of logins in the audit log at `path`.
fn keep_logins(path: &Path) -> anyhow::Result<Arc<Audit>> {
    path.parent().map_or(Ok(()), fs::create_dir_all).context("audit")?;
    let audit = Arc::new(Audit::start(path, Keep::default()).context("audit")?);
    let first = keep_trail(Arc::clone(&audit), Clock::system());
    ensure!(first, "audit: this process keeps its logins elsewhere already");
    Ok(audit)
}
