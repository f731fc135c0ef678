//! What `foreshadow-broker` and `foreshadow broker` take on the command line, and do.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use runtime::{ConfigError, Shutdown};

use crate::{Config, start};

/// Arguments of the broker.
#[derive(Debug, Clone, Default, Args)]
pub struct BrokerArgs {
    /// Configuration file; without it the defaults hold, which listen on loopback
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl BrokerArgs {
    /// Reads the configuration.
    ///
    /// # Errors
    /// [`ConfigError`], ready to be shown.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.config
            .as_deref()
            .map_or_else(|| Ok(Config::default()), runtime::config::load)
    }
}

/// Runs a broker until a signal comes or it fails.
///
/// # Errors
/// A faulty configuration ([`ConfigError`]), or why the broker does not start or has ended.
pub async fn main(arguments: BrokerArgs) -> anyhow::Result<()> {
    let config = arguments.load()?;
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("cannot listen to signals")?;
    Ok(start(config, shutdown).await?.ended().await?)
}
