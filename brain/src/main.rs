//! The slim brain: `foreshadow-brain`.

use std::process::ExitCode;

use brain::cli::{self, Program};
use runtime::process;

#[tokio::main]
async fn main() -> ExitCode {
    match process::arguments::<Program>() {
        Ok(Program { brain }) => process::run(brain.reader(), cli::main(brain)).await,
        Err(code) => code,
    }
}
