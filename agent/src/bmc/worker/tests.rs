//! The worker against a BMC in memory that misbehaves on command.

use std::collections::HashMap;

use super::*;
use crate::bmc::{client::Command, fru::tests::inventory, sdr::tests::full_record, session::Reply};

/// What happens to a command.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Refused(u8),
    Silent,
    /// The reply of another command.
    Shifted,
    Short,
    Garbled,
    Panic,
}

/// A BMC with three sensors, and one of a controller behind it.
#[derive(Default)]
struct Bench {
    /// What happens to readings of a sensor.
    fates: HashMap<u8, Fate>,
    /// Raw byte and states of each sensor.
    readings: HashMap<u8, [u8; 2]>,
    dead: bool,
    power: Option<u16>,
    log: Vec<[u8; 16]>,
    erased: u32,
    opened: u32,
    asked: Vec<Command>,
    /// How many reads of the repository find their reservation cancelled.
    cancelled: u32,
    /// How many commands are answered before one reply is lost; 0 loses none.
    loses: u32,
    /// Commands that are refused, with which code, how often.
    busy: HashMap<(u8, u8), (u8, u32)>,
    /// Power is not being measured.
    inactive: bool,
}

type Shared = Arc<Mutex<Bench>>;

/// One session.
struct Line(Shared);

impl Transport for Line {
    fn call(&mut self, command: &Command) -> Result<Reply, BmcError> {
        self.0.lock().unwrap().answer(command)
    }
}

impl Bench {
    fn answer(&mut self, command: &Command) -> Result<Reply, BmcError> {
        self.asked.push(command.clone());
        let lost = self.loses > 0 && (self.asked.len() as u32).is_multiple_of(self.loses);
        if self.dead || lost {
            return Err(BmcError::Silent(Duration::from_millis(1)));
        }
        if let Some((code, left)) = self.busy.get_mut(&(command.netfn, command.command))
            && *left > 0
        {
            *left -= 1;
            let (code, data) = (*code, vec![]);
            return Ok(Reply { code, data });
        }
        let data = match (command.netfn, command.command) {
            (0x06, 0x01) => vec![0x23, 1, 2, 0x19, 2, 0x9f, 0x91, 0x12, 0, 2, 15],
            (0x0a, 0x20) => vec![0x51, 3, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 2],
            (0x0a, 0x22) => vec![7, 7],
            (0x0a, 0x23) if self.cancelled > 0 && command.data[4] > 0 => {
                self.cancelled -= 1;
                return Ok(Reply {
                    code: 0xc5,
                    data: vec![],
                });
            }
            (0x0a, 0x23) => return Ok(Self::record(&command.data)),
            (0x0a, 0x10) => vec![inventory().len() as u8, 0, 0],
            (0x0a, 0x11) => {
                let from = usize::from(command.data[1]);
                let part: Vec<u8> = inventory()
                    .into_iter()
                    .skip(from)
                    .take(command.data[3].into())
                    .collect();
                [vec![part.len() as u8], part].concat()
            }
            (0x0a, 0x40) => {
                let [a, b, c, d] = self.erased.to_le_bytes();
                vec![
                    0x51,
                    self.log.len() as u8,
                    0,
                    0,
                    0,
                    self.log.len() as u8,
                    0,
                    0,
                    0,
                    a,
                    b,
                    c,
                    d,
                    2,
                ]
            }
            (0x0a, 0x43) => return Ok(self.entry(&command.data)),
            (0x04, 0x2d) => return self.reading(command.data[0]),
            (0x04, 0x27) => vec![0b01_1000, 0, 0, 0, 90, 100, 0],
            (0x00, 0x01) => vec![1, 0, 0],
            (0x2c, 0x02) if self.power.is_some() => {
                let [low, high] = self.power.unwrap().to_le_bytes();
                vec![
                    0xdc,
                    low,
                    high,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    if self.inactive { 0 } else { 0x40 },
                ]
            }
            _ => {
                return Ok(Reply {
                    code: 0xc1,
                    data: vec![],
                });
            }
        };
        Ok(Reply { code: 0, data })
    }

    /// In parts of 16 bytes at most.
    fn record(data: &[u8]) -> Reply {
        let id = data[2].max(1);
        let mut record = full_record(
            ["", "CPU", "Inlet", "Board", "Riser"][usize::from(id)],
            id,
            [0, 1, 0],
            0,
            [1, 0, 0, 0, 0, 0],
        );
        if id == 4 {
            // Of another controller, under the number that the first of the BMC's own has.
            record[5] = 0x2c;
            record[7] = 1;
        }
        let next: u16 = if id == 4 { LAST } else { u16::from(id) + 1 };
        if data[5] > 16 {
            return Reply {
                code: 0xca,
                data: vec![],
            };
        }
        let part = record.into_iter().skip(data[4].into()).take(data[5].into());
        let data = next.to_le_bytes().into_iter().chain(part).collect();
        Reply { code: 0, data }
    }

    fn entry(&self, data: &[u8]) -> Reply {
        let at = match u16::from_le_bytes([data[2], data[3]]) {
            0 => 0,
            0xffff => self.log.len().saturating_sub(1),
            id => {
                let found = self.log.iter().position(|entry| entry[..2] == id.to_le_bytes());
                found.unwrap_or(usize::MAX)
            }
        };
        let Some(entry) = self.log.get(at) else {
            return Reply {
                code: 0xcb,
                data: vec![],
            };
        };
        let next = self
            .log
            .get(at + 1)
            .map_or(LAST, |entry| u16::from_le_bytes([entry[0], entry[1]]));
        let data = next.to_le_bytes().into_iter().chain(*entry).collect();
        Reply { code: 0, data }
    }

    fn reading(&mut self, number: u8) -> Result<Reply, BmcError> {
        let [raw, states] = self.readings.get(&number).copied().unwrap_or([number * 10, 0]);
        let whole = Reply {
            code: 0,
            data: vec![raw, 0xc0, states, 0],
        };
        match self.fates.get(&number) {
            None => Ok(whole),
            Some(Fate::Refused(code)) => Ok(Reply {
                code: *code,
                data: vec![],
            }),
            Some(Fate::Short) => Ok(Reply {
                code: 0,
                data: vec![raw],
            }),
            Some(Fate::Silent) => Err(BmcError::Silent(Duration::from_millis(1))),
            Some(Fate::Shifted) => Err(BmcError::Shifted),
            Some(Fate::Garbled) => Err(BmcError::Garbled("noise".to_owned())),
            Some(Fate::Panic) => panic!("as ipmi-rs does"),
        }
    }
}

const LAST: u16 = 0xffff;

/// A worker, its bench, what it has told, and the end that keeps it alive.
struct Rig {
    bench: Shared,
    worker: Worker,
    _end: mpsc::Sender<()>,
}

impl Rig {
    fn new(bench: Bench) -> Self {
        let bench = Arc::new(Mutex::new(bench));
        let (end, ended) = mpsc::channel();
        let line = bench.clone();
        let open: Open = Box::new(move || {
            let mut bench = line.lock().unwrap();
            bench.opened += 1;
            if bench.dead {
                let (what, state) = ("no answer".to_owned(), shadow::SourceState::Failed);
                return Err(BmcError::Open { what, state });
            }
            Ok(Box::new(Line(line.clone())))
        });
        let worker = Worker::with(open, Duration::from_secs(5), Arc::default(), ended);
        Self {
            bench,
            worker,
            _end: end,
        }
    }

    fn set(&self, change: impl FnOnce(&mut Bench)) {
        change(&mut self.bench.lock().unwrap());
    }

    /// What the sensors told in a turn, in their order.
    fn turn(&mut self) -> [Option<f64>; 3] {
        self.worker.turn().unwrap();
        self.values()
    }

    fn values(&self) -> [Option<f64>; 3] {
        let mut state = self.worker.state();
        [0, 1, 2].map(|i| state.take_value(Column::Sensor(i)).value())
    }

    fn texts(&self) -> Vec<String> {
        let findings = std::mem::take(&mut *self.worker.state().findings_mut());
        findings
            .into_iter()
            .map(|finding| format!("{}: {}", finding.subject, finding.text))
            .collect()
    }
}

#[test]
fn a_turn_reads_everything() {
    let mut rig = Rig::new(Bench {
        power: Some(232),
        ..Bench::default()
    });
    assert_eq!(rig.turn(), [Some(10.0), Some(20.0), Some(30.0)]);
    let state = rig.worker.state();
    let bmc = state.inventory.clone().unwrap();
    assert_eq!((&*bmc.manufacturer, &*bmc.firmware), ("MontaVista", "2.19"));
    assert_eq!((&*bmc.system_serial, &*bmc.board_product), ("S-777", "Board X"));
    assert_eq!(state.bridged, 1, "told as one that is not read");
    drop(state);
    let before = rig.bench.lock().unwrap().asked.len();
    rig.turn();
    let asked = rig.bench.lock().unwrap().asked.len() - before;
    // Repository stamp, three sensors, chassis, power, limit, log.
    assert_eq!(asked, 8, "the sensors are not looked for again");
    assert_eq!(rig.bench.lock().unwrap().opened, 1);
}

#[test]
fn a_repository_that_somebody_else_reads_is_read_all_the_same() {
    let mut rig = Rig::new(Bench {
        cancelled: 5,
        ..Bench::default()
    });
    assert_eq!(rig.turn(), [Some(10.0), Some(20.0), Some(30.0)]);
    let mut rig = Rig::new(Bench {
        cancelled: 100,
        ..Bench::default()
    });
    assert_eq!(
        rig.worker.turn(),
        Err(BmcError::Refused(0xc5)),
        "that is not to have no sensors"
    );
}

#[test]
fn a_sensor_that_fails_costs_itself() {
    for fate in [
        Fate::Silent,
        Fate::Shifted,
        Fate::Garbled,
        Fate::Short,
        Fate::Refused(0xcb),
        Fate::Refused(0xc3),
    ] {
        let mut rig = Rig::new(Bench {
            fates: [(2, fate)].into(),
            ..Bench::default()
        });
        assert_eq!(rig.turn(), [Some(10.0), None, Some(30.0)], "{fate:?}");
        rig.set(|bench| bench.fates.clear());
        assert_eq!(rig.turn(), [Some(10.0), None, Some(30.0)], "{fate:?}: left alone");
        assert_eq!(
            rig.worker.known.as_ref().unwrap().resting(Instant::now()),
            1,
            "{fate:?}"
        );
    }
}

#[test]
fn what_is_not_there_is_told_apart_from_what_fails() {
    let fates = [(1, Fate::Refused(0xcb)), (2, Fate::Short)].into();
    let mut rig = Rig::new(Bench {
        fates,
        ..Bench::default()
    });
    rig.worker.turn().unwrap();
    let mut state = rig.worker.state();
    assert_eq!(state.take_value(Column::Sensor(0)), Reading::ABSENT);
    assert_eq!(state.take_value(Column::Sensor(1)), Reading::FAILED);
}

#[test]
fn a_bmc_that_is_dead_ends_the_turn_and_no_sensor_is_left_alone_for_it() {
    let mut rig = Rig::new(Bench::default());
    rig.turn();
    rig.set(|bench| bench.dead = true);
    for pause in [10, 20, 40, 80, 160, 300, 300] {
        let fault = rig.worker.turn().unwrap_err();
        assert_eq!(rig.worker.failed(fault), Duration::from_secs(pause));
    }
    assert_eq!(rig.values(), [None; 3]);
    rig.set(|bench| bench.dead = false);
    assert_eq!(rig.turn(), [Some(10.0), Some(20.0), Some(30.0)]);
    rig.worker.answered(Duration::ZERO);
    let texts = rig.texts();
    assert!(
        texts[0].starts_with("bmc: does not answer") && texts[1] == "bmc: answers again",
        "{texts:?}"
    );
}

#[test]
fn a_panic_below_costs_a_turn() {
    let bench = Bench {
        fates: [(2, Fate::Panic)].into(),
        ..Bench::default()
    };
    let Rig {
        worker,
        bench,
        _end: end,
    } = Rig::new(bench);
    let state = worker.state.clone();
    let thread = std::thread::spawn(move || worker.run());
    let begun = Instant::now();
    while state.lock().unwrap().fault.is_none() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(matches!(state.lock().unwrap().fault, Some(BmcError::Garbled(_))));
    drop((bench, end));
    thread.join().unwrap();
}

#[test]
fn a_threshold_that_is_crossed_is_told_once_with_its_limits() {
    let mut rig = Rig::new(Bench::default());
    rig.turn();
    rig.set(|bench| bench.readings = [(1, [95, 0b00_1000])].into());
    rig.turn();
    rig.turn();
    assert_eq!(rig.texts(), ["CPU: temperature 95 Cel: upper non-critical"]);
    rig.set(|bench| bench.readings.clear());
    rig.turn();
    assert_eq!(rig.texts(), ["CPU: temperature 10 Cel: within its thresholds again"]);
}

#[test]
fn entries_of_the_log_are_told_once_and_old_ones_never() {
    let entry = |id: u8, data: u8| [id, 0, 2, 0, 0, 0, 0x65, 0x20, 0, 4, 0x0c, 0x20, 0x6f, data, 0xff, 0xff];
    let mut rig = Rig::new(Bench {
        log: vec![entry(1, 0), entry(2, 0)],
        ..Bench::default()
    });
    rig.turn();
    assert_eq!(rig.texts(), [""; 0]);
    rig.set(|bench| bench.log.extend([entry(3, 1), entry(4, 5)]));
    rig.turn();
    rig.turn();
    let told = [
        "memory 20h: memory: uncorrectable ECC error",
        "memory 20h: memory: correctable ECC limit reached",
    ];
    assert_eq!(rig.texts(), told);
    rig.set(|bench| {
        bench.log = vec![entry(1, 1)];
        bench.erased = 9;
    });
    rig.turn();
    assert_eq!(
        rig.texts(),
        ["system event log: cleared: 4 entries before, 1 now", told[0]]
    );
}

/// What is written while no agent runs is told by the next, once; also when what was told last is gone.
#[test]
fn a_new_agent_goes_on_where_the_last_one_ended() {
    let entry = |id: u8, data: u8| [id, 0, 2, id, 0, 0, 0x65, 0x20, 0, 4, 0x0c, 0x20, 0x6f, data, 0xff, 0xff];
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("sel/web-1.oob");
    let told = |log: Vec<[u8; 16]>| {
        let mut rig = Rig::new(Bench {
            log,
            ..Bench::default()
        });
        rig.worker.log = Log::new(Some(path.clone()));
        // The second keeps what the first has told.
        rig.turn();
        rig.turn();
        rig.texts().len()
    };
    assert_eq!(told(vec![entry(1, 0), entry(2, 0)]), 0, "the first look ever");
    assert_eq!(told(vec![entry(1, 0), entry(2, 0)]), 0);
    assert_eq!(told(vec![entry(1, 0), entry(2, 0), entry(3, 1), entry(4, 1)]), 2);
    assert_eq!(told(vec![entry(3, 1), entry(4, 1)]), 0);
    assert_eq!(told(vec![entry(5, 1), entry(6, 1)]), 2, "cleared meanwhile");
    assert_eq!(told(vec![entry(4, 1), entry(5, 1)]), 0, "only the last was deleted");
    assert_eq!(told(vec![]), 0);
    assert_eq!(told(vec![entry(7, 1)]), 1);
}

#[test]
fn an_entry_that_is_deleted_makes_no_old_entry_new() {
    let entry = |id: u8, data: u8| [id, 0, 2, id, 0, 0, 0x65, 0x20, 0, 4, 0x0c, 0x20, 0x6f, data, 0xff, 0xff];
    let mut rig = Rig::new(Bench {
        log: vec![entry(1, 0), entry(2, 0), entry(3, 0)],
        ..Bench::default()
    });
    rig.turn();
    rig.set(|bench| {
        bench.log.pop();
        bench.erased = 7;
    });
    rig.turn();
    assert_eq!(
        rig.texts(),
        [""; 0],
        "the last one was deleted: the log was not cleared"
    );
    rig.set(|bench| {
        bench.log.remove(0);
        bench.erased = 8;
    });
    rig.turn();
    assert_eq!(rig.texts(), [""; 0], "nor when the first is");
    rig.set(|bench| bench.log.push([&[3], &entry(9, 1)[1..]].concat().try_into().unwrap()));
    rig.turn();
    rig.turn();
    assert_eq!(rig.texts(), ["memory 20h: memory: uncorrectable ECC error"]);
}

#[test]
fn a_bmc_that_is_busy_at_first_has_its_sensors_later() {
    for code in [0xc0, 0xc3, 0xc5, 0xce] {
        let mut rig = Rig::new(Bench {
            busy: [((0x0a, 0x22), (code, 1))].into(),
            power: Some(100),
            ..Bench::default()
        });
        assert_eq!(rig.worker.turn(), Err(BmcError::Refused(code)));
        assert_eq!(rig.turn(), [Some(10.0), Some(20.0), Some(30.0)], "{code:x}");
    }
}

#[test]
fn sensors_are_found_though_replies_are_lost() {
    let mut rig = Rig::new(Bench {
        loses: 7,
        ..Bench::default()
    });
    let turns = (1..=10).take_while(|_| rig.worker.turn().is_err() && rig.worker.known.is_none());
    assert!(turns.count() < 5);
    assert_eq!(rig.worker.known.as_ref().unwrap().sensors.len(), 3);
}

#[test]
fn power_that_is_measured_later_is_told() {
    let mut rig = Rig::new(Bench {
        power: Some(232),
        inactive: true,
        ..Bench::default()
    });
    rig.turn();
    assert!(!rig.worker.state().has_power());
    rig.set(|bench| bench.inactive = false);
    rig.turn();
    assert!(rig.worker.state().has_power());
}
