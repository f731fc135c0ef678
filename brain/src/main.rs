//! The slim brain: `foreshadow-brain`.

use std::process::ExitCode;

use brain::cli::{self, BrainArgs};
use clap::Parser;

/// Exit code of bad usage and bad configuration: `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;

#[derive(Debug, Parser)]
#[command(
    name = "foreshadow-brain",
    version,
    about = "Forecasts what the hosts of a cell will need, and recommends allocations"
)]
struct Arguments {
    #[command(flatten)]
    brain: BrainArgs,
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
    let done = match runtime::logging::init("info") {
        Ok(()) => cli::main(arguments.brain).await,
        Err(fault) => Err(fault.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!("{fault:#}");
            if cli::is_usage(&fault) {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
