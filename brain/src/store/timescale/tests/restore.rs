//! Back-up and restore as docs/store.md has them, with the server's own programs: `FORESHADOW_TEST_PG_BIN` names their folder.

use std::{path::Path, process::Command};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, query_scalar, raw_sql};

use super::{super::testing::Place, *};
use crate::{
    store::testing::{SINCE, full_batch},
    testing::step_aside,
};

fn run(folder: &str, program: &str, arguments: &[&str]) {
    let ended = Command::new(Path::new(folder).join(program))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        ended.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

async fn say(url: &str, sql: String) {
    let mut session = PgConnection::connect(url).await.unwrap();
    raw_sql(AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
    session.close().await.unwrap();
}

#[tokio::test]
async fn a_restored_database_goes_on_with_its_watermarks() {
    let Some(place) = Place::new() else { return };
    let Ok(programs) = std::env::var("FORESHADOW_TEST_PG_BIN") else {
        return step_aside("FORESHADOW_TEST_PG_BIN names no folder with pg_dump and pg_restore");
    };
    let (connect, _) = place.options.connect().unwrap();
    let server = format!(
        "postgres://{}@{}:{}",
        connect.get_username(),
        connect.get_host(),
        connect.get_port()
    );
    let (name, copy) = (place.options.schema.clone(), format!("{}_copy", place.options.schema));
    for database in [&name, &copy] {
        say(
            &place.options.url,
            format!("CREATE DATABASE {database} TEMPLATE template0"),
        )
        .await;
    }
    let options = |database: &str| Options {
        url: format!("{server}/{database}"),
        ..place.options.clone()
    };
    let open = async |database: &str| {
        let opened = Timescale::open(&options(database), &testing::RETENTION, place.folder.path()).await;
        opened.unwrap()
    };
    let mut store = open(&name).await;
    store.write(&full_batch()).await.unwrap();
    let before = store.recover(SINCE).await.unwrap();
    let file = place.folder.path().join("foreshadow.dump").display().to_string();
    // The brain need not stop for it.
    run(&programs, "pg_dump", &["-Fc", "-f", &file, &format!("{server}/{name}")]);
    store.close().await.unwrap();

    let to = format!("{server}/{copy}");
    say(&to, "CREATE EXTENSION timescaledb".to_owned()).await;
    say(&to, "SELECT timescaledb_pre_restore()".to_owned()).await;
    run(&programs, "pg_restore", &["-d", &to, &file]);
    say(&to, "SELECT timescaledb_post_restore()".to_owned()).await;

    let mut store = open(&copy).await;
    let after = store.recover(SINCE).await.unwrap();
    assert_eq!((&after.watermarks, &after.tail), (&before.watermarks, &before.tail));
    // As text, for what is not known equals nothing.
    assert_eq!(format!("{:?}", after.rollups), format!("{:?}", before.rollups));
    assert_eq!(after.commands, before.commands);
    assert!(!after.tail.is_empty() && !after.rollups.is_empty());
    // What comes later lands in chunks of its own.
    let mut later = full_batch();
    later.rollups = later
        .rollups
        .into_iter()
        .map(|((host, ms), row)| ((host, ms + 86_400_000), row))
        .collect();
    store.write(&later).await.unwrap();
    let rows: i64 = query_scalar("SELECT count(*) FROM rollup_10s")
        .fetch_one(testing::connection(&mut store))
        .await
        .unwrap();
    assert_eq!(rows, 14);
    store.close().await.unwrap();
    for database in [&name, &copy] {
        say(&place.options.url, format!("DROP DATABASE {database} WITH (FORCE)")).await;
    }
}
