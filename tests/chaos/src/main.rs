//! Proof that nothing is lost. A whole cell of real processes runs on loopback while broker, brain, agents and links are
//! killed, cut and stalled at random; then every frame that any agent took is looked for in the database.
//!
//! `cargo run --release -p foreshadow-chaos -- run --hosts 200 --for 10m` prints the count as a table, and fails unless
//! every frame is stored once, or lies in a hole that its agent has declared.
//!
//! | module | what it does |
//! |---|---|
//! | `stage` | starts, kills and restarts the processes; all of them are this program, but for the database |
//! | `server` | a database that can be killed |
//! | `play` | what fails when |
//! | `link` | a TCP link that can be cut or stalled |
//! | `fleet` | a process of many agents, with a ledger of what they took |
//! | `signal` | what the agents measure: a function of host, metric and time |
//! | `verdict` | ledgers against the database |

#[cfg(test)]
mod documents;
mod fleet;
mod ledger;
mod link;
mod play;
#[path = "../../e2e/ports.rs"]
mod ports;
mod server;
mod signal;
mod stage;
mod verdict;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use runtime::{Span, process};

#[derive(Debug, Parser)]
#[command(name = "foreshadow-chaos", about = "Proof that nothing is lost")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole cell, let it suffer, and count
    Run(Run),
    /// A part of the cell: the broker
    Broker(broker::cli::BrokerArgs),
    /// A part of the cell: the brain
    Brain(brain::cli::BrainArgs),
    /// A part of the cell: agents
    Fleet(fleet::Arguments),
}

/// How long, how many, how hard.
#[derive(Debug, clap::Args)]
struct Run {
    /// Hosts, shared out among the fleets
    #[arg(long, default_value_t = 200)]
    hosts: usize,
    /// Processes of agents
    #[arg(long, default_value_t = 4)]
    fleets: usize,
    /// How long samples are taken
    #[arg(long = "for", value_name = "TIME", default_value = "10m")]
    length: Span,
    /// What fails when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Bytes of frames that an agent keeps in memory
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 10)]
    memory: usize,
    /// Bytes of frames that an agent keeps on disk
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    disk: u64,
    /// Leave the brain dead for the middle of the time, so that small spools overflow
    #[arg(long)]
    drought: bool,
    /// Keep the shadows in a TimescaleDB, which is killed like the rest. The program starts the one of the folder `TSDB_DATA`
    /// on port `TSDB_PORT`, with what it remembers of it in `TSDB_RUN`, and prints its address
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
    /// Keep what the processes wrote in this folder
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match process::arguments::<Arguments>() {
        Ok(Arguments { command }) => process::run(process::Reader::Person, run(command)).await,
        Err(code) => code,
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(run) => play::run(&run).await,
        Command::Broker(arguments) => broker::cli::main(arguments).await,
        Command::Brain(arguments) => brain::cli::main(arguments).await,
        Command::Fleet(arguments) => fleet::run(&arguments).await,
    }
}
