//! What the sources say of their configuration types: fields in order, with types and comments.
//!
//! Read line by line, as rustfmt writes them; that nothing was missed shows the comparison with what the compiled types take.

use std::{collections::BTreeMap, fs, path::Path};

use super::{relative, root, sources};

/// A struct or an enum of the sources.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declared {
    pub(crate) file: String,
    pub(crate) is_enum: bool,
    /// Whether a field may be left out because the whole has a default.
    pub(crate) has_default: bool,
    /// Its comment.
    pub(crate) text: String,
    pub(crate) fields: Vec<Field>,
}

/// A field, or a variant of an enum, which has no type.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) text: String,
    pub(crate) may_be_left_out: bool,
}

/// All types of some folders, by name; several may have the same.
#[derive(Debug)]
pub(crate) struct Sources(BTreeMap<String, Vec<Declared>>);

impl Sources {
    pub(crate) fn of(folders: &[&str]) -> Self {
        let mut all: BTreeMap<String, Vec<Declared>> = BTreeMap::new();
        let mut files = Vec::new();
        for folder in folders {
            sources(&root().join(folder), &mut files);
        }
        for file in files {
            for (name, declared) in read(&file) {
                all.entry(name).or_default().push(declared);
            }
        }
        Self(all)
    }

    /// The type that `name` means in a file of `from`: with a crate's name before it, of the same file, of the same crate, or the only
    /// one that there is.
    pub(crate) fn find(&self, name: &str, from: &str) -> Option<&Declared> {
        let (krate, name) = name
            .rsplit_once("::")
            .map_or((None, name), |(krate, name)| (Some(krate), name));
        let all = self.0.get(name)?;
        let own_crate = format!("{}/src/", from.split("/src/").next().unwrap_or_default());
        let in_crate = |declared: &&Declared| match krate {
            Some(krate) => declared.file.contains(&format!("{krate}/src/")),
            None => declared.file.starts_with(&own_crate),
        };
        let same_file = all.iter().find(|declared| krate.is_none() && declared.file == from);
        let of_crate: Vec<&Declared> = all.iter().filter(in_crate).collect();
        same_file.or(match (of_crate.as_slice(), all.as_slice()) {
            ([only], _) => Some(*only),
            ([], [only]) => Some(only),
            ([], _) => panic!("{from}: {name} may be one of {}", all.len()),
            (several, _) => {
                let below = format!("{}/", from.trim_end_matches(".rs"));
                let near =
                    |declared: &&&Declared| declared.file.ends_with("/config.rs") || declared.file.starts_with(&below);
                several.iter().find(near).copied()
            }
        })
    }
}

/// The public types of one file.
fn read(file: &Path) -> Vec<(String, Declared)> {
    let source = fs::read_to_string(file).unwrap();
    let (mut found, mut text, mut attributes) = (Vec::new(), String::new(), String::new());
    let mut open: Option<(String, Declared)> = None;
    for line in source.lines() {
        let bare = line.trim();
        if let Some(comment) = bare.strip_prefix("///") {
            let comment = comment.trim();
            // The first paragraph tells what it is; the others why.
            if !(text.is_empty() && comment.is_empty()) {
                text.push_str(if comment.is_empty() { "\u{0}" } else { " " });
                text.push_str(comment);
            }
            continue;
        }
        if bare.starts_with("#[") || (!attributes.is_empty() && !attributes.ends_with(']')) {
            attributes.push_str(bare);
            continue;
        }
        let words = first_paragraph(&text);
        if let Some((_, declared)) = &mut open {
            if line == "}" {
                found.extend(open.take());
            } else if line.starts_with("    ") && !line.starts_with("     ") {
                declared
                    .fields
                    .extend(field(bare, words, &attributes, declared.is_enum));
            }
        } else {
            open = opened(line, words, &attributes, file);
        }
        text.clear();
        attributes.clear();
    }
    found
}

fn first_paragraph(text: &str) -> String {
    text.split('\u{0}').next().unwrap_or_default().trim().to_owned()
}

fn opened(line: &str, text: String, attributes: &str, file: &Path) -> Option<(String, Declared)> {
    let head = line.strip_suffix(" {")?;
    let is_enum = head.starts_with("pub enum ");
    let name = head
        .strip_prefix("pub enum ")
        .or_else(|| head.strip_prefix("pub struct "))?;
    let serde = attributes.split("#[serde(").nth(1).unwrap_or_default();
    let declared = Declared {
        file: relative(file),
        is_enum,
        has_default: serde.split([',', ')']).any(|word| word.trim() == "default"),
        text,
        fields: Vec::new(),
    };
    Some((name.to_owned(), declared))
}

fn field(line: &str, text: String, attributes: &str, is_variant: bool) -> Option<Field> {
    if attributes.contains("serde(skip)") {
        return None;
    }
    if is_variant {
        let name = line.split([',', '(', ' ', '{']).next()?;
        return name.starts_with(char::is_uppercase).then(|| Field {
            name: name.to_owned(),
            kind: String::new(),
            text,
            may_be_left_out: true,
        });
    }
    let (name, kind) = line.strip_prefix("pub ")?.strip_suffix(',')?.split_once(": ")?;
    Some(Field {
        name: name.to_owned(),
        kind: kind.to_owned(),
        text,
        may_be_left_out: attributes.contains("default") || kind.starts_with("Option<"),
    })
}
