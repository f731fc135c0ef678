//! Restarts, and trainings that are waited for.

use super::*;
use crate::{testing::host_with_peaks, watch::Acknowledgement};

#[tokio::test]
async fn a_killed_brain_goes_on_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    let mut bench = Bench::new();
    bench.born(EPOCH);
    bench.live(605, |second| if second < 300 { 0.25 } else { 0.75 });
    let batch = bench.commit();
    store.write(&batch).await.unwrap();
    // Two frames more, which never become durable, and the row under way: then it is killed.
    let before = bench.cpu_series();
    bench.live(2, |_| 0.75);

    let mut again = Bench::with(Config::default(), bench.now_ms + 2_000);
    again.engine.restore(store.recover(EVERYTHING).await.unwrap(), 0);
    again.handle(Event::Bus(bus::Event::Connected));
    assert_eq!(again.watermark().map(|mark| mark.durable_below), Some(605));
    assert_eq!(again.cpu_series()[..before.len()], before);
    let host = &again.engine.snapshot().hosts[0];
    assert_eq!((host.name.as_str(), host.agent_version.as_str()), ("a", "0.1.0"));
    assert!(host.resources[0].forecasts.len() == 3, "forecasts are there at once");
    let web = &host.workloads[0].forecasts;
    assert!(
        web.len() == 3 && web[0].quantiles.p95 > 2.5,
        "of what is stored in minutes: {web:?}"
    );
    assert_eq!(
        again.engine.snapshot().commands.len(),
        bench.engine.snapshot().commands.len()
    );

    again.frame(EPOCH, 604, &[bench.now_ms - 2_000], 0.75);
    assert_eq!(again.engine.ingested(), 0, "what is durable is not taken twice");
    for (sequence, back_ms) in [(605, 1_000), (606, 0)] {
        again.frame(
            EPOCH,
            sequence,
            &[bench.now_ms - back_ms - 500, bench.now_ms - back_ms],
            0.75,
        );
    }
    again.sequence = 607;
    again.now_ms = bench.now_ms;
    again.live(20, |_| 0.75);
    bench.live(20, |_| 0.75);
    let (left, right) = (again.cpu_series(), bench.cpu_series());
    assert_eq!(left.len(), right.len());
    assert!(
        left.iter()
            .zip(&right)
            .all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 0.01),
        "{left:?}\n{right:?}"
    );
}

#[test]
fn of_births_that_are_history_nothing_is_expected() {
    let mut bench = Bench::new();
    let stream = crate::store::Stream {
        host: "a".into(),
        vantage: Vantage::Inband,
    };
    let durable = crate::ingest::RangeSet::from_ranges([0..4, 5..9]);
    let recovered = crate::store::Recovered {
        births: [0, 1, 2].map(|back| (stream.clone(), birth(EPOCH - 2 + back))).into(),
        watermarks: [((stream.clone(), EPOCH - 1), durable)].into(),
        ..Default::default()
    };
    bench.engine.restore(recovered, 0);
    bench.handle(Event::Bus(bus::Event::Connected));
    let told = bench
        .published
        .iter()
        .rfind(|told| told.topic.ends_with("/watermark"))
        .unwrap();
    let told = wire::decode_watermark(&told.payload).unwrap();
    let epochs: Vec<_> = told
        .epochs
        .iter()
        .map(|mark| (mark.epoch, mark.durable_below))
        .collect();
    assert_eq!(epochs, [(EPOCH - 1, 9), (EPOCH, 0)]);
}

#[tokio::test]
async fn an_incident_outlives_a_restart_with_who_took_notice() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    let log = folder.path().join("audit.jsonl");
    let audit = Audit::start(&log, trust::audit::Keep::default()).unwrap();
    let mut bench = Bench::told(Config::default(), START_MS, Some(audit));
    bench.born(EPOCH);
    bench.live(3, |_| 0.25);
    let mut event = crate::testing::event(EPOCH, 3, bench.now_ms);
    event.finding.severity = shadow::Severity::Critical;
    bench.message("foreshadow/main/a/bin/inband/event", wire::encode_event(&event));
    bench.sequence = 4;
    bench.live(1, |_| 0.25);
    let incident = bench.engine.snapshot().incidents[0].clone();
    assert_eq!(
        (&*incident.host, incident.severity, incident.goes_on),
        ("a", "critical", true)
    );
    assert!(incident.cause.contains(&event.finding.text), "{incident:?}");
    let mut acknowledge = |since_ms| {
        let (done, mut told) = oneshot::channel();
        bench.handle(Event::Notice(Notice::Taken(Acknowledgement {
            host: "a".into(),
            since_ms,
            by: "ann".into(),
            done,
        })));
        told.try_recv()
    };
    assert_eq!(acknowledge(incident.since_ms + 1), Ok(false));
    assert_eq!(acknowledge(incident.since_ms), Ok(true));
    bench.handle(Event::Notice(Notice::Refused {
        from: "10.0.0.7:5".into(),
        why: "from elsewhere".into(),
        suppressed: 3,
    }));
    store.write(&bench.commit()).await.unwrap();

    let mut again = Bench::with(Config::default(), bench.now_ms + 2_000);
    again.engine.restore(store.recover(EVERYTHING).await.unwrap(), 0);
    again.now_ms += 60_000;
    again.tick();
    let shown = again.engine.snapshot().incidents[0].clone();
    assert_eq!((shown.acknowledged_by.as_deref(), shown.goes_on), (Some("ann"), true));
    again.now_ms += 15 * 60_000;
    again.tick();
    assert!(!again.engine.snapshot().incidents[0].goes_on);
    let batch = again.commit();
    assert!(batch.incidents.values().all(|(_, goes_on)| !goes_on) && batch.incidents.len() == 1);

    // Who it was, of what, and who was not allowed to is kept for good.
    drop(bench);
    trust::audit::verify(&log).unwrap();
    let told = std::fs::read_to_string(&log).unwrap();
    let since = incident.since_ms;
    for (known, since_ms) in [(false, since + 1), (true, since)] {
        let approval = format!(
            r#""kind":"approval","what":"acknowledged","who":"ann","details":{{"host":"a","known":"{known}","since_ms":"{since_ms}"}}"#
        );
        assert_eq!(told.matches(&approval).count(), 1, "{approval}: {told}");
    }
    let refused =
        r#""kind":"refusal","what":"page","who":"10.0.0.7:5","details":{"reason":"from elsewhere","suppressed":"3"}"#;
    assert!(told.contains(refused), "{told}");
}

#[test]
fn a_flood_of_acknowledgements_does_not_fill_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    let audit = Audit::start(&log, trust::audit::Keep::default()).unwrap();
    let mut bench = Bench::told(Config::default(), START_MS, Some(audit));
    for _ in 0..10_000 {
        let (done, _told) = oneshot::channel();
        bench.handle(Event::Notice(Notice::Taken(Acknowledgement {
            host: "a".into(),
            since_ms: 7,
            by: "eve".into(),
            done,
        })));
    }
    drop(bench);
    let lines = trust::audit::verify(&log).unwrap().lines;
    assert!((100..110).contains(&lines), "{lines}");
}

/// Turns the switch; tells who has frozen the cell then.
fn turn(bench: &mut Bench, is_on: bool, by: &str) -> Option<crate::Freeze> {
    let (done, mut told) = oneshot::channel();
    bench.handle(Event::Freeze(FreezeSwitch {
        is_on,
        by: by.into(),
        reason: "release".into(),
        done,
    }));
    told.try_recv().unwrap()
}

#[tokio::test]
async fn a_frozen_cell_stays_frozen_over_a_restart_and_gets_no_commands() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    let mut bench = Bench::new();
    assert_eq!(turn(&mut bench, true, "ann").unwrap().by, "ann");
    assert_eq!(turn(&mut bench, true, "bob").unwrap().by, "ann", "the first stands");
    assert_eq!(bench.engine.snapshot().mode, "frozen");
    bench.born(EPOCH);
    bench.live(120, |_| 0.5);
    let commands = |bench: &Bench| bench.published.iter().filter(|p| p.topic.ends_with("/command")).count();
    assert_eq!(commands(&bench), 0);
    assert!(!bench.engine.snapshot().pool.is_empty(), "what would be is shown");
    let batch = bench.commit();
    assert!(
        batch.plans.iter().all(|plan| plan.mode == "frozen" && plan.raised == 0),
        "{:?}",
        batch.plans
    );
    assert!(!batch.plans.is_empty());
    store.write(&batch).await.unwrap();

    let mut again = Bench::with(Config::default(), bench.now_ms + 2_000);
    again.engine.restore(store.recover(EVERYTHING).await.unwrap(), 0);
    again.handle(Event::Bus(bus::Event::Connected));
    assert_eq!(
        again.engine.snapshot().freeze.as_ref().map(|freeze| freeze.by.as_str()),
        Some("ann")
    );
    again.sequence = bench.sequence;
    again.live(120, |_| 0.5);
    assert_eq!(commands(&again), 0);
    assert_eq!(turn(&mut again, false, "bob"), None);
    again.live(120, |_| 0.5);
    assert!(commands(&again) > 0);
    assert_eq!(again.engine.snapshot().mode, "recommend-only");
    // Thawed is stored too; the configuration may start a brain frozen.
    store.write(&again.commit()).await.unwrap();
    let mut config = Config::default();
    let mut last = Bench::with(config.clone(), again.now_ms + 2_000);
    last.engine.restore(store.recover(EVERYTHING).await.unwrap(), 0);
    assert_eq!(last.engine.snapshot().freeze, None);
    config.allocate.frozen = true;
    let mut last = Bench::with(config, again.now_ms + 2_000);
    last.engine.restore(store.recover(EVERYTHING).await.unwrap(), 0);
    assert_eq!(last.engine.snapshot().freeze.as_ref().unwrap().by, "configuration");
}

#[tokio::test]
async fn what_waits_for_a_training_is_told_when_it_ends() {
    let mut config = Config::default();
    config.forecast.wait = true;
    config.forecast.training = forecast::Training {
        min_rows: 400,
        max_steps: 3,
        hidden: 4,
        dense: 8,
        ..config.forecast.training
    };
    config.forecast.horizons = vec![runtime::Span::from_secs(20)];
    let folder = tempfile::tempdir().unwrap();
    let (trained, mut ended) = mpsc::channel(1);
    let parts = Parts {
        config,
        policy: Policy::built_in(),
        metrics: Metrics::new(),
        now_ms: START_MS,
        models: folder.path().into(),
        trained,
        issuer_epoch: 1,
        durable: None,
        trust: None,
        audit: None,
    };
    let mut engine = Engine::new(parts).unwrap();
    let message = |topic: &str, payload: Vec<u8>| {
        let (topic, payload) = (topic.to_owned(), payload.into());
        Event::Bus(bus::Event::Message {
            topic,
            payload,
            retained: false,
        })
    };
    engine.handle(
        message("foreshadow/main/a/bin/inband/birth", wire::encode_birth(&birth(EPOCH))),
        START_MS,
        0,
    );
    let tell = |engine: &mut Engine| engine.done().into_iter().for_each(|done| done.send(()).unwrap());
    let mut waits = None;
    let mut rows = 0;
    for step in 1..600_u64 {
        let now_ms = START_MS + 10_000 * i64::try_from(step).unwrap();
        let sample = frame(EPOCH, step, &[now_ms], 0.5 + 0.3 * (step as f64 / 5.0).sin());
        engine.handle(
            message("foreshadow/main/a/bin/inband/delta", wire::encode_frame(&sample)),
            now_ms,
            0,
        );
        let (done, mut wait) = oneshot::channel();
        engine.handle(
            Event::Tick {
                time_ms: now_ms,
                done: Some(done),
            },
            now_ms,
            0,
        );
        tell(&mut engine);
        rows = step;
        if wait.try_recv().is_err() {
            waits = Some(wait);
            break;
        }
    }
    let mut wait = waits.expect("no training began");
    assert!(rows >= 400, "{rows}");
    assert_eq!(engine.picture().model.state, "training");
    let result = ended.recv().await.unwrap();
    assert!(wait.try_recv().is_err(), "told before the end");
    engine.handle(Event::Trained(Box::new(result)), START_MS, 0);
    tell(&mut engine);
    assert!(wait.try_recv().is_ok());
    let model = engine.picture().model;
    assert_eq!(model.state, "serving", "{}", model.note);
    let batch = engine.seal();
    assert_eq!(batch.models.len(), 1);
    assert!(folder.path().join(&model.version).is_file());
    let known: BTreeMap<String, String> = batch
        .meta
        .iter()
        .map(|(&key, value)| (key.to_owned(), value.clone()))
        .collect();
    assert!(known[meta::MODEL].contains(&model.version));
}

#[tokio::test]
async fn after_a_restart_frames_are_kept_with_what_they_are_read_against() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    let mut bench = Bench::new();
    bench.born(EPOCH);
    let catalogue = birth(EPOCH).catalogue;
    let mut encoder = shadow::codec::Encoder::new(&catalogue);
    let mut tell = |bench: &mut Bench, sequences: std::ops::Range<u64>| {
        for sequence in sequences {
            bench.now_ms += 1_000;
            bench.monotonic_ns += 1_000_000_000;
            let mut block = shadow::Block::new(&catalogue);
            for back_ms in [500, 0] {
                block.push(bench.now_ms - back_ms, &[shadow::Reading::new(0.5); 5]);
            }
            let frame = encoder.frame(EPOCH, sequence, &block).unwrap();
            assert_eq!(frame.reads_against().is_some(), sequence > 0);
            bench.message("foreshadow/main/a/bin/inband/delta", wire::encode_frame(&frame));
            bench.tick();
        }
    };
    tell(&mut bench, 0..20);
    store.write(&bench.commit()).await.unwrap();
    let mut again = Bench::with(Config::default(), bench.now_ms);
    again.engine.restore(store.recover(EVERYTHING).await.unwrap(), 0);
    again.handle(Event::Bus(bus::Event::Connected));
    tell(&mut again, 20..25);
    let recent = again
        .engine
        .past()
        .recent("a", Vantage::Inband, &["host.cpu"], 0)
        .unwrap();
    let times: Vec<i64> = (1..=50).map(|half| START_MS + 500 * half).collect();
    assert_eq!(recent.times_ms, times);
    assert!(
        recent.columns[0].iter().all(|cpu| cpu.value() == Some(0.5)),
        "{recent:?}"
    );
}

/// A brain of before proposals had a table kept them in one value alone.
#[tokio::test]
async fn proposals_of_before_their_table_get_rows_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    let known = crate::store::testing::full_batch().proposals;
    let told = serde_json::json!({"open": [], "decided": known.values().collect::<Vec<_>>(), "made": 1});
    let before = Batch {
        meta: [(meta::PROPOSALS, told.to_string())].into(),
        ..Batch::default()
    };
    store.write(&before).await.unwrap();
    let mut again = Bench::new();
    again.engine.restore(store.recover(EVERYTHING).await.unwrap(), 0);
    let batch = std::mem::take(&mut again.engine.batch);
    assert_eq!(batch.proposals, known);
    store.write(&batch).await.unwrap();
    let mut later = Bench::new();
    later.engine.restore(store.recover(EVERYTHING).await.unwrap(), 0);
    assert!(later.engine.batch.proposals.is_empty(), "they are there");
    assert_eq!(later.engine.dispatch.shown_proposals().len(), known.len());
}

#[tokio::test]
async fn books_and_prices_outlive_a_restart_and_broken_ones_begin_anew() {
    let hosts = |end_ms: i64| -> BTreeMap<String, crate::allocate::HostInput> {
        let busy = 0.3 + 0.1 * f64::from(u8::from(end_ms / 900_000 % 2 == 0));
        let names = ["a", "b"].map(str::to_owned);
        names.map(|name| (name, host_with_peaks(busy, end_ms, None))).into()
    };
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    let mut bench = Bench::new();
    for minute in 0..60 * 30 {
        let end_ms = START_MS + 60_000 * minute;
        let engine = &mut bench.engine;
        engine.dispatch.usage(end_ms, &hosts(end_ms));
        engine.store_books();
        if minute % 100 == 99 {
            store.write(&std::mem::take(&mut engine.batch)).await.unwrap();
        }
    }
    let before = bench.engine.dispatch.limits("a")[2].unwrap();
    store.write(&std::mem::take(&mut bench.engine.batch)).await.unwrap();
    store.close().await.unwrap();

    // Another brain on the same folder, ten minutes later; somebody has changed what is stored of one host.
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    let mut recovered = store.recover(EVERYTHING).await.unwrap();
    assert_eq!(recovered.books.len(), 2);
    recovered.books[1].2[200] ^= 1;
    let now_ms = START_MS + 60_000 * (60 * 30 + 10);
    let mut again = Bench::with(Config::default(), now_ms);
    again.engine.restore(recovered, 0);
    assert_eq!(again.engine.figures.refused.with("books").get(), 1);
    again.engine.dispatch.usage(now_ms, &hosts(now_ms));
    let [of_a, of_b] = ["a", "b"].map(|host| again.engine.dispatch.limits(host)[2]);
    assert_eq!(of_b, None, "a day of its own first");
    let after = of_a.unwrap();
    assert!(
        (after.price_of_change / before.price_of_change - 1.0).abs() < 1e-9,
        "{after}"
    );
    assert!(
        (after.price_of_violation / before.price_of_violation - 1.0).abs() < 0.2,
        "{after}"
    );
    assert!(
        (after.chosen.book.slack / before.chosen.book.slack - 1.0).abs() < 0.2,
        "{after}"
    );
}
