//! The house rules that a compiler does not check: who may import whom, one home for each heavy
//! dependency, and files short enough to read.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::pedantic,
    reason = "a test that meets what it does not expect is to fail there and then"
)]

#[path = "tidy/declared.rs"]
mod declared;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/metrics.rs"]
mod metrics;
#[path = "tidy/reference.rs"]
mod reference;
#[path = "tidy/span_of.rs"]
mod span_of;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each crate, and the crates of ours that it may depend on.
const EDGES: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("shadow", &["schemas"]),
    ("runtime", &[]),
    ("trust", &["shadow", "runtime"]),
    ("pki", &["shadow", "runtime", "trust"]),
    ("bus", &["shadow", "runtime"]),
    ("agent", &["shadow", "bus", "runtime", "trust"]),
    ("broker", &["runtime", "trust"]),
    ("brain/alerts", &["shadow", "runtime"]),
    ("brain/anomaly", &["shadow"]),
    ("brain/forecast", &["shadow"]),
    ("brain/limits", &[]),
    ("brain/sparkplug", &["shadow", "bus", "runtime"]),
    (
        "brain",
        &[
            "shadow",
            "bus",
            "runtime",
            "alerts",
            "anomaly",
            "forecast",
            "limits",
            "sparkplug",
            "trust",
        ],
    ),
    ("tests/browser", &[]),
];

/// Each heavy dependency, and the only crates that may name it; tests and benches excepted.
const HOMES: &[(&str, &[&str])] = &[
    ("rumqttc", &["bus"]),
    ("rumqttd", &["broker", "bench"]),
    ("rustls", &["bus", "broker", "pki", "brain"]),
    ("ring", &["trust"]),
    ("rustls-webpki", &["trust"]),
    ("argon2", &["trust"]),
    ("rcgen", &["pki", "bench"]),
    ("prost", &["schemas", "shadow", "brain/sparkplug", "bench"]),
    ("lz4_flex", &["shadow", "bench"]),
    ("sqlx", &["brain"]),
    ("parquet", &["."]),
    ("axum", &["brain"]),
    ("utoipa", &["brain", "brain/anomaly", "shadow"]),
    ("fantoccini", &["tests/browser"]),
    ("burn", &["brain/forecast"]),
    ("sysinfo", &["agent", "bench"]),
    ("ipmi-rs", &["agent"]),
    ("hyper", &["broker", "."]),
    ("tokio-tungstenite", &["broker"]),
    ("ratatui", &["."]),
    ("ureq", &["brain/alerts"]),
    ("lettre", &["brain/alerts"]),
];

/// Where within its home a dependency may be named.
const FILES: &[(&str, &str, &[&str])] = &[
    ("sqlx::", "brain/src", &["brain/src/store.rs", "brain/src/store/"]),
    ("parquet::", "src", &["src/export/columnar.rs"]),
    ("hyper::", "src", &["src/client.rs"]),
    ("ratatui::", "src", &["src/top.rs", "src/top/"]),
    ("axum::", "brain/src", &["brain/src/page.rs", "brain/src/page/"]),
    (
        "lz4_flex::",
        "shadow/src",
        &["shadow/src/codec.rs", "shadow/src/codec/"],
    ),
    ("schemas::v1", "shadow/src", &["shadow/src/wire.rs", "shadow/src/wire/"]),
    (
        "sysinfo::",
        "agent/src",
        &["agent/src/inventory.rs", "agent/src/processes.rs", "agent/src/probe/"],
    ),
    ("ipmi_rs::", "agent/src", &["agent/src/bmc/"]),
    // What prints goes through runtime::output, where a reader that is gone is no failure; the live line minds no reader.
    ("stdout()", "agent/src", &[]),
    ("stdout()", "src", &["src/live.rs"]),
    (
        "rcgen::",
        "pki/src",
        &[
            "pki/src/issue.rs",
            "pki/src/authority.rs",
            "pki/src/error.rs",
            "pki/src/tests.rs",
        ],
    ),
];

/// Modules that pure code may not name: it has no clock, no socket, no file and no thread.
const IMPURE: &[&str] = &["std::fs", "std::net", "std::thread", "std::time", "tokio"];
const PURE: &[&str] = &[
    "shadow/src",
    "brain/anomaly/src",
    "brain/limits/src",
    "brain/src/allocate",
    "brain/src/allocate.rs",
    "brain/src/policy.rs",
    "brain/src/policy",
];

/// Files that hold nothing but tests, besides those in a folder `tests` of the sources.
const TESTS: &[&str] = &["tests.rs", "scenarios.rs", "properties.rs", "vectors.rs"];
/// Lines before the unit tests.
const LONGEST_FILE: usize = 430;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    fs::read_to_string(&path).unwrap().parse().unwrap()
}

fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest = manifest(folder);
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    table.into_iter().flat_map(toml::Table::keys).cloned().collect()
}

fn members() -> Vec<String> {
    let manifest = manifest("");
    let members = manifest["workspace"]["members"].as_array().unwrap();
    members.iter().map(|m| m.as_str().unwrap().to_owned()).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    if folder.is_file() {
        return found.push(folder.to_owned());
    }
    let Ok(entries) = folder.read_dir() else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("gen") {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn is_test(file: &Path) -> bool {
    let of_tests = |inner: &str| inner.contains("tests/");
    TESTS.iter().any(|name| file.ends_with(name))
        || relative(file)
            .split_once("src/")
            .is_some_and(|(_, inner)| of_tests(inner))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

#[test]
fn crates_import_only_what_they_may() {
    for (folder, allowed) in EDGES {
        for name in dependencies(folder) {
            if let Some(ours) = name.strip_prefix("foreshadow-") {
                assert!(
                    allowed.contains(&ours),
                    "{folder} may not depend on {name}; allowed: {allowed:?}"
                );
            }
        }
    }
    let ruled: BTreeSet<&str> = EDGES.iter().map(|(folder, _)| *folder).collect();
    let free = BTreeSet::from([".", "bench", "tests/chaos"]);
    for member in members() {
        assert!(
            ruled.contains(&*member) || free.contains(&*member),
            "{member} has no rule in tests/tidy.rs"
        );
    }
}

#[test]
fn heavy_dependencies_have_one_home() {
    for member in members() {
        for name in dependencies(&member) {
            if let Some((_, homes)) = HOMES.iter().find(|(heavy, _)| *heavy == name) {
                assert!(
                    homes.contains(&&*member),
                    "{member} may not depend on {name}; its home is {homes:?}"
                );
            }
        }
    }
}

#[test]
fn heavy_dependencies_are_named_in_few_files() {
    for (word, folder, allowed) in FILES {
        let mut files = Vec::new();
        sources(&root().join(folder), &mut files);
        for file in files {
            let name = relative(&file);
            let home = allowed.iter().any(|prefix| name.starts_with(prefix));
            assert!(
                home || !fs::read_to_string(&file).unwrap().contains(word),
                "{name} names {word}"
            );
        }
    }
}

#[test]
fn pure_code_has_no_clock_socket_file_or_thread() {
    for folder in PURE {
        let mut files = Vec::new();
        sources(&root().join(folder), &mut files);
        assert!(!files.is_empty(), "{folder} is gone: mend tests/tidy.rs");
        files.retain(|file| !is_test(file));
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let named = impure(code);
            assert!(named.is_empty(), "{} names {named:?}", relative(&file));
        }
    }
}

/// The impure modules that `code` names: in a path, or in a group of `use`.
fn impure(code: &str) -> Vec<&str> {
    let in_path = |module: &&&str| code.contains(&format!("{module}::"));
    let mut named: Vec<&str> = IMPURE.iter().filter(in_path).copied().collect();
    let groups = code
        .split("use std::{")
        .skip(1)
        .filter_map(|rest| rest.split(';').next());
    for group in groups {
        let words: BTreeSet<&str> = group.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let grouped = |module: &&&str| module.strip_prefix("std::").is_some_and(|name| words.contains(name));
        named.extend(IMPURE.iter().filter(grouped));
    }
    named
}

#[test]
fn impure_modules_are_found_however_they_are_named() {
    let pure = "use std::{collections::BTreeMap, fmt};\nuse crate::times; let fs = timeout;";
    assert_eq!(impure(pure), [""; 0]);
    for (code, module) in [
        ("use std::{\n    fmt,\n    time::{Duration, Instant},\n};", "std::time"),
        ("use std::{fs, io};", "std::fs"),
        ("std::thread::spawn(work)", "std::thread"),
        ("use std::fs::File;", "std::fs"),
        ("tokio::spawn(work)", "tokio"),
    ] {
        assert_eq!(impure(code), [module], "{code}");
    }
}

/// Files of our own that may hold `unsafe`, and how often. One of them is shipped: it calls functions that are compiled for
/// more than the baseline's instructions, after it has asked the processor. The others count allocations for tests and
/// benchmarks. A compiler's lint can be lifted where it stands; this list is changed in plain sight.
const UNSAFE: &[(&str, usize)] = &[
    ("brain/forecast/src/lstm/kernel/isa.rs", 2),
    ("agent/tests/cost.rs", 7),
    ("brain/tests/memory.rs", 7),
    ("fuzz/src/limits.rs", 5),
];

#[test]
fn there_is_no_unsafe_code() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    for file in files {
        let name = relative(&file);
        let allowed = UNSAFE.iter().find(|(of, _)| *of == name).map_or(0, |(_, count)| *count);
        let found = unsafe_words(&fs::read_to_string(&file).unwrap());
        assert_eq!(found, allowed, "{name} says `unsafe`");
    }
    for member in members() {
        let lints = manifest(&member).get("lints").cloned();
        let inherited = lints.as_ref().and_then(|lints| lints.get("workspace")?.as_bool());
        assert_eq!(
            inherited,
            Some(true),
            "{member} does not take over the workspace's lints"
        );
    }
}

/// How often the keyword stands in code: not in a comment, a text or a longer word.
fn unsafe_words(code: &str) -> usize {
    let word = ["un", "safe"].concat();
    let code = code.lines().map(|line| line.split("//").next().unwrap());
    let words = code.flat_map(|line| line.split('"').step_by(2));
    let words = words.flat_map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.filter(|found| *found == word).count()
}

#[test]
fn unsafe_is_found_in_code_alone() {
    let word = ["un", "safe"].concat();
    for (code, count) in [
        (format!("let x = {word} {{ f() }}; // {word}"), 1),
        (format!("{word} fn f() {{}}\n{word} impl A for B {{}}"), 2),
        (format!("//! {word}\nlet {word}_code = \"{word}\";"), 0),
    ] {
        assert_eq!(unsafe_words(&code), count, "{code}");
    }
}

#[test]
fn the_lab_stack_is_configured() {
    let path = |name: &str| root().join("deploy/compose").join(name);
    let broker: broker::Config = runtime::config::load(&path("broker.toml")).unwrap();
    let brain: brain::Config = runtime::config::load(&path("brain.toml")).unwrap();
    let agents =
        ["agent.toml", "agent-bmc.toml"].map(|name| runtime::config::load::<agent::Config>(&path(name)).unwrap());
    for agent in &agents {
        assert_eq!([brain.broker.port, agent.broker.port], [broker.listen.port(); 2]);
        assert!(agent.broker.tls.is_some() && agent.trust.is_some() && agent.broker.host == "broker");
    }
    assert!(broker.tls.is_some() && brain.broker.tls.is_some() && brain.trust.is_some());
    assert_eq!(broker.access.anonymous, broker::Anonymous::Nothing);
    assert!(broker.data.is_some() && broker.audit.is_some());
    let compose = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    let brain_port = brain.page.listen.port();
    for part in [
        "  broker:\n",
        "  brain:\n",
        "  agent-3:\n",
        "- broker:/var/lib/foreshadow\n",
        "  timescaledb:\n",
        "  load:\n",
        "  bmc:\n",
        "./deploy/compose/agent-bmc.toml:/etc/foreshadow/agent.toml:ro",
        brain.store.password_file.as_ref().unwrap().to_str().unwrap(),
        &format!("127.0.0.1:{brain_port}:{brain_port}"),
    ] {
        assert!(compose.contains(part), "docker-compose.yml lacks {part:?}");
    }
    assert_eq!(brain.broker.host, "broker");
}

#[test]
fn files_are_short_enough_to_read() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    for file in files.into_iter().filter(|file| !is_test(file)) {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines; split it", relative(&file));
    }
}
