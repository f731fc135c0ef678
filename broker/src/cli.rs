//! What `foreshadow-broker` and `foreshadow broker` take on the command line, and do.

use std::path::PathBuf;

use clap::Args;
use runtime::{ConfigError, Shutdown};

use crate::{BrokerError, Config, start};

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

/// Runs a broker until `shutdown`.
///
/// # Errors
/// [`BrokerError`] when it does not start, or ends without being told to.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), BrokerError> {
    start(config, shutdown).await?.ended().await
}
