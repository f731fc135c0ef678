//! `foreshadow inspect`: what goes over a broker, or lies in a file, as JSON: one object a line.
//!
//! | file | what it does |
//! |---|---|
//! | `inspect/live.rs` | listens to a broker, and keeps what it hears in a capture |
//! | `inspect/file.rs` | captures, and databases of brains |
//! | `inspect/line.rs` | a message or a row to an object |
//! | `inspect/samples.rs` | frames to samples, with the births that went by |

use std::path::PathBuf;

use anyhow::Context;
use bus::{Broker, Tls};
use clap::{ArgGroup, Args};
use runtime::{Clock, OutputError, Shutdown, Span, output::print_line};
use shadow::{NameError, check_name};

use self::line::{Line, Reader};
use crate::query;

mod file;
mod line;
mod live;
mod samples;

/// What to look at.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("source").required(true).args(["files", "broker", "database"])), after_help = "\
Exit status: 0 when all was read that was asked for, or nobody reads the output any more; 1 when the broker
or the database cannot be reached, or a file not be read to its end; 64 for bad usage. A message that cannot be read is an
object with \"error\" and no failure.")]
pub(crate) struct InspectArgs {
    /// Captures (as --record writes them) and databases (a brain's brain.db), told host by host
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A TimescaleDB of a brain, told host by host
    #[arg(long, value_name = "postgres://USER@HOST:PORT/DATABASE")]
    database: Option<String>,
    /// The brain's schema there [default: foreshadow]
    #[arg(long, value_name = "NAME", requires = "database")]
    schema: Option<String>,
    /// Broker to listen to
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    broker: Option<Broker>,
    #[command(flatten)]
    login: LoginArgs,
    /// Only topics that begin with this [live: foreshadow]
    #[arg(long, value_parser = prefix)]
    prefix: Option<String>,
    /// Only this cell
    #[arg(long, value_name = "NAME", value_parser = name)]
    cell: Option<String>,
    /// Only this host; may be given several times
    #[arg(long = "host", value_name = "NAME", value_parser = name)]
    hosts: Vec<String>,
    /// End after so many objects
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after this time, such as 10s
    #[arg(long = "for", value_name = "TIME", conflicts_with = "files")]
    length: Option<Span>,
    /// Tell the samples of frames too, by the names of their metrics
    #[arg(long)]
    values: bool,
    /// Keep the messages as they come in a capture; one that is there is replaced
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "database"])]
    record: Option<PathBuf>,
}

/// As whom to look on, and how the broker is trusted.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("who").args(["user", "database"])))]
struct LoginArgs {
    /// Authorities in PEM that the broker's certificate must come from: this turns TLS on
    #[arg(long, value_name = "FILE", requires = "broker")]
    ca: Option<PathBuf>,
    /// Certificate in PEM to be known by
    #[arg(long, value_name = "FILE", requires_all = ["ca", "key"])]
    certificate: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// What these authorities have revoked (PEM): a broker with such a certificate is not believed
    #[arg(long, value_name = "FILE", requires = "ca")]
    crl: Option<PathBuf>,
    /// The name in the broker's certificate, where that is not HOST
    #[arg(long, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,
    /// User to log in as
    #[arg(long, value_name = "NAME", requires_all = ["password_file", "broker"])]
    user: Option<String>,
    /// File whose first line is the password of the user, or of the database's
    #[arg(long, value_name = "FILE", requires = "who")]
    password_file: Option<PathBuf>,
}

impl LoginArgs {
    fn apply(self, broker: Broker) -> Broker {
        Broker {
            user: self.user,
            password_file: self.password_file,
            tls: self.ca.map(|ca| Tls {
                ca,
                crl: self.crl,
                certificate: self.certificate,
                key: self.key,
                server_name: self.server_name,
            }),
            ..broker
        }
    }
}

/// Which messages are told: those of all that is named, and of everything where nothing is.
#[derive(Debug, Default)]
struct Filter {
    prefix: Option<String>,
    cell: Option<String>,
    hosts: Vec<String>,
}

/// Prints objects, as many as are wanted.
#[derive(Debug)]
struct Teller {
    left: Option<u64>,
}

/// Whether more is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    Wanted,
    Enough,
}

/// Tells what the arguments ask for, until it is done or a signal comes.
///
/// # Errors
/// A broker that cannot be reached, a file that cannot be read to its end, or an output that cannot be written.
pub(crate) async fn main(arguments: InspectArgs) -> anyhow::Result<()> {
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("cannot listen to signals")?;
    let filter = Filter {
        prefix: arguments.prefix,
        cell: arguments.cell,
        hosts: arguments.hosts,
    };
    let reader = Reader::new(arguments.values);
    let teller = Teller { left: arguments.count };
    if teller.more() == More::Enough {
        return Ok(());
    }
    if let Some(url) = arguments.database {
        let database = query::place::server(url, arguments.login.password_file, arguments.schema)?;
        let (mut reader, mut teller) = (reader, teller);
        let told = file::tell_database(&database, &filter, &mut reader, &mut teller, &shutdown);
        return told.await.map(drop);
    }
    match arguments.broker {
        None => file::tell(&arguments.files, &filter, reader, teller, &shutdown).await,
        Some(broker) => {
            let watch = live::Watch {
                broker: arguments.login.apply(broker),
                filter,
                length: arguments.length,
                record: arguments.record,
            };
            watch.tell(reader, teller, &Clock::system(), &shutdown).await
        }
    }
}

impl Teller {
    fn tell(&mut self, line: &Line) -> Result<More, OutputError> {
        // An object of strings, numbers and lists has nothing that JSON could not hold.
        let text = serde_json::to_string(line).map_err(|error| OutputError::Failed(error.into()))?;
        print_line(&text)?;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(self.more())
    }

    const fn more(&self) -> More {
        match self.left {
            Some(0) => More::Enough,
            _ => More::Wanted,
        }
    }
}

impl Filter {
    /// Whether a message on `topic` is wanted. One that is no topic of a host is: its line says so.
    fn takes(&self, topic: &str) -> bool {
        let Ok(found) = bus::topics::Location::of(topic) else {
            return true;
        };
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let host = self.hosts.is_empty() || self.hosts.contains(&found.address.host);
        host && is(&self.prefix, &found.prefix) && is(&self.cell, &found.cell)
    }
}

fn address(text: &str) -> Result<Broker, String> {
    let fault = || format!("{text:?} is not HOST:PORT, as in \"localhost:1883\" or \"[::1]:1883\"");
    let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    if host.is_empty() || (bare.is_none() && host.contains(':')) {
        return Err(fault());
    }
    Ok(Broker::new(host, port.parse().map_err(|_| fault())?))
}

/// The name of a host or a cell.
pub(crate) fn name(text: &str) -> Result<String, NameError> {
    check_name(text).map(|()| text.to_owned())
}

fn prefix(text: &str) -> Result<String, NameError> {
    text.split('/').try_for_each(check_name).map(|()| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_named_by_host_and_port() {
        let good = |host: &str, port| Ok(Broker::new(host, port));
        assert_eq!(address("localhost:1883"), good("localhost", 1_883));
        assert_eq!(address("10.0.0.7:1"), good("10.0.0.7", 1));
        assert_eq!(address("[::1]:1883"), good("::1", 1_883));
        for bad in [
            "",
            "localhost",
            ":1883",
            "a:",
            "a:99999",
            "::1:1883",
            "[]:1",
            "mqtt://a:b",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_filter_takes_what_is_named() {
        let filter = Filter {
            prefix: None,
            cell: Some("lab".to_owned()),
            hosts: vec!["a".to_owned(), "b".to_owned()],
        };
        for (topic, taken) in [
            ("f/lab/a/bin/inband/delta", true),
            ("x/f/lab/b/status/oob", true),
            ("f/lab/c/bin/inband/delta", false),
            ("f/main/a/bin/inband/delta", false),
            ("nonsense", true),
        ] {
            assert_eq!(filter.takes(topic), taken, "{topic}");
        }
        assert!(Filter::default().takes("f/lab/a/bin/inband/delta"));
    }

    #[test]
    fn it_is_told_when_enough_is() {
        assert_eq!(Teller { left: None }.more(), More::Wanted);
        assert_eq!(Teller { left: Some(1) }.more(), More::Wanted);
        assert_eq!(Teller { left: Some(0) }.more(), More::Enough);
    }
}
