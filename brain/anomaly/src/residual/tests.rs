//! Synthetic series: noise, steps, spikes, gaps and nonsense.

use shadow::{Forecast, Quantiles, Resource, Rung, Shares, UnixMs};

use super::{Anomaly, Config, Detector, Observation, Phase};

const STEP_MS: i64 = 60_000;
const WEEK: i64 = 7 * 24 * 60;

/// Normal noise from a seed: the same on every machine.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        // splitmix64, Steele et al. 2014.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn laplace(&mut self) -> f64 {
        let u = self.uniform() - 0.5;
        -u.signum() * (1.0 - 2.0 * u.abs()).ln()
    }
}

/// A forecast of normal noise of `spread` around 0.5.
fn forecast(spread: f64) -> Forecast {
    Forecast {
        resource: Resource::Cpu,
        made_ms: 0,
        horizon_s: 300,
        quantiles: Quantiles {
            p50: 0.5,
            p90: 0.5 + 1.28 * spread,
            p95: 0.5 + 1.64 * spread,
            p99: 0.5 + 2.33 * spread,
        },
        rung: Rung::Ewma,
        shares: Shares::default(),
        skill: None,
        coverage: None,
    }
}

fn feed(detector: &mut Detector, time_ms: UnixMs, value: f64) -> Option<Anomaly> {
    detector.observe(&Observation {
        time_ms,
        value,
        forecast: &forecast(0.05),
        scale: 0.05,
    })
}

/// A detector that has seen `minutes` of noise.
fn trained(minutes: i64, seed: u64) -> Detector {
    let mut detector = Detector::new(Config::default());
    let mut noise = Noise(seed);
    for minute in 0..minutes {
        feed(&mut detector, minute * STEP_MS, 0.5 + 0.05 * noise.normal());
    }
    detector
}

fn alarms(detector: &mut Detector, minutes: i64, mut value: impl FnMut() -> f64) -> u32 {
    let told = (0..minutes).filter_map(|minute| feed(detector, minute * STEP_MS, value()));
    told.fold(0, |sum, anomaly| sum + u32::from(anomaly.phase.is_alarm()))
}

#[test]
fn noise_alarms_about_as_often_as_chosen() {
    let check = |a_week: f64, draw: fn(&mut Noise) -> f64| {
        let config = Config {
            false_alarms_per_week: a_week,
            ..Config::default()
        };
        let (series, weeks) = (15, 3);
        let total: u32 = (0..series)
            .map(|seed| {
                let mut noise = Noise(1000 + seed);
                alarms(&mut Detector::new(config.clone()), weeks * WEEK, || {
                    0.5 + 0.05 * draw(&mut noise)
                })
            })
            .sum();
        let ratio = f64::from(total) / (series as f64 * weeks as f64) / a_week;
        assert!(
            (0.3..2.0).contains(&ratio),
            "{total} alarms, {ratio:.2} times as many as chosen"
        );
    };
    check(3.0, Noise::normal);
    check(3.0, Noise::laplace);
    check(1.0, Noise::normal);
}

#[test]
fn cold_detectors_never_alarm() {
    let mut detector = Detector::new(Config::default());
    for minute in 0..119 {
        let value = if minute % 10 == 7 { 50.0 } else { 0.5 };
        assert_eq!(feed(&mut detector, minute * STEP_MS, value), None);
    }
}

#[test]
fn a_step_is_one_incident_with_evidence_and_an_end() {
    for sign in [1.0, -1.0] {
        let mut detector = trained(WEEK, 7);
        let begin = WEEK * STEP_MS;
        let told: Vec<Anomaly> = (0..60)
            .filter_map(|minute| {
                let value = if minute < 5 { 0.5 + sign * 0.45 } else { 0.5 };
                feed(&mut detector, begin + minute * STEP_MS, value)
            })
            .collect();
        let phases: Vec<Phase> = told
            .iter()
            .map(|anomaly| anomaly.phase)
            .filter(|p| *p != Phase::Continues)
            .collect();
        assert_eq!(phases, [Phase::Began, Phase::Ended], "{sign}");
        let last = told.last().unwrap();
        assert_eq!((last.since_ms, last.until_ms), (begin, begin + 4 * STEP_MS));
        assert!(last.score > Config::default().bar(), "{last:?}");
        let value = if sign > 0.0 { "cpu 0.95" } else { "cpu 0.05" };
        assert!(last.evidence.starts_with(value), "{}", last.evidence);
        assert!(
            last.evidence.contains("expected 0.50 (p99 0.62) 5 min before; 1 in "),
            "{}",
            last.evidence
        );
    }
}

#[test]
fn what_becomes_rarer_escalates_once_for_each_tenfold() {
    let mut detector = trained(WEEK, 11);
    let alarms: Vec<f64> = (0..40)
        .filter_map(|minute| {
            let value = 0.5 + 0.05 * (4.0 + 0.3 * minute as f64);
            feed(&mut detector, (WEEK + minute) * STEP_MS, value)
        })
        .filter(|anomaly| anomaly.phase.is_alarm())
        .map(|anomaly| anomaly.score)
        .collect();
    assert!(alarms.len() > 2, "{alarms:?}");
    assert!(alarms.windows(2).all(|pair| pair[1] >= pair[0] + 1.0), "{alarms:?}");
}

#[test]
fn a_single_spike_alarms_and_the_same_again_still_does() {
    let mut detector = trained(WEEK, 13);
    let mut noise = Noise(17);
    let mut count = 0;
    for minute in 0..2000 {
        let spike = if minute % 400 == 100 { 0.5 } else { 0.0 };
        let told = feed(
            &mut detector,
            (WEEK + minute) * STEP_MS,
            0.5 + spike + 0.05 * noise.normal(),
        );
        count += u32::from(told.is_some_and(|anomaly| anomaly.phase == Phase::Began));
    }
    assert!((5..=6).contains(&count), "{count}");
}

#[test]
fn nonsense_is_harmless_and_time_alone_ends_an_incident() {
    let mut detector = trained(WEEK, 19);
    let begin = WEEK * STEP_MS;
    let first = feed(&mut detector, begin, 0.99).unwrap();
    assert_eq!(first.phase, Phase::Began);
    let before = (detector.above.clone(), detector.below.clone());
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(feed(&mut detector, begin + 1, value).unwrap().phase, Phase::Continues);
    }
    let mut broken = forecast(0.05);
    broken.quantiles.p99 = f64::NAN;
    let mut observe = |forecast: &Forecast, scale: f64, time_ms: i64| {
        detector.observe(&Observation {
            time_ms,
            value: 0.99,
            forecast,
            scale,
        })
    };
    observe(&broken, 0.05, begin + 2);
    observe(&forecast(0.05), f64::NAN, begin + 3);
    assert_eq!(observe(&broken, 0.05, begin + 899_999).unwrap().phase, Phase::Continues);
    assert_eq!(observe(&broken, 0.05, begin + 900_000).unwrap().phase, Phase::Ended);
    assert_eq!(observe(&broken, 0.05, begin + 900_001), None);
    assert_eq!(before, (detector.above, detector.below));
}

#[test]
fn what_stays_within_its_forecast_is_no_incident_however_rare() {
    let mut detector = Detector::new(Config::default());
    let mut observe = |minute: i64, value: f64| {
        detector.observe(&Observation {
            time_ms: minute * STEP_MS,
            value,
            forecast: &forecast(0.0),
            scale: 0.0,
        })
    };
    // So calm a series that a fiftieth of the host is its forecast's width.
    let mut noise = Noise(29);
    for minute in 0..WEEK {
        assert_eq!(observe(minute, 0.5 + 0.0001 * noise.normal()), None);
    }
    assert_eq!(observe(WEEK, 0.519), None);
    assert!(observe(WEEK + 1, 0.6).is_some());
}

#[test]
fn a_stored_detector_goes_on() {
    let mut detector = trained(WEEK / 7, 23);
    let text = serde_json::to_string(&detector).unwrap();
    let mut stored: Detector = serde_json::from_str(&text).unwrap();
    let score = |detector: &mut Detector| feed(detector, WEEK * STEP_MS, 0.99).unwrap().score;
    assert!((score(&mut stored) - score(&mut detector)).abs() < 1e-9);
    assert!(text.len() < 4096, "{} bytes", text.len());
}
