//! `docs/configuration.md` is made of the code: which keys there are and what they take say the compiled types, defaults come from
//! them, and what they mean stands beside them in the sources. `FORESHADOW_WRITE_DOCS=1` and this test make it anew.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use runtime::Validate;
use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};

#[path = "reference/examples.rs"]
mod examples;
#[path = "reference/policy.rs"]
mod policy;

use self::{examples::same_keys, policy::of_policy};
use super::{
    declared::{Declared, Field, Sources},
    root,
    span_of::{End, Ends, ends},
};

const FOLDERS: &[&str] = &[
    "agent/src",
    "broker/src",
    "brain",
    "bus/src",
    "runtime/src",
    "shadow/src",
    "trust/src",
];
/// Where configurations begin.
const CONFIGS: [(&str, &str, &str); 3] = [
    (
        "agent.toml",
        "agent/src/config.rs",
        "`foreshadow agent`, `foreshadow-agent`",
    ),
    (
        "broker.toml",
        "broker/src/config.rs",
        "`foreshadow broker`, `foreshadow-broker`",
    ),
    (
        "brain.toml",
        "brain/src/config.rs",
        "`foreshadow brain`, `foreshadow-brain`",
    ),
];
/// The least that has to be said of what is not there by default.
const LEAST: &[(&str, &str)] = &[
    ("tls", "certificate = 'c'\nkey = 'k'"),
    ("page.tls", "certificate = 'c'\nkey = 'k'"),
    ("broker.tls", "ca = 'c'"),
    ("trust", "ca = 'c'\nidentities = [{ certificate = 'c', key = 'k' }]"),
    ("trust.identities", "certificate = 'c'\nkey = 'k'"),
    ("websocket", ""),
    ("out_of_band", "host = 'x'\nbmc = { address = '::1' }"),
    ("out_of_band.bmc", "address = '::1'"),
    ("probes.bounds", "metric = 'x'"),
    ("workloads", "name = 'x'"),
    ("limits", "workload = 'x'\nresource = 'cpu'"),
    ("act.class", "workload = 'x'\ndevice = 'eth0'\nclass = '1:10'"),
    ("act.allow", "workload = 'x'\nresource = 'cpu'"),
    (
        "act.exec",
        "name = 'x'\nresource = 'cpu'\nget = ['/x']\nset = ['/x', '{value}']",
    ),
    ("alerts.receivers", "name = 'x'\nkind = 'webhook'\nurl = 'https://x'"),
    ("alerts.silences", "hosts = 'x'\nuntil = '2026-12-24T18:00:00Z'"),
    ("page.proxy_login", "secret_file = 'x'"),
    ("window", "name = 'x'\nfrom = '22:00'\nuntil = '04:00'"),
    ("spare", "host = 'x'"),
];

const HEAD: &str = include_str!("reference/head.md");

/// What a compiled configuration type says of a text.
struct File<'a> {
    sources: &'a Sources,
    /// The fault of a text in a key of this name, and the keys that are known there.
    known: &'a dyn Fn(&str) -> Vec<String>,
    takes: &'a dyn Fn(&str) -> bool,
    /// `limits` is a list of the agent's, and a table elsewhere.
    limits_is_a_list: bool,
    /// A text with all defaults filled in.
    filled: &'a dyn Fn(&str) -> Table,
    page: String,
    keys: BTreeSet<String>,
}

/// One line of a table.
struct Row {
    path: String,
    kind: String,
    ends: String,
    default: String,
    text: String,
}

#[test]
fn the_reference_of_the_configuration_is_made_of_the_code() {
    let sources = Sources::of(FOLDERS);
    let mut page = HEAD.to_owned();
    for (name, file, commands) in CONFIGS {
        let (part, keys) = match name {
            "agent.toml" => of::<agent::Config>(&sources, file),
            "broker.toml" => of::<broker::Config>(&sources, file),
            _ => of::<brain::Config>(&sources, file),
        };
        write!(
            page,
            "\n## {name}\n\nFor {commands}, by `--config FILE`; an [example](../config/{name}) with every key.\n{part}"
        )
        .unwrap();
        same_keys(name, &keys);
    }
    let (part, keys) = of_policy(&sources);
    write!(page, "\n## policy.toml\n\nNamed by `allocate.policy` of the brain; the built-in one is the [example](../config/policy.toml). How it is used: [allocation](allocation.md), [cookbook](policy-cookbook.md).\n{part}").unwrap();
    same_keys("policy.toml", &keys);

    let path = root().join("docs/configuration.md");
    if std::env::var_os("FORESHADOW_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "docs/configuration.md: make it anew with FORESHADOW_WRITE_DOCS=1 and this test"
    );
}

fn of<T: DeserializeOwned + Serialize + Validate>(sources: &Sources, file: &str) -> (String, BTreeSet<String>) {
    let known = |text: &str| {
        let error = toml::from_str::<T>(text).err().expect("an unknown key is refused");
        let told = error.message().to_owned();
        let (_, expected) = told.split_once("`zzz`").unwrap_or_else(|| panic!("{text}: {told}"));
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let mut file_of = File {
        sources,
        known: &known,
        takes: &|text| runtime::config::parse::<T>(text, "x").is_ok(),
        limits_is_a_list: file.starts_with("agent/"),
        filled: &|text| {
            Table::try_from(toml::from_str::<T>(text).unwrap_or_else(|error| panic!("{text}: {error}"))).unwrap()
        },
        page: String::new(),
        keys: BTreeSet::new(),
    };
    let root = sources.find("Config", file).unwrap();
    file_of.table("", root, false);
    (file_of.page, file_of.keys)
}

impl File<'_> {
    /// The keys of one table, then its tables.
    fn table(&mut self, path: &str, declared: &Declared, is_list: bool) {
        assert!(!is_list || self.is_list(path), "add {path} to IS_LIST, and to LEAST");
        let names: Vec<&str> = declared.fields.iter().map(|field| field.name.as_str()).collect();
        let known = (self.known)(&self.at(path, "zzz = 1"));
        assert_eq!(known, names, "{}: keys of [{path}]", declared.file);
        if !path.is_empty() {
            let brackets = if is_list { ("[[", "]]") } else { ("[", "]") };
            write!(
                self.page,
                "\n### `{}{path}{}`\n\n{}\n",
                brackets.0, brackets.1, declared.text
            )
            .unwrap();
        }
        let of_field = |field: &Field| (field.clone(), nested(self.sources, &field.kind, &declared.file));
        let (mut rows, mut inner) = (Vec::new(), Vec::new());
        for (field, nested) in declared.fields.iter().map(of_field) {
            let path = join(path, &field.name);
            self.keys.insert(path.clone());
            match nested {
                Some((of, is_list)) => inner.push((path, of.clone(), is_list)),
                None => rows.push(self.row(path, &field, declared)),
            }
        }
        self.print(&rows);
        for (path, of, is_list) in inner {
            self.table(&path, &of, is_list);
        }
    }

    fn row(&self, path: String, field: &Field, declared: &Declared) -> Row {
        let (table, key) = path.rsplit_once('.').unwrap_or(("", &path));
        let filled = (self.filled)(&self.at(table, ""));
        let default = lookup(&filled, &path).cloned();
        let is_needed = !declared.has_default && !field.may_be_left_out;
        let kind = kind(self.sources, &field.kind, &declared.file);
        let ends = self.ends(table, key, &field.kind, default.as_ref());
        Row {
            kind,
            ends,
            default: match default {
                _ if is_needed => "needed".to_owned(),
                Some(value) => format!("`{value}`"),
                None => String::new(),
            },
            text: field.text.clone(),
            path,
        }
    }

    /// Between which values a number or a duration is taken, all else being as little as it can be.
    fn ends(&self, table: &str, key: &str, kind: &str, default: Option<&Value>) -> String {
        let kind = kind.trim_start_matches("Option<").trim_end_matches('>');
        let text = |value: f64| match kind {
            "Span" => format!("{key} = '{value}ms'"),
            "f64" => format!("{key} = {value:e}"),
            _ => format!("{key} = {value}"),
        };
        let takes = |value: f64| (self.takes)(&self.at(table, &text(value)));
        let own = match (kind, default) {
            ("Span", Some(Value::String(span))) => {
                span.parse::<runtime::Span>().ok().map(|span| span.as_millis() as f64)
            }
            (_, Some(Value::Integer(number))) => Some(*number as f64),
            (_, Some(Value::Float(number))) => Some(*number),
            _ => None,
        };
        let tried = [1.0, 50.0, 1e3, 1e5, 1e7, 0.5].into_iter();
        let Some(start) = own.into_iter().chain(tried).find(|&value| takes(value)) else {
            return String::new();
        };
        match kind {
            "Span" => told(ends(start, 0.0, 1e12, true, &takes), |ms| {
                runtime::Span::from_millis(ms as u64).to_string()
            }),
            "f64" => told(ends(start, -1e30, 1e30, false, &takes), |value| value.to_string()),
            "u8" | "u16" | "u32" | "u64" | "usize" | "i64" => {
                told(ends(start, 0.0, 9e15, true, &takes), |value| value.to_string())
            }
            _ => String::new(),
        }
    }

    /// A file with the least that has to be said so that `line` can stand in the table at `path`.
    fn at(&self, path: &str, line: &str) -> String {
        let key = line.split(" =").next().unwrap_or_default();
        let mut text = String::new();
        let parts: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
        for depth in 1..=parts.len() {
            let table = parts[..depth].join(".");
            let is_list = self.is_list(&table);
            let least = LEAST
                .iter()
                .find(|(of, _)| *of == table && (is_list || !IS_LIST.contains(of)));
            if depth < parts.len() && least.is_none() {
                continue;
            }
            let next = parts.get(depth).copied().unwrap_or(key);
            let (open, close) = if is_list { ("[[", "]]") } else { ("[", "]") };
            writeln!(text, "{open}{table}{close}").unwrap();
            let lines = least.map_or("", |(_, least)| least).lines();
            for line in lines.filter(|line| !line.starts_with(&format!("{next} ="))) {
                writeln!(text, "{line}").unwrap();
            }
        }
        format!("{text}{line}\n")
    }

    fn is_list(&self, table: &str) -> bool {
        IS_LIST.contains(&table) && (table != "limits" || self.limits_is_a_list)
    }

    fn print(&mut self, rows: &[Row]) {
        if rows.is_empty() {
            return;
        }
        self.page
            .push_str("\n| key | type | range | default | meaning |\n|---|---|---|---|---|\n");
        for Row {
            path,
            kind,
            ends,
            default,
            text,
        } in rows
        {
            let key = path.rsplit('.').next().unwrap();
            let default = default.replace('|', "\\|");
            writeln!(
                self.page,
                "| `{key}` | {kind} | {ends} | {default} | {} |",
                text.replace('|', "\\|")
            )
            .unwrap();
        }
    }
}

/// In words. The most that a type or a check against nonsense lets through is no end that anybody meets.
fn told(ends: Ends, show: impl Fn(f64) -> String) -> String {
    let is_met = |end: &End| end.value < 1e18 && end.value != f64::from(u32::MAX);
    let ends = Ends {
        high: ends.high.filter(is_met),
        ..ends
    };
    let closed = |value: f64, is_taken: bool, open: &str| {
        if is_taken {
            show(value)
        } else {
            format!("{open} {}", show(value))
        }
    };
    match (ends.low, ends.high) {
        (None, None) => String::new(),
        (Some(low), None) if low.is_taken => format!("at least {}", show(low.value)),
        (Some(low), None) => format!("above {}", show(low.value)),
        (None, Some(high)) if high.is_taken => format!("at most {}", show(high.value)),
        (None, Some(high)) => format!("below {}", show(high.value)),
        (Some(low), Some(high)) => format!(
            "{} to {}",
            closed(low.value, low.is_taken, "above"),
            closed(high.value, high.is_taken, "below")
        ),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Lists of tables.
const IS_LIST: &[&str] = &[
    "trust.identities",
    "out_of_band",
    "probes.bounds",
    "workloads",
    "limits",
    "act.class",
    "act.allow",
    "act.exec",
    "alerts.receivers",
    "alerts.silences",
    "window",
    "spare",
];

/// The value at a dotted path, of lists in their first table.
fn lookup<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let (mut parts, mut level) = (path.split('.').peekable(), table);
    while let Some(part) = parts.next() {
        let value = level.get(part)?;
        if parts.peek().is_none() {
            return Some(value);
        }
        level = value.as_table().or_else(|| value.as_array()?.first()?.as_table())?;
    }
    None
}

/// The struct within a type, and whether it is a list of them.
fn nested<'a>(sources: &'a Sources, kind: &str, file: &str) -> Option<(&'a Declared, bool)> {
    let bare = kind
        .trim_start_matches("Option<")
        .trim_start_matches("Vec<")
        .trim_end_matches('>');
    if PLAIN.iter().any(|(plain, _)| *plain == bare) || bare.contains('<') {
        return None;
    }
    let declared = sources.find(bare, file)?;
    (!declared.is_enum).then_some((declared, kind.contains("Vec<")))
}

const PLAIN: &[(&str, &str)] = &[
    ("String", "text"),
    ("PathBuf", "path"),
    ("Span", "duration"),
    ("bool", "`true`, `false`"),
    ("f64", "number"),
    ("u8", "whole number"),
    ("u16", "whole number"),
    ("u32", "whole number"),
    ("u64", "whole number"),
    ("usize", "whole number"),
    ("SocketAddr", "address:port"),
    ("BTreeMap<String, Vec<String>>", "table of lists of texts"),
];

fn kind(sources: &Sources, kind: &str, file: &str) -> String {
    if let Some((_, words)) = PLAIN.iter().find(|(plain, _)| *plain == kind) {
        return (*words).to_owned();
    }
    let inner = |head: &str| kind.strip_prefix(head).and_then(|rest| rest.strip_suffix('>'));
    if let Some(inner) = inner("Option<") {
        return self::kind(sources, inner, file);
    }
    if let Some(inner) = inner("Vec<") {
        return format!("list of {}s", self::kind(sources, inner, file));
    }
    let declared = sources
        .find(kind, file)
        .unwrap_or_else(|| panic!("{file}: what is {kind}?"));
    let words = declared.fields.iter().map(|variant| match variant.name.as_str() {
        "Every" => "a duration".to_owned(),
        name => format!("`\"{}\"`", name.to_lowercase()),
    });
    words.collect::<Vec<_>>().join(", ")
}
