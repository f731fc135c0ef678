use rand::SeedableRng;

use super::*;
use crate::{config::Config, marks::Marks, window::Row};

fn stretch(layout: &Layout, count: usize, end: usize) -> Stretch {
    let row = |row: usize| {
        [
            row as f32 / 1_000.0,
            if row.is_multiple_of(7) { f32::NAN } else { 0.5 },
            1.0,
            2.0,
            4.0,
            0.0,
            f32::NAN,
        ]
    };
    let rows: Vec<Row> = (0..count).map(row).collect();
    let mut marks = Marks::new(layout);
    marks.push(layout, &rows);
    Stretch {
        columns: Columns::new(layout, &rows, &marks),
        end,
        first_ms: 0,
        weights: Vec::new(),
    }
}

fn sample(layout: &Layout, stretches: Vec<Stretch>, most: usize) -> Dataset {
    let watch = |done: usize, of: usize| {
        assert!(done <= of);
        ControlFlow::Continue(())
    };
    Dataset::sample(layout, stretches, most, &mut StdRng::seed_from_u64(1), &watch).unwrap()
}

fn layout() -> Layout {
    Layout::new(&Config::for_step(60))
}

#[test]
fn no_truth_lies_beyond_the_end_and_the_number_is_bounded() {
    let layout = layout();
    let set = sample(&layout, vec![stretch(&layout, 500, 400)], 10_000);
    assert_eq!(set.len(), 400 - 15 - 100);
    assert!(set.places.iter().all(|place| place.row >= 100 && place.row + 15 < 400));
    let long = sample(&layout, vec![stretch(&layout, 8_000, 7_000)], 10_000);
    assert_eq!(long.len(), 7_000 - 15 - 1_440, "the first day is past alone");
    let two = vec![stretch(&layout, 500, 400), stretch(&layout, 3_000, 2_000)];
    let few = sample(&layout, two, 100);
    assert!((95..=102).contains(&few.len()), "{}", few.len());
    assert_eq!(sample(&layout, vec![stretch(&layout, 40, 30)], 100).len(), 0);
    assert_eq!(set.present(), [true, true, true, true, false]);
}

#[test]
fn a_stop_is_obeyed() {
    let layout = layout();
    let watch = |_: usize, _: usize| ControlFlow::Break(());
    let stretches = vec![stretch(&layout, 500, 400)];
    let stopped = Dataset::sample(&layout, stretches, 100, &mut StdRng::seed_from_u64(1), &watch);
    assert!(stopped.is_none());
}

#[test]
fn truths_are_changes_over_the_scale_and_gaps_do_not_count() {
    let layout = layout();
    let set = sample(&layout, vec![stretch(&layout, 320, 320)], 10_000);
    assert_eq!(set.places[4].row, 84);
    let levels = Levels::new(&layout, &set.stretches[0].columns, 60);
    let moment = describe(&layout, &set.stretches[0].columns, 84, &levels);
    let batch = set.batch(&[4]);
    assert_eq!(
        batch.statistics, moment.statistics,
        "levels are those of the hour's begin"
    );
    assert!(
        (batch.values.truths[1] - 0.010 / moment.targets[0].scale).abs() < 1e-3,
        "{:?}",
        batch.values.truths
    );
    // Row 84 is a gap of memory: no truth of it counts.
    assert_eq!(&batch.values.weights[3..6], &[0.0; 3]);
    let mean = set.values.weights.iter().step_by(15).sum::<f32>() / set.len() as f32;
    assert!((mean - 1.0).abs() < 0.01, "{mean}");
    let all = set
        .statistics
        .iter()
        .chain(&set.values.truths)
        .chain(&set.peaks.truths)
        .chain(batch.sequences.iter().flatten());
    assert!(all.into_iter().all(|value| value.is_finite()));
    let lengths: Vec<usize> = batch.sequences.iter().map(Vec::len).collect();
    // The last hour, the same time of six days and six hours, and six hours.
    assert_eq!(lengths, [15 * 4 * 7, 12 * 25 * 7, 12 * 6 * 2 * 7]);
}

#[test]
fn peaks_are_the_highest_of_their_time_and_end_with_what_is_learnt() {
    let layout = layout();
    let set = sample(&layout, vec![stretch(&layout, 400, 320)], 10_000);
    let columns = &set.stretches[0].columns;
    let of = |index: usize| set.batch(&[index]).peaks;
    let (first, last) = (of(0), of(set.len() - 1));
    let levels = Levels::new(&layout, columns, 60);
    let moment = describe(&layout, columns, 80, &levels);
    for (hold, truth) in [(5, first.truths[0]), (15, first.truths[1]), (60, first.truths[2])] {
        let rise = 0.001 * hold as f32 / moment.targets[0].scale;
        assert!((truth - rise).abs() < 1e-3, "{hold}: {truth} for {rise}");
    }
    // The last moment has 15 rows behind it, of which the last is not learnt from.
    assert_eq!(
        last.weights[..3].iter().map(|w| *w > 0.0).collect::<Vec<_>>(),
        [true, true, false]
    );
}

#[test]
fn rows_count_as_they_are_weighted() {
    let layout = layout();
    let mut weighted = stretch(&layout, 320, 320);
    weighted.weights = (0..320_u16).map(|row| if row < 200 { 1.0 } else { 3.0 }).collect();
    let set = sample(&layout, vec![weighted], 10_000);
    let plain = sample(&layout, vec![stretch(&layout, 320, 320)], 10_000);
    let of = |set: &Dataset, row: usize| set.batch(&[row - 80]).values.weights[0];
    let ratio = (of(&set, 250) / of(&plain, 250)) / (of(&set, 150) / of(&plain, 150));
    assert!((ratio - 3.0).abs() < 1e-3, "{ratio}");
}

#[test]
fn a_shuffle_shows_each_once_before_any_twice() {
    let (mut shuffle, mut random) = (Shuffle::new(10), StdRng::seed_from_u64(1));
    let mut seen: Vec<usize> = (0..5).flat_map(|_| shuffle.next(2, &mut random).to_vec()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    assert_eq!(Shuffle::new(3).next(8, &mut random).len(), 3);
}
