//! A brain whose store is on a server: what it tells, and what the server's troubles cost.

use std::{
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Column as _, Connection, PgConnection, Row as _, TypeInfo as _, ValueRef as _, postgres::PgRow,
};
use tokio::runtime::Runtime;

use crate::{
    docs,
    harness::{PATIENCE, Process, get, until},
    stack::Stack,
    timescale_server::Server,
};

const FRAMES: &str = "SELECT count(*) FROM frames";
const HOLES: &str = "SELECT count(*) FROM holes";
/// Frames and events that lie between the first and the last of each epoch but are not there.
const MISSING: &str = "SELECT coalesce(sum(lost), 0)::bigint FROM (SELECT max(sequence) + 1 - count(*) AS lost FROM \
                       (SELECT host, vantage, epoch, sequence FROM frames \
                        UNION ALL SELECT host, vantage, epoch, sequence FROM events) AS told \
                       GROUP BY host, vantage, epoch) AS epochs";
/// The session that holds the schema.
const BRAIN: &str = "SELECT coalesce(max(pid), 0)::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted \
                     AND (classid::bigint << 32) | objid::bigint = hashtextextended('foreshadow brain foreshadow', 0)";
const WAITS: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'watermarks'::regclass";

/// What a query answers: names and types of its columns, and rows in texts; no columns where there are no rows.
pub(crate) struct Answer {
    pub(crate) columns: Vec<(String, String)>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

/// A session of somebody else's.
pub(crate) struct Session {
    runtime: Runtime,
    connection: PgConnection,
}

impl Session {
    pub(crate) fn of(server: &Server) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let url = format!("{}?options[search_path]=foreshadow,public", server.url());
        let connection = runtime.block_on(PgConnection::connect(&url)).unwrap();
        Self { runtime, connection }
    }

    pub(crate) fn say(&mut self, sql: &str) {
        let said = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection);
        self.runtime.block_on(said).unwrap();
    }

    fn number(&mut self, sql: &'static str) -> i64 {
        let told = sqlx::query_scalar(sql).fetch_one(&mut self.connection);
        self.runtime.block_on(told).unwrap()
    }

    pub(crate) fn texts(&mut self, sql: &'static str) -> Vec<String> {
        let told = sqlx::query_scalar(sql).fetch_all(&mut self.connection);
        self.runtime.block_on(told).unwrap()
    }

    /// What it answers to somebody who knows nothing of its types.
    pub(crate) fn ask(&mut self, sql: &str) -> Result<Answer, sqlx::Error> {
        let told = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection);
        let told = self.runtime.block_on(told)?;
        let columns = told.first().map(PgRow::columns).unwrap_or_default().iter();
        let text = |row: &PgRow, at| {
            let value = row.try_get_raw(at).unwrap();
            (!value.is_null()).then(|| value.as_str().unwrap().to_owned())
        };
        Ok(Answer {
            columns: columns
                .map(|one| (one.name().to_owned(), one.type_info().name().to_owned()))
                .collect(),
            rows: told
                .iter()
                .map(|row| (0..row.len()).map(|at| text(row, at)).collect())
                .collect(),
        })
    }

    pub(crate) fn more_than(&mut self, what: &str, sql: &'static str, least: i64) {
        until(what, PATIENCE, || self.number(sql) > least);
    }
}

fn signal(signal: &str, pid: i64) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// What `foreshadow` prints when it succeeds.
fn printed(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    let ended = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{arguments:?}: {said}");
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn what_is_kept_on_a_server_is_told_and_exported_while_a_brain_writes() {
    let Some(server) = Server::start() else { return };
    let stack = Stack::new();
    let _broker = stack.broker();
    let brain = stack.brain_on(Some(server.url()));
    let _agent = stack.agent();
    let mut session = Session::of(&server);
    session.more_than("rows of the grid are durable", "SELECT count(*) FROM rollup_10s", 10);

    let url = server.url();
    let query = |kind: &str, more: &[&str]| printed(&[&["query", kind, "--database", url], more].concat());
    let objects = |kind: &str, more: &[&str]| -> Vec<Value> {
        let text = query(kind, &[&["--format", "json"], more].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(objects("hosts", &[])[0]["host"], "web-1");
    let series = objects("series", &["--resource", "cpu", "--resolution", "10s"]);
    assert!(series.len() > 10 && series[0]["resolution"] == "10s", "{series:?}");
    assert!(series.iter().any(|row| row["cpu_share"].is_number()), "{series:?}");
    for kind in ["forecasts", "commands"] {
        until(kind, 2 * PATIENCE, || !objects(kind, &[]).is_empty());
    }
    let config = stack.path().join("brain.toml").display().to_string();
    let table = printed(&["query", "commands", "--config", &config]);
    assert!(table.starts_with("host ") && table.contains("web-1"), "{table}");

    let page =
        |path: &str| -> Value { serde_json::from_str(&get(stack.page, &format!("/api/v1/history/{path}"))).unwrap() };
    let told = page("series?host=web-1&resource=cpu&resolution=10s&limit=3");
    assert_eq!(told["columns"]["cpu_share"].as_array().map(Vec::len), Some(3), "{told}");
    assert_eq!(page("hosts")["rows"][0]["host"], "web-1");
    for kind in ["forecasts", "commands"] {
        assert!(page(kind)["rows"][0].is_object(), "{kind}");
    }

    // What has come true of a forecast takes longer than this test; that it can be asked does not.
    let mut told = 0;
    for block in docs::blocks_of("docs/schema.md", "sql") {
        for statement in block.split_inclusive(";\n") {
            let answer = session.ask(statement);
            told += answer.unwrap_or_else(|fault| panic!("{fault}: {statement}")).rows.len();
        }
    }
    assert!(told > 0, "the queries of docs/schema.md tell nothing");

    let folder = stack.path().join("exported");
    let out = folder.display().to_string();
    for format in ["csv", "parquet"] {
        printed(&["export", "--database", url, "--format", format, "--output", &out]);
        assert!(folder.join(format!("web-1.{format}")).exists(), "{format}");
    }
    let mut lab = Process::foreshadow(&["lab", "--traces", &out, "--speed", "100000"]);
    assert!(lab.wait().success(), "{}", lab.printed());
    assert!(lab.printed().contains("1 hosts"), "{}", lab.printed());
    let few = "--step 1s --horizons 2s --resources cpu --without-network --train-fraction 0.3";
    let few: Vec<_> = few.split(' ').collect();
    let table = printed(&[&["backtest", "--from-store", url][..], &few].concat());
    assert!(table.contains("1 hosts") && table.contains("published"), "{table}");
    assert!(brain.stop().0.success(), "nobody has kept it waiting");
}

#[test]
fn a_server_that_hangs_or_dies_and_a_brain_that_dies_in_mid_flush_cost_no_frame() {
    let Some(mut server) = Server::start() else { return };
    let stack = Stack::new();
    let broker = stack.broker();
    let mut brain = stack.brain_on(Some(server.url()));
    let agent = stack.agent();
    let mut session = Session::of(&server);
    session.more_than("frames are durable", FRAMES, 10);

    // It hangs: the brain says so and goes on.
    let pid = session.number(BRAIN);
    signal("-STOP", pid);
    brain.expect_text("the store takes long");
    assert!(
        get(stack.page, "/api/v1/snapshot").contains("web-1"),
        "the page answers"
    );
    sleep(Duration::from_secs(5));
    signal("-CONT", pid);
    let held = session.number(FRAMES);
    session.more_than("what waited is durable, and more", FRAMES, held + 20);

    // The brain is killed when all of a batch is written but its watermarks, which come last.
    let mut locker = Session::of(&server);
    locker.say("BEGIN; LOCK TABLE watermarks");
    until("a batch waits to tell its watermarks", PATIENCE, || {
        session.number(WAITS) == 1
    });
    let told = [
        "SELECT ranges FROM watermarks",
        "SELECT sequence::text FROM frames ORDER BY sequence",
    ];
    let (durable, before) = (session.number(FRAMES), told.map(|sql| (sql, locker.texts(sql))));
    brain.kill();
    locker.say("ROLLBACK");
    until("its session is over", PATIENCE, || session.number(BRAIN) == 0);
    for (sql, texts) in before {
        assert_eq!(session.texts(sql), texts, "{sql}: nothing of the batch");
    }
    let mut brain = stack.brain_on(Some(server.url()));
    session.more_than("the brain goes on", FRAMES, durable + 20);

    // The server is killed under it.
    server.kill(session.number(BRAIN).try_into().unwrap());
    brain.expect_text("the store is busy and is tried again");
    assert!(brain.runs());
    server.again();
    let mut session = Session::of(&server);
    let durable = session.number(FRAMES);
    session.more_than("the brain goes on with another session", FRAMES, durable + 20);
    until("nothing is missing", PATIENCE, || session.number(MISSING) == 0);
    assert_eq!(session.number(HOLES), 0);
    assert!(agent.stop().0.success());
    assert!(brain.stop().0.success());
    assert!(broker.stop().0.success());
    assert_eq!(session.number(MISSING), 0);
}
