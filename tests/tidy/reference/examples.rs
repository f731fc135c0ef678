//! The examples in `config/` show the keys of the reference, and no others.

use std::{collections::BTreeSet, fs};

use toml::{Table, Value};

use super::{super::root, join};

/// The example in `config/` shows the keys of the reference, and no others.
pub(super) fn same_keys(name: &str, keys: &BTreeSet<String>) {
    let text = fs::read_to_string(root().join("config").join(name)).unwrap();
    let shown = shown(&text);
    // A BMC is asked in the same way, whoever's it is.
    let alike = |key: &str| match key.strip_prefix("out_of_band.bmc.") {
        Some(key) => format!("bmc.{key}"),
        None => format!("out_of_band.{key}"),
    };
    let is_shown = |key: &String| shown.contains(key) || key.contains("bmc.") && shown.contains(&alike(key));
    let lacks: Vec<&String> = keys.iter().filter(|key| !is_shown(key)).collect();
    assert!(lacks.is_empty(), "config/{name} does not show {lacks:?}");
    let more: Vec<&String> = shown.iter().filter(|key| !keys.contains(*key)).collect();
    assert!(more.is_empty(), "config/{name} shows {more:?}, which is no key");
}

/// Every key of an example, those that are commented out as well.
fn shown(text: &str) -> BTreeSet<String> {
    let is_key = |line: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '"' | '*' | '-');
        line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| key.chars().all(plain))
    };
    let lines = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line));
    let mut shown = BTreeSet::new();
    let mut table = String::new();
    for line in lines {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_matches(['[', ']']).to_owned();
            keep(&table, &mut shown);
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            let path = join(&table, key);
            keep(&path, &mut shown);
            let inner: Result<Table, _> = format!("x = {value}").parse();
            let inner = inner.unwrap_or_else(|error| panic!("{line}: {error}"));
            below(&path, &inner["x"], &mut shown);
        }
    }
    shown
}

/// A path, and the tables that it lies in; names of classes, and what users call their own, are not keys.
fn keep(path: &str, shown: &mut BTreeSet<String>) {
    let mut parts: Vec<&str> = path.split('.').collect();
    match parts.as_slice() {
        ["act", pattern] if pattern.starts_with('"') => return,
        ["access", "users", _] => return,
        ["class"] => {}
        ["class", ..] => parts[1] = "NAME",
        _ => {}
    }
    if parts == ["class", "NAME"] {
        shown.insert("class".to_owned());
        return;
    }
    shown.insert(parts.join("."));
    for depth in 1..parts.len() {
        let outer = parts[..depth].join(".");
        if outer != "class.NAME" {
            shown.insert(outer);
        }
    }
}

fn below(path: &str, value: &Value, shown: &mut BTreeSet<String>) {
    let is_by_resource = path.starts_with("class.");
    for table in value
        .as_table()
        .into_iter()
        .chain(value.as_array().into_iter().flatten().filter_map(Value::as_table))
    {
        for (key, value) in table.iter().filter(|_| !is_by_resource) {
            keep(&join(path, key), shown);
            below(&join(path, key), value, shown);
        }
    }
}

#[test]
fn keys_of_examples_are_found() {
    let text = "# The first = not a key.\na = 1\n# [b]\n# c = { d = 1 }\n[[e.f]]\ng = [{ h = 2 }]\n[class.batch]\nfloor = { cpu = 0.1 }\n[act]\n# \"x-*\" = [\"cpu\"]\n";
    let all = [
        "a",
        "act",
        "b",
        "b.c",
        "b.c.d",
        "class",
        "class.NAME.floor",
        "e",
        "e.f",
        "e.f.g",
        "e.f.g.h",
    ];
    assert_eq!(shown(text).into_iter().collect::<Vec<_>>(), all);
}
