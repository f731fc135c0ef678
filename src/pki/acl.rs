//! `pki acl`: the roles for other brokers.

use std::path::PathBuf;

use ::pki::{Authority, mosquitto};
use clap::{Args, ValueEnum};

use super::say;

/// `pki acl`.
#[derive(Debug, Args)]
pub(super) struct AclArgs {
    /// For which broker
    #[arg(long = "for", value_enum)]
    broker: Broker,
    /// What topics begin with
    #[arg(long, value_name = "PREFIX", default_value = "foreshadow")]
    prefix: String,
    /// Prints the configuration of a port with TLS that uses the list in this file, instead of the list
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the broker's files, for --config [default: DIR/issued/_broker]
    #[arg(long, value_name = "DIR", requires = "config")]
    broker_dir: Option<PathBuf>,
    /// The port, for --config
    #[arg(long, value_name = "PORT", default_value_t = 8883, requires = "config")]
    port: u16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Broker {
    /// Eclipse Mosquitto 2.0
    Mosquitto,
}

impl AclArgs {
    pub(super) fn run(self, authority: &Authority) -> anyhow::Result<()> {
        let Broker::Mosquitto = self.broker;
        let index = authority.index()?;
        let Some(acl) = self.config else {
            let list = mosquitto::access_list(&index, &self.prefix, authority.now_s());
            return say(list.trim_end());
        };
        let folder = self.broker_dir.unwrap_or_else(|| authority.folder().issued("_broker"));
        let text = mosquitto::listener(&std::path::absolute(folder)?, &std::path::absolute(acl)?, self.port);
        say(text.trim_end())
    }
}
