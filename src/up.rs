//! `foreshadow up`: broker, brain and this machine's agent in one process, talking over MQTT on loopback.

use std::{env, net::SocketAddr, path::PathBuf};

use anyhow::{Context, anyhow};
use brain::Error as BrainError;
use broker::BrokerError;
use clap::Args;
use runtime::{Clock, OutputError, Shutdown, output::print_line};

use crate::{
    live,
    stop::{self, Core},
};

/// How `up` runs.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Folder of the database and the models [default: foreshadow in the XDG state folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the broker listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1883")]
    broker: SocketAddr,
    /// Where the page is served; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8420")]
    page: SocketAddr,
    /// Configuration of the agent; the broker's address in it does not count
    #[arg(long, value_name = "FILE")]
    agent_config: Option<PathBuf>,
    /// Configuration of the brain; the addresses and the data folder in it do not count
    #[arg(long, value_name = "FILE")]
    brain_config: Option<PathBuf>,
}

/// Runs until a signal comes or a part fails.
pub(crate) async fn main(arguments: UpArgs) -> anyhow::Result<()> {
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("cannot listen to signals")?;
    let mut parts = Parts::start(&arguments).await?;
    parts.introduce()?;
    let ended = tokio::select! {
        () = live::show(parts.core.brain.snapshot(), &shutdown) => Ok(()),
        fault = parts.failed() => Err(fault),
    };
    let stopped = parts.stop().await;
    // What failed first is the cause.
    ended.and(stopped)
}

/// The three parts. Each has a signal of its own, for they stop one after the other.
struct Parts {
    core: Core,
    agent: agent::Handle,
    agent_stop: Shutdown,
    data_dir: PathBuf,
    /// How the page is spoken to.
    scheme: &'static str,
}

impl Parts {
    async fn start(arguments: &UpArgs) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let [broker_stop, brain_stop, agent_stop] = [(); 3].map(|()| Shutdown::new());
        let data_dir = arguments.data_dir.clone().map_or_else(default_data_dir, Ok)?;
        let (agent_config, brain_config) = (agent_config(arguments)?, brain_config(arguments)?);
        let broker_config = broker::Config {
            listen: arguments.broker,
            data: Some(data_dir.join("broker")),
            ..broker::Config::default()
        };
        let broker = broker::start(broker_config, broker_stop.clone())
            .await
            .map_err(broker_fault)?;
        let (host, port) = (broker.addr().ip().to_string(), broker.addr().port());
        let brain_config = brain::Config {
            broker: bus::Broker::new(host.clone(), port),
            page: brain::config::Page {
                listen: arguments.page,
                ..brain_config.page.clone()
            },
            data_dir: data_dir.clone(),
            ..brain_config
        };
        let agent_config = agent::Config {
            broker: bus::Broker::new(host, port),
            cell: brain_config.cell.clone(),
            prefix: brain_config.prefix.clone(),
            state_dir: agent_config.state_dir.clone().or_else(|| Some(data_dir.join("agent"))),
            // The process is that of the brain as well.
            pace: agent::config::Pace {
                memory_budget: 0,
                ..agent_config.pace
            },
            ..agent_config
        };
        let scheme = brain_config.page.scheme();
        let brain = brain::start(brain_config, clock.clone(), brain_stop.clone())
            .await
            .map_err(brain_fault)?;
        let agent = agent::start(agent_config, clock, agent_stop.clone()).await?;
        Ok(Self {
            core: Core {
                brain,
                brain_stop,
                broker,
                broker_stop,
            },
            agent,
            agent_stop,
            data_dir,
            scheme,
        })
    }

    fn introduce(&self) -> Result<(), OutputError> {
        let (page, broker) = (self.core.brain.page_addr(), self.core.broker.addr());
        print_line(&format!("page    {}://{page}", self.scheme))?;
        print_line(&format!("broker  mqtt://{broker}"))?;
        print_line(&format!("data    {}", self.data_dir.display()))?;
        print_line(&format!(
            "host    {} (recommend-only: nothing on it is changed)",
            self.agent.host()
        ))
    }

    /// Returns when a part has ended that was not told to.
    async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = self.core.broker.ended() => unexpected("broker", ended.err().map(Into::into)),
            error = self.core.brain.failed() => unexpected("brain", Some(error.into())),
            ended = self.agent.ended() => unexpected("agent", ended.err().map(Into::into)),
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        let Self {
            core,
            mut agent,
            agent_stop,
            ..
        } = self;
        let agent = async {
            agent_stop.trigger("stop");
            Ok(agent.ended().await?)
        };
        stop::in_order(agent, core).await
    }
}

/// Why the broker does not start, with the option of this command in place of the key of its configuration.
fn broker_fault(fault: BrokerError) -> anyhow::Error {
    match fault {
        BrokerError::InUse { addr } => anyhow!(
            "{addr} is in use, perhaps by another broker; stop that one, or name another port with --broker (0 takes a free one)"
        ),
        BrokerError::Data { path, source } => {
            anyhow!(
                "cannot use {}: {source}; --data-dir names a folder that can be written to",
                path.display()
            )
        }
        other => other.into(),
    }
}

/// The same of the brain.
fn brain_fault(fault: BrainError) -> anyhow::Error {
    match fault {
        BrainError::Listen { address, source } => {
            anyhow!("the page cannot listen on {address}: {source}; name another port with --page (0 takes a free one)")
        }
        other => other.into(),
    }
}

fn unexpected(part: &str, why: Option<anyhow::Error>) -> anyhow::Error {
    let why = why.unwrap_or_else(|| anyhow!("it was not told to"));
    why.context(format!("the {part} has ended"))
}

fn agent_config(arguments: &UpArgs) -> anyhow::Result<agent::Config> {
    let path = arguments.agent_config.as_deref();
    Ok(path.map(runtime::config::load).transpose()?.unwrap_or_default())
}

fn brain_config(arguments: &UpArgs) -> anyhow::Result<brain::Config> {
    let path = arguments.brain_config.as_deref();
    Ok(path.map(runtime::config::load).transpose()?.unwrap_or_default())
}

/// `$XDG_STATE_HOME/foreshadow`, or `~/.local/state/foreshadow` (XDG Base Directory Specification 0.8).
fn default_data_dir() -> anyhow::Result<PathBuf> {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")));
    let state = state.context("neither XDG_STATE_HOME nor HOME names a folder: say --data-dir DIR")?;
    Ok(state.join("foreshadow"))
}
