//! `pki enrol`: on a host, its key is made and certified.

use std::{
    env,
    io::{self, Read},
    path::{Path, PathBuf},
};

use ::pki::{
    Token,
    bundle::{self, IDENTITY, Way},
    enrol::client,
};
use anyhow::{Context, bail, ensure};
use clap::Args;
use trust::files;

use super::{Seat, say};

/// The environment variable with a token.
const TOKEN: &str = "FORESHADOW_TOKEN";

/// The longest token with the spaces around it, in bytes.
const MAX_TOKEN: u64 = 4_096;

/// `pki enrol`.
#[derive(Debug, Args)]
#[command(
    after_help = "The token is taken from --token-file, or from the environment variable FORESHADOW_TOKEN, or else from \
                        standard input: in the arguments everybody on this machine could read it."
)]
pub(super) struct EnrolArgs {
    /// Where `foreshadow pki serve` listens
    #[arg(long, value_name = "HOST:PORT")]
    server: String,
    /// The file with the token; `-` is standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The host, as its agent has it in its configuration [default: this machine's name]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    #[command(flatten)]
    seat: Seat,
    /// The folder for certificate, key, authorities and revoked ones
    #[arg(long, value_name = "DIR", default_value = "/etc/foreshadow")]
    out: PathBuf,
    /// In the place of the identity that is there
    #[arg(long)]
    replace: bool,
    /// The broker's name, for the configuration that is printed
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    broker: String,
    /// Its port, for the same
    #[arg(long, value_name = "PORT", default_value_t = 8883)]
    port: u16,
}

impl EnrolArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let identity = self.out.join(IDENTITY);
        ensure!(
            self.replace || !identity.exists(),
            "{}: there is one already; --replace takes its place",
            identity.display()
        );
        let token: Token = self.token()?.parse()?;
        let host = match &self.host {
            Some(host) => host.clone(),
            None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        };
        let subject = self.seat.subject(&host)?;
        client::enrol(&self.server, &token, &subject, &self.out).await?;
        let folder = std::path::absolute(&self.out)?;
        let way = Way {
            folder: &folder,
            broker: &self.broker,
            port: self.port,
        };
        let config = bundle::config(&subject, &token.cell, &way);
        say(format!("# enrolled; the agent's configuration:\n{}", config.trim_end()))
    }

    fn token(&self) -> anyhow::Result<String> {
        match (&self.token_file, env::var(TOKEN)) {
            (Some(path), _) if path != Path::new("-") => {
                let bytes = files::read(path)?;
                String::from_utf8(bytes)
                    .with_context(|| format!("{}: no text, so no token of `foreshadow pki token`", path.display()))
            }
            (None, Ok(token)) => Ok(token),
            (None, Err(env::VarError::NotUnicode(_))) => {
                bail!("{TOKEN} holds no text: set it to a token of `foreshadow pki token`, or say --token-file FILE")
            }
            _ => {
                let mut text = String::new();
                let read = io::stdin().take(MAX_TOKEN).read_to_string(&mut text);
                read.context("the token from standard input")?;
                Ok(text)
            }
        }
    }
}
