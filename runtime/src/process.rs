//! From arguments to an exit code, the same in every binary.

use std::{future::Future, process::ExitCode};

use clap::Parser;

use crate::{ConfigError, logging};

/// Exit code of bad usage and bad configuration: `EX_USAGE` of sysexits.h. Any other failure is 1.
pub const EXIT_USAGE: u8 = 64;

/// The arguments of this process.
///
/// # Errors
/// The code to exit with, after help, the version, or what is wrong with the arguments has been shown.
pub fn arguments<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|answer| {
        let code = if answer.use_stderr() { EXIT_USAGE } else { 0 };
        // Where nothing can be shown, the code still tells.
        answer.print().map_or(ExitCode::FAILURE, |()| ExitCode::from(code))
    })
}

/// Sets logging up at `level`, does `work`, and gives the code to exit with; a failure is logged.
pub async fn run(level: &str, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    if let Err(fault) = logging::init(level) {
        eprintln!("{fault}");
        return ExitCode::from(EXIT_USAGE);
    }
    match work.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!("{fault:#}");
            exit_code(&fault)
        }
    }
}

fn exit_code(fault: &anyhow::Error) -> ExitCode {
    if fault.chain().any(<dyn std::error::Error>::is::<ConfigError>) {
        ExitCode::from(EXIT_USAGE)
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn faults_of_the_configuration_are_usage_wherever_they_come_from() {
        let fault = || ConfigError::TooLarge { file: "x".to_owned() };
        let nested = Err::<(), _>(fault()).context("the brain does not start").unwrap_err();
        for (fault, code) in [
            (anyhow::Error::from(fault()), ExitCode::from(EXIT_USAGE)),
            (nested, ExitCode::from(EXIT_USAGE)),
            (anyhow::anyhow!("the disk is full"), ExitCode::FAILURE),
        ] {
            assert_eq!(format!("{:?}", exit_code(&fault)), format!("{code:?}"), "{fault:#}");
        }
    }
}
