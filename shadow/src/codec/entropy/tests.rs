//! Codec 2: what comes back, by itself and against other frames.

use proptest::{collection::vec, prelude::*};

use super::super::{Decoder, Encoder, tests::*};
use crate::{
    Block, Bound, Catalogue, Frame, Grain, Metric, Reading,
    frame::{MAX_SAMPLES, end_of_span},
    rate::per_second,
};

/// Its seconds begin 8 ms before those of the clock.
const EPOCH: u64 = 7;

/// A series that a metric may have.
fn any_metric() -> impl Strategy<Value = Metric> {
    let units = prop_oneof![Just(1.0), Just(0.01), Just(1e-9), Just(512.0), 1e-6..1e6_f64];
    let grains = prop_oneof![
        1 => Just(None),
        1 => units.clone().prop_map(|unit| Some(Grain::Gauge { unit })),
        3 => units.prop_map(|unit| Some(Grain::Rate { unit })),
    ];
    (any_bound(), grains, any::<bool>(), any::<bool>()).prop_map(|(bound, grain, key, minimum)| Metric {
        key,
        minimum,
        grain,
        ..Metric::new("", "1", bound)
    })
}

/// What a metric may tell in one row.
#[derive(Debug, Clone)]
enum Told {
    Again,
    Any(Reading),
    Count(u32),
    Missing,
}

fn any_told() -> impl Strategy<Value = Told> {
    prop_oneof![
        4 => Just(Told::Again),
        2 => any_reading().prop_map(Told::Any),
        4 => (0_u32..20).prop_map(Told::Count),
        2 => any::<u32>().prop_map(Told::Count),
        1 => Just(Told::Missing),
    ]
}

fn any_gap() -> impl Strategy<Value = (i64, u32)> {
    prop_oneof![
        6 => (99_900_u32..100_300).prop_map(|gap| (i64::from(gap) / 1_000, gap)),
        2 => (1_000_000_u32..1_000_900).prop_map(|gap| (i64::from(gap) / 1_000, gap)),
        1 => (1_i64..1 << 27, any::<u32>()),
        1 => (1_i64..1_000, Just(0)),
    ]
}

/// Frames of one epoch.
fn any_blocks() -> impl Strategy<Value = (Catalogue, Vec<Block>)> {
    let samples = prop_oneof![18 => 1_usize..30, 1 => 200_usize..300, 1 => Just(MAX_SAMPLES)];
    let frames = vec(samples, 1..14).prop_filter("time", |frames| frames.iter().sum::<usize>() < 5_000);
    (vec(any_metric(), 0..7), frames).prop_flat_map(|(metrics, frames)| {
        let rows: usize = frames.iter().sum();
        let told = vec(vec(any_told(), metrics.len()), rows);
        (Just(metrics), Just(frames), vec(any_gap(), rows), told, 0_i64..1 << 42).prop_map(
            |(metrics, frames, gaps, told, mut time_ms)| {
                let mut last = vec![Reading::STALE; metrics.len()];
                let mut rows = gaps.into_iter().zip(told);
                let metrics: Vec<_> = (0..)
                    .zip(metrics)
                    .map(|(i, metric): (u32, _)| Metric {
                        name: i.to_string(),
                        ..metric
                    })
                    .collect();
                let catalogue = Catalogue::new(metrics);
                let blocks = frames.into_iter().map(|samples| {
                    let mut block = Block::new(&catalogue);
                    for ((step_ms, gap_us), told) in rows.by_ref().take(samples) {
                        time_ms += step_ms;
                        for ((last, told), metric) in last.iter_mut().zip(told).zip(catalogue.metrics()) {
                            *last = match (told, metric.grain) {
                                (Told::Again, _) => *last,
                                (Told::Any(reading), _) => reading,
                                (Told::Count(count), Some(Grain::Rate { unit })) if gap_us > 0 => {
                                    Reading::new(per_second(count.into(), unit, gap_us))
                                }
                                (Told::Count(count), Some(Grain::Gauge { unit })) => {
                                    Reading::new(f64::from(count) * unit)
                                }
                                (Told::Count(count), _) => Reading::new(count.into()),
                                (Told::Missing, _) => Reading::ABSENT,
                            };
                        }
                        block.push_rated(time_ms, gap_us, &last);
                    }
                    block
                });
                let blocks = blocks.collect();
                (catalogue, blocks)
            },
        )
    })
}

/// Quick frames, and dense ones.
const KINDS: [fn(&Catalogue) -> Encoder; 2] = [Encoder::new, Encoder::dense];

fn encode_all(mut encoder: Encoder, blocks: &[Block]) -> Vec<Frame> {
    // Events take sequences too.
    let frames = (0..)
        .step_by(3)
        .zip(blocks)
        .map(|(sequence, block)| encoder.frame(EPOCH, sequence, block).unwrap());
    frames.collect()
}

fn decode_all(catalogue: &Catalogue, frames: &[Frame]) -> Vec<Block> {
    let mut decoder = Decoder::new(catalogue);
    let blocks = frames.iter().map(|frame| {
        let mut block = Block::default();
        decoder.read(frame, &mut block).unwrap();
        block
    });
    blocks.collect()
}

/// The extremes of each second, bit for bit.
fn extremes(block: &Block, column: usize, pick: fn(f64, f64) -> f64) -> Vec<(i64, u64)> {
    let mut found: Vec<(i64, f64)> = Vec::new();
    for (time_ms, reading) in block.times_ms.iter().zip(&block.columns[column]) {
        let Some(value) = reading.value() else { continue };
        let second = end_of_span(EPOCH, *time_ms, 1_000);
        match found.last_mut() {
            Some((last, best)) if *last == second => *best = pick(*best, value),
            _ => found.push((second, value)),
        }
    }
    found
        .into_iter()
        .map(|(second, value)| (second, (value + 0.0).to_bits()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn frames_come_back_within_their_bounds((catalogue, blocks) in any_blocks()) {
        for encoder in KINDS {
            let frames = encode_all(encoder(&catalogue), &blocks);
            let told = decode_all(&catalogue, &frames);
            for (sent, told) in blocks.iter().zip(&told) {
                assert_within_bounds(&catalogue, sent, told);
                prop_assert_eq!(&sent.gaps_us, &told.gaps_us);
                for (column, metric) in catalogue.metrics().iter().enumerate() {
                    if metric.key {
                        prop_assert_eq!(extremes(sent, column, f64::max), extremes(told, column, f64::max));
                    }
                    if metric.minimum {
                        prop_assert_eq!(extremes(sent, column, f64::min), extremes(told, column, f64::min));
                    }
                }
            }
            // What was told can be told again. Seldom a row that was clamped to an extreme then lies on another level.
            for (told, again) in told.iter().zip(&decode_all(&catalogue, &encode_all(encoder(&catalogue), &told))) {
                assert_within_bounds(&catalogue, told, again);
            }
        }
    }

    #[test]
    fn damaged_frames_never_panic(
        (catalogue, blocks) in any_blocks(),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        samples in prop_oneof![Just(None), (0_u32..5_000).prop_map(Some)],
        encoder in prop::sample::select(&KINDS[..]),
    ) {
        let mut frames = encode_all(encoder(&catalogue), &blocks);
        for frame in &mut frames {
            let mut body = frame.body.to_vec();
            let at = at.index(body.len());
            body[at] ^= 1_u8 << bit;
            frame.body = body.into();
            frame.samples = samples.unwrap_or(frame.samples);
        }
        let (mut decoder, mut block) = (Decoder::new(&catalogue), Block::default());
        for frame in &frames {
            if decoder.read(frame, &mut block).is_ok() {
                prop_assert_eq!(block.len(), frame.samples as usize);
                prop_assert!(block.times_ms.windows(2).all(|pair| pair[0] < pair[1]));
            }
        }
    }
}

/// From no metric to the most that a catalogue holds, and from one sample to the most that a frame does.
#[test]
fn frames_of_any_size_come_back_within_their_bounds() {
    for (metrics, samples) in [
        (0, 1),
        (0, MAX_SAMPLES),
        (1, MAX_SAMPLES),
        (63, MAX_SAMPLES),
        (10_000, 1),
        (10_000, 26),
    ] {
        let metric = |n: usize| match n % 3 {
            0 => Metric::share(format!("m{n}")).key(),
            1 => Metric::rate(format!("m{n}"), "1/s", 1.0),
            _ => Metric::new(format!("m{n}"), "1", Bound::Absolute { step: 1.0 }),
        };
        let catalogue = Catalogue::new((0..metrics).map(metric).collect());
        let mut block = Block::new(&catalogue);
        let mut dice = 1_u64;
        for row in 0..samples {
            let readings: Vec<Reading> = (0..metrics)
                .map(|_| {
                    dice = dice
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    Reading::new((dice >> 40) as f64 / 1e3)
                })
                .collect();
            block.push(100 * row as i64, &readings);
        }
        for encoder in KINDS {
            let frames = encode_all(encoder(&catalogue), &[block.clone()]);
            let [told] = decode_all(&catalogue, &frames).try_into().unwrap();
            assert_within_bounds(&catalogue, &block, &told);
        }
    }
}
