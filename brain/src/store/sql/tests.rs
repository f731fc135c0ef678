use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shadow::{Forecast, Resource};
use sqlx::{Row as _, query};

use super::{
    super::{
        dialect::{Connection, TABLES, instant},
        testing::{COLUMNS, COMMENTS, Place, SLACK_DAYS, connection},
    },
    prune,
};
use crate::{
    engine::tests::clocks,
    history::{Column, History, Resolution},
    ingest::RangeSet,
    store::{
        Batch, Cutoffs, Rollup, Store as _, comments, meta,
        reader::{Reader, Session},
        testing::{SINCE, full_batch, full_batch_of, incident, stream, uses},
    },
    testing,
};

async fn count(connection: &mut Connection, table: &str) -> i64 {
    let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    query(sql).fetch_one(connection).await.unwrap().get(0)
}

#[tokio::test]
async fn what_was_written_comes_back_and_twice_is_once() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let batch = full_batch();
    store.write(&batch).await.unwrap();
    store.write(&batch).await.unwrap();
    for (table, rows) in [
        ("hosts", 1),
        ("births", 1),
        ("frames", 2),
        ("events", 2),
        ("holes", 1),
        ("watermarks", 1),
        ("rollup_10s", 7),
        ("rollup_1m", 2),
        ("workload_1m", 1),
        ("forecasts", 1),
        ("workload_forecasts", 1),
        ("anomalies", 1),
        ("incidents", 1),
        ("detectors", 1),
        ("books", 1),
        ("commands", 1),
        ("outcomes", 1),
        ("proposals", 1),
        ("plans", 1),
        ("savings", 1),
        ("models", 1),
    ] {
        assert_eq!(count(connection(&mut store), table).await, rows, "{table}");
    }
    store.close().await.unwrap();

    let mut store = place.open().await;
    let back = store.recover(SINCE).await.unwrap();
    assert_eq!(back.hosts, batch.hosts);
    assert_eq!(back.births, [(stream(), testing::birth(7))]);
    assert_eq!(back.watermarks, batch.watermarks);
    let rows = &back.rollups["web-1"];
    assert_eq!(
        (rows.len(), rows[6].begin_ms, rows[6].coverage, rows[6].mean[0]),
        (7, 60_000, 0.5, 0.25)
    );
    assert!(rows[6].mean[1].is_nan(), "what was not read is not zero");
    assert_eq!(back.tail, batch.frames, "frames that may reach past the closed rows");
    assert_eq!(
        back.commands,
        [(batch.commands[0].clone(), Some(batch.outcomes[0].clone()))]
    );
    let web = &back.workloads[&("web-1".into(), "web".to_owned())];
    assert!(
        web.len() == 1 && web[0].0 == 0 && web[0].1[0] == 1.5 && web[0].1[1].is_nan(),
        "{web:?}"
    );
    assert_eq!(back.anomalies.len(), 1);
    assert_eq!(back.incidents, [("web-1".into(), incident(), true)]);
    assert_eq!(back.detectors, [("web-1".into(), 60_000, vec![1, 2, 3])]);
    assert_eq!(back.books, [("web-1".to_owned(), Resource::Disk, vec![4, 5])]);
    assert_eq!(back.events, batch.events);
    assert_eq!(back.meta[meta::CLOSED_MS], "70000");
}

/// A row in which the processor's mean and peak alone are known.
fn row(host: &str, begin_ms: i64, coverage: f32, [cpu, peak]: [f32; 2]) -> ((Arc<str>, i64), Rollup) {
    let (mut mean, mut max) = ([f32::NAN; 7], [f32::NAN; 7]);
    (mean[0], max[0]) = (cpu, peak);
    let rollup = Rollup {
        step_ms: 10_000,
        coverage,
        mean,
        max,
        min: mean,
        last: mean,
        p95: max,
    };
    ((host.into(), begin_ms), rollup)
}

#[tokio::test]
async fn of_a_minute_of_a_workload_told_again_the_better_known_stays() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    for (coverage, cores) in [(0.5, 1.0), (1.0, 2.0), (0.2, 3.0)] {
        let batch = Batch {
            workloads: [(("a".into(), "web".into(), 0), uses(coverage, cores))].into(),
            ..Batch::default()
        };
        store.write(&batch).await.unwrap();
    }
    let told = query("SELECT coverage, cpu_cores, memory_bytes FROM workload_1m");
    let told = told.fetch_one(connection(&mut store)).await.unwrap();
    let told: [Option<f32>; 3] = std::array::from_fn(|at| told.get(at));
    assert_eq!(told, [Some(1.0), Some(2.0), None]);
}

#[tokio::test]
async fn of_a_row_told_again_the_better_known_stays_with_all_extremes() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    for rows in [
        vec![row("a", 0, 0.5, [0.2, 0.9])],
        // After a restart only the mean is known.
        vec![row("a", 0, 0.5, [0.6, 0.6])],
        // After the clock was set back nothing is known of a row that is closed again.
        vec![row("b", 0, 1.0, [0.6, 0.7])],
        vec![row("b", 0, 0.0, [f32::NAN; 2])],
        // A late sample of a row that is no longer in memory knows little of it.
        vec![row("b", 0, 0.1, [0.1, 0.95])],
    ] {
        let rows: BTreeMap<_, _> = rows.into_iter().collect();
        let batch = Batch {
            rollups: rows.clone(),
            minutes: rows,
            ..Batch::default()
        };
        store.write(&batch).await.unwrap();
    }
    for table in ["rollup_10s", "rollup_1m"] {
        let sql = format!("SELECT cpu, cpu_max, cpu_min, cpu_p95, memory, memory_max FROM {table} ORDER BY host");
        let told = query(sqlx::AssertSqlSafe(sql))
            .fetch_all(connection(&mut store))
            .await
            .unwrap();
        let told: Vec<[Option<f32>; 6]> = told.iter().map(|row| std::array::from_fn(|at| row.get(at))).collect();
        let [a, b] = told[..] else { panic!("{table}: {told:?}") };
        assert_eq!(a, [Some(0.6), Some(0.9), Some(0.2), Some(0.6), None, None], "{table}");
        assert_eq!(b, [Some(0.6), Some(0.95), Some(0.1), Some(0.7), None, None], "{table}");
    }
}

#[tokio::test]
async fn the_past_is_read_beside_its_writer() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let batch = |rows: Vec<((Arc<str>, i64), Rollup)>| Batch {
        hosts: rows.iter().map(|(key, _)| key.clone()).collect(),
        minutes: rows.iter().filter(|((_, ms), _)| ms % 60_000 == 0).cloned().collect(),
        rollups: rows.into_iter().collect(),
        ..Batch::default()
    };
    let rows = (0..12)
        .map(|i| row("a", i * 10_000, 1.0, [i as f32; 2]))
        .chain([row("b", 50_000, 1.0, [1.0; 2])]);
    store.write(&batch(rows.collect())).await.unwrap();
    let mut history = History::open(&place.database()).await.unwrap();
    let columns = Column::means(None);
    let mut page = async |host: &str, within: std::ops::Range<i64>, resolution| {
        let read = history.page(host, &columns, &within, (resolution, 100)).await.unwrap();
        assert!(read.coverage.iter().all(|coverage| *coverage == 1.0));
        assert!(read.values[1].iter().all(|memory| memory.is_nan()), "what was not read");
        read.begin_ms
            .into_iter()
            .zip(read.values[0].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        page("a", 30_000..60_000, Resolution::TenSeconds).await,
        [(30_000, 3.0), (40_000, 4.0), (50_000, 5.0)]
    );
    assert_eq!(
        page("a", 0..i64::MAX, Resolution::Minute).await,
        [(0, 0.0), (60_000, 6.0)]
    );
    assert_eq!(page("nobody", 0..i64::MAX, Resolution::TenSeconds).await, []);
    // The writer goes on, and what it writes is seen.
    store
        .write(&batch(vec![row("b", 60_000, 1.0, [2.0; 2])]))
        .await
        .unwrap();
    assert_eq!(page("b", 0..i64::MAX, Resolution::TenSeconds).await.len(), 2);
    let hosts = history.hosts().await.unwrap().rows;
    let names: Vec<_> = hosts.iter().map(|row| row.host.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    history.close().await.unwrap();
    let mut reader = Reader::open(&place.database(), None).await.unwrap();
    let delete = "DELETE FROM rollup_10s";
    let refused = match &mut reader.session {
        Session::Sqlite(session) => query(delete).execute(session).await.err(),
        Session::Timescale(session) => query(delete).execute(session).await.err(),
    };
    let refused = refused.unwrap().to_string();
    assert!(refused.contains("read"), "{refused}: it only reads");
}

#[tokio::test]
async fn a_birth_told_again_replaces_all_that_is_known_of_it() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let first = testing::birth(7);
    let mut again = first.clone();
    again.time_ms = 2;
    again.agent_version = "0.2.0".into();
    again.capacity = shadow::Capacity {
        cpu_cores: Some(8.0),
        memory_bytes: None,
        network_bytes_per_s: Some(1e9),
        disk_bytes_per_s: Some(2e9),
        power_w: Some(400.0),
    };
    again.inventory.kernel = "7.0".into();
    again.inventory.os = "other".into();
    again.inventory.cpu_model = "newer".into();
    for birth in [first, again.clone()] {
        let births = vec![(stream(), birth.into())];
        let batch = Batch {
            births,
            ..Batch::default()
        };
        store.write(&batch).await.unwrap();
    }
    let row = query("SELECT * FROM births")
        .fetch_one(connection(&mut store))
        .await
        .unwrap();
    assert_eq!(instant(&row, "time").unwrap(), 2);
    for (column, expected) in [
        ("agent_version", "0.2.0"),
        ("kernel", "7.0"),
        ("os", "other"),
        ("cpu_model", "newer"),
    ] {
        assert_eq!(row.get::<String, _>(column), expected, "{column}");
    }
    for (column, expected) in [
        ("cpu_cores", Some(8.0)),
        ("memory_bytes", None),
        ("network_bytes_per_s", Some(1e9)),
        ("disk_bytes_per_s", Some(2e9)),
        ("power_w", Some(400.0)),
    ] {
        assert_eq!(row.get::<Option<f64>, _>(column), expected, "{column}");
    }
    assert_eq!(store.recover(SINCE).await.unwrap().births, [(stream(), again)]);
}

/// Of every table and view the names of its columns.
async fn relations(connection: &mut Connection) -> BTreeSet<(String, Option<String>)> {
    let rows = query(COLUMNS).fetch_all(connection).await.unwrap();
    let columns: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let relations = columns.iter().map(|(relation, _)| (relation.clone(), None));
    let all = relations.chain(
        columns
            .iter()
            .cloned()
            .map(|(relation, column)| (relation, Some(column))),
    );
    all.collect()
}

#[tokio::test]
async fn every_table_view_and_column_is_explained() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let there = relations(connection(&mut store)).await;
    let explained: BTreeSet<_> = comments::all().into_iter().map(|c| (c.relation, c.column)).collect();
    assert_eq!(there, explained);
    let told = query(COMMENTS).fetch_all(connection(&mut store)).await.unwrap();
    let told: BTreeSet<_> = told
        .iter()
        .map(|row| {
            (
                row.get::<String, _>(0),
                row.get::<Option<String>, _>(1),
                row.get::<String, _>(2),
            )
        })
        .collect();
    let said: BTreeSet<_> = comments::all()
        .into_iter()
        .map(|c| (c.relation, c.column, c.text))
        .collect();
    assert_eq!(told, said);
}

#[tokio::test]
async fn views_tell_what_was_written() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    store.write(&full_batch()).await.unwrap();
    let mut one = async |sql: &'static str| query(sql).fetch_one(connection(&mut store)).await.unwrap();
    let host = one("SELECT host, vantage, agent_version FROM v_hosts").await;
    assert_eq!(host.get::<&str, _>(0), "web-1");
    assert_eq!(host.get::<Option<&str>, _>(1), Some("inband"));
    let used =
        one("SELECT cpu_percent, cpu_peak_percent, memory_percent FROM v_utilisation ORDER BY time LIMIT 1").await;
    assert!((used.try_get::<f64, _>(0).unwrap() - 25.0).abs() < 1e-6);
    assert!(used.get::<Option<f64>, _>(2).is_none(), "what was not read is not zero");
    let forecast = one("SELECT p90, actual FROM v_forecast_vs_actual").await;
    assert_eq!(
        (forecast.get::<f64, _>(0), forecast.get::<Option<f64>, _>(1)),
        (0.2, None),
        "it is not due yet"
    );
    let command = one("SELECT workload, explanation, state, target, before FROM v_commands").await;
    assert_eq!(command.get::<&str, _>(0), "web");
    assert_eq!(command.get::<&str, _>(1), "because");
    assert_eq!(command.get::<&str, _>(2), "dry_run");
    assert_eq!(
        (command.get::<f64, _>(3), command.get::<Option<f64>, _>(4)),
        (1.5, None)
    );
    let more = one("SELECT ceiling, after, clamp, learnt FROM v_commands").await;
    assert_eq!(
        (
            more.get::<Option<f64>, _>(0),
            more.get::<Option<f64>, _>(1),
            more.get::<&str, _>(2)
        ),
        (None, None, "")
    );
    let proposal =
        one("SELECT workload, target, explanation, fate, decided_by, waited_s, command_id, state FROM v_proposals")
            .await;
    let words = [0, 2, 3, 4, 6, 7].map(|column| proposal.get::<&str, _>(column));
    assert_eq!(words, ["web", "because", "approved", "ann", "1-web-1-1", "dry_run"]);
    assert_eq!([1, 5].map(|column| proposal.get::<f64, _>(column)), [1.5, 5.0]);
    let saved = one("SELECT host, held, used, given_back, over_s, acted_s, changes FROM v_savings").await;
    assert_eq!(
        [1, 2, 3].map(|column| saved.get::<f64, _>(column)),
        [2.0, 1.0, 0.5],
        "means of a reservation"
    );
    assert_eq!((saved.get::<f64, _>(5), saved.get::<i64, _>(6)), (60.0, 3));
    assert_eq!(one("SELECT duration_s FROM v_anomalies").await.get::<f64, _>(0), 10.0);
    let hours: i64 = one("SELECT count(*) FROM v_utilisation_1h").await.get(0);
    assert_eq!(hours, 0, "the hour is not over");
}

/// A forecast is of the row that ends when it is due.
#[tokio::test]
async fn a_forecast_is_compared_with_the_row_that_it_was_made_for() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let mut batch = full_batch();
    let due_ms = {
        let (_, forecast) = &batch.forecasts[0];
        forecast.made_ms + 1_000 * i64::from(forecast.horizon_s)
    };
    batch.rollups = [(due_ms - 10_000, 0.25), (due_ms, 0.75)]
        .map(|(begin_ms, cpu)| row("web-1", begin_ms, 1.0, [cpu; 2]))
        .into();
    store.write(&batch).await.unwrap();
    let sql = "SELECT resource, actual FROM v_forecast_vs_actual";
    let told = query(sql).fetch_one(connection(&mut store)).await.unwrap();
    assert_eq!(
        (told.get::<&str, _>(0), told.get::<Option<f32>, _>(1)),
        ("cpu", Some(0.25))
    );
}

/// Each resource is made of other channels.
#[tokio::test]
async fn what_came_is_told_of_every_resource() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let mut batch = full_batch();
    let (host, forecast) = batch.forecasts[0].clone();
    batch.forecasts = Resource::ALL
        .map(|resource| {
            (
                host.clone(),
                Forecast {
                    resource,
                    ..forecast.clone()
                },
            )
        })
        .into();
    let (key, mut told) = row("web-1", 350_000, 1.0, [0.0; 2]);
    told.mean = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
    batch.rollups = [(key, told)].into();
    store.write(&batch).await.unwrap();
    for (resource, expected) in [
        ("cpu", 1.0),
        ("memory", 2.0),
        ("network", 12.0),
        ("disk", 48.0),
        ("power", 64.0),
    ] {
        let sql = "SELECT actual FROM v_forecast_vs_actual WHERE resource = $1";
        let told = query(sql)
            .bind(resource)
            .fetch_one(connection(&mut store))
            .await
            .unwrap();
        assert_eq!(told.get::<Option<f32>, _>(0), Some(expected), "{resource}");
    }
}

/// The first that told an inventory stays as long as events do, and the newest always.
#[tokio::test]
async fn births_that_tell_of_another_inventory_are_history() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let mut batch = Batch {
        hosts: [("web-1".into(), 90_000)].into(),
        ..Batch::default()
    };
    for (second, kernel) in [(10, "6.1"), (20, "6.1"), (30, "6.12"), (40, "6.12"), (50, "6.12")] {
        let mut birth = testing::birth(second * 1_000_000);
        birth.inventory.kernel = kernel.into();
        let ranges = RangeSet::from_ranges([0..4, 5..9]);
        batch.watermarks.insert((stream(), birth.epoch), ranges);
        batch.births.push((stream(), birth.into()));
    }
    store.write(&batch).await.unwrap();
    let mut left = async |events: i64| {
        let cutoffs = Cutoffs {
            now: 90_000,
            frames: 80_000,
            events,
            ..Cutoffs::default()
        };
        store.prune(&cutoffs).await.unwrap();
        let mut seconds = Vec::new();
        for table in ["births", "watermarks"] {
            let sql = sqlx::AssertSqlSafe(format!("SELECT epoch / 1000000 FROM {table} ORDER BY epoch"));
            let rows = query(sql).fetch_all(connection(&mut store)).await.unwrap();
            seconds.push(rows.iter().map(|row| row.get::<i64, _>(0)).collect::<Vec<_>>());
        }
        seconds
    };
    for _ in 0..2 {
        assert_eq!(
            left(0).await,
            [vec![10, 30, 50], vec![50]],
            "watermarks go with their frames"
        );
    }
    assert_eq!(left(25_000).await, [vec![30, 50], vec![50]]);
    assert_eq!(left(80_000).await, [vec![50], vec![50]]);
}

/// What an agent tells may be any number: no figure of it keeps a batch out, and no view from being read.
#[tokio::test]
async fn the_largest_and_smallest_numbers_have_hours_too() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    for (value, expected) in [(f32::MAX, f32::MAX), (1e-45, 0.0), (-f32::MAX, -f32::MAX)] {
        let batch = Batch {
            hosts: [("a".into(), 7_200_000)].into(),
            rollups: (0..60).map(|i| row("a", i * 60_000, 0.3, [value; 2])).collect(),
            minutes: (0..60).map(|i| row("a", i * 60_000, 0.3, [value; 2])).collect(),
            ..Batch::default()
        };
        store.write(&batch).await.unwrap();
        let hour = query("SELECT cpu FROM rollup_1h")
            .fetch_one(connection(&mut store))
            .await
            .unwrap();
        let cpu: f32 = hour.get(0);
        assert!(
            (cpu / 2.0 - expected / 2.0).abs() <= 1e-6 * expected.abs(),
            "{value}: {cpu}"
        );
        let views =
            "SELECT count(cpu_percent) FROM v_utilisation UNION ALL SELECT count(cpu_percent) FROM v_utilisation_1h";
        assert_eq!(query(views).fetch_all(connection(&mut store)).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn who_falls_silent_within_an_hour_has_that_hour() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let minute = |host: &'static str, minute: i64| Batch {
        hosts: [(host.into(), minute * 60_000 + 59_000)].into(),
        minutes: [row(host, minute * 60_000, 1.0, [0.5; 2])].into(),
        ..Batch::default()
    };
    // One comes back two hours later, the other never.
    for batch in [minute("back", 30), minute("gone", 30), minute("back", 150)] {
        store.write(&batch).await.unwrap();
    }
    let hours = async |store: &mut _| {
        let rows = query("SELECT host, coverage FROM rollup_1h ORDER BY host")
            .fetch_all(connection(store))
            .await;
        let rows = rows.unwrap();
        rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>()
    };
    assert_eq!(hours(&mut store).await, ["back"]);
    let cutoffs = |now| Cutoffs {
        now,
        ..Cutoffs::default()
    };
    store.prune(&cutoffs(3_599_999)).await.unwrap();
    assert_eq!(hours(&mut store).await, ["back"], "the hour of the other goes on");
    store.prune(&cutoffs(3_600_000)).await.unwrap();
    assert_eq!(hours(&mut store).await, ["back", "gone"]);
}

#[tokio::test]
async fn an_hour_is_made_when_it_is_over_and_again_when_it_changes() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let host: Arc<str> = "a".into();
    let mut write = async |minutes: std::ops::Range<i64>, cpu: f32, newest_ms: i64| {
        let batch = Batch {
            hosts: [(host.clone(), newest_ms)].into(),
            minutes: minutes
                .map(|minute| row("a", minute * 60_000, 1.0, [cpu, 2.0 * cpu]))
                .collect(),
            ..Batch::default()
        };
        store.write(&batch).await.unwrap();
        let found = query("SELECT cpu, cpu_max, coverage FROM rollup_1h")
            .fetch_all(connection(&mut store))
            .await
            .unwrap();
        found
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect::<Vec<(f32, f32, f32)>>()
    };
    assert_eq!(write(30..59, 0.5, 3_540_000).await, []);
    assert_eq!(write(59..60, 0.5, 3_600_000).await, [(0.5, 1.0, 0.5)]);
    assert_eq!(write(0..30, 0.25, 3_600_000).await, [(0.375, 1.0, 1.0)], "late rows");
    assert_eq!(write(60..61, 0.9, 3_660_000).await.len(), 1);
}

/// Of all that a batch may tell, a month at a time for six years, that is left which is to be kept, and nothing else: in
/// every table that there is.
#[tokio::test]
async fn years_of_retention_leave_what_is_to_be_kept_and_nothing_else() {
    const DAY_MS: i64 = 86_400_000;
    const DAYS: i64 = 30;
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let cutoffs = |now_ms: i64| Cutoffs {
        now: now_ms,
        frames: now_ms - 2 * DAY_MS,
        rollup_10s: now_ms - 3 * DAY_MS,
        rollup_1m: now_ms - 90 * DAY_MS,
        rollup_1h: now_ms - 1_826 * DAY_MS,
        forecasts: now_ms - 3 * DAY_MS,
        events: now_ms - 90 * DAY_MS,
    };
    let tables = tables_that_age();
    assert_eq!(
        tables
            .iter()
            .map(|(name, ..)| (*name).to_owned())
            .collect::<BTreeSet<_>>(),
        all_tables(connection(&mut store)).await,
        "a table has no retention, or is not tried"
    );
    let mut of_a_batch = BTreeMap::new();
    let mut now_ms = 0;
    for step in 0..6 * 365 / DAYS {
        // The minutes are the last ones of an hour.
        let begin_ms = 1_700_006_400_000 + DAYS * step * DAY_MS - 120_000;
        let batch = full_batch_of(&format!("host-{step}"), begin_ms);
        store.write(&batch).await.unwrap();
        now_ms = begin_ms + DAY_MS / 2;
        while store.prune(&cutoffs(now_ms)).await.unwrap() {}
        for (name, ..) in tables.iter().filter(|_| step == 0) {
            of_a_batch.insert(*name, count(connection(&mut store), name).await);
        }
    }
    for (name, kept, chunks) in tables {
        let days = (now_ms - kept(&cutoffs(now_ms))) / DAY_MS;
        let rows = of_a_batch[name];
        assert!(rows > 0, "{name}: nothing was written");
        // The newest batch is half a day old. Where rows go by chunks, those of the chunk that is not over stay with them.
        let least = rows * ((2 * days - 1) / (2 * DAYS) + 1);
        let most = least + i64::from(chunks) * rows * ((SLACK_DAYS + DAYS - 1) / DAYS);
        let left = count(connection(&mut store), name).await;
        assert!(
            (least..=most).contains(&left),
            "{name}: {left} rows are left of {days} days, not {least} to {most}"
        );
    }
}

/// Whether a table goes by chunks, and from when on its rows are kept.
type Ageing = (&'static str, fn(&Cutoffs) -> i64, bool);

/// Those with an age of their own, and those that go by what they belong to: hosts by their hours, births and watermarks of
/// a silent host by its minutes.
fn tables_that_age() -> Vec<Ageing> {
    let by_age = prune::TABLES.into_iter().chain([prune::HOURS]);
    let by_age = by_age.map(|table| (table.name, table.kept, table.chunks));
    let others: [Ageing; 3] = [
        ("hosts", |c| c.rollup_1h, false),
        ("births", |c| c.rollup_1m, false),
        ("watermarks", |c| c.rollup_1m, false),
    ];
    by_age.chain(others).collect()
}

/// All of the schema but single values, and what tells of the schema itself.
async fn all_tables(session: &mut Connection) -> BTreeSet<String> {
    let names = query(TABLES).fetch_all(session).await.unwrap();
    let names = names.iter().map(|row| row.get::<String, _>(0));
    names
        .filter(|name| !["meta", "comments", "_sqlx_migrations"].contains(&name.as_str()))
        .collect()
}

/// Whatever the clock was like, what comes by the right one is heard and kept.
#[tokio::test]
async fn a_clock_that_goes_back_a_year_costs_nothing_of_the_present() {
    let Some(place) = Place::new() else { return };
    Box::pin(clocks::a_wrong_year_is_over(place.open().await)).await;
}

/// Each figure of an hour is that of its minutes.
#[tokio::test]
async fn hours_tell_what_their_minutes_were() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let minute = |at: i64| {
        let (key, mut row) = row("a", at * 60_000, 1.0, [0.0; 2]);
        // The first half hour and the second.
        row.mean = std::array::from_fn(|channel| (channel as f32 + 1.0) * if at < 30 { 0.25 } else { 0.75 });
        row.max = row.mean.map(|mean| 2.0 * mean);
        (key, row)
    };
    let batch = Batch {
        hosts: [("a".into(), 3_600_000)].into(),
        minutes: (0..60).map(minute).collect(),
        ..Batch::default()
    };
    store.write(&batch).await.unwrap();
    let hour = query("SELECT * FROM v_utilisation_1h");
    let hour = hour.fetch_one(connection(&mut store)).await.unwrap();
    assert_eq!(hour.get::<&str, _>("host"), "a");
    for (column, expected) in [
        ("cpu_percent", 50.0),
        ("cpu_peak_percent", 150.0),
        ("memory_percent", 100.0),
        ("memory_peak_percent", 300.0),
        ("network_rx_bytes_per_s", 1.5),
        ("network_tx_bytes_per_s", 2.0),
        ("disk_read_bytes_per_s", 2.5),
        ("disk_write_bytes_per_s", 3.0),
        ("power_w", 3.5),
        ("power_peak_w", 10.5),
        ("coverage", 1.0),
    ] {
        let whole = hour.try_get::<f64, _>(column);
        let told = whole
            .or_else(|_| hour.try_get::<f32, _>(column).map(f64::from))
            .unwrap();
        assert!((told - expected).abs() < 1e-4, "{column}: {told}, not {expected}");
    }
}
