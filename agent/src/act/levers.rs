//! What a command is carried out with: a dry run, and the thread of the levers where there is one.

use std::path::{Path, PathBuf};

use runtime::Clock;
use shadow::Outcome;

use super::{
    Lever,
    actor::{Actor, Part, Told},
    answer::Row,
    bmc, cgroup,
    dry_run::DryRun,
    exec::Program,
    hands::{Hands, News},
    ledger::Ledger,
    rapl::Rapl,
    resctrl::Resctrl,
    systemd,
    tc::Tc,
};
use crate::{
    config::Config,
    guard::Ruling,
    probe::{Place, disk, network, power::text},
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
    pub fn of(config: &Config, place: &Place, ledger: Option<PathBuf>, clock: &Clock) -> Self {
        let dry_run = DryRun::new(place);
        let is_left = ledger.as_ref().is_some_and(|path| path.exists());
        if !config.act.enabled && !is_left {
            return Self::dry(dry_run);
        }
        let none = || "it has no state_dir to keep in what stood there before".to_owned();
        let boot = text(&place.path("proc/sys/kernel/random/boot_id"));
        let dwell_ms = u64::try_from(config.act.dwell.as_millis()).unwrap_or(0);
        let ledger = ledger.ok_or_else(none).and_then(|path| Ledger::open(path, &boot));
        let hands = ledger.and_then(|ledger| {
            let (slow, quick): (Vec<_>, Vec<_>) = all(config, place).into_iter().partition(|lever| lever.is_slow());
            let names: Vec<&'static str> = slow.iter().map(|lever| lever.name()).collect();
            let actor = |levers, part| Actor::new(levers, ledger.clone(), dwell_ms, clock.clone()).answering_for(part);
            let quick = actor(quick, Part::AllBut(names.clone()));
            let slow = (!slow.is_empty()).then(|| (actor(slow, Part::Own), names));
            Hands::start(quick, slow)
        });
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

    /// Carries out a command: at once in a file, and in seconds with what [`Levers::is_slow`].
    ///
    /// # Errors
    /// In words, where nothing can be changed.
    pub(crate) fn obey(
        &self,
        id: &str,
        left_ms: u64,
        rulings: Vec<Ruling>,
    ) -> impl Future<Output = Result<Outcome, String>> + Send + 'static {
        let (hands, id) = (self.hands(), id.to_owned());
        let reason = self.hands.as_ref().err().cloned().unwrap_or_default();
        async move {
            match hands {
                Some(hands) => hands.obey(&id, left_ms, rulings).await,
                None => Err(format!("nothing can be changed here: {reason}")),
            }
        }
    }

    /// Whether a command asks a program or a BMC, which may take seconds.
    pub(crate) fn is_slow(&self, rulings: &[Ruling]) -> bool {
        let hands = self.hands.as_ref().ok();
        hands.is_some_and(|(hands, _)| hands.is_slow(rulings))
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
    levers.extend(Resctrl::find(place).map(|resctrl| Box::new(resctrl) as Box<dyn Lever>));
    levers.extend(systemd::levers(place, &config.act.root));
    // Programs are about this machine, whatever tree of files is read.
    if place.root == Path::new("/") {
        let named = Some(config.act.devices.clone()).filter(|named| !named.is_empty());
        let devices = named.unwrap_or_else(|| network::interfaces(place));
        let tc = Tc::find(devices, config.act.class.clone());
        levers.extend(tc.map(|tc| Box::new(tc) as Box<dyn Lever>));
    }
    levers
}
