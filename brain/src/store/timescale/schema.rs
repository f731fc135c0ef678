//! The schema: whether it can be had, whose it is, and which version it has.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection,
    migrate::{MigrateError, Migrator},
    query, query_scalar, raw_sql,
};

use tokio::time::{Instant, sleep};

use super::{Options, fault};
use crate::store::{
    Hours, StoreError,
    comments::{self, Comment},
    meta, migrations,
};

/// How often is asked whether a schema is free.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

/// All migrations: version, name, SQL. A version that was released never changes.
pub(super) const MIGRATIONS: &[migrations::Step] = &[
    (
        1,
        "initial",
        include_str!("../../../migrations/timescale/0001_initial.sql"),
    ),
    (
        2,
        "incidents",
        include_str!("../../../migrations/timescale/0002_incidents.sql"),
    ),
    (3, "plans", include_str!("../../../migrations/timescale/0003_plans.sql")),
    (
        4,
        "workload forecasts",
        include_str!("../../../migrations/timescale/0004_workload_forecasts.sql"),
    ),
    // Before, a start made the table, without an index. Where the hours are an aggregate, or are to be one, there is none.
    (
        5,
        "hours",
        concat!(
            "DO $$ DECLARE kind \"char\" := (SELECT relkind FROM pg_class WHERE relname = 'rollup_1h' \
             AND relnamespace = current_schema()::regnamespace); BEGIN \
             IF kind = 'v' OR (kind IS NULL AND current_setting('timescaledb.license') = 'timescale') \
             THEN RETURN; END IF; ",
            include_str!("../../../migrations/timescale/hours.sql"),
            " END $$",
        ),
    ),
    (
        6,
        "workload coverage",
        include_str!("../../../migrations/timescale/0006_workload_coverage.sql"),
    ),
    (8, "books", include_str!("../../../migrations/timescale/0008_books.sql")),
    (
        9,
        "proposals",
        include_str!("../../../migrations/timescale/0009_proposals.sql"),
    ),
];

/// Proves that the extension is there, or makes it where that is allowed.
pub(super) async fn require_extension(connection: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    let told = |error: sqlx::Error| fault::told(name, &error);
    let there = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')";
    if query_scalar(there).fetch_one(&mut *connection).await.map_err(told)? {
        return Ok(());
    }
    let made = query("CREATE EXTENSION timescaledb").execute(&mut *connection).await;
    match made {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) => Err(StoreError::Schema {
            database: name.to_owned(),
            reason: format!(
                "the extension timescaledb is not there ({error}); install TimescaleDB on the server, let its owner \
                 say CREATE EXTENSION timescaledb in this database, or leave store.database out for SQLite"
            ),
        }),
        Err(error) => Err(told(error)),
    }
}

/// Makes the schema where it is not there: a user who may not make one can be given one.
pub(super) async fn create(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    let there = query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)");
    if !there.bind(schema).fetch_one(&mut *connection).await? {
        // The name was checked with the configuration.
        let create = AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""));
        query(create).execute(connection).await?;
    }
    Ok(())
}

/// Takes the schema for this session; tells whether no other session had it.
pub(super) async fn lock(connection: &mut PgConnection, schema: &str) -> Result<bool, sqlx::Error> {
    query_scalar("SELECT pg_try_advisory_lock(hashtextextended('foreshadow brain ' || $1, 0))")
        .bind(schema)
        .fetch_one(connection)
        .await
}

/// Takes the schema, when the brain that had it is gone.
pub(super) async fn wait_for_lock(
    connection: &mut PgConnection,
    options: &Options,
    name: &str,
) -> Result<(), StoreError> {
    let end = Instant::now() + options.lock_patience;
    let mut told = false;
    loop {
        let taken = lock(connection, &options.schema).await;
        if taken.map_err(|error| fault::told(name, &error))? {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(StoreError::InUse(name.to_owned()));
        }
        if !told {
            tracing::warn!(
                database = name,
                "another brain uses it, or did so a moment ago; waiting for its end"
            );
            told = true;
        }
        sleep(LOCK_PAUSE).await;
    }
}

/// Brings the schema up to date.
pub(super) async fn migrate(connection: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    let told = |error: sqlx::Error| fault::told(name, &error);
    let versions = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    if query_scalar(versions).fetch_one(&mut *connection).await.map_err(told)? {
        let found: Option<i64> = query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&mut *connection)
            .await
            .map_err(told)?;
        migrations::refuse_newer(MIGRATIONS, name, found)?;
    }
    let migrator: Migrator = migrations::migrator(MIGRATIONS);
    migrator.run(&mut *connection).await.map_err(|error| match error {
        MigrateError::Execute(error) => told(error),
        other => StoreError::Schema {
            database: name.to_owned(),
            reason: format!("{other}; the schema was changed by another program"),
        },
    })
}

/// Views for people, and in words what everything holds, unless that is said already: a start needs no room on the disk,
/// and waits for nobody who reads. The hours may be a view themselves.
pub(super) async fn describe(connection: &mut PgConnection, hours: Hours) -> Result<(), sqlx::Error> {
    let mut sql = include_str!("../../../migrations/timescale/views.sql").to_owned();
    for Comment { relation, column, text } in comments::all() {
        let text = text.replace('\'', "''");
        let is_view = relation.starts_with("v_") || (relation == "rollup_1h" && hours == Hours::Theirs);
        let what = match column {
            Some(column) => format!("COLUMN {relation}.{column}"),
            None if is_view => format!("VIEW {relation}"),
            None => format!("TABLE {relation}"),
        };
        sql.extend(["COMMENT ON ", &what, " IS '", &text, "';\n"]);
    }
    let mut hash = DefaultHasher::new();
    sql.hash(&mut hash);
    let mark = format!("{:016x}", hash.finish());
    let said: Option<String> = query_scalar("SELECT value FROM meta WHERE key = $1")
        .bind(meta::DESCRIBED)
        .fetch_optional(&mut *connection)
        .await?;
    if said.as_ref() == Some(&mark) {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    query("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
        .bind(meta::DESCRIBED)
        .bind(mark)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}
