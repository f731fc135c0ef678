//! What the fuzz targets begin with: the examples of these tests, kept in `fuzz/seeds`.
//!
//! `REGENERATE=1 cargo test -p foreshadow-shadow seeds` writes them. Those of older versions stay: they are read for ever.

use std::{env, fs, path::PathBuf};

use super::*;
use crate::{
    Block, Channel, Reading,
    capture::{self, Captured},
    codec::Encoder,
};

fn folder(target: &str) -> PathBuf {
    let shadow = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    shadow.join("../fuzz/seeds").join(target)
}

/// Writes `messages` where asked to, and reads every seed of `target` that there is.
fn check<T>(target: &str, messages: &[Vec<u8>], read: impl Fn(&[u8]) -> T, accept: impl Fn(&T) -> bool) {
    let folder = folder(target);
    if env::var_os("REGENERATE").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (i, message) in messages.iter().enumerate() {
            fs::write(folder.join(format!("example-{i}.bin")), message).unwrap();
        }
    }
    let files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= messages.len(), "{}: too few", folder.display());
    for file in files {
        let told = read(&fs::read(&file).unwrap());
        assert!(accept(&told), "{}", file.display());
    }
}

/// Frames of today's codec for the catalogue that the target has: one by itself, and two that follow it.
fn chain() -> Vec<Vec<u8>> {
    let catalogue = Catalogue::of_channels(&Channel::ALL);
    let mut encoder = Encoder::new(&catalogue);
    let frames = (0..3).map(|sequence| {
        let mut block = Block::new(&catalogue);
        for row in 0..10_usize {
            let value = |channel: Channel| 0.125 * (channel.index() + row % 4) as f64;
            let mut readings = Channel::ALL.map(|channel| Reading::new(value(channel)));
            readings[row % 7] = Reading::STALE;
            block.push_rated(1_000 * (1 + sequence as i64) + 100 * row as i64, 100_000, &readings);
        }
        encode_frame(&encoder.frame(1_000_000, sequence, &block).unwrap())
    });
    frames.collect()
}

#[test]
fn the_seeds_of_the_fuzz_targets_can_be_read() {
    let capture = {
        let mut bytes = Vec::new();
        capture::begin(&mut bytes).unwrap();
        for (kind, payload) in [("birth", encode_birth(&birth())), ("delta", encode_frame(&frame()))] {
            let message = Captured {
                time_ms: 9,
                retained: kind == "birth",
                topic: format!("foreshadow/main/web-1/bin/inband/{kind}"),
                payload: payload.into(),
            };
            message.write(&mut bytes).unwrap();
        }
        bytes
    };
    let small = encode_birth(&Birth {
        catalogue: Catalogue::new(vec![Metric::share("a")]),
        ..Birth::default()
    });
    check("birth", &[encode_birth(&birth()), small], decode_birth, Result::is_ok);
    check("frame", &chain(), |bytes| decode_frame(bytes), Result::is_ok);
    let events = [Severity::Info, Severity::Critical].map(|severity| encode_event(&event(severity)));
    check("event", &events, decode_event, Result::is_ok);
    let watermark = encode_watermark(&mark(9, &[(0, 1), (1, 4), (8, 9)]));
    check("watermark", &[watermark], decode_watermark, Result::is_ok);
    let hole = Hole {
        epoch: 7,
        first: 2,
        end: 300,
    };
    check("hole", &[encode_hole(&hole)], decode_hole, Result::is_ok);
    check("command", &[encode_command(&command())], decode_command, Result::is_ok);
    let outcomes = [OutcomeState::DryRun, OutcomeState::Failed].map(|state| encode_outcome(&outcome(state)));
    check("outcome", &outcomes, decode_outcome, Result::is_ok);
    let mut sealed = encode_command(&command());
    push_certificate(&mut sealed, b"DER");
    push_signature(&mut sealed, &[7; SIGNATURE_BYTES]);
    let split = |bytes: &[u8]| split_seal("command", bytes).map(|seal| seal.is_some());
    check("seal", &[sealed], split, |found| *found == Ok(true));
    let read = |bytes: &[u8]| capture::Reader::new(bytes).unwrap().filter_map(Result::ok).count();
    check("capture", &[capture], read, |messages| *messages > 0);
}
