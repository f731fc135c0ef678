//! The document against the router, against what the page asks for, and against real answers.

use std::{collections::BTreeSet, fs, path::Path};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::{Map, Value};
use tower::ServiceExt;

use super::*;
use crate::page::fixture::{self, Page, fleet::fleet, page_of, text, value};

fn document_told() -> Value {
    serde_json::from_slice(&DOCUMENT).unwrap()
}

fn paths() -> BTreeSet<String> {
    document_told()["paths"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_route_is_told_and_every_route_told_is_there() {
    let source = include_str!("../../page.rs");
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let routes = code
        .split(".route(")
        .skip(1)
        .map(|rest| rest.split('"').nth(1).unwrap().to_owned());
    let served: BTreeSet<String> = routes
        .filter(|path| !["/", "/assets/{name}", "/login"].contains(&&**path))
        .collect();
    assert_eq!(paths(), served);
}

#[test]
fn every_route_has_a_line_in_the_table_of_roles_and_tells_of_it() {
    let document = document_told();
    let mut told = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            told.insert((path.clone(), method.clone()));
            let needs = operation["security"].as_array().unwrap().len();
            assert_eq!(needs, if path == "/healthz" { 0 } else { 2 }, "{method} {path}");
            let who = operation["description"].as_str().unwrap_or_default();
            assert_eq!(
                who.starts_with("For operators"),
                method == "post" && path != "/logout",
                "{method} {path}"
            );
            assert_ne!(who, "For nobody.", "{method} {path}");
        }
    }
    let mut listed = BTreeSet::new();
    for (path, read, write) in login::roles::all() {
        for (method, least) in [("get", read), ("post", write)] {
            if least.is_some() && !["/", "/assets/{name}", "/login"].contains(&path) {
                listed.insert((path.to_owned(), method.to_owned()));
            }
        }
    }
    assert_eq!(told, listed);
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(
        (&schemes["basic"]["scheme"], &schemes["session"]["in"]),
        (&"basic".into(), &"cookie".into())
    );
}

#[test]
fn everything_that_the_page_asks_for_is_told() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page/assets");
    let mut asked = BTreeSet::new();
    for file in fs::read_dir(assets).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for rest in text.split("/api/v1/").skip(1) {
            let end = rest.find(['"', '`', '?', ' ', ';']).unwrap();
            asked.insert(format!("/api/v1/{}", &rest[..end]));
        }
    }
    // What the script puts together: `${ofHost(name)}/series`, `/history/${kind}`.
    let known = paths();
    let feed = include_str!("../assets/feed.js");
    for part in feed.split("${ofHost(name)}/").skip(1) {
        let part = part
            .split(['`', '?'])
            .next()
            .unwrap()
            .replace("${since_ms}", "{since_ms}");
        assert!(known.contains(&format!("/api/v1/hosts/{{host}}/{part}")), "{part}");
    }
    for path in asked {
        let is_told = match path.split_once("${") {
            None => known.contains(&path),
            Some((begin, _)) => known.iter().any(|known| known.starts_with(begin)),
        };
        assert!(is_told, "{path}");
    }
}

/// Holds `value` against `schema`, which may use no other words than these; a field that is not told is a fault.
fn check(value: &Value, schema: &Value, all: &Value, place: &str) -> Result<(), String> {
    const WORDS: [&str; 15] = [
        "default",
        "$ref",
        "type",
        "format",
        "description",
        "properties",
        "required",
        "items",
        "oneOf",
        "allOf",
        "enum",
        "minimum",
        "prefixItems",
        "additionalProperties",
        "propertyNames",
    ];
    let schema = resolved(schema, all);
    let Some(words) = schema.as_object() else { return Ok(()) };
    if let Some(word) = words.keys().find(|word| !WORDS.contains(&&***word)) {
        return Err(format!("{place}: the schema says {word:?}, which is not checked"));
    }
    if let Some(choices) = words.get("oneOf").and_then(Value::as_array) {
        let tried: Vec<_> = choices.iter().map(|choice| check(value, choice, all, place)).collect();
        return if tried.iter().any(Result::is_ok) {
            Ok(())
        } else {
            Err(format!("{tried:?}"))
        };
    }
    if words.contains_key("allOf") {
        return object(value, &schema, all, place);
    }
    if let Some(choices) = words.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        return Err(format!("{place}: {value} is none of {choices:?}"));
    }
    let kinds = match words.get("type") {
        None => return Ok(()),
        Some(Value::Array(kinds)) => kinds.clone(),
        Some(kind) => vec![kind.clone()],
    };
    let is = |kind: &str| kinds.iter().any(|known| known == kind);
    match value {
        Value::Null if is("null") => Ok(()),
        Value::Bool(_) if is("boolean") => Ok(()),
        Value::String(_) if is("string") => Ok(()),
        Value::Number(number) if is("number") || (is("integer") && !number.is_f64()) => Ok(()),
        Value::Array(items) if is("array") => list(items, words, all, place),
        Value::Object(_) if is("object") => object(value, &schema, all, place),
        _ => Err(format!("{place}: {value} is no {kinds:?}")),
    }
}

fn resolved(schema: &Value, all: &Value) -> Value {
    let Some(name) = schema["$ref"].as_str() else {
        return schema.clone();
    };
    let name = name.strip_prefix("#/components/schemas/").unwrap();
    let known = &all["components"]["schemas"][name];
    assert!(known.is_object(), "no schema {name}");
    known.clone()
}

fn list(items: &[Value], words: &Map<String, Value>, all: &Value, place: &str) -> Result<(), String> {
    let first = words.get("prefixItems").and_then(Value::as_array);
    for (at, item) in items.iter().enumerate() {
        let own = first.and_then(|first| first.get(at)).or(words.get("items"));
        let place = format!("{place}[{at}]");
        match own {
            Some(Value::Bool(false)) => return Err(format!("{place}: too many")),
            Some(own) => check(item, own, all, &place)?,
            None => {}
        }
    }
    Ok(())
}

fn object(value: &Value, schema: &Value, all: &Value, place: &str) -> Result<(), String> {
    let parts = match schema["allOf"].as_array() {
        Some(parts) => parts.iter().map(|part| resolved(part, all)).collect(),
        None => vec![schema.clone()],
    };
    let fields = value
        .as_object()
        .ok_or_else(|| format!("{place}: {value} is no object"))?;
    let mut known = BTreeSet::new();
    for part in &parts {
        for name in part["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !fields.contains_key(name) {
                return Err(format!("{place}.{name} is missing"));
            }
        }
        for (name, own) in part["properties"].as_object().into_iter().flatten() {
            known.insert(name.as_str());
            if let Some(field) = fields.get(name) {
                check(field, own, all, &format!("{place}.{name}"))?;
            }
        }
        let others = &part["additionalProperties"];
        if others.is_object() {
            for (name, field) in fields {
                check(field, others, all, &format!("{place}.{name}"))?;
                known.insert(name);
            }
        }
    }
    match fields.keys().find(|name| !known.contains(name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!("{place}.{name} is not told")),
    }
}

#[tokio::test]
async fn real_answers_are_as_they_are_told() {
    let page = page_of(fleet(20));
    let all = document_told();
    for (path, asked) in [
        ("/api/v1/snapshot", "/api/v1/snapshot"),
        ("/api/v1/fleet", "/api/v1/fleet"),
        ("/api/v1/hosts", "/api/v1/hosts"),
        ("/api/v1/hosts/{host}", "/api/v1/hosts/web-1"),
        ("/api/v1/hosts/{host}/inventory", "/api/v1/hosts/web-1/inventory"),
        ("/api/v1/hosts/{host}/readings", "/api/v1/hosts/web-1/readings"),
        ("/api/v1/hosts/{host}/series", "/api/v1/hosts/web-1/series?resource=cpu"),
        (
            "/api/v1/hosts/{host}/recent",
            "/api/v1/hosts/web-1/recent?metrics=host.cpu",
        ),
        ("/api/v1/incidents", "/api/v1/incidents"),
        ("/api/v1/commands", "/api/v1/commands?host=web-1"),
        ("/api/v1/events", "/api/v1/events"),
        ("/api/v1/proposals", "/api/v1/proposals"),
        ("/api/v1/plan", "/api/v1/plan"),
        ("/api/v1/scores", "/api/v1/scores"),
        ("/api/v1/freeze", "/api/v1/freeze"),
        ("/api/v1/me", "/api/v1/me"),
        ("/healthz", "/healthz"),
    ] {
        let (status, answer) = page.json(asked).await;
        assert!(status.is_success(), "{asked}: {answer}");
        let schema = &all["paths"][path]["get"]["responses"]["200"]["content"][JSON]["schema"];
        assert!(schema.is_object(), "{path} has no schema");
        check(&answer, schema, &all, "").unwrap_or_else(|fault| panic!("{asked}{fault}"));
    }
    let Page { engine, router, .. } = fixture::page();
    drop(engine);
    let ask = Request::get("/healthz").header(header::HOST, "localhost");
    let gone = router.oneshot(ask.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(gone.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(value(gone.headers(), "content-type"), JSON);
    let schema = &all["paths"]["/healthz"]["get"]["responses"]["503"]["content"][JSON]["schema"];
    assert!(schema.is_object(), "/healthz has no schema of 503");
    check(
        &serde_json::from_str(&text(gone).await).unwrap(),
        schema,
        &all,
        "/healthz",
    )
    .unwrap();
    let (_, problem) = page.json("/api/v1/hosts/nobody").await;
    let fault = &all["paths"]["/api/v1/hosts/{host}"]["get"]["responses"]["default"]["content"];
    check(&problem, &fault["application/problem+json"]["schema"], &all, "").unwrap();
}

#[test]
fn what_is_not_as_it_is_told_is_found() {
    let all = document_told();
    let schema = &all["components"]["schemas"]["Problem"];
    let right = serde_json::json!({"title": "not found", "status": 404, "detail": ""});
    check(&right, schema, &all, "").unwrap();
    for (name, value) in [
        ("status", Value::from("404")),
        ("more", Value::from(1)),
        ("title", Value::Null),
    ] {
        let mut wrong = right.clone();
        wrong[name] = value;
        assert!(check(&wrong, schema, &all, "").is_err(), "{name}");
    }
    let mut less = right;
    less.as_object_mut().unwrap().remove("detail");
    assert!(check(&less, schema, &all, "").is_err());
}
