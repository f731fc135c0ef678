//! What documents tell people to type is run, or says why it is not; in each case its command lines are ones that the program takes.
//!
//! Before each block of what somebody types or gives to a program stands how it is tested (CONTRIBUTING.md); `docs/pages.rs` has the
//! languages, of which a block has to have one. What is set in by four spaces has none, and is a fault.
//!
//! - `<!-- test: run -->` in a folder beside a cell of this test, which stands in for the default ports;
//! - `<!-- test: watch -->` each line is ended as soon as it has told something;
//! - `<!-- test: by FILE FUNCTION -->` another test runs it, or does the same where it can be looked at;
//! - `<!-- test: not run: REASON -->`;
//! - `<!-- test: policy -->`, `agent.toml`, `brain.toml`, `broker.toml`: a configuration, which is read.
//!
//! `<!-- tests: ... -->` says it of all blocks of a page that do not say it themselves.

use std::{fs, path::PathBuf, process::Command};

mod cargo;
mod cell;
mod lines;
mod pages;
mod words;

use cell::Cell;
use lines::{Line, lines};
use pages::{Block, How, blocks};
use words::of_program;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn run(arguments: &[String]) -> (bool, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_foreshadow"))
        .args(arguments)
        .output()
        .unwrap();
    (
        ended.status.success(),
        String::from_utf8_lossy(&ended.stderr).into_owned(),
    )
}

/// The blocks of a page in a language, for a test that runs them.
///
/// # Panics
/// Where there are none.
pub(crate) fn blocks_of(page: &str, language: &str) -> Vec<String> {
    let of_both = |block: &Block| block.file == page && block.language == language;
    let found: Vec<_> = blocks().into_iter().filter(of_both).map(|block| block.text).collect();
    assert!(!found.is_empty(), "{page} has no block of {language}");
    found
}

/// Runs a script as a shell does, in `folder`; what it prints.
///
/// # Panics
/// Where it fails.
pub(crate) fn run_script(folder: &std::path::Path, script: &str) -> String {
    let ended = Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{script}: {told}");
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn every_block_says_how_it_is_tested_and_configurations_are_good() {
    let all = blocks();
    assert!(all.len() > 60, "only {} blocks are found", all.len());
    let mut unsaid = pages::unseen();
    unsaid.extend(all.iter().filter_map(|block| block.how().err()));
    assert!(unsaid.is_empty(), "{}", unsaid.join("\n"));
    for block in &all {
        let text = &block.text;
        let fault = match block.how().unwrap() {
            How::Policy => brain::policy::Policy::parse(text).err().map(|fault| fault.to_string()),
            How::Agent => runtime::config::parse::<agent::Config>(text, "agent.toml")
                .err()
                .map(|fault| fault.to_string()),
            How::Brain => runtime::config::parse::<brain::Config>(text, "brain.toml")
                .err()
                .map(|fault| fault.to_string()),
            How::Broker => runtime::config::parse::<broker::Config>(text, "broker.toml")
                .err()
                .map(|fault| fault.to_string()),
            How::By(file, function) => {
                let code = fs::read_to_string(root().join(&file)).unwrap_or_default();
                let before = code.split_once(&format!("fn {function}()"));
                let is_test = before.is_some_and(|(before, _)| {
                    let marks = before.rsplit("\n\n").next().unwrap_or_default();
                    marks.contains("#[test]") || marks.contains("#[tokio::test")
                });
                (!is_test).then(|| format!("{file} has no test {function}"))
            }
            How::Run | How::Watch | How::Not(_) => None,
        };
        assert_eq!(fault, None, "{block}");
    }
}

#[test]
fn every_command_line_is_one_that_the_program_takes() {
    let ours = |Line { place, words }| of_program(&words).map(|arguments| (place, arguments));
    let mut lines: Vec<(String, Vec<String>)> = lines().into_iter().filter_map(ours).collect();
    assert!(lines.len() > 80, "only {} command lines are found", lines.len());
    lines.sort_by(|a, b| a.1.cmp(&b.1));
    lines.dedup_by(|a, b| a.1 == b.1);
    let mut faults = Vec::new();
    for (place, mut arguments) in lines {
        // What stands before it is read first, so that a fault of it is told, and nothing is begun.
        arguments.push("--help".to_owned());
        let (is_good, told) = run(&arguments);
        if !is_good {
            faults.push(format!("{place}: {}", told.lines().next().unwrap_or_default()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Benchmarks and tests are commands as well: what they name is there. What `foreshadow-bench` and `foreshadow-chaos` take is tested
/// beside them, where their arguments are defined.
#[test]
fn every_line_of_cargo_and_every_script_names_what_is_there() {
    let workspace = cargo::Workspace::read();
    let (mut faults, mut looked_at) = (Vec::new(), 0);
    for Line { place, words } in lines() {
        let found = if words[0] == "cargo" {
            workspace.faults(&words)
        } else if !words[0].starts_with(['/', '.']) && words[0].contains('/') {
            let is_there = root().join(&words[0]).is_file();
            (!is_there)
                .then(|| format!("no script {}", words[0]))
                .into_iter()
                .collect()
        } else {
            continue;
        };
        looked_at += 1;
        faults.extend(found.into_iter().map(|fault| format!("{place}: {fault}")));
    }
    assert!(looked_at > 25, "only {looked_at} lines are found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_command_is_in_the_documents() {
    let help = Command::new(env!("CARGO_BIN_EXE_foreshadow"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .lines()
        .take_while(|line| !line.is_empty());
    let names: Vec<&str> = listed
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .collect();
    assert!(names.len() > 20 && names.contains(&"up"), "{names:?}");
    let page = fs::read_to_string(root().join("docs/commands.md")).unwrap();
    let is_there = |name: &&&str| {
        [' ', '`']
            .iter()
            .any(|end| page.contains(&format!("`foreshadow {name}{end}")))
    };
    let missing: Vec<&&str> = names
        .iter()
        .filter(|name| **name != "help" && !is_there(name))
        .collect();
    assert!(missing.is_empty(), "docs/commands.md has no {missing:?}");
}

#[test]
fn commands_of_the_documents_run() {
    let cell = Cell::start();
    let mut faults = Vec::new();
    let mut ran = 0;
    for block in blocks() {
        let result = match block.how() {
            Ok(How::Run) => cell.run(&block),
            Ok(How::Watch) => cell.watch(&block),
            _ => continue,
        };
        ran += 1;
        faults.extend(result.err().map(|fault| format!("{block}: {fault}\n{}", block.text)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(ran >= 15, "only {ran} blocks were run");
}

#[test]
fn a_block_that_says_nothing_is_a_fault() {
    let page = "# x\n<!-- test: run -->\n```sh\nls\n```\ntext\n\n```sh\nrm x\n```\n<!-- test: not run: -->\n```toml\n```\n<!-- test: perhaps -->\n```console\n$ ls\n```\n```json\n```\n";
    let found: Vec<Block> = pages::of_page("x.md", page);
    let how: Vec<Result<How, String>> = found.iter().map(Block::how).collect();
    assert_eq!(how.len(), 4);
    assert_eq!(how[0], Ok(How::Run));
    assert!(how[1..].iter().all(Result::is_err), "{how:?}");
    let set_in = "\
text
    its next line

    code 5

- an item
  of a list

    and its next paragraph

      code 11
- another

code after it:
    no code

1. one
   - two

         code 19

```rust
    within
```
<!-- words -->
\tcode 24
```sh
    ls
";
    let faults = pages::unseen_of("x.md", set_in);
    let at: Vec<&str> = faults.iter().filter_map(|fault| fault.split(' ').next()).collect();
    assert_eq!(
        at,
        ["x.md:4:", "x.md:11:", "x.md:20:", "x.md:22:", "x.md:26:", "x.md:27:"],
        "{faults:#?}"
    );
    let whole = format!("<!-- tests: not run: it is old -->\n{page}");
    assert_eq!(
        pages::of_page("x.md", &whole)[1].how(),
        Ok(How::Not("it is old".to_owned()))
    );
}
