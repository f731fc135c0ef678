//! The slim agent: `foreshadow-agent`.

use std::process::ExitCode;

use agent::cli::{self, AgentArgs};
use clap::Parser;

/// Exit code of bad usage and bad configuration: `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;

#[derive(Debug, Parser)]
#[command(
    name = "foreshadow-agent",
    version,
    about = "Samples this machine and tells the brain of foreshadow"
)]
struct Arguments {
    #[command(flatten)]
    agent: AgentArgs,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => {
            let code = if answer.use_stderr() { EXIT_USAGE } else { 0 };
            return answer.print().map_or(ExitCode::FAILURE, |()| ExitCode::from(code));
        }
    };
    let done = match runtime::logging::init("info") {
        Ok(()) => cli::main(arguments.agent).await,
        Err(fault) => Err(fault.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!("{fault:#}");
            if fault.is::<runtime::ConfigError>() {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
