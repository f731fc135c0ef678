//! The whole of it: against figures of the reference, without a look ahead, over a restart.

use super::*;

/// Hosts of a made-up fleet.
const HOSTS: [&str; 3] = ["a", "b", "c"];
const INTERVALS: usize = 700;

/// Numbers between 0 and 1 that every language makes alike.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = (self.0 * 1_103_515_245 + 12_345) % (1 << 31);
        self.0 as f64 / (1_u64 << 31) as f64
    }
}

/// Levels that wander, with forecasts that know them: by interval, then by host.
fn fleet(samples: usize) -> Vec<[(Needs, Vec<f64>); 3]> {
    let (mut numbers, mut levels) = (Numbers(12_345), [0.2_f64, 0.3, 0.4]);
    let mut interval = || {
        levels.each_mut().map(|level| {
            *level = (*level + 0.1 * (numbers.next() - 0.5)).clamp(0.05, 0.8);
            let level = *level;
            let spread = 0.02 + 0.2 * numbers.next();
            let peak = |hold: usize, rank: usize| level + spread * (rank as f64 + 1.0) * (hold as f64 + 1.0) / 12.0;
            let needs = Needs {
                peaks: std::array::from_fn(|hold| std::array::from_fn(|rank| peak(hold, rank))),
                last: level * (0.8 + 0.4 * numbers.next()),
            };
            let used = (0..samples).map(|_| level + spread * (numbers.next() + numbers.next() - 1.0));
            (needs, used.collect())
        })
    };
    (0..INTERVALS).map(|_| interval()).collect()
}

/// Goes through `past` and gives the limits by interval and host.
fn run(fleet: &mut Fleet, past: &[[(Needs, Vec<f64>); 3]], first: usize) -> Vec<[f64; 3]> {
    let each = past.iter().enumerate().map(|(at, hosts)| {
        let at = (first + at) as i64;
        let asked = HOSTS.iter().zip(hosts).map(|(host, (needs, _))| Asked {
            host,
            needs: *needs,
            lowest: 0.0,
            highest: 1.0,
            weight: 1.0,
        });
        let decided = fleet.decide(at, &asked.collect::<Vec<_>>());
        let used = HOSTS
            .iter()
            .zip(hosts)
            .map(|(host, (_, samples))| Used { host, samples });
        fleet.observe(at, &used.collect::<Vec<_>>());
        let mut limits = decided.into_iter().map(|decision| decision.unwrap().limit);
        std::array::from_fn(|_| limits.next().unwrap())
    });
    each.collect()
}

fn near(found: f64, expected: f64) {
    let off = (found - expected).abs() / expected.abs().max(1e-12);
    assert!(off < 1e-9, "{found} is not {expected}");
}

/// What the reference of the recipe makes of the same needs and samples, with our margins, half-life, weight of the fleet's
/// books and pace of the price of a violation, with the mean of all good rules where a change costs nothing, and with what own
/// violations add to the price for some hours: prices of each host, price of a change, sums over all rules and hosts of slack, violations, excess and changes, sums of the limits by host, the
/// rules in use at the end, and sums of all rules' limits by host.
struct Expected {
    prices: [f64; 3],
    change: f64,
    sums: [f64; 4],
    limits: [f64; 3],
    rules: [usize; 3],
    ends: [f64; 3],
}

fn check(samples: usize, settings: Settings, expected: &Expected) {
    let mut fleet = Fleet::new(settings).unwrap();
    // The reference begins with the same price whatever the target.
    fleet.restore_prices(Prices {
        violation: 8.0,
        ..fleet.prices()
    });
    let limits = run(&mut fleet, &self::fleet(samples), 0);
    near(fleet.prices().change.max(1e-300), expected.change.max(1e-300));
    let (mut sums, mut ends) = ([0.0; 4], [0.0; 3]);
    for (at, host) in HOSTS.into_iter().enumerate() {
        let sum: f64 = limits.iter().map(|limits| limits[at]).sum();
        near(sum, expected.limits[at]);
        assert_eq!(
            fleet.standing(host).unwrap().chosen.rule.place(),
            expected.rules[at],
            "{host}"
        );
        let series = fleet.of(host);
        near(series.price, expected.prices[at]);
        near(series.books.weight, 338.831_540_327_068_6);
        for rule in Rule::all() {
            let book = series.books.book(rule);
            let of = [book.slack, book.violations, book.excess, book.changes];
            for (sum, value) in sums.iter_mut().zip(of) {
                *sum += value * series.books.weight;
            }
            ends[at] += series.books.limit(rule);
        }
        near(ends[at], expected.ends[at]);
    }
    for (sum, expected) in sums.into_iter().zip(expected.sums) {
        near(sum, expected);
    }
}

#[test]
fn books_prices_and_choices_are_those_of_the_reference() {
    let settings = |violations, changes_a_day, own, excess, reacts| Settings {
        violations,
        changes_a_day,
        own,
        excess,
        reacts,
    };
    check(
        5,
        settings(0.01, Some(40.0), 0.1, 8.0, true),
        &Expected {
            prices: [1.072_256_589_724_014_2, 1.116_016_211_283_543, 1.390_641_831_838_709_7],
            change: 0.241_828_045_812_792_16,
            sums: [
                88_482.494_359_200_33,
                3_789.035_684_506_205,
                108.164_092_156_573_64,
                100_600.012_713_453_46,
            ],
            limits: [564.579_689_394_852_8, 613.339_685_460_600_4, 377.607_809_326_231_3],
            rules: [73, 21, 39],
            ends: [313.882_061_361_147_4, 310.501_071_238_693_5, 265.774_253_430_547_8],
        },
    );
    check(
        1,
        settings(0.05, None, 0.0, 0.0, false),
        &Expected {
            prices: [0.439_077_759_290_529_56; 3],
            change: 0.0,
            sums: [
                85_636.958_348_295_36,
                7_877.331_449_976_763,
                263.360_608_743_884_1,
                87_204.883_666_253_15,
            ],
            limits: [400.050_417_315_380_9, 387.639_870_136_539_6, 217.824_339_844_380_32],
            rules: [252, 252, 252],
            ends: [151.597_508_331_227_37, 332.153_779_907_166_27, 174.423_627_955_096_9],
        },
    );
    check(
        5,
        settings(0.02, Some(150.0), 1.0, 0.0, false),
        &Expected {
            prices: [
                0.594_188_625_714_690_3,
                0.725_743_626_315_324_4,
                0.725_743_626_315_323_2,
            ],
            change: 0.030_427_233_013_404_196,
            sums: [
                85_315.564_476_432_51,
                6_644.101_103_151_79,
                217.302_976_600_910_65,
                77_491.264_935_446_12,
            ],
            limits: [525.870_188_476_025_9, 573.909_699_334_783_3, 327.487_223_815_594_3],
            rules: [73, 91, 91],
            ends: [308.345_057_298_594_9, 304.265_479_958_737_05, 254.345_986_965_148_23],
        },
    );
}

#[test]
fn free_limits_are_the_mean_of_those_that_cost_nearly_as_little() {
    let past = fleet(5);
    let last = |changes_a_day| {
        let settings = Settings {
            changes_a_day,
            ..Settings::default()
        };
        let mut fleet = Fleet::new(settings).unwrap();
        run(&mut fleet, &past, 0);
        HOSTS.map(|host| *fleet.standing(host).unwrap())
    };
    for decision in last(None) {
        assert!(decision.averaged > 1);
        let text = decision.to_string();
        assert!(
            text.contains(&format!(
                "the mean of {} rules that cost nearly as little as ",
                decision.averaged
            )),
            "{text}"
        );
    }
    for decision in last(Some(40.0)) {
        assert_eq!((decision.averaged, decision.limit), (1, decision.chosen.limit));
    }
}

#[test]
fn what_comes_later_changes_nothing_that_was_decided() {
    let past = fleet(2);
    let mut other = past.clone();
    for (needs, samples) in other.iter_mut().skip(300).flatten() {
        needs.last /= 2.0;
        samples.fill(0.9);
    }
    let settings = Settings::default();
    let [one, two] = [past, other].map(|past| run(&mut Fleet::new(settings).unwrap(), &past, 0));
    assert_eq!(one[..300], two[..300]);
    assert_ne!(one[301..], two[301..]);
}

/// Goes on with `past` from interval `first`, hosts asked for from the last to the first.
fn backwards(fleet: &mut Fleet, past: &[[(Needs, Vec<f64>); 3]], first: usize) -> Vec<[f64; 3]> {
    let each = past.iter().enumerate().map(|(at, hosts)| {
        let at = (first + at) as i64;
        let asked = HOSTS.iter().zip(hosts).map(|(host, (needs, _))| Asked {
            host,
            needs: *needs,
            lowest: 0.0,
            highest: 1.0,
            weight: 1.0,
        });
        let decided = fleet.decide(at, &asked.rev().collect::<Vec<_>>());
        let used = HOSTS
            .iter()
            .zip(hosts)
            .map(|(host, (_, samples))| Used { host, samples });
        fleet.observe(at, &used.rev().collect::<Vec<_>>());
        [2, 1, 0].map(|at| decided[at].unwrap().limit)
    });
    each.collect()
}

#[test]
fn the_order_of_hosts_changes_nothing() {
    let past = fleet(5);
    let settings = Settings {
        reacts: true,
        ..Settings::default()
    };
    let (mut one, mut other) = (Fleet::new(settings).unwrap(), Fleet::new(settings).unwrap());
    assert_eq!(run(&mut one, &past, 0), backwards(&mut other, &past, 0));
    // Not by `assert_eq`: it would print 300 KB.
    assert!(one == other);
}

#[test]
fn after_a_restart_books_and_prices_go_on() {
    let past = fleet(5);
    let settings = Settings::default();
    let mut before = Fleet::new(settings).unwrap();
    run(&mut before, &past[..350], 0);
    let mut fleet = Fleet::new(settings).unwrap();
    fleet.restore_prices(before.prices());
    fleet.restore_prices(Prices {
        violation: f64::NAN,
        ..before.prices()
    });
    assert_eq!(fleet.prices(), before.prices());
    for host in before.hosts() {
        let bytes = before.stored(host).unwrap();
        assert_eq!(bytes.len(), 5_520);
        assert!(fleet.restore(host, &bytes));
        // Shorter, longer, of another version, and with any bit of it another.
        let mut broken = vec![
            bytes[1..].to_vec(),
            bytes[..5_000].to_vec(),
            [&bytes[..], &[0]].concat(),
            Vec::new(),
        ];
        broken.extend([0, 9, 17, 26, 2_000, 5_519].map(|at| {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            broken
        }));
        assert!(broken.iter().all(|broken| !fleet.restore(host, broken)));
        let (found, expected) = (fleet.of(host), before.of(host));
        assert_eq!(
            (found.price, found.lately, found.rule),
            (expected.price, expected.lately, expected.rule)
        );
        assert_eq!(found.books.weight, expected.books.weight);
        for rule in Rule::all() {
            let (found, expected) = (found.books.book(rule), expected.books.book(rule));
            for (found, expected) in [(found.slack, expected.slack), (found.changes, expected.changes)] {
                assert!((found - expected).abs() <= 1e-7 * expected, "{found} is not {expected}");
            }
        }
    }
    // Both have left out an interval, and from then on all they know is the same but for rounding.
    let [expected, found] = [&mut before, &mut fleet].map(|fleet| run(fleet, &past[351..], 351));
    let off = |(found, expected): (&[f64; 3], &[f64; 3])| found.iter().zip(expected).any(|(a, b)| (a - b).abs() > 1e-6);
    let off = found.iter().zip(&expected).filter(|both| off(*both)).count();
    assert!(100 * off <= found.len(), "{off} of {} limits are others", found.len());
}

#[test]
fn holes_and_broken_numbers_cost_themselves_alone() {
    let past = fleet(1);
    let mut fleet = Fleet::new(Settings::default()).unwrap();
    run(&mut fleet, &past[..100], 0);
    let before = *fleet.standing("a").unwrap();
    let broken = Asked {
        host: "a",
        needs: Needs {
            last: f64::NAN,
            ..past[0][0].0
        },
        lowest: 0.0,
        highest: 1.0,
        weight: 1.0,
    };
    assert_eq!(
        fleet.decide(100, &[broken, Asked { host: "new", ..broken }]),
        [Some(before), None]
    );
    let again = Asked {
        needs: past[0][0].0,
        ..broken
    };
    assert_eq!(fleet.decide(99, &[again]), [Some(before)], "an interval that has been");
    let weight = fleet.of("a").books.weight;
    fleet.observe(
        99,
        &[Used {
            host: "a",
            samples: &[0.1],
        }],
    );
    fleet.decide(150, &[again]);
    fleet.observe(
        150,
        &[
            Used {
                host: "a",
                samples: &[f64::NAN],
            },
            Used {
                host: "b",
                samples: &[],
            },
        ],
    );
    assert_eq!(fleet.of("a").books.weight, weight, "booked twice, or what is no number");
    fleet.observe(
        150,
        &[Used {
            host: "a",
            samples: &[0.1],
        }],
    );
    assert!(fleet.of("a").books.weight > weight);
    fleet.retain(|host| host != "a");
    assert!(fleet.standing("a").is_none() && fleet.len() == 3 && !fleet.is_empty());
    for settings in [
        Settings {
            violations: 0.0,
            ..Settings::default()
        },
        Settings {
            changes_a_day: Some(f64::NAN),
            ..Settings::default()
        },
        Settings {
            own: 1.1,
            ..Settings::default()
        },
        Settings {
            excess: -1.0,
            ..Settings::default()
        },
    ] {
        let fault = fleet.hold_to(settings).unwrap_err().to_string();
        assert!(fault.contains("must be"), "{fault}");
    }
    fleet
        .hold_to(Settings {
            changes_a_day: None,
            ..Settings::default()
        })
        .unwrap();
}

#[test]
fn a_dearer_violation_is_rarer_and_decisions_tell_why() {
    let mean_of = |weight: f64| {
        let mut fleet = Fleet::new(Settings {
            violations: 0.05,
            ..Settings::default()
        })
        .unwrap();
        let mut over = 0;
        for (at, hosts) in self::fleet(1).iter().enumerate() {
            let asked = |(place, host): (usize, &&'static str)| Asked {
                host,
                needs: hosts[place].0,
                lowest: 0.0,
                highest: 1.0,
                weight: if place == 0 { weight } else { 1.0 },
            };
            let decided = fleet.decide(at as i64, &HOSTS.iter().enumerate().map(asked).collect::<Vec<_>>());
            over += usize::from(hosts[0].1[0] > decided[0].unwrap().limit);
            let used = HOSTS
                .iter()
                .zip(hosts)
                .map(|(host, (_, samples))| Used { host, samples });
            fleet.observe(at as i64, &used.collect::<Vec<_>>());
        }
        (over, fleet.standing("a").unwrap().to_string())
    };
    let ((usual, words), (dear, _)) = (mean_of(1.0), mean_of(8.0));
    assert!(usual >= 10 && 3 * dear < 2 * usual, "{usual} {dear}");
    for part in [
        "peak over",
        "an interval",
        "of slack",
        "a violated interval is priced at",
        "the next best",
    ] {
        assert!(words.contains(part), "{part:?} is not in {words:?}");
    }
}
