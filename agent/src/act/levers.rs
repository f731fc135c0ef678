//! What a command is carried out with: a dry run, and the thread of the levers where there is one.

use runtime::Clock;
use shadow::Outcome;

use super::{
    Lever,
    actor::{Actor, Told},
    answer::Row,
    dry_run::DryRun,
    hands::{Hands, News},
    ledger::Ledger,
};
use crate::guard::Ruling;

/// What one host is changed with.
#[derive(Debug)]
pub struct Levers {
    dry_run: DryRun,
    hands: Result<(Hands, News), String>,
}

/// With what, and how, an actor works.
pub(crate) struct Crew {
    /// Each of its own name.
    pub(crate) levers: Vec<Box<dyn Lever>>,
    /// What stood there before.
    pub(crate) ledger: Result<Ledger, String>,
    /// How long a limit stays before it is lowered again.
    pub(crate) dwell_ms: u64,
}

impl Levers {
    /// Nothing is ever changed.
    pub fn dry(dry_run: DryRun) -> Self {
        let hands = Err("this agent changes nothing".to_owned());
        Self { dry_run, hands }
    }

    /// Changes what it is told to with `crew`; where that cannot be, commands are refused with the reason.
    pub(crate) fn acting(dry_run: DryRun, crew: Crew, clock: Clock) -> Self {
        let hands = crew.ledger.and_then(|ledger| {
            let actor = Actor::new(crew.levers, ledger, crew.dwell_ms, clock);
            Hands::start(actor)
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
