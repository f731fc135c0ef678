//! The rival: `psql \copy` into a narrow hypertable, and what psql is asked beside it.

use std::{cell::Cell, fmt::Write as _, fs, process::Command, time::Instant};

use anyhow::{Context, ensure};
use shadow::Block;

use super::Kept;

/// One server.
pub(super) struct Psql {
    url: String,
    schemas: Cell<u32>,
}

impl Psql {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            schemas: Cell::new(0),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A name that no other run uses.
    pub(super) fn schema(&self) -> String {
        let number = self.schemas.replace(self.schemas.get() + 1);
        format!("bench_{}_{number}", std::process::id())
    }

    /// The bytes of all tables of `schema`, indexes and chunks with them.
    pub(super) fn bytes(&self, schema: &str) -> anyhow::Result<f64> {
        let answer = self.ask(&format!(
            "SELECT coalesce((SELECT sum(hypertable_size(format('%I.%I', hypertable_schema, hypertable_name)::regclass)) \
             FROM timescaledb_information.hypertables WHERE hypertable_schema = '{schema}'), 0) \
             + coalesce((SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c \
             WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind = 'r' AND c.relname NOT IN \
             (SELECT hypertable_name FROM timescaledb_information.hypertables WHERE hypertable_schema = '{schema}')), 0)"
        ))?;
        answer.trim().parse().with_context(|| format!("psql says {answer:?}"))
    }

    pub(super) fn drop_schema(&self, schema: &str) {
        if let Err(error) = self.ask(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")) {
            eprintln!("{error}");
        }
    }

    /// Copies the first `points` of one host's samples, over and over under other names, into a narrow hypertable with its
    /// index by time, which is in milliseconds: that is read faster than a date.
    pub(super) fn copy(&self, samples: &Block, points: usize) -> anyhow::Result<Kept> {
        let schema = self.schema();
        self.ask(&format!(
            "CREATE SCHEMA {schema}; CREATE TABLE {schema}.points (time bigint NOT NULL, host text NOT NULL, \
             metric text NOT NULL, value double precision); SELECT create_hypertable('{schema}.points', by_range('time', 86400000))"
        ))?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("points.csv");
        fs::write(&file, csv(samples, points)?)?;
        let begun = Instant::now();
        self.ask(&format!("\\copy {schema}.points FROM '{}' CSV", file.display()))?;
        let kept = Kept {
            points: points as f64,
            took: begun.elapsed(),
            bytes: self.bytes(&schema)?,
        };
        self.drop_schema(&schema);
        Ok(kept)
    }

    fn ask(&self, sql: &str) -> anyhow::Result<String> {
        let output = Command::new("psql")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                &self.url,
                "-c",
                sql,
            ])
            .output()
            .context("psql cannot be started")?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "psql: {told}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn csv(samples: &Block, points: usize) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut left = points;
    for host in 0.. {
        for (row, time_ms) in samples.times_ms.iter().enumerate() {
            for (metric, column) in samples.columns.iter().enumerate() {
                if left == 0 {
                    return Ok(text);
                }
                left -= 1;
                let value = column.get(row).and_then(|reading| reading.value()).unwrap_or(f64::NAN);
                writeln!(text, "{time_ms},host-{host},metric_{metric},{value}")?;
            }
        }
    }
    Ok(text)
}
