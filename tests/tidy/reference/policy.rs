//! The policy, which is read by hand: what it knows it tells, its comments stand at types of another form.

use std::{collections::BTreeSet, fmt::Write as _};

use brain::policy::Policy;
use toml::Table;

use super::{
    super::declared::{Declared, Field, Sources},
    File, Row, join, lookup,
};

/// Tables of the policy, and the types that their comments stand at.
const POLICY: &[(&str, &[&str])] = &[
    ("", &["Policy"]),
    ("budget", &["BudgetPolicy"]),
    ("safety", &["Safety"]),
    ("cell", &["CellLimits"]),
    ("limits", &["limits::Settings"]),
    ("queue", &["Queue"]),
    ("proposals", &["ProposalRules"]),
    ("window", &["Window"]),
    ("spare", &["Spare"]),
    ("wake", &["Wake"]),
    ("class.NAME", &["Class"]),
    ("class.NAME.raise", &["Raise"]),
    ("class.NAME.lower", &["Lower"]),
    ("class.NAME.flap", &["Flap"]),
    ("class.NAME.confident", &["Confident"]),
];
/// Keys of the policy whose form in the file is not that in the program: type, default, meaning.
const OWN_FORM: &[(&str, &str, &str, &str)] = &[
    (
        "act",
        "table",
        "",
        "A pattern of hosts (`*` for any characters), and the resources that are really changed there: `\"edge-*\" = [\"cpu\"]`. Nothing is, without it.",
    ),
    (
        "class",
        "tables",
        "",
        "A class of workloads each, `[class.NAME]`; what it does not say it takes from `[class.default]`.",
    ),
    ("window", "list of tables", "", "When less is changed."),
    (
        "spare",
        "list of tables",
        "",
        "Hosts that can be woken, in the order in which they are.",
    ),
    ("wake", "table", "", "When they are woken."),
    ("window.name", "text", "needed", "What people call it."),
    (
        "window.effect",
        "`\"no lowering\"`, `\"no change\"`",
        "`\"no lowering\"`",
        "What it holds back: lowerings, or every change.",
    ),
    (
        "window.days",
        "list of `\"mon\"` to `\"sun\"`",
        "all",
        "Weekly: the days on which it begins.",
    ),
    (
        "window.from",
        "time of day",
        "needed",
        "Weekly: from then on, as `\"22:00\"`.",
    ),
    (
        "window.until",
        "time of day",
        "needed",
        "Weekly: until then; not after `from`, it is of the next day.",
    ),
    (
        "window.utc_offset",
        "offset",
        "`\"+00:00\"`",
        "Weekly: what the times of day are told in; it does not follow daylight saving time.",
    ),
    (
        "window.begin",
        "point in time",
        "the beginning",
        "By calendar, in place of `days`, `from` and `until`: from then on, with its offset and without quotes.",
    ),
    ("window.end", "point in time", "no end", "By calendar: until then."),
    ("spare.host", "text", "needed", "Its name, as its agent will tell it."),
    (
        "limits.changes_a_day",
        "number, or `\"free\"`",
        "`40`",
        "Changes of a limit a day and series, mean over the fleet; `\"free\"` for as often as pays.",
    ),
    (
        "class.NAME.strategies",
        "list of `\"preemptive\"`, `\"dynamic\"`, `\"priority\"`",
        "all",
        "How it decides, each at most once: for the highest forecast up to the horizon, the nearest as it comes, and under contention from workloads of less criticality.",
    ),
    (
        "class.NAME.mode",
        "`\"act\"`, `\"recommend\"`",
        "`\"act\"`",
        "What comes of its changes where `[act]` allows them: they are made, or each is proposed and made when somebody approves it.",
    ),
    (
        "class.NAME.quantile",
        "0.5, 0.9, 0.95 or 0.99",
        "`0.95`",
        "The quantile that is reserved for.",
    ),
    (
        "wake.quantile",
        "0.5, 0.9, 0.95 or 0.99",
        "`0.95`",
        "The quantile of the need.",
    ),
    ("class.NAME.raise", "table", "", "How reservations rise."),
    ("class.NAME.lower", "table", "", "How they fall."),
    ("class.NAME.flap", "table", "", "How often they may go to and fro."),
    ("class.NAME.confident", "table", "", "When a forecast is trusted."),
];

pub(super) fn of_policy(sources: &Sources) -> (String, BTreeSet<String>) {
    let known = |text: &str| {
        let fault = Policy::parse(text).expect_err("an unknown key is refused").to_string();
        let known = fault.lines().find(|line| line.contains("zzz: is not known"));
        let known = known
            .unwrap_or_else(|| panic!("{text}: {fault}"))
            .rsplit_once("known here: ")
            .unwrap()
            .1;
        known.split(", ").map(str::to_owned).collect()
    };
    let built_in: Table = brain::policy::BUILT_IN.parse().unwrap();
    let mut file = File {
        sources,
        known: &known,
        takes: &|text| Policy::parse(text).is_ok(),
        limits_is_a_list: false,
        filled: &|_| built_in.clone(),
        page: String::new(),
        keys: BTreeSet::new(),
    };
    for (path, types) in POLICY {
        file.policy_table(path, types);
    }
    (file.page, file.keys)
}

impl File<'_> {
    fn policy_table(&mut self, path: &str, types: &[&str]) {
        let here = path.replace("NAME", "default");
        let mut known = (self.known)(&self.at(&here, "zzz = 1"));
        if path == "window" {
            let calendar =
                "[[window]]\nname = 'x'\nbegin = 2026-12-24T18:00:00Z\nend = 2026-12-26T18:00:00Z\nzzz = 1\n";
            let more = (self.known)(calendar);
            known.extend(more.into_iter().filter(|key| !known.contains(key)).collect::<Vec<_>>());
        }
        let declared = types
            .iter()
            .map(|name| self.sources.find(name, "brain/src/policy.rs").unwrap());
        let declared: Vec<Declared> = declared.cloned().collect();
        if !path.is_empty() {
            let (open, close) = if self.is_list(path) { ("[[", "]]") } else { ("[", "]") };
            write!(
                self.page,
                "\n### `{open}{path}{close}`\n\n{}\n",
                plain(&declared[0].text)
            )
            .unwrap();
        }
        let mut rows = Vec::new();
        for key in known {
            let whole = join(path, &key);
            self.keys.insert(whole.clone());
            if let Some((_, kind, default, text)) = OWN_FORM.iter().find(|(of, ..)| *of == whole) {
                let row = [kind, default, text].map(|text| (*text).to_owned());
                let [kind, default, text] = row;
                rows.push(Row {
                    path: whole,
                    kind,
                    ends: String::new(),
                    default,
                    text,
                });
                continue;
            }
            let is_it = |field: &&Field| [key.clone(), format!("{key}_ms"), format!("{key}_s")].contains(&field.name);
            let field = declared.iter().flat_map(|declared| &declared.fields).find(is_it);
            let field = field
                .unwrap_or_else(|| panic!("nothing is said of {whole}: add it to OWN_FORM"))
                .clone();
            if path.is_empty() {
                continue;
            }
            rows.push(self.policy_row(whole, &here, &key, field));
        }
        self.print(&rows);
    }

    fn policy_row(&self, path: String, table: &str, key: &str, field: Field) -> Row {
        let is_span = field.name != key;
        let (kind, code) = match field.kind.as_str() {
            "Vec<String>" => ("list of texts", ""),
            _ if is_span => ("duration", "Span"),
            "PerResource" => ("number, or a table by resource", "f64"),
            "f64" | "Option<f64>" => ("number", "f64"),
            _ => ("whole number", "u32"),
        };
        let default = lookup(&(self.filled)(""), &join(table, key)).cloned();
        let ends = self.ends(table, key, code, default.as_ref());
        Row {
            path,
            kind: kind.to_owned(),
            ends,
            default: default.map_or_else(|| self.policy_default(table, key), |value| format!("`{value}`")),
            text: plain(&field.text),
        }
    }

    /// The default of a key that the built-in policy does not have, if it has one: to say it makes no difference.
    fn policy_default(&self, table: &str, key: &str) -> String {
        let known = DEFAULTS.iter().find(|(of, ..)| *of == join(table, key));
        let Some((_, value)) = known else {
            return String::new();
        };
        let read = |line: &str| Policy::parse(&self.at(table, line)).unwrap();
        assert_eq!(read(&format!("{key} = {value}")), read(""), "{table}.{key}");
        format!("`{value}`")
    }
}

/// A comment of the program as the file has it.
fn plain(text: &str) -> String {
    let of_file = [
        (", in milliseconds", ""),
        (", in seconds", ""),
        ("`within_ms`", "`within`"),
        ("`None` is not limited", "what is not said is not limited"),
    ];
    of_file.iter().fold(text.to_owned(), |text, (of_program, of_file)| {
        text.replace(of_program, of_file)
    })
}

/// Defaults of keys that are in lists.
const DEFAULTS: &[(&str, &str)] = &[("spare.boot", "\"5m\""), ("spare.power_w", "0")];
