//! What lines of cargo name: packages, features, profiles and tests.

use std::{collections::BTreeMap, fs, path::Path};

use toml::{Table, Value};

use super::root;

/// What there is to name.
pub(crate) struct Workspace {
    /// Features by package.
    packages: BTreeMap<String, Vec<String>>,
    profiles: Vec<String>,
    /// Files of Rust without their ending: modules and binaries of tests.
    files: Vec<String>,
    functions: Vec<String>,
}

impl Workspace {
    pub(crate) fn read() -> Self {
        let manifest = |folder: &str| -> Table {
            let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
            text.parse().unwrap()
        };
        let keys = |table: Option<&Value>| -> Vec<String> {
            let table = table.and_then(Value::as_table);
            table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
        };
        let whole = manifest(".");
        let members = whole["workspace"]["members"].as_array().unwrap();
        let packages = members.iter().map(|member| {
            let member = manifest(member.as_str().unwrap());
            let name = member["package"]["name"].as_str().unwrap().to_owned();
            (name, keys(member.get("features")))
        });
        let mut profiles = keys(whole.get("profile"));
        profiles.extend(["dev", "release", "test", "bench"].map(str::to_owned));
        let mut all = Self {
            packages: packages.collect(),
            profiles,
            files: Vec::new(),
            functions: Vec::new(),
        };
        all.look_into(&root());
        all
    }

    fn look_into(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && !name.starts_with('.') {
                    self.look_into(&path);
                }
            } else if let Some(name) = name.strip_suffix(".rs") {
                self.files.push(name.to_owned());
                let text = fs::read_to_string(&path).unwrap();
                let ends = |letter: char| !letter.is_alphanumeric() && letter != '_';
                let functions = text.split("fn ").skip(1).filter_map(|rest| rest.split(ends).next());
                self.functions.extend(functions.map(str::to_owned));
            }
        }
    }

    /// What a line names that is not there.
    pub(crate) fn faults(&self, words: &[String]) -> Vec<String> {
        let of_cargo = words.split(|word| word == "--").next().unwrap_or_default();
        let values = |option: &'static str| {
            let pairs = of_cargo.windows(2).filter(move |pair| pair[0] == option);
            pairs.map(|pair| pair[1].as_str())
        };
        let mut faults = Vec::new();
        let mut expect = |is_there: bool, what: &str, name: &str| {
            if !is_there {
                faults.push(format!("no {what} {name}"));
            }
        };
        let package = values("-p").next().unwrap_or("foreshadow");
        let features = self.packages.get(package);
        expect(features.is_some(), "package", package);
        for feature in values("--features").flat_map(|features| features.split(',')) {
            let is_there = features.is_some_and(|all| all.iter().any(|one| one == feature));
            expect(is_there, "feature", feature);
        }
        for profile in values("--profile") {
            expect(self.profiles.iter().any(|one| one == profile), "profile", profile);
        }
        for (kind, name) in values("-E").flat_map(set_of_tests) {
            let is_there = match kind {
                "package" => self.packages.contains_key(name),
                "binary" => self.files.iter().any(|file| file == name),
                "test" => match name.strip_suffix("::") {
                    Some(module) => self.files.iter().any(|file| file == module),
                    None => self
                        .functions
                        .iter()
                        .chain(&self.files)
                        .any(|known| known.contains(name)),
                },
                _ => false,
            };
            expect(is_there, kind, name);
        }
        faults
    }
}

/// The names in nextest's expression for a set of tests: `test(a) & package(b)`, `test(/(a|b)/)`.
fn set_of_tests(expression: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for part in expression.split([' ', '&']).filter(|part| part.contains('(')) {
        let (kind, names) = part.split_once('(').unwrap_or_default();
        let names = names.trim_end_matches(')').trim_matches('/').trim_matches(['(', ')']);
        found.extend(names.split('|').map(|name| (kind, name)));
    }
    found
}

#[test]
fn what_is_not_there_is_told() {
    let workspace = Workspace::read();
    let faults = |line: &str| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        workspace.faults(&words)
    };
    for good in [
        "cargo run --release -p foreshadow-bench --no-default-features --features forecast -- -p nothing",
        "cargo build --profile dist -p foreshadow-agent",
        "cargo nextest run --workspace -E test(/(what_is_not_there|is_told)/)&test(latency::)&package(foreshadow)",
    ] {
        assert_eq!(faults(good), [""; 0], "{good}");
    }
    assert_eq!(faults("cargo run -p foreshadow-none"), ["no package foreshadow-none"]);
    assert_eq!(
        faults("cargo build -p foreshadow-bench --features brian,brain --profile dits"),
        ["no feature brian", "no profile dits"]
    );
    assert_eq!(
        faults("cargo nextest run -E binary(nothing_such)&what(x)&test(/(nowhere::|never_such|told)/)"),
        [
            "no binary nothing_such",
            "no what x",
            "no test nowhere::",
            "no test never_such"
        ]
    );
}
