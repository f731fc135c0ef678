//! Sensor data records: which sensors a BMC has, and how their readings are to be read (IPMI 2.0, 43).

use super::{
    BmcError,
    bytes::Bytes,
    factors::{Factors, Format, Linearisation},
    text::id_string,
    unit::unit,
};

/// The bytes before a record's body: id, version, type, length.
pub const HEADER_BYTES: u8 = 5;

/// Event/reading type of sensors that compare a number with thresholds.
pub const THRESHOLD: u8 = 0x01;

/// One sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    /// Its name as the BMC gives it; not unique.
    pub name: String,
    /// Address of the controller that owns it: 20h is the BMC itself.
    pub owner: u8,
    /// Channel of its owner, 0 is the primary IPMB.
    pub channel: u8,
    /// Logical unit of its owner.
    pub lun: u8,
    /// Its number; unique with owner and logical unit.
    pub number: u8,
    /// What it senses: 1 temperature, 2 voltage, ... (table 42-3).
    pub kind: u8,
    /// Whether it compares with thresholds ([`THRESHOLD`]) or tells states (table 42-1).
    pub event_type: u8,
    /// The unit of its values.
    pub unit: String,
    /// How its readings become values; `None` where it tells states alone.
    pub factors: Option<Factors>,
}

/// What a record holds, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// One sensor, or several that share a compact record.
    Sensors(Vec<Sensor>),
    /// Event-only sensors, entities, devices, records of the manufacturer.
    Other {
        /// The type of the record.
        kind: u8,
    },
}

impl Record {
    /// Reads a whole record, header included.
    ///
    /// # Errors
    /// [`BmcError::Malformed`] when it is shorter than its type says.
    pub fn parse(record: &[u8]) -> Result<Self, BmcError> {
        let header = Bytes::new(record, "header of a sensor record");
        let body = Bytes::new(header.rest(HEADER_BYTES.into()), "sensor record");
        match header.u8(3)? {
            0x01 => full(body).map(|sensor| Self::Sensors(vec![sensor])),
            0x02 => compact(body).map(Self::Sensors),
            kind => Ok(Self::Other { kind }),
        }
    }
}

/// What full and compact records begin with.
fn common(body: Bytes<'_>) -> Result<Sensor, BmcError> {
    let lun_channel = body.u8(1)?;
    Ok(Sensor {
        name: String::new(),
        owner: body.u8(0)?,
        channel: lun_channel >> 4,
        lun: lun_channel & 3,
        number: body.u8(2)?,
        kind: body.u8(7)?,
        event_type: body.u8(8)?,
        unit: unit(body.u8(15)?, body.u8(16)?, body.u8(17)?),
        factors: None,
    })
}

fn full(body: Bytes<'_>) -> Result<Sensor, BmcError> {
    let format = Format::from_units(body.u8(15)?);
    let linearisation = Linearisation::from_code(body.u8(18)?);
    let factors = match format.zip(linearisation) {
        Some((format, linearisation)) => Some(Factors::parse(body.rest(19), format, linearisation)?),
        None => None,
    };
    // Behind the factors stand limits and thresholds, which are asked for instead: these may be out of date.
    body.u8(41)?;
    Ok(Sensor {
        name: id_string(body.rest(42)),
        factors,
        ..common(body)?
    })
}

/// Sensors that share a record have consecutive numbers, and a counter behind their name (43.2).
fn compact(body: Bytes<'_>) -> Result<Vec<Sensor>, BmcError> {
    let [share, instance] = body.array(18)?;
    body.u8(25)?;
    let first = Sensor {
        name: id_string(body.rest(26)),
        ..common(body)?
    };
    let count = (share & 0x0f).max(1);
    if count == 1 {
        return Ok(vec![first]);
    }
    let shared = (0..count).map_while(|i| {
        Some(Sensor {
            number: first.number.checked_add(i)?,
            name: format!(
                "{}{}",
                first.name,
                counter(share >> 4 & 3, (instance & 0x7f).saturating_add(i))
            ),
            ..first.clone()
        })
    });
    Ok(shared.collect())
}

/// `n` as a number (kind 0) or in letters (kind 1): A, B, ... Z, AA, ...
fn counter(kind: u8, n: u8) -> String {
    if kind != 1 {
        return n.to_string();
    }
    let letter = |n: u8| char::from(b'A' + n % 26);
    match n / 26 {
        0 => letter(n).to_string(),
        high => [letter(high - 1), letter(n)].iter().collect(),
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "records in tests are short")]
pub(super) mod tests {
    use super::*;

    /// A full record of sensor `number` with the six bytes of `factors`.
    pub(crate) fn full_record(name: &str, number: u8, units: [u8; 3], code: u8, factors: [u8; 6]) -> Vec<u8> {
        let mut body = vec![0x20, 0, number, 3, 1, 0x7f, 0xe8, 0x01, 0x01, 0, 0, 0, 0, 0x3f, 0x3f];
        body.extend(units);
        body.push(code);
        body.extend(factors);
        body.extend([0; 17]);
        body.push(0xc0 | name.len() as u8);
        body.extend(name.bytes());
        let mut record = vec![number, 0, 0x51, 0x01, body.len() as u8];
        record.extend(body);
        record
    }

    fn compact_record(share: [u8; 2]) -> Vec<u8> {
        let mut body = vec![
            0x20, 0x01, 0x10, 10, 1, 0x67, 0x40, 0x08, 0x6f, 0x0f, 0, 0x0f, 0, 0x0f, 0, 0xc0, 0, 0,
        ];
        body.extend(share);
        body.extend([0; 6]);
        body.extend(b"\xc4PSU ");
        let mut record = vec![9, 0, 0x51, 0x02, body.len() as u8];
        record.extend(body);
        record
    }

    #[test]
    fn a_full_record_is_one_sensor_with_factors() {
        let record = full_record("Inlet Temp", 4, [0x80, 1, 0], 0, [1, 0, 0x80, 0xc0, 0, 0]);
        let Record::Sensors(sensors) = Record::parse(&record).unwrap() else {
            panic!("no sensor")
        };
        let sensor = &sensors[0];
        assert_eq!((&*sensor.name, sensor.number, &*sensor.unit), ("Inlet Temp", 4, "Cel"));
        assert_eq!(
            sensor.factors.unwrap().value(0xf6),
            Some(-138.0),
            "two's complement, B = -128"
        );
        for length in 0..usize::from(HEADER_BYTES) + 42 {
            assert!(Record::parse(&record[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn sensors_without_numbers_have_no_factors() {
        let record = full_record("Presence", 5, [0xc0, 0, 0], 0, [0; 6]);
        let expected_none = |record: &[u8]| match Record::parse(record).unwrap() {
            Record::Sensors(sensors) => sensors.iter().all(|sensor| sensor.factors.is_none()),
            Record::Other { .. } => false,
        };
        assert!(expected_none(&record));
        assert!(expected_none(&compact_record([1, 0])));
    }

    #[test]
    fn a_compact_record_may_stand_for_several_sensors() {
        let names = |share| match Record::parse(&compact_record(share)).unwrap() {
            Record::Sensors(sensors) => sensors.into_iter().map(|s| (s.name, s.number, s.lun)).collect(),
            Record::Other { .. } => vec![],
        };
        assert_eq!(names([0x00, 0]), [("PSU".to_owned(), 0x10, 1)]);
        assert_eq!(
            names([0x02, 1]),
            [("PSU1".to_owned(), 0x10, 1), ("PSU2".to_owned(), 0x11, 1)]
        );
        assert_eq!(
            names([0x12, 25]),
            [("PSUZ".to_owned(), 0x10, 1), ("PSUAA".to_owned(), 0x11, 1)]
        );
    }

    /// Records and readings of a real server, with what they mean.
    #[test]
    fn sensors_of_a_real_server_read_right() {
        let Ok(shared) = std::env::var("FORESHADOW_SHARED") else {
            eprintln!("stepped aside: FORESHADOW_SHARED does not name a folder with data/hardware/ipmi");
            return;
        };
        let path = std::path::Path::new(&shared).join("data/hardware/ipmi/dell-r630-sdr.hex");
        let text = std::fs::read_to_string(path).unwrap();
        let bytes = |hex: &str| -> Vec<u8> {
            let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
            digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
        };
        let mut read = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let [name, record, reading, expected] = line.split(';').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let Record::Sensors(sensors) = Record::parse(&bytes(record)[2..]).unwrap() else {
                panic!("{name}")
            };
            let reading = crate::bmc::reading::SensorReading::parse(&bytes(reading)).unwrap();
            let value = sensors[0].factors.unwrap().value(reading.raw.unwrap()).unwrap();
            assert_eq!(sensors[0].name, name);
            let expected: Vec<&str> = expected.split_whitespace().collect();
            assert_eq!(format!("{value:.2}"), expected[0], "{name}");
            assert_eq!(sensors[0].unit, if expected[1] == "rpm" { "{rpm}" } else { "Cel" });
            read += 1;
        }
        assert!(read >= 2, "{read}");
    }

    #[test]
    fn other_records_are_passed_over() {
        assert_eq!(Record::parse(&[1, 0, 0x51, 0x12, 0]), Ok(Record::Other { kind: 0x12 }));
    }
}
