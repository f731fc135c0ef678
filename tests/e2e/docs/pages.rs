//! Blocks and spans of code in the documents.

use std::{fmt, fs, path::Path};

use super::root;

/// One block of commands or configuration.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) file: String,
    line: usize,
    pub(crate) language: String,
    pub(crate) text: String,
    said: Option<String>,
}

/// How a block is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    Run,
    Watch,
    By(String, String),
    Not(String),
    Policy,
    Agent,
    Brain,
    Broker,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Block {
    /// Whether it is commands, not what some program reads.
    pub(crate) fn is_of_shell(&self) -> bool {
        ["sh", "console", "bash", "shell"].contains(&self.language.as_str())
    }

    /// What stands before it, or before its page.
    pub(crate) fn how(&self) -> Result<How, String> {
        let unsaid = |what: &str| Err(format!("{self}: {what}; tests/e2e/docs.rs tells what can be said"));
        let Some(said) = &self.said else {
            return unsaid("no <!-- test: ... --> before the block");
        };
        let (is_toml, is_of_shell) = (self.language == "toml", self.is_of_shell());
        match (said.as_str(), said.split_once(' ')) {
            ("run", _) if is_of_shell => Ok(How::Run),
            ("watch", _) if is_of_shell => Ok(How::Watch),
            ("policy", _) if is_toml => Ok(How::Policy),
            ("agent.toml", _) if is_toml => Ok(How::Agent),
            ("brain.toml", _) if is_toml => Ok(How::Brain),
            ("broker.toml", _) if is_toml => Ok(How::Broker),
            (_, Some(("by", test))) => match test.split_once(' ') {
                Some((file, function)) => Ok(How::By(file.to_owned(), function.to_owned())),
                None => unsaid("by which file and function?"),
            },
            (not, _) => match not.strip_prefix("not run: ") {
                Some(reason) => Ok(How::Not(reason.to_owned())),
                None => unsaid(not),
            },
        }
    }
}

fn pages() -> Vec<(String, String)> {
    let mut files = vec![
        root().join("README.md"),
        root().join("CONTRIBUTING.md"),
        root().join("ARCHITECTURE.md"),
        root().join("deploy/README.md"),
    ];
    markdown(&root().join("docs"), &mut files);
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        (name, fs::read_to_string(file).unwrap())
    };
    files.iter().map(read).collect()
}

fn markdown(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            markdown(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

/// All blocks of all documents.
pub(crate) fn blocks() -> Vec<Block> {
    pages().iter().flat_map(|(name, text)| of_page(name, text)).collect()
}

/// The blocks of one page.
pub(crate) fn of_page(name: &str, text: &str) -> Vec<Block> {
    let said = |line: &str, word: &str| {
        let inner = line.trim().strip_prefix("<!-- ")?.strip_suffix("-->")?;
        Some(inner.strip_prefix(word)?.trim().to_owned())
    };
    let whole = text.lines().find_map(|line| said(line, "tests:"));
    let (mut found, mut before) = (Vec::new(), None);
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            if !line.trim().is_empty() {
                before = said(line, "test:");
            }
            continue;
        };
        let inner = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| line.trim_start() != "```");
        let text: String = inner.map(|line| format!("{line}\n")).collect();
        if ["sh", "console", "toml", "bash", "shell", "nginx", "bitbake"].contains(&language) {
            found.push(Block {
                file: name.to_owned(),
                line: number + 1,
                language: language.to_owned(),
                text,
                said: before.take().or_else(|| whole.clone()),
            });
        }
        before = None;
    }
    found
}

/// Spans of code within a line that begin with a program of ours, and where they stand.
pub(crate) fn spans() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, text) in pages() {
        let mut in_block = false;
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
            } else if !in_block {
                let spans = line.split('`').skip(1).step_by(2);
                let ours = spans.filter(|span| span.starts_with("foreshadow ") || span.starts_with("foreshadow-"));
                found.extend(ours.map(|span| (format!("{name}:{}", number + 1), span.replace("\\|", "|"))));
            }
        }
    }
    found
}
