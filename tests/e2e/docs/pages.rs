//! Blocks and spans of code in the documents.

use std::{fmt, fs, path::Path};

use super::root;

/// Languages of what somebody types or gives to a program: such a block says how it is tested.
const TESTED: [&str; 10] = [
    "sh", "console", "bash", "shell", "toml", "nginx", "bitbake", "acl", "python", "sql",
];
/// Languages of what is only looked at: what programs print, messages, pictures in letters.
const LOOKED_AT: [&str; 2] = ["text", "json"];

/// What a block begins and ends with.
const FENCE: &str = "```";

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
            ("run", _) if is_of_shell || self.language == "python" => Ok(How::Run),
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
    let mut files = [
        "README.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "brain/anomaly/testdata/README.md",
        "deploy/README.md",
        "fuzz/README.md",
        "shadow/testdata/README.md",
    ]
    .map(|name| root().join(name))
    .to_vec();
    for folder in ["docs", "testdata"] {
        markdown(&root().join(folder), &mut files);
    }
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
        let Some(language) = line.trim_start().strip_prefix(FENCE) else {
            if !line.trim().is_empty() {
                before = said(line, "test:");
            }
            continue;
        };
        let inner = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| line.trim_start() != FENCE);
        let text: String = inner.map(|line| format!("{line}\n")).collect();
        if TESTED.contains(&language) {
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

/// All blocks of all documents that [`blocks`] would not see, or not know what to do with.
pub(crate) fn unseen() -> Vec<String> {
    let pages = pages();
    pages.iter().flat_map(|(name, text)| unseen_of(name, text)).collect()
}

/// Code of a page that is set in by four spaces, in a language of neither list, or without an end.
///
/// As CommonMark has it: what is set in and follows a paragraph without an empty line is its next line, and of an item of a list
/// what counts is how far it is set in beyond the item's own text.
pub(crate) fn unseen_of(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut open: Option<usize> = None;
    // Where the text of the innermost list item begins; 0 outside of lists.
    let (mut item, mut is_after_gap) = (0, true);
    for (number, line) in (1..).zip(text.lines()) {
        let inner = line.trim_start();
        if let Some(language) = inner.strip_prefix(FENCE) {
            if open.is_some() {
                open = open.filter(|_| !language.trim().is_empty());
            } else {
                open = Some(number);
                if !TESTED.contains(&language) && !LOOKED_AT.contains(&language) {
                    let known = [&TESTED[..], &LOOKED_AT].concat().join(", ");
                    faults.push(format!(
                        "{name}:{number}: a block of {language:?}, which is none of {known}"
                    ));
                }
            }
            is_after_gap = true;
            continue;
        }
        if open.is_some() {
            continue;
        }
        if inner.is_empty() {
            is_after_gap = true;
            continue;
        }
        let depth = line.replace('\t', "    ").len() - inner.len();
        if is_after_gap && depth < item {
            item = 0;
        }
        let is_code = is_after_gap && depth >= item + 4;
        if is_code {
            faults.push(format!(
                "{name}:{number}: a block that is set in; it wants a fence, and how it is tested: {line}"
            ));
        } else if let Some(wide) = marker(inner) {
            item = depth + wide;
        }
        is_after_gap = is_code || inner.starts_with('#') || inner.starts_with("<!--");
    }
    faults.extend(open.map(|number| format!("{name}:{number}: a block that does not end")));
    faults
}

/// How wide the mark of a list's item is, with the space after it.
fn marker(line: &str) -> Option<usize> {
    let (mark, rest) = line.split_once(' ')?;
    let number = mark.trim_end_matches(['.', ')']);
    let is_number = !number.is_empty() && number.len() < mark.len() && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_mark = is_number || ["-", "*", "+"].contains(&mark);
    is_mark.then(|| mark.len() + 1 + (rest.len() - rest.trim_start().len()).min(3))
}

/// Spans of code within a line that begin with a program of ours or with cargo, and where they stand.
pub(crate) fn spans() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, text) in pages() {
        let mut in_block = false;
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with(FENCE) {
                in_block = !in_block;
            } else if !in_block {
                let spans = line.split('`').skip(1).step_by(2);
                let programs = ["foreshadow ", "foreshadow-", "cargo "];
                let ours = spans.filter(|span| programs.iter().any(|program| span.starts_with(program)));
                found.extend(ours.map(|span| (format!("{name}:{}", number + 1), span.replace("\\|", "|"))));
            }
        }
    }
    found
}
