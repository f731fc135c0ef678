//! `pki config`: the configuration by which a part uses its files.

use std::path::PathBuf;

use ::pki::{
    Authority,
    bundle::{self, Way},
};
use anyhow::Context;
use clap::Args;

use super::{part, say};

/// `pki config`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// The part, as `pki list` names it; `brain` and `broker` too
    #[arg(value_name = "NAME")]
    name: String,
    /// The folder of its files on its machine [default: where they are here]
    #[arg(long, value_name = "DIR")]
    at: Option<PathBuf>,
    /// The broker's name [default: the first in its certificate]
    #[arg(long, value_name = "HOST")]
    broker: Option<String>,
    /// The broker's port
    #[arg(long, value_name = "PORT", default_value_t = 8883)]
    port: u16,
}

impl ConfigArgs {
    pub(super) fn run(self, authority: &Authority) -> anyhow::Result<()> {
        let (index, now_s) = (authority.index()?, authority.now_s());
        let name = part(&self.name);
        let missing = || {
            format!(
                "{}: it has no good certificate; `foreshadow pki list` tells which there are",
                self.name
            )
        };
        let issued = index.current(name, now_s).with_context(missing)?;
        let named = index.current(part("broker"), now_s);
        let named = named.and_then(|broker| broker.subject.addresses.iter().next_back());
        let broker = self.broker.or_else(|| named.cloned());
        let folder = self.at.unwrap_or_else(|| authority.folder().issued(name));
        let way = Way {
            folder: &std::path::absolute(folder)?,
            broker: broker.as_deref().unwrap_or("localhost"),
            port: self.port,
        };
        say(bundle::config(&issued.subject, &index.cell, &way).trim_end())
    }
}
