//! The slim agent: `foreshadow-agent`.

use std::process::ExitCode;

use agent::cli::{self, AgentArgs};
use clap::Parser;
use runtime::process;

/// Samples this machine and tells the brain of foreshadow
#[derive(Debug, Parser)]
#[command(name = "foreshadow-agent", version)]
struct Arguments {
    #[command(flatten)]
    agent: AgentArgs,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match process::arguments::<Arguments>() {
        Ok(arguments) => process::run(arguments.agent.reader(), cli::main(arguments.agent)).await,
        Err(code) => code,
    }
}
