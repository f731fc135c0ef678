//! Frames against packed protobuf doubles: size, speed and what the bound costs.

use std::{hint::black_box, path::PathBuf};

use anyhow::ensure;
use prost::Message;
use shadow::{
    Block, Catalogue,
    codec::{Decoder, Encoder},
    wire::{decode_frame, encode_frame},
};

use crate::{
    recording::{self, Recording},
    report::{Report, Row},
    rivals::Rows,
    timing,
};

/// How long a frame is, in seconds.
const FRAME_S: [i64; 3] = [1, 5, 60];

/// An odd number of rounds, enough for a median on a machine that also does other things.
const ROUNDS: usize = 15;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A recording of raw counters, or a trace; CSV, or gzipped with the ending .gz. Without it: our own traces.
    #[arg(long, value_name = "FILE")]
    telemetry: Option<PathBuf>,
}

/// Runs all cases.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let path = arguments.telemetry.clone().map_or_else(recording::own, Ok)?;
    let recording = recording::read(&path)?;
    let mut report = Report::new("codec");
    for seconds in FRAME_S {
        let case = Case::new(&recording, seconds)?;
        let name = format!("H/{seconds}s");
        case.sizes(&name, &mut report)?;
        case.speeds(&name, &mut report);
        case.errors(&name, &mut report)?;
    }
    Ok(report)
}

/// The recording cut into frames of one length.
struct Case<'a> {
    catalogue: &'a Catalogue,
    blocks: Vec<Block>,
    /// As they travel: envelope and body.
    frames: Vec<Vec<u8>>,
    /// The same samples as the rival sends them.
    rows: Vec<Rows>,
}

impl<'a> Case<'a> {
    fn new(recording: &'a Recording, seconds: i64) -> anyhow::Result<Self> {
        let catalogue = &recording.catalogue;
        let blocks = cut(&recording.samples, catalogue, seconds * 1000);
        Ok(Self {
            catalogue,
            frames: encode(&mut Encoder::new(catalogue), &blocks)?,
            rows: blocks.iter().map(Rows::of).collect(),
            blocks,
        })
    }

    fn points(&self) -> f64 {
        let samples: usize = self.blocks.iter().map(Block::len).sum();
        (samples * self.catalogue.len()) as f64
    }

    fn sizes(&self, case: &str, report: &mut Report) -> anyhow::Result<()> {
        let packed: usize = self.rows.iter().map(Rows::packed_bytes).sum();
        let share = |bytes: usize| bytes as f64 / packed as f64;
        let ours = share(self.frames.iter().map(Vec::len).sum());
        let zstd: Vec<usize> = self.rows.iter().map(Rows::zstd_bytes).collect::<anyhow::Result<_>>()?;
        let rivals = [
            ("packed doubles", 1.0),
            (
                "lz4 of packed doubles",
                share(self.rows.iter().map(Rows::lz4_bytes).sum()),
            ),
            ("zstd-3 of packed doubles", share(zstd.iter().sum())),
        ];
        for (rival_name, rival) in rivals {
            report.push(row(case, "share_of_packed", "1", ours, rival, rival_name));
        }
        Ok(())
    }

    fn speeds(&self, case: &str, report: &mut Report) {
        let mut encoder = Encoder::new(self.catalogue);
        let mut decoder = Decoder::new(self.catalogue);
        let mut block = Block::default();
        let packed: Vec<Vec<u8>> = self.rows.iter().map(Message::encode_to_vec).collect();
        let [encode_ns, packed_encode_ns, decode_ns, packed_decode_ns] = timing::medians_ns(
            ROUNDS,
            [
                &mut || {
                    black_box(encode(&mut encoder, &self.blocks).is_ok());
                },
                &mut || {
                    for rows in &self.rows {
                        black_box(rows.encode_to_vec());
                    }
                },
                &mut || {
                    for bytes in &self.frames {
                        black_box(decode(&mut decoder, bytes, &mut block).is_ok());
                    }
                },
                &mut || {
                    for bytes in &packed {
                        black_box(Rows::decode(bytes.as_slice()).is_ok());
                    }
                },
            ],
        )
        .map(|ns| ns / self.points());
        report.push(row(
            case,
            "encode_ns",
            "ns",
            encode_ns,
            packed_encode_ns,
            "prost packed doubles",
        ));
        report.push(row(
            case,
            "decode_ns",
            "ns",
            decode_ns,
            packed_decode_ns,
            "prost packed doubles",
        ));
    }

    /// Decodes every frame and compares each reading with the one that was sent.
    fn errors(&self, case: &str, report: &mut Report) -> anyhow::Result<()> {
        let mut decoder = Decoder::new(self.catalogue);
        let mut told = Block::default();
        let mut worst = 0.0_f64;
        for (sent, bytes) in self.blocks.iter().zip(&self.frames) {
            decode(&mut decoder, bytes, &mut told)?;
            ensure!(told.times_ms == sent.times_ms, "times came back differently");
            let columns = self
                .catalogue
                .metrics()
                .iter()
                .zip(sent.columns.iter().zip(&told.columns));
            for (metric, (sent, told)) in columns {
                for (sent, told) in sent.iter().zip(told) {
                    ensure!(
                        sent.missing() == told.missing(),
                        "{}: a gap came back differently",
                        metric.name
                    );
                    if let (Some(sent), Some(told)) = (sent.value(), told.value()) {
                        worst = worst.max((told - sent).abs() / metric.bound.max_error(sent));
                    }
                }
            }
        }
        report.push(row(case, "max_error_share_of_bound", "1", worst, 1.0, "the bound"));
        Ok(())
    }
}

/// Blocks of at most `length_ms` each.
fn cut(samples: &Block, catalogue: &Catalogue, length_ms: i64) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut start_ms = i64::MIN;
    for (at, &time_ms) in samples.times_ms.iter().enumerate() {
        if time_ms.saturating_sub(start_ms) >= length_ms {
            start_ms = time_ms;
            blocks.push(Block::new(catalogue));
        }
        if let (Some(block), Some(sample)) = (blocks.last_mut(), samples.sample(at)) {
            block.push(sample.time_ms, &sample.readings);
        }
    }
    blocks
}

fn encode(encoder: &mut Encoder, blocks: &[Block]) -> anyhow::Result<Vec<Vec<u8>>> {
    let frames = (0..).zip(blocks).map(|(sequence, block)| {
        // An epoch is microseconds of the unix clock.
        let epoch = block.times_ms.first().map_or(0, |ms| ms.unsigned_abs() * 1000);
        Ok(encode_frame(&encoder.frame(epoch, sequence, block)?))
    });
    frames.collect()
}

fn decode(decoder: &mut Decoder, bytes: &[u8], block: &mut Block) -> anyhow::Result<()> {
    let frame = decode_frame(bytes)?;
    Ok(decoder.decode(frame.shape(), &frame.body, block)?)
}

fn row(case: &str, metric: &'static str, unit: &'static str, ours: f64, rival: f64, rival_name: &'static str) -> Row {
    Row {
        case: case.to_owned(),
        metric,
        unit,
        ours,
        rival,
        rival_name,
        ratio: ours / rival,
    }
}
