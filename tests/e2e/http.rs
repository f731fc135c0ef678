//! `docs/http.md` is the brain's own document of its API, in words. `FORESHADOW_WRITE_DOCS=1` and this test make it anew.

use std::{fmt::Write as _, fs};

use serde_json::Value;

use crate::{harness::get, stack::Stack};

const HEAD: &str = include_str!("http/head.md");

#[test]
fn the_page_of_the_api_is_what_a_brain_tells_of_it() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let _brain = stack.brain();
    let document: Value = serde_json::from_str(&get(stack.page, "/api/v1/openapi.json")).unwrap();
    let page = page(&document);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/http.md");
    if std::env::var_os("FORESHADOW_WRITE_DOCS").is_some() {
        fs::write(path, &page).unwrap();
    }
    let there = fs::read_to_string(path).unwrap();
    assert!(
        there == page,
        "docs/http.md: make it anew with FORESHADOW_WRITE_DOCS=1 and this test"
    );
    assert!(page.matches("\n| `GET /").count() > 20 && page.contains("| `POST /api/v1/freeze` |"));
}

fn page(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Routes\n\n| route | tells | parameters | answer |\n|---|---|---|---|\n");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method = method.to_uppercase();
            let mut asked: Vec<String> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .map(parameter)
                .collect();
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            if body.is_object() {
                asked.push(format!("body: {}", kind(body)));
            }
            let content = operation["responses"]["200"]["content"].as_object();
            let (media, answer) = content.and_then(|content| content.iter().next()).unwrap();
            let answer = if answer["schema"].is_object() {
                kind(&answer["schema"])
            } else {
                format!("`{media}`")
            };
            // What another status has that is no problem.
            let also: String = operation["responses"]
                .as_object()
                .unwrap()
                .iter()
                .filter(|(status, _)| !["200", "default"].contains(&&***status))
                .map(|(status, also)| format!("; {status}: {}", kind(&also["content"]["application/json"]["schema"])))
                .collect();
            let summary = operation["summary"].as_str().unwrap();
            writeln!(
                page,
                "| `{method} {path}` | {summary} | {} | {answer}{also} |",
                asked.join("; ")
            )
            .unwrap();
        }
    }
    page.push_str("\n## Answers\n");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let text = schema["description"]
            .as_str()
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        let about = if text.is_empty() { kind(schema) } else { text.to_owned() };
        writeln!(page, "\n### {name}\n\n{about}").unwrap();
        if schema["enum"].is_array() && !text.is_empty() {
            writeln!(page, "\nOne of {}.", kind(schema)).unwrap();
        }
        let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
        let mut rows = String::new();
        for part in parts {
            if let Some(reference) = part["$ref"].as_str() {
                writeln!(rows, "| | all of {} | |", link(reference)).unwrap();
            }
            for (field, of) in part["properties"].as_object().into_iter().flatten() {
                let text = of["description"]
                    .as_str()
                    .unwrap_or_default()
                    .replace('\n', " ")
                    .replace('|', "\\|");
                writeln!(rows, "| `{field}` | {} | {text} |", kind(of)).unwrap();
            }
        }
        if !rows.is_empty() {
            write!(page, "\n| field | type | tells |\n|---|---|---|\n{rows}").unwrap();
        }
    }
    page
}

fn parameter(parameter: &Value) -> String {
    let name = parameter["name"].as_str().unwrap();
    let text = parameter["description"]
        .as_str()
        .unwrap_or_default()
        .replace('|', "\\|");
    let needed = parameter["in"] == "query" && parameter["required"] == true;
    format!("`{name}`{}: {text}", if needed { " (needed)" } else { "" })
}

fn link(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap();
    format!("[{name}](#{})", name.to_lowercase())
}

/// A type in a word or two.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return link(reference);
    }
    for word in ["oneOf", "allOf", "anyOf"] {
        if let Some(parts) = schema[word].as_array() {
            return parts.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .map(|word| format!("`{}`", word.as_str().map_or_else(|| word.to_string(), str::to_owned)))
            .collect::<Vec<_>>()
            .join(", ");
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", kind_of_items(schema)),
        Value::String(kind) if kind == "object" && schema["additionalProperties"].is_object() => {
            format!("object of {}", self::kind(&schema["additionalProperties"]))
        }
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let is_list = kinds.iter().any(|kind| kind == "array");
            let words = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "array");
            let list = is_list.then(|| format!("list of {}", kind_of_items(schema)));
            list.into_iter()
                .chain(words.map(str::to_owned))
                .collect::<Vec<_>>()
                .join(" or ")
        }
        _ => "anything".to_owned(),
    }
}

fn kind_of_items(schema: &Value) -> String {
    match schema["prefixItems"].as_array() {
        Some(items) => items.iter().map(kind).collect::<Vec<_>>().join(", "),
        None => kind(&schema["items"]),
    }
}
