//! A place for a database of a test.

use super::{Sqlite, dialect::Connection};
use crate::store::reader::Database;

/// A folder that goes with the test.
pub(in crate::store) struct Place(tempfile::TempDir);

impl Place {
    /// Always there.
    #[expect(clippy::unnecessary_wraps, reason = "other databases are not everywhere")]
    pub(in crate::store) fn new() -> Option<Self> {
        Some(Self(tempfile::tempdir().unwrap()))
    }

    /// The store in it.
    pub(in crate::store) async fn open(&self) -> Sqlite {
        Sqlite::open(self.0.path()).await.unwrap()
    }

    /// The same for those who only read.
    pub(in crate::store) fn database(&self) -> Database {
        Database::file(&self.0.path().join("brain.db"))
    }
}

/// Past the store.
pub(in crate::store) fn connection(store: &mut Sqlite) -> &mut Connection {
    &mut store.connection
}

/// What a query counts.
pub(crate) async fn count(store: &mut Sqlite, what: &'static str) -> usize {
    let count: i64 = sqlx::query_scalar(what).fetch_one(connection(store)).await.unwrap();
    usize::try_from(count).unwrap()
}

/// Tables and views with their columns.
pub(in crate::store) const COLUMNS: &str = "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
     WHERE m.type IN ('table', 'view') AND m.name NOT IN ('_sqlx_migrations', 'comments')";

/// What is said of them.
pub(in crate::store) const COMMENTS: &str = "SELECT relation, nullif(name, ''), text FROM comments";

/// How many days longer than told rows may stay.
pub(in crate::store) const SLACK_DAYS: i64 = 0;
