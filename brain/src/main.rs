//! The slim brain: `foreshadow-brain`.

use std::process::ExitCode;

use brain::cli::{self, BrainArgs};
use clap::Parser;
use runtime::process;

/// Forecasts what the hosts of a cell will need, and recommends allocations
#[derive(Debug, Parser)]
#[command(name = "foreshadow-brain", version)]
struct Arguments {
    #[command(flatten)]
    brain: BrainArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    match process::arguments::<Arguments>() {
        Ok(arguments) => process::run(arguments.brain.reader(), cli::main(arguments.brain)).await,
        Err(code) => code,
    }
}
