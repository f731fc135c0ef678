//! The system event log (IPMI 2.0, 31 and 32).

use shadow::{Finding, Severity};

use super::{
    BmcError,
    bytes::Bytes,
    reading::Threshold,
    sdr::{Sensor, THRESHOLD},
    text, words,
};

/// The bytes of an entry.
pub const ENTRY_BYTES: usize = 16;

/// Time stamps below this count from the start of the BMC, for its clock was not set yet.
const PRE_INIT: u32 = 0x2000_0000;

/// The reply to Get SEL Info.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelInfo {
    /// How many entries there are.
    pub entries: u16,
    /// When the newest entry was added, by the BMC's clock.
    pub added_s: u32,
    /// When the log was cleared, by the BMC's clock.
    pub erased_s: u32,
    /// Whether entries were lost because it was full.
    pub overflow: bool,
}

impl SelInfo {
    /// Reads a reply behind its completion code.
    ///
    /// # Errors
    /// [`BmcError::Malformed`] when it is too short.
    pub fn parse(reply: &[u8]) -> Result<Self, BmcError> {
        let reply = Bytes::new(reply, "Get SEL Info");
        Ok(Self {
            entries: reply.u16(1)?,
            added_s: reply.u32(5)?,
            erased_s: reply.u32(9)?,
            overflow: reply.u8(13)? & 0x80 != 0,
        })
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelEntry {
    /// Its id; unique in the log, though not on every BMC.
    pub id: u16,
    /// When it was written, in seconds by the BMC's clock, which may not have been set; `None` of entries without.
    pub stamp_s: Option<u32>,
    /// What it says.
    pub body: Body,
}

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// A sensor saw something.
    Event(SensorEvent),
    /// In the manufacturer's own format.
    Oem {
        /// The type of the record, `C0h` to `FFh`.
        kind: u8,
        /// Its bytes behind the time stamp, or behind the type where it has none (then the last four are not 0).
        data: [u8; 13],
    },
}

/// An event of a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensorEvent {
    /// Who saw it: the address of a controller, or the id of software.
    pub generator: u16,
    /// What the sensor senses.
    pub kind: u8,
    /// The sensor's number.
    pub number: u8,
    /// Whether the state began or ended.
    pub asserted: bool,
    /// How its state is to be read.
    pub event_type: u8,
    /// The state, and two bytes that depend on it.
    pub data: [u8; 3],
}

impl SelEntry {
    /// Reads an entry of [`ENTRY_BYTES`].
    ///
    /// # Errors
    /// [`BmcError::Malformed`] when it is too short or of a type that does not exist.
    pub fn parse(entry: &[u8]) -> Result<Self, BmcError> {
        let entry = Bytes::new(entry, "SEL entry");
        let kind = entry.u8(2)?;
        let stamp = entry.u32(3)?;
        let event_type = entry.u8(12)?;
        let body = match kind {
            0x02 => Body::Event(SensorEvent {
                generator: entry.u16(7)?,
                kind: entry.u8(10)?,
                number: entry.u8(11)?,
                asserted: event_type & 0x80 == 0,
                event_type: event_type & 0x7f,
                data: entry.array(13)?,
            }),
            0xc0..=0xff => Body::Oem {
                kind,
                data: entry.array(3)?,
            },
            _ => return Err(BmcError::Malformed("type of a SEL entry")),
        };
        Ok(Self {
            id: entry.u16(0)?,
            // Records from E0h on have no time stamp.
            stamp_s: (kind < 0xe0 && stamp != u32::MAX).then_some(stamp),
            body,
        })
    }

    /// Unix time by the BMC's clock; `None` where it was not set.
    pub fn time_s(&self) -> Option<u32> {
        self.stamp_s.filter(|&stamp| stamp >= PRE_INIT)
    }

    /// The entry as an event, with the names and factors of `sensors`.
    pub fn finding(&self, sensors: &[Sensor]) -> Finding {
        let (subject, severity, text) = match &self.body {
            Body::Event(event) => event.told(sensors),
            Body::Oem { kind, .. } => {
                let text = format!("entry of the manufacturer's type {kind:02x}h");
                ("system event log".to_owned(), Severity::Info, text)
            }
        };
        let mut details = vec![("record".to_owned(), self.id.to_string())];
        if let Some(time) = self.time_s() {
            details.push(("bmc_time_s".to_owned(), time.to_string()));
        }
        details.push(("raw".to_owned(), self.body.hex()));
        Finding {
            source: super::SOURCE.to_owned(),
            subject,
            kind: "sel_entry".to_owned(),
            severity,
            text,
            details,
        }
    }
}

impl Body {
    /// Generator, sensor type, number, direction and type, data; or what the manufacturer wrote.
    fn hex(&self) -> String {
        match self {
            Self::Oem { data, .. } => text::hex(data),
            Self::Event(event) => {
                let [low, high] = event.generator.to_le_bytes();
                let direction = event.event_type | if event.asserted { 0 } else { 0x80 };
                let [a, b, c] = event.data;
                text::hex(&[low, high, event.kind, event.number, direction, a, b, c])
            }
        }
    }
}

impl SensorEvent {
    /// The sensor that it is about. Software that logs events has sensors of its own, which no record describes.
    fn sensor<'a>(&self, sensors: &'a [Sensor]) -> Option<&'a Sensor> {
        let [owner, lun] = self.generator.to_le_bytes();
        sensors
            .iter()
            .find(|s| s.number == self.number && s.owner == owner && s.lun == lun & 3)
    }

    /// Subject, severity and text.
    fn told(&self, sensors: &[Sensor]) -> (String, Severity, String) {
        let sensor = self.sensor(sensors);
        let subject = sensor.map_or_else(
            || format!("{} {:02x}h", words::kind(self.kind), self.number),
            |sensor| sensor.name.clone(),
        );
        let [first, ..] = self.data;
        let offset = first & 0x0f;
        let (what, severity) = if self.event_type == THRESHOLD {
            threshold(offset)
        } else {
            match words::state(self.kind, self.event_type, offset) {
                Some((name, severity)) => (name.to_owned(), severity),
                None => (
                    format!("state {offset} of type {:02x}h", self.event_type),
                    Severity::Info,
                ),
            }
        };
        let (direction, severity) = if self.asserted {
            ("", severity)
        } else {
            (" no longer", Severity::Info)
        };
        let text = format!("{}: {what}{direction}{}", words::kind(self.kind), self.numbers(sensor));
        (subject, severity, text)
    }

    /// The reading and the threshold that the event carries (bits 7:6 and 5:4 of its first byte).
    fn numbers(&self, sensor: Option<&Sensor>) -> String {
        let [first, reading, threshold] = self.data;
        if self.event_type != THRESHOLD || first >> 4 != 0b0101 {
            return String::new();
        }
        let told = sensor.and_then(|sensor| {
            let factors = sensor.factors?;
            let (reading, threshold) = (factors.value(reading)?, factors.value(threshold)?);
            Some(format!(": {reading} against {threshold} {}", sensor.unit))
        });
        told.unwrap_or_default()
    }
}

/// Each threshold has two states: going low and going high.
fn threshold(offset: u8) -> (String, Severity) {
    let direction = if offset & 1 == 0 { "going low" } else { "going high" };
    match Threshold::ALL.get(usize::from(offset / 2)) {
        Some(threshold) => (
            format!("{} {direction}", threshold.as_str()),
            super::severity(*threshold),
        ),
        None => (format!("threshold state {offset}"), Severity::Info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bmc::sdr::{Record, tests::full_record};

    fn entry(kind: u8, stamp: u32, rest: [u8; 9]) -> Vec<u8> {
        let mut bytes = vec![7, 1, kind];
        bytes.extend(stamp.to_le_bytes());
        bytes.extend(rest);
        bytes
    }

    fn sensors() -> Vec<Sensor> {
        let record = full_record("CPU0 Temp", 1, [0, 1, 0], 0, [1, 0, 0, 0, 0, 0]);
        match Record::parse(&record).unwrap() {
            Record::Sensors(sensors) => sensors,
            Record::Other { .. } => vec![],
        }
    }

    fn check(rest: [u8; 9], subject: &str, severity: Severity, text: &str) {
        let parsed = SelEntry::parse(&entry(2, 1_700_000_000, rest)).unwrap();
        let finding = parsed.finding(&sensors());
        assert_eq!(
            (&*finding.subject, finding.severity, &*finding.text),
            (subject, severity, text)
        );
        assert_eq!(finding.details[0], ("record".to_owned(), "263".to_owned()));
    }

    #[test]
    fn events_are_told_with_names_and_numbers() {
        check(
            [0x20, 0, 4, 1, 1, 0x01, 0x57, 95, 90],
            "CPU0 Temp",
            Severity::Warning,
            "temperature: upper non-critical going high: 95 against 90 Cel",
        );
        check(
            [0x20, 0, 4, 1, 1, 0x81, 0x59, 95, 90],
            "CPU0 Temp",
            Severity::Info,
            "temperature: upper critical going high no longer: 95 against 90 Cel",
        );
        check(
            [0x20, 0, 4, 0x0c, 0x20, 0x6f, 0x01, 0xff, 1],
            "memory 20h",
            Severity::Critical,
            "memory: uncorrectable ECC error",
        );
        check(
            [0x41, 0, 4, 1, 1, 0x01, 0x57, 95, 90],
            "temperature 01h",
            Severity::Warning,
            "temperature: upper non-critical going high",
        );
        check(
            [0x20, 0, 4, 0xc5, 9, 0x71, 0x02, 0, 0],
            "OEM sensor 09h",
            Severity::Info,
            "OEM sensor: state 2 of type 71h",
        );
    }

    #[test]
    fn times_are_told_where_the_clock_was_set() {
        let time = |kind, stamp| SelEntry::parse(&entry(kind, stamp, [0; 9])).unwrap().time_s();
        assert_eq!(time(2, 1_700_000_000), Some(1_700_000_000));
        assert_eq!(time(2, 4_000), None);
        assert_eq!(time(2, u32::MAX), None);
        assert_eq!(time(0xc0, 1_700_000_000), Some(1_700_000_000));
        assert_eq!(time(0xe0, 1_700_000_000), None);
    }

    #[test]
    fn what_is_short_or_of_no_known_type_is_refused() {
        let whole = entry(2, 0, [0; 9]);
        assert_eq!(whole.len(), ENTRY_BYTES);
        for length in 0..ENTRY_BYTES {
            assert!(SelEntry::parse(&whole[..length]).is_err(), "{length}");
        }
        assert!(SelEntry::parse(&entry(5, 0, [0; 9])).is_err());
    }

    #[test]
    fn the_log_tells_of_itself() {
        let info = SelInfo::parse(&[0x51, 5, 0, 0x30, 0x3e, 1, 0, 0, 0, 2, 0, 0, 0, 0x8a]).unwrap();
        assert_eq!(
            (info.entries, info.added_s, info.erased_s, info.overflow),
            (5, 1, 2, true)
        );
        assert!(SelInfo::parse(&[0x51; 13]).is_err());
    }
}
