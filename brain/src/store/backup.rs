//! Copies of a database of SQLite, taken while a brain writes it.

use std::path::Path;

use sqlx::query;

use super::{
    StoreError,
    reader::{Database, Reader, Session},
};

/// Copies all that was durable at one moment into a new file `to`, without a page that is empty. The brain goes on writing
/// meanwhile; its write-ahead log grows until the copy is done.
///
/// # Errors
/// A database that is not there or no file, or a file that cannot be written; one that is there is left as it is.
pub async fn copy(database: &Database, to: &Path) -> Result<(), StoreError> {
    let mut reader = Reader::open(database, None).await?;
    let Session::Sqlite(session) = &mut reader.session else {
        return Err(StoreError::Database {
            database: reader.name,
            reason: "a server's tools make its back-ups: docs/store.md".to_owned(),
        });
    };
    let copied = query("VACUUM INTO $1")
        .bind(to.display().to_string())
        .execute(session)
        .await;
    copied.map_err(|error| reader.told(&error))?;
    reader.close().await
}
