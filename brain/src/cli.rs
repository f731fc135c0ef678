//! The brain's command line; the root command `foreshadow brain` takes the same.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use runtime::{Clock, Shutdown};

use crate::Config;

/// `brain --config FILE`.
#[derive(Debug, Args)]
pub struct BrainArgs {
    /// Configuration; without it every key has its default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Runs a brain on the system's clock until a signal comes or it fails.
///
/// # Errors
/// A faulty configuration ([`runtime::ConfigError`]), or why the brain does not start or has ended.
pub async fn main(arguments: BrainArgs) -> anyhow::Result<()> {
    let config = match &arguments.config {
        Some(path) => runtime::config::load(path)?,
        None => Config::default(),
    };
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("cannot listen to signals")?;
    let brain = crate::start(config, Clock::system(), shutdown).await?;
    Ok(brain.join().await?)
}
