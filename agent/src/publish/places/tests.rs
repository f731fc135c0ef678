//! A spool whose process is killed: what was cut is there again, with its births, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use bytes::Bytes;
use proptest::prelude::*;
use shadow::{EpochMark, Watermark};

use super::*;
use crate::{
    publish::outbox::Letter,
    spool::{Due, Kind, Serial},
};

const SECOND: u64 = 1_000_000_000;

fn places(folder: &Path) -> Places {
    Places {
        memory_bytes: 64 << 10,
        ram: Some(folder.join("ram")),
        disk: Some(folder.join("disk")),
        disk_bytes: 1 << 20,
        fsync: Fsync::Never,
    }
}

/// A byte that tells one frame from the next.
fn sign(id: Serial) -> u8 {
    let [low, ..] = id.sequence.to_le_bytes();
    low
}

/// An agent without its tasks: what they would do is done by hand.
struct Agent {
    kept: Kept,
    epoch: u64,
    next: u64,
    /// What the brain had of each epoch before: all below.
    had: BTreeMap<u64, u64>,
}

impl Agent {
    fn start(folder: &Path) -> Self {
        Self::start_with(&places(folder))
    }

    fn start_with(places: &Places) -> Self {
        let kept = Kept::open(places).unwrap();
        let epoch = kept.newest_epoch + 1;
        let mut agent = Self {
            kept,
            epoch,
            next: 0,
            had: BTreeMap::new(),
        };
        let birth = Bytes::from(format!("birth {epoch}"));
        let mirror = agent.kept.mirror.as_mut().unwrap();
        mirror.save_birth(epoch, birth.clone()).unwrap();
        agent.kept.outbox.begin(epoch, birth);
        agent
    }

    /// It is killed and starts anew.
    fn again(self, places: &Places) -> Self {
        let had = self.had;
        drop(self.kept);
        Self {
            had,
            ..Self::start_with(places)
        }
    }

    fn settle(&mut self) {
        let outbox = &mut self.kept.outbox;
        let mirror = self.kept.mirror.as_mut().unwrap();
        let records = outbox.take_unsaved();
        mirror.save(&records, outbox.spool()).unwrap();
        mirror.sweep(outbox.spool(), &outbox.birth_epochs());
    }

    /// As the encoder has it: the first of eight is read against the first of all, the others against the one before.
    fn frame(&mut self, size: usize) -> Serial {
        self.frame_against(if self.next.is_multiple_of(8) { self.next } else { 1 }, size)
    }

    fn frame_against(&mut self, reference: u64, size: usize) -> Serial {
        let id = Serial {
            epoch: self.epoch,
            sequence: self.next,
        };
        self.next += 1;
        self.kept.outbox.frame(id, reference, Bytes::from(vec![sign(id); size]));
        self.settle();
        id
    }

    /// What the keeper does in a turn.
    fn keep(&mut self, now_ns: u64) {
        let chores = self.kept.outbox.chores(now_ns);
        let known = self.kept.outbox.birth_epochs();
        let folder = self.kept.disk.as_mut().unwrap();
        let done = crate::spool::keeper::work(folder, chores, |epoch| known.contains(&epoch));
        assert!(crate::spool::keeper::tell(&mut self.kept.outbox, done));
        self.settle();
    }

    fn mark(&mut self, epoch: u64, durable_below: u64) {
        let mark = EpochMark {
            epoch,
            durable_below,
            ..EpochMark::default()
        };
        self.kept.outbox.watermark(&Watermark { epochs: vec![mark] }, 0);
        self.had.insert(epoch, durable_below);
        self.settle();
    }

    /// The brain has made durable what it was told and can read, and names what it misses in between.
    fn have(&mut self, told: &BTreeMap<Serial, Kind>) {
        let mut durable = BTreeSet::new();
        for (&id, kind) in told {
            let had = |base: &Serial| self.had.get(&base.epoch).is_some_and(|&below| base.sequence < below);
            let base = kind.reads_against(id);
            if base.is_none_or(|base| had(&base) || durable.contains(&base)) {
                durable.insert(id);
            }
        }
        let mut epochs: BTreeMap<u64, EpochMark> = BTreeMap::new();
        for id in &durable {
            let mark = epochs.entry(id.epoch).or_insert_with(|| EpochMark {
                epoch: id.epoch,
                ..EpochMark::default()
            });
            if mark.durable_below < id.sequence {
                mark.missing.push(mark.durable_below..id.sequence);
            }
            mark.durable_below = id.sequence + 1;
        }
        let epochs = epochs.into_values().collect();
        self.kept.outbox.watermark(&Watermark { epochs }, 0);
        self.settle();
    }

    /// Everything that is told once a broker is there: births, and what bears serials.
    fn told(&mut self) -> (BTreeSet<u64>, BTreeSet<Serial>) {
        let (mut births, mut told) = (BTreeSet::new(), BTreeMap::new());
        self.kept.outbox.connected(0);
        loop {
            while let Some(letter) = self.kept.outbox.next(0, true) {
                match letter {
                    Letter::Birth { epoch, payload, .. } => {
                        assert_eq!(payload, format!("birth {epoch}"));
                        births.insert(epoch);
                    }
                    Letter::Numbered(Due { id, kind, payload, .. }) => {
                        if let Kind::Frame { .. } = kind {
                            assert!(births.contains(&id.epoch), "{id:?} {kind:?} comes before its birth");
                            assert!(payload.iter().all(|byte| *byte == sign(id)));
                        }
                        let end = match kind {
                            Kind::Hole { end } => end,
                            _ => id.sequence + 1,
                        };
                        told.extend((id.sequence..end).map(|sequence| (Serial { sequence, ..id }, kind)));
                    }
                    _ => {}
                }
            }
            let disk_bytes = self.kept.outbox.disk_bytes();
            self.have(&told);
            self.keep(0);
            if !self.kept.outbox.has_backlog() && self.kept.outbox.disk_bytes() == disk_bytes {
                return (births, told.into_keys().collect());
            }
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_had_cut() {
    let temp = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(temp.path());
    let mut cut: BTreeSet<Serial> = (0..5).map(|_| agent.frame(50)).collect();
    agent.mark(1, 2);
    drop(agent);
    let mut agent = Agent::start(temp.path());
    assert_eq!(agent.epoch, 2, "epochs rise, whatever the clock says");
    cut.insert(agent.frame(50));
    drop(agent);
    let mut agent = Agent::start(temp.path());
    let (births, serials) = agent.told();
    assert_eq!(births, BTreeSet::from([1, 2, 3]));
    assert!(serials.is_superset(&cut.split_off(&Serial { epoch: 1, sequence: 2 })));
    agent.mark(1, 5);
    agent.mark(2, 1);
    drop(agent);
    let mut agent = Agent::start(temp.path());
    assert_eq!(
        agent.kept.outbox.spooled(),
        1,
        "the newest segment is deleted when it is full"
    );
    agent.mark(1, 5);
    agent.mark(2, 1);
    assert_eq!(agent.kept.outbox.spooled(), 0);
    let files = fs::read_dir(temp.path().join("ram")).unwrap().count();
    assert!(
        files <= 5,
        "{files}: the lock, the newest segment, its births and the newest"
    );
}

#[test]
fn what_waits_for_long_goes_to_disk_and_comes_back_behind_what_is_new() {
    let temp = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(temp.path());
    let cut: BTreeSet<Serial> = (0..120).map(|_| agent.frame(100)).collect();
    agent.keep(4 * SECOND);
    assert_eq!(agent.kept.outbox.disk_bytes(), 0, "not for a short outage");
    agent.keep(5 * SECOND);
    assert!(agent.kept.outbox.disk_bytes() > 16_000);
    assert_eq!(agent.kept.outbox.spooled(), 0, "memory is free again");
    let ram = fs::read_dir(temp.path().join("ram")).unwrap().count();
    assert!(ram <= 3, "{ram} files are left in RAM");
    drop(agent);
    fs::remove_dir_all(temp.path().join("ram")).unwrap();

    let mut agent = Agent::start(temp.path());
    let new = agent.frame(10);
    agent.kept.outbox.connected(0);
    let first = std::iter::from_fn(|| agent.kept.outbox.next(0, true)).find_map(|letter| match letter {
        Letter::Numbered(due) => Some(due.id),
        _ => None,
    });
    assert_eq!(first, Some(new));
    let (births, mut serials) = agent.told();
    assert_eq!(births, BTreeSet::from([1, 2]));
    serials.remove(&new);
    assert_eq!(serials, cut);
    agent.mark(1, 120);
    agent.keep(0);
    assert_eq!(agent.kept.outbox.disk_bytes(), 0);
    assert_eq!(fs::read_dir(temp.path().join("disk")).unwrap().count(), 1, "the lock");
}

/// The copy in RAM is as full as it may be, mostly of what has gone: what has not is still in its oldest file.
#[test]
fn a_second_kill_loses_nothing_of_what_the_first_had_left() {
    let temp = tempfile::tempdir().unwrap();
    let small = Places {
        memory_bytes: 8 << 10,
        ..places(temp.path())
    };
    let mut cut = BTreeSet::new();
    for (frames, size) in [(20, 250), (8, 300)] {
        let mut agent = Agent::start_with(&small);
        cut.extend((0..frames).map(|_| agent.frame_against(0, size)));
    }
    let mut agent = Agent::start_with(&small);
    let held = agent.kept.outbox.spooled();
    let (_, told) = agent.told();
    assert!(held > 9, "{held}: eight, a hole, and some of the first");
    assert_eq!(told, cut);
}

/// What memory has no room for is read back later, with all that is read against it, be that small enough.
#[test]
fn what_does_not_fit_into_memory_at_once_comes_back_in_order() {
    let temp = tempfile::tempdir().unwrap();
    let small = Places {
        memory_bytes: 8 << 10,
        ..places(temp.path())
    };
    let mut agent = Agent::start_with(&small);
    let sizes = [vec![100; 18], vec![400, 20, 20, 20]].concat();
    let cut: BTreeSet<Serial> = sizes
        .into_iter()
        .map(|size| {
            let id = agent.frame(size);
            agent.keep(9 * SECOND);
            id
        })
        .collect();
    assert_eq!(agent.kept.outbox.spooled(), 0, "all of it is on disk");
    assert_eq!(agent.told().1, cut);
}

#[test]
fn a_spool_has_one_agent() {
    let temp = tempfile::tempdir().unwrap();
    let _agent = Agent::start(temp.path());
    let second = Kept::open(&places(temp.path())).err().unwrap();
    assert!(
        matches!(&second, PublishError::InUse(path) if path.ends_with("ram")),
        "{second}"
    );
}

#[test]
fn a_place_that_does_not_work_is_told_and_memory_takes_its_part() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("ram"), b"a file").unwrap();
    fs::write(temp.path().join("disk"), b"a file").unwrap();
    let mut kept = Kept::open(&places(temp.path())).unwrap();
    let kinds: Vec<String> = kept
        .outbox
        .take_findings()
        .into_iter()
        .map(|finding| finding.kind)
        .collect();
    assert_eq!(kinds, ["spool_failed", "spool_failed"]);
    assert_eq!(kept.outbox.failing(), 2);
    kept.outbox.begin(1, Bytes::new());
    kept.outbox.frame(Serial { epoch: 1, sequence: 0 }, 0, Bytes::new());
    assert_eq!(kept.outbox.spooled(), 1);
}

/// Frames, turns of the keeper, marks and kills, and a start at last: the agent, and what was cut and is not durable.
fn live(places: &Places, steps: Vec<(u8, usize)>) -> (Agent, BTreeSet<Serial>) {
    let mut agent = Agent::start_with(places);
    let mut cut = BTreeSet::new();
    for (step, size) in steps {
        match step {
            0..=2 => drop(cut.insert(agent.frame(size))),
            3 => agent.keep(9 * SECOND),
            4 => {
                let below = agent.next * size as u64 / 400;
                agent.mark(agent.epoch, below);
                cut.retain(|id| id.epoch != agent.epoch || id.sequence >= below);
            }
            _ => agent = agent.again(places),
        }
    }
    (agent.again(places), cut)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Once a broker is there, everything that was cut and is not durable is told, and nothing is dropped that there is
    /// room for.
    #[test]
    fn whatever_happens_nothing_is_lost(steps in prop::collection::vec((0_u8..6, 1_usize..400), 1..60)) {
        let temp = tempfile::tempdir().unwrap();
        let (mut agent, cut) = live(&places(temp.path()), steps);
        let (_, told) = agent.told();
        prop_assert_eq!(agent.kept.outbox.counters.dropped, 0);
        prop_assert!(told.is_superset(&cut), "{:?}", cut.difference(&told).collect::<Vec<_>>());
    }

    /// With little room what is not told lies in a hole that is.
    #[test]
    fn whatever_is_lost_is_declared(steps in prop::collection::vec((0_u8..6, 1_usize..400), 1..120)) {
        let temp = tempfile::tempdir().unwrap();
        let small = Places { memory_bytes: 8 << 10, disk_bytes: 4 << 10, ..places(temp.path()) };
        let (mut agent, cut) = live(&small, steps);
        let (_, told) = agent.told();
        prop_assert!(told.is_superset(&cut), "{:?}", cut.difference(&told).collect::<Vec<_>>());
    }
}
