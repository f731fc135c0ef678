//! Frames of released codec versions: they must decode for ever, to the last bit.
//!
//! Each folder `testdata/codec-N` holds a birth, frames and what they say. Files are added with a codec version
//! and never changed.

use std::{fs, path::PathBuf};

use super::*;
use crate::{
    Bound, Metric,
    wire::{decode_birth, decode_frame},
};

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A line a sample: the time, then a value or the reason why there is none, each told so that it reads back exactly.
fn to_csv(block: &Block) -> String {
    let rows = (0..block.len()).map(|row| {
        let sample = block.sample(row).unwrap();
        let readings = sample.readings.iter().map(|reading| format!(",{reading:?}"));
        format!("{}{}\n", sample.time_ms, readings.collect::<String>())
    });
    rows.collect()
}

#[test]
fn frames_of_codec_1_decode_as_they_did() {
    let birth = decode_birth(&file("codec-1/birth.bin")).unwrap();
    let relative = |ratio, floor| Bound::Relative { ratio, floor };
    assert_eq!(
        birth.catalogue,
        Catalogue::new(vec![
            Metric::new("share", "1", Bound::Absolute { step: 0.01 }),
            Metric::new("rate", "By/s", relative(0.01, 100.0)).key(),
            Metric::new("count", "{process}", Bound::Absolute { step: 1.0 }),
            Metric::new("constant", "By", Bound::Absolute { step: 25_769_803.776 }),
            Metric::new("missing", "W", Bound::Absolute { step: 0.1 }),
            Metric::new("wide", "1", relative(0.25, 1e-3)),
        ])
    );
    for name in ["single", "plain", "lz4"] {
        let frame = decode_frame(file(&format!("codec-1/{name}.bin")).as_slice()).unwrap();
        assert_eq!((frame.epoch, frame.codec), (birth.epoch, MASK_VARINT_LZ4));
        let told = to_csv(&frame.decode(&birth.catalogue).unwrap());
        let expected = String::from_utf8(file(&format!("codec-1/{name}.csv"))).unwrap();
        assert_eq!(told, expected, "{name}");
    }
}
