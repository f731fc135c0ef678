//! A schema of an older brain, and what the newest one adds to it.

use sqlx::{AssertSqlSafe, query, query_scalar, raw_sql};

use super::{
    super::{schema::MIGRATIONS, testing::Place},
    other, testing,
};
use crate::store::{Store as _, Timescale, migrations, testing::SINCE};

/// How the server finds the rows of hours to be deleted, where an index may be used at all.
async fn plan(store: &mut Timescale) -> String {
    let session = testing::connection(store);
    raw_sql("SET enable_seqscan = off")
        .execute(&mut *session)
        .await
        .unwrap();
    let sql = "EXPLAIN SELECT host, bucket FROM rollup_1h WHERE bucket < now() LIMIT 5000";
    let lines: Vec<String> = query_scalar(sql).fetch_all(session).await.unwrap();
    lines.join("\n")
}

#[tokio::test]
async fn old_hours_are_found_by_their_time() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let plan = plan(&mut store).await;
    assert!(
        plan.contains("rollup_1h_bucket") && !plan.contains("Seq Scan"),
        "{plan}"
    );
}

#[tokio::test]
async fn a_schema_of_before_is_brought_up_to_date_with_all_that_is_in_it() {
    for released in 1..MIGRATIONS.len() {
        let Some(place) = Place::new() else { return };
        let schema = &place.options.schema;
        let mut before = other(&place).await;
        raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
            .execute(&mut before)
            .await
            .unwrap();
        migrations::migrator(&MIGRATIONS[..released])
            .run(&mut before)
            .await
            .unwrap();
        for sql in [
            "INSERT INTO hosts VALUES ('a', to_timestamp(5), to_timestamp(70))",
            "INSERT INTO frames VALUES ('a', 'inband', 7, 0, to_timestamp(60), 1, 1, '\\x010203', 0)",
            "INSERT INTO watermarks VALUES ('a', 'inband', 7, '[[0,1]]')",
            "INSERT INTO rollup_10s (host, bucket, coverage, cpu, cpu_max) VALUES ('a', to_timestamp(60), 1.0, 0.25, 0.5)",
            "INSERT INTO meta VALUES ('grid_closed_ms', '60000')",
        ] {
            query(sql).execute(&mut before).await.unwrap();
        }
        if !MIGRATIONS[..released].iter().any(|(_, name, _)| *name == "hours") {
            // As it was made at each start, before it was part of the schema.
            let hours = include_str!("../../../../migrations/timescale/hours.sql");
            raw_sql(hours).execute(&mut before).await.unwrap();
            raw_sql("DROP INDEX rollup_1h_bucket")
                .execute(&mut before)
                .await
                .unwrap();
        }
        raw_sql("INSERT INTO rollup_1h (host, bucket, coverage, cpu) VALUES ('a', to_timestamp(0), 1.0, 0.75)")
            .execute(&mut before)
            .await
            .unwrap();
        let mut store = place.open().await;
        let back = store.recover(SINCE).await.unwrap();
        assert_eq!(back.hosts, [("a".into(), 70_000)].into());
        assert_eq!((back.tail.len(), back.tail[0].1.start_ms), (1, 60_000));
        assert_eq!(back.watermarks.len(), 1);
        let row = back.rollups["a"][0];
        assert_eq!((row.begin_ms, row.mean[0]), (60_000, 0.25));
        let hour: f32 = query_scalar("SELECT cpu FROM rollup_1h")
            .fetch_one(&mut before)
            .await
            .unwrap();
        assert_eq!(hour, 0.75);
        let plan = plan(&mut store).await;
        assert!(plan.contains("rollup_1h_bucket"), "{plan}");
        store.close().await.unwrap();
    }
}
