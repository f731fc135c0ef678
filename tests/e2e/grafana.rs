//! The dashboards over the real database, asked as Grafana asks: each panel, variable and annotation has rows, of types and in the
//! order that it can draw.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;

use crate::{
    consent::Stage,
    dashboards::dashboards,
    harness::{PATIENCE, until},
    timescale::{Answer, Session},
    timescale_server::Server,
};

/// What a panel, a variable or an annotation asks of the database.
struct Query {
    /// File and title.
    place: String,
    sql: String,
    shape: Shape,
    /// How far back the dashboard looks at first, as an interval.
    since: String,
    /// Columns or series that the panel draws in its own way.
    named: Vec<String>,
}

/// What Grafana makes of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Lines over time.
    Series,
    Table,
    /// The one number of the last row.
    Stat,
    /// Points or spans of time with a text.
    Annotation,
    /// What is offered to be chosen.
    Variable,
}

/// What a lab of a minute on a quiet machine has nothing of: why, how it comes into the tables, and which places show it. All else
/// has its rows from the lab itself.
const SEEDED: [(&str, &str, &[&str]); 4] = [
    (
        "this machine has no power meter",
        "INSERT INTO rollup_1m (host, bucket, coverage, power_w) \
         SELECT 'web-1', date_trunc('minute', now()) - i * interval '1 minute', 1, 120 + i FROM generate_series(1, 5) AS i \
         ON CONFLICT (host, bucket) DO UPDATE SET power_w = excluded.power_w; \
         INSERT INTO forecasts (host, resource, made, horizon_s, due, p50, p90, p95, p99, rung) \
         SELECT 'web-1', 'power', date_trunc('minute', now()), h, date_trunc('minute', now()) + h * interval '1 second', 120, 130, 140, 150, 'ewma' \
         FROM unnest(ARRAY[300, 600, 900]) AS h ON CONFLICT DO NOTHING",
        &["fleet.json: Power", "host.json: Power: used and expected"],
    ),
    (
        "no forecast of five minutes has come due",
        "INSERT INTO forecasts (host, resource, made, horizon_s, due, p50, p90, p95, p99, rung) \
         SELECT host, 'cpu', bucket + interval '1 second' - h * interval '1 second', h, bucket + interval '1 second', 0.1, 0.2, 0.3, 0.4, 'ewma' \
         FROM rollup_10s, unnest(ARRAY[300, 600, 900]) AS h WHERE cpu IS NOT NULL ON CONFLICT DO NOTHING",
        &["host.json: Share of values at most p95"],
    ),
    (
        "nothing is unusual",
        "INSERT INTO events (host, vantage, epoch, sequence, time, source, subject, kind, severity, text, details) \
         VALUES ('web-1', 'inband', 1, 1, now() - interval '1 minute', 'pci', '0000:01:00.0', 'link_degraded', 'warning', 'x16 to x8', '[]'); \
         INSERT INTO incidents (host, since, until, goes_on, severity, score, cause, signals) \
         VALUES ('web-1', now() - interval '2 minutes', now() - interval '1 minute', true, 'warning', 6, 'the link fell back', '[]')",
        &[
            "host.json: Events",
            "host.json: Incidents",
            "host.json: annotation",
            "fleet.json: Incidents",
            "fleet.json: annotation",
        ],
    ),
    (
        "every need can be met",
        "UPDATE plans SET unmet = 1, words = 'web-1: 16 cores lack' WHERE time = (SELECT max(time) FROM plans)",
        &["allocation.json: Needs unmet"],
    ),
];

/// A host of whose name the variable `host` is, as it is chosen.
const HOST: &str = "web-1";

/// All that is asked.
fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (file, dashboard) in dashboards() {
        let since = dashboard["time"]["from"].as_str().unwrap();
        let since = since.strip_prefix("now-").unwrap().replace('h', " hours");
        let mut ask = |what: &str, sql: &Value, shape, overrides: &Value| {
            let Some(sql) = sql.as_str() else { return };
            let overrides = overrides.as_array().into_iter().flatten();
            let named = overrides.filter(|one| one["matcher"]["id"] == "byName");
            queries.push(Query {
                place: format!("{file}: {what}"),
                sql: sql.to_owned(),
                shape,
                since: since.clone(),
                named: named
                    .map(|one| one["matcher"]["options"].as_str().unwrap().to_owned())
                    .collect(),
            });
        };
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let shape = match (panel["type"].as_str().unwrap(), target["format"].as_str()) {
                    ("timeseries", _) | (_, Some("time_series")) => Shape::Series,
                    ("stat", _) => Shape::Stat,
                    _ => Shape::Table,
                };
                let title = panel["title"].as_str().unwrap();
                ask(title, &target["rawSql"], shape, &panel["fieldConfig"]["overrides"]);
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            if variable["type"] == "query" {
                ask("variable", &variable["query"], Shape::Variable, &Value::Null);
            }
        }
        for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
            ask(
                "annotation",
                &annotation["target"]["rawSql"],
                Shape::Annotation,
                &Value::Null,
            );
        }
    }
    assert!(queries.len() > 30, "{} queries", queries.len());
    queries
}

/// What `horizon` may be, by the host's dashboard.
fn horizons() -> Vec<String> {
    let (_, host) = dashboards().into_iter().find(|(file, _)| file == "host.json").unwrap();
    let variables = host["templating"]["list"].as_array().unwrap().iter();
    let horizon = variables.clone().find(|one| one["name"] == "horizon").unwrap();
    let offered = horizon["query"].as_str().unwrap().split(", ");
    offered.map(|one| one.split_once(" : ").unwrap().1.to_owned()).collect()
}

/// What Grafana makes of its macros and variables: times are texts in quotes, and what is chosen stands there as it is.
fn expanded(sql: &str, range: &[String; 2], interval: &str, horizon: &str) -> String {
    let [from, to] = range.each_ref().map(|time| format!("'{time}'"));
    let mut text = String::new();
    let mut rest = sql;
    while let Some((before, behind)) = rest.split_once('$') {
        let end = behind.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let (name, after) = behind.split_at(end.unwrap_or(behind.len()));
        let (arguments, after) = match after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            Some((arguments, after)) if name.starts_with("__") => (arguments, after),
            _ => ("", after),
        };
        text += before;
        text += &match name {
            "__timeFilter" => format!("{arguments} BETWEEN {from} AND {to}"),
            "__timeFrom" => from.clone(),
            "__timeTo" => to.clone(),
            "__interval" => interval.to_owned(),
            "host" => HOST.to_owned(),
            "horizon" => horizon.to_owned(),
            _ => panic!("a macro that is not known here: ${name}"),
        };
        rest = after;
    }
    text + rest
}

/// Whether Grafana can draw it; otherwise why not.
fn drawn(answer: &Answer, shape: Shape) -> Result<(), String> {
    let Answer { columns, rows } = answer;
    let at = |name: &str| columns.iter().position(|(column, _)| column == name);
    let is = |at: usize, kinds: &[&str]| kinds.contains(&columns[at].1.as_str());
    let numbers = ["INT2", "INT4", "INT8", "FLOAT4", "FLOAT8", "NUMERIC"];
    let values = || (0..columns.len()).filter(|at| is(*at, &numbers));
    let is_told = |at: usize| rows.iter().any(|row| row[at].is_some());
    if rows.is_empty() {
        return Err("no rows".to_owned());
    }
    if matches!(shape, Shape::Series | Shape::Annotation) {
        let time = at("time").ok_or("no column `time`")?;
        if !is(time, &["TIMESTAMPTZ", "TIMESTAMP"]) {
            return Err(format!("`time` is {}", columns[time].1));
        }
        // In texts of one zone, the earlier is the lesser one.
        let times: Option<Vec<_>> = rows.iter().map(|row| row[time].as_deref()?.rsplit_once('+')).collect();
        let times = times.ok_or("a row without a time")?;
        if shape == Shape::Series && !times.is_sorted() {
            return Err("not by time, the oldest first".to_owned());
        }
    }
    match shape {
        Shape::Series => {
            let others = columns.iter().filter(|(name, _)| name != "time");
            let texts: Vec<_> = others.filter(|(_, kind)| !numbers.contains(&kind.as_str())).collect();
            let is_label = |(name, kind): &&(String, String)| name == "metric" && kind == "TEXT";
            if !texts.iter().all(is_label) {
                return Err(format!("no numbers and no `metric`: {texts:?}"));
            }
            if !values().any(is_told) {
                return Err("no value in any row".to_owned());
            }
        }
        Shape::Stat if rows.len() != 1 || values().filter(|at| is_told(*at)).count() != 1 => {
            return Err("not one number".to_owned());
        }
        Shape::Annotation if at("text").is_none_or(|at| !is_told(at)) => return Err("no text".to_owned()),
        Shape::Variable if columns.len() != 1 || !is_told(0) => return Err("not one column of texts".to_owned()),
        _ => {}
    }
    Ok(())
}

/// The times from `since` ago until now, as Grafana writes them.
fn range(session: &mut Session, since: &str) -> [String; 2] {
    let sql = format!(
        "SELECT to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
         FROM (VALUES (now() - interval '{since}'), (now())) AS times (time) ORDER BY time"
    );
    let rows = session.ask(&sql).unwrap().rows;
    [0, 1].map(|at| rows[at][0].clone().unwrap())
}

/// What Grafana could not draw, by its place. Each query is asked for each horizon that may be chosen.
fn faults(session: &mut Session) -> BTreeMap<String, String> {
    let mut faults = BTreeMap::new();
    let mut named = BTreeMap::<_, BTreeSet<_>>::new();
    let mut columns = BTreeMap::<_, BTreeSet<_>>::new();
    for query in queries() {
        let range = range(session, &query.since);
        let chosen = if query.sql.contains("$horizon") {
            horizons()
        } else {
            vec![String::new()]
        };
        for horizon in &chosen {
            let sql = expanded(&query.sql, &range, "20s", horizon);
            let told = session.ask(&sql).map_err(|fault| fault.to_string()).and_then(|answer| {
                let names = answer.columns.iter().map(|(name, _)| name.clone());
                columns.entry(query.place.clone()).or_default().extend(names);
                drawn(&answer, query.shape)
            });
            if let Err(why) = told {
                faults.insert(query.place.clone(), format!("{why}: {sql}"));
            }
        }
        named.entry(query.place).or_default().extend(query.named);
    }
    // A colour or unit of a column that is not there is lost without a word.
    for (place, named) in named {
        let has = columns.remove(&place).unwrap_or_default();
        let lost: Vec<_> = named.difference(&has).collect();
        if !has.is_empty() && !lost.is_empty() {
            faults
                .entry(place)
                .or_insert(format!("there is no {lost:?} in {has:?}"));
        }
    }
    faults
}

#[test]
fn every_panel_has_rows_of_a_lab_in_a_shape_that_it_can_draw() {
    let Some(server) = Server::start() else { return };
    // A brain that forecasts the next seconds proposes at once; then one that forecasts as far as the dashboards offer.
    let near = "[forecast]\nhorizons = [\"3s\", \"5s\", \"10s\"]\n";
    let stage = Stage::with(&format!("database = {:?}\n{near}", server.url()));
    let brain = stage.cell.start();
    stage.cell.decide("approve", &["--by", "ann"]);
    let why = "not before the release";
    stage.cell.decide("decline", &["--by", "bob", "--reason", why]);
    assert!(brain.stop().0.success());
    let text = fs::read_to_string(&stage.cell.brain).unwrap();
    assert!(text.contains(near), "{text}");
    fs::write(&stage.cell.brain, text.replace(near, "[forecast]\n")).unwrap();
    let brain = stage.cell.start();

    let mut session = Session::of(&server);
    for interval in ["500ms", "1s", "20s", "1m", "2h", "7d"] {
        let told = session.ask(&format!("SELECT time_bucket('{interval}', now())"));
        assert!(told.is_ok(), "{interval} is an interval of Grafana's");
    }
    let seeded: BTreeSet<_> = SEEDED.iter().flat_map(|(_, _, places)| *places).copied().collect();
    until("all that a lab has is shown", 3 * PATIENCE, || {
        let faults = faults(&mut session);
        let lacking: Vec<_> = faults
            .iter()
            .filter(|(place, _)| !seeded.contains(place.as_str()))
            .collect();
        eprintln!("not yet: {lacking:?}");
        lacking.is_empty()
    });
    assert!(brain.stop().0.success());
    for (why, sql, places) in SEEDED {
        session.say(sql);
        let left = faults(&mut session);
        for place in places {
            assert_eq!(left.get(*place), None, "{place}, as {why}");
        }
    }
    assert_eq!(faults(&mut session), BTreeMap::new());
}

#[test]
fn what_grafana_cannot_draw_is_found() {
    let answer = |columns: &[(&str, &str)], rows: &[&[&str]]| Answer {
        columns: columns
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()))
            .collect(),
        rows: rows
            .iter()
            .map(|row| {
                row.iter()
                    .map(|text| (!text.is_empty()).then(|| (*text).to_owned()))
                    .collect()
            })
            .collect(),
    };
    let (time, value) = (("time", "TIMESTAMPTZ"), ("value", "FLOAT8"));
    let (first, second) = ("2026-01-01 00:00:00+00", "2026-01-01 00:00:00.5+00");
    for (shape, columns, rows, fault) in [
        (
            Shape::Series,
            &[time, value][..],
            &[&[first, "1"][..], &[second, ""]][..],
            "",
        ),
        (
            Shape::Series,
            &[time, ("metric", "TEXT"), value],
            &[&[first, "web-1", "1"]],
            "",
        ),
        (Shape::Series, &[time, value], &[], "no rows"),
        (
            Shape::Series,
            &[("bucket", "TIMESTAMPTZ"), value],
            &[&[first, "1"]],
            "no column `time`",
        ),
        (
            Shape::Series,
            &[("time", "TEXT"), value],
            &[&[first, "1"]],
            "`time` is TEXT",
        ),
        (
            Shape::Series,
            &[time, value],
            &[&[second, "1"], &[first, "1"]],
            "not by time",
        ),
        (Shape::Series, &[time, value], &[&["", "1"]], "without a time"),
        (
            Shape::Series,
            &[time, ("value", "BOOL")],
            &[&[first, "t"]],
            "no numbers",
        ),
        (Shape::Series, &[time, value], &[&[first, ""]], "no value"),
        (Shape::Stat, &[value], &[&["1"]], ""),
        (Shape::Stat, &[value], &[&[""]], "not one number"),
        (Shape::Stat, &[value], &[&["1"], &["2"]], "not one number"),
        (
            Shape::Annotation,
            &[time, ("text", "TEXT")],
            &[&[second, "a"], &[first, "b"]],
            "",
        ),
        (
            Shape::Annotation,
            &[time, ("cause", "TEXT")],
            &[&[first, "a"]],
            "no text",
        ),
        (Shape::Variable, &[("host", "TEXT")], &[&["web-1"]], ""),
        (
            Shape::Variable,
            &[("host", "TEXT"), value],
            &[&["web-1", "1"]],
            "not one column",
        ),
        (Shape::Table, &[value], &[&[""]], ""),
    ] {
        let told = drawn(&answer(columns, rows), shape).err().unwrap_or_default();
        assert!(
            told.contains(fault) && told.is_empty() == fault.is_empty(),
            "{told:?} is not {fault:?}"
        );
    }
}
