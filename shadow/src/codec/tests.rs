//! The codec as a whole: what comes back, and what is refused.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{Bound, Metric, Missing, Reading};

fn catalogue(bounds: &[Bound]) -> Catalogue {
    let metrics = bounds.iter().enumerate();
    Catalogue::new(
        metrics
            .map(|(i, &bound)| Metric::new(format!("m{i}"), "1", bound))
            .collect(),
    )
}

fn samples(block: &Block) -> u32 {
    block.len().try_into().unwrap()
}

fn round_trip(catalogue: &Catalogue, block: &Block) -> Block {
    let body = encode(catalogue, block).unwrap();
    let start_ms = block.times_ms[0];
    decode(catalogue, MASK_VARINT_LZ4, samples(block), start_ms, &body).unwrap()
}

pub(super) fn assert_within_bounds(catalogue: &Catalogue, sent: &Block, told: &Block) {
    assert_eq!(sent.times_ms, told.times_ms);
    assert_eq!(told.columns.len(), catalogue.len());
    for (metric, (sent, told)) in catalogue.metrics().iter().zip(sent.columns.iter().zip(&told.columns)) {
        assert_eq!(sent.len(), told.len());
        for (sent, told) in sent.iter().zip(told) {
            assert_eq!(sent.missing(), told.missing(), "{metric:?}");
            if let (Some(sent), Some(told)) = (sent.value(), told.value()) {
                let most = metric.bound.max_error(sent);
                assert!(
                    (told - sent).abs() <= most,
                    "{sent} came back as {told} with {metric:?}"
                );
            }
        }
    }
}

pub(super) fn any_bound() -> impl Strategy<Value = Bound> {
    let steps = prop_oneof![
        Just(0.005),
        Just(1.0),
        1e-9..1e9_f64,
        Just(f64::MIN_POSITIVE),
        Just(f64::MAX)
    ];
    let ratios = prop_oneof![Just(0.01), 1e-6..0.99_f64, Just(1e-18), Just(0.999_999)];
    let floors = prop_oneof![Just(100.0), 1e-9..1e9_f64, Just(f64::MIN_POSITIVE), Just(f64::MAX)];
    prop_oneof![
        steps.prop_map(|step| Bound::Absolute { step }),
        (ratios, floors).prop_map(|(ratio, floor)| Bound::Relative { ratio, floor }),
    ]
}

pub(super) fn any_reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        4 => (-1e4..1e4_f64).prop_map(Reading::new),
        2 => (0_u32..4).prop_map(|whole| Reading::new(whole.into())),
        2 => any::<u64>().prop_map(|bits| Reading::new(f64::from_bits(bits))),
        1 => prop::sample::select(vec![
            Reading::ABSENT,
            Reading::FAILED,
            Reading::STALE,
            Reading::new(f64::MAX),
            Reading::new(f64::MIN),
            Reading::new(f64::MIN_POSITIVE / 8.0),
            Reading::new(-0.0),
            Reading::new(9_007_199_254_740_993.0),
        ]),
    ]
}

/// A column that often stays as it is.
fn any_column(samples: usize) -> impl Strategy<Value = Vec<Reading>> {
    vec((any_reading(), 0_u8..4), samples).prop_map(|rows| {
        let mut last = None;
        let rows = rows.into_iter().map(|(reading, dice)| match last {
            Some(last) if dice > 0 => last,
            _ => *last.insert(reading),
        });
        rows.collect()
    })
}

fn any_block() -> impl Strategy<Value = (Vec<Bound>, Block)> {
    let dimensions = (
        vec(any_bound(), 0..6),
        prop_oneof![9 => 1_usize..200, 1 => Just(MAX_SAMPLES)],
        0_i64..1 << 45,
    );
    dimensions.prop_flat_map(|(bounds, samples, start_ms)| {
        let gaps = prop_oneof![vec(99_i64..102, samples), vec(1_i64..1 << 27, samples)];
        let columns = vec(any_column(samples), bounds.len());
        (Just(bounds), gaps, columns).prop_map(move |(bounds, gaps, columns)| {
            let mut time_ms = start_ms;
            let times = gaps.into_iter().map(|gap| {
                time_ms += gap;
                time_ms
            });
            let times_ms = times.collect();
            let gaps_us = vec![0; samples];
            (
                bounds,
                Block {
                    times_ms,
                    gaps_us,
                    columns,
                },
            )
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn blocks_come_back_within_their_bounds((bounds, block) in any_block()) {
        let catalogue = catalogue(&bounds);
        let told = round_trip(&catalogue, &block);
        assert_within_bounds(&catalogue, &block, &told);
        // What was told once is told the same again: a relay adds no error.
        prop_assert_eq!(&told, &round_trip(&catalogue, &told));
    }

    #[test]
    fn garbage_is_refused_or_read_but_never_panics(
        bounds in vec(any_bound(), 0..40),
        samples in prop_oneof![1_u32..64, any::<u32>()],
        start_ms in any::<i64>(),
        packing in 0_u8..3,
        garbage in vec(any::<u8>(), 0..400),
    ) {
        let body: Vec<u8> = std::iter::once(packing).chain(garbage).collect();
        if let Ok(block) = decode(&catalogue(&bounds), MASK_VARINT_LZ4, samples, start_ms, &body) {
            prop_assert_eq!(block.len(), samples as usize);
            prop_assert!(block.times_ms.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn a_damaged_body_never_panics((bounds, block) in any_block(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let catalogue = catalogue(&bounds);
        let mut body = encode(&catalogue, &block).unwrap();
        let start_ms = block.times_ms[0];
        let cut = at.index(body.len());
        prop_assert!(decode(&catalogue, MASK_VARINT_LZ4, samples(&block), start_ms, &body[..cut]).is_err());
        body[cut] ^= 1_u8 << bit;
        if let Ok(told) = decode(&catalogue, MASK_VARINT_LZ4, samples(&block), start_ms, &body) {
            prop_assert_eq!(told.len(), block.len());
        }
    }
}

#[test]
fn an_encoder_and_a_decoder_carry_nothing_over() {
    let catalogue = catalogue(&[Bound::Absolute { step: 1.0 }]);
    let (mut encoder, mut decoder) = (Encoder::lz4(&catalogue), Decoder::new(&catalogue));
    let mut told = Block::default();
    for samples in [300, 1, 40] {
        let mut block = Block::new(&catalogue);
        (0..samples).for_each(|i| block.push(i64::from(i) * 1000, &[Reading::new(f64::from(i * i))]));
        let frame = encoder.frame(7, 9, &block).unwrap();
        assert_eq!((frame.epoch, frame.sequence, frame.samples as i32), (7, 9, samples));
        decoder.read(&frame, &mut told).unwrap();
        assert_eq!(told, block);
        assert_eq!(frame.decode(&catalogue), Ok(block));
    }
}

#[test]
fn blocks_that_no_frame_holds_are_refused() {
    let one = catalogue(&[Bound::Absolute { step: 1.0 }]);
    let check = |catalogue: &Catalogue, times_ms: Vec<i64>, columns: Vec<Vec<Reading>>, error: CodecError| {
        let gaps_us = vec![0; times_ms.len()];
        assert_eq!(
            encode(
                catalogue,
                &Block {
                    times_ms,
                    gaps_us,
                    columns
                }
            ),
            Err(error)
        );
    };
    let zero = Reading::new(0.0);
    check(&one, vec![], vec![vec![]], CodecError::Samples(0));
    check(&one, vec![0; 4097], vec![vec![zero; 4097]], CodecError::Samples(4097));
    check(&one, vec![5], vec![], CodecError::Columns { found: 0, expected: 1 });
    let error = CodecError::ColumnLength {
        column: 0,
        found: 1,
        expected: 2,
    };
    check(&one, vec![5, 6], vec![vec![zero]], error);
    check(&one, vec![5, 5], vec![vec![zero; 2]], CodecError::Times { row: 1 });
    check(&one, vec![5, 6, 3], vec![vec![zero; 3]], CodecError::Times { row: 2 });
    check(
        &one,
        vec![0, 1 << 41],
        vec![vec![zero; 2]],
        CodecError::Times { row: 1 },
    );
    let many = catalogue(&vec![Bound::Absolute { step: 1.0 }; 2_000]);
    let error = CodecError::Readings {
        samples: 4_000,
        metrics: 2_000,
        most: MAX_READINGS,
    };
    check(&many, (0..4_000).collect(), vec![vec![zero; 4_000]; 2_000], error);
}

/// It costs a reader more, so it holds fewer; the reader refuses what says more before it looks at a byte.
#[test]
fn frames_of_codec_2_hold_fewer_readings() {
    let many = catalogue(&vec![Bound::Absolute { step: 1.0 }; 2_000]);
    let block = |samples: usize| {
        let mut block = Block::new(&many);
        (0..samples).for_each(|i| block.push(i as i64, &vec![Reading::new(1.0); 2_000]));
        block
    };
    let error = |samples| CodecError::Readings {
        samples,
        metrics: 2_000,
        most: MAX_CODED_READINGS,
    };
    let mut encoder = Encoder::new(&many);
    assert_eq!(encoder.frame(7, 0, &block(132)).unwrap_err(), error(132));
    let mut frame = encoder.frame(7, 0, &block(131)).unwrap();
    assert_eq!(frame.decode(&many), Ok(block(131)));
    frame.samples = 4_000;
    assert_eq!(frame.decode(&many), Err(error(4_000)));
}

#[test]
fn bodies_that_nobody_wrote_are_refused() {
    let catalogue = catalogue(&[Bound::Relative {
        ratio: 0.01,
        floor: 1.0,
    }]);
    let check = |samples: u32, body: &[u8], error: CodecError| {
        assert_eq!(
            decode(&catalogue, MASK_VARINT_LZ4, samples, 0, body),
            Err(error),
            "{body:?}"
        );
    };
    assert_eq!(decode(&catalogue, 9, 1, 0, &[]), Err(CodecError::UnknownCodec(9)));
    check(0, &[], CodecError::Samples(0));
    check(4097, &[], CodecError::Samples(4097));
    check(1, &[], CodecError::Truncated("packing"));
    check(1, &[2], CodecError::Invalid("packing"));
    check(1, &[0], CodecError::Truncated("span"));
    check(1, &[0, 1], CodecError::Invalid("span"));
    check(1, &[0, 0], CodecError::Truncated("first-row marks"));
    check(1, &[0, 0, 0], CodecError::Truncated("column marks"));
    check(1, &[0, 0, 0, 0, 7], CodecError::TrailingBytes(1));
    check(1, &[0, 0, 4, 0], CodecError::Invalid("first-row marks"));
    check(2, &[0, 1, 0, 2], CodecError::Truncated("row marks"));
    check(1, &[0, 0, 2, 0], CodecError::Truncated("tokens"));
    check(1, &[0, 0, 2, 0, 0x90], CodecError::Invalid("marker"));
    check(1, &[0, 0, 1, 0, 0x10], CodecError::Invalid("time"));
    check(2, &[0, 0, 0, 0], CodecError::Times { row: 1 });
    check(1, &[0, 0, 1, 0, 2], CodecError::Times { row: 0 });
    check(1, &[0, 0, 2, 0, 0x11], CodecError::Invalid("end"));
    check(
        1,
        &[&[0, 0, 2, 0][..], &[0xff; 11]].concat(),
        CodecError::Invalid("token"),
    );
    check(
        1,
        &[&[0, 0, 2, 0][..], &[0xff; 9], &[0x0f]].concat(),
        CodecError::Invalid("level"),
    );
    check(
        1,
        &[0, 0, 2, 0, 0x88, 0x88, 0x88, 0x18],
        CodecError::Value { column: 0 },
    );
    let raw_nan = [&[0, 0, 2, 0, 0x30][..], &f64::NAN.to_le_bytes()].concat();
    check(1, &raw_nan, CodecError::Invalid("raw value"));
    // lz4 that claims a gigabyte, and lz4 that holds less than it claims.
    check(
        1,
        &[1, 0x80, 0x80, 0x80, 0x80, 4, 0],
        CodecError::Lz4 {
            claimed: 1 << 30,
            packed: 1,
        },
    );
    check(1, &[1, 4, 0x30, 0, 0, 0], CodecError::Lz4 { claimed: 4, packed: 4 });
}

#[test]
fn the_last_sample_lies_where_the_span_ends() {
    // Three samples of no metric, plain: the span, no column but time varies, its last row only, by one.
    let told = |span: u8, last: u8| {
        let frame = Frame {
            epoch: 0,
            sequence: 0,
            start_ms: 0,
            samples: 3,
            codec: MASK_VARINT_LZ4,
            reference: 0,
            body: vec![0, span, 0, 1, last, 2].into(),
        };
        let mut block = Block::default();
        Decoder::new(&Catalogue::default())
            .read(&frame, &mut block)
            .map(|()| block.times_ms)
    };
    assert_eq!(told(10, 0b10), Err(CodecError::Times { row: 2 }));
    assert_eq!(
        told(10, 0b01),
        Err(CodecError::Times { row: 2 }),
        "it stays off by one to the end"
    );
}

#[test]
fn whole_numbers_and_missing_readings_come_back_exactly() {
    let catalogue = catalogue(&[Bound::Absolute { step: 1.0 }]);
    let mut block = Block::new(&catalogue);
    let readings = [
        Reading::STALE,
        Reading::new(9_007_199_254_740_991.0),
        Reading::new(-9_007_199_254_740_991.0),
        Missing::Absent.into(),
        Reading::new(-9_007_199_254_740_991.0),
        Reading::new(1e300),
        Reading::FAILED,
        Reading::new(0.0),
    ];
    for (row, reading) in readings.into_iter().enumerate() {
        block.push(row as i64, &[reading]);
    }
    assert_eq!(round_trip(&catalogue, &block), block);
}
