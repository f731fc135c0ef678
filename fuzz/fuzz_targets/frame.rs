//! Frames and their bodies, read by themselves or against the frame before.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shadow::{
    Block, Catalogue, Channel, Reading,
    codec::{Decoder, Encoder, MASK_VARINT_LZ4},
    wire::{decode_birth, decode_frame, encode_frame},
};

/// What frames of codec 1 are read with: those that are checked in serve as seeds.
static FIRST: LazyLock<Catalogue> = LazyLock::new(|| {
    let birth = include_bytes!("../../shadow/testdata/codec-1/birth.bin");
    decode_birth(birth).expect("it is checked in").catalogue
});

/// What all others are read with: metrics with exact extremes and grains.
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::of_channels(&Channel::ALL));

/// What a frame of today's codec tells that a frame under test may be read against: it takes epoch and sequence that are
/// named.
static BEFORE: LazyLock<Block> = LazyLock::new(|| {
    let mut block = Block::new(&CATALOGUE);
    for row in 0..10 {
        let readings = Channel::ALL.map(|channel| Reading::new((channel.index() + row) as f64 * 0.125));
        block.push_rated(1_000 + 100 * row as i64, 100_000, &readings);
    }
    block
});

fuzz_target!(|bytes: &[u8]| {
    limits::round_trip(bytes, |bytes| decode_frame(bytes), encode_frame);
    limits::in_time(|| samples(bytes));
});

fn samples(bytes: &[u8]) {
    let Ok(frame) = decode_frame(bytes) else { return };
    let first = frame.codec == MASK_VARINT_LZ4;
    let catalogue = if first { &FIRST } else { &CATALOGUE };
    let (mut decoder, mut block) = (Decoder::new(catalogue), Block::default());
    if let Some(sequence) = frame.reads_against().filter(|_| !first) {
        let before = Encoder::new(catalogue).frame(frame.epoch, sequence, &BEFORE);
        let before = before.expect("it is small");
        decoder.read(&before, &mut block).expect("it was encoded here");
    }
    if decoder.read(&frame, &mut block).is_err() {
        return;
    }
    assert_eq!(block.len(), frame.samples as usize);
    assert_eq!(block.times_ms[0], frame.start_ms);
    for encoder in [Encoder::new, Encoder::dense] {
        let again = encoder(catalogue).frame(frame.epoch, frame.sequence, &block);
        let again = again.expect("what was decoded can be encoded");
        let mut told = Block::default();
        let read = Decoder::new(catalogue).read(&again, &mut told);
        read.expect("what was encoded can be decoded");
        check(catalogue, &block, &told);
    }
}

/// Times, gaps and reasons of what is missing are the same, values within their bounds.
fn check(catalogue: &Catalogue, sent: &Block, told: &Block) {
    assert_eq!(sent.times_ms, told.times_ms);
    assert_eq!(sent.gaps_us, told.gaps_us);
    for (metric, (sent, told)) in catalogue.metrics().iter().zip(sent.columns.iter().zip(&told.columns)) {
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
