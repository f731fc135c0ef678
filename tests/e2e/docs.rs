//! What documents tell people to type is run, or says why it is not; in each case its command lines are ones that the program takes.
//!
//! Before each block of `sh`, `console`, `toml`, `nginx` or `bitbake` stands how it is tested (CONTRIBUTING.md):
//!
//! - `<!-- test: run -->` in a folder beside a cell of this test, which stands in for the default ports;
//! - `<!-- test: watch -->` each line is ended as soon as it has told something;
//! - `<!-- test: by FILE FUNCTION -->` another test runs it, or does the same where it can be looked at;
//! - `<!-- test: not run: REASON -->`;
//! - `<!-- test: policy -->`, `agent.toml`, `brain.toml`, `broker.toml`: a configuration, which is read.
//!
//! `<!-- tests: ... -->` says it of all blocks of a page that do not say it themselves.

use std::{fs, path::PathBuf, process::Command};

mod cell;
mod pages;
mod words;

use cell::Cell;
use pages::{Block, How, blocks, spans};
use words::{commands, of_program};

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

#[test]
fn every_block_says_how_it_is_tested_and_configurations_are_good() {
    let all = blocks();
    assert!(all.len() > 60, "only {} blocks are found", all.len());
    let unsaid: Vec<String> = all.iter().filter_map(|block| block.how().err()).collect();
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
                let there = code.contains(&format!("fn {function}()"));
                (!there).then(|| format!("{file} has no {function}"))
            }
            How::Run | How::Watch | How::Not(_) => None,
        };
        assert_eq!(fault, None, "{block}");
    }
}

#[test]
fn every_command_line_is_one_that_the_program_takes() {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for block in blocks().iter().filter(|block| block.is_of_shell()) {
        for words in commands(&block.text) {
            lines.extend(of_program(&words).map(|arguments| (block.to_string(), arguments)));
        }
    }
    for (place, span) in spans() {
        for words in commands(&span) {
            lines.extend(of_program(&words).map(|arguments| (format!("{place}: {span}"), arguments)));
        }
    }
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
    let whole = format!("<!-- tests: not run: it is old -->\n{page}");
    assert_eq!(
        pages::of_page("x.md", &whole)[1].how(),
        Ok(How::Not("it is old".to_owned()))
    );
}
