//! One table of a policy file, read key by key, with every fault noted.

use runtime::Span;
use shadow::{QUANTILES, Resource};
use toml::{Table, Value};

use super::{Fault, PerResource, Strategy};

/// The longest duration, in milliseconds: thirty days.
const MAX_DURATION_MS: u64 = 30 * 24 * 3_600_000;

/// Which numbers a key may have.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) low: f64,
    pub(super) high: f64,
}

pub(super) const SHARE: Range = Range { low: 0.0, high: 1.0 };
/// A step of nothing would never arrive.
pub(super) const STEP: Range = Range { low: 0.001, high: 1.0 };
pub(super) const MARGIN: Range = Range { low: 0.0, high: 10.0 };
pub(super) const SKILL: Range = Range { low: -1.0, high: 1.0 };

pub(super) struct Faults(pub(super) Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, path: String, what: impl Into<String>) {
        self.0.push(Fault {
            path,
            what: what.into(),
        });
    }
}

/// One table of the file; what has been read is taken out, so that the rest is unknown.
pub(super) struct Section {
    path: String,
    pub(super) table: Table,
    known: Vec<String>,
}

impl Section {
    pub(super) fn new(path: String, table: Table) -> Self {
        let known = Vec::new();
        Self { path, table, known }
    }

    pub(super) fn at(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.to_owned());
        self.table.remove(key)
    }

    pub(super) fn end(self, faults: &mut Faults) {
        for key in self.table.keys() {
            let known = self.known.join(", ");
            faults.add(self.at(key), format!("is not known; known here: {known}"));
        }
    }

    /// What `convert` makes of the value of `key`, or `base` where the file does not say or says it wrongly.
    pub(super) fn read<T>(
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

    pub(super) fn section(&mut self, key: &str, faults: &mut Faults) -> Self {
        let table = self.read(key, Table::new(), faults, |value| {
            value
                .as_table()
                .cloned()
                .ok_or_else(|| format!("is {}; a table is expected", kind(value)))
        });
        Self::new(self.at(key), table)
    }

    /// The tables of a list, `[[key]]`.
    pub(super) fn list(&mut self, key: &str, faults: &mut Faults) -> Vec<Self> {
        let tables = self.read(key, Vec::new(), faults, |value| {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let tables: Option<Vec<Table>> = list.iter().map(|table| table.as_table().cloned()).collect();
            let tables = tables.filter(|tables| !tables.is_empty());
            tables.ok_or_else(|| format!("is {}; tables [[{key}]] are expected", kind(value)))
        });
        let path = self.at(key);
        let named = tables.into_iter().enumerate();
        named
            .map(|(at, table)| Self::new(format!("{path}[{at}]"), table))
            .collect()
    }

    pub(super) fn text(&mut self, key: &str, base: &str, faults: &mut Faults) -> String {
        self.read(key, base.to_owned(), faults, text)
    }

    pub(super) fn texts(&mut self, key: &str, faults: &mut Faults) -> Vec<String> {
        self.read(key, Vec::new(), faults, |value| {
            let list = value.as_array();
            let list = list.ok_or_else(|| format!("is {}; a list of texts is expected", kind(value)))?;
            list.iter().map(text).collect()
        })
    }

    pub(super) fn number(&mut self, key: &str, base: f64, range: Range, faults: &mut Faults) -> f64 {
        self.read(key, base, faults, |value| number(value, range))
    }

    pub(super) fn limit(&mut self, key: &str, faults: &mut Faults) -> Option<f64> {
        let range = Range { low: 0.0, high: 1e18 };
        self.read(key, None, faults, |value| number(value, range).map(Some))
    }

    pub(super) fn each(&mut self, key: &str, base: PerResource, range: Range, faults: &mut Faults) -> PerResource {
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

    /// A whole number from 1 on.
    pub(super) fn count(&mut self, key: &str, base: u32, faults: &mut Faults) -> u32 {
        self.read(key, base, faults, |value| {
            let whole = value.as_integer().and_then(|n| u32::try_from(n).ok());
            whole
                .filter(|&n| n > 0)
                .ok_or_else(|| format!("is {value}; a whole number from 1 on is expected"))
        })
    }

    pub(super) fn duration(&mut self, key: &str, base_ms: u64, faults: &mut Faults) -> u64 {
        self.read(key, base_ms, faults, duration_ms)
    }

    pub(super) fn seconds(&mut self, key: &str, base_s: u32, faults: &mut Faults) -> u32 {
        self.read(key, base_s, faults, |value| match duration_ms(value)? {
            0..1000 => Err(format!("is {value}; at least \"1s\" is expected")),
            ms => u32::try_from(ms / 1000).map_err(|_| "is too long".to_owned()),
        })
    }

    pub(super) fn quantile(&mut self, key: &str, base: f64, faults: &mut Faults) -> f64 {
        self.read(key, base, faults, |value| {
            let read = number(value, SHARE)?;
            let known = QUANTILES.into_iter().find(|q| (q - read).abs() < 1e-9);
            known.ok_or_else(|| format!("is {read}; one of {QUANTILES:?} is expected"))
        })
    }

    pub(super) fn strategies(&mut self, key: &str, base: &[Strategy], faults: &mut Faults) -> Vec<Strategy> {
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

/// A text that can stand in a line.
fn text(value: &Value) -> Result<String, String> {
    let sound = |text: &&str| text.chars().count() <= 128 && !text.chars().any(char::is_control);
    let text = value.as_str().filter(sound);
    let text = text.ok_or_else(|| format!("is {value}; a text of a line, at most 128 characters, is expected"));
    text.map(str::to_owned)
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

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
