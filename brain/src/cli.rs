//! The brain's command line; the root command `foreshadow brain` takes the same.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use runtime::{Clock, Shutdown, output::print_line};

use crate::{
    Config,
    page::login::users::{self, Role, Users},
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

/// What else a brain's command does.
#[derive(Debug, Subcommand)]
pub enum BrainCommand {
    /// Who logs in to the page: `page.users` names the list, and a brain that runs takes each change within a second or two
    #[command(subcommand)]
    User(UserCommand),
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
        list: List,
    },
    /// Sets another password, read likewise; sessions of the user end
    Passwd {
        /// The user
        name: String,
        /// Which list
        #[command(flatten)]
        list: List,
    },
    /// Gives a user another role; sessions of the user end
    Role {
        /// The user
        name: String,
        /// The new role
        role: Role,
        /// Which list
        #[command(flatten)]
        list: List,
    },
    /// Takes a user out; sessions of the user end
    Remove {
        /// The user
        name: String,
        /// Which list
        #[command(flatten)]
        list: List,
    },
    /// Names and roles, one a line
    List {
        /// Which list
        #[command(flatten)]
        list: List,
    },
}

/// Which list.
#[derive(Debug, Args)]
pub struct List {
    /// The list, as `page.users` names it; made by `add` if it is not there, for its owner alone to read
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
}

/// Runs a brain on the system's clock until a signal comes or it fails.
///
/// # Errors
/// A faulty configuration ([`runtime::ConfigError`]), or why the brain does not start or has ended.
pub async fn main(arguments: BrainArgs) -> anyhow::Result<()> {
    if let Some(BrainCommand::User(command)) = &arguments.command {
        return change(command);
    }
    let config = match &arguments.config {
        Some(path) => runtime::config::load(path)?,
        None => Config::default(),
    };
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
            let is_known = list.file.exists() && Users::read(&list.file)?.get(name).is_some();
            anyhow::ensure!(
                !is_known,
                "{name:?} is there already: `user passwd` and `user role` change what is known of them"
            );
            let password = runtime::prompt::new_password(name)?;
            users::set(&list.file, name, Some(*role), Some(&password))?;
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
