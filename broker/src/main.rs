//! `foreshadow-broker`: the broker alone.

use std::process::ExitCode;

use broker::cli::{BrokerArgs, run};
use clap::Parser;
use runtime::Shutdown;

/// Exit code for wrong arguments or configuration: `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;

/// The MQTT broker of foreshadow
#[derive(Debug, Parser)]
#[command(version)]
struct Command {
    #[command(flatten)]
    args: BrokerArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(shown) => return usage(&shown),
    };
    if let Err(error) = runtime::logging::init("info") {
        return fail(EXIT_USAGE, &error);
    }
    let config = match command.args.load() {
        Ok(config) => config,
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    let shutdown = Shutdown::new();
    if let Err(error) = shutdown.on_signals() {
        return fail(1, &error);
    }
    match run(config, shutdown).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

/// Shows help or version, or what is wrong with the arguments.
fn usage(shown: &clap::Error) -> ExitCode {
    let code = if shown.use_stderr() { EXIT_USAGE } else { 0 };
    // Where nothing can be shown, the code still tells.
    shown.print().map_or(ExitCode::FAILURE, |()| ExitCode::from(code))
}

fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("foreshadow-broker: {error}");
    ExitCode::from(code)
}
