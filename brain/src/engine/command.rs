//! Commands on their way: who obeys them, sealed for whom, and told again before they run out.

use bus::Qos;
use shadow::{Command, Resource, Vantage};

use super::{Engine, Publication, intake::At};

impl Engine {
    /// What is to stay is told again before it runs out. Renewals are not stored: they are many, and change nothing.
    pub(super) fn renew_leases(&mut self, at: At) {
        if !self.connected || !self.decisions.is_empty() {
            return;
        }
        let (fleet, now_ms) = (&self.fleet, at.now_ms);
        let age_ms = |host: &str| {
            let newest_ms = fleet.get(host)?.newest_ms();
            let age_ms = now_ms.saturating_sub(newest_ms);
            (newest_ms > 0).then(|| u64::try_from(age_ms).unwrap_or(0))
        };
        let renewals = self.dispatch.renew(now_ms, age_ms);
        if renewals.is_empty() {
            return;
        }
        for command in renewals {
            self.tell(&command, at);
        }
        self.remember_allocation();
    }

    /// It is on its way before it is durable: whoever needs more does not wait for the store, and agents let go of what no
    /// brain tells them again.
    pub(super) fn send(&mut self, command: Command, at: At) {
        if self.tell(&command, at) {
            self.batch.commands.push(command);
        }
    }

    /// Whether it is on its way.
    fn tell(&mut self, command: &Command, at: At) -> bool {
        let Ok(publication) = self.publication(command, at) else {
            return false;
        };
        self.publish_command(command, publication, at);
        true
    }

    /// A command as it is published.
    ///
    /// # Errors
    /// Why it cannot be, in words; that is counted and told.
    pub(super) fn publication(&mut self, command: &Command, at: At) -> Result<Publication, String> {
        let vantage = self.who_obeys(command);
        let topic = self.topics.command(&command.host, vantage);
        let sealed = self.sealed(command, vantage, at.now_ms);
        let (label, reason) = match sealed {
            Ok(payload) if payload.len() <= shadow::wire::MAX_COMMAND_BYTES => {
                return Ok(Publication {
                    topic,
                    payload: payload.into(),
                    qos: Qos::AtLeastOnce,
                    retain: false,
                });
            }
            Ok(_) => (
                "command",
                "the plan for this host is too long for one command".to_owned(),
            ),
            Err(fault) => ("seal", fault.to_string()),
        };
        self.refuse(label, &reason, &topic, at);
        Err(reason)
    }

    pub(super) fn publish_command(&mut self, command: &Command, publication: Publication, at: At) {
        self.figures.commands.inc();
        self.tell_command(command, self.who_obeys(command), at);
        self.outbox.push(publication);
    }

    /// Power is limited out of band where an agent speaks for the BMC, which works whatever the host does.
    pub(super) fn who_obeys(&self, command: &Command) -> Vantage {
        let switches = |action: &shadow::Action| action.kind == shadow::ActionKind::ChassisOn;
        if command.actions.iter().any(switches) {
            return Vantage::Oob;
        }
        let power = command.changes.iter().all(|change| change.resource == Resource::Power);
        let has_bmc = self.fleet.get(&command.host).is_some_and(crate::fleet::Host::has_bmc);
        if power && has_bmc {
            Vantage::Oob
        } else {
            Vantage::Inband
        }
    }
}
