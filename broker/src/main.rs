//! The slim broker: `foreshadow-broker`.

use std::process::ExitCode;

use broker::cli::{self, Program};
use runtime::process;

#[tokio::main]
async fn main() -> ExitCode {
    match process::arguments::<Program>() {
        Ok(Program { broker }) => process::run(broker.reader(), cli::main(broker)).await,
        Err(code) => code,
    }
}
