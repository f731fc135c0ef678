use proptest::prelude::*;

use super::*;

const STEP: i64 = 10_000;

/// A grid that keeps so many rows, with all that is known of them.
fn grid<const N: usize>(rows: usize) -> Grid<N, 8> {
    let lengths = Lengths {
        means: rows,
        details: rows,
    };
    Grid::new(STEP, lengths)
}

fn means(grid: &Grid<1, 8>) -> Vec<f32> {
    grid.means().rows().iter().map(|&[value]| value).collect()
}

#[test]
fn means_are_weighted_by_time() {
    let mut grid = grid(10);
    // Five seconds at rest in one sample, then five busy seconds in fifty.
    grid.add(105_000, 5_000, &[0.0], 10);
    for i in 1..=50 {
        grid.add(105_000 + 100 * i, 100, &[1.0], 10);
    }
    let [row] = grid.close(11).try_into().unwrap();
    assert_eq!(
        (row.begin_ms, row.detail.coverage, row.mean, row.detail.max),
        (100_000, 1.0, [0.5], [1.0])
    );
    assert!(grid.close(11).is_empty(), "a row that did not change is not told again");
}

#[test]
fn a_sample_is_shared_out_between_the_rows_that_it_spans() {
    let mut grid = grid(10);
    let added = grid.add(125_000, 20_000, &[3.0], 10);
    assert_eq!(added, Added::default());
    let rows = grid.close(13);
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.begin_ms, row.detail.coverage, row.mean))
        .collect();
    assert_eq!(
        told,
        [(100_000, 0.5, [3.0]), (110_000, 1.0, [3.0]), (120_000, 0.5, [3.0])]
    );
}

#[test]
fn late_samples_join_their_row() {
    let mut grid = grid(10);
    grid.add(105_000, 5_000, &[2.0], 10);
    grid.add(115_000, 5_000, &[7.0], 10);
    grid.close(12);
    let added = grid.add(110_000, 5_000, &[4.0], 12);
    assert!(added.late && !added.dropped);
    let [row] = grid.close(12).try_into().unwrap();
    assert_eq!((row.begin_ms, row.detail.coverage, row.mean), (100_000, 1.0, [3.0]));
    assert_eq!(means(&grid), [3.0, 7.0]);
}

#[test]
fn what_is_too_old_or_from_another_time_is_dropped() {
    let mut grid = grid(10);
    grid.add(1_000_000, STEP, &[1.0], 100);
    grid.close(100);
    for time_ms in [800_000, i64::MIN, -1, 50_000_000_000, i64::MAX] {
        let added = grid.add(time_ms, STEP, &[9.0], 100);
        assert!(added.dropped, "{time_ms}");
    }
    assert_eq!(means(&grid), [1.0]);
    assert!(grid.close(100).is_empty());
}

#[test]
fn a_jump_ahead_forgets_instead_of_growing() {
    let mut grid = grid(10);
    grid.add(100_000, STEP, &[1.0], 9);
    grid.close(10);
    grid.close(1_000_000_000);
    assert_eq!(grid.means().rows().len(), 1);
    assert_eq!(grid.means().end(), 1_000_000_000);
}

#[test]
fn missing_values_are_unknown_not_zero() {
    let mut grid = grid(10);
    grid.add(110_000, STEP, &[f64::NAN, 1.0, f64::INFINITY], 10);
    grid.add(120_000, STEP, &[f64::NAN; 3], 10);
    let [row, empty] = grid.close(12).try_into().unwrap();
    assert!(row.mean[0].is_nan() && row.mean[1] == 1.0 && row.mean[2].is_nan());
    assert_eq!((row.detail.coverage, empty.detail.coverage), (1.0, 0.0));
}

#[test]
fn restored_rows_go_on_as_if_nothing_had_happened() {
    let mut grid = grid(100);
    grid.restore(100_000, 0.5, [2.0]);
    assert!(grid.close(11).is_empty());
    grid.add(110_000, 5_000, &[4.0], 11);
    assert_eq!(grid.close(11)[0].mean, [3.0]);
}

#[test]
fn a_row_tells_its_extremes_its_last_value_and_its_p95() {
    let mut grid = grid(10);
    // Nine seconds at 1 to 9, and half a second each of 40 and of 30 at the end.
    for second in 1..=9 {
        grid.add(100_000 + 1_000 * second, 1_000, &[second as f64], 10);
    }
    grid.add(109_500, 500, &[40.0], 10);
    grid.add(110_000, 500, &[30.0], 10);
    let [row] = grid.close(11).try_into().unwrap();
    let detail = row.detail;
    let told = [detail.max, detail.min, detail.last, detail.p95].map(|[value]| value);
    assert_eq!((row.mean, told), ([8.0], [40.0, 1.0, 30.0, 30.0]));
    assert_eq!(grid.details().get(10), Some(detail));
    // A sample that comes late is the last one only where it tells of the end.
    let mut late = self::grid(10);
    late.add(110_000, 1_000, &[5.0], 10);
    late.add(109_000, 1_000, &[7.0], 10);
    assert_eq!(late.close(11)[0].detail.last, [5.0]);
}

#[test]
fn what_was_closed_long_ago_still_takes_late_samples() {
    let mut grid = grid(1_000);
    for second in 1..=8 {
        grid.add(
            100_000 + 1_000 * second,
            1_000,
            &[if second == 3 { 9.0 } else { 1.0 }],
            10,
        );
    }
    grid.close(11);
    grid.close(200);
    assert!(grid.cells.is_empty());
    grid.add(110_000, 2_000, &[4.0], 200);
    let [row] = grid.close(200).try_into().unwrap();
    assert_eq!((row.mean, row.detail.coverage), ([2.4], 1.0));
    let detail = row.detail;
    let told = [detail.max, detail.min, detail.last, detail.p95].map(|[value]| value);
    assert_eq!(told, [9.0, 1.0, 4.0, 9.0]);
}

#[test]
fn a_flood_of_late_rows_makes_room_for_itself_and_all_is_told() {
    let mut grid = grid(1_000);
    for row in 100..900 {
        grid.add(10_000 * row + 10_000, STEP, &[row as f64], 900);
        assert!(grid.cells.len() <= 37, "30 that are remembered, and 7");
    }
    let told: Vec<_> = grid.close(900).iter().map(|row| row.begin_ms / STEP).collect();
    assert_eq!(told, (100..900).collect::<Vec<_>>());
    assert_eq!(grid.cells.len(), 37);
    assert_eq!(
        means(&grid)[..800],
        (100..900).map(|row| row as f32).collect::<Vec<_>>()
    );
}

/// Two agents of a host send again what they have kept, each from where it stands.
#[test]
fn rows_that_are_being_filled_are_not_the_ones_that_make_room() {
    let mut grid = grid(1_000);
    for row in 0..200 {
        // In turns: a row of one, two of the other.
        for second in 1..=10 {
            for at in [100 + row, 400 + 2 * row, 401 + 2 * row] {
                grid.add(10_000 * at + 1_000 * second, 1_000, &[1.0], 900);
            }
        }
    }
    let mut told = grid.close(900);
    told.sort_by_key(|row| row.begin_ms);
    assert_eq!(told.len(), 600, "each once, for none was let go of before it was whole");
    assert!(told.iter().all(|row| row.detail.coverage == 1.0));
}

#[test]
fn a_grid_of_any_age_tells_rows_that_it_does_not_keep() {
    let lengths = Lengths { means: 30, details: 30 };
    let mut grid = Grid::<1, 8>::of_any_age(STEP, lengths);
    for row in 0..100 {
        for at in [5_000 + row, 100 + row] {
            let added = grid.add(10_000 * (at + 1), STEP, &[at as f64], 6_000);
            assert!(!added.dropped);
        }
    }
    let told: std::collections::BTreeSet<_> = grid.close(6_000).iter().map(|row| row.begin_ms / STEP).collect();
    assert!(told.into_iter().eq((100..200).chain(5_000..5_100)));
}

#[test]
fn a_grid_is_forgotten_when_nothing_known_is_left() {
    let mut grid = grid(100);
    assert!(grid.is_forgotten());
    grid.add(110_000, STEP, &[1.0], 10);
    assert!(!grid.is_forgotten());
    grid.add(120_000, STEP, &[f64::NAN], 10);
    for (open, forgotten) in [(12, false), (110, false), (111, true)] {
        grid.close(open);
        assert_eq!(grid.is_forgotten(), forgotten, "{open}");
    }
}

proptest! {
    #[test]
    fn what_is_known_of_a_row_hangs_on_no_order(values in prop::collection::vec(0_u16..1_000, 100), seed in any::<u64>()) {
        use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
        let row = |order: &[usize]| {
            let mut grid = grid(10);
            for &at in order {
                grid.add(100_100 + 100 * at as i64, 100, &[f64::from(values[at])], 10);
            }
            grid.close(11)[0]
        };
        let mut order: Vec<usize> = (0..100).collect();
        let straight = row(&order);
        order.shuffle(&mut StdRng::seed_from_u64(seed));
        prop_assert_eq!(row(&order), straight);
    }

    #[test]
    fn order_of_arrival_changes_nothing(
        mut samples in prop::collection::vec((0_i64..400, 1_i64..80, 0_u16..100), 1..60),
        seed in any::<prop::sample::Index>(),
        closes in prop::collection::vec(0_i64..50, 0..5),
    ) {
        // Of a host one sample tells of each moment: of a row that is no longer collected only so much is known.
        let mut told_until = 0;
        samples.sort_unstable();
        samples.retain(|&(at, span, _)| {
            let fits = at - span >= told_until;
            told_until = if fits { at } else { told_until };
            fits
        });
        prop_assume!(!samples.is_empty());
        let run = |samples: &[(i64, i64, u16)], closes: &[i64]| {
            let mut grid = grid(60);
            let mut open = 0;
            for (i, &(at, span, value)) in samples.iter().enumerate() {
                if let Some(&close) = closes.get(i) {
                    open = open.max(close);
                    grid.close(open);
                }
                grid.add(at * 1_000, span * 1_000, &[f64::from(value)], open);
            }
            grid.close(50);
            (0..50).map(|row| grid.means().get(row).map_or(f32::NAN, |[v]| v)).collect::<Vec<_>>()
        };
        let forward = run(&samples, &[]);
        let at = seed.index(samples.len());
        samples.rotate_left(at);
        let turned = run(&samples, &closes);
        for (a, b) in forward.iter().zip(&turned) {
            prop_assert!((a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-4 * a.abs(), "{a} {b}");
        }
    }

    #[test]
    fn the_ring_is_a_window_of_all_rows(puts in prop::collection::vec((0_i64..300, 0_u8..100), 1..100)) {
        let mut ring = Ring::new(32, [f32::NAN]);
        let mut plain = std::collections::BTreeMap::new();
        let mut end = 0;
        for &(row, value) in &puts {
            if row >= end - 32 {
                plain.insert(row, f32::from(value));
                end = end.max(row + 1);
            }
            ring.put(row, [f32::from(value)]);
        }
        prop_assert_eq!(ring.end(), end);
        prop_assert!(ring.rows().len() <= 32);
        prop_assert_eq!(ring.range(ring.begin(), end).len(), ring.rows().len());
        for row in ring.begin()..end {
            let held = ring.get(row).unwrap()[0];
            match plain.get(&row) {
                Some(&value) => prop_assert_eq!(held, value),
                None => prop_assert!(held.is_nan()),
            }
        }
    }
}
