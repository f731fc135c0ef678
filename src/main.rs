//! The command `foreshadow`: one part, all parts on this machine, or a lab of replayed hosts.

mod lab;
mod live;
mod table;
mod trace;
mod up;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use runtime::Shutdown;

/// Exit code of bad usage and bad configuration: `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;

/// Server shadows, forecasts and preemptive allocation
#[derive(Debug, Parser)]
#[command(name = "foreshadow", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Broker, brain and this machine's agent in one process (recommend-only, loopback)
    Up(up::UpArgs),
    /// Hosts replayed from traces through the real path, faster than time
    Lab(lab::LabArgs),
    /// This machine's agent, or a recording by it
    Agent(agent::cli::AgentArgs),
    /// The MQTT broker
    Broker(broker::cli::BrokerArgs),
    /// The brain of a cell
    Brain(brain::cli::BrainArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => {
            let code = if answer.use_stderr() { EXIT_USAGE } else { 0 };
            return answer.print().map_or(ExitCode::FAILURE, |()| ExitCode::from(code));
        }
    };
    let level = if matches!(arguments.command, Command::Up(_) | Command::Lab(_)) {
        "warn"
    } else {
        "info"
    };
    let done = match runtime::logging::init(level) {
        Ok(()) => run(arguments.command).await,
        Err(fault) => Err(fault.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!("{fault:#}");
            if brain::cli::is_usage(&fault) {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(arguments) => up::main(arguments).await,
        Command::Lab(arguments) => lab::main(arguments).await,
        Command::Agent(arguments) => agent::cli::main(arguments).await,
        Command::Broker(arguments) => serve_broker(&arguments).await,
        Command::Brain(arguments) => brain::cli::main(arguments).await,
    }
}

async fn serve_broker(arguments: &broker::cli::BrokerArgs) -> anyhow::Result<()> {
    let config = arguments.load()?;
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("cannot listen to signals")?;
    Ok(broker::cli::run(config, shutdown).await?)
}
