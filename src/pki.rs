//! `foreshadow pki`: who is who in a cell. [docs/trust.md](../docs/trust.md) is the guide.

mod acl;
mod config;
mod enrol;
mod issue;
mod list;
mod serve;
mod token;

use std::{collections::BTreeSet, path::PathBuf};

use ::pki::{Authority, Stream, Subject};
use clap::{Args, Subcommand, ValueEnum};
use runtime::{Clock, Span, output::print_line};
use shadow::Vantage;

/// Arguments of `foreshadow pki`.
#[derive(Debug, Args)]
pub(crate) struct PkiArgs {
    /// The folder that the authority is kept in
    #[arg(long, value_name = "DIR", default_value = "pki", global = true)]
    dir: PathBuf,
    /// The folder of the authority's key, where that is not DIR/keys: a medium that lies in a drawer
    #[arg(long, value_name = "DIR", global = true)]
    keys: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Begins the authority of a cell
    Init(issue::InitArgs),
    /// Issues for an agent: its hosts, and from where it sees them
    Host(issue::HostArgs),
    /// Issues for the brain of the cell
    Brain(issue::LifeArgs),
    /// Issues for a broker: what clients connect to
    Broker(issue::BrokerArgs),
    /// Issues for somebody who looks on
    Viewer(issue::ViewerArgs),
    /// What was issued, and what ends soon
    List(list::ListArgs),
    /// Gives parts another certificate with another key; the one before stays good until its end
    Renew(issue::RenewArgs),
    /// Ends certificates before their time
    Revoke(issue::RevokeArgs),
    /// Signs the list of revoked certificates anew, before it is overdue
    Crl,
    /// Replaces the authority: both are believed until --finish
    Rotate(issue::RotateArgs),
    /// Makes one-time tokens, by which hosts enrol
    Token(token::TokenArgs),
    /// Enrols hosts that show a token, for the time of a rollout
    Serve(serve::ServeArgs),
    /// On a host: makes its key here, and has it certified by a token
    Enrol(enrol::EnrolArgs),
    /// The configuration by which a part uses its files
    Config(config::ConfigArgs),
    /// The roles as another broker's access control list
    Acl(acl::AclArgs),
}

/// Whom an agent's certificate is for.
#[derive(Debug, Clone, Args)]
struct Seat {
    /// From where the agent sees the host of its name [default: inband]
    #[arg(long, value_enum)]
    vantage: Vec<From>,
    /// Further hosts that it speaks for: HOST/oob beside a BMC
    #[arg(long = "for", value_name = "HOST/VANTAGE")]
    others: Vec<Stream>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum From {
    /// On the host
    Inband,
    /// Beside its BMC
    Oob,
}

impl Seat {
    /// The agent called `name`.
    fn subject(&self, name: &str) -> anyhow::Result<Subject> {
        let from = if self.vantage.is_empty() {
            &[From::Inband][..]
        } else {
            &self.vantage
        };
        let own = from.iter().map(|from| Stream {
            host: name.to_owned(),
            vantage: match from {
                From::Inband => Vantage::Inband,
                From::Oob => Vantage::Oob,
            },
        });
        let streams: BTreeSet<Stream> = own.chain(self.others.iter().cloned()).collect();
        Ok(Subject::agent(name, streams)?)
    }
}

/// Does what was asked for.
///
/// # Errors
/// Why it was not done.
pub(crate) async fn main(arguments: PkiArgs) -> anyhow::Result<()> {
    let PkiArgs { dir, keys, command } = arguments;
    let clock = Clock::system();
    // It is kept in the index, for commands that are given elsewhere.
    let keys = keys.map(std::path::absolute).transpose()?;
    let authority = Authority::new(dir, keys, clock.clone());
    match command {
        Command::Init(arguments) => arguments.run(&authority),
        Command::Host(arguments) => arguments.run(&authority),
        Command::Brain(arguments) => issue::give(&authority, &Subject::brain(), arguments.valid),
        Command::Broker(arguments) => arguments.run(&authority),
        Command::Viewer(arguments) => arguments.run(&authority),
        Command::List(arguments) => arguments.run(&authority),
        Command::Renew(arguments) => arguments.run(&authority),
        Command::Revoke(arguments) => arguments.run(&authority),
        Command::Crl => issue::sign_lists(&authority),
        Command::Rotate(arguments) => arguments.run(&authority),
        Command::Token(arguments) => arguments.run(&authority),
        Command::Serve(arguments) => arguments.run(authority, clock).await,
        Command::Enrol(arguments) => arguments.run().await,
        Command::Config(arguments) => arguments.run(&authority),
        Command::Acl(arguments) => arguments.run(&authority),
    }
}

/// A part's name in the index: the brain and the broker of a cell are called by their roles.
fn part(name: &str) -> &str {
    match name {
        "brain" => "_brain",
        "broker" => "_broker",
        other => other,
    }
}

/// A span in seconds, as lifetimes are.
fn seconds(span: Span) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

fn say(text: impl AsRef<str>) -> anyhow::Result<()> {
    Ok(print_line(text.as_ref())?)
}
