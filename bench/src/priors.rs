//! The tables of codec 2, counted on recordings.

use std::{fs, path::PathBuf};

use shadow::codec::Tally;

use crate::{
    codec::cut,
    recording::{self, Levels},
};

/// Lengths of the frames that are counted, in milliseconds.
const FRAMES_MS: [i64; 2] = [1_000, 5_000];

/// What to count, and where to write.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A recording of raw counters; may be given more than once.
    #[arg(long, value_name = "FILE", required = true)]
    telemetry: Vec<PathBuf>,
    /// Where the tables go: `shadow/src/codec/entropy/priors.bin`, before a codec number is released.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// Counts and writes.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut tally = Tally::default();
    for path in &arguments.telemetry {
        for levels in [Levels::Bound, Levels::Lossless] {
            let recording = recording::read(path, levels)?;
            for length_ms in FRAMES_MS {
                let blocks = cut(&recording.samples, &recording.catalogue, length_ms);
                tally.add(&recording.catalogue, blocks);
            }
        }
    }
    fs::write(&arguments.output, tally.priors()?)?;
    Ok(())
}
