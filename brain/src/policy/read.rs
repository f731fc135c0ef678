//! From TOML to a [`Policy`]: every key is looked at, and every fault is told.

use runtime::Span;
use shadow::{QUANTILES, Resource};
use toml::{Table, Value};

use super::{
    BudgetPolicy, CellLimits, Class, Confident, DEFAULT_CLASS, Fault, Lower, PerResource, Policy, PolicyError, Raise,
    Safety, Strategy,
};

/// The largest file that is read, in bytes.
const MAX_FILE: usize = 1 << 20;

/// The longest duration, in milliseconds: thirty days.
const MAX_DURATION_MS: u64 = 30 * 24 * 3_600_000;

pub(super) fn policy(text: &str) -> Result<Policy, PolicyError> {
    let mut faults = Faults(Vec::new());
    let read = match text.len() {
        0..=MAX_FILE => text.parse::<Table>().map_err(|fault| fault.to_string()),
        bytes => Err(format!("it has {bytes} bytes; at most {MAX_FILE} are allowed")),
    };
    let policy = match read {
        Ok(table) => whole(Section::new(String::new(), table), &mut faults),
        Err(fault) => {
            faults.add(String::new(), fault);
            Policy::default()
        }
    };
    if faults.0.is_empty() {
        Ok(policy)
    } else {
        Err(PolicyError { faults: faults.0 })
    }
}

fn whole(mut root: Section, faults: &mut Faults) -> Policy {
    let base = Policy::default();
    let budget = budget(root.section("budget", faults), base.budget, faults);
    let safety = safety(root.section("safety", faults), base.safety, faults);
    let cell = cell(root.section("cell", faults), faults);
    let mut classes = root.section("class", faults);
    let fallback = class(classes.section(DEFAULT_CLASS, faults), &base.fallback, faults);
    let names: Vec<String> = classes.table.keys().cloned().collect();
    let classes = names
        .into_iter()
        .map(|name| {
            let read = class(classes.section(&name, faults), &fallback, faults);
            (name, read)
        })
        .collect();
    root.end(faults);
    Policy {
        budget,
        safety,
        cell,
        classes,
        fallback,
    }
}

fn budget(mut section: Section, base: BudgetPolicy, faults: &mut Faults) -> BudgetPolicy {
    let read = BudgetPolicy {
        host_per_minute: section.count("host_per_minute", base.host_per_minute, faults),
        cell_per_minute: section.count("cell_per_minute", base.cell_per_minute, faults),
    };
    section.end(faults);
    read
}

fn safety(mut section: Section, base: Safety, faults: &mut Faults) -> Safety {
    let read = Safety {
        stale_after_ms: section.duration("stale_after", base.stale_after_ms, faults),
        silent_after_ms: section.duration("silent_after", base.silent_after_ms, faults),
        settle_ms: section.duration("settle", base.settle_ms, faults),
        min_history_ms: section.duration("min_history", base.min_history_ms, faults),
        min_coverage: section.number("min_coverage", base.min_coverage, SHARE, faults),
    };
    if read.silent_after_ms < read.stale_after_ms {
        faults.add(section.at("silent_after"), "is shorter than stale_after");
    }
    section.end(faults);
    read
}

fn cell(mut section: Section, faults: &mut Faults) -> CellLimits {
    let read = CellLimits {
        network_bytes_per_s: section.limit("network_bytes_per_s", faults),
        power_w: section.limit("power_w", faults),
    };
    section.end(faults);
    read
}

fn class(mut section: Section, base: &Class, faults: &mut Faults) -> Class {
    let read = Class {
        strategies: section.strategies("strategies", &base.strategies, faults),
        quantile: section.quantile("quantile", base.quantile, faults),
        horizon_s: section.seconds("horizon", base.horizon_s, faults),
        margin: section.each("margin", base.margin, MARGIN, faults),
        floor: section.each("floor", base.floor, SHARE, faults),
        ceiling: section.each("ceiling", base.ceiling, SHARE, faults),
        raise: raise(section.section("raise", faults), base.raise, faults),
        lower: lower(section.section("lower", faults), base.lower, faults),
        confident: confident(section.section("confident", faults), base.confident, faults),
    };
    for resource in Resource::ALL {
        let (floor, ceiling) = (read.floor.of(resource), read.ceiling.of(resource));
        if floor > ceiling {
            faults.add(
                section.at("floor"),
                format!("{floor} of {resource} is above the ceiling {ceiling}"),
            );
        }
    }
    section.end(faults);
    read
}

fn raise(mut section: Section, base: Raise, faults: &mut Faults) -> Raise {
    let read = Raise {
        hysteresis: section.each("hysteresis", base.hysteresis, SHARE, faults),
        slew: section.each("slew", base.slew, STEP, faults),
    };
    section.end(faults);
    read
}

fn lower(mut section: Section, base: Lower, faults: &mut Faults) -> Lower {
    let read = Lower {
        hysteresis: section.each("hysteresis", base.hysteresis, SHARE, faults),
        slew: section.each("slew", base.slew, STEP, faults),
        dwell_ms: section.duration("dwell", base.dwell_ms, faults),
    };
    section.end(faults);
    read
}

fn confident(mut section: Section, base: Confident, faults: &mut Faults) -> Confident {
    let read = Confident {
        width: section.number("width", base.width, SHARE, faults),
        skill: section.number("skill", base.skill, SKILL, faults),
    };
    section.end(faults);
    read
}

/// Which numbers a key may have.
#[derive(Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
}

const SHARE: Range = Range { low: 0.0, high: 1.0 };
/// A step of nothing would never arrive.
const STEP: Range = Range { low: 0.001, high: 1.0 };
const MARGIN: Range = Range { low: 0.0, high: 10.0 };
const SKILL: Range = Range { low: -1.0, high: 1.0 };

pub(super) struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, path: String, what: impl Into<String>) {
        self.0.push(Fault {
            path,
            what: what.into(),
        });
    }
}

/// One table of the file; what has been read is taken out, so that the rest is unknown.
pub(super) struct Section {
    path: String,
    table: Table,
    known: Vec<String>,
}

impl Section {
    fn new(path: String, table: Table) -> Self {
        let known = Vec::new();
        Self { path, table, known }
    }

    fn at(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.to_owned());
        self.table.remove(key)
    }

    fn end(self, faults: &mut Faults) {
        for key in self.table.keys() {
            let known = self.known.join(", ");
            faults.add(self.at(key), format!("is not known; known here: {known}"));
        }
    }

    /// What `convert` makes of the value of `key`, or `base` where the file does not say or says it wrongly.
    fn read<T>(
        &mut self,
        key: &str,
        base: T,
        faults: &mut Faults,
        convert: impl FnOnce(&Value) -> Result<T, String>,
    ) -> T {
        let Some(value) = self.take(key) else {
            return base;
        };
        convert(&value).unwrap_or_else(|what| {
            faults.add(self.at(key), what);
            base
        })
    }

    fn section(&mut self, key: &str, faults: &mut Faults) -> Self {
        let table = self.read(key, Table::new(), faults, |value| {
            value
                .as_table()
                .cloned()
                .ok_or_else(|| format!("is {}; a table is expected", kind(value)))
        });
        Self::new(self.at(key), table)
    }

    fn number(&mut self, key: &str, base: f64, range: Range, faults: &mut Faults) -> f64 {
        self.read(key, base, faults, |value| number(value, range))
    }

    fn limit(&mut self, key: &str, faults: &mut Faults) -> Option<f64> {
        let range = Range { low: 0.0, high: 1e18 };
        self.read(key, None, faults, |value| number(value, range).map(Some))
    }

    fn each(&mut self, key: &str, base: PerResource, range: Range, faults: &mut Faults) -> PerResource {
        let Some(value) = self.take(key) else {
            return base;
        };
        match value {
            Value::Table(table) => {
                let mut inner = Self::new(self.at(key), table);
                let read = Resource::ALL.into_iter().fold(base, |all, resource| {
                    all.with(
                        resource,
                        inner.number(resource.as_str(), base.of(resource), range, faults),
                    )
                });
                inner.end(faults);
                read
            }
            value => number(&value, range).map_or_else(
                |what| {
                    faults.add(self.at(key), what);
                    base
                },
                PerResource::all,
            ),
        }
    }

    fn count(&mut self, key: &str, base: u32, faults: &mut Faults) -> u32 {
        self.read(key, base, faults, |value| {
            let whole = value.as_integer().and_then(|n| u32::try_from(n).ok());
            whole
                .filter(|&n| n > 0)
                .ok_or_else(|| format!("is {value}; a whole number from 1 on is expected"))
        })
    }

    fn duration(&mut self, key: &str, base_ms: u64, faults: &mut Faults) -> u64 {
        self.read(key, base_ms, faults, duration_ms)
    }

    fn seconds(&mut self, key: &str, base_s: u32, faults: &mut Faults) -> u32 {
        self.read(key, base_s, faults, |value| match duration_ms(value)? {
            0..1000 => Err(format!("is {value}; at least \"1s\" is expected")),
            ms => u32::try_from(ms / 1000).map_err(|_| "is too long".to_owned()),
        })
    }

    fn quantile(&mut self, key: &str, base: f64, faults: &mut Faults) -> f64 {
        self.read(key, base, faults, |value| {
            let read = number(value, SHARE)?;
            let known = QUANTILES.into_iter().find(|q| (q - read).abs() < 1e-9);
            known.ok_or_else(|| format!("is {read}; one of {QUANTILES:?} is expected"))
        })
    }

    fn strategies(&mut self, key: &str, base: &[Strategy], faults: &mut Faults) -> Vec<Strategy> {
        self.read(key, base.to_vec(), faults, |value| {
            let list = value
                .as_array()
                .ok_or_else(|| format!("is {}; a list is expected", kind(value)))?;
            let mut read = list.iter().map(strategy).collect::<Result<Vec<_>, _>>()?;
            read.sort_unstable();
            read.dedup();
            Ok(read)
        })
    }
}

fn strategy(value: &Value) -> Result<Strategy, String> {
    let found = Strategy::ALL
        .into_iter()
        .find(|strategy| value.as_str() == Some(strategy.as_str()));
    found.ok_or_else(|| format!("has {value}; preemptive, dynamic or priority is expected"))
}

fn number(value: &Value, range: Range) -> Result<f64, String> {
    let Range { low, high } = range;
    let read = match value {
        Value::Float(number) => Some(*number),
        Value::Integer(number) => Some(*number as f64),
        _ => None,
    };
    // A NaN lies in no range.
    read.filter(|number| (low..=high).contains(number))
        .ok_or_else(|| format!("is {value}; a number from {low} to {high} is expected"))
}

fn duration_ms(value: &Value) -> Result<u64, String> {
    let expected = || format!("is {value}; a duration of at most 30 days such as \"90s\" or \"10m\" is expected");
    let text = value.as_str().ok_or_else(expected)?;
    let read: Span = text.parse().map_err(|_| expected())?;
    let ms = u64::try_from(read.as_millis()).map_err(|_| expected())?;
    (ms <= MAX_DURATION_MS).then_some(ms).ok_or_else(expected)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
