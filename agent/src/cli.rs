//! The agent's command line; the root command `foreshadow agent` takes the same.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use runtime::{
    Clock, Shutdown, Span,
    output::{print, print_line},
    process::Reader,
};

use crate::{
    config::Config,
    probe::Place,
    processes::{Order, busiest},
    record::{Recording, record},
};

/// `agent --config FILE`, or one of its subcommands.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AgentArgs {
    /// What to do; without it the agent runs
    #[command(subcommand)]
    pub command: Option<AgentCommand>,
    /// How to run
    #[command(flatten)]
    pub run: RunArgs,
}

/// What an agent can do.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Sample this machine and tell the brain, until stopped
    Run(RunArgs),
    /// Record this machine into a trace CSV
    Record(RecordArgs),
    /// Tell of every source whether it works, what it costs, and what would help
    Doctor(DoctorArgs),
    /// Show which processes of this machine take its cores and memory now
    Processes(ProcessesArgs),
    /// Tell by the exit code whether an agent of this user is connected to its broker
    Healthy(HealthyArgs),
}

impl AgentArgs {
    /// Who reads what it says of itself.
    pub const fn reader(&self) -> Reader {
        match self.command {
            None | Some(AgentCommand::Run(_) | AgentCommand::Record(_)) => Reader::Journal,
            Some(AgentCommand::Doctor(_) | AgentCommand::Processes(_) | AgentCommand::Healthy(_)) => Reader::Person,
        }
    }
}

/// How to run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration; without it every key has its default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Obey commands that change what the table act of the configuration allows, as act.enabled = true
    #[arg(long)]
    pub act: bool,
}

/// What to record.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// How long, such as 10m or 2h
    #[arg(long = "for", value_name = "TIME")]
    pub length: Span,
    /// How often a row is taken, 10ms to 30s
    #[arg(long, value_name = "TIME", default_value = "2s")]
    pub every: Span,
    /// Trace CSV to write; with the ending .gz it is compressed
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Configuration, of which only the probes matter
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What to examine.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Configuration, as the agent would run with
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How long slow sources, such as a BMC, may take for their first answers
    #[arg(long, value_name = "TIME", default_value = "20s")]
    pub patience: Span,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which processes to show.
#[derive(Debug, Args)]
pub struct ProcessesArgs {
    /// How many
    #[arg(long, value_name = "NUMBER", default_value_t = 15)]
    pub top: usize,
    /// What comes first
    #[arg(long, value_enum, default_value_t = Order::Cpu)]
    pub by: Order,
    /// How long their use of cores is measured
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub over: Span,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Whose health is asked for.
#[derive(Debug, Args)]
pub struct HealthyArgs {
    /// Configuration that the agent runs with
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Does what the arguments say, on the system's clock, until it is done or a signal comes.
///
/// # Errors
/// A faulty configuration ([`runtime::ConfigError`]), or what failed.
pub async fn main(arguments: AgentArgs) -> anyhow::Result<()> {
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("cannot listen to signals")?;
    match arguments.command {
        Some(AgentCommand::Record(arguments)) => run_record(&arguments, &shutdown).await,
        Some(AgentCommand::Doctor(arguments)) => doctor(&arguments, &shutdown).await,
        Some(AgentCommand::Processes(arguments)) => show_processes(&arguments).await,
        Some(AgentCommand::Healthy(arguments)) => healthy(&arguments),
        Some(AgentCommand::Run(arguments)) => run(&arguments, &shutdown).await,
        None => run(&arguments.run, &shutdown).await,
    }
}

async fn run(arguments: &RunArgs, shutdown: &Shutdown) -> anyhow::Result<()> {
    let mut config = load(arguments.config.as_deref())?;
    config.act.enabled |= arguments.act;
    let mut agent = crate::start(config, Clock::system(), shutdown.clone()).await?;
    Ok(agent.ended().await?)
}

async fn run_record(arguments: &RecordArgs, shutdown: &Shutdown) -> anyhow::Result<()> {
    let (length, every) = (arguments.length.duration(), arguments.every.duration());
    let sensible = Span::from_millis(10).duration()..=Span::from_secs(30).duration();
    anyhow::ensure!(sensible.contains(&every), "--every must be 10ms to 30s");
    let config = load(arguments.config.as_deref())?;
    let place = Place::new(PathBuf::from("/"), config.probes);
    let output = arguments.output.clone();
    let recording = Recording { length, every, output };
    let rows = record(place, &recording, &Clock::system(), shutdown).await?;
    tracing::info!(rows, output = %arguments.output.display(), "recorded");
    Ok(())
}

/// Examines the sources, as `doctor` of either binary.
///
/// # Errors
/// A faulty configuration, or no source that works at all.
pub async fn doctor(arguments: &DoctorArgs, shutdown: &Shutdown) -> anyhow::Result<()> {
    let config = load(arguments.config.as_deref())?;
    let patience = arguments.patience.duration();
    let reports = crate::doctor::examine(config, patience, &Clock::system(), shutdown).await;
    if arguments.json {
        print_line(&serde_json::to_string(&reports)?)?;
    } else {
        let width = runtime::output::width().unwrap_or(usize::MAX);
        let tables: Vec<String> = reports.iter().map(|report| report.table(width)).collect();
        print(&tables.join("\n"))?;
    }
    anyhow::ensure!(
        reports.iter().any(crate::doctor::Report::anything_works),
        "no source works"
    );
    Ok(())
}

/// Shows what runs here, as `processes` of either binary.
///
/// # Errors
/// No look at the processes.
pub async fn show_processes(arguments: &ProcessesArgs) -> anyhow::Result<()> {
    let (order, top, over) = (arguments.by, arguments.top, arguments.over.duration());
    let looked = tokio::task::spawn_blocking(move || busiest(order, top, over)).await?;
    let processes = looked.map_err(anyhow::Error::msg)?;
    if arguments.json {
        print_line(&serde_json::to_string(&processes)?)?;
    } else {
        print(&crate::processes::table(&processes))?;
    }
    Ok(())
}

fn healthy(arguments: &HealthyArgs) -> anyhow::Result<()> {
    let port = load(arguments.config.as_deref())?.broker.port;
    let connected = crate::healthy::connected(port).context("connections cannot be looked at")?;
    anyhow::ensure!(
        connected,
        "no connection of this user to port {port}: the agent is not connected to its broker; its log says why, and `foreshadow-agent healthy --config FILE` looks at another port"
    );
    print_line("connected")?;
    Ok(())
}

fn load(path: Option<&Path>) -> anyhow::Result<Config> {
    Ok(match path {
        Some(path) => runtime::config::load(path)?,
        None => Config::default(),
    })
}
