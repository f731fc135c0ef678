//! The thread that asks a BMC, at its own pace.
//!
//! A turn: is the repository of sensors the same? Then every sensor that is due, then chassis, power and the event
//! log. A fault costs what was asked for and nothing else:
//!
//! - After a missing, late or unreadable reply the session is dropped, for the next reply might be the late one.
//! - A sensor that failed twice while the BMC is alive is left alone, each time for longer.
//! - A BMC that fails is asked less and less often, down to every five minutes.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use shadow::{Reading, Severity};

use super::{
    BmcError, client,
    device::Chassis,
    events::{self, Numbers, finding},
    reading::Thresholds,
    sdr::{Sensor, THRESHOLD},
    session::{self, Transport},
    timing::Times,
    watch::{Column, Settings, State},
};
use known::{Discovery, Known, Watched};
use log::Log;

mod cursor;
mod known;
mod log;
#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "records in tests are short")]
mod tests;

/// How many faults a scan may have before the turn is given up.
const MAX_STRIKES: u32 = 3;
/// The longest pause after failed turns.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

type Open = Box<dyn Fn() -> Result<Box<dyn Transport>, BmcError> + Send>;

/// The thread's side of a [`Watch`](super::Watch).
pub(super) struct Worker {
    interval: Duration,
    open: Open,
    state: Arc<Mutex<State>>,
    end: mpsc::Receiver<()>,
    session: Option<Box<dyn Transport>>,
    known: Option<Known>,
    discovery: Option<Discovery>,
    log: Log,
    chassis: Option<Chassis>,
    failures: u32,
}

/// What a sensor told.
#[derive(Debug, Clone, Copy)]
struct Answer {
    reading: Reading,
    /// `None` where it is not available.
    states: Option<u16>,
}

impl Worker {
    pub(super) fn new(settings: Settings, state: Arc<Mutex<State>>, times: Times, end: mpsc::Receiver<()>) -> Self {
        let Settings {
            address,
            interval,
            deadline,
            cursor,
        } = settings;
        let open = Box::new(move || Ok(times.of(session::open(&address, deadline)?)));
        let worker = Self::with(open, interval, state, end);
        Self {
            log: Log::new(cursor),
            ..worker
        }
    }

    fn with(open: Open, interval: Duration, state: Arc<Mutex<State>>, end: mpsc::Receiver<()>) -> Self {
        Self {
            interval,
            open,
            state,
            end,
            session: None,
            known: None,
            discovery: None,
            log: Log::default(),
            chassis: None,
            failures: 0,
        }
    }

    /// Asks until nobody watches any more.
    pub(super) fn run(mut self) {
        loop {
            let begun = Instant::now();
            let turn = catch_unwind(AssertUnwindSafe(|| self.turn()));
            let turn = turn.unwrap_or_else(|_| Err(BmcError::Garbled("it brought the agent's worker down".to_owned())));
            let pause = match turn {
                Ok(()) => self.answered(begun.elapsed()),
                Err(BmcError::Stopped) => return,
                Err(fault) => self.failed(fault),
            };
            if !matches!(self.end.recv_timeout(pause), Err(mpsc::RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }

    /// One look at everything.
    fn turn(&mut self) -> Result<(), BmcError> {
        let begun = Instant::now();
        self.know()?;
        self.scan()?;
        self.look_at_chassis()?;
        self.look_at_power()?;
        self.read_log()?;
        let now = Instant::now();
        let resting = self.known.as_ref().map_or(0, |known| known.resting(now));
        self.state().scanned(begun.elapsed(), resting);
        Ok(())
    }

    /// Returns how long to pause: a BMC that needs long for a scan has as long again for itself.
    fn answered(&mut self, took: Duration) -> Duration {
        let silent = std::mem::take(&mut self.failures) >= 2;
        if let Some(known) = self.known.as_mut().filter(|_| silent) {
            // It may come back with another firmware.
            known.complete = false;
        }
        let mut state = self.state();
        state.fault = None;
        if silent {
            state.tell([finding(
                "bmc",
                "bmc_answers",
                Severity::Info,
                "answers again".to_owned(),
            )]);
        }
        self.interval.saturating_sub(took).max(took)
    }

    /// Returns how long to pause: twice as long with each failure. The second in a row is told.
    fn failed(&mut self, fault: BmcError) -> Duration {
        self.session = None;
        self.failures += 1;
        if self.failures == 2 {
            tracing::warn!(%fault, "the BMC does not answer");
            let silent = finding(
                "bmc",
                "bmc_silent",
                Severity::Warning,
                format!("does not answer: {fault}"),
            );
            self.state().tell([silent]);
        }
        self.state().fault = Some(fault);
        let factor = 1 << self.failures.min(6);
        (self.interval * factor).min(LONGEST_PAUSE)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks in the session, which is opened where there is none, and dropped where it cannot be trusted any more.
    fn ask<T>(&mut self, what: impl FnOnce(&mut dyn Transport) -> Result<T, BmcError>) -> Result<T, BmcError> {
        if matches!(self.end.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
            return Err(BmcError::Stopped);
        }
        let mut session = match self.session.take() {
            Some(session) => session,
            None => (self.open)()?,
        };
        let answer = what(session.as_mut());
        if !answer.as_ref().is_err_and(BmcError::wants_new_session) {
            self.session = Some(session);
        }
        answer
    }

    /// Asks for what a BMC need not have: `None` where it refuses, or answers other than specified.
    fn ask_for<T>(
        &mut self,
        what: impl FnOnce(&mut dyn Transport) -> Result<T, BmcError>,
    ) -> Result<Option<T>, BmcError> {
        match self.ask(what) {
            Ok(answer) => Ok(Some(answer)),
            Err(fault) if fault.wants_new_session() => Err(fault),
            Err(fault) => {
                tracing::debug!(%fault, "not told by the BMC");
                Ok(None)
            }
        }
    }

    /// Reads every sensor that is due.
    fn scan(&mut self) -> Result<(), BmcError> {
        let now = Instant::now();
        let due: Vec<usize> = self.known.iter().flat_map(|known| known.due(now)).collect();
        let mut strikes = 0;
        for sensor in due {
            match self.read(sensor) {
                Ok(answer) => self.take(sensor, answer),
                Err(fault) if strikes == MAX_STRIKES => return Err(fault),
                Err(fault) => {
                    strikes += 1;
                    self.strike(sensor, fault)?;
                }
            }
        }
        Ok(())
    }

    /// After a reading that failed: it is tried once more in a new session. Then the sensor is left alone if the BMC is
    /// alive, else the turn is over.
    fn strike(&mut self, sensor: usize, fault: BmcError) -> Result<(), BmcError> {
        if !fault.is_lost() {
            return Err(fault);
        }
        self.ask_for(client::device_id)?;
        match self.read(sensor) {
            Ok(answer) => self.take(sensor, answer),
            Err(fault) if fault.is_lost() => {
                tracing::debug!(sensor, %fault, "sensor left alone");
                if let Some(watched) = self.watched(sensor) {
                    watched.quarantine.extend(Instant::now());
                }
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    fn watched(&mut self, sensor: usize) -> Option<&mut Watched> {
        self.known.as_mut()?.sensors.get_mut(sensor)
    }

    /// One reading. That a sensor refuses is an answer, too: it is left alone then.
    fn read(&mut self, index: usize) -> Result<Answer, BmcError> {
        let Some(sensor) = self.watched(index).map(|watched| watched.sensor.clone()) else {
            return Err(BmcError::Malformed("no such sensor"));
        };
        let asked = self.ask(|transport| {
            let reading = client::reading(transport, &sensor)?;
            let value = match reading.raw {
                Some(raw) => client::value(transport, &sensor, raw)?.map_or(Reading::FAILED, Reading::new),
                None => Reading::ABSENT,
            };
            let states = reading.raw.map(|_| reading.states);
            Ok(Answer { reading: value, states })
        });
        match asked {
            Err(fault) if fault.wants_new_session() => Err(fault),
            Err(fault) => {
                if let Some(watched) = self.watched(index) {
                    watched.quarantine.extend(Instant::now());
                }
                let absent = client::is_absent(&fault);
                let reading = if absent { Reading::ABSENT } else { Reading::FAILED };
                Ok(Answer { reading, states: None })
            }
            answered => {
                if let Some(watched) = self.watched(index) {
                    watched.quarantine.lift();
                }
                answered
            }
        }
    }

    /// Hands over a reading, and tells what changed.
    fn take(&mut self, index: usize, answer: Answer) {
        let Some(watched) = self.watched(index) else { return };
        let (column, sensor) = (watched.column, watched.sensor.clone());
        let before = watched.states;
        watched.states = answer.states.or(before);
        if let Some(column) = column {
            self.state().put(Column::Sensor(column), answer.reading);
        }
        let Some(states) = answer.states else { return };
        if sensor.event_type != THRESHOLD {
            self.state().tell(events::states(&sensor, before, states));
        } else if events::crossed(before, states) {
            let numbers = Numbers {
                value: answer.reading.value(),
                thresholds: self.thresholds(&sensor).unwrap_or_default(),
            };
            self.state().tell([events::threshold(&sensor, states, numbers)]);
        }
    }

    /// For a finding; what goes wrong here shows at the next command.
    fn thresholds(&mut self, sensor: &Sensor) -> Option<Thresholds> {
        self.ask(|transport| client::thresholds(transport, sensor)).ok()
    }

    fn look_at_chassis(&mut self) -> Result<(), BmcError> {
        if let Some(chassis) = self.ask_for(client::chassis)? {
            let found = events::chassis(self.chassis.replace(chassis), chassis);
            let mut state = self.state();
            state.put(Column::On, Reading::new(f64::from(u8::from(chassis.is_on()))));
            state.tell(found);
        }
        Ok(())
    }

    fn look_at_power(&mut self) -> Result<(), BmcError> {
        if !self.known.as_ref().is_some_and(|known| known.has_dcmi) {
            return Ok(());
        }
        let power = self.ask_for(client::power)?;
        let limit = self.ask_for(client::power_limit)?;
        let mut state = self.state();
        state.put_power(match power {
            Some(power) if power.active => Reading::new(power.watts.into()),
            Some(_) => Reading::ABSENT,
            None => Reading::FAILED,
        });
        state.put(
            Column::Limit,
            match limit {
                Some(limit) if limit.active => Reading::new(limit.watts.into()),
                _ => Reading::ABSENT,
            },
        );
        Ok(())
    }
}
