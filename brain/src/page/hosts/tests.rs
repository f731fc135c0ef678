use axum::http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::page::fixture::{NOW_MS, Page, fleet::fleet, page_of};

fn names(answer: &Value) -> Vec<&str> {
    let rows = answer["rows"].as_array().unwrap().iter();
    rows.map(|row| row["name"].as_str().unwrap()).collect()
}

async fn ask(page: &Page, query: &str) -> Value {
    let (status, answer) = page.json(&format!("/api/v1/hosts?{query}")).await;
    assert_eq!(status, StatusCode::OK, "{query}: {answer}");
    answer
}

#[tokio::test]
async fn names_are_in_the_order_in_which_people_count() {
    let page = page_of(fleet(12));
    let answer = ask(&page, "").await;
    assert_eq!(
        (answer["matching"].as_u64(), answer["time_ms"].as_i64()),
        (Some(12), Some(NOW_MS))
    );
    assert_eq!(names(&answer)[..3], ["web-0", "web-1", "web-2"]);
    assert_eq!(names(&answer)[9..], ["web-9", "web-10", "web-11"]);
    assert_eq!(
        names(&ask(&page, "order=descending&limit=2").await),
        ["web-11", "web-10"]
    );
    assert_eq!(names(&ask(&page, "offset=10&limit=5").await), ["web-10", "web-11"]);
    assert!(names(&ask(&page, "offset=12").await).is_empty());
}

#[tokio::test]
async fn a_row_tells_what_is_used_forecast_and_allocated_in_one_unit() {
    let page = page_of(fleet(10));
    let answer = ask(&page, "search=web-9").await;
    let row = &answer["rows"][0];
    assert_eq!((&row["incidents"], &row["severity"]), (&json!(1), &json!("warning")));
    let [cpu, memory, network, disk, power] = row["resources"].as_array().unwrap().as_slice() else {
        panic!("{row}");
    };
    assert_eq!(
        (&cpu["capacity"], &cpu["allocated"]),
        (&json!(1.0), &json!(0.3)),
        "cores are told as shares"
    );
    assert_eq!(memory["allocated"], json!(0.3));
    assert_eq!(
        (&network["capacity"], &network["allocated"]),
        (&json!(1.25e9), &Value::Null)
    );
    assert_eq!(disk["capacity"], Value::Null, "not known");
    assert!(power["value"].as_f64().unwrap() > 0.0);
    let peak = cpu["peak"].as_f64().unwrap();
    let highest = fleet(10).hosts[9].resources[0].peak().unwrap();
    assert!(
        (peak - highest).abs() < 1e-3 * highest && peak.to_string().len() <= 6,
        "{peak} of {highest}"
    );
    let absent = ask(&page, "search=web-2").await["rows"][0]["resources"][4].clone();
    assert_eq!(absent, json!({"capacity": 400.0}));
}

#[tokio::test]
async fn rows_are_sorted_by_what_is_asked_for() {
    type Of = fn(&Value) -> f64;
    let page = page_of(fleet(200));
    let sorts: [(&str, Of); 5] = [
        ("cpu", |row| row["resources"][0]["value"].as_f64().unwrap()),
        ("network", |row| row["resources"][2]["value"].as_f64().unwrap() / 1.25e9),
        ("incidents", |row| row["incidents"].as_f64().unwrap()),
        ("age", |row| NOW_MS as f64 - row["last_sample_ms"].as_f64().unwrap()),
        ("pressure", |row| {
            let cells = row["resources"].as_array().unwrap().iter();
            let number = |cell: &Value, name: &str| cell[name].as_f64();
            let share = |cell: &Value| {
                let most = number(cell, "allocated").or(number(cell, "capacity"));
                let peak = number(cell, "peak")
                    .unwrap_or(0.0)
                    .max(number(cell, "value").unwrap_or(0.0));
                most.map_or(0.0, |most| peak / most)
            };
            cells.map(share).fold(0.0, f64::max)
        }),
    ];
    for (sort, value) in sorts {
        let answer = ask(&page, &format!("sort={sort}&order=descending&limit=200")).await;
        let values: Vec<f64> = answer["rows"].as_array().unwrap().iter().map(value).collect();
        assert!(values.is_sorted_by(|a, b| a >= b), "{sort}: {values:?}");
        assert!(values[0] > values[199], "{sort}: they differ");
        if sort == "pressure" {
            let short = values.iter().filter(|share| **share > 1.0).count();
            assert!((1..200).contains(&short));
            assert_eq!(ask(&page, "show=short").await["matching"], short);
        }
        let rising = ask(&page, &format!("sort={sort}&limit=1")).await;
        assert_eq!(value(&rising["rows"][0]), values[199], "{sort}");
    }
}

#[tokio::test]
async fn hosts_are_found_by_name_state_inventory_and_workload() {
    let page = page_of(fleet(100));
    for (query, found) in [
        ("search=WEB-4", 11),
        ("search=epyc", 100),
        ("search=shop-17.service", 1),
        ("search=offline%20web-9", 1),
        ("search=nothing", 0),
        ("show=silent", 6),
        ("show=incidents", 2),
    ] {
        assert_eq!(ask(&page, query).await["matching"], found, "{query}");
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_says_what_would_be_right() {
    let page = page_of(fleet(2));
    let long = format!("search={}", "x".repeat(201));
    for (query, told) in [
        ("sort=colour", "none of name, state, age"),
        ("order=down", "neither ascending nor descending"),
        ("show=some", "none of all, silent"),
        ("limit=0", "from 1 to 500"),
        ("limit=501", "from 1 to 500"),
        ("offset=-1", "from 0 on"),
        ("hosts=2", "hosts"),
        (&*long, "at most 200"),
    ] {
        let (status, problem) = page.json(&format!("/api/v1/hosts?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{query}: {problem}");
    }
}

#[test]
fn four_digits_are_told() {
    for (value, told) in [
        (0.123_456, "0.1235"),
        (249_999_999.999, "250000000.0"),
        (0.0, "0.0"),
        (-1.5, "-1.5"),
    ] {
        assert_eq!(serde_json::to_string(&rounded(value)).unwrap(), told);
    }
    assert_eq!(rounded(f64::NAN), 0.0);
}

#[test]
fn accounts_of_hosts_that_are_gone_are_passed_over() {
    let mut snapshot = fleet(5);
    snapshot.hosts.remove(1);
    let lines: Vec<Line<'_>> = lines(&snapshot).collect();
    assert!(
        lines.iter().all(|line| line.cells[0].allocated.is_some()),
        "each has its own"
    );
    snapshot.pool.clear();
    assert!(super::lines(&snapshot).all(|line| line.cells[0].allocated.is_none()));
}
