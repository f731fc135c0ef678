//! What only the Timescale licence allows: compression, policies and the continuous aggregate of the hours.
//!
//! Debian has the Apache edition alone. There the statements are refused for the licence, and for nothing else: names,
//! arguments and columns are known to the server. What they do is seen on a server with that licence only.

use sqlx::{AssertSqlSafe, raw_sql};

use super::{
    super::{policies, testing::Place},
    *,
};
use crate::store::Rollup;

async fn licence(store: &mut Timescale) -> String {
    query_scalar("SELECT current_setting('timescaledb.license')")
        .fetch_one(testing::connection(store))
        .await
        .unwrap()
}

#[tokio::test]
async fn without_the_licence_statements_are_refused_for_it_alone() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let licence = licence(&mut store).await;
    if licence == "timescale" {
        eprintln!("SKIPPED: this server has the licence");
        return;
    }
    assert_eq!(store.hours, Hours::Ours);
    let said = policies::statements(&testing::RETENTION, Hours::Theirs);
    assert!(said.len() > 20, "{said:#?}");
    // One that is there already would not be asked for, licence or not.
    for statement in said {
        let statement = statement.replace("VIEW IF NOT EXISTS rollup_1h", "VIEW hours");
        let error = query(AssertSqlSafe(statement.clone()))
            .execute(testing::connection(&mut store))
            .await
            .unwrap_err();
        let error = error.as_database_error().unwrap();
        assert!(
            error.code().as_deref() == Some("0A000") && error.message().contains("license"),
            "{statement}: {error}"
        );
    }
    // The columns that compression goes by.
    for (table, segment, order, _) in policies::COMPRESSED {
        let columns = format!("SELECT {segment}, {order} FROM {table} LIMIT 0");
        raw_sql(AssertSqlSafe(columns))
            .execute(testing::connection(&mut store))
            .await
            .unwrap();
    }
}

/// Whoever makes the hours, they are the same.
#[tokio::test]
async fn the_aggregate_is_made_of_what_the_brain_makes_hours_of() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    if store.hours == Hours::Theirs {
        eprintln!("SKIPPED: this server makes the hours itself");
        return;
    }
    let mut batch = full_batch();
    batch.hosts = [("web-1".into(), 7_200_000)].into();
    let minute = |at: i64| {
        let of = |offset: f32| {
            let mut channels = [f32::NAN; 7];
            (channels[0], channels[6]) = (offset + at as f32 / 100.0, offset * at as f32);
            channels
        };
        let rollup = Rollup {
            step_ms: 60_000,
            coverage: if at % 3 == 0 { 0.25 } else { 1.0 },
            mean: if at % 7 == 0 { [f32::NAN; 7] } else { of(1.0) },
            max: of(2.0),
            min: of(0.5),
            last: of(1.0),
            p95: of(1.5),
        };
        (("web-1".into(), at * 60_000), rollup)
    };
    batch.minutes = (0..90).map(minute).collect();
    store.write(&batch).await.unwrap();
    let session = testing::connection(&mut store);
    let ours: i64 = query_scalar("SELECT count(*) FROM rollup_1h WHERE cpu > 1 AND power_w_max > 100")
        .fetch_one(&mut *session)
        .await
        .unwrap();
    assert_eq!(ours, 2);
    let theirs = policies::hours_of_minutes();
    for (one, other) in [("TABLE rollup_1h", &*theirs), (&*theirs, "TABLE rollup_1h")] {
        let sql = format!(
            "SELECT count(*) FROM ({one}) a WHERE NOT EXISTS (SELECT FROM ({other}) b WHERE a::text = b::text)"
        );
        let differ: i64 = query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *session).await.unwrap();
        assert_eq!(differ, 0, "{one}");
    }
}

/// This needs a server with the licence.
#[tokio::test]
async fn with_the_timescale_licence_the_database_compresses_drops_and_makes_the_hours() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let licence = licence(&mut store).await;
    if licence != "timescale" {
        assert_eq!(store.hours, Hours::Ours);
        eprintln!("SKIPPED: this server has the edition {licence:?}, not \"timescale\"");
        return;
    }
    assert_eq!(store.hours, Hours::Theirs);
    store.write(&full_batch()).await.unwrap();
    let jobs = "SELECT count(*) FROM timescaledb_information.jobs WHERE hypertable_schema = current_schema() \
                OR hypertable_name LIKE '_materialized%'";
    let jobs: i64 = query_scalar(jobs)
        .fetch_one(testing::connection(&mut store))
        .await
        .unwrap();
    assert!(jobs >= 11, "{jobs} policies");
    for statement in [
        "CALL refresh_continuous_aggregate('rollup_1h', NULL, NULL)",
        "SELECT compress_chunk(show_chunks('rollup_10s'))",
    ] {
        query(statement).execute(testing::connection(&mut store)).await.unwrap();
    }
    // Late rows go into compressed chunks, too, and the same again changes nothing.
    store.write(&full_batch()).await.unwrap();
    let rows: i64 = query_scalar("SELECT count(*) FROM rollup_10s")
        .fetch_one(testing::connection(&mut store))
        .await
        .unwrap();
    assert_eq!(rows, 7);
    let hours: i64 = query_scalar("SELECT count(*) FROM v_utilisation_1h")
        .fetch_one(testing::connection(&mut store))
        .await
        .unwrap();
    assert_eq!(hours, 1);
    store.close().await.unwrap();
    place.open().await;
}
