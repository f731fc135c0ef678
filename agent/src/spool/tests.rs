//! The ring: what is due, what is kept, what goes and what tells of it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use shadow::wire::decode_hole;

use super::*;

const SECOND: u64 = 1_000_000_000;

const BOUNDS: Bounds = Bounds {
    memory: 1 << 20,
    disk: 1 << 20,
    mirrored: false,
};

const BY_ITSELF: Kind = Kind::Frame { reference: 0 };

fn id(epoch: u64, sequence: u64) -> Serial {
    Serial { epoch, sequence }
}

fn spool(frames: impl IntoIterator<Item = (u64, u64)>) -> Spool {
    let mut spool = Spool::new(BOUNDS);
    for (epoch, sequence) in frames {
        spool.push(id(epoch, sequence), BY_ITSELF, Bytes::from_static(b"frame"));
    }
    spool
}

/// Everything that is due, as (epoch, sequence, again).
fn due(spool: &mut Spool, now_ns: u64) -> Vec<(u64, u64, bool)> {
    std::iter::from_fn(|| spool.next(now_ns, true))
        .map(|due| (due.id.epoch, due.id.sequence, due.again))
        .collect()
}

/// The holes that are told, as (epoch, first, end).
fn holes(spool: &mut Spool) -> Vec<(u64, u64, u64)> {
    spool.send_again();
    let due = std::iter::from_fn(|| spool.next(0, true));
    due.filter(|due| matches!(due.kind, Kind::Hole { .. }))
        .map(|due| {
            let hole = decode_hole(&due.payload).unwrap();
            assert_eq!(
                (due.id, due.kind),
                (id(hole.epoch, hole.first), Kind::Hole { end: hole.end })
            );
            (hole.epoch, hole.first, hole.end)
        })
        .collect()
}

fn mark(epoch: u64, durable_below: u64, missing: &[(u64, u64)]) -> EpochMark {
    EpochMark {
        epoch,
        durable_below,
        missing: missing.iter().map(|&(first, end)| first..end).collect(),
        birth_wanted: false,
    }
}

#[test]
fn frames_are_sent_once_and_kept_until_they_are_durable() {
    let mut spool = spool([(1, 0), (1, 1), (1, 2)]);
    assert_eq!(due(&mut spool, 0), [(1, 0, false), (1, 1, false), (1, 2, false)]);
    assert_eq!(due(&mut spool, 0), []);
    spool.mark(&mark(1, 2, &[]), SECOND);
    assert_eq!(spool.len(), 1);
    spool.mark(&mark(1, 3, &[]), SECOND);
    assert_eq!((spool.len(), spool.bytes()), (0, 0));
    spool.mark(&mark(1, 0, &[]), SECOND);
    spool.mark(&mark(7, u64::MAX, &[]), SECOND);
}

#[test]
fn missing_frames_are_sent_again_unless_they_are_under_way() {
    let mut spool = spool((0..6).map(|sequence| (1, sequence)));
    due(&mut spool, 0);
    spool.mark(&mark(1, 5, &[(1, 2), (3, 5)]), SECOND);
    assert_eq!(due(&mut spool, SECOND), [], "sent a second ago");
    spool.mark(&mark(1, 5, &[(1, 2), (3, 5)]), 4 * SECOND);
    assert_eq!(due(&mut spool, 4 * SECOND), [(1, 1, true), (1, 3, true), (1, 4, true)]);
    assert_eq!(spool.len(), 4, "what is missing and what is not told of is kept");
}

#[test]
fn a_lost_tail_is_sent_again_once_in_a_while() {
    let mut spool = spool([(1, 0), (1, 1)]);
    due(&mut spool, 0);
    spool.push(id(2, 0), Kind::Event, Bytes::new());
    spool.mark(&mark(1, 1, &[]), 29 * SECOND);
    spool.send_overdue(29 * SECOND);
    assert_eq!(due(&mut spool, 29 * SECOND), [(2, 0, false)], "may be under way");
    spool.send_overdue(30 * SECOND);
    assert_eq!(due(&mut spool, 30 * SECOND), [(1, 1, true)]);
    spool.send_overdue(58 * SECOND);
    assert_eq!(due(&mut spool, 58 * SECOND), []);
    spool.send_overdue(60 * SECOND);
    assert_eq!(due(&mut spool, 60 * SECOND), [(1, 1, true), (2, 0, true)]);
}

#[test]
fn after_a_lost_connection_new_frames_go_first_and_alone_while_the_link_is_full() {
    let mut spool = spool([(1, 0), (2, 0)]);
    due(&mut spool, 0);
    spool.push(id(2, 1), BY_ITSELF, Bytes::new());
    spool.send_again();
    assert_eq!(spool.next(0, false).map(|due| due.id), Some(id(2, 1)));
    assert_eq!(spool.next(0, false), None);
    assert!(spool.has_backlog());
    assert_eq!(due(&mut spool, 0), [(1, 0, true), (2, 0, true)]);
}

#[test]
fn what_could_not_be_sent_is_next_again() {
    let mut spool = spool([(1, 0), (1, 1)]);
    let first = spool.next(0, true).unwrap();
    spool.put_back(first.id, first.again);
    assert_eq!(due(&mut spool, 0), [(1, 0, false), (1, 1, false)]);
    spool.send_again();
    let first = spool.next(0, true).unwrap();
    spool.put_back(first.id, first.again);
    assert_eq!(due(&mut spool, 0), [(1, 0, true), (1, 1, true)]);
    spool.put_back(id(9, 9), true);
    assert_eq!(due(&mut spool, 0), []);
}

/// A ring with room for so many frames of ten bytes.
fn small(frames: usize) -> Spool {
    Spool::new(Bounds {
        memory: frames * (OVERHEAD_BYTES + 10),
        ..BOUNDS
    })
}

fn push(spool: &mut Spool, sequence: u64, kind: Kind) -> u64 {
    spool.push(id(1, sequence), kind, Bytes::from(vec![0; 10]))
}

#[test]
fn a_full_ring_drops_the_oldest_and_declares_them() {
    let mut spool = small(4);
    let dropped: Vec<u64> = (0..6).map(|n| push(&mut spool, n, BY_ITSELF)).collect();
    assert_eq!(dropped, [0, 0, 0, 0, 2, 1], "the hole needs room as well");
    assert_eq!(holes(&mut spool), [(1, 0, 3)]);
    spool.mark(&mark(1, 3, &[]), SECOND);
    assert_eq!(holes(&mut spool), [], "told until it is covered");
    assert_eq!(spool.len(), 3);
    assert_eq!(
        spool.push(id(1, 9), BY_ITSELF, Bytes::from(vec![0; 10_000])),
        3,
        "the newest stays, however large"
    );
    assert_eq!(holes(&mut spool), [(1, 3, 6)]);
}

#[test]
fn with_a_frame_goes_what_is_read_against_it() {
    let mut spool = small(6);
    let reference = |reference| Kind::Frame { reference };
    for (sequence, kind) in [
        (0, BY_ITSELF),
        (1, reference(1)),
        (2, Kind::Event),
        (3, reference(2)),
        (4, BY_ITSELF),
    ] {
        assert_eq!(push(&mut spool, sequence, kind), 0);
    }
    push(&mut spool, 5, reference(1));
    assert_eq!(
        push(&mut spool, 6, Kind::Event),
        3,
        "1 is read against 0, and 3 against 1"
    );
    assert_eq!(holes(&mut spool), [(1, 0, 2), (1, 3, 4)]);
    assert!(spool.holds_any(1, 2, 3), "an event is read by itself");
}

#[test]
fn what_comes_after_its_reference_has_gone_is_lost_at_once() {
    let mut spool = small(4);
    let kept: u64 = (0..4).map(|sequence| push(&mut spool, sequence, BY_ITSELF)).sum();
    let dropped = push(&mut spool, 4, Kind::Frame { reference: 1 });
    assert_eq!((kept, dropped), (0, 2));
    assert_eq!(
        push(&mut spool, 5, Kind::Frame { reference: 4 }),
        2,
        "5, and 2 for the second hole"
    );
    assert_eq!(holes(&mut spool), [(1, 0, 3), (1, 5, 6)]);
}

#[test]
fn what_nobody_has_is_told_whenever_the_brain_asks_for_it() {
    let mut spool = spool([(5, 3), (5, 8)]);
    due(&mut spool, 0);
    for now in [9, 99] {
        spool.mark(&mark(5, 10, &[(0, 9)]), now * SECOND);
        assert_eq!(holes(&mut spool), [(5, 0, 3), (5, 4, 8)]);
        assert_eq!(holes(&mut spool), [], "once for each time");
    }
    spool.mark(&mark(4, 7, &[(2, 7)]), 9 * SECOND);
    assert_eq!(holes(&mut spool), [(4, 2, 7)], "of an epoch before this agent's");
    spool.mark(&mark(6, 7, &[(2, 7)]), 9 * SECOND);
    assert_eq!(holes(&mut spool), [], "6 is another's");
    spool.mark(&mark(5, 1 << 40, &[(0, 1 << 40)]), 9 * SECOND);
    assert_eq!(holes(&mut spool), [(5, 0, 3), (5, 4, 8)], "past 8 nothing was cut yet");
}

/// The brain may have had it before it restarted, or the watermark may be an old one that a slow link gave late.
#[test]
fn what_is_read_against_something_that_the_brain_had_is_kept() {
    let mut spool = spool([(1, 3)]);
    due(&mut spool, 0);
    spool.mark(&mark(1, 4, &[(0, 4)]), 9 * SECOND);
    assert_eq!(push(&mut spool, 4, Kind::Frame { reference: 4 }), 0);
    assert_eq!(holes(&mut spool), [(1, 0, 3)]);
    assert_eq!(spool.len(), 2);
}

#[test]
fn holes_are_bounded() {
    let most = MAX_HOLES as u64;
    let mut spool = spool((0..most + 5).map(|epoch| (epoch, 0)));
    for epoch in 0..most + 5 {
        spool.give_up(id(epoch, 0));
    }
    let told = holes(&mut spool);
    assert_eq!((told.len(), told[0]), (MAX_HOLES, (5, 0, 1)));
    for epoch in 0..most + 5 {
        spool.mark(&mark(epoch, 4, &[]), 0);
        spool.mark(&mark(epoch, 4, &[(2, 3)]), 0);
    }
    let told = holes(&mut spool);
    assert_eq!(
        (told.len(), told[0]),
        (MAX_HOLES, (4, 2, 3)),
        "and answers, but of the newest epoch none past its end"
    );
}

/// What is written to disk leaves memory, and comes back as a whole behind live data.
#[test]
fn frames_go_to_disk_and_come_back() {
    let mut spool = spool((0..8).map(|sequence| (1, sequence)));
    let records = spool.to_shelve(200);
    assert_eq!(records.len(), 5, "as many as have room");
    assert_eq!(spool.shelved(1, 500, &records), 0);
    assert_eq!((spool.len(), spool.disk_bytes()), (3, 500));
    spool.mark(&mark(1, 2, &[]), 0);
    assert_eq!(spool.next_load(400), Some(1));
    assert_eq!(spool.load(1, records.clone()), 0);
    assert_eq!(spool.next_load(400), None, "it is here");
    assert_eq!(
        due(&mut spool, 0),
        [
            (1, 5, false),
            (1, 6, false),
            (1, 7, false),
            (1, 2, true),
            (1, 3, true),
            (1, 4, true)
        ]
    );
    assert_eq!(spool.to_shelve(1_000).len(), 3, "what is on disk is not written again");
    spool.mark(&mark(1, 5, &[]), 0);
    assert_eq!(spool.take_dead().segments, [1]);
    assert_eq!((spool.len(), spool.disk_bytes()), (3, 0));
}

#[test]
fn a_full_disk_drops_its_oldest_segment_and_what_is_read_against_it() {
    let mut spool = Spool::new(Bounds { disk: 1_000, ..BOUNDS });
    for sequence in 0..6 {
        let kind = if sequence == 3 {
            Kind::Frame { reference: 2 }
        } else {
            BY_ITSELF
        };
        push(&mut spool, sequence, kind);
        if sequence % 2 == 1 {
            let records = spool.to_shelve(1_000);
            let dropped = spool.shelved(sequence, 400, &records);
            assert_eq!(dropped, if sequence == 5 { 3 } else { 0 });
        }
    }
    assert_eq!(holes(&mut spool), [(1, 0, 2), (1, 3, 4)]);
    assert_eq!(spool.take_dead().segments, [1]);
    assert_eq!(spool.disk_bytes(), 800);
    // The holes are written before another segment may go, and are not lost with the one that they are in.
    let records = spool.to_shelve(1_000);
    assert_eq!(records.len(), 2);
    spool.shelved(6, 300, &records);
    assert_eq!(holes(&mut spool), [(1, 0, 4)], "2 has gone with its segment");
    assert_eq!(spool.to_shelve(1_000).len(), 1, "the hole has grown");
}

#[test]
fn a_record_that_cannot_be_read_back_is_declared_with_what_hangs_on_it() {
    let mut spool = spool([]);
    for (sequence, kind) in [(0, BY_ITSELF), (1, BY_ITSELF), (2, Kind::Frame { reference: 1 })] {
        push(&mut spool, sequence, kind);
    }
    let mut records = spool.to_shelve(1_000);
    spool.shelved(1, 500, &records);
    records.remove(1);
    assert_eq!(spool.load(1, records), 2);
    assert_eq!(holes(&mut spool), [(1, 1, 3)]);
    assert_eq!(spool.load(1, Vec::new()), 1, "a file that is gone");
    assert_eq!(holes(&mut spool), [(1, 0, 3)]);
}

#[test]
fn a_segment_is_let_go_of_before_anything_is_lost() {
    let mut spool = small(6);
    for sequence in 0..4 {
        push(&mut spool, sequence, BY_ITSELF);
    }
    let records = spool.to_shelve(1_000);
    spool.shelved(1, 200, &records);
    spool.load(1, records);
    for sequence in 4..9 {
        assert_eq!(push(&mut spool, sequence, BY_ITSELF), 0);
    }
    assert_eq!(spool.len(), 5, "no room for the segment");
    spool.mark(&mark(1, 9, &[(0, 4)]), 0);
    assert_eq!(spool.next_load(400), Some(1));
    assert_eq!(holes(&mut spool), []);
}

/// The brain holds what is in memory until it has what is on disk: waiting for memory to be free would be waiting for ever.
#[test]
fn what_all_others_wait_for_is_read_back_however_full_memory_is() {
    let mut spool = small(6);
    for sequence in 0..4 {
        push(
            &mut spool,
            sequence,
            Kind::Frame {
                reference: sequence.min(1),
            },
        );
    }
    let records = spool.to_shelve(1_000);
    spool.shelved(1, 200, &records);
    for sequence in 4..10 {
        assert_eq!(push(&mut spool, sequence, Kind::Frame { reference: 1 }), 0);
    }
    due(&mut spool, 0);
    for sequence in 0..4 {
        assert_eq!(spool.next_load(400), Some(1));
        spool.load(1, records.clone());
        assert_eq!(due(&mut spool, 0), [(1, sequence, true)], "one has room");
        spool.mark(&mark(1, sequence + 1, &[]), 0);
    }
    spool.mark(&mark(1, 10, &[]), 0);
    assert_eq!((spool.len(), spool.disk_bytes(), spool.next_load(400)), (0, 200, None));
    assert_eq!(spool.take_dead().segments, [1]);
}

#[test]
fn a_later_segment_makes_room_for_the_one_that_it_waits_for() {
    let mut spool = small(6);
    let mut files = Vec::new();
    for segment in [1, 2] {
        for sequence in 2 * segment..2 * segment + 2 {
            push(&mut spool, sequence, Kind::Frame { reference: 1 });
        }
        files.push(spool.to_shelve(1_000));
        spool.shelved(segment, 2_000, &files[files.len() - 1]);
    }
    spool.load(1, files[0].clone());
    spool.load(2, files[1].clone());
    spool.unload(1);
    assert_eq!(spool.len(), 2);
    assert_eq!(spool.next_load(400), Some(1));
    assert_eq!(spool.len(), 0, "it is on disk");
    spool.load(1, files[0].clone());
    assert_eq!(due(&mut spool, 0), [(1, 2, true), (1, 3, true)]);
    assert_eq!(holes(&mut spool), []);
}

/// Some `most` bytes of memory go to a file of their own.
fn shelve(spool: &mut Spool, files: &mut BTreeMap<u64, Vec<Record>>, most: usize) {
    let records = spool.to_shelve(most);
    if !records.is_empty() {
        let segment = files.len() as u64;
        spool.shelved(segment, records.len() as u64 * 50, &records);
        files.insert(segment, records);
    }
}

/// What a model of the ring knows: each serial is kept, durable or declared, and nothing else.
#[derive(Default)]
struct Model {
    next: u64,
    durable: BTreeSet<u64>,
}

proptest! {
    /// Whatever happens, the bytes add up, the bound holds, and every frame is durable, kept, on disk or in a hole:
    /// never in two of them, never in none.
    #[test]
    fn nothing_vanishes(steps in prop::collection::vec((0_u8..8, 0_u64..40, 0_usize..120), 1..150)) {
        let mut spool = Spool::new(Bounds { memory: 4_000, disk: 3_000, mirrored: false });
        let mut model = Model::default();
        let mut files: BTreeMap<u64, Vec<Record>> = BTreeMap::new();
        for (now, &(step, at, size)) in steps.iter().enumerate() {
            let now_ns = now as u64 * SECOND;
            match step {
                0..=2 => {
                    let kind = match at % 4 {
                        0 => BY_ITSELF,
                        1 => Kind::Event,
                        _ => Kind::Frame { reference: 1 + at % 3 },
                    };
                    spool.push(id(1, model.next), kind, Bytes::from(vec![0; size]));
                    model.next += 1;
                }
                3 => drop(spool.next(now_ns, true)),
                4 => spool.send_again(),
                5 => {
                    let below = at.min(model.next);
                    let gap = (at / 2, (at / 2 + 1).min(below));
                    let missing: &[(u64, u64)] = if gap.0 < gap.1 && !model.durable.contains(&gap.0) { &[gap] } else { &[] };
                    let mark = mark(1, below, missing);
                    spool.mark(&mark, now_ns);
                    model.durable.extend((0..below).filter(|sequence| mark.covers(*sequence)));
                }
                6 => shelve(&mut spool, &mut files, size * 4),
                _ => {
                    if let Some(segment) = spool.next_load(10) {
                        let mut records = files[&segment].clone();
                        if at == 0 { records.pop(); }
                        spool.load(segment, records);
                    }
                }
            }
            let bytes: usize = spool.entries.values().map(|entry| spool.cost(&entry.payload)).sum();
            prop_assert_eq!(bytes, spool.bytes);
            // Holes have a bound of their own.
            let frames = spool.entries.values().filter(|entry| !entry.is_hole());
            let (count, bytes) = frames.clone().fold((0, 0), |(n, sum), entry| (n + 1, sum + spool.cost(&entry.payload)));
            // The oldest may be one too many that all others wait for.
            let oldest = frames.clone().next().filter(|entry| entry.segment.is_some());
            let beyond = oldest.map_or(0, |entry| spool.cost(&entry.payload));
            prop_assert!(bytes <= 4_000 + beyond || count <= 1, "{} bytes, {} frames", bytes, count);
            check_places(&spool, &model)?;
            for (&id, entry) in &spool.entries {
                let base = entry.kind.reads_against(id);
                prop_assert!(!base.is_some_and(|base| spool.is_lost(base)), "{:?} cannot be read", id);
            }
        }
    }
}

/// A brain that takes what it can read and holds the rest, and tells what it has.
#[derive(Default)]
struct Reader {
    held: BTreeMap<u64, u64>,
    has: BTreeSet<u64>,
}

impl Reader {
    fn take(&mut self, due: &Due) {
        match due.kind {
            Kind::Frame { reference } => drop(self.held.insert(due.id.sequence, reference)),
            Kind::Event => drop(self.has.insert(due.id.sequence)),
            Kind::Hole { end } => self.has.extend(due.id.sequence..end),
        }
        // Rising: what a frame is read against comes before it.
        let has = &mut self.has;
        self.held.retain(|sequence, reference| {
            let reads = *reference == 0 || has.contains(&(sequence - *reference));
            if reads {
                has.insert(*sequence);
            }
            !reads
        });
    }

    fn mark(&self) -> EpochMark {
        let below = self.has.last().map_or(0, |last| last + 1);
        let missing: Vec<(u64, u64)> = (0..below)
            .filter(|sequence| !self.has.contains(sequence))
            .map(|sequence| (sequence, sequence + 1))
            .collect();
        mark(1, below, &missing)
    }
}

proptest! {
    /// Whatever has happened, once there is a brain that listens all of it gets across, with no new frame to help it.
    #[test]
    fn all_gets_across_in_the_end(steps in prop::collection::vec((0_u8..8, 0_u64..40, 0_usize..120), 1..150), memory in 1_000_usize..4_000) {
        let mut spool = Spool::new(Bounds { memory, disk: 3_000, mirrored: false });
        let mut files: BTreeMap<u64, Vec<Record>> = BTreeMap::new();
        let mut reader = Reader::default();
        let mut next = 0;
        for (now, &(step, at, size)) in steps.iter().enumerate() {
            let now_ns = now as u64 * SECOND;
            match step {
                0..=3 => {
                    let reference = (at % 4).min(next);
                    spool.push(id(1, next), Kind::Frame { reference }, Bytes::from(vec![0; size]));
                    next += 1;
                }
                4 => if let Some(due) = spool.next(now_ns, true) && at % 2 == 0 {
                    reader.take(&due);
                },
                5 => {
                    spool.send_again();
                    spool.mark(&reader.mark(), now_ns);
                }
                6 => shelve(&mut spool, &mut files, size * 4),
                _ => if let Some(segment) = spool.next_load(10) {
                    spool.load(segment, files[&segment].clone());
                },
            }
        }
        for round in 0.. {
            let now_ns = (1_000 + 4 * round) * SECOND;
            while let Some(due) = spool.next(now_ns, true) {
                reader.take(&due);
            }
            if (0..next).all(|sequence| reader.has.contains(&sequence)) {
                break;
            }
            prop_assert!(round < 400, "{:?} of {} never came, {:?} are held", (0..next).filter(|sequence| !reader.has.contains(sequence)).collect::<Vec<_>>(), next, reader.held);
            spool.mark(&reader.mark(), now_ns);
            spool.send_overdue(now_ns);
            if let Some(segment) = spool.next_load(10) {
                spool.load(segment, files[&segment].clone());
            }
        }
    }
}

fn check_places(spool: &Spool, model: &Model) -> Result<(), TestCaseError> {
    let on_disk = spool.shelf.of_epoch(1);
    for sequence in 0..model.next {
        let entry = spool.entries.get(&id(1, sequence)).filter(|entry| !entry.is_hole());
        let in_memory = entry.is_some();
        let is_loaded = entry.is_some_and(|entry| entry.segment.is_some());
        let shelved = on_disk.contains(sequence);
        let mut holes = spool.entries.iter().filter(|(_, entry)| entry.is_hole());
        let in_hole = holes.any(|(id, entry)| entry.kind.covers(*id).contains(&sequence));
        let durable = model.durable.contains(&sequence);
        prop_assert_eq!(is_loaded, in_memory && shelved, "{}", sequence);
        let places = u8::from(in_memory || shelved) + u8::from(in_hole);
        prop_assert!(
            places == 1 || (durable && places == 0),
            "{}: {} places, durable: {}",
            sequence,
            places,
            durable
        );
    }
    Ok(())
}
