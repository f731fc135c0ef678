//! What a brain has made durable.

use std::path::Path;

use sqlx::{
    Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

/// The numbers in the first column that `query` selects from the brain's database in `folder`.
pub(crate) fn numbers(folder: &Path, query: &'static str) -> Vec<i64> {
    let rows = select(folder, query);
    rows.iter().map(|row| row.get::<i64, _>(0)).collect()
}

/// The texts in the first column.
pub(crate) fn texts(folder: &Path, query: &'static str) -> Vec<String> {
    let rows = select(folder, query);
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

fn select(folder: &Path, query: &'static str) -> Vec<SqliteRow> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(folder.join("brain.db"));
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        let rows = sqlx::query(query).fetch_all(&mut database).await.unwrap();
        database.close().await.unwrap();
        rows
    })
}

/// The one number that `query` selects.
pub(crate) fn number(folder: &Path, query: &'static str) -> i64 {
    let found = numbers(folder, query);
    assert_eq!(found.len(), 1, "{query}");
    found[0]
}

/// Frames and events that lie between the first and the last of each epoch but are not there.
pub(crate) fn missing_frames(folder: &Path) -> i64 {
    let query = "SELECT coalesce(sum(lost), 0) FROM (SELECT max(sequence) + 1 - count(*) AS lost FROM \
                 (SELECT host, vantage, epoch, sequence FROM frames \
                  UNION ALL SELECT host, vantage, epoch, sequence FROM events) GROUP BY host, vantage, epoch)";
    number(folder, query)
}
