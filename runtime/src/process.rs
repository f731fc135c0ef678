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

/// What the help of a part's own program says of its exit codes.
pub const EXIT_STATUS_OF_PART: &str = "\
Exit status: 0 when it was told to stop and has, or what it was asked for is done; 1 when it failed: the last line of its log
says what, where, and what to do; 64 for bad usage or configuration: nothing was begun; 130 when it was told twice to stop.";

/// Things do not stand well, and the output has said so: [`run`] ends the command with [`EXIT_ATTENTION`] and logs nothing.
#[derive(Debug, Error)]
#[error("something needs attention")]
pub struct Attention;

/// An option that cannot be what it was said to be: [`run`] ends the command with [`EXIT_USAGE`].
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Who reads what a process says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Somebody at a terminal, or their script: a failure is one line that begins with `error:`, as that of bad arguments.
    Person,
    /// A journal: every line has its time and level, that of a failure as well.
    Journal,
}

impl Reader {
    /// What is logged where nobody says otherwise. What a person watches tells what it does in its own words.
    const fn level(self) -> &'static str {
        match self {
            Self::Person => "warn",
            Self::Journal => "info",
        }
    }
}

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

/// Sets logging up for `reader`, does `work`, and gives the code to exit with; a failure is told to standard error, with what to do
/// next. Work that ended because nobody reads its output any more ([`OutputError::Closed`]) has done what was wanted of it.
pub async fn run(reader: Reader, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    if let Err(fault) = logging::init(reader.level()) {
        eprintln!("error: {fault}");
        return ExitCode::from(EXIT_USAGE);
    }
    match work.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) if is_closed(&fault) => ExitCode::SUCCESS,
        Err(fault) if fault.is::<Attention>() => ExitCode::from(EXIT_ATTENTION),
        Err(fault) => {
            let told = told(&fault);
            match reader {
                Reader::Person => eprintln!("error: {told}"),
                Reader::Journal => tracing::error!("{told}"),
            }
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

/// How the standard library tells of a name without an address: the system's answer has a number of its own there.
const UNKNOWN_NAME: &str = "failed to lookup address information";

/// A failure in one line: its causes, each once, for many tell theirs themselves; and what to do next, where the system's answer
/// says it and nobody has.
fn told(fault: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in fault.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    // Who names a command or an option has said what to do.
    if text.contains('`') || text.contains("--") {
        return text;
    }
    let answer = fault.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    // Of libraries that hand the system's answer on in words its number is left.
    let kind = answer.map(io::Error::kind).or_else(|| number(&text));
    let unknown = || {
        text.contains(UNKNOWN_NAME)
            .then_some("is the name right, and does this machine's DNS know it?")
    };
    // The libraries of TLS tell by the same kind that a peer's certificate is none of theirs, which is no file's fault.
    let other = || {
        let is_text = text.contains("UTF-8");
        (kind == Some(io::ErrorKind::InvalidData) && is_text).then_some("is it the right file?")
    };
    match kind.and_then(next).or_else(other).or_else(unknown) {
        Some(next) => format!("{text}; {next}"),
        None => text,
    }
}

/// What the system has answered, by its number in a text: `... (os error 111)`.
fn number(text: &str) -> Option<io::ErrorKind> {
    let (_, behind) = text.rsplit_once("(os error ")?;
    let number = behind.split(')').next()?.parse().ok()?;
    Some(io::Error::from_raw_os_error(number).kind())
}

/// What to do next after an answer of the system.
const fn next(answer: io::ErrorKind) -> Option<&'static str> {
    Some(match answer {
        io::ErrorKind::NotFound => "is the path right, and seen from this folder?",
        io::ErrorKind::PermissionDenied => "run this as a user who may, or give this one the right",
        io::ErrorKind::AddrInUse => "something listens there already: end it, or name another address",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address: name one of its own",
        io::ErrorKind::ConnectionRefused => "nothing listens there: is it running, and the address right?",
        io::ErrorKind::TimedOut => "is it running, and does a firewall stand between?",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room there, or name another folder",
        io::ErrorKind::AlreadyExists => "take that away, or name another",
        io::ErrorKind::ReadOnlyFilesystem => "name a folder that can be written to",
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            "name a file where one is wanted, a folder where that is"
        }
        _ => return None,
    })
}

fn is_closed(fault: &anyhow::Error) -> bool {
    let closed = |cause: &OutputError| matches!(cause, OutputError::Closed);
    fault.chain().filter_map(|cause| cause.downcast_ref()).any(closed)
}

fn exit_code(fault: &anyhow::Error) -> ExitCode {
    if fault
        .chain()
        .any(|cause| cause.is::<ConfigError>() || cause.is::<Usage>())
    {
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
            (
                Usage("--speed 0: must be above 0".to_owned()).into(),
                ExitCode::from(EXIT_USAGE),
            ),
            (anyhow::anyhow!("the disk is full"), ExitCode::FAILURE),
        ] {
            assert_eq!(format!("{:?}", exit_code(&fault)), format!("{code:?}"), "{fault:#}");
        }
    }

    #[test]
    fn a_failure_tells_each_cause_once_and_what_to_do_next() {
        #[derive(Debug, Error)]
        #[error("x.toml: {source}")]
        struct Tells {
            source: io::Error,
        }
        let io = |kind: io::ErrorKind| io::Error::from(kind);
        let missing = Tells {
            source: io(io::ErrorKind::NotFound),
        };
        let in_use = Err::<(), _>(io(io::ErrorKind::AddrInUse)).context("the page cannot listen at 127.0.0.1:80");
        let said =
            Err::<(), _>(io(io::ErrorKind::ConnectionRefused)).context("nobody is there: start one (`foreshadow up`)");
        for (fault, expected) in [
            (
                missing.into(),
                "x.toml: entity not found; is the path right, and seen from this folder?",
            ),
            (
                in_use.unwrap_err(),
                "the page cannot listen at 127.0.0.1:80: address in use; something listens there already: end it, or name another address",
            ),
            (
                said.unwrap_err(),
                "nobody is there: start one (`foreshadow up`): connection refused",
            ),
            (
                anyhow::anyhow!("broker x:1: I/O: Connection refused (os error 111)"),
                "broker x:1: I/O: Connection refused (os error 111); nothing listens there: is it running, and the address right?",
            ),
            (
                anyhow::anyhow!("x:1: failed to lookup address information: Name or service not known"),
                "x:1: failed to lookup address information: Name or service not known; is the name right, and does this machine's DNS know it?",
            ),
            (anyhow::anyhow!("no trace here"), "no trace here"),
        ] {
            assert_eq!(told(&fault), expected);
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
