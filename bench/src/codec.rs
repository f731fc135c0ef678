//! Frames against packed protobuf doubles: size, speed and what the bound costs.

use std::{collections::BTreeMap, hint::black_box, path::PathBuf};

use anyhow::ensure;
use prost::Message;
use shadow::{
    Block, Catalogue, Reading,
    codec::{Decoder, Encoder},
    frame::end_of_span,
    wire::{decode_frame, encode_frame},
};

use crate::{
    recording::{self, Levels, Recording},
    report::{Quantity, Report, Rival},
    rivals::{self, ColumnCodec, Rows},
    timing,
};

/// How long a frame is, in seconds.
const FRAME_S: [i64; 3] = [1, 5, 60];

/// An odd number of rounds, enough for a median on a machine that also does other things.
const ROUNDS: usize = 21;

const SHARE: Quantity = Quantity {
    metric: "share_of_packed",
    unit: "1",
};
const ENCODE: Quantity = Quantity {
    metric: "encode_ns",
    unit: "ns",
};
/// The same where each frame's block is somewhere else in memory.
const ENCODE_FAR: Quantity = Quantity {
    metric: "encode_far_ns",
    unit: "ns",
};
const DECODE: Quantity = Quantity {
    metric: "decode_ns",
    unit: "ns",
};
const ERROR: Quantity = Quantity {
    metric: "max_error_share_of_bound",
    unit: "1",
};

const ERROR_P95: Quantity = Quantity {
    metric: "p95_error_share_of_bound",
    unit: "1",
};
const ERROR_BIAS: Quantity = Quantity {
    metric: "mean_error_share_of_bound",
    unit: "1",
};

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
    let mut report = Report::new("codec");
    let kinds: [(Levels, &str, Writer); 3] = [
        (Levels::Bound, "H", Encoder::new),
        (Levels::Bound, "H-dense", Encoder::dense),
        (Levels::Lossless, "lossless", Encoder::dense),
    ];
    for (levels, prefix, writer) in kinds {
        let recording = recording::read(&path, levels)?;
        for seconds in FRAME_S {
            let case = Case::new(&recording, writer, seconds)?;
            let name = format!("{prefix}/{seconds}s");
            let told = case.told()?;
            case.sizes(&name, &told, &mut report)?;
            case.speeds(&name, &mut report);
            case.errors(&name, &told, &mut report)?;
        }
    }
    Ok(report)
}

/// Begins to write quick frames, or dense ones.
type Writer = fn(&Catalogue) -> Encoder;

/// The recording cut into frames of one length.
struct Case<'a> {
    catalogue: &'a Catalogue,
    writer: Writer,
    blocks: Vec<Block>,
    /// As they travel: envelope and body.
    frames: Vec<Vec<u8>>,
    /// The same samples as the rival sends them.
    rows: Vec<Rows>,
}

impl<'a> Case<'a> {
    fn new(recording: &'a Recording, writer: Writer, seconds: i64) -> anyhow::Result<Self> {
        let catalogue = &recording.catalogue;
        let blocks = cut(&recording.samples, catalogue, seconds * 1000);
        Ok(Self {
            catalogue,
            writer,
            frames: encode(&mut writer(catalogue), &blocks)?,
            rows: blocks.iter().map(Rows::of).collect(),
            blocks,
        })
    }

    fn points(&self) -> f64 {
        let samples: usize = self.blocks.iter().map(Block::len).sum();
        (samples * self.catalogue.len()) as f64
    }

    fn epoch(&self) -> u64 {
        self.blocks.first().map_or(0, epoch_of)
    }

    /// All frames decoded.
    fn told(&self) -> anyhow::Result<Vec<Block>> {
        let mut decoder = Decoder::new(self.catalogue);
        let blocks = self.frames.iter().map(|bytes| {
            let mut block = Block::default();
            decode(&mut decoder, bytes, &mut block)?;
            Ok(block)
        });
        blocks.collect()
    }

    fn sizes(&self, case: &str, told: &[Block], report: &mut Report) -> anyhow::Result<()> {
        let packed: usize = self.rows.iter().map(Rows::packed_bytes).sum();
        let zstd = self.rows.iter().map(Rows::zstd_bytes).sum::<anyhow::Result<usize>>()?;
        let pco = told.iter().map(rivals::pco_bytes).sum::<anyhow::Result<usize>>()?;
        let rivals = [
            ("packed doubles", packed),
            ("lz4 of packed doubles", self.rows.iter().map(Rows::lz4_bytes).sum()),
            ("zstd-3 of packed doubles", zstd),
            ("pco of the values told, by column", pco),
            ("gorilla of doubles, by column", self.column_bytes(rivals::GORILLA)?),
            ("chimp of doubles, by column", self.column_bytes(rivals::CHIMP)?),
        ];
        let share = |bytes: usize| bytes as f64 / packed as f64;
        let ours = share(self.frames.iter().map(Vec::len).sum());
        for (name, bytes) in rivals {
            let value = share(bytes);
            report.push(case, SHARE, ours, Rival { name, value });
        }
        Ok(())
    }

    /// What is sent, without any loss, as streams of doubles.
    fn column_bytes(&self, codec: ColumnCodec) -> anyhow::Result<usize> {
        self.blocks.iter().map(|block| codec.bytes(block)).sum()
    }

    /// The rival gets its messages filled beforehand; we quantise as well. As an agent does, we write what is in one block that is filled
    /// again and again, like the one that we read into; what filling it takes is measured apart and taken away. Neither side keeps
    /// what it has made.
    fn speeds(&self, case: &str, report: &mut Report) {
        let mut encoder = (self.writer)(self.catalogue);
        let mut decoder = Decoder::new(self.catalogue);
        let mut block = Block::default();
        let packed: Vec<Vec<u8>> = self.rows.iter().map(Message::encode_to_vec).collect();
        let (mut filled, mut near) = (Block::default(), Block::default());
        let mut near_encoder = (self.writer)(self.catalogue);
        let mut fill = || {
            for block in &self.blocks {
                refill(&mut filled, block);
                black_box(&filled);
            }
        };
        let mut fill_and_encode = || {
            for (sequence, block) in (0..).zip(&self.blocks) {
                refill(&mut near, block);
                black_box(bytes(&mut near_encoder, (self.epoch(), sequence), &near).is_ok());
            }
        };
        let mut our_encode = || {
            for (sequence, block) in (0..).zip(&self.blocks) {
                black_box(bytes(&mut encoder, (self.epoch(), sequence), block).is_ok());
            }
        };
        let mut our_decode = || {
            for bytes in &self.frames {
                black_box(decode(&mut decoder, bytes, &mut block).is_ok());
            }
        };
        let mut prost_encode = || {
            for rows in &self.rows {
                black_box(rows.encode_to_vec());
            }
        };
        let mut prost_decode = || {
            for bytes in &packed {
                black_box(Rows::decode(bytes.as_slice()).is_ok());
            }
        };
        let tasks: [&mut dyn FnMut(); 6] = [
            &mut fill,
            &mut fill_and_encode,
            &mut our_encode,
            &mut prost_encode,
            &mut our_decode,
            &mut prost_decode,
        ];
        let medians = timing::medians_ns(ROUNDS, tasks).map(|ns| ns / self.points());
        let [fill_ns, filled_ns, far_ns, prost_encode_ns, decode_ns, prost_decode_ns] = medians;
        let prost = |value| Rival {
            name: "prost packed doubles",
            value,
        };
        report.push(case, ENCODE, filled_ns - fill_ns, prost(prost_encode_ns));
        report.push(case, ENCODE_FAR, far_ns, prost(prost_encode_ns));
        report.push(case, DECODE, decode_ns, prost(prost_decode_ns));
    }

    /// Compares each reading that came back with the one that was sent.
    fn errors(&self, case: &str, told: &[Block], report: &mut Report) -> anyhow::Result<()> {
        let (mut errors, mut bias) = (Vec::new(), 0.0);
        for (sent, told) in self.blocks.iter().zip(told) {
            ensure!(told.times_ms == sent.times_ms, "times came back differently");
            let columns = self
                .catalogue
                .metrics()
                .iter()
                .zip(sent.columns.iter().zip(&told.columns));
            for (metric, (sent, told)) in columns {
                for (sent, told) in sent.iter().zip(told) {
                    let name = &metric.name;
                    ensure!(sent.missing() == told.missing(), "{name}: a gap came back differently");
                    if let (Some(sent), Some(told)) = (sent.value(), told.value()) {
                        let error = (told - sent) / metric.bound.max_error(sent);
                        bias += error;
                        errors.push(error.abs());
                    }
                }
            }
        }
        let bound = Rival {
            name: "the bound",
            value: 1.0,
        };
        errors.sort_unstable_by(f64::total_cmp);
        let p95 = errors.get(errors.len() * 95 / 100).copied().unwrap_or(0.0);
        report.push(case, ERROR, errors.last().copied().unwrap_or(0.0), bound);
        report.push(case, ERROR_P95, p95, bound);
        report.push(case, ERROR_BIAS, bias / errors.len().max(1) as f64, bound);
        self.extremes(told)
    }

    /// Each second's maximum of a key metric comes back bit for bit.
    fn extremes(&self, told: &[Block]) -> anyhow::Result<()> {
        let epoch = self.epoch();
        for (sent, told) in self.blocks.iter().zip(told) {
            let columns = sent.columns.iter().zip(&told.columns).zip(self.catalogue.metrics());
            for ((from, to), metric) in columns.filter(|(_, metric)| metric.key) {
                let name = &metric.name;
                ensure!(
                    maxima(epoch, sent, from) == maxima(epoch, told, to),
                    "{name}: a maximum came back differently"
                );
            }
        }
        Ok(())
    }
}

/// The largest reading of each second; missing ones are none.
fn maxima(epoch: u64, block: &Block, column: &[Reading]) -> BTreeMap<i64, f64> {
    let mut maxima = BTreeMap::new();
    for (time_ms, reading) in block.times_ms.iter().zip(column) {
        if let Some(value) = reading.value() {
            let most = maxima.entry(end_of_span(epoch, *time_ms, 1_000)).or_insert(value);
            *most = most.max(value);
        }
    }
    maxima
}

/// Blocks of the rows of each `length_ms`, counted from the first.
pub(crate) fn cut(samples: &Block, catalogue: &Catalogue, length_ms: i64) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let epoch = epoch_of(samples);
    let mut period = None;
    for (at, (&time_ms, &gap_us)) in samples.times_ms.iter().zip(&samples.gaps_us).enumerate() {
        if period.replace(end_of_span(epoch, time_ms, length_ms)) != Some(end_of_span(epoch, time_ms, length_ms)) {
            blocks.push(Block::new(catalogue));
        }
        if let (Some(block), Some(sample)) = (blocks.last_mut(), samples.sample(at)) {
            block.push_rated(sample.time_ms, gap_us, &sample.readings);
        }
    }
    blocks
}

/// An epoch that begins with the first sample: microseconds of the unix clock.
fn epoch_of(samples: &Block) -> u64 {
    samples.times_ms.first().map_or(0, |ms| ms.unsigned_abs() * 1_000)
}

fn encode(encoder: &mut Encoder, blocks: &[Block]) -> anyhow::Result<Vec<Vec<u8>>> {
    let epoch = blocks.first().map_or(0, epoch_of);
    let frames = (0..).zip(blocks);
    frames
        .map(|(sequence, block)| bytes(encoder, (epoch, sequence), block))
        .collect()
}

fn bytes(encoder: &mut Encoder, (epoch, sequence): (u64, u64), block: &Block) -> anyhow::Result<Vec<u8>> {
    Ok(encode_frame(&encoder.frame(epoch, sequence, block)?))
}

/// Fills `block` with what is in `from`, where its memory is.
fn refill(block: &mut Block, from: &Block) {
    block.times_ms.clone_from(&from.times_ms);
    block.gaps_us.clone_from(&from.gaps_us);
    block.columns.clone_from(&from.columns);
}

fn decode(decoder: &mut Decoder, bytes: &[u8], block: &mut Block) -> anyhow::Result<()> {
    let frame = decode_frame(bytes)?;
    Ok(decoder.read(&frame, block)?)
}

#[cfg(test)]
mod tests {
    use shadow::Metric;

    use super::*;

    #[test]
    fn frames_end_by_time_and_come_back() {
        let catalogue = Catalogue::new(vec![Metric::share("a")]);
        let mut samples = Block::new(&catalogue);
        for time_ms in [5, 600, 999, 1_005, 9_000] {
            samples.push(time_ms, &[Reading::new(0.5)]);
        }
        let blocks = cut(&samples, &catalogue, 1_000);
        let times: Vec<_> = blocks.iter().map(|block| block.times_ms.clone()).collect();
        assert_eq!(times, [vec![5, 600], vec![999, 1_005], vec![9_000]]);
        let recording = Recording { catalogue, samples };
        let case = Case::new(&recording, Encoder::new, 1).unwrap();
        assert_eq!(case.told().unwrap(), blocks);
    }
}
