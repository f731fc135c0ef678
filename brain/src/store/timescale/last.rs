//! Whether a database that was connected to again is the one that was left.
//!
//! A standby that takes over may lack what its primary had answered for, where the primary does not wait for it; a person
//! may restore an older copy; another brain may have been there meanwhile. What this brain remembers as durable would be
//! wrong then: its next batch would tell watermarks over frames that are not there. So each batch leaves a mark that no
//! other batch has, and after each connection the mark of the last one has to be there.

use sqlx::{PgConnection, query_scalar};

use crate::store::meta;

/// The mark of the last batch, and that of the next.
#[derive(Debug)]
pub(super) struct Last {
    /// `None` before the first batch ever.
    durable: Option<String>,
    /// It may be there, too: a commit may have happened whose answer was lost.
    next: String,
}

impl Last {
    /// As the database has it.
    pub(super) async fn read(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        Ok(Self {
            durable: found(connection).await?,
            next: mark(),
        })
    }

    /// What the next batch is to leave under [`meta::LAST_BATCH`].
    pub(super) fn next(&self) -> &str {
        &self.next
    }

    /// The next batch is the last one now.
    pub(super) fn written(&mut self) {
        self.durable = Some(std::mem::replace(&mut self.next, mark()));
    }

    /// Whether all is there that is known to be durable, and nothing besides.
    pub(super) async fn is_there(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let found = found(connection).await?;
        Ok(found == self.durable || found.as_deref() == Some(self.next()))
    }
}

/// Whether the server replays what another one writes; false where it does not say.
pub(super) async fn follows(connection: &mut PgConnection) -> bool {
    let asked = query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await;
    asked.unwrap_or(false)
}

async fn found(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    query_scalar("SELECT value FROM meta WHERE key = $1")
        .bind(meta::LAST_BATCH)
        .fetch_optional(connection)
        .await
}

fn mark() -> String {
    format!("{:016x}", rand::random::<u64>())
}
