//! Levers: what a change of an allocation is made with.
//!
//! A [`Lever`] says what is to be written where, reads and writes it, and does nothing by itself. The `actor` uses it: it
//! keeps in the `ledger` what was there before, writes, reads back, and puts back what was there when the lease is over.
//!
//! | module | what it does |
//! |---|---|
//! | [`dry_run`] | finds the present limit and tells what would be written |
//! | `actor` | carries out commands, and takes back what has run out |
//! | `ledger` | what was there before, on disk |
//! | `reflex` | raises under pressure, and takes back what hurts |
//! | `hands` | threads in which actors work: one for files, one for what is slow |
//! | `both` | answers of two actors to one command |
//! | `beneath` | files below one folder, without links |
//! | `cgroup` | `cpu.max`, `cpu.weight`, `cpuset.cpus`, `memory.high`, `memory.max`, `io.max`, `pids.max` |
//! | `bmc` | the host's limit of power by DCMI, and its power on |
//! | `exec` | programs of the site, with fixed arguments |
//! | `rapl` | the limit of power of the processor packages |
//! | `resctrl` | the bandwidth to memory of a group of processes |
//! | `systemd` | properties of units, where systemd is the first process |
//! | `tc` | what network devices send, as a whole or by classes of `htb` |

use std::{fmt, io};

pub use levers::Levers;
pub use quantity::Quantity;

pub(crate) mod actor;
pub mod answer;
pub(crate) mod beneath;
pub(crate) mod bmc;
mod both;
pub(crate) mod cgroup;
pub mod dry_run;
pub(crate) mod exec;
pub(crate) mod hands;
pub(crate) mod ledger;
pub(crate) mod levers;
mod quantity;
pub(crate) mod rapl;
pub(crate) mod reflex;
pub(crate) mod resctrl;
pub(crate) mod systemd;
pub(crate) mod tc;

/// What is asked of a lever.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// Whose share; `host` for the host as a whole.
    pub(crate) workload: &'a str,
    /// How much, in the unit of the lever's quantity.
    pub(crate) amount: f64,
}

/// One thing to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Turn {
    /// Where, in the lever's own words. They stay good over a restart of the agent.
    pub(crate) subject: String,
    /// What.
    pub(crate) text: String,
    /// A bound that moved it, in words, or empty.
    pub(crate) note: String,
}

/// Why a lever does not move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LeverError {
    /// What it would set is not there any more.
    Gone,
    /// In words.
    Failed(String),
}

impl fmt::Display for LeverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("it is not there any more"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl From<io::Error> for LeverError {
    fn from(fault: io::Error) -> Self {
        // A cgroup that is removed while its file is open answers ENODEV.
        let gone = fault.kind() == io::ErrorKind::NotFound || fault.raw_os_error() == Some(19);
        if gone {
            Self::Gone
        } else {
            Self::Failed(fault.to_string())
        }
    }
}

/// Something that can be set, such as a file of a cgroup.
pub(crate) trait Lever: Send {
    /// Its name in configuration, ledger and outcomes, such as `cpu.max`.
    fn name(&self) -> &'static str;

    /// What it sets.
    fn quantity(&self) -> Quantity;

    /// Called before a command: what it knows of the host may be old.
    fn look(&mut self) {}

    /// What is to be written so that the workload has what is asked.
    ///
    /// # Errors
    /// In words, where that cannot be.
    fn aim(&mut self, ask: Ask<'_>) -> Result<Vec<Turn>, String>;

    /// What stands at `subject` now.
    ///
    /// # Errors
    /// [`LeverError`].
    fn read(&mut self, subject: &str) -> Result<String, LeverError>;

    /// Writes `text` to `subject`.
    ///
    /// # Errors
    /// [`LeverError`]; what stands there then is not known.
    fn write(&mut self, subject: &str, text: &str) -> Result<(), LeverError>;

    /// How much `text` at `subject` means, in the unit of the quantity; `None` for no limit.
    fn amount(&mut self, subject: &str, text: &str) -> Option<f64>;

    /// Whether two texts at `subject` mean the same.
    fn is_same(&self, one: &str, other: &str) -> bool {
        one == other
    }

    /// Whether what was written has the effect that it says, beyond being readable.
    ///
    /// # Errors
    /// In words, where it has not.
    fn confirm(&mut self, _subject: &str, _text: &str) -> Result<(), String> {
        Ok(())
    }

    /// Whether `text`, which stood there before, can be put back now without harm.
    ///
    /// # Errors
    /// In words, why not yet.
    fn may_restore(&mut self, _subject: &str, _text: &str) -> Result<(), String> {
        Ok(())
    }

    /// Whether what it writes is still there after the machine was started anew.
    fn outlives_reboot(&self) -> bool {
        false
    }

    /// Whether it asks another program or machine, which may keep it waiting: no limit that is quickly raised waits for it.
    fn is_slow(&self) -> bool {
        false
    }

    /// Whether an end of its lease leaves what was done as it is.
    fn is_final(&self) -> bool {
        false
    }

    /// The folder, below the root of the cgroups, that tells how the workload at `subject` fares.
    fn watched(&self, _subject: &str) -> Option<Watched> {
        None
    }
}

/// Where a workload tells how it fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Below which its files are.
    pub(crate) root: std::path::PathBuf,
    /// Its folder there.
    pub(crate) folder: String,
}
