//! `docs/metrics.md` is made of the names in the code; `tests/e2e/metrics.rs` compares it with what processes tell.
//! `FORESHADOW_WRITE_DOCS=1` and this test make it anew.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use super::{is_test, root, sources};

const HEAD: &str = include_str!("metrics/head.md");
const TAIL: &str = include_str!("metrics/tail.md");

#[test]
fn the_page_of_metrics_is_made_of_the_code() {
    let mut page = HEAD.to_owned();
    for part in ["brain", "broker"] {
        let rows = rows(part);
        assert!(rows.len() > 25, "{part} has {} metrics", rows.len());
        write!(
            page,
            "\n## {}{}\n\n| metric | kind | by | tells |\n|---|---|---|---|\n",
            part[..1].to_uppercase(),
            &part[1..]
        )
        .unwrap();
        for row in rows {
            page.push_str(&row);
        }
    }
    page.push_str(TAIL);
    let path = root().join("docs/metrics.md");
    if std::env::var_os("FORESHADOW_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "docs/metrics.md: make it anew with FORESHADOW_WRITE_DOCS=1 and this test"
    );
}

fn rows(part: &str) -> Vec<String> {
    let mut files = Vec::new();
    sources(&root().join(part).join("src"), &mut files);
    files.retain(|file| !is_test(file));
    let code: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let names = fs::read_to_string(root().join(part).join("src/metrics.rs")).unwrap();
    let texts = |function: &str| texts(names.split(&format!("fn {function}(&self)")).nth(1).unwrap());
    let (names, helps) = (texts("name"), texts("help"));
    let row = |(variant, name): (&String, &String)| {
        let (kind, label) = kind(&code, variant).unwrap_or_else(|| panic!("{part}: nothing tells {variant}"));
        let ending = if kind == "counter" { "_total" } else { "" };
        let help = helps
            .get(variant)
            .unwrap_or_else(|| panic!("{part}: {variant} has no help"));
        format!("| `foreshadow_{name}{ending}` | {kind} | {label} | {help} |\n")
    };
    let mut rows: Vec<String> = names.iter().map(row).collect();
    rows.sort();
    rows
}

/// What stands behind each variant, in a function that is one `match`.
fn texts(code: &str) -> BTreeMap<String, String> {
    let code = code.split("\n    }\n").next().unwrap();
    let arms = code.split("Self::").skip(1);
    let text = |arm: &str| {
        let (variant, rest) = arm.split_once("=>")?;
        Some((variant.trim().to_owned(), rest.split('"').nth(1)?.to_owned()))
    };
    arms.filter_map(text).collect()
}

/// How a metric is told: as a counter or a gauge, and by which label.
fn kind(code: &str, variant: &str) -> Option<(&'static str, String)> {
    for (call, kind) in [
        ("counter", "counter"),
        ("gauge", "gauge"),
        ("counters", "counter"),
        ("gauges", "gauge"),
    ] {
        let wanted = format!(".{call}(Metric::{variant}");
        let mut found = code.match_indices(&wanted).map(|(at, _)| &code[at + wanted.len()..]);
        if let Some(rest) = found.find(|rest| rest.starts_with([',', ')'])) {
            let label = rest.split([';', '\n']).next().unwrap().split('"').nth(1);
            let label = label
                .filter(|_| call.ends_with('s'))
                .map_or_else(String::new, |label| format!("`{label}`"));
            return Some((kind, label));
        }
    }
    None
}
