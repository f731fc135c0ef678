//! How long a BMC takes for each command.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Serialize, Serializer};

use super::{
    BmcError,
    client::Command,
    session::{Reply, Transport},
};

/// One kind of command, since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandTime {
    /// What IPMI 2.0 (appendix G) and DCMI 1.5 call it, or its numbers.
    pub command: String,
    /// How often it was sent.
    pub calls: u32,
    /// How many of the calls had no reply that belonged to them.
    pub lost: u32,
    /// The middle of the calls, those that were lost among them: whole microseconds.
    #[serde(rename = "mean_us", serialize_with = "micros")]
    pub mean: Duration,
    /// The longest of them: whole microseconds.
    #[serde(rename = "longest_us", serialize_with = "micros")]
    pub longest: Duration,
}

fn micros<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(time.as_micros())
}

/// What every command has taken so far: written by transports, read by whoever asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Times(Arc<Mutex<BTreeMap<(u8, u8), Tally>>>);

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    calls: u32,
    lost: u32,
    total: Duration,
    longest: Duration,
}

impl Times {
    /// `inner`, with a watch in hand.
    pub(super) fn of(&self, inner: Box<dyn Transport>) -> Box<dyn Transport> {
        Box::new(Timed {
            inner,
            times: self.clone(),
        })
    }

    /// All commands that were sent.
    pub(super) fn told(&self) -> Vec<CommandTime> {
        let tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = tallies.iter().map(|(&(netfn, command), tally)| CommandTime {
            command: name(netfn, command),
            calls: tally.calls,
            lost: tally.lost,
            mean: tally.total.checked_div(tally.calls).unwrap_or_default(),
            longest: tally.longest,
        });
        told.collect()
    }

    fn add(&self, netfn: u8, command: u8, took: Duration, lost: bool) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.entry((netfn, command)).or_default();
        tally.calls = tally.calls.saturating_add(1);
        tally.lost = tally.lost.saturating_add(lost.into());
        tally.total = tally.total.saturating_add(took);
        tally.longest = tally.longest.max(took);
    }
}

struct Timed {
    inner: Box<dyn Transport>,
    times: Times,
}

impl Transport for Timed {
    fn call(&mut self, command: &Command) -> Result<Reply, BmcError> {
        let begun = Instant::now();
        let reply = self.inner.call(command);
        self.times
            .add(command.netfn, command.command, begun.elapsed(), reply.is_err());
        reply
    }
}

/// The commands that are sent here.
fn name(netfn: u8, command: u8) -> String {
    let name = match (netfn, command) {
        (0x00, 0x01) => "Get Chassis Status",
        (0x04, 0x23) => "Get Sensor Reading Factors",
        (0x04, 0x27) => "Get Sensor Thresholds",
        (0x04, 0x2d) => "Get Sensor Reading",
        (0x06, 0x01) => "Get Device ID",
        (0x0a, 0x10) => "Get FRU Inventory Area Info",
        (0x0a, 0x11) => "Read FRU Data",
        (0x0a, 0x20) => "Get SDR Repository Info",
        (0x0a, 0x22) => "Reserve SDR Repository",
        (0x0a, 0x23) => "Get SDR",
        (0x0a, 0x40) => "Get SEL Info",
        (0x0a, 0x42) => "Reserve SEL",
        (0x0a, 0x43) => "Get SEL Entry",
        (0x2c, 0x01) => "Get DCMI Capabilities Info",
        (0x2c, 0x02) => "Get Power Reading",
        (0x2c, 0x03) => "Get Power Limit",
        _ => return format!("netfn {netfn:#04x} command {command:#04x}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every other command.
    struct Moody(bool);

    impl Transport for Moody {
        fn call(&mut self, _: &Command) -> Result<Reply, BmcError> {
            self.0 = !self.0;
            let reply = Reply {
                code: 0xc1,
                data: Vec::new(),
            };
            if self.0 { Ok(reply) } else { Err(BmcError::Shifted) }
        }
    }

    #[test]
    fn calls_are_counted_by_command_and_a_refusal_is_a_reply() {
        let times = Times::default();
        let mut transport = times.of(Box::new(Moody(false)));
        for (netfn, command) in [(0x06, 0x01), (0x04, 0x2d), (0x04, 0x2d), (0x04, 0x2d), (0x3e, 0x07)] {
            transport.call(&Command::new(netfn, command, &[])).ok();
        }
        let told = times.told();
        let counts: Vec<_> = told
            .iter()
            .map(|time| (time.command.as_str(), time.calls, time.lost))
            .collect();
        let expected = [
            ("Get Sensor Reading", 3, 2),
            ("Get Device ID", 1, 0),
            ("netfn 0x3e command 0x07", 1, 0),
        ];
        assert_eq!(counts, expected);
        assert!(told.iter().all(|time| time.mean <= time.longest));
    }

    #[test]
    fn tallies_add_up() {
        let times = Times::default();
        for ms in [1, 2, 9] {
            times.add(0x06, 0x01, Duration::from_millis(ms), false);
        }
        let [device_id] = times.told().try_into().unwrap();
        assert_eq!(
            (device_id.mean, device_id.longest),
            (Duration::from_millis(4), Duration::from_millis(9))
        );
        let json = serde_json::to_value(&device_id).unwrap();
        assert_eq!(json["longest_us"], 9_000, "{json}");
    }
}
