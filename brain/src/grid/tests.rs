use proptest::prelude::*;

use super::*;

const STEP: i64 = 10_000;

fn means(grid: &Grid<1>) -> Vec<f32> {
    grid.ring().rows().iter().map(|&[value]| value).collect()
}

#[test]
fn means_are_weighted_by_time() {
    let mut grid = Grid::new(STEP, 10);
    // Five seconds at rest in one sample, then five busy seconds in fifty.
    grid.add(105_000, 5_000, &[0.0], 10);
    for i in 1..=50 {
        grid.add(105_000 + 100 * i, 100, &[1.0], 10);
    }
    let [row] = grid.close(11).try_into().unwrap();
    assert_eq!(
        (row.begin_ms, row.coverage, row.mean, row.max),
        (100_000, 1.0, [0.5], [1.0])
    );
    assert!(grid.close(11).is_empty(), "a row that did not change is not told again");
}

#[test]
fn a_sample_is_shared_out_between_the_rows_that_it_spans() {
    let mut grid = Grid::new(STEP, 10);
    let added = grid.add(125_000, 20_000, &[3.0], 10);
    assert_eq!(added, Added::default());
    let rows = grid.close(13);
    let told: Vec<_> = rows.iter().map(|row| (row.begin_ms, row.coverage, row.mean)).collect();
    assert_eq!(
        told,
        [(100_000, 0.5, [3.0]), (110_000, 1.0, [3.0]), (120_000, 0.5, [3.0])]
    );
}

#[test]
fn late_samples_join_their_row() {
    let mut grid = Grid::new(STEP, 10);
    grid.add(105_000, 5_000, &[2.0], 10);
    grid.add(115_000, 5_000, &[7.0], 10);
    grid.close(12);
    let added = grid.add(110_000, 5_000, &[4.0], 12);
    assert!(added.late && !added.dropped);
    let [row] = grid.close(12).try_into().unwrap();
    assert_eq!((row.begin_ms, row.coverage, row.mean), (100_000, 1.0, [3.0]));
    assert_eq!(means(&grid), [3.0, 7.0]);
}

#[test]
fn what_is_too_old_or_from_another_time_is_dropped() {
    let mut grid = Grid::new(STEP, 10);
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
    let mut grid = Grid::new(STEP, 10);
    grid.add(100_000, STEP, &[1.0], 9);
    grid.close(10);
    grid.close(1_000_000_000);
    assert_eq!(grid.ring().rows().len(), 1);
    assert_eq!(grid.ring().end(), 1_000_000_000);
}

#[test]
fn missing_values_are_unknown_not_zero() {
    let mut grid = Grid::new(STEP, 10);
    grid.add(110_000, STEP, &[f64::NAN, 1.0, f64::INFINITY], 10);
    grid.add(120_000, STEP, &[f64::NAN; 3], 10);
    let [row, empty] = grid.close(12).try_into().unwrap();
    assert!(row.mean[0].is_nan() && row.mean[1] == 1.0 && row.mean[2].is_nan());
    assert_eq!((row.coverage, empty.coverage), (1.0, 0.0));
}

#[test]
fn restored_rows_go_on_as_if_nothing_had_happened() {
    let mut grid = Grid::new(STEP, 100);
    grid.restore(100_000, 0.5, [2.0]);
    assert!(grid.close(11).is_empty());
    grid.add(110_000, 5_000, &[4.0], 11);
    assert_eq!(grid.close(11)[0].mean, [3.0]);
}

proptest! {
    #[test]
    fn order_of_arrival_changes_nothing(
        mut samples in prop::collection::vec((0_i64..400, 1_i64..80, 0_u16..100), 1..60),
        seed in any::<prop::sample::Index>(),
        closes in prop::collection::vec(0_i64..50, 0..5),
    ) {
        let run = |samples: &[(i64, i64, u16)], closes: &[i64]| {
            let mut grid = Grid::new(STEP, 60);
            let mut open = 0;
            for (i, &(at, span, value)) in samples.iter().enumerate() {
                if let Some(&close) = closes.get(i) {
                    open = open.max(close);
                    grid.close(open);
                }
                grid.add(at * 1_000, span * 1_000, &[f64::from(value)], open);
            }
            grid.close(50);
            (0..50).map(|row| grid.ring().get(row).map_or(f32::NAN, |[v]| v)).collect::<Vec<_>>()
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
        let mut ring = Ring::<1>::new(32);
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
