//! Frames and their bodies.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shadow::{
    Block, Catalogue,
    codec::{Decoder, Encoder},
    wire::{decode_birth, decode_frame},
};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let birth = include_bytes!("../../shadow/testdata/codec-1/birth.bin");
    decode_birth(birth).expect("it is checked in").catalogue
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut frame) = decode_frame(bytes) else { return };
    // What a frame is read against is an empty keyframe's memory here.
    frame.reference = 0;
    let (mut decoder, mut block) = (Decoder::new(&CATALOGUE), Block::default());
    if decoder.read(&frame, &mut block).is_err() {
        return;
    }
    assert_eq!(block.len(), frame.samples as usize);
    assert_eq!(block.times_ms[0], frame.start_ms);
    for mut encoder in [Encoder::new(&CATALOGUE), Encoder::lz4(&CATALOGUE)] {
        let again = encoder.frame(1, 0, &block).expect("what was decoded can be encoded");
        let again = again.decode(&CATALOGUE).expect("what was encoded can be decoded");
        assert_eq!(block.times_ms, again.times_ms);
        for (metric, (sent, told)) in CATALOGUE.metrics().iter().zip(block.columns.iter().zip(&again.columns)) {
            for (sent, told) in sent.iter().zip(told) {
                assert_eq!(sent.missing(), told.missing());
                if let (Some(sent), Some(told)) = (sent.value(), told.value()) {
                    assert!((sent - told).abs() <= metric.bound.max_error(sent), "{sent} became {told}");
                }
            }
        }
    }
});
