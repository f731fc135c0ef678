//! What a command is carried out with: a dry run, and the thread of the levers where there is one.

use std::path::PathBuf;

use runtime::Clock;
use shadow::Outcome;

use super::{
    Lever,
    actor::{Actor, Told},
    answer::Row,
    bmc, cgroup,
    dry_run::DryRun,
    exec::Program,
    hands::{Hands, News},
    ledger::Ledger,
    rapl::Rapl,
};
use crate::{
    config::Config,
    guard::Ruling,
    probe::{Place, disk, power::text},
};

/// What one host is changed with.
#[derive(Debug)]
pub struct Levers {
    dry_run: DryRun,
    hands: Result<(Hands, News), String>,
}

impl Levers {
    /// Nothing is ever changed.
    pub fn dry(dry_run: DryRun) -> Self {
        let hands = Err("this agent changes nothing".to_owned());
        Self { dry_run, hands }
    }

    /// What the host at `place` is changed with as `config` says, with the file `ledger`. Where acting is off but a ledger
    /// is there, what it holds is put back all the same. Where nothing can be changed, commands are refused with the reason.
    pub fn of(config: &Config, place: &Place, ledger: Option<PathBuf>, clock: Clock) -> Self {
        let dry_run = DryRun::new(place);
        let is_left = ledger.as_ref().is_some_and(|path| path.exists());
        if !config.act.enabled && !is_left {
            return Self::dry(dry_run);
        }
        let none = || "it has no state_dir to keep in what stood there before".to_owned();
        let boot = text(&place.path("proc/sys/kernel/random/boot_id"));
        let dwell_ms = u64::try_from(config.act.dwell.as_millis()).unwrap_or(0);
        let ledger = ledger.ok_or_else(none).and_then(|path| Ledger::open(path, &boot));
        let hands = ledger.and_then(|ledger| Hands::start(Actor::new(all(config, place), ledger, dwell_ms, clock)));
        if let Err(fault) = &hands {
            tracing::error!(fault, "nothing is changed on this host");
        }
        Self { dry_run, hands }
    }

    /// A handle to stop what acts.
    pub(crate) fn hands(&self) -> Option<Hands> {
        self.hands.as_ref().ok().map(|(hands, _)| hands.clone())
    }

    /// What would be done, or why it is refused.
    pub(crate) fn rehearse(&self, ruling: &Ruling) -> Row {
        match &ruling.refused {
            Some(reason) => Row::not_done(&ruling.workload, ruling.quantity, reason.clone()),
            None => self.dry_run.pull(ruling),
        }
    }

    /// Carries out a command.
    ///
    /// # Errors
    /// In words, where nothing can be changed.
    pub(crate) async fn obey(&self, id: &str, left_ms: u64, rulings: Vec<Ruling>) -> Result<Outcome, String> {
        match &self.hands {
            Ok((hands, _)) => hands.obey(id, left_ms, rulings).await,
            Err(reason) => Err(format!("nothing can be changed here: {reason}")),
        }
    }

    /// Waits for what is done without being asked; for ever, where nothing is.
    pub(crate) async fn news(&mut self) -> Told {
        if let Ok((_, news)) = &mut self.hands
            && let Some(told) = news.recv().await
        {
            return told;
        }
        std::future::pending().await
    }
}

fn all(config: &Config, place: &Place) -> Vec<Box<dyn Lever>> {
    let settings = config.bmc.settings(&place.root);
    let mut levers = settings.as_ref().map(bmc::levers).unwrap_or_default();
    let programs = config.act.exec.iter().cloned().map(Program::new);
    levers.extend(programs.map(|program| Box::new(program) as Box<dyn Lever>));
    if !place.is_inband() {
        return levers;
    }
    let named = Some(config.act.disks.clone()).filter(|named| !named.is_empty());
    let disks = named.unwrap_or_else(|| disk::disks(place));
    let numbers = disks
        .iter()
        .map(|name| text(&place.path(format!("sys/class/block/{name}/dev"))));
    let numbers = numbers.filter(|number| !number.is_empty()).collect();
    levers.extend(cgroup::levers(place, &config.act.root, numbers));
    levers.extend(Rapl::find(place).map(|rapl| Box::new(rapl) as Box<dyn Lever>));
    levers
}
