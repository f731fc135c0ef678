use proptest::prelude::*;

use super::*;

/// Three metrics of a host that works and rests in turns; the third was never read.
fn usual(row: usize) -> [f64; 3] {
    let noise = ((row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / f64::from(1 << 24);
    let busy = f64::from(u8::from(row % 120 < 60));
    [
        0.1 + 0.6 * busy + 0.05 * noise,
        1e6 * (1.0 + 40.0 * busy + noise),
        f64::NAN,
    ]
}

fn trained(rows: usize) -> HostDetector {
    let mut detector = HostDetector::new(&[0.02, 0.0, 1.0]);
    for row in 0..rows {
        detector.update(&usual(row));
    }
    detector
}

#[test]
fn a_state_that_no_metric_shows_by_itself_is_new() {
    let mut detector = trained(4_000);
    // As busy as ever, with as little traffic as ever: never together.
    let judged = (0..3)
        .map(|_| detector.update(&[0.72, 1.5e6, f64::NAN]))
        .last()
        .unwrap();
    assert!(judged.novelty > 0.3 && judged.rarity > 3.0, "{judged:?}");
    let apart = detector.apart(&judged);
    assert_eq!(apart.len(), 2, "{apart:?}");
    assert!(apart[0].spreads > 0.5 && apart[1].spreads < 0.1, "{apart:?}");
    assert_eq!(judged.rows_ago.map(|rows| rows < 130), Some(true));
}

#[test]
fn what_was_before_is_not_new() {
    let mut detector = trained(4_000);
    let rarest = (4_000..5_000)
        .map(|row| detector.update(&usual(row)).rarity)
        .fold(0.0, f64::max);
    assert!(rarest < 3.0, "{rarest}");
}

#[test]
fn what_is_small_is_no_spread() {
    let mut detector = HostDetector::new(&[0.02]);
    for row in 0..2_000 {
        detector.update(&[0.5 + 0.0001 * usual(row)[0]]);
    }
    let judged = (0..3).map(|_| detector.update(&[0.5002])).last().unwrap();
    assert!(judged.novelty < 0.03, "{judged:?}");
}

#[test]
fn a_metric_that_comes_later_is_no_novelty_by_itself() {
    let mut detector = trained(2_000);
    let mut row = usual(2_000);
    row[2] = 7.0;
    let judged = detector.update(&row);
    assert!(judged.novelty < 0.1, "{judged:?}");
    assert_eq!(
        detector.apart(&judged).len(),
        2,
        "the state before it is not known to have had one"
    );
}

#[test]
fn nothing_is_known_of_nothing() {
    let mut detector = HostDetector::new(&[0.1; 2]);
    for _ in 0..500 {
        let judged = detector.update(&[f64::NAN, f64::INFINITY]);
        assert_eq!((judged.novelty, judged.rarity), (0.0, 0.0));
        assert!(detector.apart(&judged).is_empty());
    }
    assert_eq!(HostDetector::new(&[]).update(&[]).novelty, 0.0);
}

#[test]
fn a_stored_detector_goes_on_as_it_was() {
    let mut detector = trained(4_000);
    let bytes = detector.to_bytes();
    assert!(bytes.len() < 20_000, "{}", bytes.len());
    let least = [0.02, 0.0, 1.0];
    let mut stored = HostDetector::from_bytes(&least, &bytes).unwrap();
    for row in 4_000..4_100 {
        let values = usual(2 * row);
        assert_eq!(stored.update(&values), detector.update(&values));
    }
    assert_eq!(HostDetector::from_bytes(&least[..2], &bytes), None, "other metrics");
    let long = [&*bytes, &[0]].concat();
    assert_eq!(HostDetector::from_bytes(&least, &long), None);
    assert!(
        (0..bytes.len())
            .step_by(7)
            .all(|end| HostDetector::from_bytes(&least, &bytes[..end]).is_none())
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever a database holds, what is read of it judges in numbers.
    #[test]
    fn any_bytes_are_read_or_refused(at in 0..3_000_usize, flip in 1..=255_u8) {
        let mut bytes = trained(200).to_bytes();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Some(mut detector) = HostDetector::from_bytes(&[0.02, 0.0, 1.0], &bytes) {
            for row in 0..100 {
                let judged = detector.update(&usual(row));
                prop_assert!(judged.novelty >= 0.0 && judged.rarity >= 0.0, "{judged:?}");
            }
        }
    }

    #[test]
    fn any_values_are_judged_in_numbers(rows in prop::collection::vec((prop::num::f64::ANY, -1.0..1.0_f64, prop::num::f64::NORMAL), 1..400)) {
        let mut detector = HostDetector::new(&[0.0, 0.02, 1.0]);
        for (a, b, c) in rows {
            let judged = detector.update(&[a, b, c]);
            prop_assert!((0.0..=f64::from(MOST)).contains(&judged.novelty), "{judged:?}");
            prop_assert!(judged.rarity.is_finite() && judged.rarity >= 0.0, "{judged:?}");
        }
    }
}
