//! Frames of released codec versions: they must decode for ever, to the last bit.
//!
//! Each folder `testdata/codec-N` holds a birth, frames and what they say. Files are added with a codec version
//! and never changed.

use std::{fs, path::PathBuf};

use super::*;
use crate::{
    Bound, Grain, Metric, Reading,
    rate::per_second,
    wire::{decode_birth, decode_frame, encode_frame},
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

/// The catalogue of codec 2's frames.
fn catalogue_2() -> Catalogue {
    let relative = |ratio, floor| Bound::Relative { ratio, floor };
    let step = |step| Bound::Absolute { step };
    Catalogue::new(vec![
        Metric::new("ticks", "1", step(0.01)).grain(Grain::Rate { unit: 0.01 }),
        Metric::new("busy", "1", step(0.01))
            .grain(Grain::Rate { unit: 1e-9 })
            .key(),
        Metric::new("bytes", "By/s", relative(0.01, 100.0))
            .grain(Grain::Rate { unit: 512.0 })
            .key()
            .minimum(),
        Metric::new("twin", "By/s", relative(0.01, 100.0)).grain(Grain::Rate { unit: 512.0 }),
        Metric::new("memory", "By", step(65_536.0))
            .grain(Grain::Gauge { unit: 1024.0 })
            .key(),
        Metric::new("missing", "W", step(0.1)),
        Metric::new("wide", "1", relative(0.25, 1e-3)),
    ])
}

/// Made by a linear congruential generator; nothing was measured.
fn blocks_2() -> Vec<Block> {
    let catalogue = catalogue_2();
    let mut seed = 1_u64;
    let mut dice = move |sides: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    let mut time_us = 1_795_486_574_087_000_i64;
    let blocks = (0..10).map(|_| {
        let mut block = Block::new(&catalogue);
        for _ in 0..10 {
            let gap_us = 99_700 + u32::try_from(dice(600)).unwrap();
            time_us += i64::from(gap_us);
            let rate = |count: u64, unit| Reading::new(per_second(count as f64, unit, gap_us));
            let sectors = dice(4) * dice(3_000);
            let missing = [
                Reading::ABSENT,
                Reading::FAILED,
                Reading::STALE,
                Reading::new(1e300),
                Reading::new(97.3),
            ];
            let readings = [
                rate(dice(4), 0.01),
                rate(dice(100_000_000), 1e-9),
                rate(sectors, 512.0),
                rate(sectors, 512.0),
                Reading::new((3_000_000 + dice(300)) as f64 * 1024.0),
                missing[usize::try_from(dice(5)).unwrap()],
                Reading::new(-(dice(1_000_000) as f64) * 1e-3),
            ];
            block.push_rated(time_us.div_euclid(1_000), gap_us, &readings);
        }
        block
    });
    blocks.collect()
}

/// Frames 0, 1 and 8 of ten: by itself, against the one before, against the keyframe.
const FRAMES_2: [(&str, usize); 3] = [("keyframe", 0), ("next", 1), ("against-keyframe", 8)];

type Begin = fn(&Catalogue) -> Encoder;

/// Quick ones, and dense ones.
const KINDS_2: [(&str, Begin); 2] = [("quick", Encoder::new), ("dense", Encoder::dense)];

#[test]
fn frames_of_codec_2_decode_as_they_did() {
    let catalogue = catalogue_2();
    let mut block = Block::default();
    for (kind, _) in KINDS_2 {
        let mut decoder = Decoder::new(&catalogue);
        for (name, at) in FRAMES_2 {
            let frame = decode_frame(file(&format!("codec-2/{kind}-{name}.bin")).as_slice()).unwrap();
            assert_eq!((frame.codec, frame.sequence), (ENTROPY, at as u64));
            decoder.read(&frame, &mut block).unwrap();
            let expected = String::from_utf8(file(&format!("codec-2/{kind}-{name}.csv"))).unwrap();
            assert_eq!(to_csv(&block), expected, "{kind} {name}");
        }
    }
}

/// Wrote the files, once; it refuses to write them again.
#[test]
#[ignore = "the files are never changed"]
fn write_vectors_of_codec_2() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/codec-2");
    fs::create_dir(&folder).unwrap();
    let catalogue = catalogue_2();
    for (kind, encoder) in KINDS_2 {
        let (mut encoder, mut decoder) = (encoder(&catalogue), Decoder::new(&catalogue));
        for (sequence, sent) in (0..).zip(blocks_2()) {
            let frame = encoder.frame(1_795_486_574_086_790, sequence, &sent).unwrap();
            let mut told = Block::default();
            decoder.read(&frame, &mut told).unwrap();
            if let Some((name, _)) = FRAMES_2.iter().find(|(_, at)| *at as u64 == sequence) {
                fs::write(folder.join(format!("{kind}-{name}.bin")), encode_frame(&frame)).unwrap();
                fs::write(folder.join(format!("{kind}-{name}.csv")), to_csv(&told)).unwrap();
            }
        }
    }
}
