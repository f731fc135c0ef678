//! Carries out commands with levers, and takes back what has run out.
//!
//! Before a write what stands there is made durable in the ledger; behind it, it is read back. A knob belongs to the newest
//! command that moved it. When the lease of that command ends, or the agent does, what stood there before the first of our
//! changes is put back, if what stands there now is still ours. What could not be put back is tried again.

use std::collections::{BTreeMap, BTreeSet};

use runtime::Clock;
use shadow::{Effect, Finding, Outcome, OutcomeState, Severity};

use super::{
    Ask, Lever, LeverError, Quantity, Turn,
    answer::{Row, outcome},
    ledger::{Intent, Knob, Ledger},
    reflex::{Signals, Watch, steps, usual},
};
use crate::guard::Ruling;

mod restore;
#[cfg(test)]
mod tests;
mod watching;

/// How much longer than the dwell a limit is not lowered again that has hurt.
const HURT_DWELLS: u64 = 30;

/// Something to be told of what was done without being asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// An answer that follows the first.
    Outcome(Outcome),
    /// An event.
    Finding(Finding),
}

/// A command that holds.
#[derive(Debug)]
struct Held {
    rows: Vec<Row>,
    end_ns: u64,
}

/// A knob that is ours.
#[derive(Debug)]
struct Hold {
    command: String,
    /// Which row of the command it is.
    row: usize,
    workload: String,
    /// What stands there now.
    amount: Option<f64>,
    /// Up to where it may be raised.
    ceiling: Option<f64>,
    watch: Option<Watch>,
}

/// One write that is about to be made.
#[derive(Debug)]
struct Planned {
    knob: Knob,
    row: usize,
    now: String,
    turn: Turn,
}

/// Which of the ledger's knobs an actor answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those of its own levers.
    Own,
    /// All but those of the levers of these names, which others have.
    AllBut(Vec<&'static str>),
}

/// What acts on one host.
pub(crate) struct Actor {
    levers: Vec<Box<dyn Lever>>,
    part: Part,
    ledger: Ledger,
    clock: Clock,
    dwell_ns: u64,
    commands: BTreeMap<String, Held>,
    holds: BTreeMap<Knob, Hold>,
    /// Until when a knob is not lowered.
    rests: BTreeMap<Knob, u64>,
    /// What could not be put back yet, and when it is tried again.
    overdue: BTreeMap<Knob, u64>,
    told: Vec<Told>,
}

impl Actor {
    /// Nothing holds. What `ledger` has from before is put back: call [`Actor::reconcile`].
    pub(crate) fn new(levers: Vec<Box<dyn Lever>>, ledger: Ledger, dwell_ms: u64, clock: Clock) -> Self {
        Self {
            levers,
            part: Part::AllBut(Vec::new()),
            ledger,
            clock,
            dwell_ns: dwell_ms.saturating_mul(1_000_000),
            commands: BTreeMap::new(),
            holds: BTreeMap::new(),
            rests: BTreeMap::new(),
            overdue: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    /// One of several that share the ledger.
    #[must_use]
    pub(crate) fn answering_for(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    /// Carries out what of the command `id` was not refused, for `left_ms`. Milliseconds, or as long as a slow lever takes.
    pub(crate) fn obey(&mut self, id: &str, left_ms: u64, rulings: &[Ruling]) -> Outcome {
        for lever in &mut self.levers {
            lever.look();
        }
        let mut rows: Vec<Row> = rulings.iter().map(refused_row).collect();
        let mut planned = Vec::new();
        let mut taken = BTreeSet::new();
        for (at, ruling) in rulings
            .iter()
            .enumerate()
            .filter(|(_, ruling)| ruling.refused.is_none())
        {
            match self.plan(at, ruling, &mut taken) {
                Ok(more) => planned.extend(more),
                Err(why) => note(&mut rows, at, why),
            }
        }
        if let Err(fault) = self.begin(id, rulings, &planned) {
            return self.answer(id, OutcomeState::Failed, &fault, &rows);
        }
        for (at, ruling) in rulings.iter().enumerate() {
            let turns: Vec<&Planned> = planned.iter().filter(|plan| plan.row == at).collect();
            if !turns.is_empty() {
                self.carry_out(id, ruling, &turns, &mut rows);
            }
        }
        let done = rows.iter().any(|row| row.effect != Effect::NotDone);
        if !done {
            let failed = !planned.is_empty();
            let state = if failed {
                OutcomeState::Failed
            } else {
                OutcomeState::Refused
            };
            return self.answer(id, state, "no change could be made", &rows);
        }
        let end_ns = self
            .clock
            .monotonic_ns()
            .saturating_add(left_ms.saturating_mul(1_000_000));
        let answer = self.answer(id, OutcomeState::Applied, "", &rows);
        self.commands.insert(id.to_owned(), Held { rows, end_ns });
        self.forget_superseded();
        answer
    }

    /// What the ruling's lever would write, and what stands there.
    fn plan(&mut self, row: usize, ruling: &Ruling, taken: &mut BTreeSet<Knob>) -> Result<Vec<Planned>, String> {
        let name = ruling.lever.as_str();
        let now_ns = self.clock.monotonic_ns();
        let rests = &self.rests;
        let lever = find(&mut self.levers, name).ok_or_else(|| format!("there is no {name} on this host"))?;
        let ask = Ask {
            workload: &ruling.workload,
            amount: ruling.amount,
        };
        let mut planned = Vec::new();
        for turn in lever.aim(ask)? {
            let knob = Knob {
                lever: name.to_owned(),
                subject: turn.subject.clone(),
            };
            let now = lever.read(&turn.subject).map_err(|fault| format!("{name}: {fault}"))?;
            let [stands, wanted] = [&now, &turn.text].map(|text| lever.amount(&turn.subject, text));
            let left_ns = rests.get(&knob).map_or(0, |until_ns| until_ns.saturating_sub(now_ns));
            if is_less(wanted, stands) && left_ns > 0 {
                return Err(format!(
                    "it was lowered a moment ago, or that has hurt; not again for {} s",
                    left_ns.div_ceil(1_000_000_000)
                ));
            }
            if !taken.insert(knob.clone()) {
                return Err("the command has another change of the same".to_owned());
            }
            planned.push(Planned { knob, row, now, turn });
        }
        Ok(planned)
    }

    /// Makes durable what is about to be written, and what the reflex may write behind it: then there is no time for it.
    fn begin(&mut self, id: &str, rulings: &[Ruling], planned: &[Planned]) -> Result<(), String> {
        let mut intents = Vec::new();
        for plan in planned {
            let Some(lever) = find(&mut self.levers, &plan.knob.lever).filter(|lever| !lever.is_final()) else {
                continue;
            };
            let mut texts = vec![plan.turn.text.clone()];
            let stands = lever.amount(&plan.knob.subject, &plan.turn.text);
            if let Some(ruling) = rulings.get(plan.row)
                && let Some((stands, ceiling)) = stands.zip(ruling.ceiling)
            {
                for amount in steps(lever.quantity(), stands, ceiling) {
                    let workload = &ruling.workload;
                    let turns = lever.aim(Ask { workload, amount }).unwrap_or_default();
                    let same = |turn: &Turn| turn.subject == plan.knob.subject;
                    texts.extend(turns.into_iter().find(same).map(|turn| turn.text));
                }
            }
            intents.push(Intent {
                knob: plan.knob.clone(),
                now: plan.now.clone(),
                texts,
            });
        }
        if intents.is_empty() {
            return Ok(());
        }
        self.ledger.begin(id, &intents)
    }

    /// Writes the turns of one row: all of them, or none.
    fn carry_out(&mut self, id: &str, ruling: &Ruling, turns: &[&Planned], rows: &mut [Row]) {
        let mut written = Vec::new();
        for plan in turns {
            match self.write(&plan.knob, &plan.now, &plan.turn.text) {
                Ok(()) => written.push(*plan),
                Err(fault) => {
                    written.push(*plan);
                    for plan in written {
                        self.put_back(&plan.knob, &plan.now);
                    }
                    let fault = format!("{}: {fault}", ruling.lever);
                    return note(rows, plan.row, fault);
                }
            }
        }
        for plan in turns {
            let amounts = [&plan.now, &plan.turn.text].map(|text| self.amount(&plan.knob, text));
            if let Some(row) = rows.get_mut(plan.row).filter(|row| row.effect == Effect::NotDone) {
                let notes = [ruling.note.as_str(), plan.turn.note.as_str()];
                let notes: Vec<&str> = notes.into_iter().filter(|note| !note.is_empty()).collect();
                *row = Row {
                    before: amounts[0],
                    after: amounts[1],
                    lever: format!("{} = {}", plan.knob.lever, plan.turn.text),
                    note: notes.join("; "),
                    effect: Effect::None,
                    ..row.clone()
                };
            }
            self.hold(id, ruling, plan, amounts);
        }
    }

    /// The knob belongs to the command `id` now.
    fn hold(&mut self, id: &str, ruling: &Ruling, plan: &Planned, [stood, stands]: [Option<f64>; 2]) {
        let now_ns = self.clock.monotonic_ns();
        let Some(lever) = find(&mut self.levers, &plan.knob.lever) else {
            return;
        };
        if lever.is_final() {
            return;
        }
        let quantity = lever.quantity();
        let lowered = is_less(stands, stood);
        if lowered {
            self.rests
                .insert(plan.knob.clone(), now_ns.saturating_add(self.dwell_ns));
        }
        let is_kept = !lowered && stood == stands;
        let before = self
            .holds
            .remove(&plan.knob)
            .and_then(|hold| hold.watch)
            .filter(|_| is_kept);
        let is_protected = ruling.ceiling.is_some() || ruling.is_protected;
        let wants = is_protected || (lowered && quantity == Quantity::Memory);
        let watched = lever.watched(&plan.knob.subject).filter(|_| wants);
        let watch = before.or_else(|| {
            let watched = watched?;
            let now = (now_ns, Signals::read(&watched, quantity));
            let watch = Watch::new(quantity, is_quota(&plan.knob.lever), is_protected, now);
            Some(if lowered {
                watch.lowered(usual(&watched, quantity))
            } else {
                watch
            })
        });
        let hold = Hold {
            command: id.to_owned(),
            row: plan.row,
            workload: ruling.workload.clone(),
            amount: stands,
            ceiling: ruling.ceiling,
            watch,
        };
        self.overdue.remove(&plan.knob);
        self.holds.insert(plan.knob.clone(), hold);
    }

    /// Writes `text` where it does not stand already, and reads back.
    fn write(&mut self, knob: &Knob, now: &str, text: &str) -> Result<(), LeverError> {
        let lever = find(&mut self.levers, &knob.lever).ok_or(LeverError::Gone)?;
        if !lever.is_same(now, text) {
            lever.write(&knob.subject, text)?;
            let stands = lever.read(&knob.subject)?;
            if !lever.is_same(&stands, text) {
                return Err(LeverError::Failed(format!(
                    "{text:?} was written, and {stands:?} is read back"
                )));
            }
        }
        lever.confirm(&knob.subject, text).map_err(LeverError::Failed)
    }

    /// A write failed: what stood there before this command stands there again, or is put back later.
    fn put_back(&mut self, knob: &Knob, now: &str) {
        let back = self.write_again(knob, now);
        if self.holds.contains_key(knob) || self.ledger.get(knob).is_none() {
            return;
        }
        match back {
            Ok(()) | Err(LeverError::Gone) => self.end(std::slice::from_ref(knob)),
            Err(fault) => {
                tracing::warn!(lever = knob.lever, subject = knob.subject, %fault, "cannot be put back yet");
                self.overdue.insert(knob.clone(), self.clock.monotonic_ns());
            }
        }
    }

    fn write_again(&mut self, knob: &Knob, text: &str) -> Result<(), LeverError> {
        let lever = find(&mut self.levers, &knob.lever).ok_or(LeverError::Gone)?;
        let stands = lever.read(&knob.subject)?;
        if !lever.is_same(&stands, text) {
            lever.write(&knob.subject, text)?;
        }
        Ok(())
    }

    fn end(&mut self, knobs: &[Knob]) {
        if let Err(fault) = self.ledger.end(knobs) {
            tracing::warn!(fault, "the ledger is looked at again after a restart");
        }
    }

    fn amount(&mut self, knob: &Knob, text: &str) -> Option<f64> {
        find(&mut self.levers, &knob.lever)?.amount(&knob.subject, text)
    }

    /// A command whose every knob belongs to a newer one has nothing left to end.
    fn forget_superseded(&mut self) {
        let held: BTreeSet<&str> = self.holds.values().map(|hold| hold.command.as_str()).collect();
        self.commands.retain(|id, _| held.contains(id.as_str()));
    }

    fn answer(&self, id: &str, state: OutcomeState, reason: &str, rows: &[Row]) -> Outcome {
        outcome(id, state, reason, self.clock.now_ms(), rows)
    }

    fn find(&mut self, kind: &str, severity: Severity, knob: &Knob, text: String) {
        tracing::warn!(lever = knob.lever, subject = knob.subject, kind, text, "lever");
        self.told.push(Told::Finding(Finding {
            source: "agent".to_owned(),
            subject: knob.lever.clone(),
            kind: kind.to_owned(),
            severity,
            text,
            details: Vec::new(),
        }));
    }
}

/// Whether a lever limits time of processors by a quota.
fn is_quota(lever: &str) -> bool {
    matches!(lever, "cpu.max" | "systemd.cpu")
}

/// Of what was refused, why; of the rest, not done yet.
fn refused_row(ruling: &Ruling) -> Row {
    let why = ruling.refused.clone().unwrap_or_default();
    Row::not_done(&ruling.workload, ruling.quantity, why)
}

fn note(rows: &mut [Row], at: usize, why: String) {
    if let Some(row) = rows.get_mut(at) {
        row.note = why;
    }
}

fn find<'a>(levers: &'a mut [Box<dyn Lever>], name: &str) -> Option<&'a mut Box<dyn Lever>> {
    levers.iter_mut().find(|lever| lever.name() == name)
}

/// Whether `one` is a lower limit than `other`; `None` is no limit.
fn is_less(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one < other,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
