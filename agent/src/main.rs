//! The slim agent: `foreshadow-agent`.

use std::process::ExitCode;

use agent::cli::{self, Program};
use runtime::process;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match process::arguments::<Program>() {
        Ok(Program { agent }) => process::run(agent.reader(), cli::main(agent)).await,
        Err(code) => code,
    }
}
