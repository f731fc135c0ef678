//! Frames that are read against others.

use shadow::{Block, Reading, codec::Encoder};

use super::*;

/// `count` frames of a second each, each read against one before it; the first is read by itself.
fn chain(count: u64) -> Vec<Frame> {
    let catalogue = birth(EPOCH).catalogue;
    let mut encoder = Encoder::new(&catalogue);
    let frame = |sequence: u64| {
        let mut block = Block::new(&catalogue);
        let cpu = sequence as f64 / 100.0;
        let readings = [cpu, 0.5, 1_000.0, 2_000.0, cpu * 4.0].map(Reading::new);
        block.push(1_000 + 1_000 * i64::try_from(sequence).unwrap(), &readings);
        encoder.frame(EPOCH, sequence, &block).unwrap()
    };
    let frames: Vec<Frame> = (0..count).map(frame).collect();
    assert!(frames[1..].iter().all(|frame| frame.reads_against().is_some()));
    frames
}

fn born() -> Ingest {
    let mut ingest = Ingest::new(LIMITS);
    tell(&mut ingest, &stream(), EPOCH).unwrap();
    ingest
}

/// Offers frames, and those that this releases; tells the sequences that were taken.
fn give(ingest: &mut Ingest, frames: Vec<Frame>) -> Vec<u64> {
    let mut taken = Vec::new();
    for frame in frames {
        if let Verdict::Taken(new, next) = ingest.frame(0, &stream(), frame).unwrap() {
            taken.push(new.frame.sequence);
            taken.extend(give(ingest, next));
        }
    }
    taken
}

#[test]
fn a_frame_waits_for_the_one_that_it_is_read_against_and_both_are_asked_for() {
    let mut ingest = born();
    let mut frames = chain(5);
    let lost = frames.remove(2);
    assert_eq!(give(&mut ingest, frames.clone()), [0, 1]);
    commit(&mut ingest);
    let told = mark(&ingest, EPOCH);
    assert_eq!(
        (told.durable_below, missing(&told)),
        (5, vec![2, 3, 4]),
        "held is not durable"
    );
    assert!(give(&mut ingest, frames).is_empty(), "sent again: here already");
    assert!(ingest.take_wanted().is_empty(), "what never came is in no store");
    assert_eq!(give(&mut ingest, vec![lost]), [2, 3, 4]);
    assert_eq!(ingest.held_bytes, 0);
    commit(&mut ingest);
    assert_eq!((mark(&ingest, EPOCH).durable_below, ingest.missing()), (5, 0));
}

#[test]
fn what_came_before_a_restart_is_looked_for_in_the_store() {
    let frames = chain(4);
    let restored = || {
        let mut ingest = Ingest::new(LIMITS);
        let mut durable = RangeSet::default();
        durable.insert(0..3);
        ingest.restore(&stream(), Some(birth(EPOCH).into()), EPOCH, durable);
        assert!(
            give(&mut ingest, frames[3..].to_vec()).is_empty(),
            "its reference is in no decoder"
        );
        ingest
    };
    let mut ingest = restored();
    let wanted = ingest.take_wanted();
    assert_eq!(wanted.iter().map(|id| id.sequence).collect::<Vec<_>>(), [2]);
    let mut stored: Vec<_> = frames[..3].iter().map(|frame| (stream(), frame.clone())).collect();
    ingest.prime(&mut stored);
    let released = ingest.found(wanted[0].clone(), true).readable;
    assert_eq!(
        give(&mut ingest, released.into_iter().map(|(_, frame)| frame).collect()),
        [3]
    );

    // Where it is stored no more, the frame is given up, for nobody will ever read it.
    let mut ingest = restored();
    let wanted = ingest.take_wanted();
    let found = ingest.found(wanted[0].clone(), false);
    assert!(found.readable.is_empty());
    let holes: Vec<_> = found.lost.iter().map(|(_, hole)| (hole.first, hole.end)).collect();
    assert_eq!(holes, [(3, 4)], "and told as a hole");
    commit(&mut ingest);
    assert_eq!((mark(&ingest, EPOCH).durable_below, ingest.held_bytes), (4, 0));
}

#[test]
fn who_waits_for_a_frame_that_is_lost_is_given_up_as_well() {
    let frames = chain(6);
    let mut ingest = Ingest::new(LIMITS);
    let mut durable = RangeSet::default();
    durable.insert(0..3);
    ingest.restore(&stream(), Some(birth(EPOCH).into()), EPOCH, durable);
    assert!(give(&mut ingest, frames[3..].to_vec()).is_empty());
    // The store has none of what the first of them is read against, nor ever the others.
    let mut lost = Vec::new();
    for _ in 3..6 {
        for id in ingest.take_wanted() {
            let found = ingest.found(id, false);
            assert!(found.readable.is_empty());
            lost.extend(found.lost.into_iter().map(|(_, hole)| hole.first));
        }
        commit(&mut ingest);
    }
    assert_eq!(lost, [3, 4, 5]);
    assert_eq!((mark(&ingest, EPOCH).durable_below, ingest.held_bytes), (6, 0));
    assert!(ingest.take_wanted().is_empty());
}

#[test]
fn what_is_not_written_yet_is_looked_for_again() {
    let mut ingest = born();
    let frames = chain(3);
    give(&mut ingest, frames[..2].to_vec());
    // As if its decoder had forgotten.
    let id = FrameId {
        stream: stream(),
        epoch: EPOCH,
        sequence: 1,
    };
    let found = ingest.found(id.clone(), false);
    assert!(found.readable.is_empty());
    assert_eq!(ingest.take_wanted(), std::slice::from_ref(&id));
    commit(&mut ingest);
    let found = ingest.found(id, false);
    assert!(found.readable.is_empty());
    assert!(ingest.take_wanted().is_empty(), "durable and gone");
}
