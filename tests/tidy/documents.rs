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

#[test]
fn units_wait_for_a_stop_as_long_as_is_told() {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    for part in ["agent", "broker", "brain"] {
        let unit = format!("deploy/systemd/foreshadow-{part}.service");
        let unit = fs::read_to_string(root().join(unit)).unwrap();
        let wait = unit
            .lines()
            .find_map(|line| line.strip_prefix("TimeoutStopSec="))
            .unwrap();
        let told = format!("the {part} after {}", wait.replace('s', " s"));
        assert!(page.contains(&told), "docs/operations.md does not say: {told}");
    }
}

#[test]
fn links_lead_somewhere_and_every_page_is_in_the_book() {
    let mut files = vec![
        root().join("README.md"),
        root().join("ARCHITECTURE.md"),
        root().join("CONTRIBUTING.md"),
    ];
    files.push(root().join("deploy/README.md"));
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(root().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    }
    let mut dead = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                file.clone()
            } else {
                file.parent().unwrap().join(path)
            };
            let leads = target.exists()
                && (anchor.is_empty()
                    || anchors(&fs::read_to_string(&target).unwrap_or_default()).contains(&anchor.to_owned()));
            if !leads {
                dead.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    let book = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let book = links(&book);
    for page in fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
    {
        let name = page.to_str().unwrap();
        let is_page = name.ends_with(".md") && name != "README.md";
        assert!(!is_page || book.contains(&name), "docs/{name} is not in docs/README.md");
    }
}

/// Where a text links to within the project: outside of code.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for block in text.split("```").step_by(2) {
        for line in block.lines() {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            found.extend(targets.filter(|target| !target.contains("://") && !target.contains(' ')));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The anchors of a text's headings, as forges make them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(|line| line.split_once("# "));
    let anchor = |(_, heading): (&str, &str)| {
        let kept = heading.to_lowercase();
        let kept = kept
            .chars()
            .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
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
