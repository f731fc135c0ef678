use runtime::Clock;
use shadow::wire;

use super::*;
use crate::{
    config::Ticks,
    engine::Parts,
    policy::Policy,
    store::{Since, Sqlite, Store},
    testing::{birth, frame},
};

/// A brain on `store`, whose page is `page` and whose messages come from the sender, one at a time.
fn edges(store: Sqlite, page: JoinHandle<std::io::Result<()>>) -> (Engine, Edges, mpsc::Sender<bus::Event>) {
    let (trained_in, trained) = mpsc::channel(1);
    let (events, bus_events) = mpsc::channel(1);
    let clock = Clock::manual(1_764_000_000_000);
    let mut config = Config::default();
    config.forecast.train = false;
    let parts = Parts {
        policy: Policy::built_in(),
        metrics: runtime::Metrics::new(),
        now_ms: clock.now_ms(),
        models: "/nowhere".into(),
        trained: trained_in,
        durable: None,
        trust: None,
        audit: None,
        issuer_epoch: 1,
        config,
    };
    // Nobody listens there, and nobody needs to.
    let (client, _) = bus::connect(bus::Config::new("127.0.0.1", 9, "test"));
    let edges = Edges {
        client,
        bus_events,
        requests: mpsc::channel(1).1,
        trained,
        notices: mpsc::channel(1).1,
        switches: mpsc::channel(1).1,
        verdicts: mpsc::channel(1).1,
        flusher: Flusher::start(store),
        page,
        page_stop: Shutdown::new(),
        snapshot: watch::channel(Arc::default()).0,
        ingested: watch::channel(0).0,
        connected: watch::channel(false).0,
        shutdown: Shutdown::new(),
        time: Time::new(clock, Ticks::EverySecond),
    };
    (Engine::new(parts).unwrap(), edges, events)
}

#[tokio::test]
async fn a_page_that_fails_is_the_cause_and_the_rest_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).await.unwrap();
    let page = tokio::spawn(async { Err(std::io::Error::other("no more files")) });
    let (engine, mut edges, _events) = edges(store, page);
    let (_requests, requests) = mpsc::channel(1);
    edges.requests = requests;
    let ended = Box::pin(run(engine, edges, Config::default())).await;
    assert!(
        matches!(&ended, Err(Error::Page(why)) if why.to_string() == "no more files"),
        "{ended:?}"
    );
    Sqlite::open(folder.path()).await.expect("the store was closed");
}

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// The clock goes on for `minutes`, and the loop looks at it each second; tells whether it was trusted at any time.
fn trusted_within(time: &mut Time, minutes: i64) -> bool {
    let mut trusted = false;
    for _ in 0..minutes * 60 {
        time.clock.set(time.clock.now_ms() + 1_000);
        time.now();
        trusted |= time.is_trusted();
    }
    trusted
}

#[test]
fn nothing_is_deleted_within_an_hour_of_the_start() {
    let mut time = Time::new(Clock::manual(0), Ticks::EverySecond);
    assert!(!trusted_within(&mut time, 59));
    assert!(trusted_within(&mut time, 1));
}

#[test]
fn nothing_is_deleted_by_a_jump_of_any_size_that_is_taken_back_within_the_hour() {
    for by_ms in [2 * MINUTE_MS, 3 * DAY_MS, 40_000 * DAY_MS, -3 * DAY_MS] {
        let mut time = Time::new(Clock::manual(50_000 * DAY_MS), Ticks::EverySecond);
        assert!(trusted_within(&mut time, 61));
        time.clock.jump(time.clock.now_ms() + by_ms);
        assert!(
            !trusted_within(&mut time, 58),
            "{by_ms}: followed after 5 min, but not trusted"
        );
        time.clock.jump(time.clock.now_ms() - by_ms);
        assert!(!trusted_within(&mut time, 64), "{by_ms}: agreement begins anew");
        assert!(trusted_within(&mut time, 2), "{by_ms}");
    }
}

#[tokio::test]
async fn old_rows_are_deleted_only_by_a_clock_that_is_trusted() {
    // At the start, by a system's clock and by a lab's.
    for (ticks, left) in [(Ticks::EverySecond, 1), (Ticks::Manual, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Sqlite::open(folder.path()).await.unwrap();
        let stream = crate::store::Stream {
            host: "a".into(),
            vantage: shadow::Vantage::Inband,
        };
        // Of long ago, by the clock of the brain.
        let batch = crate::store::Batch {
            frames: vec![(stream, frame(7, 0, &[1], 0.5))],
            meta: [(crate::store::meta::CLOSED_MS, "0".to_owned())].into(),
            ..crate::store::Batch::default()
        };
        store.write(&batch).await.unwrap();
        let (mut engine, mut edges, _events) = edges(store, tokio::spawn(std::future::pending()));
        edges.time = Time::new(Clock::manual(engine.now_ms()), ticks);
        edges.prune(&mut engine, &Config::default());
        edges.flusher.finish().await.unwrap();
        let mut store = Sqlite::open(folder.path()).await.unwrap();
        let since = Since {
            rollups_ms: 0,
            rows: i64::MAX,
            step_ms: 10_000,
            events_ms: 0,
        };
        assert_eq!(store.recover(since).await.unwrap().tail.len(), left, "{ticks:?}");
    }
}

#[tokio::test]
async fn what_is_on_its_way_at_the_end_becomes_durable() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).await.unwrap();
    let page = tokio::spawn(std::future::pending());
    let (engine, edges, events) = edges(store, page);
    edges.shutdown.trigger("test");
    // There is room for one message: the others are still to come when the brain has been told to end.
    let message = |kind: &str, payload: Vec<u8>| bus::Event::Message {
        topic: format!("foreshadow/main/a/bin/inband/{kind}"),
        payload: payload.into(),
        retained: false,
    };
    let epoch = 1_764_000_000_000_000;
    let mut told = vec![message("birth", wire::encode_birth(&birth(epoch)))];
    told.extend((0..20).map(|n| message("delta", wire::encode_frame(&frame(epoch, n, &[1_764_000_000_000], 0.5)))));
    tokio::spawn(async move {
        for message in told {
            events.send(message).await.unwrap();
        }
        // Kept open: the bus does not end by itself.
        std::future::pending::<()>().await;
        drop(events);
    });
    Box::pin(run(engine, edges, Config::default())).await.unwrap();
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    let since = Since {
        rollups_ms: 0,
        rows: i64::MAX,
        step_ms: 10_000,
        events_ms: 0,
    };
    let durable = store.recover(since).await.unwrap().watermarks;
    let received = durable.values().next().unwrap();
    assert!((0..20).all(|sequence| received.contains(sequence)), "{received:?}");
}
