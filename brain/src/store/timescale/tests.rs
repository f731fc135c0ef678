//! What only a server shows. All of these need one: `FORESHADOW_TEST_DATABASE_URL`.

use sqlx::{Connection as _, Row as _, query, query_scalar};

use super::{testing::Place, *};
use crate::store::testing::{SINCE, frame, full_batch, stream};

mod outages;
mod restore;
mod tsl;
mod upgrade;

/// A second session, as another program has it.
async fn other(place: &Place) -> PgConnection {
    let (connect, _) = place.options.connect().unwrap();
    PgConnection::connect_with(&connect).await.unwrap()
}

#[tokio::test]
async fn a_schema_has_one_brain_and_is_free_after_it() {
    let Some(place) = Place::new() else { return };
    let first = place.open().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let again = Timescale::open(&place.options, &testing::RETENTION, elsewhere.path()).await;
    let error = again.unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)), "{error}");
    first.close().await.unwrap();
    place.open().await;
}

#[tokio::test]
async fn a_brain_waits_for_the_end_of_the_one_before() {
    let Some(mut place) = Place::new() else { return };
    let first = place.open().await;
    place.options.lock_patience = LOCK_PATIENCE;
    let elsewhere = tempfile::tempdir().unwrap();
    let second = Timescale::open(&place.options, &testing::RETENTION, elsewhere.path());
    // Dropped as a kill drops it: nobody says goodbye.
    let (second, ()) = tokio::join!(second, async { drop(first) });
    second.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let Some(place) = Place::new() else { return };
    place.open().await.close().await.unwrap();
    let later = "INSERT INTO _sqlx_migrations VALUES (99, 'later', now(), true, '\\x00', 0)";
    query(later).execute(&mut other(&place).await).await.unwrap();
    let error = place.try_open().await.unwrap_err();
    let newest = schema::MIGRATIONS.last().unwrap().0;
    assert!(
        matches!(error, StoreError::Newer { found: 99, known, .. } if known == newest),
        "{error}"
    );
}

#[tokio::test]
async fn a_session_that_is_ended_is_followed_by_another() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    store.write(&full_batch()).await.unwrap();
    let pid: i32 = query_scalar("SELECT pg_backend_pid()")
        .fetch_one(testing::connection(&mut store))
        .await
        .unwrap();
    query("SELECT pg_terminate_backend($1, 10000)")
        .bind(pid)
        .execute(&mut other(&place).await)
        .await
        .unwrap();
    let error = store.write(&full_batch()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    store.write(&full_batch()).await.unwrap();
    let back = store.recover(SINCE).await.unwrap();
    assert_eq!(back.watermarks, full_batch().watermarks);
    let again = Timescale::open(&place.options, &testing::RETENTION, tempfile::tempdir().unwrap().path()).await;
    assert!(matches!(again, Err(StoreError::InUse(_))), "the lock is held again");
}

#[tokio::test]
async fn a_deadlock_is_told_as_busy_and_the_next_try_writes() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    store.write(&full_batch()).await.unwrap();
    let mut other = other(&place).await;
    query("SET deadlock_timeout = '1h'").execute(&mut other).await.unwrap();
    // The batch changes the host first and the watermark last.
    let mut theirs = other.begin().await.unwrap();
    query("UPDATE watermarks SET ranges = ranges")
        .execute(&mut *theirs)
        .await
        .unwrap();
    let batch = full_batch();
    let ours = store.write(&batch);
    let theirs = async {
        let blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()";
        while query_scalar::<_, i64>(blocked).fetch_one(&mut *theirs).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        // Whoever waited for longer is looked at first, and gives way.
        query("UPDATE hosts SET host = host")
            .execute(&mut *theirs)
            .await
            .unwrap();
        theirs.commit().await.unwrap();
    };
    let (ours, ()) = tokio::join!(ours, theirs);
    let error = ours.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("deadlock"),
        "{error}"
    );
    store.write(&batch).await.unwrap();
}

#[tokio::test]
async fn old_chunks_go_as_a_whole_and_the_rest_by_rows() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let day = 86_400_000;
    let mut batch = full_batch();
    for ((host, begin_ms), rollup) in full_batch().rollups {
        batch.rollups.insert((host, begin_ms + 30 * day), rollup);
    }
    for ((host, begin_ms), rollup) in full_batch().minutes {
        batch.minutes.insert((host, begin_ms + 30 * day), rollup);
    }
    store.write(&batch).await.unwrap();
    let count = async |store: &mut Timescale, table: &str| -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        query_scalar(sql).fetch_one(testing::connection(store)).await.unwrap()
    };
    let cutoffs = |before: i64| Cutoffs {
        now: 30 * day,
        frames: before,
        rollup_10s: before,
        rollup_1m: before,
        rollup_1h: before,
        forecasts: before,
        events: before,
    };
    store.prune(&cutoffs(60_001)).await.unwrap();
    assert_eq!(count(&mut store, "rollup_10s").await, 14, "their chunk is not over");
    assert_eq!(count(&mut store, "commands").await, 0);
    store.prune(&cutoffs(29 * day)).await.unwrap();
    for (table, left) in [
        ("frames", 0),
        ("rollup_10s", 7),
        ("rollup_1m", 2),
        ("forecasts", 0),
        ("events", 0),
        ("hosts", 0),
        ("births", 0),
        ("watermarks", 0),
    ] {
        assert_eq!(count(&mut store, table).await, left, "{table}");
    }
}

/// A batch with as many old chunks as the engine lets one have: of frames, of minutes, and of those of workloads.
fn scattered(first: i64) -> Batch {
    const WEEK_MS: i64 = 7 * 86_400_000;
    let mut batch = full_batch();
    let times = || (first..first + 64).map(|week| week * WEEK_MS);
    let minute = *batch.minutes.values().next().unwrap();
    let uses = *batch.workloads.values().next().unwrap();
    batch.frames = times().map(|ms| (stream(), frame(5 + ms.unsigned_abs(), ms))).collect();
    batch.minutes = times().map(|ms| (("web-1".into(), ms), minute)).collect();
    batch.workloads = times()
        .map(|ms| (("web-1".into(), "web".to_owned(), ms), uses))
        .collect();
    batch
}

async fn count(store: &mut Timescale, sql: &'static str) -> i64 {
    query_scalar(sql).fetch_one(testing::connection(store)).await.unwrap()
}

/// By the server's own defaults there is room for 64 locks of each of a hundred sessions.
#[tokio::test]
async fn a_batch_of_times_made_up_needs_a_third_of_the_locks_that_a_server_has() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let locks = "CREATE TABLE locks AS SELECT 0::bigint AS taken; \
                 CREATE FUNCTION count_locks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 UPDATE locks SET taken = (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()); RETURN NEW; END $$; \
                 CREATE TRIGGER count_locks BEFORE INSERT ON watermarks FOR EACH ROW EXECUTE FUNCTION count_locks()";
    // Watermarks are written last.
    sqlx::raw_sql(locks)
        .execute(testing::connection(&mut store))
        .await
        .unwrap();
    store.write(&scattered(0)).await.unwrap();
    let taken = count(&mut store, "SELECT taken FROM locks").await;
    assert!((3 * 64 * 4..64 * 100 / 2).contains(&taken), "{taken} locks");
    // Twice is once, as ever.
    store.write(&scattered(0)).await.unwrap();
    for table in [
        "SELECT count(*) FROM frames",
        "SELECT count(*) FROM rollup_1m",
        "SELECT count(*) FROM workload_1m",
    ] {
        assert_eq!(count(&mut store, table).await, 64, "{table}");
    }
}

#[tokio::test]
async fn chunks_are_dropped_a_bounded_number_at_a_time() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    for batch in 0..3 {
        store.write(&scattered(64 * batch)).await.unwrap();
    }
    let week_ms = 7 * 86_400_000;
    // All but the newest ten weeks.
    let cutoffs = Cutoffs {
        now: 200 * week_ms,
        frames: 182 * week_ms,
        rollup_1m: 182 * week_ms,
        ..Cutoffs::default()
    };
    let frames = "SELECT count(*) FROM frames";
    let mut left = Vec::new();
    for more in [true, true, false] {
        assert_eq!(store.prune(&cutoffs).await.unwrap(), more);
        left.push(count(&mut store, frames).await);
    }
    assert_eq!(left, [192 - 64, 192 - 128, 10]);
    assert_eq!(count(&mut store, "SELECT count(*) FROM workload_1m").await, 10);
    assert!(!store.prune(&cutoffs).await.unwrap());
    assert_eq!(count(&mut store, frames).await, 10);
}

#[tokio::test]
async fn a_text_that_the_server_refuses_does_not_stop_the_batch() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let mut batch = full_batch();
    batch.events[0].1.finding.text = "a\0b".into();
    store.write(&batch).await.unwrap();
    let text = query("SELECT text FROM events WHERE sequence = 3")
        .fetch_one(testing::connection(&mut store))
        .await
        .unwrap();
    assert_eq!(text.get::<&str, _>(0), "a\u{fffd}b");
}

#[tokio::test]
async fn times_past_what_a_calendar_tells_are_held_at_its_ends() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    for told in [i64::MIN, -1, 0, 1, i64::MAX] {
        let time = query("SELECT $1")
            .bind(dialect::at(told))
            .fetch_one(testing::connection(&mut store))
            .await
            .unwrap();
        let back = dialect::instant(&time, 0).unwrap();
        assert_eq!(back, told.clamp(0, 253_402_300_799_999));
    }
}

#[tokio::test]
async fn a_server_without_the_extension_is_told_what_it_lacks() {
    let Some(place) = Place::new() else { return };
    // A database that is made from the bare template, by a user who may not add an extension to it.
    let name = place.options.schema.clone();
    let mut admin = other(&place).await;
    for sql in [
        format!("CREATE ROLE {name} LOGIN"),
        format!("CREATE DATABASE {name} TEMPLATE template0"),
    ] {
        query(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    }
    let (connect, _) = place.options.connect().unwrap();
    let url = format!("postgres://{name}@{}:{}/{name}", connect.get_host(), connect.get_port());
    let options = Options {
        url,
        ..place.options.clone()
    };
    let error = Timescale::open(&options, &testing::RETENTION, place.folder.path())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("the extension timescaledb is not there"),
        "{error}"
    );
}

#[test]
fn a_server_that_is_not_there_and_an_address_that_is_none_are_named() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let open = |url: &str| {
        let options = Options {
            url: url.to_owned(),
            password_file: None,
            schema: "foreshadow".into(),
            lock_patience: Duration::ZERO,
        };
        let folder = tempfile::tempdir().unwrap();
        let opened = runtime.block_on(Timescale::open(&options, &testing::RETENTION, folder.path()));
        opened.unwrap_err().to_string()
    };
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let told = open(&format!("postgres://me@{nobody}/x"));
    assert!(
        told.starts_with(&format!("postgres://me@{nobody}/x (foreshadow): ")),
        "{told}"
    );
    let told = open("postgres//:secret");
    assert!(told.contains("store.database") && !told.contains("secret"), "{told}");
}

#[test]
fn answers_after_which_another_try_may_help_are_told_from_the_others() {
    for lost in [
        sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()),
        sqlx::Error::Protocol("cut".into()),
    ] {
        assert!(fault::ends_connection(&lost) && fault::told("db", &lost).is_transient());
    }
    let ours = sqlx::Error::RowNotFound;
    assert!(!fault::ends_connection(&ours) && !fault::told("db", &ours).is_transient());
}

/// docs/schema.md shows people two statements.
#[tokio::test]
async fn what_the_page_shows_is_answered() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let mut batch = full_batch();
    let due_ms = 60_000 + 300_000;
    let (_, row) = batch.rollups.pop_first().unwrap();
    batch.rollups = [(("web-1".into(), due_ms - 10_000), row)].into();
    batch.forecasts[0].1.quantiles = shadow::Quantiles::from_array([0.1, 0.15, 0.2, 0.22]);
    store.write(&batch).await.unwrap();
    let session = testing::connection(&mut store);
    query("INSERT INTO rollup_1m (host, bucket, coverage, cpu, cpu_max) VALUES ('web-1', now() - INTERVAL '10 min', 1, 0.25, 0.5)")
        .execute(&mut *session)
        .await
        .unwrap();
    let page = include_str!("../comments/head.md");
    let (_, shown) = page.split_once("```sql\n").unwrap();
    let shown = shown.split_once("```").unwrap().0.replace("foreshadow.", "");
    let [busiest, above, ""] = shown.split(";\n").map(str::trim).collect::<Vec<_>>()[..] else {
        panic!("{shown}")
    };
    let told = query(sqlx::AssertSqlSafe(busiest.to_owned()))
        .fetch_one(&mut *session)
        .await
        .unwrap();
    assert_eq!(told.get::<&str, _>("host"), "web-1");
    assert!((told.get::<f64, _>("cpu") - 25.0).abs() < 1e-6 && (told.get::<f64, _>("peak") - 50.0).abs() < 1e-6);
    let told = query(sqlx::AssertSqlSafe(format!(
        "SELECT host, resource, above::float8 FROM ({above}) AS shown"
    )))
    .fetch_one(&mut *session)
    .await
    .unwrap();
    assert_eq!(
        (told.get::<&str, _>(1), told.get::<f64, _>(2)),
        ("cpu", 1.0),
        "0.25 is above 0.2"
    );
}
