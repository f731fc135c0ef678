//! The brain's command line; the root command `foreshadow brain` takes the same.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use runtime::{Clock, ConfigError, Shutdown, health, output::print_line, process::Reader};

use crate::{
    Config,
    page::{
        healthy,
        login::users::{self, Role, Users},
    },
};

/// `brain --config FILE`, or `brain user ...`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BrainArgs {
    /// Configuration; without it every key has its default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do instead of running
    #[command(subcommand)]
    pub command: Option<BrainCommand>,
}

impl BrainArgs {
    /// Who reads what it says of itself: of a part that runs a journal, of all else a person.
    pub const fn reader(&self) -> Reader {
        match self.command {
            None => Reader::Journal,
            Some(_) => Reader::Person,
        }
    }
}

/// What else a brain's command does.
#[derive(Debug, Subcommand)]
pub enum BrainCommand {
    /// Who logs in to the page: `page.users` names the list, and a brain that runs takes each change within a second or two
    #[command(subcommand)]
    User(UserCommand),
    /// Tells by the exit code whether the brain of this machine answers and goes on
    Healthy(HealthyArgs),
}

/// Changes the list of the page's users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Adds a user; the password is read from the terminal or from the first line of standard input
    Add {
        /// The user
        name: String,
        /// What they may do: read, or acknowledge, freeze and thaw as well
        #[arg(long)]
        role: Role,
        /// Which list
        #[command(flatten)]
        list: UserList,
    },
    /// Sets another password, read likewise; sessions of the user end
    Passwd {
        /// The user
        name: String,
        /// Which list
        #[command(flatten)]
        list: UserList,
    },
    /// Gives a user another role; sessions of the user end
    Role {
        /// The user
        name: String,
        /// The new role
        role: Role,
        /// Which list
        #[command(flatten)]
        list: UserList,
    },
    /// Takes a user out; sessions of the user end
    Remove {
        /// The user
        name: String,
        /// Which list
        #[command(flatten)]
        list: UserList,
    },
    /// Names and roles, one a line
    List {
        /// Which list
        #[command(flatten)]
        list: UserList,
    },
}

/// Which list.
#[derive(Debug, Args)]
pub struct UserList {
    /// The list, as `page.users` names it; made by `add` if it is not there, for its owner alone to read
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
}

/// Whose health is asked for.
#[derive(Debug, Args)]
pub struct HealthyArgs {
    /// Configuration that the brain runs with
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Runs a brain on the system's clock until a signal comes or it fails.
///
/// # Errors
/// A faulty configuration ([`runtime::ConfigError`]), or why the brain does not start or has ended.
pub async fn main(arguments: BrainArgs) -> anyhow::Result<()> {
    match &arguments.command {
        Some(BrainCommand::User(command)) => return change(command),
        Some(BrainCommand::Healthy(arguments)) => return healthy(arguments),
        None => {}
    }
    let config = load(arguments.config.as_deref())?;
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("cannot listen to signals")?;
    let brain = crate::start(config, Clock::system(), shutdown).await?;
    Ok(brain.join().await?)
}

fn change(command: &UserCommand) -> anyhow::Result<()> {
    let (name, file, done) = match command {
        UserCommand::List { list } => {
            for user in Users::read(&list.file)?.all() {
                print_line(&format!("{:<8} {}", user.role, user.name))?;
            }
            return Ok(());
        }
        UserCommand::Add { name, role, list } => {
            // Before anybody is asked for a password, and again when it is written.
            users::check_new(&list.file, name)?;
            let password = runtime::prompt::new_password(name)?;
            users::add(&list.file, name, *role, &password)?;
            (name, &list.file, format!("is added, {role}"))
        }
        UserCommand::Passwd { name, list } => {
            let password = runtime::prompt::new_password(name)?;
            users::set(&list.file, name, None, Some(&password))?;
            (name, &list.file, "has a new password".to_owned())
        }
        UserCommand::Role { name, role, list } => {
            users::set(&list.file, name, Some(*role), None)?;
            (name, &list.file, format!("is {role} now"))
        }
        UserCommand::Remove { name, list } => {
            users::remove(&list.file, name)?;
            (name, &list.file, "is taken out".to_owned())
        }
    };
    Ok(print_line(&format!("{}: {name} {done}", file.display()))?)
}

fn healthy(arguments: &HealthyArgs) -> anyhow::Result<()> {
    let page = load(arguments.config.as_deref())?.page;
    let answers = match page.tls {
        None => health::http(page.listen, "/healthz"),
        Some(_) => healthy::over_tls(page.listen),
    };
    answers.context(
        "the brain does not do its work: see its log, or name the configuration it runs with (--config FILE)",
    )?;
    Ok(print_line("answers")?)
}

fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    path.map_or_else(|| Ok(Config::default()), runtime::config::load)
}
