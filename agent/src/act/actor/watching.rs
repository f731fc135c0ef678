//! What happens between commands: leases run out, limits are raised under pressure, and taken back where they hurt.

use std::time::Duration;

use shadow::{Effect, OutcomeState, Severity};

use super::{Actor, Ask, HURT_DWELLS, Intent, Knob, Told, find};
use crate::act::reflex::{Act, Signals, TICK_MS, raised};

/// The longest time between two looks while anything holds: a clock may be set by hand.
const LONGEST: Duration = Duration::from_secs(1);

impl Actor {
    /// How long nothing has to be done; `None` while nothing holds.
    pub(crate) fn rest(&self) -> Option<Duration> {
        if self.holds.values().any(|hold| hold.watch.is_some()) {
            return Some(Duration::from_millis(TICK_MS));
        }
        let ends = self.commands.values().map(|held| held.end_ns);
        let next_ns = ends.chain(self.overdue.values().copied()).min()?;
        let left_ns = next_ns.saturating_sub(self.clock.monotonic_ns());
        Some(Duration::from_nanos(left_ns).min(LONGEST))
    }

    /// Does what is due now, and says what that was.
    pub(crate) fn tick(&mut self) -> Vec<Told> {
        let now_ns = self.clock.monotonic_ns();
        let over: Vec<String> = self
            .commands
            .iter()
            .filter(|(_, held)| held.end_ns <= now_ns)
            .map(|(id, _)| id.clone())
            .collect();
        for id in over {
            self.release(&id, "its time to live is over");
        }
        self.retry(now_ns);
        self.rests.retain(|_, until_ns| *until_ns > now_ns);
        let watched: Vec<Knob> = self
            .holds
            .iter()
            .filter(|(_, hold)| hold.watch.is_some())
            .map(|(knob, _)| knob.clone())
            .collect();
        for knob in watched {
            match self.look(&knob, now_ns) {
                Act::Wait => {}
                Act::Raise(why) => self.raise(&knob, &why),
                Act::TakeBack(why) => self.take_back(&knob, &why, now_ns),
            }
        }
        std::mem::take(&mut self.told)
    }

    fn look(&mut self, knob: &Knob, now_ns: u64) -> Act {
        let Some(lever) = find(&mut self.levers, &knob.lever) else {
            return Act::Wait;
        };
        let Some(watched) = lever.watched(&knob.subject) else {
            return Act::Wait;
        };
        let signals = Signals::read(&watched, lever.quantity());
        let Some(hold) = self.holds.get_mut(knob) else {
            return Act::Wait;
        };
        let can_rise = hold
            .amount
            .zip(hold.ceiling)
            .is_some_and(|(amount, ceiling)| amount < ceiling);
        hold.watch
            .as_mut()
            .map_or(Act::Wait, |watch| watch.look(now_ns, signals, can_rise))
    }

    /// Raises a limit of ours by a step, where it is still ours.
    fn raise(&mut self, knob: &Knob, why: &str) {
        match self.try_raise(knob) {
            Ok(None) => {}
            Ok(Some((stood, stands))) => {
                let text = format!("raised from {stood} to {stands} by the agent: {why}");
                let at = format!("{} of {}", knob.lever, knob.subject);
                self.find("limit_raised", Severity::Info, knob, format!("{at}: {text}"));
                self.moved(knob, OutcomeState::Raised, Effect::Raised, Some(stands), &text);
            }
            Err(fault) => {
                tracing::warn!(
                    lever = knob.lever,
                    subject = knob.subject,
                    fault,
                    "a limit under pressure cannot be raised"
                );
            }
        }
    }

    fn try_raise(&mut self, knob: &Knob) -> Result<Option<(f64, f64)>, String> {
        let Some(hold) = self.holds.get(knob) else {
            return Ok(None);
        };
        let Some((stood, ceiling)) = hold.amount.zip(hold.ceiling) else {
            return Ok(None);
        };
        let (workload, command) = (hold.workload.clone(), hold.command.clone());
        let lever = find(&mut self.levers, &knob.lever).ok_or("there is no such lever")?;
        let amount = raised(lever.quantity(), stood, ceiling);
        let ask = Ask {
            workload: &workload,
            amount,
        };
        let turn = lever.aim(ask)?.into_iter().find(|turn| turn.subject == knob.subject);
        let turn = turn.ok_or("it is not there any more")?;
        let stands = lever.amount(&knob.subject, &turn.text).filter(|stands| *stands > stood);
        let Some(stands) = stands else { return Ok(None) };
        let now = lever.read(&knob.subject).map_err(|fault| fault.to_string())?;
        let ours = self.ledger.get(knob).map_or_else(Vec::new, |entry| entry.ours);
        if !ours.iter().any(|ours| lever.is_same(&now, ours)) {
            return Err("somebody else has set it".to_owned());
        }
        // What was foreseen is in the ledger already.
        if !ours.contains(&turn.text) {
            let intent = Intent {
                knob: knob.clone(),
                now: now.clone(),
                texts: vec![turn.text.clone()],
            };
            self.ledger.begin(&command, &[intent])?;
        }
        self.write(knob, &now, &turn.text).map_err(|fault| fault.to_string())?;
        if let Some(hold) = self.holds.get_mut(knob) {
            hold.amount = Some(stands);
            if let Some(watch) = &mut hold.watch {
                watch.raised();
            }
        }
        Ok(Some((stood, stands)))
    }

    /// A change of ours hurts: what stood there before it stands there again, and is not lowered for a while.
    fn take_back(&mut self, knob: &Knob, why: &str, now_ns: u64) {
        let after = self.give_up(knob);
        let rest_ns = self.dwell_ns.saturating_mul(HURT_DWELLS);
        self.rests.insert(knob.clone(), now_ns.saturating_add(rest_ns));
        let at = format!("{} of {}", knob.lever, knob.subject);
        self.find(
            "limit_hurt",
            Severity::Warning,
            knob,
            format!("{at}: taken back: {why}"),
        );
        self.moved(
            knob,
            OutcomeState::Hurt,
            Effect::Hurt,
            after,
            &format!("taken back: {why}"),
        );
        self.holds.remove(knob);
        self.forget_superseded();
    }

    /// Tells what the agent did by itself with a knob that a command holds.
    fn moved(&mut self, knob: &Knob, state: OutcomeState, effect: Effect, after: Option<f64>, text: &str) {
        let Some(hold) = self.holds.get(knob) else { return };
        let id = hold.command.clone();
        let at = hold.row;
        let Some(held) = self.commands.get_mut(&id) else { return };
        if let Some(row) = held.rows.get_mut(at) {
            row.after = after;
            row.effect = effect;
            text.clone_into(&mut row.note);
        }
        let rows = held.rows.clone();
        let answer = self.answer(&id, state, text, &rows);
        self.told.push(Told::Outcome(answer));
    }
}
