//! Regular events that fail to happen: how many are seen by the states of a series alone, and how many by its hours too.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::pedantic,
    clippy::print_stdout,
    reason = "a test that meets what it does not expect is to fail there and then"
)]

use anomaly::SeriesDetector;

const SERIES: usize = 40;
/// Rows of five minutes.
const DAY: usize = 288;
const DAYS: usize = 35;
/// From this day on events fail to happen, so often.
const FROM_DAY: usize = 14;
const LEFT_OUT: f64 = 0.06;
/// Rows after an event in which its alarm counts as its own.
const AFTER: usize = 12;

/// Pseudo-random numbers from 0 to 1 (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next()
    }

    /// Nearly normal, of deviation 1.
    fn noise(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// An event of each day: its first row, how many it lasts, and how high it is in deviations of the noise.
#[derive(Clone, Copy)]
struct Event {
    row: usize,
    length: usize,
    height: f64,
}

/// A series, and the rows of those events that failed to happen.
struct Series {
    values: Vec<f64>,
    missing: Vec<(usize, usize)>,
}

impl Series {
    /// The `number`-th: every second has a daily wave, every fourth a level that wanders, every fifth weekends off.
    fn new(number: usize) -> Self {
        let mut chance = Chance(number as u64);
        let count = 1 + number % 3;
        let events: Vec<Event> = (0..count)
            .map(|at| Event {
                row: 30 + at * 85 + chance.between(0.0, 50.0) as usize,
                length: chance.between(6.0, 24.0) as usize,
                height: chance.between(8.0, 30.0),
            })
            .collect();
        let (has_wave, wanders, rests) = (number.is_multiple_of(2), number % 4 == 1, number.is_multiple_of(5));
        let (mut level, mut values, mut missing) = (40.0, Vec::new(), Vec::new());
        for day in 0..DAYS {
            let begin = values.len();
            for row in 0..DAY {
                level += if wanders { 0.1 * chance.noise() } else { 0.0 };
                let wave = (std::f64::consts::TAU * row as f64 / DAY as f64).sin();
                values.push(level + if has_wave { 5.0 * wave } else { 0.0 } + chance.noise());
            }
            if rests && day % 7 >= 5 {
                continue;
            }
            for event in &events {
                let rows = begin + event.row..begin + event.row + event.length;
                if day >= FROM_DAY && chance.next() < LEFT_OUT {
                    missing.push((rows.start, rows.end));
                    continue;
                }
                let height = event.height * chance.between(0.8, 1.2);
                values[rows].iter_mut().for_each(|value| *value += height);
            }
        }
        Self { values, missing }
    }

    /// How many of the missing events `detector` alarms at, and its other alarms while events may be missing.
    fn judge(&self, mut detector: SeriesDetector) -> (usize, usize) {
        let rows = self.values.iter().enumerate();
        let alarms: Vec<usize> = rows
            .filter(|(row, value)| detector.update_at(Some(300.0 * *row as f64), **value).is_alarm())
            .map(|(row, _)| row)
            .filter(|row| *row >= FROM_DAY * DAY)
            .collect();
        let of = |&(begin, end): &(usize, usize), row: usize| (begin..end + AFTER).contains(&row);
        let found = self
            .missing
            .iter()
            .filter(|event| alarms.iter().any(|row| of(event, *row)));
        let others = alarms
            .iter()
            .filter(|row| !self.missing.iter().any(|event| of(event, **row)));
        (found.count(), others.count())
    }
}

#[test]
fn hours_see_events_that_fail_to_happen_where_states_do_not() {
    let all: Vec<Series> = (0..SERIES).map(Series::new).collect();
    let missing: usize = all.iter().map(|series| series.missing.len()).sum();
    let weeks = (SERIES * (DAYS - FROM_DAY)) as f64 / 7.0;
    let judge = |name: &str, detector: fn() -> SeriesDetector| {
        let each = all.iter().map(|series| series.judge(detector()));
        let (found, others) = each.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        let others = others as f64 / weeks;
        println!("{name}: {found} of {missing} found, {others:.2} other alarms a series and week");
        (found, others)
    };
    let (by_states, _) = judge("states", SeriesDetector::default);
    let (by_hours, others) = judge("with --combine", SeriesDetector::with_season);
    assert!(10 * by_states < missing, "{by_states} of {missing}");
    assert!(2 * by_hours > missing, "{by_hours} of {missing}");
    assert!(others < 0.3, "{others}");
}
