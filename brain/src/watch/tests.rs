//! Hosts that work and rest in turns, and what is unusual on them.

use shadow::{Finding, Quantiles, Rung};

use super::*;

mod smd;

const MINUTE_MS: i64 = 60_000;
const BUDGET: Budget = Budget {
    a_week: 1.0,
    quiet_ms: 15 * MINUTE_MS,
};

fn host() -> Arc<str> {
    "web-1".into()
}

/// Noise of a minute, 0 to 1.
fn noise(minute: i64) -> f32 {
    let mixed = minute.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) as f32 / u64::MAX as f32
}

/// Busy and idle hours, with cpu and network together; no power is read.
fn usual(minute: i64) -> [f32; Channel::COUNT] {
    let busy = if minute % 120 < 60 { 1.0 } else { 0.0 };
    let noise = noise(minute);
    let cpu = 0.1 + 0.6 * busy + 0.05 * noise;
    let net = 1e6 * (1.0 + 40.0 * busy + noise);
    [cpu, 0.4, net, net / 2.0, 0.0, 2e6 * noise, f32::NAN]
}

/// A watch that has seen a host for so many minutes.
fn trained(minutes: i64) -> Watch {
    let mut watch = Watch::new(BUDGET);
    for minute in 0..minutes {
        step(&mut watch, minute, &usual(minute));
    }
    watch
}

fn step(watch: &mut Watch, minute: i64, means: &[f32; Channel::COUNT]) {
    watch.minute(&host(), minute * MINUTE_MS, means, Attention::Tell);
    watch.pass(minute * MINUTE_MS);
}

fn event(minute: i64, kind: &str, severity: Severity) -> Event {
    Event {
        epoch: 1,
        sequence: 0,
        time_ms: minute * MINUTE_MS,
        finding: Finding {
            source: "edac".into(),
            subject: "mc0".into(),
            kind: kind.into(),
            severity,
            text: "corrected error".into(),
            details: Vec::new(),
        },
    }
}

const WEEK: i64 = 10_080;

#[test]
fn a_usual_week_is_quiet_and_a_state_that_never_was_is_one_incident_with_its_cause() {
    let mut watch = trained(2 * WEEK);
    assert!(watch.take_alarms() <= 2, "at most one a week");
    drop(watch.take_changed());
    // Busy without a network, for twenty minutes.
    for minute in 2 * WEEK..2 * WEEK + 120 {
        let mut means = usual(minute);
        if (10..30).contains(&(minute % 120)) {
            (means[2], means[3]) = (1e6, 5e5);
        }
        step(&mut watch, minute, &means);
    }
    let shown = watch.shown();
    let newest = &shown[0];
    let begin = (2 * WEEK + 10) * MINUTE_MS;
    assert!((begin..begin + 3 * MINUTE_MS).contains(&newest.since_ms), "{newest:?}");
    assert!(!newest.goes_on && newest.severity == "warning", "{newest:?}");
    // Nearest is the host at rest, and for that its processor is too busy.
    assert!(newest.cause.contains("min ago: cpu 0.7"), "{}", newest.cause);
    assert!(!newest.cause.contains("mem"), "{}", newest.cause);
    let changed = watch.take_changed();
    assert_eq!(changed.len(), 1, "{changed:?}");
}

#[test]
fn readings_and_events_join_and_the_event_is_the_likely_cause() {
    let mut watch = Watch::new(BUDGET);
    watch.event(&host(), &event(0, "corrected_error", Severity::Warning), 0);
    assert!(watch.shown().is_empty(), "one corrected error is nothing by itself");
    watch.reading(&host(), Resource::Cpu, 5 * MINUTE_MS, (4.5, "cpu 0.93"));
    watch.reading(&host(), Resource::Power, 6 * MINUTE_MS, (4.1, "power 400 W"));
    let shown = watch.shown();
    assert_eq!((shown.len(), shown[0].signals.len()), (1, 3));
    assert_eq!(
        (shown[0].severity, &*shown[0].cause),
        ("critical", "edac mc0: corrected error")
    );
    assert_eq!(watch.take_alarms(), 1);
    watch.pass(21 * MINUTE_MS - 1);
    assert!(watch.shown()[0].goes_on);
    watch.pass(21 * MINUTE_MS);
    assert!(!watch.shown()[0].goes_on);
}

#[test]
fn events_alarm_by_severity_and_rate_and_agents_talk_of_themselves_does_not() {
    let mut watch = Watch::new(BUDGET);
    let mut own = event(0, "clock_jump", Severity::Critical);
    own.finding.source = AGENT.into();
    watch.event(&host(), &own, 0);
    watch.event(&host(), &event(0, "sel_cleared", Severity::Info), 0);
    assert!(watch.shown().is_empty());
    for minute in 1..6 {
        watch.event(
            &host(),
            &event(minute, "corrected_error", Severity::Warning),
            minute * MINUTE_MS,
        );
    }
    assert!(
        watch.shown()[0].cause.ends_with("(5 within an hour)"),
        "{:?}",
        watch.shown()
    );
    assert_eq!(watch.shown()[0].severity, "warning");
    // What was kept for hours is told as of then, and over at once.
    let mut late = Watch::new(BUDGET);
    late.event(
        &host(),
        &event(0, "uncorrected_error", Severity::Critical),
        300 * MINUTE_MS,
    );
    late.pass(300 * MINUTE_MS);
    assert_eq!((late.shown()[0].since_ms, late.shown()[0].goes_on), (0, false));
}

#[test]
fn forecasts_tell_before_it_happens() {
    let mut watch = Watch::new(BUDGET);
    let forecasts = |p50: f64| {
        [300, 900].map(|horizon_s| Forecast {
            resource: Resource::Cpu,
            made_ms: 0,
            horizon_s,
            quantiles: Quantiles::from_array([p50, p50 + 0.1, p50 + 0.12, p50 + 0.15]),
            rung: Rung::Ewma,
            shares: shadow::Shares::default(),
            skill: None,
            coverage: None,
        })
    };
    for minute in 0..WEEK {
        let p50 = 0.3 + 0.1 * f64::from(noise(minute / 30));
        watch.forecast(&host(), minute * MINUTE_MS, &forecasts(p50), Attention::Tell);
        watch.forecast(&host(), minute * MINUTE_MS, &[], Attention::Tell);
        watch.pass(minute * MINUTE_MS);
    }
    let before = watch.take_alarms();
    assert!(before <= 1, "{before}");
    for minute in WEEK..WEEK + 3 {
        watch.forecast(&host(), minute * MINUTE_MS, &forecasts(0.9), Attention::Tell);
    }
    let newest = &watch.shown()[0];
    assert_eq!(newest.severity, "info");
    assert!(
        newest
            .cause
            .starts_with("in 15 min a state is expected that never was; nearest "),
        "{}",
        newest.cause
    );
    assert!(newest.cause.contains("cpu 0."), "{}", newest.cause);
}

#[test]
fn what_is_gone_through_again_is_learnt_and_not_told() {
    let mut watch = Watch::new(BUDGET);
    for minute in 0..WEEK {
        let means = if minute == WEEK / 2 { [0.9; 7] } else { usual(minute) };
        watch.minute(&host(), minute * MINUTE_MS, &means, Attention::Learn);
    }
    assert!(watch.shown().is_empty() && watch.take_changed().is_empty());
}

#[test]
fn a_restart_goes_on_with_what_went_on_and_knows_who_took_notice() {
    let mut before = Watch::new(BUDGET);
    before.reading(&host(), Resource::Cpu, 0, (4.5, "cpu 0.93"));
    let by = |name: &str| Acknowledged {
        time_ms: 3,
        by: name.into(),
    };
    assert!(!before.acknowledge("web-1", 1, by("ann")));
    assert!(before.acknowledge("web-1", 0, by("ann")));
    let stored = before
        .take_changed()
        .into_iter()
        .map(|((host, _), (incident, goes_on))| (host, incident, goes_on));
    let mut after = Watch::new(BUDGET);
    stored.for_each(|incident| after.restore(incident));
    after.reading(&host(), Resource::Cpu, MINUTE_MS, (4.6, "cpu 0.94"));
    assert_eq!(after.take_alarms(), 0, "it was told");
    let shown = after.shown();
    assert_eq!((shown.len(), shown[0].acknowledged_by.as_deref()), (1, Some("ann")));
    after.pass(WEEK * MINUTE_MS);
    assert!(
        after.acknowledge("web-1", 0, by("bob")),
        "what is over can be acknowledged as well"
    );
    after.reading(&host(), Resource::Cpu, WEEK * MINUTE_MS, (4.6, "cpu 0.94"));
    assert_eq!(after.shown().len(), 2);
    after.forget(&host());
    assert!(after.shown().iter().all(|incident| !incident.goes_on));
}

#[test]
fn what_was_learnt_is_saved_in_turns_and_goes_on_after_a_restart() {
    let before = trained(2 * WEEK);
    let saved: Vec<_> = (0..SAVED_EVERY)
        .map(|minute| before.take_learnt((2 * WEEK - 1 - minute) * MINUTE_MS))
        .filter(|saved| !saved.is_empty())
        .collect();
    assert!(saved.len() <= 1, "only what has learnt until now");
    let mut watch = trained(2 * WEEK);
    let mut minute = 2 * WEEK;
    let body = loop {
        step(&mut watch, minute, &usual(minute));
        if let Some((saved_ms, body)) = watch.take_learnt(minute * MINUTE_MS).remove(&host()) {
            assert_eq!(saved_ms, minute * MINUTE_MS);
            break body;
        }
        minute += 1;
    };
    assert!(minute < 2 * WEEK + SAVED_EVERY, "it has its turn");
    let mut after = Watch::new(BUDGET);
    after.relearn(&host(), minute * MINUTE_MS, &body);
    after.relearn(&"other".into(), 0, b"of another version");
    // Half of what is gone through again is known already.
    for again in minute - 100..minute + 200 {
        let attention = if again <= minute {
            Attention::Learn
        } else {
            Attention::Tell
        };
        after.minute(&host(), again * MINUTE_MS, &usual(again), attention);
        if again > minute {
            step(&mut watch, again, &usual(again));
        }
    }
    let learnt = |watch: &Watch| watch.hosts[&host()].states.to_bytes();
    assert!(learnt(&after) == learnt(&watch));
    assert!(after.shown().is_empty(), "{:?}", after.shown());
}

#[test]
fn a_clock_that_was_set_back_stops_no_learning() {
    let mut watch = trained(WEEK);
    watch.rewind(0);
    let before = watch.hosts[&host()].states.to_bytes();
    step(&mut watch, 1, &usual(1));
    assert!(watch.hosts[&host()].states.to_bytes() != before);
}

#[test]
fn nothing_read_is_nothing_seen() {
    let mut watch = Watch::new(BUDGET);
    for minute in 0..WEEK {
        step(&mut watch, minute, &[f32::NAN; Channel::COUNT]);
    }
    assert!(watch.shown().is_empty());
}

#[test]
fn shown_incidents_are_bounded() {
    let mut watch = Watch::new(BUDGET);
    for of in 0..2 * MAX_SHOWN as i64 {
        watch.reading(&format!("web-{of}").into(), Resource::Cpu, of, (4.5, "cpu 0.93"));
    }
    assert_eq!(watch.shown().len(), MAX_SHOWN);
    assert!(watch.shown().is_sorted_by(|a, b| a.since_ms > b.since_ms));
}
