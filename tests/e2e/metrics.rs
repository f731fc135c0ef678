//! What processes tell at `/metrics` is what `docs/metrics.md` says.

use std::collections::BTreeMap;

use crate::{
    harness::{PATIENCE, free_port, get, until},
    stack::Stack,
};

/// A metric as the page has it: kind, whether it has a label, what it tells.
type Told<'a> = BTreeMap<&'a str, (&'a str, bool, &'a str)>;

fn documented(page: &str) -> Told<'_> {
    let rows = page.lines().filter(|line| line.starts_with("| `foreshadow_"));
    let cells = rows.filter_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        match cells.as_slice() {
            [name, kind, label, text] => Some((name.trim_matches('`'), (*kind, !label.is_empty(), *text))),
            _ => None,
        }
    });
    cells.collect()
}

#[test]
fn what_is_told_is_what_the_page_says() {
    let page = include_str!("../../docs/metrics.md");
    let documented = documented(page);
    assert!(documented.len() > 60, "{} metrics", documented.len());
    for word in page
        .split('`')
        .filter(|word| word.starts_with("foreshadow_br") && !word.ends_with('_'))
    {
        assert!(
            documented.contains_key(word),
            "docs/metrics.md names {word}, which there is not"
        );
    }
    let stack = Stack::new();
    let port = free_port();
    let _broker = stack.broker_with_metrics(port);
    let _brain = stack.brain();
    let _agent = stack.agent();
    let mut told = String::new();
    until("a plan was answered", PATIENCE, || {
        told = get(stack.page, "/metrics") + &get(port, "/metrics");
        told.contains("foreshadow_brain_outcomes_total{state=")
    });
    let kinds = told
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut seen = Vec::new();
    for (name, kind) in kinds {
        let name = if kind == "counter" {
            format!("{name}_total")
        } else {
            name.to_owned()
        };
        let bare = name.strip_suffix("_total").unwrap_or(&name);
        let (of_page, has_label, text) = documented
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is not in docs/metrics.md"));
        assert_eq!(*of_page, kind, "{name}");
        assert!(told.contains(&format!("# HELP {bare} {text}.\n")), "{name}: {text}");
        let labelled = told.lines().any(|line| line.starts_with(&format!("{name}{{")));
        assert!(!labelled || *has_label, "{name} has a label");
        seen.push(name);
    }
    let missing: Vec<&&str> = documented
        .iter()
        .filter(|(name, (_, has_label, _))| !has_label && !seen.iter().any(|seen| seen == *name))
        .map(|(name, _)| name)
        .collect();
    assert!(missing.is_empty(), "nobody tells {missing:?}");
}
