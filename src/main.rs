//! The command `foreshadow`: one part, all parts on this machine, or a lab of replayed hosts.

mod audit;
mod backtest;
mod backup;
mod client;
mod detect;
mod explain;
mod export;
mod freeze;
mod inspect;
mod lab;
mod live;
mod pki;
mod policy;
mod proposals;
mod query;
mod report;
mod shell;
mod simulate;
mod status;
mod stop;
mod table;
mod top;
mod trace;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use runtime::process::{self, Reader};

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
    /// The cell in this terminal: hosts, loads, forecasts, commands
    Top(top::TopArgs),
    /// How a cell stands, in a few lines and by the exit code
    Status(status::StatusArgs),
    /// Hosts replayed from traces through the real path, faster than time
    Lab(lab::LabArgs),
    /// Messages of a broker, a capture or a database as JSON, one object a line
    Inspect(Box<inspect::InspectArgs>),
    /// What a brain has kept: hosts, series, forecasts, anomalies, commands, events
    Query(Box<query::QueryArgs>),
    /// One command or proposal in words: what it rests on, what bound it, and what came of it
    Explain(Box<explain::ExplainArgs>),
    /// Changes that wait for somebody's word, with their reasons
    Proposals(proposals::ProposalsArgs),
    /// Has a proposed change made
    Approve(proposals::ApproveArgs),
    /// Says no to a proposed change
    Decline(proposals::DeclineArgs),
    /// Keeps the cell as it is: nothing is changed until it is thawed
    Freeze(freeze::FreezeArgs),
    /// Lets a frozen cell move again
    Thaw(freeze::ThawArgs),
    /// What allocation has saved, and whom it hurt
    Report(Box<report::ReportArgs>),
    /// Series of hosts as trace CSVs or Parquet, a file a host
    Export(Box<export::ExportArgs>),
    /// How unusual each row of a series is: a CSV with scores
    Detect(detect::DetectArgs),
    /// What the forecaster would have said of a recorded past, and how right it would have been
    Backtest(Box<backtest::BacktestArgs>),
    /// What limits would have been over a recorded past, and what they would have cost, beside other policies
    Simulate(Box<simulate::SimulateArgs>),
    /// Whether a policy of allocation is good, and what it says
    Policy(policy::PolicyArgs),
    /// A copy of a brain's data folder, while the brain runs
    Backup(backup::BackupArgs),
    /// Who is who in a cell: certificates, tokens, revocation
    Pki(Box<pki::PkiArgs>),
    /// The log of who has done what
    Audit(audit::AuditArgs),
    /// Completions of commands and options for a shell
    Completions(shell::CompletionsArgs),
    /// Man pages of all commands
    Man(shell::ManArgs),
    /// This machine's agent, or a recording by it
    Agent(agent::cli::AgentArgs),
    /// What every source of this machine tells, what it costs, and what would help
    Doctor(agent::cli::DoctorArgs),
    /// Which processes of this machine take its cores and memory now
    Processes(agent::cli::ProcessesArgs),
    /// The MQTT broker
    Broker(broker::cli::BrokerArgs),
    /// The brain of a cell
    Brain(brain::cli::BrainArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    match process::arguments::<Arguments>() {
        Ok(Arguments { command }) => process::run(command.reader(), run(command)).await,
        Err(code) => code,
    }
}

impl Command {
    /// Who watches it: of the parts a service manager's journal, of all else a person.
    const fn reader(&self) -> Reader {
        match self {
            Self::Broker(arguments) => arguments.reader(),
            Self::Brain(arguments) => arguments.reader(),
            Self::Agent(arguments) => arguments.reader(),
            _ => Reader::Person,
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(arguments) => Box::pin(up::main(arguments)).await,
        Command::Top(arguments) => Box::pin(top::main(arguments)).await,
        Command::Status(arguments) => status::main(&arguments).await,
        Command::Completions(arguments) => shell::completions::<Arguments>(&arguments),
        Command::Man(arguments) => shell::man::<Arguments>(&arguments),
        Command::Lab(arguments) => Box::pin(lab::main(arguments)).await,
        Command::Inspect(arguments) => inspect::main(*arguments).await,
        Command::Query(arguments) => Box::pin(query::main(*arguments)).await,
        Command::Explain(arguments) => Box::pin(explain::main(&arguments)).await,
        Command::Proposals(arguments) => proposals::list(&arguments).await,
        Command::Approve(arguments) => proposals::approve(&arguments).await,
        Command::Decline(arguments) => proposals::decline(&arguments).await,
        Command::Freeze(arguments) => freeze::freeze(&arguments).await,
        Command::Thaw(arguments) => freeze::thaw(&arguments).await,
        Command::Report(arguments) => Box::pin(report::main(&arguments)).await,
        Command::Export(arguments) => Box::pin(export::main(*arguments)).await,
        Command::Detect(arguments) => detect::main(&arguments),
        Command::Backtest(arguments) => Box::pin(backtest::main(*arguments)).await,
        Command::Simulate(arguments) => Box::pin(simulate::main(*arguments)).await,
        Command::Policy(arguments) => policy::main(&arguments),
        Command::Backup(arguments) => backup::main(arguments).await,
        Command::Pki(arguments) => Box::pin(pki::main(*arguments)).await,
        Command::Audit(arguments) => audit::main(&arguments),
        Command::Agent(arguments) => agent::cli::main(arguments).await,
        Command::Doctor(arguments) => agent::cli::doctor(&arguments, &runtime::Shutdown::new()).await,
        Command::Processes(arguments) => agent::cli::show_processes(&arguments).await,
        Command::Broker(arguments) => broker::cli::main(arguments).await,
        Command::Brain(arguments) => brain::cli::main(arguments).await,
    }
}
