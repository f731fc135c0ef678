//! Frames and their bodies, read by themselves or against the frame before.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shadow::{
    Block, Catalogue, Frame,
    codec::{Decoder, Encoder},
    wire::{decode_birth, decode_frame, encode_frame},
};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let birth = include_bytes!("../../shadow/testdata/codec-1/birth.bin");
    decode_birth(birth).expect("it is checked in").catalogue
});

/// A frame of today's codec that a frame under test may be read against: it takes the sequence that is named.
static BEFORE: LazyLock<Frame> = LazyLock::new(|| {
    let frame = include_bytes!("../../shadow/testdata/codec-1/plain.bin");
    let block = decode_frame(frame.as_slice()).map(|frame| frame.decode(&CATALOGUE));
    let block = block.expect("it is checked in").expect("it is checked in");
    Encoder::new(&CATALOGUE)
        .frame(0, 0, &block)
        .expect("it was a frame before")
});

fuzz_target!(|bytes: &[u8]| {
    limits::round_trip(bytes, |bytes| decode_frame(bytes), encode_frame);
    limits::in_time(|| samples(bytes));
});

fn samples(bytes: &[u8]) {
    let Ok(frame) = decode_frame(bytes) else { return };
    let (mut decoder, mut block) = (Decoder::new(&CATALOGUE), Block::default());
    if let Some(sequence) = frame.reads_against() {
        let (epoch, before) = (frame.epoch, BEFORE.clone());
        let before = Frame {
            epoch,
            sequence,
            ..before
        };
        decoder.read(&before, &mut block).expect("it was encoded here");
    }
    if decoder.read(&frame, &mut block).is_err() {
        return;
    }
    assert_eq!(block.len(), frame.samples as usize);
    assert_eq!(block.times_ms[0], frame.start_ms);
    let again = Encoder::new(&CATALOGUE).frame(frame.epoch, frame.sequence, &block);
    let again = again.expect("what was decoded can be encoded");
    let mut told = Block::default();
    let read = Decoder::new(&CATALOGUE).read(&again, &mut told);
    read.expect("what was encoded can be decoded");
    check(&block, &told);
}

/// Times and reasons of what is missing are the same, values within their bounds.
fn check(sent: &Block, told: &Block) {
    assert_eq!(sent.times_ms, told.times_ms);
    for (metric, (sent, told)) in CATALOGUE.metrics().iter().zip(sent.columns.iter().zip(&told.columns)) {
        for (sent, told) in sent.iter().zip(told) {
            assert_eq!(sent.missing(), told.missing());
            if let (Some(sent), Some(told)) = (sent.value(), told.value()) {
                assert!(
                    (sent - told).abs() <= metric.bound.max_error(sent),
                    "{sent} became {told}"
                );
            }
        }
    }
}
