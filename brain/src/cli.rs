//! The brain's command line; the root command `foreshadow brain` takes the same.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use runtime::{Clock, ConfigError, Shutdown, health, output::print_line};

use crate::Config;

/// `brain --config FILE`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BrainArgs {
    /// Configuration; without it every key has its default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do instead of running
    #[command(subcommand)]
    pub command: Option<BrainCommand>,
}

/// What else a brain's command does.
#[derive(Debug, Subcommand)]
pub enum BrainCommand {
    /// Tells by the exit code whether the brain of this machine answers and goes on
    Healthy(HealthyArgs),
}

/// Whose health is asked for.
#[derive(Debug, Args)]
pub struct HealthyArgs {
    /// Configuration that the brain runs with
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Runs a brain on the system's clock until a signal comes or it fails.
///
/// # Errors
/// A faulty configuration ([`runtime::ConfigError`]), or why the brain does not start or has ended.
pub async fn main(arguments: BrainArgs) -> anyhow::Result<()> {
    if let Some(BrainCommand::Healthy(arguments)) = &arguments.command {
        let listen = load(arguments.config.as_deref())?.page.listen;
        health::http(listen, "/healthz").context("the brain does not do its work")?;
        return Ok(print_line("answers")?);
    }
    let config = load(arguments.config.as_deref())?;
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("cannot listen to signals")?;
    let brain = crate::start(config, Clock::system(), shutdown).await?;
    Ok(brain.join().await?)
}

fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    path.map_or_else(|| Ok(Config::default()), runtime::config::load)
}
