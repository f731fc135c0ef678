//! Schemas have versions, which only rise.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

use super::StoreError;

/// Version, name, SQL.
pub(super) type Step = (i64, &'static str, &'static str);

/// As the driver takes them. Steps without a transaction do not exist: a migration happens as a whole or not at all.
pub(super) fn migrator(steps: &[Step]) -> Migrator {
    let migration = |&(version, name, sql): &Step| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(steps.iter().map(migration).collect())
}

/// Whether a database of version `found` is one of a newer brain.
pub(super) fn refuse_newer(steps: &[Step], database: &str, found: Option<i64>) -> Result<(), StoreError> {
    let known = steps.last().map_or(0, |&(version, ..)| version);
    match found {
        Some(found) if found > known => Err(StoreError::Newer {
            database: database.to_owned(),
            found,
            known,
        }),
        _ => Ok(()),
    }
}
