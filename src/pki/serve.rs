//! `pki serve`: enrolment, for the time of a rollout.

use std::net::SocketAddr;

use ::pki::{Authority, enrol::server::Server, lifetime};
use anyhow::ensure;
use clap::Args;
use runtime::{Clock, Shutdown, Span, process::Usage};

use super::{say, seconds};

/// `pki serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where to listen; anything but loopback is open to everybody who reaches it
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8430")]
    listen: SocketAddr,
    /// How long at most, up to 1day; it ends before when no token is open
    #[arg(long = "for", value_name = "SPAN", default_value = "1h")]
    life: Span,
}

impl ServeArgs {
    pub(super) async fn run(self, authority: Authority, clock: Clock) -> anyhow::Result<()> {
        let life_s = seconds(self.life);
        ensure!(
            (1..=lifetime::SERVE_S).contains(&life_s),
            Usage("--for must be 1s to 1day".to_owned())
        );
        let shutdown = Shutdown::new();
        shutdown.on_signals()?;
        let life = self.life.duration();
        let server = Server::bind(authority, self.listen, life, clock, shutdown.clone()).await?;
        let address = server.address()?;
        say(format!(
            "enrolling at {address} for {}, or until no token is open",
            self.life
        ))?;
        if !address.ip().is_loopback() {
            say("others can reach it: the authority's key is at hand here until this ends")?;
        }
        let timer = tokio::spawn(async move {
            tokio::time::sleep(life).await;
            shutdown.trigger("the time is over");
        });
        let served = server.serve().await?;
        timer.abort();
        say(format!(
            "enrolled {}, refused {}, tokens still open {}",
            served.enrolled, served.refused, served.open
        ))
    }
}
