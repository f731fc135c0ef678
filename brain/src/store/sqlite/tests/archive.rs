//! Databases read as they stand, by who looks on.

use std::{fs, ops::ControlFlow};

use super::*;
use crate::{
    history::Database,
    store::archive::{self, Entry, Stored},
};

async fn entries(file: &Path, hosts: &[&str]) -> Vec<Entry> {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut entries = Vec::new();
    let database = Database::file(file);
    let told = archive::read(
        &database,
        &hosts,
        |_, _| {},
        |entry| {
            entries.push(entry);
            ControlFlow::<()>::Continue(())
        },
    );
    assert_eq!(told.await.unwrap(), ControlFlow::Continue(()));
    entries
}

fn kinds(entries: &[Entry]) -> Vec<&'static str> {
    entries.iter().map(|entry| entry.kind).collect()
}

#[tokio::test]
async fn everything_is_told_as_it_was_while_a_brain_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("brain.db");
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    let batch = full_batch();
    store.write(&batch).await.unwrap();
    let all = entries(&file, &[]).await;
    let expected = [
        "birth",
        "frame",
        "frame",
        "event",
        "event",
        "watermark",
        "hole",
        "command",
        "outcome",
    ];
    assert_eq!(kinds(&all), expected);
    for entry in all {
        let vantage = (!["command", "outcome"].contains(&entry.kind)).then_some(Vantage::Inband);
        assert_eq!((entry.host.as_deref(), entry.vantage), (Some("web-1"), vantage));
        match entry.stored.unwrap() {
            Stored::Birth(birth) => assert_eq!(*birth, *batch.births[0].1),
            Stored::Frame(frame) => assert!(batch.frames.contains(&(stream(), frame))),
            Stored::Event(event) => assert!(batch.events.contains(&(stream(), event))),
            Stored::Watermark(mark) => {
                assert_eq!((mark.epoch, mark.durable_below), (7, 3));
                assert!(
                    mark.missing.iter().eq(std::iter::once(&(1..2))),
                    "told as a watermark tells it"
                );
            }
            Stored::Hole(hole) => assert_eq!(hole, batch.holes[0].1),
            Stored::Command(command) => assert_eq!(command, batch.commands[0]),
            Stored::Outcome(outcome) => assert_eq!(outcome, batch.outcomes[0]),
        }
    }
    assert_eq!(entries(&file, &["web-1"]).await.len(), expected.len());
    assert_eq!(kinds(&entries(&file, &["web-2"]).await), [""; 0]);
    let (mut seen, database) = (0, Database::file(&file));
    let told = archive::read(
        &database,
        &[],
        |_, _| {},
        |_| {
            seen += 1;
            if seen == 3 {
                ControlFlow::Break("enough")
            } else {
                ControlFlow::Continue(())
            }
        },
    );
    assert_eq!(told.await.unwrap(), ControlFlow::Break("enough"));
    assert_eq!(seen, 3);
    store.write(&batch).await.unwrap();
}

#[tokio::test]
async fn a_row_that_cannot_be_read_costs_itself_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    store.write(&full_batch()).await.unwrap();
    for damage in [
        "UPDATE births SET body = x'ff'",
        "UPDATE frames SET samples = -1 WHERE sequence = 0",
        "UPDATE events SET severity = 'x', vantage = 'y' WHERE sequence = 3",
        "UPDATE outcomes SET changes = '{'",
    ] {
        query(damage).execute(&mut store.connection).await.unwrap();
    }
    let all = entries(&folder.path().join("brain.db"), &[]).await;
    let faulty: Vec<_> = all.iter().filter(|entry| entry.stored.is_err()).collect();
    let told: Vec<_> = faulty.iter().map(|entry| (entry.kind, entry.vantage)).collect();
    let inband = Some(Vantage::Inband);
    assert_eq!(
        told,
        [("birth", inband), ("frame", inband), ("event", None), ("outcome", None)]
    );
    assert_eq!(all.len(), 9);
}

#[tokio::test]
async fn older_databases_are_read_and_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&options).await.unwrap();
    let (_, _, first) = MIGRATIONS[0];
    sqlx::raw_sql(first).execute(&mut old).await.unwrap();
    let frame = "INSERT INTO frames VALUES ('a', 'oob', 7, 0, 9, 1, 1, x'00')";
    let host = "INSERT INTO hosts VALUES ('a', 9, 9)";
    sqlx::raw_sql(host).execute(&mut old).await.unwrap();
    sqlx::raw_sql(frame).execute(&mut old).await.unwrap();
    old.close().await.unwrap();
    let before = fs::read(&file).unwrap();
    let all = entries(&file, &[]).await;
    assert_eq!(kinds(&all), ["frame"]);
    assert!(matches!(&all[0].stored, Ok(Stored::Frame(frame)) if frame.reference == 0));
    assert_eq!(fs::read(&file).unwrap(), before);

    let other = folder.path().join("other.db");
    let options = SqliteConnectOptions::new().filename(&other).create_if_missing(true);
    let mut foreign = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("CREATE TABLE births (a)")
        .execute(&mut foreign)
        .await
        .unwrap();
    foreign.close().await.unwrap();
    for file in [&other, &folder.path().join("nowhere.db")] {
        let told = archive::read(
            &Database::file(file),
            &[],
            |_, _| {},
            |_| ControlFlow::<()>::Continue(()),
        )
        .await;
        assert!(told.unwrap_err().to_string().contains(file.to_str().unwrap()));
        assert_eq!(file.exists(), *file == other, "nothing is made");
    }
}
