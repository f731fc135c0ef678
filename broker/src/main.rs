//! The slim broker: `foreshadow-broker`.

use std::process::ExitCode;

use broker::cli::{self, BrokerArgs};
use clap::Parser;
use runtime::process;

/// The MQTT broker of foreshadow
#[derive(Debug, Parser)]
#[command(name = "foreshadow-broker", version)]
struct Arguments {
    #[command(flatten)]
    broker: BrokerArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    match process::arguments::<Arguments>() {
        Ok(arguments) => process::run(arguments.broker.reader(), cli::main(arguments.broker)).await,
        Err(code) => code,
    }
}
