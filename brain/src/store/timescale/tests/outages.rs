//! What a database may do to a brain: be slow, be read-only for a while, die or lose its brain in the midst of a batch, be
//! full, come back with less than it had.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, query, query_scalar, raw_sql};
use tokio::time::{Instant, sleep};

use super::{
    super::{patience::Patience, testing::Place, *},
    other,
};
use crate::{
    ingest::RangeSet,
    store::testing::{SINCE, frame, full_batch, stream},
};

mod disk;
mod server;
mod standby;

use server::Server;

/// The next batch of the brain that wrote [`full_batch`].
fn next_batch() -> Batch {
    let mut batch = full_batch();
    batch.hosts = [("web-1".into(), 79_000), ("web-2".into(), 79_000)].into();
    batch.frames = (3..40).map(|sequence| (stream(), frame(sequence, 70_000))).collect();
    batch.watermarks = [((stream(), 7), RangeSet::from_ranges([0..1, 2..40]))].into();
    batch
}

/// How many rows each table has.
async fn rows(session: &mut PgConnection) -> BTreeMap<String, i64> {
    let mut rows = BTreeMap::new();
    for table in query_scalar::<_, String>(dialect::TABLES)
        .fetch_all(&mut *session)
        .await
        .unwrap()
    {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        rows.insert(table, query_scalar(count).fetch_one(&mut *session).await.unwrap());
    }
    rows
}

async fn backend(store: &mut Timescale) -> i32 {
    query_scalar("SELECT pg_backend_pid()")
        .fetch_one(testing::connection(store))
        .await
        .unwrap()
}

/// Ends the session of `store` from outside, and waits until it is gone.
async fn end(store: &mut Timescale, place: &Place) {
    let pid = backend(store).await;
    query("SELECT pg_terminate_backend($1, 10000)")
        .bind(pid)
        .execute(&mut other(place).await)
        .await
        .unwrap();
}

/// Waits until a session waits for the lock on the watermarks, which a batch tells last.
async fn until_it_waits_for_the_watermarks(session: &mut PgConnection) {
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'watermarks'::regclass)";
    while !query_scalar::<_, bool>(waits).fetch_one(&mut *session).await.unwrap() {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Writes until it is written; tells the errors before.
async fn insist(store: &mut Timescale, batch: &Batch) -> Vec<StoreError> {
    let mut errors = Vec::new();
    let end = Instant::now() + Duration::from_mins(2);
    while let Err(error) = store.write(batch).await {
        assert!(error.is_transient() && Instant::now() < end, "{error}");
        errors.push(error);
        sleep(Duration::from_millis(100)).await;
    }
    errors
}

#[tokio::test]
async fn a_batch_that_needs_longer_than_it_is_given_is_given_more() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN PERFORM pg_sleep(1.5); RETURN NEW; END $$; \
                CREATE TRIGGER slow BEFORE INSERT ON hosts FOR EACH ROW EXECUTE FUNCTION slow()";
    raw_sql(slow).execute(testing::connection(&mut store)).await.unwrap();
    let shortest = Duration::from_millis(200);
    store.patience = Patience::new(shortest, LONGEST);
    let errors = insist(&mut store, &full_batch()).await;
    let late = errors
        .iter()
        .filter(|error| error.to_string().contains("no answer in time"));
    assert!(late.count() >= 3, "{errors:?}");
    assert_eq!(store.patience.span(), shortest, "the next one begins anew");
    assert_eq!(store.recover(SINCE).await.unwrap().watermarks, full_batch().watermarks);
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
#[tokio::test]
async fn each_answer_of_the_server_is_taken_as_what_it_is() {
    let Some(place) = Place::new() else { return };
    let mut session = other(&place).await;
    for (code, transient, ends) in [
        ("08006", true, true),   // connection failure
        ("25006", true, true),   // read-only: a standby
        ("25P03", true, true),   // idle in a transaction for too long
        ("25P04", true, true),   // a transaction that took too long
        ("40001", true, false),  // serialization failure
        ("40P01", true, false),  // deadlock
        ("53100", true, false),  // disk full
        ("53200", true, false),  // out of memory
        ("53300", true, false),  // too many connections
        ("55P03", true, false),  // lock not available
        ("57014", true, false),  // cancelled
        ("57P01", true, true),   // shutdown
        ("57P03", true, true),   // it starts
        ("58030", true, true),   // I/O error
        ("22003", false, false), // number out of range
        ("23505", false, false), // unique violation
        ("42P01", false, false), // no such table
        ("42501", false, false), // not allowed
    ] {
        let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'as asked for' USING ERRCODE = '{code}'; END $$");
        let error = raw_sql(AssertSqlSafe(raise)).execute(&mut session).await.unwrap_err();
        let told = fault::told("db", &error);
        assert!(told.to_string().contains("as asked for"), "{code}: {told}");
        assert_eq!(
            (told.is_transient(), fault::ends_connection(&error)),
            (transient, ends),
            "{code}"
        );
    }
}

#[tokio::test]
async fn a_serialization_failure_is_told_as_busy_and_the_next_try_writes() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    store.write(&full_batch()).await.unwrap();
    query("SET default_transaction_isolation = 'repeatable read'")
        .execute(testing::connection(&mut store))
        .await
        .unwrap();
    let mut theirs = other(&place).await;
    raw_sql("BEGIN; UPDATE hosts SET host = host")
        .execute(&mut theirs)
        .await
        .unwrap();
    let (batch, mut watcher) = (next_batch(), other(&place).await);
    let release = async {
        let waits = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                     WHERE NOT granted AND application_name = 'foreshadow-brain' AND query LIKE 'INSERT INTO hosts%' \
                     AND pg_blocking_pids(pid) <> '{}')";
        while !query_scalar::<_, bool>(waits).fetch_one(&mut watcher).await.unwrap() {
            sleep(Duration::from_millis(10)).await;
        }
        raw_sql("COMMIT").execute(&mut theirs).await.unwrap();
    };
    let (written, ()) = tokio::join!(store.write(&batch), release);
    let error = written.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("could not serialize"),
        "{error}"
    );
    store.write(&batch).await.unwrap();
}

#[tokio::test]
async fn a_server_that_only_reads_for_a_while_is_waited_for() {
    let Some(mut place) = Place::new() else { return };
    let role = place.options.schema.clone();
    let mut admin = other(&place).await;
    let mut say = async |sql: String| {
        raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    };
    say(format!(
        "CREATE ROLE {role} LOGIN; CREATE SCHEMA {role} AUTHORIZATION {role}"
    ))
    .await;
    let superuser = place.options.url.clone();
    place.options.url = superuser.replacen("postgres@", &format!("{role}@"), 1);
    let mut store = place.open().await;
    store.write(&full_batch()).await.unwrap();
    // As a server that has become a standby.
    say(format!("ALTER ROLE {role} SET default_transaction_read_only = on")).await;
    let pid = backend(&mut store).await;
    say(format!("SELECT pg_terminate_backend({pid}, 10000)")).await;
    store.write(&next_batch()).await.unwrap_err();
    for _ in 0..2 {
        let error = store.write(&next_batch()).await.unwrap_err();
        assert!(
            error.is_transient() && error.to_string().contains("read-only transaction"),
            "{error}"
        );
        assert!(store.connection.is_none(), "the next try looks for another server");
    }
    say(format!("ALTER ROLE {role} RESET default_transaction_read_only")).await;
    store.write(&next_batch()).await.unwrap();
    assert_eq!(store.recover(SINCE).await.unwrap().watermarks, next_batch().watermarks);
}

#[tokio::test]
async fn a_database_that_has_lost_a_batch_ends_the_brain() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    store.write(&full_batch()).await.unwrap();
    let mark = async || -> String {
        query_scalar("SELECT value FROM meta WHERE key = 'last_batch'")
            .fetch_one(&mut other(&place).await)
            .await
            .unwrap()
    };
    let older = mark().await;
    store.write(&next_batch()).await.unwrap();
    let newer = mark().await;
    assert_ne!(older, newer);
    // A commit whose answer was lost is no loss.
    for accepted in [newer.clone(), store.last.next().to_owned()] {
        set_mark(&place, &accepted).await;
        end(&mut store, &place).await;
        assert_eq!(insist(&mut store, &next_batch()).await.len(), 1);
    }
    // A standby that had not got the last one takes over.
    set_mark(&place, &older).await;
    end(&mut store, &place).await;
    assert!(store.write(&next_batch()).await.unwrap_err().is_transient());
    let error = store.write(&next_batch()).await.unwrap_err();
    assert!(matches!(error, StoreError::Changed(_)), "{error}");
    assert!(
        !error.is_transient() && error.to_string().contains("standby"),
        "{error}"
    );
    assert_eq!(mark().await, older, "nothing was written over it");
    drop(store);
    // A brain that is started anew believes what is there.
    place.open().await.write(&next_batch()).await.unwrap();
}

async fn set_mark(place: &Place, mark: &str) {
    query("UPDATE meta SET value = $1 WHERE key = 'last_batch'")
        .bind(mark)
        .execute(&mut other(place).await)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_brain_that_ends_in_mid_flush_leaves_nothing_of_its_batch() {
    let Some(mut place) = Place::new() else { return };
    place.options.lock_patience = LOCK_PATIENCE;
    let mut store = place.open().await;
    store.write(&full_batch()).await.unwrap();
    let (mut theirs, mut watcher) = (other(&place).await, other(&place).await);
    let before = rows(&mut watcher).await;
    raw_sql("BEGIN; LOCK TABLE watermarks")
        .execute(&mut theirs)
        .await
        .unwrap();
    let writing = tokio::spawn(async move { store.write(&next_batch()).await });
    until_it_waits_for_the_watermarks(&mut theirs).await;
    writing.abort();
    assert!(writing.await.unwrap_err().is_cancelled());
    raw_sql("ROLLBACK").execute(&mut theirs).await.unwrap();
    let mut store = place.open().await;
    assert_eq!(rows(&mut watcher).await, before);
    assert_eq!(store.recover(SINCE).await.unwrap().watermarks, full_batch().watermarks);
    store.write(&next_batch()).await.unwrap();
    let back = store.recover(SINCE).await.unwrap();
    assert_eq!((back.watermarks, back.hosts.len()), (next_batch().watermarks, 2));
}

#[tokio::test]
async fn a_server_that_is_killed_in_mid_flush_has_nothing_of_the_batch() {
    let Some(mut server) = Server::start() else { return };
    let place = Place::at(server.url().to_owned());
    let mut store = place.open().await;
    store.write(&full_batch()).await.unwrap();
    let mut theirs = other(&place).await;
    let before = rows(&mut theirs).await;
    let pid = backend(&mut store).await;
    raw_sql("BEGIN; LOCK TABLE watermarks")
        .execute(&mut theirs)
        .await
        .unwrap();
    let kill = async {
        until_it_waits_for_the_watermarks(&mut theirs).await;
        server.kill(pid);
    };
    let batch = next_batch();
    let (written, ()) = tokio::join!(store.write(&batch), kill);
    let error = written.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(store.write(&batch).await.unwrap_err().is_transient(), "nobody is there");
    server.again();
    let mut watcher = other(&place).await;
    assert_eq!(rows(&mut watcher).await, before);
    insist(&mut store, &batch).await;
    assert_eq!(store.recover(SINCE).await.unwrap().watermarks, batch.watermarks);
    let frames = rows(&mut watcher).await["frames"] - before["frames"];
    assert_eq!(frames, 37, "each once");
}
