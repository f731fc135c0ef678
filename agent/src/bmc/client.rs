//! The commands that a BMC is asked, as functions of any transport.

use std::{collections::HashSet, thread, time::Duration};

use super::{
    dcmi::{Enforced, GROUP, PowerLimit, PowerReading, SafeLimit},
    device::{Chassis, DeviceId},
    error::{BmcError, FIELD_TOO_LONG, NOT_PRESENT, RESERVATION_CANCELLED, TOO_MANY_BYTES, WRONG_LENGTH},
    factors::{Factors, Linearisation},
    fru::{self, Fru},
    reading::{SensorReading, Thresholds},
    sdr::{HEADER_BYTES, Record, Sensor},
    sel::{SelEntry, SelInfo},
    session::Transport,
};

/// The most records of a repository, sensors or not.
const MAX_RECORDS: usize = 2_048;
/// How often a record is begun anew when its reservation is cancelled: by a change of the repository, or by somebody
/// else who reads it, for a BMC has one reservation for all.
const MAX_RESERVATIONS: u32 = 10;
/// How long the other one is left to it, at first.
const COURTESY: Duration = Duration::from_millis(10);
/// The bytes of a record, or of an inventory area, that are asked for at once. Many BMCs refuse more than 16
/// to 32; one that refuses these as well is asked for less.
const PART_BYTES: u8 = 16;
/// An id that no record has: the last record's `next`, and "the newest entry" where an entry is asked for.
pub const LAST: u16 = 0xffff;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Network function of the request: an even number.
    pub netfn: u8,
    /// The command.
    pub command: u8,
    /// The logical unit of the BMC, 0 to 3.
    pub lun: u8,
    /// What follows.
    pub data: Vec<u8>,
}

impl Command {
    /// A request to unit 0.
    pub fn new(netfn: u8, command: u8, data: &[u8]) -> Self {
        let data = data.to_vec();
        let lun = 0;
        Self {
            netfn,
            command,
            lun,
            data,
        }
    }
}

/// Sends a command, and takes a refusal for an error.
fn ask(transport: &mut dyn Transport, command: &Command) -> Result<Vec<u8>, BmcError> {
    let reply = transport.call(command)?;
    if reply.code == 0 {
        Ok(reply.data)
    } else {
        Err(BmcError::Refused(reply.code))
    }
}

/// Get Device ID. Each BMC answers it quickly: a reply also shows that no other reply was on its way.
///
/// # Errors
/// [`BmcError`], as all functions here.
pub fn device_id(transport: &mut dyn Transport) -> Result<DeviceId, BmcError> {
    DeviceId::parse(&ask(transport, &Command::new(0x06, 0x01, &[]))?)
}

/// Get Chassis Status.
pub fn chassis(transport: &mut dyn Transport) -> Result<Chassis, BmcError> {
    Chassis::parse(&ask(transport, &Command::new(0x00, 0x01, &[]))?)
}

/// DCMI Get Power Reading, of the whole system.
pub fn power(transport: &mut dyn Transport) -> Result<PowerReading, BmcError> {
    PowerReading::parse(&ask(transport, &Command::new(0x2c, 0x02, &[GROUP, 1, 0, 0]))?)
}

/// DCMI Get Power Limit.
pub fn power_limit(transport: &mut dyn Transport) -> Result<PowerLimit, BmcError> {
    let reply = transport.call(&Command::new(0x2c, 0x03, &[GROUP, 0, 0]))?;
    PowerLimit::parse(reply.code, &reply.data)
}

/// DCMI Set Power Limit. What happens past it is nothing, or an entry in the event log: a limit that switches the host off
/// cannot be set here.
pub fn set_power_limit(transport: &mut dyn Transport, limit: &SafeLimit) -> Result<(), BmcError> {
    ask(transport, &Command::new(0x2c, 0x04, &limit.request())).map(drop)
}

/// DCMI Activate/Deactivate Power Limit.
pub fn enforce_power_limit(transport: &mut dyn Transport, enforced: Enforced) -> Result<(), BmcError> {
    let active = u8::from(enforced == Enforced::Yes);
    ask(transport, &Command::new(0x2c, 0x05, &[GROUP, active, 0, 0])).map(drop)
}

/// Chassis Control: power up. There is no function that switches a host off.
pub fn power_up(transport: &mut dyn Transport) -> Result<(), BmcError> {
    ask(transport, &Command::new(0x00, 0x02, &[0x01])).map(drop)
}

/// Get Sensor Reading.
pub fn reading(transport: &mut dyn Transport, sensor: &Sensor) -> Result<SensorReading, BmcError> {
    SensorReading::parse(&ask(transport, &to_sensor(sensor, 0x2d, &[sensor.number]))?)
}

/// Get Sensor Thresholds.
pub fn thresholds(transport: &mut dyn Transport, sensor: &Sensor) -> Result<Thresholds, BmcError> {
    Thresholds::parse(&ask(transport, &to_sensor(sensor, 0x27, &[sensor.number]))?)
}

/// The value of `raw`, with factors that are asked for where they are different for each raw byte.
pub fn value(transport: &mut dyn Transport, sensor: &Sensor, raw: u8) -> Result<Option<f64>, BmcError> {
    let Some(factors) = sensor.factors else { return Ok(None) };
    if factors.linearisation != Linearisation::Asked {
        return Ok(factors.value(raw));
    }
    let reply = ask(transport, &to_sensor(sensor, 0x23, &[sensor.number, raw]))?;
    let asked = Factors::parse(
        reply.get(1..).unwrap_or_default(),
        factors.format,
        Linearisation::Linear,
    )?;
    Ok(asked.value(raw))
}

fn to_sensor(sensor: &Sensor, command: u8, data: &[u8]) -> Command {
    Command {
        lun: sensor.lun,
        ..Command::new(0x04, command, data)
    }
}

/// When the repository of sensors was changed: two time stamps of Get SDR Repository Info, equal as long as it
/// is the same.
pub fn repository_stamp(transport: &mut dyn Transport) -> Result<[u8; 8], BmcError> {
    let reply = ask(transport, &Command::new(0x0a, 0x20, &[]))?;
    let stamps = reply.get(5..).and_then(|rest| rest.first_chunk());
    stamps.copied().ok_or(BmcError::Malformed("Get SDR Repository Info"))
}

/// How far a repository has been read.
#[derive(Debug, Default)]
pub struct Progress {
    /// The next record.
    next: u16,
    /// The records that were read.
    seen: HashSet<u16>,
    /// The sensors in them.
    pub sensors: Vec<Sensor>,
}

impl Progress {
    /// How many records were read.
    pub fn records(&self) -> usize {
        self.seen.len()
    }
}

/// Every sensor of the repository.
pub fn sensors(transport: &mut dyn Transport) -> Result<Vec<Sensor>, BmcError> {
    let mut progress = Progress::default();
    read_on(transport, &mut progress)?;
    Ok(progress.sensors)
}

/// Reads the repository on to its end. After a fault, what was read is in `progress`, and reading may go on from there.
///
/// Records are read in parts under a reservation, for many BMCs do not give whole ones (33.12). Those that are not as
/// specified are left out, and told in the log.
pub fn read_on(transport: &mut dyn Transport, progress: &mut Progress) -> Result<(), BmcError> {
    let mut repository = Repository {
        transport,
        reservation: [0; 2],
        part: PART_BYTES,
    };
    repository.reserve()?;
    // Some BMCs hand out a record as its own successor.
    while progress.next != LAST && progress.records() < MAX_RECORDS && !progress.seen.contains(&progress.next) {
        let id = progress.next;
        let (next, record) = repository.record(id)?;
        match Record::parse(&record) {
            Ok(Record::Sensors(more)) => progress.sensors.extend(more),
            Ok(Record::Other { .. }) => {}
            Err(fault) => tracing::warn!(id, %fault, "sensor record left out"),
        }
        progress.seen.insert(id);
        progress.next = next;
    }
    Ok(())
}

/// A repository that is being read.
struct Repository<'a> {
    transport: &'a mut dyn Transport,
    reservation: [u8; 2],
    part: u8,
}

impl Repository<'_> {
    fn reserve(&mut self) -> Result<(), BmcError> {
        let reply = ask(self.transport, &Command::new(0x0a, 0x22, &[]))?;
        let id = reply.first_chunk().copied();
        self.reservation = id.ok_or(BmcError::Malformed("Reserve SDR Repository"))?;
        Ok(())
    }

    /// The id of the next record, and the whole of this one; begins anew when the reservation is cancelled.
    fn record(&mut self, id: u16) -> Result<(u16, Vec<u8>), BmcError> {
        for tried in 1..=MAX_RESERVATIONS {
            match self.try_record(id) {
                Err(BmcError::Refused(RESERVATION_CANCELLED)) => {
                    thread::sleep(COURTESY * tried);
                    self.reserve()?;
                }
                done => return done,
            }
        }
        Err(BmcError::Refused(RESERVATION_CANCELLED))
    }

    fn try_record(&mut self, id: u16) -> Result<(u16, Vec<u8>), BmcError> {
        let (next, mut record) = self.read(id, 0, HEADER_BYTES)?;
        let short = BmcError::Malformed("sensor record");
        let length = usize::from(HEADER_BYTES) + usize::from(*record.get(4).ok_or_else(|| short.clone())?);
        while record.len() < length {
            let wanted = u8::try_from(length - record.len()).map_or(self.part, |left| left.min(self.part));
            // A record is at most 260 bytes long, but what it says beyond 255 cannot be asked for.
            let Ok(offset) = u8::try_from(record.len()) else { break };
            match self.read(id, offset, wanted) {
                Ok((_, part)) if part.is_empty() => return Err(short),
                Ok((_, part)) => record.extend(part.iter().take(usize::from(wanted))),
                Err(fault) if is_too_long(&fault) && self.part > 4 => self.part /= 2,
                Err(fault) => return Err(fault),
            }
        }
        Ok((next, record))
    }

    fn read(&mut self, id: u16, offset: u8, count: u8) -> Result<(u16, Vec<u8>), BmcError> {
        let [a, b] = self.reservation;
        let [low, high] = id.to_le_bytes();
        let reply = ask(
            self.transport,
            &Command::new(0x0a, 0x23, &[a, b, low, high, offset, count]),
        )?;
        let (next, part) = reply.split_first_chunk().ok_or(BmcError::Malformed("Get SDR"))?;
        Ok((u16::from_le_bytes(*next), part.to_vec()))
    }
}

fn is_too_long(fault: &BmcError) -> bool {
    matches!(fault, BmcError::Refused(TOO_MANY_BYTES | WRONG_LENGTH | FIELD_TOO_LONG))
}

/// Get SEL Info.
pub fn sel_info(transport: &mut dyn Transport) -> Result<SelInfo, BmcError> {
    SelInfo::parse(&ask(transport, &Command::new(0x0a, 0x40, &[]))?)
}

/// The entry `id` of the event log, and the id of the next; [`LAST`] asks for the newest, and follows it. An entry
/// that cannot be read comes as the fault beside the next id.
pub fn sel_entry(transport: &mut dyn Transport, id: u16) -> Result<(u16, Result<SelEntry, BmcError>), BmcError> {
    let [low, high] = id.to_le_bytes();
    let reply = ask(transport, &Command::new(0x0a, 0x43, &[0, 0, low, high, 0, 0xff]))?;
    let (next, entry) = reply.split_first_chunk().ok_or(BmcError::Malformed("Get SEL Entry"))?;
    Ok((u16::from_le_bytes(*next), SelEntry::parse(entry)))
}

/// The inventory area of the BMC's own device; `None` where there is none.
pub fn fru(transport: &mut dyn Transport) -> Result<Option<Fru>, BmcError> {
    let info = match ask(transport, &Command::new(0x0a, 0x10, &[0])) {
        Ok(info) => info,
        Err(BmcError::Refused(_)) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let [low, high, access] = *info
        .first_chunk()
        .ok_or(BmcError::Malformed("Get FRU Inventory Area Info"))?;
    // Offsets and counts are in bytes, or in words of two bytes.
    let unit: u8 = if access & 1 == 1 { 2 } else { 1 };
    let size = usize::from(u16::from_le_bytes([low, high])).min(fru::MAX_BYTES);
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        let offset = u16::try_from(bytes.len() / usize::from(unit)).unwrap_or(u16::MAX);
        let [low, high] = offset.to_le_bytes();
        let left = u8::try_from(size - bytes.len()).unwrap_or(PART_BYTES);
        let wanted = left.min(PART_BYTES).div_ceil(unit);
        let reply = match ask(transport, &Command::new(0x0a, 0x11, &[0, low, high, wanted])) {
            Ok(reply) => reply,
            Err(BmcError::Refused(_)) => break,
            Err(fault) => return Err(fault),
        };
        let count = reply.first().map_or(0, |&count| usize::from(count) * usize::from(unit));
        match reply.get(1..=count) {
            Some(part) if !part.is_empty() => bytes.extend(part),
            _ => break,
        }
    }
    Ok(Fru::parse(&bytes).ok())
}

/// Whether a refusal means that there is nothing to be asked for, as BMCs say it in different ways.
pub fn is_absent(fault: &BmcError) -> bool {
    matches!(
        fault,
        BmcError::Refused(NOT_PRESENT | 0xc1 | 0xc2 | 0xc9 | 0xcc | 0xcd | 0xd6)
    )
}
