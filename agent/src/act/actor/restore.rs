//! Puts back what stood there before.

use shadow::{OutcomeState, Severity};

use super::{Actor, Knob, LeverError, Part, Told, find};

/// How long until what could not be put back is tried again.
const RETRY_NS: u64 = 10_000_000_000;

/// What became of a knob that was to be put back.
enum Back {
    /// What stood there before stands there again; its amount.
    Done(Option<f64>),
    /// It is nobody's business any more, for this reason.
    Left(String),
    /// Not yet, for this reason.
    Later(String),
}

impl Actor {
    /// After a start: puts back what a process before has left, and what has outlived a start of the machine. What such a
    /// start has reset by itself is forgotten.
    pub(crate) fn reconcile(&mut self) -> Vec<Told> {
        for lever in &mut self.levers {
            lever.look();
        }
        let mut ended = Vec::new();
        for knob in self.own_knobs() {
            let Some(entry) = self.ledger.get(&knob) else { continue };
            let rebooted = self.ledger.is_of_another_boot(&entry);
            let outlives = find(&mut self.levers, &knob.lever).is_none_or(|lever| lever.outlives_reboot());
            let at = format!("{} of {}", knob.lever, knob.subject);
            if rebooted && !outlives {
                ended.push(knob.clone());
                self.find(
                    "limit_reset",
                    Severity::Info,
                    &knob,
                    format!("{at}: a start of the machine has reset it"),
                );
                continue;
            }
            match self.restore(&knob) {
                Back::Done(_) => {
                    ended.push(knob.clone());
                    let text = format!("{at}: put back to what it was before an agent that did not end well");
                    self.find("limit_restored", Severity::Info, &knob, text);
                }
                Back::Left(why) => ended.push(self.left_alone(&knob, &why)),
                Back::Later(why) => self.later(&knob, &why),
            }
        }
        self.end(&ended);
        std::mem::take(&mut self.told)
    }

    /// What of the ledger this actor answers for.
    fn own_knobs(&mut self) -> Vec<Knob> {
        let mut knobs = self.ledger.knobs();
        let levers = &mut self.levers;
        knobs.retain(|knob| match &self.part {
            Part::Own => find(levers, &knob.lever).is_some(),
            Part::AllBut(others) => !others.contains(&knob.lever.as_str()),
        });
        knobs
    }

    /// The agent ends: everything that is ours is put back.
    pub(crate) fn stop(&mut self) -> Vec<Told> {
        for id in self.commands.keys().cloned().collect::<Vec<_>>() {
            self.release(&id, "the agent ends");
        }
        for knob in self.overdue.keys().cloned().collect::<Vec<_>>() {
            self.try_again(&knob);
        }
        std::mem::take(&mut self.told)
    }

    /// Puts back what the command `id` holds, and tells that it has expired.
    pub(super) fn release(&mut self, id: &str, reason: &str) {
        let Some(mut held) = self.commands.remove(id) else {
            return;
        };
        let knobs: Vec<Knob> = self
            .holds
            .iter()
            .filter(|(_, hold)| hold.command == id)
            .map(|(knob, _)| knob.clone())
            .collect();
        let mut ended = Vec::new();
        for knob in knobs {
            let Some(hold) = self.holds.remove(&knob) else { continue };
            let (after, note) = match self.restore(&knob) {
                Back::Done(amount) => {
                    ended.push(knob);
                    (amount, "what stood there before stands there again".to_owned())
                }
                Back::Left(why) => {
                    ended.push(self.left_alone(&knob, &why));
                    (None, why)
                }
                Back::Later(why) => {
                    self.later(&knob, &why);
                    (hold.amount, format!("{why}; it is tried again"))
                }
            };
            if let Some(row) = held.rows.get_mut(hold.row) {
                (row.after, row.note) = (after, note);
            }
        }
        self.end(&ended);
        let answer = self.answer(id, OutcomeState::Expired, reason, &held.rows);
        self.told.push(Told::Outcome(answer));
    }

    /// Puts one knob back that nobody holds any more. Returns what stands there then.
    pub(super) fn give_up(&mut self, knob: &Knob) -> Option<f64> {
        match self.restore(knob) {
            Back::Done(amount) => {
                self.end(std::slice::from_ref(knob));
                amount
            }
            Back::Left(why) => {
                let ended = self.left_alone(knob, &why);
                self.end(&[ended]);
                None
            }
            Back::Later(why) => {
                self.later(knob, &why);
                None
            }
        }
    }

    /// Tries once more what was late at `now_ns`.
    pub(super) fn retry(&mut self, now_ns: u64) {
        let late: Vec<Knob> = self
            .overdue
            .iter()
            .filter(|(_, at_ns)| **at_ns <= now_ns)
            .map(|(knob, _)| knob.clone())
            .collect();
        for knob in late {
            self.try_again(&knob);
        }
    }

    fn try_again(&mut self, knob: &Knob) {
        self.overdue.remove(knob);
        self.give_up(knob);
    }

    fn later(&mut self, knob: &Knob, why: &str) {
        tracing::warn!(
            lever = knob.lever,
            subject = knob.subject,
            why,
            "cannot be put back yet"
        );
        let at_ns = self.clock.monotonic_ns().saturating_add(RETRY_NS);
        self.overdue.insert(knob.clone(), at_ns);
    }

    fn left_alone(&mut self, knob: &Knob, why: &str) -> Knob {
        let text = format!("{} of {}: {why}", knob.lever, knob.subject);
        self.find("limit_left_alone", Severity::Warning, knob, text);
        knob.clone()
    }

    fn restore(&mut self, knob: &Knob) -> Back {
        let Some(entry) = self.ledger.get(knob) else {
            return Back::Left("nobody knows what stood there before".to_owned());
        };
        let Some(lever) = find(&mut self.levers, &knob.lever) else {
            return Back::Later("there is no such lever on this host".to_owned());
        };
        let stands = match lever.read(&knob.subject) {
            Ok(stands) => stands,
            Err(LeverError::Gone) => return Back::Left("it is not there any more".to_owned()),
            Err(fault) => return Back::Later(fault.to_string()),
        };
        if lever.is_same(&stands, &entry.before) {
            return Back::Done(lever.amount(&knob.subject, &stands));
        }
        if !entry.ours.iter().any(|ours| lever.is_same(&stands, ours)) {
            return Back::Left(format!("somebody else has set it to {stands:?}; it is left alone"));
        }
        if let Err(why) = lever.may_restore(&knob.subject, &entry.before) {
            return Back::Later(why);
        }
        let amount = lever.amount(&knob.subject, &entry.before);
        match self.write(knob, &stands, &entry.before) {
            Ok(()) => Back::Done(amount),
            Err(LeverError::Gone) => Back::Left("it is not there any more".to_owned()),
            Err(fault) => Back::Later(fault.to_string()),
        }
    }
}
