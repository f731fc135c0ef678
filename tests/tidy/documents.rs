//! The tests that documents name are there.

use std::fs;

use super::root;

#[test]
fn every_line_of_the_threat_model_names_a_test_that_is_there() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let named = named_tests(&text);
    for (file, test) in &named {
        let code = fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("{file} is not there"));
        assert!(is_test_in(&code, test), "{test} is no test in {file}");
    }
    assert!(named.len() >= 60, "only {} tests are named", named.len());
    let bare = untested(&text);
    assert!(bare.is_empty(), "neither a test nor admitted:\n{}", bare.join("\n"));
}

#[test]
fn each_of_the_twelve_faults_names_its_test() {
    let folder = root().join("broker/tests/broker");
    let text = fs::read_to_string(folder.join("twelve.rs")).unwrap();
    let table: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("//! ")).collect();
    let faults = table
        .iter()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| fault"));
    assert_eq!(faults.count(), 12);
    let table = table.join("\n");
    assert_eq!(untested(&table), [""; 0]);
    for (file, test) in named_tests(&table) {
        let code = fs::read_to_string(folder.join(file)).unwrap_or_else(|_| panic!("{file} is not there"));
        assert!(is_test_in(&code, test), "{test} is no test in {file}");
    }
}

/// The tests that a text names: a file of Rust, and behind it, with no more than a comma or `and` between, functions.
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    let mut named = Vec::new();
    let mut file = None;
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 0 {
            let apart = part.trim().trim_matches(',');
            file = file.filter(|_| apart.is_empty() || apart == "and");
        } else if part.ends_with(".rs") {
            file = Some(part);
        } else if let Some(file) = file {
            named.push((file, part));
        }
    }
    named
}

/// Whether `name` is a test in `code`: its attribute stands between it and what is before.
fn is_test_in(code: &str, name: &str) -> bool {
    let before = code.split_once(&format!("fn {name}(")).map(|(before, _)| before);
    let own = before.map(|before| before.rsplit("\n\n").next().unwrap_or_default());
    own.is_some_and(|own| own.contains("#[test]") || own.contains("#[tokio::test"))
}

/// Lines of tables whose last cell names no test and does not say that it is admitted.
fn untested(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let rules = |line: &&str| line.starts_with("|---");
    let rows = lines.iter().enumerate().filter(|(at, line)| {
        let heads = lines.get(at + 1).is_some_and(rules);
        line.starts_with('|') && !rules(line) && !heads
    });
    let bare = rows.map(|(_, line)| *line).filter(|line| {
        let last = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        named_tests(last).is_empty() && !last.contains("admitted")
    });
    bare.collect()
}

#[test]
fn what_is_named_and_what_is_not_is_found() {
    let text = "see `a/b.rs` `one`, `two` and\n`three_four`; `five`\n| x | y |\n|---|---|\n| a `c.rs` `six` | b |\n| a | `d.rs` |\n\
                | a | admitted |\n| a | `d.rs` `seven` |\n";
    let of = |file, test| (file, test);
    assert_eq!(
        named_tests(text),
        [
            of("a/b.rs", "one"),
            of("a/b.rs", "two"),
            of("a/b.rs", "three_four"),
            of("c.rs", "six"),
            of("d.rs", "seven")
        ]
    );
    assert_eq!(untested(text), ["| a `c.rs` `six` | b |", "| a | `d.rs` |"]);
    let code = "fn helper() {}\n\n#[test]\nfn one() {}\n\n    /// Says.\n    #[tokio::test(start_paused = true)]\n    async fn two() {}\n";
    assert!(
        is_test_in(code, "one") && is_test_in(code, "two") && !is_test_in(code, "helper") && !is_test_in(code, "three")
    );
}
