use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{Connection as _, SqliteConnection, query, sqlite::SqliteConnectOptions};

use super::*;
use crate::store::{
    Batch, Cutoffs, FrameId, Sqlite, Stream,
    testing::{SINCE, full_batch},
};

const SHORT: Patience = Patience {
    all: Duration::from_mins(1),
    pause: Duration::from_millis(100),
};

/// The driver itself waits for five seconds.
#[tokio::test]
async fn a_file_that_another_program_holds_for_a_while_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("brain.db"))
        .create_if_missing(true);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let release = async {
        sleep(Duration::from_secs(7)).await;
        query("ROLLBACK").execute(&mut other).await.unwrap();
        other.close().await.unwrap();
    };
    let (tries, shutdown) = (AtomicU32::new(0), Shutdown::new());
    let open = || {
        tries.fetch_add(1, Ordering::Relaxed);
        Sqlite::open(folder.path())
    };
    let (opened, ()) = tokio::join!(ready(open, SINCE, SHORT, &shutdown), release);
    let (mut store, recovered) = opened.unwrap();
    assert!(tries.load(Ordering::Relaxed) > 1 && recovered.hosts.is_empty());
    store.write(&full_batch()).await.unwrap();
}

#[tokio::test]
async fn a_start_that_finds_all_as_it_was_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    Sqlite::open(folder.path()).await.unwrap().close().await.unwrap();
    let before = fs::read(folder.path().join("brain.db")).unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join("brain.db"));
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    // Nobody else may write now.
    let store = Sqlite::open(folder.path()).await.unwrap();
    query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    store.close().await.unwrap();
    assert!(fs::read(folder.path().join("brain.db")).unwrap() == before);
}

/// Cannot be read the first time.
struct Fake<'a>(&'a AtomicU32);

impl Store for Fake<'static> {
    async fn write(&mut self, _: &Batch) -> Result<(), StoreError> {
        Ok(())
    }

    async fn prune(&mut self, _: &Cutoffs) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn recover(&mut self, _: Since) -> Result<Recovered, StoreError> {
        if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err(busy());
        }
        Ok(Recovered::default())
    }

    async fn find(&mut self, _: &[FrameId]) -> Result<Vec<(Stream, shadow::Frame)>, StoreError> {
        Ok(Vec::new())
    }

    async fn close(self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn busy() -> StoreError {
    StoreError::Busy {
        database: "fake".into(),
        reason: "away".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_back_now_is_read_later_but_not_for_ever() {
    static READ: AtomicU32 = AtomicU32::new(0);
    let shutdown = Shutdown::new();
    let opened = ready(async || Ok(Fake(&READ)), SINCE, PATIENCE, &shutdown).await;
    assert!(opened.is_ok() && READ.load(Ordering::SeqCst) == 2);

    let begun = Instant::now();
    let never = async || Err::<Fake<'static>, _>(busy());
    assert!(ready(never, SINCE, PATIENCE, &shutdown).await.is_err());
    assert!(begun.elapsed() >= PATIENCE.all);

    let begun = Instant::now();
    shutdown.trigger("the test ends it");
    assert!(ready(never, SINCE, PATIENCE, &shutdown).await.is_err());
    assert!(
        begun.elapsed() < PATIENCE.pause,
        "nobody waits for a brain that is to end"
    );
}
