//! From arguments to an exit code, the same in every binary.

use std::{future::Future, io, process::ExitCode};

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

use crate::{ConfigError, OutputError, logging};

/// Exit code of bad usage and bad configuration: `EX_USAGE` of sysexits.h. Any other failure is 1.
pub const EXIT_USAGE: u8 = 64;

/// Exit code of a command that was asked how things stand, and found something that a person should look at.
pub const EXIT_ATTENTION: u8 = 2;

/// Things do not stand well, and the output has said so: [`run`] ends the command with [`EXIT_ATTENTION`] and logs nothing.
#[derive(Debug, Error)]
#[error("something needs attention")]
pub struct Attention;

/// The arguments of this process.
///
/// # Errors
/// The code to exit with, after help, the version, or what is wrong with the arguments has been shown.
pub fn arguments<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|answer| {
        let code = if answer.use_stderr() { EXIT_USAGE } else { 0 };
        match answer.print() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => ExitCode::from(code),
        }
    })
}

/// Sets logging up at `level`, does `work`, and gives the code to exit with; a failure is logged. Work that ended because
/// nobody reads its output any more ([`OutputError::Closed`]) has done what was wanted of it.
pub async fn run(level: &str, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    if let Err(fault) = logging::init(level) {
        eprintln!("{fault}");
        return ExitCode::from(EXIT_USAGE);
    }
    match work.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) if is_closed(&fault) => ExitCode::SUCCESS,
        Err(fault) if fault.is::<Attention>() => ExitCode::from(EXIT_ATTENTION),
        Err(fault) => {
            tracing::error!("{fault:#}");
            exit_code(&fault)
        }
    }
}

/// Lets this process have as many files open as it may at most, and tells how many: the usual soft limit of 1,024 is too low for
/// a host of many workloads and for many hosts in one process.
///
/// # Errors
/// Where the system does not let it.
pub fn raise_file_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

fn is_closed(fault: &anyhow::Error) -> bool {
    let closed = |cause: &OutputError| matches!(cause, OutputError::Closed);
    fault.chain().filter_map(|cause| cause.downcast_ref()).any(closed)
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
    #[test]
    fn only_the_readers_goodbye_is_no_failure() {
        let pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
        let closed = Err::<(), _>(OutputError::from(pipe()))
            .context("the table")
            .unwrap_err();
        assert!(is_closed(&closed));
        for fault in [pipe().into(), anyhow::Error::from(OutputError::Failed(pipe()))] {
            assert!(!is_closed(&fault), "{fault:#}");
        }
    }
}
